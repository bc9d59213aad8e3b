"""Data that are stored (memory maps, HDF5, Zarr, anything that is sliced), and reading them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._mapped import Read, mapped_rows
from .backends import Array, is_array, is_sparse, to_host


def is_stored(X: Any) -> bool:
    """Whether X is not in memory, and its rows can be read by slices: a memory map, HDF5, Zarr.

    What is computed from a memory map, and its copies, are of its class too, but are in memory.
    """
    if isinstance(X, np.memmap):
        return X._mmap is not None  # type: ignore[attr-defined]
    if isinstance(X, (np.ndarray, np.generic, type)) or is_array(X) or is_sparse(X):
        return False
    read = all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))
    return read and not hasattr(X, "to_numpy")


def type_name(values: Array) -> str:
    """Return the name of a type of any library, e.g. ``"float32"``."""
    return str(values.dtype).rpartition(".")[2]


def numpy_type(values: Any) -> np.dtype:
    """Return NumPy's type, in native byte order, for numbers of any library or stored ones."""
    try:
        dtype: np.dtype = np.dtype(values.dtype).newbyteorder("=")
        return dtype
    except TypeError:  # another library's
        return np.dtype(type_name(values))


def rows_decoded_together(X: Any) -> int:
    """Return how many rows a file decodes at least, however few are asked for."""
    chunks = getattr(X, "chunks", None) if is_stored(X) else None
    return chunks[0] if chunks and isinstance(chunks[0], int) else 1


@contextmanager
def stored_rows(X: Any) -> Iterator[Read]:
    """Give a function that reads rows of ``X``, with little memory on the way."""
    if isinstance(X, np.memmap) and is_stored(X):
        with mapped_rows(X) as read:
            yield read
    else:
        yield lambda start, stop, out: _read_slices(X, start, stop, out)


def read_all(X: Any) -> np.ndarray:
    """Return all that is stored as an array in memory, in native byte order."""
    rows = np.empty(X.shape, numpy_type(X))
    with stored_rows(X) as read:
        read(0, len(rows), rows)
    return rows


_NEAR, _AT_A_TIME = 64, 4096
"""Rows apart of each other that are read in one slice, and how many of them at the most."""


def read_rows(X: Any, index: np.ndarray) -> np.ndarray:
    """Return rows of stored data, in memory; they are read in the order in which they are there."""
    rows = np.empty((len(index), *X.shape[1:]), numpy_type(X))
    if not len(index):
        return rows
    order = np.argsort(index, kind="stable")
    # One slice for what is near each other; a slice has all that is between, too.
    far = np.diff(index[order]) > _NEAR
    long = np.arange(1, len(index)) % _AT_A_TIME == 0
    with stored_rows(X) as read:
        for some in np.split(order, np.flatnonzero(far | long) + 1):
            first, last = int(index[some[0]]), int(index[some[-1]])
            near = np.empty((last + 1 - first, *X.shape[1:]), rows.dtype)
            read(first, last + 1, near)
            rows[some] = near[index[some] - first]
    return rows


_PIECE_BYTES = 1 << 20
"""About what is read at a time: it is there twice meanwhile."""


def _read_slices(X: Any, start: int, stop: int, out: np.ndarray) -> None:
    """Read rows as slices, in whole pieces that they are stored in: each is decoded once."""
    if hasattr(X, "read_direct") and start < stop:  # h5py, which changes the byte order, too
        X.read_direct(out, np.s_[start:stop])
        return
    unit = rows_decoded_together(X)
    step = max(_PIECE_BYTES // max(out[:1].nbytes, 1) // unit, 1) * unit
    first = start
    while first < stop:
        last = min((first // step + 1) * step, stop)
        _read_slice(X, first, last, out[first - start : last - start])
        first = last


def _read_slice(X: Any, first: int, last: int, out: np.ndarray) -> None:
    """Read one slice, and refuse what is not what was asked for."""
    rows = np.asarray(to_host(X[first:last, ...] if is_array(X) else X[first:last]))
    if rows.shape != out.shape:
        raise ValueError(f"X[{first}:{last}] has shape {rows.shape}: expected {out.shape}")
    if rows.dtype.kind not in "biuf":
        raise TypeError(f"X[{first}:{last}] has the type {rows.dtype}: expected numbers")
    with np.errstate(invalid="ignore", over="ignore"):  # refused below or later, in words
        out[...] = rows
    same = rows.dtype.newbyteorder("=") == out.dtype
    if out.dtype.kind != "f" and not same and not np.array_equal(out, rows):
        raise ValueError(f"X[{first}:{last}] has numbers that {out.dtype}, X.dtype, does not hold")
