"""Data sets that are read while the network computes: larger than memory, or stored in a file."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from mmap import ALLOCATIONGRANULARITY
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import Arrays, take
from ._reading import not_finite, numpy_type
from .backends import Array, Backend, is_array, to_host

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork


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
        Rows of a chunk; in training a multiple of the batch size.

    Raises
    ------
    ValueError
        From the iteration: a chunk has a number that is not finite in the network's type.
    """

    def __init__(
        self, X: Any, y: Array | None, sample_weight: Array | None, backend: Backend, chunk: int
    ) -> None:
        self.X, self.y, self.sample_weight, self.backend = X, y, sample_weight, backend
        self.chunk = min(chunk, max(len(self), 1))
        self._dtype = numpy_type(X)
        self._buffers: list[np.ndarray] = []
        self._checked = self._dtype.kind != "f"

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def first(self) -> Arrays:
        """Return the first chunk without having read it: arrays of the right kind and shape."""
        return self._arrays(self._buffer(0), 0)

    def _buffer(self, turn: int) -> np.ndarray:
        if not self._buffers:
            shape = (self.chunk, *self.X.shape[1:])
            self._buffers = [np.empty(shape, self._dtype) for _ in range(2)]
        return self._buffers[turn]

    def chunks(
        self, network: "NeuralNetwork", epoch: int
    ) -> Generator[tuple[Arrays, np.ndarray], None, None]:
        """Give the chunks of an epoch, and the order of the samples in each."""
        yield from self._read_ahead(network.chunk_orders(len(self), self.chunk, epoch))
        self._checked = True

    def batches(self, size: int) -> Iterator[Arrays]:
        """Give batches of ``size`` samples in the order of the data, for prediction."""
        n = len(self)
        starts = range(0, max(n, 1), self.chunk)
        parts = ((start, np.arange(min(self.chunk, n - start))) for start in starts)
        for arrays, within in self._read_ahead(iter(parts)):
            yield from arrays.batches(size, within)

    def _read_ahead(
        self, parts: Iterator[tuple[int, np.ndarray]]
    ) -> Generator[tuple[Arrays, np.ndarray], None, None]:
        """Give chunks, each while the next one is read; what reading raises is raised here."""
        # Leaving the block, by an exception too, waits for the thread's end.
        with ThreadPoolExecutor(1, thread_name_prefix="xpnet-reader") as reader:
            part = next(parts, None)
            reading = None if part is None else reader.submit(self._read, *part, 0)
            turn = 0
            while part is not None and reading is not None:
                X, current = reading.result(), part
                part, turn = next(parts, None), 1 - turn
                reading = None if part is None else reader.submit(self._read, *part, turn)
                yield self._arrays(X, current[0]), current[1]

    def _arrays(self, X: np.ndarray, start: int) -> Arrays:
        """Return a chunk where the network lives."""
        places = self.backend.asarray((start + np.arange(len(X))) % max(len(self), 1))
        y, weight = take(places, self.y, self.sample_weight)
        return Arrays(self.backend.asarray(X), y, weight, self.backend)

    def _read(self, start: int, order: np.ndarray, turn: int) -> np.ndarray:
        """Read as many rows as are in ``order``, from ``start`` on and round the end."""
        n, size = len(self), len(order)
        buffer = self._buffer(turn)[:size]
        before = min(size, n - start)
        pieces = [(start, buffer[:before]), (0, buffer[before:])]
        for first, out in pieces if size > before else pieces[:1]:
            _read_rows(self.X, first, first + len(out), out)
            self._check(out, first)
        return buffer

    def _check(self, rows: np.ndarray, first: int) -> None:
        """Refuse what is not finite in the network's type; a whole epoch needs it once."""
        if self._checked:
            return
        step = max((1 << 16) // max(rows.shape[1], 1), 1)
        for start in range(0, len(rows), step):
            with np.errstate(over="ignore"):
                some = rows[start : start + step].astype(self.backend.dtype, copy=False)
            finite = np.isfinite(some)
            if not finite.all():
                row, column = np.argwhere(~finite)[0]
                value = rows[start + row, column]
                where = f"row {first + start + row}, column {column}"
                raise not_finite("X", int(np.sum(~finite)), value, where)


_PIECE_BYTES = 1 << 20


def _read_rows(X: Any, start: int, stop: int, out: np.ndarray) -> None:
    """Write the rows from ``start`` to ``stop`` into ``out``, with little memory on the way."""
    if (place := _place_in_file(X)) is not None:
        _read_file(place[0], place[1] + start * out.strides[0], out)
        return
    if hasattr(X, "read_direct"):  # h5py
        X.read_direct(out, np.s_[start:stop])
        return
    # In the pieces that the data are stored in, where they say so: each is decoded once.
    row = max(out.dtype.itemsize * int(np.prod(out.shape[1:])), 1)
    stored = getattr(X, "chunks", None)
    step = stored[0] if stored and isinstance(stored[0], int) else max(_PIECE_BYTES // row, 1)
    first = start
    while first < stop:
        last = min((first // step + 1) * step, stop)
        out[first - start : last - start] = to_host(
            X[first:last, ...] if is_array(X) else X[first:last]
        )
        first = last


def _place_in_file(X: Any) -> tuple[str, int] | None:
    """Return the file of a memory map, and where in it the map's first number is.

    Reading the file takes half the time of copying the map, each page of which has to be looked
    up; and what the other cores compute meanwhile has that time. None where the numbers are not
    those of the file, or not in its order.
    """
    shared = isinstance(X, np.memmap) and X.mode in ("r", "r+", "w+") and X.filename is not None
    if not shared or not X.flags.c_contiguous or not len(X):
        return None
    mapped: Any = X._mmap
    begin = np.frombuffer(mapped, np.uint8).ctypes.data
    return str(X.filename), X.offset - X.offset % ALLOCATIONGRANULARITY + X.ctypes.data - begin


def _read_file(path: str, place: int, out: np.ndarray) -> None:
    """Fill ``out`` with what a file has from a place on."""
    rest = memoryview(out.reshape(-1).view(np.uint8).data)
    with open(path, "rb", buffering=0) as file:
        file.seek(place)
        while len(rest):
            count = file.readinto(rest)
            if not count:
                raise OSError(f"{path} has become shorter: {len(rest)} bytes are missing")
            rest = rest[count:]
