"""How OpenBLAS's threads wait between products.

They look for the next product without a pause, for 2**26 cycles, which is longer than a training
step, and that slows down what the step does meanwhile: epochs took up to twice as long. After
2**20 cycles, less than a millisecond, they sleep here.

OpenBLAS takes the number from an environment variable, when it is loaded, which importing NumPy
does. Where that has been done already its threads are ended and made again, as a fork does it. A
variable that is set by somebody else is left alone.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable

VARIABLE, EXPONENT = "OPENBLAS_THREAD_TIMEOUT", "20"


def let_threads_sleep() -> None:
    """Make OpenBLAS's threads go to sleep soon, where NumPy uses it and nobody says otherwise."""
    if VARIABLE in os.environ:
        return
    if "numpy" not in sys.modules:
        os.environ[VARIABLE] = EXPONENT
        return
    # Another thread may be in the middle of a product, and would wait for threads that have ended.
    if sys.platform != "linux" or threading.active_count() > 1:
        return
    functions = thread_functions()
    if functions is None:
        return
    os.environ[VARIABLE] = EXPONENT
    for function in functions:
        function()


def thread_functions() -> list[Callable[[], object]] | None:
    """Return what reads OpenBLAS's variables anew, ends its threads, and makes them again.

    None where NumPy has another BLAS, or an OpenBLAS that does not export them, as that of NumPy
    2.5's wheels: there, only a variable that is set before NumPy is imported has an effect.
    """
    import numpy as np

    names = "openblas_read_env", "blas_thread_shutdown_", "blas_thread_init"
    try:
        # Functions are looked for in what NumPy's own library has loaded, too.
        blas = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
        return [getattr(blas, name) for name in names]
    except (AttributeError, OSError):
        return None


let_threads_sleep()
