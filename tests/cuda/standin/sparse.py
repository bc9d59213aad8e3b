"""Sparse matrices on the device, like those of ``cupyx.scipy.sparse``, based on SciPy's."""

from typing import Any

import numpy as np
from scipy import sparse

from . import queues
from .arrays import Array, ndarray
from .calls import compute, opened


class _Compressed:
    """Base of CSR and CSC matrices."""

    format = ""
    ndim = 2
    __array_priority__ = 10.1
    __array_ufunc__ = None

    def __init__(
        self,
        given: Any,
        shape: tuple[int, int] | None = None,
        dtype: Any = None,
        copy: bool = False,
    ) -> None:
        import cupy

        if isinstance(given, _Compressed):
            given = given._on_host() if given.format != self.format else given._parts
        elif isinstance(given, Array):
            given = self._host_class()(given.get())
        if isinstance(given, tuple) and len(given) == 2 and not isinstance(given[0], Array):
            given = self._host_class()(given, dtype=dtype)
        if sparse.issparse(given):
            given = self._host_class()(given)
            shape = given.shape
            given = given.data, given.indices, given.indptr
        data, indices, indptr = given
        self.data = cupy.array(data, dtype, copy=copy)
        # CuPy converts both to 32 bits.
        self.indices = cupy.array(indices, "i", copy=copy)
        self.indptr = cupy.array(indptr, "i", copy=copy)
        if self.data.dtype.char not in "?fdFD":
            raise ValueError("Only bool, float32, float64, complex64 and complex128 are supported")
        if shape is None:
            raise ValueError("the shape of the matrix is not given")
        self.shape = tuple(shape)
        self._is_canonical: bool | None = None

    @classmethod
    def _host_class(cls) -> Any:
        return sparse.csr_matrix if cls.format == "csr" else sparse.csc_matrix

    @classmethod
    def _of(cls, host: Any) -> Any:
        """Return the device matrix of a host matrix."""
        return cls(cls._host_class()(host))

    def _on_host(self) -> Any:
        """Wait for the device, and return the SciPy matrix with the same values."""
        queues.wait(queues.current_queue(), "a sparse matrix")
        parts = (opened(part, []).copy() for part in self._parts)
        return self._host_class()(tuple(parts), shape=self.shape)

    @property
    def _parts(self) -> tuple[Any, Any, Any]:
        return self.data, self.indices, self.indptr

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def device(self) -> Any:
        return self.data.device

    @property
    def nnz(self) -> int:
        return self.data.size

    @property
    def size(self) -> int:
        return self.nnz

    @property
    def has_canonical_format(self) -> bool:
        if self._is_canonical is None:
            self._is_canonical = bool(self._on_host().has_canonical_format)
        return self._is_canonical

    @property
    def has_sorted_indices(self) -> bool:
        return bool(self._on_host().has_sorted_indices)

    def getnnz(self, axis: int | None = None) -> int:
        return self.nnz

    def get(self, stream: Any = None) -> Any:
        parts = tuple(part.get(stream) for part in self._parts)
        return self._host_class()(parts, shape=self.shape)

    def copy(self) -> Any:
        return type(self)(self._parts, self.shape, copy=True)

    def astype(self, dtype: Any, casting: Any = "unsafe", copy: bool = True) -> Any:
        parts = self.data.astype(dtype), self.indices, self.indptr
        return type(self)(parts, self.shape, copy=copy)

    def sum_duplicates(self) -> None:
        if self.has_canonical_format:
            return
        host = self._on_host()
        host.sum_duplicates()
        again = type(self)._of(host)
        self.data, self.indices, self.indptr = again._parts
        self._is_canonical = True

    def toarray(self, order: str | None = None, out: Any = None) -> Any:
        return self._computed(lambda matrix: np.array(matrix.toarray(), order=order or "C"))

    todense = toarray

    def _computed(self, function: Any, *others: Any) -> Any:
        """Return a dense result, computed on the device."""
        make, shape = self._host_class(), self.shape

        def work(data: Any, indices: Any, indptr: Any, *more: Any) -> np.ndarray:
            matrix = make((data, indices, indptr), shape=shape, copy=True)
            return function(matrix, *more)

        if queues.current_queue().late:  # the matrix must exist before this can compute with it
            queues.wait(queues.current_queue(), "a sparse matrix")
        return compute(ndarray, work, *self._parts, *others)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, Array):
            self.sum_duplicates()
            return self._computed(lambda matrix, x: np.asfortranarray(matrix @ x), other)
        if isinstance(other, _Compressed):
            return csr_matrix._of(self._on_host() @ other._on_host())
        if isinstance(other, np.ndarray):
            raise TypeError(f"Unsupported type {type(other)}")
        return NotImplemented

    dot = __matmul__

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, int | float | np.generic):
            return type(self)((self.data * other, self.indices, self.indptr), self.shape)
        return self @ other

    def __len__(self) -> int:
        raise TypeError("sparse matrix length is ambiguous; use getnnz()")

    def tocsr(self, copy: bool = False) -> "csr_matrix":
        return self if isinstance(self, csr_matrix) else csr_matrix._of(self._on_host())

    def tocsc(self, copy: bool = False) -> "csc_matrix":
        return self if isinstance(self, csc_matrix) else csc_matrix._of(self._on_host())

    @property
    def T(self) -> Any:
        return self.transpose()

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        other = csc_matrix if self.format == "csr" else csr_matrix
        return other(self._parts, self.shape[::-1], copy=copy)

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a host NumPy array is not allowed.")


class csr_matrix(_Compressed):
    """A sparse matrix in CSR format."""

    format = "csr"

    def __getitem__(self, key: Any) -> Any:
        inputs: list[Any] = []
        host = self._on_host()
        return csr_matrix._of(host[opened(key, inputs, indexing=True)])


class csc_matrix(_Compressed):
    """A sparse matrix in CSC format."""

    format = "csc"


def issparse(x: Any) -> bool:
    """Return whether ``x`` is a sparse matrix on the device."""
    return isinstance(x, _Compressed)


for _class in (csr_matrix, csc_matrix):
    _class.__module__ = "cupyx.scipy.sparse"  # distinguishes it from SciPy's
