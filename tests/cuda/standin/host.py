"""Host values that are being copied to the device."""

import ctypes
import weakref

import numpy as np

from . import queues


class HostValues:
    """Values that a copy reads only when it runs, so that earlier changes matter.

    CUDA reads pinned memory in this way, and may also read other memory so. If a program overwrites
    or frees the array before the copy runs, wrong values are copied.

    Parameters
    ----------
    values
        A contiguous array.
    """

    def __init__(self, values: np.ndarray) -> None:
        owner = values
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        self._owner = weakref.ref(owner)
        self._kept = None if owner.base is None else values  # for memory that NumPy does not own
        self._address, self._nbytes = values.ctypes.data, values.nbytes

    def read(self) -> np.ndarray:
        """Return the current bytes."""
        if self._owner() is None and self._kept is None:
            queues.errors.append("an array of the host was gone before it was copied")
            return np.full(self._nbytes, 0xFF, np.uint8)
        if not self._nbytes:
            return np.empty(0, np.uint8)
        memory = (ctypes.c_char * self._nbytes).from_address(self._address)
        return np.frombuffer(memory, np.uint8)
