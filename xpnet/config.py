"""Settings that hold for all networks of a process.

Attributes
----------
threads : int or None
    How many threads compiled steps take, or fewer where layers are too narrow to share; None for
    what is fastest, and at most one for each core. The environment variable ``XPNET_THREADS``
    gives the first value, if it is not empty.

Examples
--------
>>> import xpnet
>>> xpnet.config.threads = 1
>>> xpnet.config.threads = None
"""

import os


def _whole(text: str) -> int | str | None:
    """Return a number; what is none is refused where it is used, by its name."""
    return int(text) if text.strip().isdecimal() else text.strip() or None


threads: int | str | None = _whole(os.environ.get("XPNET_THREADS", ""))
