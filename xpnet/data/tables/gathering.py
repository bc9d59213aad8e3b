"""Rows collected block by block: in memory, or in a temporary file if there are too many."""

import math
import os
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ...backends import resolve
from ...common.checks import check_count

_FRACTION = 0.5
"""The fraction of the free memory that the features may take."""

_GROWTH, _MARGIN = 1.25, 1.1
"""Minimum factor by which an array grows, and its size relative to the expected number of rows."""

_PIECE = 1 << 18
"""About how many numbers are processed at a time when codes are replaced."""


def feature_memory_limit(memory_limit: int | None = None) -> float:
    """Return how many bytes the features may take in memory; by default half of the free memory."""
    if memory_limit is not None:
        return check_count("memory_limit", memory_limit)
    memory = resolve("cpu").memory()
    return math.inf if memory is None else _FRACTION * memory.free


class RowCollector:
    """Collects the rows of a table block by block; a context manager.

    Leaving the ``with`` block deletes the temporary file if reading has failed.

    Parameters
    ----------
    n_columns : int
    dtype : NumPy dtype
        The dtype of the result.
    limit : float
        The maximum number of bytes in memory. Beyond it, all rows go to a temporary file in the
        folder that :func:`tempfile.gettempdir` chooses.
    """

    def __init__(self, n_columns: int, dtype: Any, limit: float) -> None:
        self._n_columns, self._dtype, self._limit = n_columns, np.dtype(dtype), limit
        self._row_bytes = n_columns * self._dtype.itemsize
        self._rows = np.empty((0, n_columns), self._dtype)
        self._file: Any = None
        self.n_rows = 0

    def __enter__(self) -> "RowCollector":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()
            _delete(self._file.name)

    def add(self, block: np.ndarray, share: float = 1.0) -> None:
        """Add rows.

        Parameters
        ----------
        block : array of shape (k, n_columns)
        share : float, default 1
            The estimated fraction of all rows that have been added after this block, up to 1.
        """
        start, self.n_rows = self.n_rows, self.n_rows + len(block)
        if self._file is None and self.n_rows * self._row_bytes > self._limit:
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - outlives this call
                prefix="xpnet-", suffix=".rows", delete=False
            )
            self._file.write(self._rows[:start].data)
            self._resize(0)
        if self._file is not None:
            self._file.write(np.ascontiguousarray(block, self._dtype).data)
            return
        if self.n_rows > len(self._rows):
            expected = min(self.n_rows / max(share, 1e-3), self._limit / self._row_bytes)
            self._resize(int(max(self.n_rows, _GROWTH * len(self._rows), _MARGIN * expected)))
        self._rows[start : self.n_rows] = block

    def _resize(self, n: int) -> None:
        """Change the number of rows of the array.

        Memory that has not been written to costs nothing, so the array may be too large until the
        end. An array that grows at least fourfold is copied; otherwise it is extended in place
        where the system can do that.
        """
        if n < 4 * len(self._rows):
            self._rows.resize((n, self._n_columns), refcheck=False)
            return
        rows = np.empty((n, self._n_columns), self._dtype)
        rows[: len(self._rows)] = self._rows
        self._rows = rows

    def finish(self, mappings: Mapping[int, np.ndarray]) -> np.ndarray:
        """Return all rows, as a read-only memory map if they are in a file.

        The file is deleted together with the map, or when Python exits.

        Parameters
        ----------
        mappings : mapping of int to array
            The numbers that replace the codes 0, 1, ... in some columns, by column position.
        """
        shape = self.n_rows, self._n_columns
        if self._file is None:
            self._resize(self.n_rows)
            replace_codes(self._rows, mappings)
            return self._rows
        self._file.close()
        name, self._file = self._file.name, None
        try:
            changed = np.memmap(name, self._dtype, "r+", shape=shape)
            replace_codes(changed, mappings)
            changed.flush()
            del changed
            rows = np.memmap(name, self._dtype, "r", shape=shape)
        except BaseException:
            _delete(name)
            raise
        weakref.finalize(rows._mmap, _delete, name, os.getpid())  # type: ignore[attr-defined]
        return rows


def replace_codes(rows: np.ndarray, mappings: Mapping[int, np.ndarray]) -> None:
    """Replace the codes in some columns, in place; see `RowCollector.finish`."""
    step = max(_PIECE // max(rows.shape[1], 1), 1)
    for start in range(0, len(rows), step) if mappings else ():
        piece = rows[start : start + step]
        for column, values in mappings.items():
            piece[:, column] = values[piece[:, column].astype(np.int64)]


def _delete(name: str, pid: int | None = None) -> None:
    if pid not in (None, os.getpid()):  # a forked process exits; the file belongs to its parent
        return
    with suppress(OSError):
        os.unlink(name)
