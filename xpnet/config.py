"""Settings for all networks of a process.

Attributes
----------
threads : int or None
    The maximum number of threads for compiled steps; layers that are too narrow to share use
    fewer. None chooses the fastest number, at most one per core. The environment variable
    ``XPNET_THREADS`` sets the initial value, if it is not empty. While two or more Python threads
    train or predict, BLAS uses one thread, and steps by formulas may round differently than they do
    alone. Compiled steps always use one BLAS thread for each of their own threads.
blas_sleep : bool
    Whether the first training run of a process lets OpenBLAS's threads sleep after less than a
    millisecond without work. Otherwise they look for work for some ten milliseconds, which slows
    down everything else that a training step does. This restarts OpenBLAS's threads once, and
    changes nothing else. It works on Linux, if NumPy's OpenBLAS exports the functions for it. The
    OpenBLAS in NumPy 2.5's wheels does not: there, set ``OPENBLAS_THREAD_TIMEOUT=20`` before Python
    starts. If that variable is set, ``blas_sleep`` is ignored. The environment variable
    ``XPNET_BLAS_SLEEP=0`` sets the initial value to False.

Examples
--------
>>> import xpnet
>>> xpnet.config.threads = 1
>>> xpnet.config.threads = None
"""

import os

__all__ = ["blas_sleep", "threads"]


def _integer(text: str) -> int | str | None:
    """Return an integer; other text is returned as it is, and refused where it is used."""
    return int(text) if text.strip().isdecimal() else text.strip() or None


threads: int | str | None = _integer(os.environ.get("XPNET_THREADS", ""))

blas_sleep: bool = os.environ.get("XPNET_BLAS_SLEEP", "").strip() != "0"


def __dir__() -> list[str]:
    return sorted(__all__)
