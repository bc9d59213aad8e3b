"""The errors and warnings of this package, and the one way to say that a name is not known."""

import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from types import FrameType


class DeviceUnavailableError(RuntimeError):
    """A device or the library that drives it is not there; the message says what to install."""


class UnknownNameError(ValueError):
    """A name that nothing known answers to; the message says which are known."""


def unknown_name(kind: str, given: object, known: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that is not known, with the nearest known one.

    Parameters
    ----------
    kind : str
        What was looked for, e.g. ``"optimizer"``.
    given : object
        What the caller gave.
    known : iterable of str
        The names that would have been found.

    Examples
    --------
    >>> unknown_name("optimizer", "adm", ["sgd", "adam"])
    UnknownNameError("unknown optimizer 'adm': did you mean 'adam'? Known: adam, sgd")
    """
    names = sorted(known)
    near = get_close_matches(str(given).lower(), names, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else "."
    return UnknownNameError(f"unknown {kind} {given!r}{hint} Known: {', '.join(names)}")


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as if by the line that called this package, however deep inside it that is noticed."""
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "xpnet":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
