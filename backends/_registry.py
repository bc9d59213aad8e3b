"""The table of backends: look up a backend by name, device or array."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import array_api_compat as aac
import numpy as np

from ._backend import Array, ArrayBackend, Backend, array_namespace, is_array
from ._errors import DeviceUnavailableError, UnknownNameError, check_name, shown, unknown_name
from ._warnings import warn

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_GROUP = "xpnet.backends"
_BUILT_IN = {
    "numpy": "._numpy",
    "cupy": "._cupy",
    "torch": "._torch",
    "array-api-strict": "._strict",
}
_DTYPES = ("float32", "float64")

Factory = Callable[[str, str], Backend]


def resolve(
    device: str | None = "cpu", *, backend: str | None = None, dtype: str = "float32"
) -> Backend:
    """Return the backend for a device.

    Parameters
    ----------
    device : str, default "cpu"
        ``"cpu"`` (NumPy), ``"cuda"`` or ``"cuda:N"`` (CuPy), or ``"auto"``: CUDA if it works, else
        the CPU. If CuPy is installed but does not work, "auto" warns once, with the reason. With
        ``backend``, a device as that library spells it. None means ``"cpu"``.
    backend : str, optional
        The library by name: ``"numpy"``, ``"cupy"``, ``"torch"``, ``"array-api-strict"`` (for
        tests), or the name of an entry point in the group ``xpnet.backends``. An entry point is a
        function ``(device: str, dtype: str) -> Backend``.
    dtype : {"float32", "float64"} or a library's dtype, default "float32"
        The floating-point dtype of parameters and activations; ``numpy.float32`` and
        ``torch.float32`` are "float32".

    Returns
    -------
    Backend

    Raises
    ------
    UnknownNameError
        The device, backend or dtype is unknown.
    TypeError
        An argument is not a string.
    DeviceUnavailableError
        The device or its library is missing; the message says what to install.

    Examples
    --------
    >>> from xpnet import resolve
    >>> resolve("cpu").name
    'numpy'
    """
    dtype = _dtype_name(dtype)
    for name, value, example in (
        ("device", device, "'cpu' or 'cuda'"),
        ("backend", backend, "'numpy' or 'torch'"),
    ):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name}={shown(value)}: expected a name, e.g. {example}")
    device = "cpu" if device is None else device
    if not device.strip():
        raise UnknownNameError(f"device={device!r} is empty: expected a name, e.g. 'cpu' or 'cuda'")
    if backend is None:
        backend, device = _default_backend(device)
    return _factory(backend)(device, dtype)


def _dtype_name(given: Any) -> str:
    """Return the name of a floating-point dtype, given by name or as a library's dtype."""
    if isinstance(given, np.dtype) or (isinstance(given, type) and issubclass(given, np.generic)):
        given = np.dtype(given).name
    elif not isinstance(given, (str, type)) and type(given).__name__ == "dtype":
        given = str(given).rpartition(".")[2]  # PyTorch's are "torch.float32"
    if isinstance(given, str) and given in ("float16", "bfloat16"):
        advice = f"precision={given!r}, an argument of NeuralNetwork; weights stay float32"
        raise unknown_name("dtype", given, _DTYPES, advice)
    return check_name("dtype", given, _DTYPES)


def available_backends() -> list[str]:
    """Return the names that ``backend=`` accepts, whether or not their libraries are installed.

    Examples
    --------
    >>> from xpnet.backends import available_backends
    >>> "numpy" in available_backends(), "torch" in available_backends()
    (True, True)
    """
    return sorted({*_BUILT_IN, *(entry.name for entry in _entry_points())})


def backend_of(x: Array) -> Backend:
    """Return the backend that an array belongs to, with the default floating-point dtype.

    Raises
    ------
    TypeError
        ``x`` is not an array of a library that follows the array API.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.backends import backend_of
    >>> backend_of(np.zeros(3)).name
    'numpy'
    """
    if isinstance(x, (np.ndarray, np.generic)):
        name = "numpy"
    elif aac.is_cupy_array(x):
        name = "cupy"
    elif aac.is_torch_array(x):
        name = "torch"
    elif not is_array(x):
        raise TypeError(f"expected an array, got {type(x).__name__}")
    elif aac.is_array_api_strict_namespace(aac.array_namespace(x)):
        name = "array-api-strict"
    else:
        return ArrayBackend.of(x)
    return cast(Backend, _module(name).of(x))


def to_host(x: Any) -> np.ndarray:
    """Return an array of any library, or nested lists, as a NumPy array.

    Examples
    --------
    >>> from xpnet.backends import to_host
    >>> to_host([1.0, 2.0])
    array([1., 2.])
    """
    if isinstance(x, np.ndarray) or not is_array(x):
        return np.asarray(x)
    return backend_of(x).to_numpy(x)


def move(x: Any, backend: Backend, dtype: str | None = None) -> Array:
    """Return an array of any library on any device as an array of ``backend``.

    If the array is already on the device, it is shared rather than copied, even between libraries.
    Between two devices, arrays are copied through the host.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnet
    >>> from xpnet.backends import move
    >>> x = move([1, 2, 3], xpnet.resolve("cpu"), dtype="float32")
    >>> x.dtype, move(x, xpnet.resolve("cpu")) is x
    (dtype('float32'), True)
    """
    if not backend.owns(x):
        shared = _shared(x, backend)
        x = to_host(x) if shared is None else shared
    return backend.asarray(x, dtype)


_HOST = 1  # kDLCPU


def on_gpu(x: Any) -> bool:
    """Return whether an array is in a GPU's memory, so that the host needs a copy to read it.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.backends import on_gpu
    >>> on_gpu(np.zeros(3))
    False
    """
    if isinstance(x, (np.ndarray, np.generic)) or not hasattr(x, "__dlpack_device__"):
        return False
    return bool(x.__dlpack_device__()[0] != _HOST)


def _shared(x: Any, backend: Backend) -> Array | None:
    """Return another library's array as an array of ``backend`` by DLPack, if on the same GPU."""
    if not on_gpu(x) or not hasattr(backend.xp, "from_dlpack"):
        return None
    if tuple(x.__dlpack_device__()) != tuple(backend.zeros((1,)).__dlpack_device__()):
        return None
    return backend.xp.from_dlpack(x.detach() if hasattr(x, "detach") else x)


def move_state(x: Any, backend: Backend, wide: bool = False) -> Array:
    """Move an array like :func:`move`, and cast floating-point numbers to the backend's dtype.

    With ``wide``, cast them to the backend's ``wide_dtype``.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnet
    >>> from xpnet.backends import move_state
    >>> move_state(np.zeros(3), xpnet.resolve("cpu", dtype="float32")).dtype
    dtype('float32')
    """
    if not array_namespace(x).isdtype(x.dtype, "real floating"):
        return move(x, backend)
    return move(x, backend, backend.wide_dtype if wide else backend.dtype)


def _default_backend(device: str) -> tuple[str, str]:
    """Return the library and its device for ``device``, given without a library."""
    if device == "auto":
        return _best_available()
    if device == "cpu":
        return "numpy", device
    if re.fullmatch("cuda(:[0-9]+)?", device):
        return "cupy", device
    if device.startswith("cuda:"):
        raise UnknownNameError(f"device={device!r}: expected 'cuda' or 'cuda:N', e.g. 'cuda:0'")
    known = ["auto", "cpu", "cuda", "cuda:N"]
    if device.lower().partition(":")[0] in ("gpu", "nvidia"):  # else the suggestion is "cpu"
        raise UnknownNameError(
            f"unknown device {device!r}: did you mean 'cuda'? Known: {', '.join(known)}"
        )
    error = unknown_name("device", device, known)
    raise UnknownNameError(f"{error} (for another library's device, add e.g. backend='torch')")


def _best_available() -> tuple[str, str]:
    """Return CuPy with CUDA if it works, else NumPy; warn if CuPy is installed but broken."""
    cupy = _module("cupy")
    reason = cupy.why_unavailable()
    if reason is None:
        return "cupy", "cuda"
    if cupy.is_installed():
        _warn_once(f"device='auto' uses the CPU, although CuPy is installed. {reason}")
    return "numpy", "cpu"


@cache
def _warn_once(message: str) -> None:
    """Warn, but only once per message and process."""
    warn(message, RuntimeWarning)


def _factory(backend: str) -> Factory:
    """Return the function that creates the backend of that name."""
    if backend in _BUILT_IN:
        return cast(Factory, _module(backend).make)
    for entry in _entry_points():
        if entry.name != backend:
            continue
        try:
            return cast(Factory, entry.load())
        except ImportError as error:
            raise DeviceUnavailableError(
                f"backend={backend!r} is registered by {entry.value!r}, which cannot be imported: "
                f"{error}"
            ) from error
    raise unknown_name("backend", backend, available_backends())


def _entry_points() -> "Iterable[EntryPoint]":
    """Return the entry points of third-party backends."""
    # Imported here, since it would take a fifth of the time of `import xpnet`.
    from importlib.metadata import entry_points

    return entry_points(group=_GROUP)


def _module(backend: str) -> Any:
    """Import a built-in backend's module on first use, since its library may be missing."""
    return import_module(_BUILT_IN[backend], __package__)
