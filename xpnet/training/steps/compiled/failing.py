"""Fall back to formula steps if Numba is installed but does not work."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from ...errors import UnsupportedError

_reasons: list[str] = []
"""Why Numba has failed in this process, if it has."""


@contextmanager
def needing_numba() -> Iterator[None]:
    """Turn any error of Numba within the block, except MemoryError, into an UnsupportedError.

    After a failure, Numba is not tried again in this process: each attempt may take seconds.
    """
    if _reasons:
        raise UnsupportedError(_reasons[0])
    try:
        numba: Any = import_module("numba")
        if numba.config.DISABLE_JIT:
            raise UnsupportedError("Numba is switched off: unset NUMBA_DISABLE_JIT")
        yield
    except (UnsupportedError, MemoryError):
        raise
    except Exception as error:
        _reasons.append(_reason(error))
        raise UnsupportedError(_reasons[0]) from error


def warning_of(reason: str | None) -> str | None:
    """Return the warning for a user who asked for the fastest steps; None if none is needed.

    Parameters
    ----------
    reason : str or None
        Why steps were not compiled.
    """
    if reason is None or not (reason in _reasons or "NUMBA_DISABLE_JIT" in reason):
        return None
    return (
        "Compiled steps do not work here, so this network is trained by formulas, which takes "
        f"longer: {reason}. To avoid this warning, give steps='formulas'"
    )


def _reason(error: Exception) -> str:
    text = next(iter(str(error).strip().splitlines()), "")
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, ImportError | SystemError | AttributeError):
        advice = f"a Numba that works with NumPy {np.__version__}"
    else:
        advice = "another version of Numba"
    return f"Numba fails ({told}): install {advice}, e.g. pip install --upgrade numba"
