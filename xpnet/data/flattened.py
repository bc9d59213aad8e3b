"""Stored samples with more than one dimension as rows, and some of the columns of stored rows."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .stored import RowsOnDemand, numpy_type, read_rows, rows_decoded_together, stored_rows


def flattened(X: Any) -> Any:
    """Return stored data of shape (n, ...) with each sample as a row in C order, without a copy.

    The result is a memory map for a memory map whose layout allows it, otherwise a `Flattened`.
    """
    n_features = math.prod(X.shape[1:])
    if isinstance(X, np.memmap) and len(X) and X[0].flags.c_contiguous:
        return X.reshape(len(X), n_features)
    return Flattened(X)


class Flattened(RowsOnDemand):
    """Stored samples with more than one dimension, which are read as rows.

    Parameters
    ----------
    stored : memory map, HDF5 or Zarr data set, or other stored data of shape (n, ...)

    Attributes
    ----------
    shape : tuple of int
        (n, n_features).
    dtype : NumPy dtype
        In native byte order.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "x.npy"), np.arange(12).reshape(3, 2, 2))
    ...     rows = Flattened(np.load(Path(folder, "x.npy"), mmap_mode="r"))
    ...     rows.shape, rows[1:].tolist()
    ((3, 4), [[4, 5, 6, 7], [8, 9, 10, 11]])
    """

    def __init__(self, stored: Any) -> None:
        self.stored, self.dtype = stored, numpy_type(stored)
        self.shape = int(stored.shape[0]), math.prod(stored.shape[1:])

    @property
    def chunks(self) -> tuple[int]:
        """How many rows are decoded together, in a tuple."""
        return (rows_decoded_together(self.stored),)

    def read_direct(self, out: np.ndarray, rows: slice) -> None:
        """Read a slice of rows into an array, as h5py does; the slice has a start and a stop."""
        whole = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        with stored_rows(self.stored) as read:
            read(rows.start, rows.stop, whole.reshape(len(out), *self.stored.shape[1:]))
        if whole is not out:
            out[...] = whole

    def _places(self, rows: Any) -> np.ndarray:
        n = len(self)
        return np.arange(*rows.indices(n)) if isinstance(rows, slice) else np.arange(n)[rows]

    def _read(self, places: np.ndarray) -> np.ndarray:
        return read_rows(self, places)

    def __repr__(self) -> str:
        return f"Flattened({self.stored!r})"


class ChosenColumns(Flattened):
    """Some of the columns of stored rows, which are read only when they are sliced.

    Parameters
    ----------
    stored : memory map, HDF5 or Zarr data set, or other stored data of shape (n, n_stored)
    index : sequence of int
        The positions of the columns, in any order.

    Attributes
    ----------
    shape : tuple of int
        (n, len(index)).
    dtype : NumPy dtype
        In native byte order.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "x.npy"), np.arange(6).reshape(2, 3))
    ...     columns = ChosenColumns(np.load(Path(folder, "x.npy"), mmap_mode="r"), [2, 0])
    ...     columns.shape, columns[:].tolist()
    ((2, 2), [[2, 0], [5, 3]])
    """

    def __init__(self, stored: Any, index: Sequence[int]) -> None:
        super().__init__(stored)
        self.index = list(index)
        self.shape = len(self), len(self.index)

    def read_direct(self, out: np.ndarray, rows: slice) -> None:
        """Read a slice of rows into an array, as h5py does; the slice has a start and a stop."""
        unit = self.chunks[0]
        step = max(_NUMBERS // self.stored.shape[1] // unit, 1) * unit
        with stored_rows(self.stored) as read:
            first = rows.start
            while first < rows.stop:  # in pieces that decode each chunk of the file once
                last = min((first // step + 1) * step, rows.stop)
                whole = np.empty((last - first, self.stored.shape[1]), self.dtype)
                read(first, last, whole)
                out[first - rows.start : last - rows.start] = whole[:, self.index]
                first = last

    def __repr__(self) -> str:
        return f"ChosenColumns({self.index} of {self.stored!r})"


_NUMBERS = 1 << 17
"""About how many numbers :class:`ChosenColumns` reads at a time: 1 MiB of float64."""
