"""Rows of memory maps, read from their files."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from mmap import ALLOCATIONGRANULARITY
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib.array_utils import byte_bounds

Read = Callable[[int, int, np.ndarray], None]
"""Reads the rows from a first one to behind a last one into an array of the native type."""

_PIECE_BYTES = 1 << 20
"""Bytes read at a time where the numbers cannot go straight to their place."""

_MOST_WASTE = 4
"""Bytes read for each byte that is wanted, at most; beyond that the map itself is read."""


@contextmanager
def mapped_rows(X: np.memmap) -> Iterator[Read]:
    """Give a function that reads rows of a memory map, or of a view of one.

    The rows are read from the file where the map shows the file's own numbers and the file is still
    there under its name. That takes half the time of copying from the map, whose pages have to be
    looked up one by one, and a file that has become shorter is an error. To touch a page of the map
    that is no longer in the file ends the process, so the size of the file is looked at before each
    piece that is copied from the map.

    Raises
    ------
    OSError
        From the call, or from the function: the mapped file has become shorter.
    """
    rows = _MappedRows(X)
    with ExitStack() as opened:
        file = _open(X)
        if file is not None:
            opened.enter_context(file)
        if file is not None and not rows.are_in(file):
            file = None
        yield lambda start, stop, out: rows.read(start, stop, out, file)


def _open(X: np.memmap) -> BinaryIO | None:
    """Open the file of a map, or return None where the map has numbers or a file of its own."""
    if X.mode not in ("r", "r+", "w+") or X.filename is None:  # "c" keeps what is written to it
        return None
    try:
        return open(X.filename, "rb", buffering=0)
    except OSError:  # it has another name by now, or none; the map is still there
        return None


class _MappedRows:
    """The rows of a memory map in any layout and byte order, and where they are in the file."""

    def __init__(self, X: np.memmap) -> None:
        self._map: Any = cast(Any, X)._mmap
        self._values = np.asarray(X)  # not a memmap, whose slices take several times as long
        begin = np.frombuffer(self._map, np.uint8).ctypes.data
        self._shift = X.offset - X.offset % ALLOCATIONGRANULARITY - begin  # from address to place
        self._first = X.ctypes.data + self._shift
        self._stride = self._values.strides[0]
        self._plain = X.flags.c_contiguous and X.dtype.isnative

    def read(self, start: int, stop: int, out: np.ndarray, file: BinaryIO | None) -> None:
        """Read rows from a file, or copy them from the map."""
        if self._plain and file is not None:
            _read_file(file, self._first + start * self._stride, out)
            return
        row = max(out[:1].nbytes, abs(self._stride), 1)
        step = max(_PIECE_BYTES // row, 1)
        for first in range(start, stop, step):
            part = self._values[first : min(first + step, stop)]
            self._read_piece(part, out[first - start : first - start + len(part)], file)

    def _read_piece(self, part: np.ndarray, out: np.ndarray, file: BinaryIO | None) -> None:
        place, end = self._place(part)
        if file is None or end - place > _MOST_WASTE * part.nbytes:
            self._check_size(end)
            out[...] = part
            return
        raw = np.empty(end - place, np.uint8)
        _read_file(file, place, raw)
        first = part.ctypes.data + self._shift - place
        out[...] = np.ndarray(part.shape, part.dtype, raw.data, first, part.strides)

    def _place(self, part: np.ndarray) -> tuple[int, int]:
        """Return where in the file a part of the map begins and ends."""
        low, high = byte_bounds(part)
        return low + self._shift, high + self._shift

    def _check_size(self, end: int) -> None:
        missing = end - self._map.size()  # of the mapped file, whatever has happened to its name
        if missing > 0:
            raise _shorter("the file of the memory map", missing)

    def are_in(self, file: BinaryIO) -> bool:
        """Whether a file is the mapped one, by its size and some rows: another may have its name.

        Raises
        ------
        OSError
            The mapped file has become shorter.
        """
        if not self._values.size:
            return False
        self._check_size(self._place(self._values)[1])
        if os.fstat(file.fileno()).st_size != self._map.size():
            return False
        shape = (1, *self._values.shape[1:])
        by_file, by_map = (np.empty(shape, self._values.dtype.newbyteorder("=")) for _ in range(2))
        for index in (0, len(self._values) - 1):
            self.read(index, index + 1, by_file, file)
            self.read(index, index + 1, by_map, None)
            if by_file.tobytes() != by_map.tobytes():
                return False
        return True


def _read_file(file: BinaryIO, place: int, out: np.ndarray) -> None:
    """Fill ``out`` with what a file has from a place on."""
    rest = memoryview(out.reshape(-1).view(np.uint8).data)
    file.seek(place)
    while len(rest):
        count = file.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise _shorter(file.name, len(rest))
        rest = rest[count:]


def _shorter(name: str, missing: int) -> OSError:
    return OSError(f"{name} has become shorter: {missing} bytes are missing")
