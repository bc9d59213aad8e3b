"""Batches that a user's code makes during training; each is one step."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...backends import Array, array_namespace
from ...data import Dataset
from ...data.features import SparseRows
from ...model.randomness import Orders
from ..checks import naming_argument
from .arrays import Arrays, DenseArrays, SparseArrays
from .intake import Intake
from .passes import Passes
from .placing import place

Read = Callable[[str, Any], tuple[Dataset, Array]]
"""Takes a batch's name for messages and the batch; returns the checked batch and its targets."""


@dataclass(frozen=True)
class _Room:
    """The capacity of the steps' buffers: the largest batch, and the type of its features."""

    dtype: Any
    rows: int
    entries: int
    """The most stored numbers of sparse features; 0 for dense features."""

    def holds(self, other: "_Room") -> bool:
        """Whether there is room for a batch that needs ``other``."""
        fits = self.rows >= other.rows and self.entries >= other.entries
        return self.dtype == other.dtype and fits


class Batches:
    """A training set that arrives batch by batch; each batch is a chunk of one step.

    Parameters
    ----------
    passes : Passes
    read : function
        Checks a batch; see `Read`.

    Attributes
    ----------
    first : Dataset
        The first batch.
    y : array
        The targets of the first batch, in the form that the loss takes.

    Raises
    ------
    ValueError, TypeError
        The first batch, or a later one in :meth:`chunks`, does not fit the network or the loss.
    """

    def __init__(self, passes: Passes, read: Read) -> None:
        self._passes, self._read = passes, read
        self.first, self.y = read("batches[0]", passes.first())
        self._kind = _kind(self.first, self.y)
        self._next: Arrays | None = None
        self._sample: Arrays
        self._room = _Room(None, 0, 0)
        self._intake: Intake

    @property
    def n_steps(self) -> int | None:
        """The number of steps in an epoch, or None if it is not known in advance."""
        return self._passes.n_steps

    def begin(self, intake: Intake) -> None:
        """Move the first batch to the device of the network."""
        self._intake = intake
        with naming_argument("batches[0]"):
            self._next = self._placed(self.first, self.y)
        self.make_room(self._next)

    def chunks(
        self, orders: Orders, epoch: int
    ) -> Generator[tuple[Arrays, np.ndarray], None, None]:
        """Yield each batch of an epoch; its samples keep their order."""
        for name, item in self._passes.epoch():
            arrays, self._next = self._next, None
            if arrays is None:
                data, y = self._read(name, item)
                with naming_argument(name):
                    self._check_kind(data, y)
                    arrays = self._placed(data, y)
            yield arrays, np.arange(len(arrays))

    def pass_over(self, epochs: int) -> None:
        """Take and drop the batches of the first epochs, which a resumed run has already used."""
        for _ in range(epochs):
            for _ in self._passes.epoch():
                self._next = None

    def has_room(self, arrays: Arrays) -> bool:
        """Whether the steps made from :meth:`sample` can take a batch."""
        return self._room.holds(_needed(arrays))

    def make_room(self, arrays: Arrays) -> int:
        """Make room for a batch in :meth:`sample`; return the most rows that a batch may have."""
        needed, old = _needed(arrays), self._room
        entries = old.entries
        if needed.entries > entries:  # doubled, so that slightly larger batches need no new steps
            entries = 2 * needed.entries
        self._room = _Room(needed.dtype, max(old.rows, needed.rows), entries)
        self._sample = arrays
        return self._room.rows

    def sample(self, own: bool = False) -> tuple[Arrays, int]:
        """Return new arrays with room for any batch, and their bytes; see :meth:`Arrays.sample`."""
        rows, given = self._room.rows, self._sample
        y, weight = _padded(given.y, rows), _padded(given.sample_weight, rows)
        X = given.X
        if isinstance(given, SparseArrays):
            X = _with_entries(X, rows, self._room.entries)
            made = [y, weight, X.data, X.indices, X.indptr]
        elif isinstance(given, DenseArrays):
            X = _padded(X, rows)
            made = [y, weight, X]
        else:  # not used by steps that need room
            return given, 0
        arrays = replace(given, X=X, y=y, sample_weight=weight)
        return arrays, sum(each.nbytes for each in made if each is not None)

    def _placed(self, data: Dataset, y: Array) -> Arrays:
        """Move a batch to the device, in the type that all batches have there."""
        arrays: Any = place(data, self._intake, y, read=True)
        # A new array object for each batch: steps assume that the same object holds the same
        # numbers, but a user's code may write each batch into the arrays of the previous batch.
        arrays = replace(arrays, y=arrays.y[...])
        if isinstance(arrays, DenseArrays):
            backend = arrays.backend
            X = arrays.X if arrays.keeps_type else backend.asarray(arrays.X, backend.dtype)
            if isinstance(X, np.ndarray):
                X = np.ascontiguousarray(X)
            arrays = replace(arrays, X=X)
        placed: Arrays = arrays
        return placed

    def _check_kind(self, data: Dataset, y: Array) -> None:
        """Refuse a batch of a different kind from the first."""
        for (what, own), first in zip(_kind(data, y).items(), self._kind.values(), strict=True):
            if own != first:
                raise ValueError(f"{what} {own}, but {first} in batches[0]: make all batches alike")


def _kind(data: Dataset, y: Array) -> dict[str, str]:
    """Return the properties that all batches must share, worded for the message."""
    columns = f"of shape (n, {', '.join(map(str, y.shape[1:]))})" if y.ndim > 1 else "of shape (n,)"
    return {
        "its features are": "sparse" if isinstance(data.features, SparseRows) else "dense",
        "its sample weights are": "missing" if data.sample_weight is None else "given",
        "its targets for the loss are": columns,
    }


def _needed(arrays: Arrays) -> _Room:
    """Return the room that a batch needs."""
    sparse = isinstance(arrays, SparseArrays)
    return _Room(arrays.X.dtype, len(arrays), int(arrays.X.data.shape[0]) if sparse else 0)


def _padded(array: Array | None, rows: int) -> Array | None:
    """Return a copy of an array, padded to ``rows`` rows with zeros; None for None."""
    if array is None:
        return None
    copied = array_namespace(array).zeros((rows, *array.shape[1:]), dtype=array.dtype)
    copied[: len(array)] = array
    return copied


def _with_entries(X: Any, rows: int, entries: int) -> Any:
    """Return a copy of a CSR matrix, padded with empty rows and room for more entries."""
    grown: Any = type(X)((rows, X.shape[1]), dtype=X.dtype)
    grown.data, grown.indices = _padded(X.data, entries), _padded(X.indices, entries)
    grown.indptr = _padded(X.indptr, rows + 1)
    grown.indptr[len(X.indptr) :] = X.data.shape[0]
    return grown
