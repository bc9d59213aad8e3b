"""The arrays of a captured step, allocated once for whole batches and shared by its programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....backends import Array, ops, to_host
from ....data.features import SparseRows, kind_of
from ....data.reading import has_more_digits
from ....data.stored import numpy_type
from ....layers import CategoricalEmbeddings, Embedding, Normalization
from ....model import Model
from ...averaging import Average
from ..translation import Unit
from .lookups import Lookups, numbers_of
from .placement import Placement

DENSE_BYTES = 1 << 26
"""The largest batch of sparse rows, in bytes of its dense form, that is made dense for cuBLAS."""

MOST_PARTS = 64
"""The largest number of partial sums of a sum over a batch."""

SQUARES = 256
"""The number of partial sums for the sum of squares of a gradient."""


@dataclass
class UnitArrays:
    """The arrays of a unit, each for a whole batch.

    ``deviation`` is the deviation of each column or, in a normalization of rows, the divisor of
    each row.
    """

    output: Array
    error: Array | None
    kept: Array | None
    normalized: Array | None
    deviation: Array | None
    running: dict[str, Array]


class Buffers:
    """All arrays whose addresses are passed to kernels.

    Parameters
    ----------
    machine : CudaMachine
    model : Model
    units : list of Unit
    X : array or CSR matrix of shape (n, n_features)
        On the machine's device.
    y : array
        int64 classes, or rows in the network's type.
    weights : array or None
    batch_size, n_steps : int
        The size of a batch, and the largest number of steps in an epoch.
    keep_outputs : int
        The number of samples of an epoch whose outputs are kept.
    accumulates : bool, default False
        Whether an update comes after several batches.
    averages : bool, default False
        Whether an average of the parameters is kept.

    Attributes
    ----------
    flat, gradient, states : array, array, list of array
        The parameters, their gradient, and the optimizer's state, laid out by ``placement``.
    accumulated, average : array or None
        The sum of the gradients since the last update, and the average of the parameters.
    lookups : Lookups or None
        The lookups of an embedding as the first layer, with arrays on the device.
    codes : int32 array or None
        The rows of the tables that a batch looks up, if the tables are trained.
    order, order_on_host : array
        The indices of an epoch's samples, on the device and in the host buffer for the transfer.
    controls, controls_on_host : array of shape (n_steps, 3)
        For each step, its learning rate, the share of the parameters after it in their average, and
        whether an update follows.
    """

    def __init__(
        self,
        machine: Any,
        model: Model,
        units: list[Unit],
        X: Any,
        y: Array,
        weights: Array | None,
        batch_size: int,
        n_steps: int,
        keep_outputs: int,
        accumulates: bool = False,
        averages: bool = False,
    ) -> None:
        self._machine, self._made = machine, [0]
        is_sparse = kind_of(X) is SparseRows
        self.X = X if is_sparse else self._by_rows(X)
        self.y, self.weights = self._by_rows(y), self._by_rows(weights)
        n_inputs, n_outputs = units[0].n_inputs, units[-1].n_units
        self.sparse: tuple[Array, ...] | None = None
        if is_sparse:
            self.sparse = self._copy(X.indptr, "int64"), self._copy(X.indices, "int32"), X.data
        dense = batch_size * n_inputs * machine.dtype.itemsize <= DENSE_BYTES
        self.x = self.make(batch_size, n_inputs) if self.sparse is None or dense else None
        self.split = self.wide = None
        if type(model.layers[0]) is Normalization:
            self.split, self.wide = self.make(3, n_inputs), self.make(2, n_inputs, dtype="float64")
        self.lookups, self.codes = self._embedded(units[0], batch_size)
        self._norms = [unit.norm for unit in units]
        self.units = [self._unit_arrays(unit, batch_size) for unit in units]
        self.placement = Placement(model.parameters.places, machine.dtype.itemsize)
        size = self.placement.size
        self.flat, self.gradient = self.make(size), self.make(size)
        self.states = [self.make(size) for _ in model.optimizer.state_names]
        self.accumulated = self.make(size) if accumulates else None
        self.average = self.make(size) if averages else None
        self.parts = self.make(MOST_PARTS * max(unit.n_units for unit in units))
        self.squares = self.make(SQUARES, dtype="float64")
        self.row_losses = self.make(batch_size, dtype="float64")
        self.row_hits = self.make(batch_size, dtype="float64")
        self.losses, self.totals = (self.make(n_steps, dtype="float64") for _ in range(2))
        self.order = self.make(n_steps * batch_size, dtype="int64")
        self.order_on_host = machine.host_buffer(self.order.shape, "int64")
        self.controls = self.make(n_steps, 3, dtype="float64")
        self.controls_on_host = machine.host_buffer(self.controls.shape, "float64")
        self.outputs = self.make(keep_outputs, n_outputs) if keep_outputs else None

    @property
    def nbytes(self) -> int:
        """The size in bytes of all arrays allocated here."""
        return self._made[0]

    def make(self, *shape: int, dtype: str | None = None) -> Array:
        """Return a new array of zeros."""
        array = self._machine.zeros(shape, dtype)
        self._made[0] += array.nbytes
        return array

    def _by_rows(self, array: Any) -> Any:
        """Return an array, or a copy of it, that is contiguous and in row order."""
        if array is None or array.flags.c_contiguous:
            return array
        copied = array.copy(order="C")
        self._made[0] += copied.nbytes
        return copied

    def _copy(self, array: Array, dtype: str) -> Array:
        made, cast = self.make(*array.shape, dtype=dtype), array.astype(np.dtype(dtype))
        with self._machine.ordered_with_current_stream():
            self._machine.write(made, cast)
        return made

    def _embedded(self, unit: Unit, rows: int) -> tuple[Lookups | None, Array | None]:
        """Return :attr:`lookups` and :attr:`codes`."""
        if not isinstance(unit.layer, (Embedding, CategoricalEmbeddings)):
            return None, None
        given = numbers_of(unit.layer)
        columns, tables = (self._copy(each, "int64") for each in (given.columns, given.tables))
        n_codes = rows * given.per_sample * len(given.tables)
        codes = self.make(n_codes, dtype="int32") if unit.trained else None
        return given._replace(columns=columns, tables=tables), codes

    def _unit_arrays(self, unit: Unit, rows: int) -> UnitArrays:
        def make(wanted: bool) -> Array | None:
            return self.make(rows, unit.n_units) if wanted else None

        by_batch, by_rows = unit.norm is not None and unit.norm_trained, unit.row_norm is not None
        deviation = self.make(unit.n_units if by_batch else rows) if by_batch or by_rows else None
        return UnitArrays(
            self.make(rows, unit.n_units),
            make(unit.reached),
            make(unit.keeps_derivative),
            make(by_batch or by_rows),
            deviation,
            {name: self.make(unit.n_units) for name in unit.norm.state_names} if unit.norm else {},
        )

    def use(self, X: Any, y: Array, weights: Array | None) -> None:
        """Overwrite the features, targets and weights with those of at most as many samples."""
        pairs: list[tuple[Any, Any]] = [(self.y, y), (self.weights, weights)]
        if self.sparse is None:
            pairs.append((self.X, X))
        else:
            pairs += zip(self.sparse, (X.indptr, X.indices, X.data), strict=True)
        with self._machine.ordered_with_current_stream():
            for place, values in pairs:
                if place is not None and values is not None:
                    self._machine.write(place[: values.shape[0]], values)

    def filled_from(self, model: Model, average: Average | None = None) -> list[tuple[Array, Any]]:
        """Return the arrays to fill before training, each with the network's values."""
        flat, optimizer, first = model.parameters.gather(), model.optimizer, model.layers[0]
        pairs = list(self.placement.pairs(self.flat, flat))
        for place, name in zip(self.states, optimizer.state_names, strict=True):
            pairs += self.placement.pairs(place, optimizer.state_like(name, flat))
        if average is not None and average.flat is not None:
            pairs += self.placement.pairs(self.average, average.flat)
        pairs += [(place, getattr(layer, name)) for layer, name, place in self.running()]
        if self.wide is not None:
            moments = _moments(first)
            pairs.append((self.wide, np.stack(moments)))
            if (split := ops.split_moments(*moments, self.flat.dtype)) is not None:
                pairs.append((self.split, np.stack(split)))
        return pairs

    def standardizes_wide(self, model: Model) -> bool:
        """Whether features are standardised in float64 instead of the network's type."""
        if self.wide is None:
            return False
        dtype = np.dtype(model.backend.dtype)
        if has_more_digits(numpy_type(self.X), dtype.itemsize):
            return True
        return ops.split_moments(*_moments(model.layers[0]), dtype) is None

    def running(self) -> Iterator[tuple[Any, str, Array]]:
        """Yield each layer with the name of a running moment and its array during training."""
        for norm, arrays in zip(self._norms, self.units, strict=True):
            for name, place in arrays.running.items():
                yield norm, name, place

    def parameter(self, layer: Any, name: str) -> Array:
        """Return a view of a parameter during training."""
        return self.flat[self.placement[layer, name]].reshape(getattr(layer, name).shape)

    def gradient_of(self, layer: Any, name: str) -> Array:
        """Return a view of a parameter's gradient."""
        return self.gradient[self.placement[layer, name]].reshape(getattr(layer, name).shape)


def _moments(first: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and scale of a Normalization, on the host."""
    return to_host(first.mean), to_host(first.scale)
