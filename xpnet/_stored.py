"""Rows of stored data (memory maps, HDF5, Zarr, anything that is sliced), read into an array."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import ALLOCATIONGRANULARITY
from typing import Any, BinaryIO

import numpy as np

from .backends import is_array, to_host

Read = Callable[[int, int, np.ndarray], None]
"""Reads the rows from a first to behind a last one into an array."""


@contextmanager
def stored_rows(X: Any) -> Iterator[Read]:
    """Give what reads rows of ``X``, with little memory on the way.

    A memory map is read as the file that it is of, as long as that is the file of its name.
    Reading takes half the time of copying the map, each page of which has to be looked up; and
    what the other cores compute meanwhile has that time.
    """
    place = _place_in_file(X)
    try:
        file = None if place is None else open(place[0], "rb", buffering=0)  # noqa: SIM115
    except OSError:  # it has another name now, or none; the map is still there
        file = None
    if place is None or file is None:
        yield lambda start, stop, out: _read_slices(X, start, stop, out)
        return
    with file:
        if _is_of(file, place[1], X):
            yield lambda start, stop, out: _read_file(file, place[1] + start * X.strides[0], out)
        else:
            yield lambda start, stop, out: _read_slices(X, start, stop, out)


_PIECE_BYTES = 1 << 20
"""Read at a time where the data say nothing of pieces: what is read is there twice meanwhile."""


def _read_slices(X: Any, start: int, stop: int, out: np.ndarray) -> None:
    """Read rows as slices, in the pieces that they are stored in: each is decoded once."""
    if hasattr(X, "read_direct"):  # h5py
        X.read_direct(out, np.s_[start:stop])
        return
    row = max(out.dtype.itemsize * int(np.prod(out.shape[1:])), 1)
    stored = getattr(X, "chunks", None)
    step = stored[0] if stored and isinstance(stored[0], int) else max(_PIECE_BYTES // row, 1)
    first = start
    while first < stop:
        last = min((first // step + 1) * step, stop)
        rows = np.asarray(to_host(X[first:last, ...] if is_array(X) else X[first:last]))
        if rows.shape != (last - first, *out.shape[1:]):
            raise ValueError(
                f"X[{first}:{last}] has shape {rows.shape}: expected {(last - first, *X.shape[1:])}"
            )
        if rows.dtype.kind not in "biuf":
            raise TypeError(f"X[{first}:{last}] has the type {rows.dtype}: expected numbers")
        part = out[first - start : last - start]
        with np.errstate(invalid="ignore"):  # refused below, in words
            part[...] = rows
        if out.dtype.kind != "f" and not np.array_equal(part, rows):
            raise ValueError(
                f"X[{first}:{last}] has numbers that {out.dtype}, X.dtype, does not hold"
            )
        first = last


def _place_in_file(X: Any) -> tuple[str, int] | None:
    """Return the file of a memory map, and where in it the map's first number is.

    None where the numbers are not those of the file, or not in its order.
    """
    shared = isinstance(X, np.memmap) and X.mode in ("r", "r+", "w+") and X.filename is not None
    if not shared or not X.flags.c_contiguous or not len(X):
        return None
    mapped: Any = X._mmap
    begin = np.frombuffer(mapped, np.uint8).ctypes.data
    return str(X.filename), X.offset - X.offset % ALLOCATIONGRANULARITY + X.ctypes.data - begin


def _is_of(file: BinaryIO, place: int, X: Any) -> bool:
    """Whether a file is that of the map, by its size and rows: another may have its name by now.

    Raises
    ------
    OSError
        The map's own file has become shorter. To read the map there would end the process.
    """
    size = X._mmap.size()  # of the file that it is of, whatever has happened to names
    missing = place + X.nbytes - size
    if missing > 0:
        raise _shorter(file.name, missing)
    if os.fstat(file.fileno()).st_size != size:
        return False
    row = np.empty_like(X[:1], subok=False)
    for index in (0, len(X) - 1):
        _read_file(file, place + index * X.strides[0], row)
        if row.tobytes() != X[index].tobytes():
            return False
    return True


def _shorter(name: str, missing: int) -> OSError:
    return OSError(f"{name} has become shorter: {missing} bytes are missing")


def _read_file(file: BinaryIO, place: int, out: np.ndarray) -> None:
    """Fill ``out`` with what a file has from a place on."""
    rest = memoryview(out.reshape(-1).view(np.uint8).data)
    file.seek(place)
    while len(rest):
        count = file.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise _shorter(file.name, len(rest))
        rest = rest[count:]
