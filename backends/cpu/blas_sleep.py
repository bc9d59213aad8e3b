"""Let OpenBLAS's threads sleep soon after a product.

By default they spin for 2**26 cycles, waiting for the next product, before they sleep. That is
longer than a training step, and slows down the rest of the step: epochs took up to twice as long.
This module makes them sleep after 2**20 cycles, which is less than a millisecond.

OpenBLAS reads that number from the environment when it is loaded, i.e. when NumPy is imported. So
this module sets the variable, makes OpenBLAS read it again, stops and restarts OpenBLAS's threads,
as OpenBLAS does around a fork, and removes the variable. Child processes do not inherit it.
"""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

VARIABLE, EXPONENT = "OPENBLAS_THREAD_TIMEOUT", "20"

_is_done = False

# Functions of the standard library in which a thread waits and computes nothing.
_WAITING = {("threading.py", "wait"), ("selectors.py", "select")}


def let_threads_sleep() -> None:
    """Make OpenBLAS's threads sleep soon after a product; this takes effect once per process.

    It does nothing if the environment has ``OPENBLAS_THREAD_TIMEOUT``, on systems other than Linux,
    or if NumPy has another BLAS or an OpenBLAS without the functions that this needs. While another
    Python thread may be in the middle of a product, it leaves the work to the next call, because
    that product would wait for BLAS threads that have ended.
    """
    global _is_done
    if _is_done:
        return
    functions = None
    if VARIABLE not in os.environ and sys.platform == "linux":
        functions = thread_functions()
    if functions is None:
        _is_done = True
    else:
        with _other_threads_paused():
            _is_done = _others_wait()
            if _is_done:
                _restart(functions)


def _restart(functions: list[Callable[[], object]]) -> None:
    # putenv sets it for C code only; os.environ, which other threads may read, does not change.
    os.putenv(VARIABLE, EXPONENT)
    try:
        for function in functions:
            function()
    finally:
        os.unsetenv(VARIABLE)


@contextmanager
def _other_threads_paused() -> Iterator[None]:
    """Keep other Python threads from running in the block, which must be short.

    Otherwise, a thread that was waiting when checked could begin a product before the BLAS threads
    have ended, and the product would lack their parts.
    """
    before = sys.getswitchinterval()
    if threading.active_count() == 1:
        yield
        return
    sys.setswitchinterval(_NO_SWITCH)
    try:
        time.sleep(2 * before)  # threads already waiting for the GIL still use the old interval
        yield
    finally:
        sys.setswitchinterval(before)


_NO_SWITCH = 0.2
"""Seconds for which a thread keeps the GIL; the block takes about a millisecond."""


def thread_functions() -> list[Callable[[], object]] | None:
    """Return OpenBLAS's functions to read its variables, stop its threads, and start them.

    Return None if NumPy has another BLAS, or an OpenBLAS that does not export these functions, such
    as that of NumPy 2.5's wheels. There, the variable must be set before NumPy is imported.
    """
    import numpy as np

    names = "openblas_read_env", "blas_thread_shutdown_", "blas_thread_init"
    try:
        # Looking up symbols in NumPy's extension also searches the libraries that it has loaded.
        # PyDLL keeps the GIL, so no other thread can begin a product during the call.
        blas = ctypes.PyDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
        return [getattr(blas, name) for name in names]
    except (AttributeError, OSError):
        return None


def _others_wait() -> bool:
    """Return whether every other Python thread is waiting, as a notebook's threads are."""
    own = threading.get_ident()
    return all(_waits(frame) for thread, frame in sys._current_frames().items() if thread != own)


def _waits(frame: FrameType) -> bool:
    folder, file = os.path.split(frame.f_code.co_filename)
    in_standard_library = folder == os.path.dirname(threading.__file__)
    if in_standard_library and (file, frame.f_code.co_name) in _WAITING:
        return True
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("ipykernel", "zmq")
