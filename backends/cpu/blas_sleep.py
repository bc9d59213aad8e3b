"""How OpenBLAS's threads wait between products.

By default they keep looking for the next product for 2**26 cycles before they sleep. That is longer
than a training step, and slows down everything else in it: epochs took up to twice as long. This
file makes them sleep after 2**20 cycles, which is less than a millisecond.

OpenBLAS reads that number from the environment when it is loaded, which importing NumPy does. So
the variable is set, OpenBLAS reads it again, its threads are ended and started anew, as around a
fork, and the variable is removed. Child processes do not inherit it.
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
    """Make OpenBLAS's threads sleep soon after a product; this takes effect once in a process.

    Nothing is done if the environment has ``OPENBLAS_THREAD_TIMEOUT``, on systems other than Linux,
    or if NumPy has another BLAS or an OpenBLAS without the functions that this needs. While another
    Python thread may be in the middle of a product, it is left to the next call: that product would
    wait for BLAS threads that have ended.
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
        with _nobody_else_runs():
            _is_done = _others_wait()
            if _is_done:
                _restart(functions)


def _restart(functions: list[Callable[[], object]]) -> None:
    # Only for C code: os.environ, which other threads may read, does not change.
    os.putenv(VARIABLE, EXPONENT)
    try:
        for function in functions:
            function()
    finally:
        os.unsetenv(VARIABLE)


@contextmanager
def _nobody_else_runs() -> Iterator[None]:
    """Keep other Python threads from running in the block, which must be short.

    A thread that waited when it was looked at could otherwise begin a product before the threads of
    BLAS have ended, and its product would lack what they had to compute.
    """
    before = sys.getswitchinterval()
    if threading.active_count() == 1:
        yield
        return
    sys.setswitchinterval(_NO_SWITCH)
    try:
        time.sleep(2 * before)  # for who waits for its turn and still counts by the old interval
        yield
    finally:
        sys.setswitchinterval(before)


_NO_SWITCH = 0.2
"""Seconds within which a thread keeps its turn; the block takes about a millisecond."""


def thread_functions() -> list[Callable[[], object]] | None:
    """Return OpenBLAS's functions to read its variables, end its threads, and start them.

    None if NumPy has another BLAS, or an OpenBLAS that does not export these functions, such as
    that of NumPy 2.5's wheels. There, the variable has to be set before NumPy is imported.
    """
    import numpy as np

    names = "openblas_read_env", "blas_thread_shutdown_", "blas_thread_init"
    try:
        # Symbols of the libraries that NumPy's own has loaded are found as well. PyDLL keeps the
        # interpreter's lock, so no other thread can begin a product during the call.
        blas = ctypes.PyDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
        return [getattr(blas, name) for name in names]
    except (AttributeError, OSError):
        return None


def _others_wait() -> bool:
    """Return whether every other Python thread only waits, as those of notebooks do."""
    own = threading.get_ident()
    return all(_waits(frame) for thread, frame in sys._current_frames().items() if thread != own)


def _waits(frame: FrameType) -> bool:
    folder, file = os.path.split(frame.f_code.co_filename)
    in_standard_library = folder == os.path.dirname(threading.__file__)
    if in_standard_library and (file, frame.f_code.co_name) in _WAITING:
        return True
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("ipykernel", "zmq")
