"""A stand-in for CuPy and cuBLAS over NumPy, on which tests of ``device="cuda"`` need no GPU.

Kernels are run by the emulator. Arrays are not NumPy's: they raise where CuPy's arrays raise, and
floating-point arrays are full of NaN until they are written. A stream may do its work late, as on a
GPU (`queues`). Work that is launched while a stream captures goes into the graph and is not done.
Launches, allocations, waits and copies from the host are counted.

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
