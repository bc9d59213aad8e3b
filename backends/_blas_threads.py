"""The threads that BLAS takes for a product, for whoever has threads of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside: list[Any] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS, within the block, to the thread that calls it.

    The limit is the whole process's. So the first of several blocks at the same time, in different
    threads, sets it, and the last one lifts it.
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
    """Return how many threads BLAS takes now."""
    return max((each.num_threads for each in _blas().lib_controllers), default=1)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
