"""Places data for training or prediction: moves them to the device, or streams them."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from ...backends import (
    Array,
    Backend,
    backend_of,
    is_array,
    is_sparse,
    move_state,
    ops,
    own_structure,
    resolve,
)
from ...backends._warnings import warn
from ...data import Dataset
from ...data.stored import is_stored, numpy_type, read_all, rows_decoded_together
from ...layers import Layer
from ...losses import LossFunction
from .. import memory
from ..checks import blaming, prepare_targets, warn_of_lost_digits
from ..weighing import balanced_loss, check_total_weight
from .arrays import Arrays
from .streaming import Stream, check_rows
from .wide import beyond, check_limits, keeps_type, narrowing, takes_wide

if TYPE_CHECKING:
    from ...neuralnet import NeuralNetwork

Data = Arrays | Stream


@dataclass(frozen=True)
class Placed:
    """The data of a training run, on the device or as a stream, with the plan they follow."""

    plan: memory.MemoryPlan
    training: Data
    validation: Data | None
    loss: LossFunction
    """The network's loss; balanced class weights are computed from the training data."""
    available: float
    """Bytes that training may use."""
    sizes: memory.Sizes

    def in_pieces(self, network: "NeuralNetwork", rows: int) -> "Placed":
        """Return a copy whose batches go through the network ``rows`` samples at a time."""
        old = self.plan
        plan = memory.plan(network, self.sizes, old.n_samples, old.batch_size, rows, old.chunk)
        return replace(self, plan=plan)


def place_training(
    network: "NeuralNetwork", training: Dataset, validation: Dataset | None, backend: Backend
) -> Placed:
    """Check the targets, choose a memory plan, and move the data to ``backend`` accordingly.

    Raises
    ------
    ValueError
        The targets do not fit the loss or the network, every sample has weight 0, or a layer
        cannot learn from batches as small as these.
    MemoryPlanError
        No plan fits in memory.
    """
    y, held_out = targets_of(network, training), None
    if validation is not None:
        with blaming("validation"):
            held_out = targets_of(network, validation)
    n_outputs = network.layers[-1].output_shape()[0]
    loss = balanced_loss(network.loss, y, training.sample_weight, n_outputs)
    for what, data, targets in (("training", training, y), ("validation", validation, held_out)):
        if data is not None:
            given = (loss, targets, data.sample_weight, n_outputs, backend.dtype)
            check_total_weight(f"{what} data", *given)
    if takes_wide(network, backend) is None:
        warn_of_lost_digits(training, network.layers[0], backend)
    both = network, loss, (training, y), (validation, held_out), backend
    stored = [data for data in (training, validation) if data is not None and is_stored(data.X)]
    if network.memory_limit is None:
        for k in range(len(stored), 0, -1):  # the validation data are the first to stay stored
            with suppress(MemoryError):
                return _place_both(*both, read=stored[:k])
    return _place_both(*both, read=[])


def _place_both(
    network: "NeuralNetwork",
    loss: LossFunction,
    training: tuple[Dataset, Array],
    validation: tuple[Dataset | None, Array | None],
    backend: Backend,
    read: list[Dataset],
) -> Placed:
    """Place the data, and read into memory the stored data sets listed in ``read``.

    Raises
    ------
    MemoryError
        The data in ``read`` do not fit in memory.
    MemoryPlanError
        ``read`` is empty, and no plan fits in memory.
    """
    (data, y), (held_out, held_out_y) = training, validation
    sizes = _sizes(network, data, y, backend)
    if held_out is not None:
        own = _sizes(network, held_out, held_out_y, backend)
        bytes_ = own.other_bytes * len(held_out)
        if is_stored(held_out.X) and held_out not in read:
            bytes_ += own.streamed_bytes * 2 * min(memory.EVALUATION_ROWS, len(held_out))
        else:
            bytes_ += own.feature_bytes * len(held_out)
        sizes = replace(sizes, evaluated=len(held_out), evaluated_bytes=bytes_)
    available = _available(network, data, backend, sizes)
    most = _room_to_read(read, backend, available) if read else available
    streamed = is_stored(data.X) and data not in read
    plan = memory.choose(network, sizes, len(data), most, streamed)
    if read and plan.chunk is not None:
        raise MemoryError("the stored data do not fit in memory")
    _check_learning(network, plan)
    placed = place_for(network, data, backend, y, plan, data in read)
    evaluated = None
    if held_out is not None:
        evaluated = place_for(network, held_out, backend, held_out_y, read=held_out in read)
    return Placed(plan, placed, evaluated, loss, available, sizes)


def _check_learning(network: "NeuralNetwork", plan: memory.MemoryPlan) -> None:
    """Refuse a batch size from which a layer cannot learn; warn if some samples teach nothing."""
    if not network.parameters:
        warn(
            "no layer of the network has parameters: fit computes the loss but trains nothing. "
            "Add a layer that has some, e.g. a DenseLayer"
        )
    size, last = plan.batch_size, plan.n_samples % plan.batch_size
    for layer in network.layers:
        name, least = layer.layer_name(), layer.least_samples
        if size < least:
            raise ValueError(
                f"{name} learns nothing from batches of {size} sample(s): expected batch_size="
                f"{least} or more, and at least {least} samples"
            )
        if 0 < last < least:
            warn(
                f"{name} learns nothing from fewer than {least} samples at a time, and the last "
                f"batch of each epoch has {last}: {plan.n_samples} samples in batches of {size}. "
                "Choose another batch_size, e.g. one that divides the samples evenly"
            )


_ASSUMED_FREE = 1 << 30
"""Bytes of memory assumed to be free if the system does not say."""

_KEPT_FREE = 0.25
"""Share of the free memory that is left to the file cache and to other programs."""


def _room_to_read(read: list[Dataset], backend: Backend, available: float) -> float:
    """Return how many bytes training may use if the data sets in ``read`` are read into memory."""
    host = resolve("cpu").memory()
    free = _ASSUMED_FREE if host is None else host.free
    types = [numpy_type(data.X) for data in read]
    sizes = [
        math.prod(data.shape) * dtype.itemsize for data, dtype in zip(read, types, strict=True)
    ]
    if backend.name != "numpy" and backend.memory() is not None:
        # The host holds the data only until they are on the device.
        return available if sum(sizes) <= (1 - _KEPT_FREE) * free else 0
    # During a cast, memory holds the data in the file's type and in the network's.
    cast = [dtype.kind == "f" and dtype != backend.dtype for dtype in types]
    most = available if math.isfinite(available) else free
    return most - _KEPT_FREE * free - sum(compress(sizes, cast))


def targets_of(network: "NeuralNetwork", data: Dataset) -> Array:
    """Return the targets of a data set in the form that the network's loss takes."""
    if data.y is None:
        raise ValueError("the data set has no targets: give Dataset(X, y)")
    n_outputs = network.layers[-1].output_shape()[0]
    return prepare_targets(data.y, network.loss, n_outputs, network.metric, network.target_unit)


def keeps_sparse(network: "NeuralNetwork") -> bool:
    """Whether batches of sparse rows stay sparse, because the first layer takes them so."""
    return network.layers[0].takes_sparse


def _sizes(network: "NeuralNetwork", data: Dataset, y: Array, backend: Backend) -> memory.Sizes:
    """Return the sizes in bytes from which the memory plan is made."""
    item = np.dtype(backend.dtype).itemsize
    sparse = is_sparse(data.X) and keeps_sparse(network)
    wide = keeps_type(data.X, takes_wide(network, backend), backend)
    if is_sparse(data.X):  # a value and a column index for each stored number
        index = data.X.indices.itemsize
        features = math.ceil((item + index) * data.X.nnz / max(len(data), 1)) + index
        streamed = 0
    else:
        features = data.n_features * memory.itemsize_of(numpy_type(data.X), 8 if wide else item)
        streamed = data.n_features * numpy_type(data.X).itemsize
    other = math.prod(y.shape[1:]) * memory.itemsize_of(numpy_type(y), item)
    other += item * (data.sample_weight is not None)
    decoded = rows_decoded_together(data.X)
    return memory.Sizes(item, features, other, streamed, decoded, sparse, wide)


def _available(
    network: "NeuralNetwork", data: Dataset, backend: Backend, sizes: memory.Sizes
) -> float:
    """Return how many bytes training may use: the user's limit, or else the free memory."""
    if network.memory_limit is not None:
        return network.memory_limit
    free = backend.memory()
    if free is None:
        return math.inf
    # The plan counts the data, which take no new memory if they are on the device already.
    on_device = is_array(data.X) and backend.owns(data.X) and not is_stored(data.X)
    return free.free + on_device * len(data) * (sizes.feature_bytes + sizes.other_bytes)


def place_for(
    network: "NeuralNetwork",
    dataset: Dataset,
    backend: Backend,
    y: Array | None = None,
    plan: memory.MemoryPlan | None = None,
    read: bool = False,
) -> Data:
    """Place data for a network; see :func:`place`."""
    first = takes_wide(network, backend)
    return place(dataset, backend, y, keeps_sparse(network), first, plan, read)


def place(
    dataset: Dataset,
    backend: Backend,
    y: Array | None = None,
    keeps: bool = False,
    first: Layer | None = None,
    plan: memory.MemoryPlan | None = None,
    read: bool = False,
) -> Data:
    """Move features, targets and weights to ``backend``, or make a stream of the features.

    Parameters
    ----------
    dataset : Dataset
    backend : Backend
    y : array, optional
        The targets in the form that the loss takes.
    keeps : bool, default False
        Whether batches of sparse features stay sparse.
    first : Layer, optional
        The network's first layer, if it takes features with more digits than the network's type
        has; see :func:`takes_wide`.
    plan : MemoryPlan, optional
        The plan for training, which says whether to stream the data.
    read : bool, default False
        Whether to read stored data into memory. Otherwise they are streamed, even without a plan.

    Returns
    -------
    Arrays or Stream

    Raises
    ------
    ValueError
        A feature, target or weight is too large for the network's type.
    """
    X, weight = dataset.X, dataset.sample_weight
    y = None if y is None else _move(y, backend)
    if weight is not None:
        weight = backend.asarray(_move(weight, backend), backend.dtype)
    narrowed = narrowing(first, backend) if keeps_type(X, first, backend) else None
    if is_sparse(X):
        if narrowed is not None:
            check_limits(X, narrowed, backend)
            return Arrays(own_structure(X), y, weight, backend, keeps_type=True)
        # Only for the check that the network's type holds the values, where they are now.
        _move(X.data, backend_of(X.data).with_dtype(backend.dtype))
        rows = backend.from_sparse(X) if keeps else None
        own = own_structure(X) if rows is None else rows
        return Arrays(own, y, weight, backend, rows is not None)
    if is_stored(X) and read:
        X = read_all(X)
        check_rows(X, 0, backend.dtype, narrowed)
    if plan is not None and plan.chunk is not None:
        block = plan.block or 1
        return Stream(X, y, weight, backend, plan.chunk, plan.batch_size, block, narrowed)
    if is_stored(X):
        return Stream(X, y, weight, backend, memory.EVALUATION_ROWS, narrowed=narrowed)
    if narrowed is not None:
        check_limits(X, narrowed, backend)
        if isinstance(X, np.ndarray):  # the layout and byte order that the kernels expect
            X = np.ascontiguousarray(X, numpy_type(X))
        return Arrays(move_state(X, backend, wide=True), y, weight, backend, keeps_type=True)
    return Arrays(_move(X, backend), y, weight, backend)


def _move(x: Array, backend: Backend) -> Array:
    """Move an array. Integers keep their type, which is often smaller; each batch is cast."""
    if isinstance(x, np.ndarray):
        x = x.astype(x.dtype.newbyteorder("="), copy=False)
    with np.errstate(over="ignore"):  # overflow is reported below, with a clear message
        moved, xp = move_state(x, backend), backend.xp
    if moved is x or not xp.isdtype(moved.dtype, "real floating"):
        return moved
    if not backend.scalar(ops.all_finite(moved)):
        raise ValueError(
            f"the data have numbers {beyond(backend)}: scale them down, or give dtype='float64'"
        )
    return moved
