"""A stand-in for CuPy and cuBLAS over NumPy, on which tests of ``device="cuda"`` need no GPU.

Kernels are run by the emulator. Arrays are not NumPy's: they refuse what CuPy's refuse, and fresh
ones are full of NaN. What is asked of a stream may be done late, as on a GPU (`queues`), and what
is launched while a stream is capturing is put into the graph and not done. It counts what is asked
for.

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
