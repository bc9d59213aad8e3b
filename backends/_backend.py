"""The record of one array library on one device."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import array_api_compat as aac
import numpy as np

from ._errors import shown

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard."""


_namespaces: dict[type, Any] = {}


def array_namespace(x: Array, *others: Array) -> Any:
    """Return the array API namespace of arrays, as :func:`array_api_compat.array_namespace` does.

    One array's is remembered by its class: a training step asks some twenty times, and looking at
    the array each time costs more than many a small operation on it.

    Raises
    ------
    TypeError
        Something is no array, or the arrays are of different libraries.
    """
    if not others and (found := _namespaces.get(type(x))) is not None:
        return found
    try:
        found = aac.array_namespace(x, *others)
    except TypeError as error:
        for each in (x, *others):
            if isinstance(each, type) or not aac.is_array_api_obj(each):
                raise TypeError(f"expected an array, got {shown(each)}") from error
        raise TypeError(f"expected arrays of one library, got several: {error}") from error
    if not others:
        _namespaces[type(x)] = found
    return found


def is_array(x: Any) -> bool:
    """Whether ``x`` is an array of a library that follows the array API."""
    return bool(aac.is_array_api_obj(x)) and not is_sparse(x) and not isinstance(x, type)


def is_sparse(x: Any) -> bool:
    """Whether ``x`` is a sparse matrix of SciPy or CuPy; never imports them to find out."""
    modules = (sys.modules.get(name) for name in ("scipy.sparse", "cupyx.scipy.sparse"))
    return any(sparse is not None and bool(sparse.issparse(x)) for sparse in modules)


class Memory(NamedTuple):
    """Bytes of memory that a device has: still free, and in all."""

    free: int
    total: int


@dataclass(frozen=True)
class Backend:
    """An array library, a device of it, and the floating-point type to make there.

    It is used where arrays are made or moved. Everything computed from them follows the arrays
    (``xp = array_namespace(x)``) and never asks a backend.

    Parameters
    ----------
    name : str
        The library: ``"numpy"``, ``"cupy"``, ``"torch"``, ...
    xp : module
        Its array API namespace.
    device : object
        The device, as the library itself spells it.
    dtype : str, default "float32"
        The floating-point type of what is made here: ``"float32"`` or ``"float64"``.
    """

    name: str
    xp: Any
    device: Any
    dtype: str = "float32"

    writes_out: ClassVar[bool] = False
    """Whether the operations of this library write into ``out``; else none is made for them."""

    has_kernels: ClassVar[bool] = False
    """Whether :meth:`machine` has one, so that whole steps can be captured."""

    lazy: ClassVar[bool] = True
    """Whether computing goes on while Python does, so that looking at a number means waiting."""

    @property
    def device_name(self) -> str:
        """The device in the user's words, e.g. ``"cpu"`` or ``"cuda:0"``."""
        return str(self.device)

    @property
    def float_dtype(self) -> Any:
        """The library's own object for :attr:`dtype`."""
        return getattr(self.xp, self.dtype)

    @property
    def wide_dtype(self) -> str:
        """The floating-point type with the most digits here: ``"float64"`` where there is one."""
        info = self.xp.__array_namespace_info__()
        there = info.dtypes(device=self.device, kind="real floating")
        return "float64" if "float64" in there else "float32"

    def with_dtype(self, dtype: str) -> Self:
        """Return the same library and device with another floating-point type."""
        return replace(self, dtype=dtype)

    def owns(self, x: Array) -> bool:
        """Whether ``x`` is an array of this library on this device."""
        if not is_array(x):
            return False
        return array_namespace(x) is self.xp and bool(aac.device(x) == self.device)

    def asarray(self, x: Any, dtype: str | None = None) -> Array:
        """Return ``x`` as an array here; :func:`xpnet.backends.move` takes other libraries' too.

        Parameters
        ----------
        x : array-like
            An array that lives here already, a NumPy array, or nested lists of numbers.
        dtype : str, optional
            The type to cast to, e.g. ``"float32"``; without it ``x`` keeps its own.

        Returns
        -------
        array
            ``x`` itself where nothing had to be done.
        """
        if not self.owns(x):
            host = np.asarray(x)
            if dtype is not None and host.dtype.itemsize > np.dtype(dtype).itemsize:
                host = host.astype(dtype)  # the narrower type is what has to be moved
            x = self._from_host(host)
        if dtype is None or x.dtype == getattr(self.xp, dtype):
            return x
        return self.xp.astype(x, getattr(self.xp, dtype))

    def zeros(self, shape: tuple[int, ...], dtype: str | None = None) -> Array:
        """Make an array of zeros here, of the default floating-point type or another one."""
        kind = getattr(self.xp, dtype or self.dtype)
        return self.xp.zeros(shape, dtype=kind, device=self.device)

    def from_sparse(self, x: Any) -> Any | None:
        """Return a SciPy CSR matrix as this library's here, of the default floating-point type.

        Its index arrays are copies that were checked: what is done to the given matrix afterwards
        does not reach native code. None where the library has no sparse matrices: then batches
        are made dense.

        Raises
        ------
        ValueError
            The arrays of ``x`` are not those of a matrix of its shape.
        """
        return None

    def to_numpy(self, x: Array) -> np.ndarray:
        """Return an array of this library as a NumPy array; waits for the device."""
        return np.asarray(x)

    def scalar(self, x: Array) -> float:
        """Return a 0-d array, or what is a number already, as a float; waits for the device."""
        return float(self.to_numpy(x) if is_array(x) else x)

    def machine(self, precision: str) -> Any:
        """Return what runs prepared kernels and products on this device, in one type."""
        raise NotImplementedError(f"the backend {self.name} has no kernels to prepare")

    def memory(self) -> Memory | None:
        """Free and total bytes of the device, or None where that is not known."""
        return None

    def __hash__(self) -> int:
        """Hash by name: some libraries' devices, CuPy's among them, cannot be hashed."""
        return hash((self.name, self.device_name, self.dtype))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: a place is not copied with what lives there."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name: modules and devices cannot be pickled, and mean nothing elsewhere."""
        return _again, (self.name, self.device_name, self.dtype)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this device the current one, for libraries that have such a thing."""
        yield

    def _from_host(self, x: np.ndarray) -> Array:
        """Move a NumPy array here, keeping its type."""
        return self.xp.asarray(x, device=self.device)


def _again(name: str, device: str, dtype: str) -> Backend:
    """Find a backend again by what was pickled of it."""
    from ._registry import resolve  # at the time of unpickling: the registry is built on this file

    return resolve(device, backend=name, dtype=dtype)


class ArrayBackend(Backend):
    """Whatever else follows the array API, as it is met: enough for forward passes."""

    @classmethod
    def of(cls, x: Array) -> Self:
        """Return the backend of an array by what the array says of itself."""
        xp = array_namespace(x)
        return cls(xp.__name__, xp, x.device)
