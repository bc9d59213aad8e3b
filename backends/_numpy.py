"""NumPy: the backend that is always there."""

import os
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from ._backend import Array, Backend, Memory
from ._errors import unknown_name


class NumpyBackend(Backend):
    """NumPy arrays in the host's memory."""

    writes_out = True

    def owns(self, x: Array) -> bool:
        """Whether ``x`` is a NumPy array, or a NumPy scalar, which is what sums are."""
        return isinstance(x, (np.ndarray, np.generic))

    def memory(self) -> Memory | None:
        """Free and total bytes of the host's memory, where the system tells."""
        try:
            page = os.sysconf("SC_PAGE_SIZE")
            free, total = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, OSError, ValueError):  # Windows has no sysconf
            return None
        return Memory(free * page, total * page)

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
