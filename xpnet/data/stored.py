"""Reading data outside memory: memory maps, HDF5, Zarr, Dask and other objects with row slices."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from ..backends import Array, is_array, to_host
from .mapped import Read, mapped_rows


def is_stored(X: Any) -> bool:
    """Whether X, which is not sparse, is outside memory and read by slices, e.g. a memory map.

    Copies of a memory map, and results computed from it, have the same class but are in memory.
    """
    if isinstance(X, np.memmap):
        return X._mmap is not None  # type: ignore[attr-defined]
    if isinstance(X, (np.ndarray, np.generic, type)) or is_array(X):
        return False
    read = all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))
    return read and not hasattr(X, "to_numpy")


def type_name(values: Array) -> str:
    """Return the name of an array's dtype, in any library, e.g. ``"float32"``."""
    return str(values.dtype).rpartition(".")[2]


def numpy_type(values: Any) -> np.dtype:
    """Return the dtype of an array of any library, or of stored data, as NumPy's native dtype."""
    try:
        dtype: np.dtype = np.dtype(values.dtype).newbyteorder("=")
        return dtype
    except TypeError:  # a dtype of another library
        return np.dtype(type_name(values))


def rows_decoded_together(X: Any) -> int:
    """Return how many rows are decoded, or computed, even if only one is read."""
    rows = (getattr(X, "chunks", None) or [1])[0]
    if isinstance(rows, tuple):  # the chunks of a Dask array may have different sizes
        rows = max(rows, default=1)
    return rows if isinstance(rows, int) else 1


@contextmanager
def stored_rows(X: Any) -> Iterator[Read]:
    """Yield a function that reads rows of ``X`` with little memory apart from its output."""
    if isinstance(X, np.memmap) and X._mmap is not None:  # type: ignore[attr-defined]
        with mapped_rows(X) as read:
            yield read
    else:
        yield lambda start, stop, out: _read_slices(X, start, stop, out)


def read_all(X: Any) -> np.ndarray:
    """Read all rows into an array in memory, in native byte order."""
    rows = np.empty(X.shape, numpy_type(X))
    with stored_rows(X) as read:
        read(0, len(rows), rows)
    return rows


_NEAR = 64
"""The largest gap between rows that are read in one slice."""


def read_rows(X: Any, index: np.ndarray) -> np.ndarray:
    """Return rows of stored data as an array in memory, reading them in the file's order."""
    rows = np.empty((len(index), *X.shape[1:]), numpy_type(X))
    if not len(index):
        return rows
    order = np.argsort(index, kind="stable")
    # Rows that are close together are read in one slice, with the rows between them. Slices do not
    # share chunks of the file, so that each is decoded once, and have about _PIECE_BYTES at most.
    unit = rows_decoded_together(X)
    pieces = index[order] // _piece_rows(rows, unit)
    far = np.diff(index[order]) > max(_NEAR, unit)
    with stored_rows(X) as read:
        for places in np.split(order, np.flatnonzero(far | (np.diff(pieces) > 0)) + 1):
            first, last = int(index[places[0]]), int(index[places[-1]])
            near = np.empty((last + 1 - first, *X.shape[1:]), rows.dtype)
            read(first, last + 1, near)
            rows[places] = near[index[places] - first]
    return rows


class RowsOnDemand:
    """Base of stored rows that are read only when they are sliced.

    Attributes
    ----------
    shape : tuple of int
        (n, ...).
    """

    shape: tuple[int, ...]

    def _places(self, rows: Any) -> np.ndarray:
        """Return the positions of the rows that a NumPy index selects, for :meth:`_read`."""
        raise NotImplementedError

    def _read(self, places: np.ndarray) -> np.ndarray:
        """Return the rows at some positions as an array in memory."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        rows, others = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        places = self._places(rows)
        if places.ndim > 1:
            raise IndexError(f"index has {places.ndim} dimensions: expected rows, X[rows]")
        if places.ndim == 0:
            return self._read(places[None])[(0, *others)]
        return self._read(places)[(slice(None), *others)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all rows into memory."""
        if copy is False:
            raise ValueError("the rows are not in memory, so copy=False is impossible: omit copy=")
        rows: np.ndarray = self[:]
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the selected rows as an array in memory."""
        return np.asarray, (self[:],)

    def __deepcopy__(self, memo: Any) -> Self:
        """Return the object itself, which is immutable."""
        return self


_PIECE_BYTES = 1 << 20
"""About how many bytes are read at a time; a piece is in memory twice while it is copied."""


def _read_slices(X: Any, start: int, stop: int, out: np.ndarray) -> None:
    """Read rows in slices of whole chunks of the file, so that each chunk is decoded once."""
    if hasattr(X, "read_direct") and start < stop:  # h5py; it converts the byte order as well
        X.read_direct(out, np.s_[start:stop])
        return
    step = _piece_rows(out, rows_decoded_together(X))
    first = start
    while first < stop:
        last = min((first // step + 1) * step, stop)
        _read_slice(X, first, last, out[first - start : last - start])
        first = last


def _piece_rows(rows: np.ndarray, unit: int) -> int:
    """Return how many rows are read at a time: a multiple of ``unit``."""
    return max(_PIECE_BYTES // max(rows[:1].nbytes, 1) // unit, 1) * unit


def _read_slice(X: Any, first: int, last: int, out: np.ndarray) -> None:
    """Read one slice, and refuse rows that do not match the shape and dtype of X."""
    rows = np.asarray(to_host(X[first:last, ...] if is_array(X) else X[first:last]))
    if rows.shape != out.shape:
        raise ValueError(f"X[{first}:{last}] has shape {rows.shape}: expected {out.shape}")
    if rows.dtype.kind not in "biuf":
        raise TypeError(f"X[{first}:{last}] has the type {rows.dtype}: expected numbers")
    with np.errstate(invalid="ignore", over="ignore"):  # later checks have clearer messages
        out[...] = rows
    same = rows.dtype.newbyteorder("=") == out.dtype
    if out.dtype.kind != "f" and not same and not np.array_equal(out, rows):
        raise ValueError(
            f"X[{first}:{last}] has numbers of type {rows.dtype} that do not fit in X.dtype, "
            f"{out.dtype}"
        )
