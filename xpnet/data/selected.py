"""Chosen rows of stored data that stay stored."""

import math
from typing import Any

import numpy as np

from ..backends import resolve
from .stored import RowsOnDemand, numpy_type, read_rows, rows_decoded_together

_FRACTION = 0.1
"""The fraction of the free memory that chosen rows may take.

It is small because training needs memory as well, and because there may be several selections at
once: a split makes two, and cross-validation more.
"""


def fits_in_memory(n_bytes: int) -> bool:
    """Whether chosen rows of this size should be read into memory rather than stay stored."""
    memory = resolve("cpu").memory()
    return n_bytes <= (math.inf if memory is None else _FRACTION * memory.free)


class Selected(RowsOnDemand):
    """Chosen rows of stored data, which are read only when they are sliced.

    Parameters
    ----------
    stored : memory map, HDF5 or Zarr data set, or other stored data of shape (n, ...)
        If this is a `Selected` object, the new object refers to its stored data.
    index : int array of shape (k,)
        The row numbers, in any order. A slice is read in the order of the file, so slices of
        sorted numbers are read fastest.

    Attributes
    ----------
    shape : tuple of int
        (k, ...).
    dtype : NumPy dtype
        In native byte order.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "x.npy"), np.arange(10).reshape(-1, 1))
    ...     data = np.load(Path(folder, "x.npy"), mmap_mode="r")
    ...     chosen = Selected(data, np.array([1, 7, 5]))
    ...     chosen.shape, chosen[1:].tolist()
    ((3, 1), [[7], [5]])
    """

    stored: Any
    index: np.ndarray

    def __init__(self, stored: Any, index: np.ndarray) -> None:
        behind: Any = stored
        if isinstance(stored, Selected):
            behind, index = stored.stored, stored.index[index]
        self.stored, self.index = behind, index
        self.shape = (len(index), *behind.shape[1:])
        self.dtype = numpy_type(behind)

    @property
    def chunks(self) -> tuple[int]:
        """About how many of the chosen rows are in each chunk of the file, in a tuple."""
        unit, n = rows_decoded_together(self.stored), max(int(self.stored.shape[0]), 1)
        return (max(math.ceil(unit * min(len(self.index) / n, 1.0)), 1),)

    def _places(self, rows: Any) -> np.ndarray:
        return np.asarray(self.index[rows])

    def _read(self, places: np.ndarray) -> np.ndarray:
        return read_rows(self.stored, places)

    def __repr__(self) -> str:
        return f"Selected({len(self)} of {self.stored.shape[0]} stored rows, {self.dtype})"
