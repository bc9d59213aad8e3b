"""Stored samples of several dimensions as rows."""

import math
from typing import Any

import numpy as np

from .stored import numpy_type, read_rows, rows_decoded_together, stored_rows


def flattened(X: Any) -> Any:
    """Return stored data of shape (n, ...) with each sample as a row in C order, without a copy.

    A memory map stays one where its layout allows; everything else is `Flattened`.
    """
    n_features = math.prod(X.shape[1:])
    if isinstance(X, np.memmap) and len(X) and X[0].flags.c_contiguous:
        return X.reshape(len(X), n_features)
    return Flattened(X)


class Flattened:
    """Stored samples of several dimensions, which are read as rows.

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

    ndim = 2

    def __init__(self, stored: Any) -> None:
        self.stored, self.dtype = stored, numpy_type(stored)
        self.shape = int(stored.shape[0]), math.prod(stored.shape[1:])

    @property
    def chunks(self) -> tuple[int]:
        """How many rows are decoded together, in a tuple."""
        return (rows_decoded_together(self.stored),)

    def __len__(self) -> int:
        return self.shape[0]

    def read_direct(self, out: np.ndarray, rows: slice) -> None:
        """Read rows, a slice with a start and a stop, into an array, as h5py does."""
        whole = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        with stored_rows(self.stored) as read:
            read(rows.start, rows.stop, whole.reshape(len(out), *self.stored.shape[1:]))
        if whole is not out:
            out[...] = whole

    def __getitem__(self, key: Any) -> Any:
        rows, others = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        index = np.asarray(range(len(self))[rows] if isinstance(rows, slice) else rows)
        if index.ndim == 0:
            return read_rows(self, index[None] % len(self))[0][others]
        return read_rows(self, index)[(slice(None), *others)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all rows into memory."""
        if copy is False:
            raise ValueError("the rows are stored, so an array of them is a copy: give copy=None")
        rows: np.ndarray = self[:]
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rows as an array in memory."""
        return np.asarray, (self[:],)

    def __deepcopy__(self, memo: Any) -> "Flattened":
        """Return the object itself, which cannot be changed."""
        return self

    def __repr__(self) -> str:
        return f"Flattened({self.stored!r})"
