"""Settings that hold for all networks of a process.

Attributes
----------
kernels : str
    How networks train on NumPy. ``"auto"``: in compiled steps where the extra ``numba`` is
    installed, the network is made of the parts that there are compiled steps for, and an epoch has
    more than a few steps. ``"numpy"``: never. ``"numba"``: always, and what has no compiled step is
    refused with the reason. After compiled steps layers have no input, output or gradients of a
    last step. A network with a method that somebody has replaced, in a subclass, an object or a
    class of this package, is trained by its formulas; functions that are no methods, e.g. those of
    :mod:`xpnet.backends.ops`, are not looked at: replace them under ``"numpy"`` only. The
    environment variable ``XPNET_KERNELS`` gives the first value, if it is not empty.
threads : int or None
    How many threads compiled steps take, or fewer where layers are too narrow to share; None for
    what is fastest, and at most one for each core. The environment variable ``XPNET_THREADS``
    gives the first value, if it is not empty.
blas_sleep : bool
    Whether the first training of a process lets OpenBLAS's threads sleep after less than a
    millisecond without work. Otherwise they look for work for some ten milliseconds, which slows
    down everything else that a training step does. This restarts OpenBLAS's threads once, and
    changes nothing else. It works where NumPy uses an OpenBLAS that exports the functions for it,
    on Linux. NumPy 2.5's wheels do not export them: there,
    ``OPENBLAS_THREAD_TIMEOUT=20`` in the environment before Python starts has the same effect. If
    that variable is set, it decides. The environment variable ``XPNET_BLAS_SLEEP=0`` makes the
    first value False.

Examples
--------
>>> import xpnet
>>> xpnet.config.kernels = "numpy"
>>> xpnet.config.kernels = "auto"
"""

import os

KERNELS = ("auto", "numpy", "numba")

kernels: str = os.environ.get("XPNET_KERNELS", "").strip() or "auto"


def _whole(text: str) -> int | str | None:
    """Return a number; what is none is refused where it is used, by its name."""
    return int(text) if text.strip().isdecimal() else text.strip() or None


threads: int | str | None = _whole(os.environ.get("XPNET_THREADS", ""))

blas_sleep: bool = os.environ.get("XPNET_BLAS_SLEEP", "").strip() != "0"
