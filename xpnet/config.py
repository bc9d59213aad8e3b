"""Settings that hold for all networks of a process.

Attributes
----------
kernels : str
    How networks train on NumPy. ``"auto"``: in compiled steps where the extra ``numba`` is
    installed, the network is made of the parts that there are compiled steps for, and an epoch has
    more than a few steps. ``"numpy"``: never. ``"numba"``: always, and what has no compiled step is
    refused with the reason. The environment variable ``XPNET_KERNELS`` gives the first value.
threads : int or None
    How many threads compiled steps take; None for what is fastest, and at most one for each core.
    The environment variable ``XPNET_THREADS`` gives the first value.

Examples
--------
>>> import xpnet
>>> xpnet.config.kernels = "numpy"
>>> xpnet.config.kernels = "auto"
"""

import os

KERNELS = ("auto", "numpy", "numba")

kernels: str = os.environ.get("XPNET_KERNELS", "auto")
threads: int | None = int(os.environ["XPNET_THREADS"]) if "XPNET_THREADS" in os.environ else None
