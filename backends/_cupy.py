"""CuPy arrays on NVIDIA GPUs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

import numpy as np

from ._backend import Array, Backend, Memory
from ._errors import DeviceUnavailableError
from ._sparse import own_structure

_INSTALL = "pip install 'cupy-cuda13x[ctk]' (or 'cupy-cuda12x[ctk]' for a CUDA 12 driver)"


class CupyBackend(Backend):
    """CuPy arrays on one CUDA device."""

    has_kernels = True

    @property
    def device_name(self) -> str:
        """``"cuda:N"``."""
        return f"cuda:{self.device.id}"

    def to_numpy(self, x: Array) -> np.ndarray:
        """Copy an array to the host, after waiting for the device."""
        host: np.ndarray = x.get()
        return host

    def zeros(self, shape: tuple[int, ...], dtype: str | None = None) -> Array:
        """Return a new array of zeros on this device."""
        with self.device:
            return self.xp.zeros(shape, dtype=getattr(self.xp, dtype or self.dtype))

    def from_sparse(self, x: Any) -> Any:
        """Copy a SciPy CSR matrix to this device."""
        import cupyx.scipy.sparse

        x = own_structure(x)
        with self.device:
            return cupyx.scipy.sparse.csr_matrix(x.astype(self.dtype, copy=False))

    def machine(self, precision: str) -> Any:
        """Return an object that runs xpnet's kernels and matrix products on this device."""
        from .cuda.machine import CudaMachine

        with self.device:
            return CudaMachine(self.dtype, precision)

    def memory(self) -> Memory | None:
        """Return free and total bytes; unused memory in CuPy's pool counts as free."""
        import cupy

        with self.device:
            free, total = cupy.cuda.runtime.memGetInfo()
            return Memory(free + cupy.get_default_memory_pool().free_bytes(), total)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this CUDA device the current one."""
        with self.device:
            yield

    def _from_host(self, x: np.ndarray) -> Array:
        from .cuda.upload import upload

        with self.device:
            return upload(x)


def make(device: str, dtype: str) -> Backend:
    """Make the CuPy backend for ``"cuda"`` (the current device) or ``"cuda:N"``.

    Raises
    ------
    DeviceUnavailableError
        CuPy, the driver, a library of the CUDA toolkit or the device is missing. The message says
        which, and what to install.
    """
    if not is_installed():
        raise DeviceUnavailableError(
            f"device={device!r} needs CuPy, which is not installed: {_INSTALL}"
        )
    try:
        import cupy
    except ImportError as error:
        raise DeviceUnavailableError(
            f"device={device!r}: CuPy is installed but does not import ({error}). "
            f"Reinstall it: {_INSTALL}"
        ) from error
    count = _device_count(cupy, device)
    _check_toolkit(device)
    index = _device_index(cupy, device, count)
    return CupyBackend("cupy", _namespace(), cupy.cuda.Device(index), dtype)


def of(x: Any) -> Backend:
    """Return the backend of a CuPy array."""
    return CupyBackend("cupy", _namespace(), x.device)


def is_installed() -> bool:
    """Return whether CuPy is installed, working or not."""
    return find_spec("cupy") is not None


def why_unavailable() -> str | None:
    """Return why ``device="cuda"`` would be refused here, or None if it works."""
    try:
        make("cuda", "float32")
    except DeviceUnavailableError as error:
        return str(error)
    return None


def _namespace() -> Any:
    """Return CuPy's array API namespace, after registering the fast operations."""
    import array_api_compat.cupy as xp

    from . import _cupy_kernels  # noqa: F401  registers them

    return xp


def _device_count(cupy: Any, device: str) -> int:
    """Return the number of GPUs, or raise if the driver sees none."""
    try:
        driver = cupy.cuda.runtime.driverGetVersion()
        count: int = cupy.cuda.runtime.getDeviceCount() if driver else 0
    except RuntimeError as error:
        if "cudaErrorNoDevice" in str(error):
            return _refuse_without_gpu(device)
        raise DeviceUnavailableError(
            f"device={device!r}: the NVIDIA driver does not work ({error}). Install or update "
            "the driver (https://www.nvidia.com/drivers), or give device='cpu'"
        ) from error
    if not driver:
        raise DeviceUnavailableError(
            f"device={device!r}: no NVIDIA driver was found on this machine. Install the driver "
            "(https://www.nvidia.com/drivers), or give device='cpu'"
        )
    return count or _refuse_without_gpu(device)


def _refuse_without_gpu(device: str) -> NoReturn:
    raise DeviceUnavailableError(
        f"device={device!r}: the NVIDIA driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?). "
        "Make one visible, or give device='cpu'"
    )


def _check_toolkit(device: str) -> None:
    """Refuse a machine on which CuPy cannot multiply matrices or compile kernels."""
    # The libraries are accessed as attributes of the package, not imported: on attribute access,
    # the package finds libraries that pip has installed in site-packages, which the system's
    # loader does not search. NVRTC is loaded only at its first call.
    libraries: Any = import_module("cupy_backends.cuda.libs")
    checks: dict[str, Callable[[], Any]] = {
        "cublas": lambda: libraries.cublas,
        "nvrtc": lambda: libraries.nvrtc.getVersion(),
    }
    for library, check in checks.items():
        try:
            check()
        except (ImportError, OSError, RuntimeError) as error:
            raise DeviceUnavailableError(
                f"device={device!r}: CuPy and the driver work, but {library} of the CUDA "
                f"toolkit does not load ({str(error).strip()}). Install it: {_INSTALL}"
            ) from error


def _device_index(cupy: Any, device: str, count: int) -> int:
    """Return N of ``"cuda:N"``, refusing a device that does not exist."""
    _, _, number = device.partition(":")
    if not number:
        index: int = cupy.cuda.runtime.getDevice()
        return index
    if not number.isdecimal():
        raise ValueError(f"device={device!r}: expected 'cuda' or 'cuda:N', e.g. 'cuda:0'")
    if int(number) >= count:
        raise DeviceUnavailableError(
            f"device={device!r}: this machine has {count} CUDA device(s), cuda:0 to "
            f"cuda:{count - 1}"
        )
    return int(number)
