"""The NumPy backend, which is always available."""

from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from ._backend import Array, Backend, Memory
from ._errors import unknown_name
from ._host_memory import host_memory
from ._sparse import own_structure


class NumpyBackend(Backend):
    """NumPy arrays in the host's memory."""

    writes_out = True
    lazy = False

    def owns(self, x: Array) -> bool:
        """Return whether ``x`` is a NumPy array or a NumPy scalar, e.g. a sum."""
        return isinstance(x, (np.ndarray, np.generic))

    def from_sparse(self, x: Any) -> Any:
        """Cast a SciPy CSR matrix to the default floating-point dtype, and copy its structure."""
        from . import _scipy_kernels  # noqa: F401  registers versions for SciPy's types

        return own_structure(x).astype(self.dtype, copy=False)

    def memory(self) -> Memory | None:
        """Return free and total bytes of the host's memory, or None if unknown."""
        return host_memory()

    def _from_host(self, x: np.ndarray) -> Array:
        return x


def make(device: str, dtype: str) -> Backend:
    """Make the NumPy backend; its only device is ``"cpu"``."""
    if device not in ("cpu", "auto"):
        raise unknown_name("device of the backend 'numpy'", device, ["cpu"])
    return NumpyBackend("numpy", xp, "cpu", dtype)


def of(x: Any) -> Backend:
    """Return the backend of a NumPy array."""
    return NumpyBackend("numpy", xp, "cpu")
