"""Limit BLAS to one thread while several threads of this process compute.

BLAS splits each product among its own threads, which wait for each other. If two Python threads
compute at the same time, there are more BLAS threads than cores: they wait for threads that are not
running, and everything takes several times as long. So BLAS is limited to one thread while two or
more Python threads train or predict, and while xpnet runs compiled code on its own threads.

Most libraries have one limit for the whole process. The first block to enter, in any thread, sets
it, and the last one to leave lifts it. An OpenBLAS built with OpenMP has a limit per thread, which
only that thread can set.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.RLock()  # garbage collection may end a training in the middle of a change

_computing: dict[int, int] = {}
"""The number of :func:`computing` blocks that each thread is in."""

_n_reasons = 0
"""The number of :func:`one_blas_thread` blocks."""

_limited: dict[str, tuple[Any, int]] = {}
"""The libraries with a limit for the process, by file, with their former number of threads."""


class _Own(threading.local):
    """The current thread's limits of the libraries that have a limit per thread."""

    depth = 0
    limited: tuple[tuple[Any, int], ...] = ()


_own = _Own()


@contextmanager
def computing() -> Iterator[None]:
    """Mark the block as training or prediction.

    While two or more threads are in such blocks, BLAS is limited to one thread. Nested blocks of a
    single thread do not limit BLAS.
    """
    thread = threading.get_ident()
    with _lock:
        _computing[thread] = _computing.get(thread, 0) + 1
    try:
        with _lock:
            _set_or_lift()
        yield
    finally:
        with _lock:
            left = _computing.get(thread, 1) - 1  # a fork may have emptied it
            if left:
                _computing[thread] = left
            else:
                _computing.pop(thread, None)
            _set_or_lift()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread within the block.

    The limit is for the whole process, or for this thread if BLAS has a limit per thread.
    """
    global _n_reasons
    with _lock:
        _n_reasons += 1
    _own.depth += 1
    try:
        with _lock:
            _set_or_lift()
        if _own.depth == 1:
            _limit_own()
        yield
    finally:
        _own.depth -= 1
        if _own.depth == 0:
            _lift_own()
        with _lock:
            _n_reasons = max(_n_reasons - 1, 0)
            _set_or_lift()


def blas_threads() -> int:
    """Return the number of threads that BLAS uses now, or 1 without threadpoolctl."""
    with _lock:
        return max((each.num_threads for each in _libraries()), default=1)


def _set_or_lift() -> None:
    """Set or lift the process's limit, as the current blocks require."""
    if _n_reasons or len(_computing) > 1:
        for each in _libraries():  # libraries may have been loaded since the limit was set
            if not _has_own_limits(each) and each.filepath not in _limited:
                _limited[each.filepath] = each, each.num_threads
                _set(each, 1)
    elif _limited:
        for library, n in _limited.values():
            _set(library, n)
        _limited.clear()


def _limit_own() -> None:
    own = tuple((each, each.num_threads) for each in _libraries() if _has_own_limits(each))
    _own.limited = own
    for library, _ in own:
        _set(library, 1)


def _lift_own() -> None:
    for library, n in _own.limited:
        _set(library, n)
    _own.limited = ()


def _has_own_limits(library: Any) -> bool:
    return (
        library.internal_api == "openblas" and getattr(library, "threading_layer", None) == "openmp"
    )


def _set(library: Any, n: int) -> None:
    """Set a library's number of threads, from any thread.

    threadpoolctl 3.8 lets only the first thread that set a limit of OpenBLAS set another one, and
    silently does nothing in other threads.
    """
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    library.set_num_threads(n)
    if release is not None:
        release(force=True)


_found: tuple[int, tuple[Any, ...]] = -1, ()


def _libraries() -> tuple[Any, ...]:
    """Return threadpoolctl's controllers of the loaded BLAS libraries.

    They are looked up again after modules were imported, because e.g. SciPy loads its own BLAS.
    """
    global _found
    if _found[0] != len(sys.modules):
        try:
            from threadpoolctl import ThreadpoolController  # optional
        except ImportError:
            return ()
        n = len(sys.modules)
        _found = n, tuple(ThreadpoolController().select(user_api="blas").lib_controllers)
    return _found[1]


def _after_fork() -> None:
    """Forget the other threads, which do not exist in the child process."""
    global _lock, _n_reasons
    _lock = threading.RLock()
    own = threading.get_ident()
    for thread in [each for each in _computing if each != own]:
        del _computing[thread]
    _n_reasons = min(_n_reasons, _own.depth)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
