"""Data sets that are read while the network computes: larger than memory, or stored in a file."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import Arrays, take
from ._chunks import rows_of
from ._mapped import Read
from ._reading import not_finite
from ._stored import numpy_type, stored_rows
from .backends import Array, Backend

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

_CHECKED = 1 << 14
"""Numbers that are checked at a time: of float32 a piece of 64 KiB, which stays in a cache."""

Part = tuple[np.ndarray, np.ndarray]
"""The ranges of rows that a chunk is made of, and the order in which its samples are taken."""


class Stream:
    """A data set of which a thread reads one chunk of features while another is trained on.

    Two buffers are used in turn, made once. Targets and weights, which are small, are where the
    network lives from the beginning.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
        Anything whose slices of rows NumPy understands: an array, a ``numpy.memmap``, a data set
        of HDF5 or Zarr.
    y, sample_weight : array or None
    backend : Backend
    chunk : int
        Rows of a chunk, at the most; in training a multiple of the batch size.
    batch_size : int, default 1
        Of the training.
    block : int, default 1
        Rows that are read in one piece, when chunks are made of pieces from everywhere.
    narrowed : function, optional
        Where the first layer takes features of their own type: what turns rows into numbers of
        the network's type, for the check alone.

    Raises
    ------
    ValueError
        From the iteration: a chunk has a number that is not finite in the network's type.
    """

    def __init__(
        self,
        X: Any,
        y: Array | None,
        sample_weight: Array | None,
        backend: Backend,
        chunk: int,
        batch_size: int = 1,
        block: int = 1,
        narrowed: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._narrowed = narrowed
        self.X, self.y, self.sample_weight, self.backend = X, y, sample_weight, backend
        self._layout = chunk, batch_size, block
        self.chunk = min(chunk, max(len(self), 1))
        self._dtype = numpy_type(X)
        self._buffers: list[np.ndarray] = []
        self._checked = self._dtype.kind != "f" and narrowed is None

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def first(self) -> Arrays:
        """Return arrays of the kind and shape of a chunk's, which are nobody else's."""
        y, weight = take(self.backend.asarray(np.arange(self.chunk)), self.y, self.sample_weight)
        return self._chunk(self._buffer(0), y, weight)

    def _chunk(self, X: np.ndarray, y: Array | None, weight: Array | None) -> Arrays:
        own = self._narrowed is not None
        return Arrays(self.backend.asarray(X), y, weight, self.backend, keeps_type=own)

    def _buffer(self, turn: int) -> np.ndarray:
        if not self._buffers:
            shape = (self.chunk, *self.X.shape[1:])
            self._buffers = [np.empty(shape, self._dtype) for _ in range(2)]
        return self._buffers[turn]

    def chunks(
        self, network: "NeuralNetwork", epoch: int
    ) -> Generator[tuple[Arrays, np.ndarray], None, None]:
        """Give the chunks of an epoch, and the order of the samples in each."""
        yield from self._read_ahead(network.chunk_orders(len(self), epoch, *self._layout))
        self._checked = True

    def batches(self, size: int) -> Generator[Arrays, None, None]:
        """Give batches of ``size`` samples in the order of the data, for prediction."""
        n = len(self)
        starts = np.arange(0, max(n, 1), self.chunk)
        ranges = np.stack([starts, np.minimum(starts + self.chunk, n)], axis=1)
        parts = ((each[None], np.arange(each[1] - each[0])) for each in ranges)
        with closing(self._read_ahead(parts)) as chunks:
            for arrays, within in chunks:
                yield from arrays.batches(size, within)
        self._checked = True

    def _read_ahead(
        self, parts: Iterator[Part]
    ) -> Generator[tuple[Arrays, np.ndarray], None, None]:
        """Give chunks, each while the next one is read; what reading raises is raised here."""
        # Leaving the block, by an exception too, waits for the thread's end.
        with (
            stored_rows(self.X) as read,
            ThreadPoolExecutor(1, thread_name_prefix="xpnet-reader") as reader,
        ):
            part = next(parts, None)
            reading = None if part is None else reader.submit(self._read, read, part[0], 0)
            turn = 0
            while part is not None and reading is not None:
                X, (ranges, order) = reading.result(), part
                part, turn = next(parts, None), 1 - turn
                reading = None if part is None else reader.submit(self._read, read, part[0], turn)
                yield self._arrays(X, ranges), order

    def _arrays(self, X: np.ndarray, ranges: np.ndarray) -> Arrays:
        """Return a chunk where the network lives."""
        y, weight = self.y, self.sample_weight
        if len(ranges) > 1:
            y, weight = take(self.backend.asarray(rows_of(ranges)), y, weight)
        else:
            start, stop = ranges[0].tolist()
            y, weight = (None if each is None else each[start:stop, ...] for each in (y, weight))
        return self._chunk(X, y, weight)

    def _read(self, read: Read, ranges: np.ndarray, turn: int) -> np.ndarray:
        """Read the rows of a chunk into one of the buffers."""
        buffer, filled = self._buffer(turn), 0
        for start, stop in ranges.tolist():
            out = buffer[filled : filled + stop - start]
            read(start, stop, out)
            if not self._checked:  # to go through all once is enough
                check_rows(out, start, self.backend.dtype, self._narrowed)
            filled += len(out)
        return buffer[:filled]


def check_rows(
    rows: np.ndarray,
    first: int,
    dtype: str,
    narrowed: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:
    """Refuse stored rows with a number that is not finite in the network's type.

    Parameters
    ----------
    rows : array of shape (n, n_features)
    first : int
        The place of the first of them in the data.
    dtype : str
        The network's type.
    narrowed : function, optional
        What turns rows into numbers of that type, if rounding them is not enough.

    Raises
    ------
    ValueError
        With the place of the first such number.
    """
    if rows.dtype.kind != "f" and narrowed is None:
        return
    step = max(_CHECKED // max(rows.shape[1], 1), 1)
    for start in range(0, len(rows), step):
        with np.errstate(over="ignore"):
            some = rows[start : start + step]
            some = some.astype(dtype, copy=False) if narrowed is None else narrowed(some)
        finite = np.isfinite(some)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            value = rows[start + row, column]
            where = f"row {first + start + row}, column {column}"
            raise not_finite("X", int(np.sum(~finite)), value, where)
