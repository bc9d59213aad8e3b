"""The number of threads that BLAS uses, limited while this package runs its own threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_lock = threading.Lock()
_inside: list[Any] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread within the block.

    The limit holds for the whole process. If several threads are in such a block, the first one
    to enter sets the limit and the last one to leave lifts it.
    """
    with _lock:
        _inside.append(_inside[0] if _inside else _blas().limit(limits=1))
    try:
        yield
    finally:
        with _lock:
            limit = _inside.pop()
            if not _inside:
                limit.restore_original_limits()


def blas_threads() -> int:
    """Return how many threads BLAS uses at present; 1 if threadpoolctl is not there to tell."""
    try:
        blas = _blas()
    except ImportError:
        return 1
    return max((each.num_threads for each in blas.lib_controllers), default=1)


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # optional

    return ThreadpoolController().select(user_api="blas")
