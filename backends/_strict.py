"""array-api-strict, for tests: only the standard's functions, on simulated devices.

``"device1"`` forbids what a GPU forbids: silent copies to the host, and mixing devices.
``"no_float64"`` behaves like an accelerator without double precision.
"""

from typing import Any

import numpy as np

from ._backend import Array, Backend
from ._errors import DeviceUnavailableError, unknown_name

_DEVICES = ("CPU_DEVICE", "device1", "device2", "no_float64")


class StrictBackend(Backend):
    """array-api-strict on one of its simulated devices."""

    @property
    def device_name(self) -> str:
        """The name that array-api-strict gives the device."""
        return next(name for name in _DEVICES if self.xp.Device(name) == self.device)

    def to_numpy(self, x: Array) -> np.ndarray:
        """Copy an array to the host explicitly; ``np.asarray`` of a device array raises."""
        return np.asarray(x.to_device(self.xp.Device("CPU_DEVICE")))


def make(device: str, dtype: str) -> Backend:
    """Make the array-api-strict backend for one of its devices."""
    try:
        import array_api_strict as xp
    except ImportError as error:
        raise DeviceUnavailableError(
            "backend='array-api-strict' is not installed: pip install array-api-strict"
        ) from error
    device = {"cpu": "CPU_DEVICE", "auto": "CPU_DEVICE"}.get(device, device)
    if device not in _DEVICES:
        raise unknown_name("device of the backend 'array-api-strict'", device, _DEVICES)
    if device == "no_float64" and dtype == "float64":
        raise DeviceUnavailableError("the device 'no_float64' has no float64: give dtype='float32'")
    return StrictBackend("array-api-strict", xp, xp.Device(device), dtype)


def of(x: Any) -> Backend:
    """Return the backend of an array of array-api-strict."""
    import array_api_strict as xp

    return StrictBackend("array-api-strict", xp, x.device)
