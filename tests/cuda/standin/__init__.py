"""A stand-in for CuPy and cuBLAS, based on NumPy, for tests of ``device="cuda"`` without a GPU.

The emulator runs the kernels. Arrays raise where CuPy's arrays raise, and floating-point arrays are
full of NaN until they are written. A stream may do its work late, as on a GPU (see `queues`). Work
launched while a stream captures is recorded in the graph but not done. Launches, allocations, waits
and copies from the host are counted.

``XPNET_STANDIN=late pytest -m cuda`` runs the tests on it; see ``plugin``.
"""

from .arrays import Array, ndarray
from .cublas import Cublas
from .devices import Stream
from .kernels import RawModule
from .modules import install, make_cupy, make_cupyx
from .queues import POLICIES, counts, errors, policy, set_policy

__all__ = [
    "POLICIES", "Array", "Cublas", "RawModule", "Stream", "counts", "errors", "install",
    "make_cupy", "make_cupyx", "ndarray", "policy", "set_policy",
]  # fmt: skip
