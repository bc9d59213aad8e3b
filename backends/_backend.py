"""The description of one array library on one device."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import array_api_compat as aac
import numpy as np

from ._errors import shown

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard."""


_namespaces: dict[type, Any] = {}


def array_namespace(x: Array, *others: Array) -> Any:
    """Return the common array API namespace of arrays.

    It wraps :func:`array_api_compat.array_namespace`, and caches the namespace of a single array by
    its class: a training step asks for it about twenty times, and a look-up takes longer than many
    operations on small arrays.

    Raises
    ------
    TypeError
        An argument is not an array, or the arrays belong to different libraries.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import array_namespace
    >>> def softplus(x):  # for an array of any library, on any device
    ...     xp = array_namespace(x)
    ...     return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))
    >>> softplus(np.array([0.0, 1000.0])).round(3).tolist()
    [0.693, 1000.0]
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
    """Return whether ``x`` is an array of a library that follows the array API.

    Dask arrays are excluded: they are lazy, and are read as data that ``numpy.asarray`` computes.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.backends import is_array
    >>> is_array(np.zeros(3)), is_array([0.0, 0.0])
    (True, False)
    """
    if not aac.is_array_api_obj(x) or is_sparse(x) or isinstance(x, type):
        return False
    return not aac.is_dask_array(x)


def is_sparse(x: Any) -> bool:
    """Return whether ``x`` is a sparse matrix of SciPy or CuPy; does not import either.

    Examples
    --------
    >>> import scipy.sparse
    >>> from xpnet.backends import is_sparse
    >>> is_sparse(scipy.sparse.eye_array(3)), is_sparse([[1.0]])
    (True, False)
    """
    modules = (sys.modules.get(name) for name in ("scipy.sparse", "cupyx.scipy.sparse"))
    return any(sparse is not None and bool(sparse.issparse(x)) for sparse in modules)


class Memory(NamedTuple):
    """Free and total bytes of a device's memory.

    Examples
    --------
    >>> import xpnet
    >>> memory = xpnet.resolve("cpu").memory()
    >>> 0 < memory.free <= memory.total
    True
    """

    free: int
    total: int


@dataclass(frozen=True)
class Backend:
    """An array library, one of its devices, and a default floating-point dtype.

    A backend creates and moves arrays. Computations get their functions from the arrays
    (``xp = array_namespace(x)``), not from a backend.

    Parameters
    ----------
    name : str
        The library: ``"numpy"``, ``"cupy"``, ``"torch"``, ...
    xp : module
        The library's array API namespace.
    device : object
        The device, as an object of the library.
    dtype : str, default "float32"
        The default dtype of floating-point arrays: ``"float32"`` or ``"float64"``.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnet
    >>> backend = xpnet.resolve("cpu", dtype="float64")
    >>> backend.name, backend.device_name, backend.dtype
    ('numpy', 'cpu', 'float64')
    >>> x = backend.asarray([[1.0, 2.0]])
    >>> backend.owns(x), backend.owns(np.zeros(3)), backend.to_numpy(x).tolist()
    (True, True, [[1.0, 2.0]])
    >>> backend.with_dtype("float32").dtype
    'float32'
    """

    name: str
    xp: Any = field(repr=False)
    device: Any
    dtype: str = "float32"

    writes_out: ClassVar[bool] = False
    """Whether operations write into ``out``; if not, no workspaces are allocated."""

    has_kernels: ClassVar[bool] = False
    """Whether :meth:`machine` is implemented, so that whole steps can be captured."""

    lazy: ClassVar[bool] = True
    """Whether the device computes asynchronously, so that reading a number must wait for it."""

    @property
    def device_name(self) -> str:
        """The device's name as a user writes it, e.g. ``"cpu"`` or ``"cuda:0"``."""
        return str(self.device)

    @property
    def float_dtype(self) -> Any:
        """The library's type object for :attr:`dtype`."""
        return getattr(self.xp, self.dtype)

    @property
    def wide_dtype(self) -> str:
        """``"float64"`` if the device supports it, otherwise ``"float32"``."""
        info = self.xp.__array_namespace_info__()
        supported = info.dtypes(device=self.device, kind="real floating")
        return "float64" if "float64" in supported else "float32"

    def with_dtype(self, dtype: str) -> Self:
        """Return a backend of the same library and device with another default dtype."""
        return replace(self, dtype=dtype)

    def owns(self, x: Array) -> bool:
        """Return whether ``x`` is an array of this library on this device."""
        if not is_array(x):
            return False
        return array_namespace(x) is self.xp and bool(aac.device(x) == self.device)

    def asarray(self, x: Any, dtype: str | None = None) -> Array:
        """Return ``x`` as an array of this backend.

        Use :func:`xpnet.backends.move` for arrays of other libraries.

        Parameters
        ----------
        x : array-like
            An array of this backend, a NumPy array, or nested lists of numbers.
        dtype : str, optional
            The dtype to cast to, e.g. ``"float32"``; by default ``x`` keeps its dtype.

        Returns
        -------
        array
            ``x`` itself if it is already an array of this backend and of that dtype.
        """
        if not self.owns(x):
            host = np.asarray(x)
            if dtype is not None and host.dtype.itemsize > np.dtype(dtype).itemsize:
                host = host.astype(dtype)  # before moving, so that fewer bytes are moved
            x = self._from_host(host)
        if dtype is None or x.dtype == getattr(self.xp, dtype):
            return x
        return self.xp.astype(x, getattr(self.xp, dtype))

    def zeros(self, shape: tuple[int, ...], dtype: str | None = None) -> Array:
        """Return a new array of zeros, by default of the default floating-point dtype."""
        kind = getattr(self.xp, dtype or self.dtype)
        return self.xp.zeros(shape, dtype=kind, device=self.device)

    def from_sparse(self, x: Any) -> Any | None:
        """Move a SciPy CSR matrix to this device, cast to the default floating-point dtype.

        Its index arrays are copied and checked, so that native code never sees later, unchecked
        changes to the given matrix.

        Returns
        -------
        sparse matrix or None
            None if the library has no sparse matrices, so that batches must be converted to dense.

        Raises
        ------
        ValueError
            The arrays of ``x`` do not describe a matrix of its shape.
        """
        return None

    def to_numpy(self, x: Array) -> np.ndarray:
        """Return an array of this library as a NumPy array, after waiting for the device."""
        return np.asarray(x)

    def scalar(self, x: Array) -> float:
        """Return a 0-d array or a number as a float, after waiting for the device."""
        return float(self.to_numpy(x) if is_array(x) else x)

    def machine(self, precision: str) -> Any:
        """Return an object that runs xpnet's kernels and matrix products on this device."""
        raise NotImplementedError(f"the backend {self.name} has no kernels")

    def memory(self) -> Memory | None:
        """Return the free and total bytes of the device, or None if unknown."""
        return None

    def __hash__(self) -> int:
        """Hash by name, since some libraries' devices, e.g. CuPy's, are not hashable."""
        return hash((self.name, self.device_name, self.dtype))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the backend itself: backends are immutable."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name, since modules and device objects cannot be pickled."""
        return _unpickled, (self.name, self.device_name, self.dtype)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this device the current one, for libraries that have a current device."""
        yield

    def _from_host(self, x: np.ndarray) -> Array:
        """Move a NumPy array to this device, keeping its dtype."""
        return self.xp.asarray(x, device=self.device)


def _unpickled(name: str, device: str, dtype: str) -> Backend:
    """Return the backend of a pickled name, device and dtype."""
    from ._registry import resolve  # here, since the registry imports this module

    return resolve(device, backend=name, dtype=dtype)


class ArrayBackend(Backend):
    """The backend of any other array API library; it supports forward passes only."""

    @classmethod
    def of(cls, x: Array) -> Self:
        """Return the backend of an array, from its namespace and device."""
        xp = array_namespace(x)
        return cls(xp.__name__, xp, x.device)
