"""Rows of memory maps, read from their files."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from mmap import ALLOCATIONGRANULARITY
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib.array_utils import byte_bounds

Read = Callable[[int, int, np.ndarray], None]
"""``read(start, stop, out)`` reads rows into ``out``, an array in native byte order."""

_PIECE_BYTES = 1 << 20
"""Bytes read at a time if the rows cannot be read directly into the output array."""

_MAX_READ_RATIO = 4
"""Maximum bytes read from the file per byte needed; beyond it, rows are copied from the map."""


@contextmanager
def mapped_rows(X: np.memmap) -> Iterator[Read]:
    """Yield a function that reads rows of a memory map, or of a view of one.

    The rows are read from the file if the map has the same content and the file still has its name.
    That takes half the time of copying from the map, which faults in one page after another.
    Otherwise they are copied from the map. Touching a page that the file no longer has would kill
    the process, so the size of the file is checked before each piece is copied.

    Raises
    ------
    OSError
        On entry or from the function, if the mapped file has become shorter.
    """
    rows = _MappedRows(X)
    with ExitStack() as opened:
        file = _open(X)
        if file is not None:
            opened.enter_context(file)
        if file is not None and not rows.match(file):
            file = None
        yield lambda start, stop, out: rows.read(start, stop, out, file)


def _open(X: np.memmap) -> BinaryIO | None:
    """Open the file of a map; return None if it is gone, or if the map may differ from it."""
    if X.mode not in ("r", "r+", "w+") or X.filename is None:  # "c" does not write changes back
        return None
    try:
        return open(X.filename, "rb", buffering=0)
    except OSError:  # it was renamed or deleted; the map still works
        return None


class _MappedRows:
    """The rows of a memory map, in any layout and byte order, and their positions in the file."""

    def __init__(self, X: np.memmap) -> None:
        self._map: Any = cast(Any, X)._mmap
        self._values = np.asarray(X)  # slicing a memmap takes several times as long
        begin = np.frombuffer(self._map, np.uint8).ctypes.data
        # Added to an address, gives the position in the file.
        self._shift = X.offset - X.offset % ALLOCATIONGRANULARITY - begin
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
        begin, end = self._position(part)
        if file is None or end - begin > _MAX_READ_RATIO * part.nbytes:
            self._check_size(end)
            out[...] = part
            return
        raw = np.empty(end - begin, np.uint8)
        _read_file(file, begin, raw)
        first = part.ctypes.data + self._shift - begin
        out[...] = np.ndarray(part.shape, part.dtype, raw.data, first, part.strides)

    def _position(self, part: np.ndarray) -> tuple[int, int]:
        """Return where in the file a part of the map begins and ends."""
        low, high = byte_bounds(part)
        return low + self._shift, high + self._shift

    def _check_size(self, end: int) -> None:
        missing = end - self._map.size()  # the mapped file's size, even if it was renamed
        if missing > 0:
            raise _shorter("the file of the memory map", missing)

    def match(self, file: BinaryIO) -> bool:
        """Whether a file is the mapped one, judged by its size and two rows.

        Another file may have taken its name.

        Raises
        ------
        OSError
            The mapped file has become shorter.
        """
        if not self._values.size:
            return False
        self._check_size(self._position(self._values)[1])
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


def _read_file(file: BinaryIO, position: int, out: np.ndarray) -> None:
    """Fill ``out`` with bytes of a file, starting at ``position``."""
    rest = memoryview(out.reshape(-1).view(np.uint8).data)
    file.seek(position)
    while len(rest):
        count = file.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise _shorter(file.name, len(rest))
        rest = rest[count:]


def _shorter(name: str, missing: int) -> OSError:
    return OSError(
        f"{name} has become shorter: {missing} bytes are missing. Restore it, and leave it "
        "unchanged while it is in use"
    )
