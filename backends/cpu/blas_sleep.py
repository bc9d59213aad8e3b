"""How OpenBLAS's threads wait between products.

They look for the next product without a pause, for 2**26 cycles, which is longer than a training
step, and that slows down what the step does meanwhile: epochs took up to twice as long. After
2**20 cycles, less than a millisecond, they sleep here.

OpenBLAS takes the number from the environment when it is loaded, which importing NumPy does. So
its threads are ended and made again, as a fork does it, with the variable set meanwhile. Afterwards
the environment is as it was: child processes do not inherit the variable.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType

VARIABLE, EXPONENT = "OPENBLAS_THREAD_TIMEOUT", "20"

_is_done = False

# Functions of the standard library in which a thread waits and computes nothing.
_WAITING = {("threading.py", "wait"), ("selectors.py", "select")}


def let_threads_sleep() -> None:
    """Make OpenBLAS's threads sleep soon, once in a process.

    Nothing is done where the environment has ``OPENBLAS_THREAD_TIMEOUT``, on other systems than
    Linux, or where NumPy has another BLAS or an OpenBLAS that does not export the functions. It is
    put off to the next call while another thread of Python may be in the middle of a product: it
    would wait for BLAS threads that have ended.
    """
    global _is_done
    if _is_done:
        return
    functions = None
    if VARIABLE not in os.environ and sys.platform == "linux":
        functions = thread_functions()
    if functions is None:
        _is_done = True
    elif _others_wait():
        _is_done = True
        # The variable of the process only: os.environ, which other threads may read, keeps out.
        os.putenv(VARIABLE, EXPONENT)
        try:
            for function in functions:
                function()
        finally:
            os.unsetenv(VARIABLE)


def thread_functions() -> list[Callable[[], object]] | None:
    """Return what reads OpenBLAS's variables anew, ends its threads, and makes them again.

    None where NumPy has another BLAS, or an OpenBLAS that does not export them, as that of NumPy
    2.5's wheels: there, only a variable that is set before NumPy is imported has an effect.
    """
    import numpy as np

    names = "openblas_read_env", "blas_thread_shutdown_", "blas_thread_init"
    try:
        # Functions are looked for in what NumPy's own library has loaded, too. PyDLL keeps the
        # interpreter's lock, so that no other thread begins a product meanwhile.
        blas = ctypes.PyDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
        return [getattr(blas, name) for name in names]
    except (AttributeError, OSError):
        return None


def _others_wait() -> bool:
    """Return whether every other thread of Python waits, as those of notebooks do."""
    own = threading.get_ident()
    return all(_waits(frame) for thread, frame in sys._current_frames().items() if thread != own)


def _waits(frame: FrameType) -> bool:
    folder, file = os.path.split(frame.f_code.co_filename)
    in_standard_library = folder == os.path.dirname(threading.__file__)
    if in_standard_library and (file, frame.f_code.co_name) in _WAITING:
        return True
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("ipykernel", "zmq")
