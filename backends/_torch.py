"""PyTorch tensors on any PyTorch device, as plain arrays without autograd."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._backend import Array, Backend, Memory
from ._errors import DeviceUnavailableError


class TorchBackend(Backend):
    """PyTorch tensors on a PyTorch device."""

    def to_numpy(self, x: Array) -> np.ndarray:
        """Return a tensor as a NumPy array; bfloat16, which NumPy lacks, becomes float32."""
        x = x.detach().cpu()
        return np.asarray(x.float() if x.dtype == self.xp.bfloat16 else x)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Compute without PyTorch's autograd."""
        import torch

        with torch.no_grad():
            yield

    def memory(self) -> Memory | None:
        """Return free and total bytes of a CUDA device, or None for other devices."""
        if self.device.type != "cuda":
            return None
        import torch

        return Memory(*torch.cuda.mem_get_info(self.device))

    def _from_host(self, x: np.ndarray) -> Array:
        # PyTorch shares the array's memory, and warns if the array is read-only; a copy avoids the
        # warning. PyTorch supports only native byte order.
        x = x.astype(x.dtype.newbyteorder("="), copy=not x.flags.writeable)
        return self.xp.asarray(x, device=self.device)


def make(device: str, dtype: str) -> Backend:
    """Make the PyTorch backend for a device as PyTorch names it."""
    try:
        import torch
    except ImportError as error:
        raise DeviceUnavailableError(
            "backend='torch' needs PyTorch, which is not installed: pip install torch"
        ) from error
    import array_api_compat.torch as xp

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # Creating a tensor is the only check that works for every kind of device. The tensor's
        # device has an index ("cuda:0"), like the devices of later tensors.
        where = torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceUnavailableError(
            f"PyTorch has no usable device {device!r} here ({reason}): "
            "install the PyTorch build for it, or give device='cpu'"
        ) from error
    return TorchBackend("torch", xp, where, dtype)


def of(x: Any) -> Backend:
    """Return the backend of a PyTorch tensor."""
    import array_api_compat.torch as xp

    return TorchBackend("torch", xp, x.device)
