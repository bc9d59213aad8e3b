"""The kinds of features: rows of an array, of a sparse matrix, or of data stored in a file.

The kind is chosen once, when a data set is made. All other code calls the methods of the kind.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, ClassVar

import numpy as np

from ..backends import (
    Array,
    Backend,
    array_namespace,
    backend_of,
    check_rows,
    check_structure,
    is_sparse,
    move,
    ops,
    to_host,
)
from . import moments, stored
from .canonical import canonical
from .finite import check_finite, named, not_finite
from .flattened import ChosenColumns
from .mapped import Read
from .selected import Selected, fits_in_memory

_HOST_NUMBERS, _DEVICE_NUMBERS = 1 << 15, 1 << 22
"""Numbers per piece: on the host 256 KiB, which fit in its cache; enough to keep a device busy."""


class Rows(ABC):
    """Features of one kind, in rows.

    Parameters
    ----------
    X : array, CSR matrix or stored data of shape (n, n_features)

    Attributes
    ----------
    X
        As above.
    decoded_rows : int
        How many rows are decoded at once, even if only one is read.
    numbers : int array of shape (n,) or None
        The row numbers for messages, if they differ from the positions.
    """

    decoded_rows: int = 1
    numbers: np.ndarray | None = None

    def __init__(self, X: Any) -> None:
        self.X = X

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def number(self, row: int) -> int:
        """Return the number that messages give to the row at a position."""
        return row if self.numbers is None else int(self.numbers[row])

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_features)."""
        return len(self), self.n_features

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype of the rows, in native byte order."""
        return stored.numpy_type(self.X)

    @property
    @abstractmethod
    def where(self) -> str:
        """Where or how the rows are kept, for a data set's ``repr``."""

    @property
    def backend(self) -> Backend | None:
        """The backend whose device holds the rows; None for sparse or stored rows."""
        return None

    @abstractmethod
    def rows(self, index: np.ndarray) -> "Rows":
        """Return the rows at ``index``, an integer array of shape (k,)."""

    @abstractmethod
    def columns(self, index: Sequence[int]) -> "Rows":
        """Return the columns at ``index``, in that order."""

    @abstractmethod
    def check_finite(self, columns: Sequence[str] | None = None) -> None:
        """Raise a ValueError for NaN or infinity; ``columns`` are names for the message."""

    @abstractmethod
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest number of each column; there must be rows.

        Returns
        -------
        low, high : float64 array of shape (n_features,) on the host

        Raises
        ------
        ValueError
            A number is NaN or infinite.
        """

    def sample(self) -> "Rows":
        """Return a sample of the rows that is fast to read; here, all of them."""
        return self

    @abstractmethod
    def row_bytes(self, item: int, wide: bool = False) -> int:
        """Return the bytes of a row once it is on a device.

        Parameters
        ----------
        item : int
            Bytes per floating-point number on the device.
        wide : bool, default False
            Whether floating-point numbers take 8 bytes instead.
        """

    @property
    @abstractmethod
    def streamed_row_bytes(self) -> int:
        """Bytes of a row in its own dtype, in which rows are streamed; 0 if they cannot be."""


class SlicedRows(Rows):
    """Dense rows, in memory or stored, which are read by slices."""

    @abstractmethod
    def blocks(self, step: int) -> Generator[tuple[int, Array], None, None]:
        """Yield ``(start, rows)`` for every ``step`` rows, in their dtype and on their device.

        Stored rows are read into one buffer, which the next block overwrites.
        """

    @abstractmethod
    def pieces(self) -> Generator[Array, None, None]:
        """Yield the rows in pieces of float64, on the host if their device has no float64."""

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest number of each column."""
        return moments.limits(self.pieces, self.shape)

    def mean_and_scale(self, per_feature: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of each column, or of all numbers.

        See :func:`xpnet.data.moments.mean_and_scale`.
        """
        return moments.mean_and_scale(self.pieces, self.shape, self.dtype, per_feature)

    def reader(self) -> AbstractContextManager[Read]:
        """Return a context manager that yields a function ``read(start, stop, out)``."""
        return stored.stored_rows(self.X)

    def row_bytes(self, item: int, wide: bool = False) -> int:
        """Return the bytes of a row once it is on a device."""
        return self.n_features * itemsize_of(self.dtype, 8 if wide else item)

    @property
    def streamed_row_bytes(self) -> int:
        """Bytes of a row in its own dtype."""
        return self.n_features * self.dtype.itemsize


class DenseRows(SlicedRows):
    """The rows of an array in memory, of any library, on any device."""

    @property
    def where(self) -> str:
        """The name of the device."""
        return f"on {backend_of(self.X).device_name}"

    @property
    def backend(self) -> Backend | None:
        """The backend of the array."""
        return backend_of(self.X)

    def rows(self, index: np.ndarray) -> "DenseRows":
        """Return some of the rows, on the same device."""
        return DenseRows(take_dense(self.X, index))

    def columns(self, index: Sequence[int]) -> "DenseRows":
        """Return a copy of some of the columns, on the same device."""
        parts = [self.X[:, k : k + 1] for k in index]
        return DenseRows(array_namespace(self.X).concat(parts, axis=1))

    def check_finite(self, columns: Sequence[str] | None = None) -> None:
        """Refuse NaN and infinity; this waits for the device."""
        check_finite("X", self.X, columns)

    def blocks(self, step: int) -> Generator[tuple[int, Array], None, None]:
        """Yield ``(start, rows)`` for every ``step`` rows."""
        for start in range(0, len(self), step):
            yield start, self.X[start : min(start + step, len(self)), ...]

    def pieces(self) -> Generator[Array, None, None]:
        """Yield the rows in pieces of float64, on the host if their device has no float64."""
        backend = backend_of(self.X)
        host = backend.name == "numpy"
        step = max((_HOST_NUMBERS if host else _DEVICE_NUMBERS) // self.n_features, 1)
        for _, rows in self.blocks(step):
            if not host and backend.wide_dtype == "float64":
                yield backend.asarray(rows, "float64")
            else:
                yield _float64(to_host(rows))


class StoredRows(SlicedRows):
    """Rows outside memory that are read by slices, e.g. of a memory map, an HDF5 or a Zarr file."""

    where: ClassVar[str] = "stored"

    @property
    def decoded_rows(self) -> int:  # type: ignore[override]
        """How many rows a chunk of the file has; 1 without chunks."""
        return stored.rows_decoded_together(self.X)

    @property
    def nbytes(self) -> int:
        """Bytes that all rows take in memory, in their own dtype."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, index: np.ndarray) -> "DenseRows | StoredRows":
        """Read some of the rows, or leave them stored if they would take much of the memory."""
        if fits_in_memory(len(index) * self.streamed_row_bytes):
            return DenseRows(stored.read_rows(self.X, index))
        return self.selected(index)

    def selected(self, index: np.ndarray) -> "StoredRows":
        """Return some of the rows without reading them."""
        return StoredRows(Selected(self.X, index))

    def columns(self, index: Sequence[int]) -> "StoredRows":
        """Return some of the columns without reading them."""
        return StoredRows(ChosenColumns(self.X, index))

    def read(self) -> DenseRows:
        """Read all rows into memory, in the order of the file."""
        return DenseRows(self.X[:] if isinstance(self.X, Selected) else stored.read_all(self.X))

    def check_finite(self, columns: Sequence[str] | None = None) -> None:
        """Do nothing: stored rows are checked when they are read."""

    def sample(self) -> DenseRows:
        """Read blocks of rows from all parts of the data, or all rows if there are few."""
        starts = np.linspace(0, max(len(self) - _BLOCK, 0), _BLOCKS, dtype=np.int64)
        index = np.unique(starts[:, None] + np.arange(_BLOCK))
        return DenseRows(stored.read_rows(self.X, index[index < len(self)]))

    def blocks(self, step: int) -> Generator[tuple[int, Array], None, None]:
        """Yield ``(start, rows)`` for every ``step`` rows, all in one buffer."""
        n = len(self)
        buffer = np.empty((min(step, n), self.n_features), self.dtype)
        with self.reader() as read:
            for start in range(0, n, step):
                rows = buffer[: min(step, n - start)]
                read(start, start + len(rows), rows)
                yield start, rows

    def pieces(self) -> Generator[Array, None, None]:
        """Yield the rows as float64, in pieces that hold whole chunks of the file."""
        step = max(_HOST_NUMBERS // self.n_features, 1)
        step = -(-step // self.decoded_rows) * self.decoded_rows  # decodes each chunk once
        with closing(self.blocks(step)) as blocks:
            for _, rows in blocks:
                yield _float64(rows)


_BLOCKS, _BLOCK = 16, 64
"""How many blocks :meth:`StoredRows.sample` reads, and how many rows each has."""


class SparseRows(Rows):
    """The rows of a CSR matrix of SciPy or CuPy, without duplicate entries."""

    where: ClassVar[str] = "in CSR"
    streamed_row_bytes: ClassVar[int] = 0

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        """The arrays that make up the matrix: data, indices, indptr."""
        return self.X.data, self.X.indices, self.X.indptr

    @property
    def filled(self) -> float:
        """The fraction of the numbers that are stored."""
        return float(self.X.nnz / max(math.prod(self.shape), 1))

    def rows(self, index: np.ndarray) -> "SparseRows":
        """Return some of the rows, as a CSR matrix."""
        check_rows(self.X, index)
        return SparseRows(self.X[index])

    def columns(self, index: Sequence[int]) -> "SparseRows":
        """Return some of the columns, as a CSR matrix."""
        return SparseRows(canonical(self.X[:, list(index)]))

    def check_finite(self, columns: Sequence[str] | None = None) -> None:
        """Refuse NaN and infinity, and a structure damaged after the data set was made."""
        check_structure(self.X)
        finite = np.isfinite(self.X.data)
        if finite.all():
            return
        place = int(np.argmin(finite))
        row = int(np.searchsorted(self.X.indptr, place, side="right")) - 1
        where = f"row {row}, column {named(int(self.X.indices[place]), columns)}"
        raise not_finite("X", int(np.sum(~finite)), self.X.data[place], where)

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest number of each column, with zeros not stored."""
        both = (to_host(each(axis=0).toarray()).ravel() for each in (self.X.min, self.X.max))
        low, high = (each.astype(np.float64) for each in both)
        return low, high

    def row_bytes(self, item: int, wide: bool = False) -> int:
        """Return the bytes of an average row: a value and a column index for each number."""
        index = int(self.X.indices.itemsize)
        return math.ceil((item + index) * int(self.X.nnz) / max(len(self), 1)) + index


Features = DenseRows | SparseRows | StoredRows


def kind_of(X: Any) -> type[Features]:
    """Return the class of rows for X; lists and tables become dense rows.

    No other code makes this choice.
    """
    if is_sparse(X):
        return SparseRows
    return StoredRows if stored.is_stored(X) else DenseRows


def take_dense(values: Array, index: np.ndarray) -> Array:
    """Return the rows ``values[index]`` of an array of shape (n, ...), on its device."""
    index = move(index, backend_of(values))
    if values.ndim > 1:
        return ops.take_rows(values, index)
    # As a matrix, because PyTorch cannot index vectors of uint16, uint32 or uint64.
    xp = array_namespace(values)
    return xp.reshape(ops.take_rows(xp.reshape(values, (-1, 1)), index), (-1,))


def itemsize_of(dtype: np.dtype, item: int) -> int:
    """Return the bytes per number in memory, where floats are converted to the network's dtype.

    Parameters
    ----------
    dtype : numpy.dtype
        The dtype of the data.
    item : int
        Bytes per number of the network's dtype.
    """
    return item if dtype.kind == "f" else dtype.itemsize


def _float64(rows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # longdouble may overflow; infinity is refused later
        return rows.astype(np.float64, copy=False)
