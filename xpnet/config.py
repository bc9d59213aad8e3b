"""Settings that hold for all networks of a process.

Attributes
----------
threads : int or None
    How many threads compiled steps take, or fewer where layers are too narrow to share; None for
    what is fastest, and at most one for each core. The environment variable ``XPNET_THREADS``
    gives the first value, if it is not empty. While two or more Python threads train or predict,
    BLAS has one thread, and steps by formulas may round differently than they do alone; compiled
    steps always use one BLAS thread for each of theirs.
blas_sleep : bool
    Whether the first training of a process lets OpenBLAS's threads sleep after less than a
    millisecond without work. Otherwise they look for work for some ten milliseconds, which slows
    down everything else that a training step does. This restarts OpenBLAS's threads once, and
    changes nothing else. It works on Linux, if NumPy's OpenBLAS exports the functions for it. The
    OpenBLAS of NumPy 2.5's wheels does not. With those, set ``OPENBLAS_THREAD_TIMEOUT=20`` before
    Python starts. If that variable is set, ``blas_sleep`` is ignored. With the environment variable
    ``XPNET_BLAS_SLEEP=0`` the setting starts as False.

Examples
--------
>>> import xpnet
>>> xpnet.config.threads = 1
>>> xpnet.config.threads = None
"""

import os

__all__ = ["blas_sleep", "threads"]


def _whole(text: str) -> int | str | None:
    """Return a number; what is none is refused where it is used, by its name."""
    return int(text) if text.strip().isdecimal() else text.strip() or None


threads: int | str | None = _whole(os.environ.get("XPNET_THREADS", ""))

blas_sleep: bool = os.environ.get("XPNET_BLAS_SLEEP", "").strip() != "0"


def __dir__() -> list[str]:
    return sorted(__all__)
