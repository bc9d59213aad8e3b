"""Blocks of rows put together: in memory, or in a temporary file if they are too many."""

import math
import os
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ...backends import resolve

_SHARE = 0.5
"""The share of the free memory that the numbers of a table may take."""

_PIECE = 1 << 18
"""How many numbers are replaced at a time."""


def default_limit() -> float:
    """Return how many bytes the numbers of a table may take in memory."""
    memory = resolve("cpu").memory()
    return math.inf if memory is None else _SHARE * memory.free


class Gathered:
    """Rows that come in blocks, with as many columns each.

    Used in a ``with`` block, which deletes the temporary file if reading fails.

    Parameters
    ----------
    n_columns : int
    dtype : NumPy dtype
        The type of the result.
    limit : float
        The most bytes to keep in memory. Rows beyond it, and all before them, go to a temporary
        file, in the folder that :func:`tempfile.gettempdir` chooses.
    """

    def __init__(self, n_columns: int, dtype: Any, limit: float) -> None:
        self._n_columns, self._dtype, self._limit = n_columns, np.dtype(dtype), limit
        self._blocks: list[np.ndarray] = []
        self._file: Any = None
        self.n_rows = 0

    def __enter__(self) -> "Gathered":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()
            _delete(self._file.name)

    def add(self, block: np.ndarray) -> None:
        """Add rows, an array of shape (k, n_columns)."""
        self.n_rows += len(block)
        block = np.ascontiguousarray(block, self._dtype)
        if self._file is not None:
            self._write(block)
            return
        self._blocks.append(block)
        if self.n_rows * self._n_columns * self._dtype.itemsize > self._limit:
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - outlives this call
                prefix="xpnet-", suffix=".rows", delete=False
            )
            while self._blocks:
                self._write(self._blocks.pop(0))

    def _write(self, block: np.ndarray) -> None:
        self._file.write(block.data)

    def finish(self, mappings: Mapping[int, np.ndarray]) -> np.ndarray:
        """Return all rows; a read-only memory map of the file if they are in one.

        The file is deleted when the map is, or when Python ends.

        Parameters
        ----------
        mappings : mapping of int to array
            For some columns, the number that replaces each code 0, 1, ...
        """
        shape = self.n_rows, self._n_columns
        if self._file is None:
            rows = np.empty(shape, self._dtype)
            end = len(rows)
            while self._blocks:  # each block is freed at once, so memory holds the rows once
                block = self._blocks.pop()
                rows[end - len(block) : end] = block
                end -= len(block)
            _replace(rows, mappings)
            return rows
        self._file.close()
        name, self._file = self._file.name, None
        try:
            changed = np.memmap(name, self._dtype, "r+", shape=shape)
            _replace(changed, mappings)
            changed.flush()
            del changed
            rows = np.memmap(name, self._dtype, "r", shape=shape)
        except BaseException:
            _delete(name)
            raise
        weakref.finalize(rows._mmap, _delete, name)  # type: ignore[attr-defined]
        return rows


def _replace(rows: np.ndarray, mappings: Mapping[int, np.ndarray]) -> None:
    """Replace the codes in some columns."""
    step = max(_PIECE // max(rows.shape[1], 1), 1)
    for start in range(0, len(rows), step) if mappings else ():
        piece = rows[start : start + step]
        for column, values in mappings.items():
            piece[:, column] = values[piece[:, column].astype(np.int64)]


def _delete(name: str) -> None:
    with suppress(OSError):
        os.unlink(name)
