"""Data sets, larger than memory or stored in files, that are read while the network computes."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np

from ...backends import Array, Backend
from ...data.chunks import rows_of
from ...data.codes import Columns, check_read
from ...data.features import DenseRows, Rows, StoredRows
from ...data.finite import not_finite
from ...data.mapped import Read
from ...model.randomness import Orders
from .arrays import Batch, DenseArrays, take

_CHECKED = 1 << 14
"""The most numbers checked at a time: 64 KiB of float32, which fits in the CPU cache."""

Part = tuple[np.ndarray, np.ndarray]
"""The row ranges that make up a chunk, and the order in which its samples are used."""


class Stream:
    """A data set whose next chunk a thread reads while the network trains on the current one.

    Two buffers are allocated once and used alternately. Targets and weights are small, so they are
    on the network's device from the start.

    Parameters
    ----------
    features : DenseRows or StoredRows
    y, sample_weight : array or None
    backend : Backend
    chunk : int
        The most rows in a chunk; in training, a multiple of the batch size.
    batch_size : int, default 1
        The batch size of training.
    block : int, default 1
        Contiguous rows per read in training, where a chunk is a mixture of blocks.
    narrowed : function, optional
        Casts rows to the network's type as the first layer does, for the check only. None unless
        the first layer takes features in their own type.
    codes : dict of int to Codes, optional
        The columns in which only codes of categories are accepted.

    Raises
    ------
    ValueError
        On iteration: a chunk has a number that is not finite in the network's type, or not a code.
    """

    def __init__(
        self,
        features: DenseRows | StoredRows,
        y: Array | None,
        sample_weight: Array | None,
        backend: Backend,
        chunk: int,
        batch_size: int = 1,
        block: int = 1,
        narrowed: Callable[[np.ndarray], np.ndarray] | None = None,
        codes: Columns | None = None,
    ) -> None:
        self._narrowed, self._codes = narrowed, codes or {}
        self._features = features
        self.y, self.sample_weight, self.backend = y, sample_weight, backend
        self._layout = chunk, batch_size, block
        self.chunk = min(chunk, max(len(self), 1))
        self._buffers: list[np.ndarray] = []
        self._checked = features.dtype.kind != "f" and narrowed is None and not self._codes

    def __len__(self) -> int:
        return len(self._features)

    def sample(self, own: bool = False) -> tuple[DenseArrays, int]:
        """Return arrays of the shapes and types of a chunk; see :meth:`Arrays.sample`."""
        y, weight = take(self.backend.asarray(np.arange(self.chunk)), self.y, self.sample_weight)
        arrays = self._chunk(self._buffer(0), y, weight)
        held = [y, weight]
        if own:  # the buffer is overwritten with a later chunk
            arrays = replace(arrays, X=self.backend.xp.asarray(arrays.X, copy=True))
            held.append(arrays.X)
        return arrays, sum(each.nbytes for each in held if each is not None)

    def _chunk(self, X: np.ndarray, y: Array | None, weight: Array | None) -> DenseArrays:
        keeps_type = self._narrowed is not None
        return DenseArrays(self.backend.asarray(X), y, weight, self.backend, keeps_type=keeps_type)

    def _buffer(self, turn: int) -> np.ndarray:
        if not self._buffers:
            shape = (self.chunk, self._features.n_features)
            self._buffers = [np.empty(shape, self._features.dtype) for _ in range(2)]
        return self._buffers[turn]

    def chunks(
        self, orders: Orders, epoch: int
    ) -> Generator[tuple[DenseArrays, np.ndarray], None, None]:
        """Yield the chunks of an epoch, each with the order of its samples."""
        yield from self._read_ahead(orders.chunks(len(self), epoch, *self._layout))
        self._checked = True

    def batches(self, size: int, order: np.ndarray | None = None) -> Generator[Batch, None, None]:
        """Yield batches of ``size`` samples in the order of the data, for prediction.

        Raises
        ------
        TypeError
            On iteration: another order is given.
        """
        if order is not None:
            raise TypeError("X is stored data, which are read in order: give shuffle=False")
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
    ) -> Generator[tuple[DenseArrays, np.ndarray], None, None]:
        """Yield each chunk while the next one is read; raise errors of reading."""
        # Leaving the block, even by an exception, waits for the thread to finish.
        with (
            self._features.reader() as read,
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

    def _arrays(self, X: np.ndarray, ranges: np.ndarray) -> DenseArrays:
        """Return a chunk on the network's device."""
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
            if not self._checked:  # one pass over the data is enough
                check_rows(out, start, self.backend.dtype, self._narrowed, self._features)
                check_read(self._codes, out, start, self._features)
            filled += len(out)
        return buffer[:filled]


def check_rows(
    rows: np.ndarray,
    first: int,
    dtype: str,
    narrowed: Callable[[np.ndarray], np.ndarray] | None = None,
    features: Rows | None = None,
) -> None:
    """Refuse stored rows with a number that is not finite in the network's type.

    Parameters
    ----------
    rows : array of shape (n, n_features)
    first : int
        The position of the first of these rows in the data.
    dtype : str
        The network's type.
    narrowed : function, optional
        Casts rows to that type, if that takes more than rounding.
    features : Rows, optional
        The data that contain the rows, for row numbers in messages.

    Raises
    ------
    ValueError
        A number is not finite; the message has its row and column.
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
            place = first + start + row
            number = place if features is None else features.number(place)
            where = f"row {number}, column {column}"
            raise not_finite("X", int(np.sum(~finite)), value, where)
