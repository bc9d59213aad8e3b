"""Where the data of a training or a prediction go: to the device, or into a stream."""

import math
import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _moments, memory
from ._arrays import Arrays
from ._originals import replaced
from ._preparing import prepare_targets, warn_of_lost_digits
from ._reading import is_stored, is_wide, numpy_type
from ._streaming import Stream
from ._weighing import balanced_loss, check_total_weight
from .backends import (
    Array,
    Backend,
    backend_of,
    is_array,
    is_sparse,
    move_state,
    ops,
    own_structure,
    to_host,
)
from .data import Dataset
from .layers import Layer, Normalization
from .losses import LossFunction

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

Data = Arrays | Stream


@dataclass(frozen=True)
class Placed:
    """What a training needs, where it needs it."""

    plan: memory.MemoryPlan
    training: Data
    validation: Data | None
    loss: LossFunction
    """The network's, with the class weights for the training data, if they are to be balanced."""
    available: float
    sizes: memory.Sizes

    def in_pieces(self, network: "NeuralNetwork", rows: int) -> "Placed":
        """Return the same with batches that go through the network in pieces of ``rows``."""
        old = self.plan
        plan = memory.plan(network, self.sizes, old.n_samples, old.batch_size, rows, old.chunk)
        return replace(self, plan=plan)


def place_training(
    network: "NeuralNetwork", training: Dataset, validation: Dataset | None, backend: Backend
) -> Placed:
    """Check the targets, choose how the data get to ``backend``, and bring them there.

    Raises
    ------
    ValueError
        The targets do not fit the loss or the network; no sample counts, or a layer could not learn
        from batches of the size asked for.
    MemoryPlanError
        There is no way that fits into the memory.
    """
    y, held_out = (
        None if data is None else targets_of(network, data) for data in (training, validation)
    )
    n_outputs = network.layers[-1].output_shape()[0]
    loss = balanced_loss(network.loss, y, training.sample_weight, n_outputs)
    for what, data, targets in (("training", training, y), ("validation", validation, held_out)):
        if data is not None:
            given = (loss, targets, data.sample_weight, n_outputs, backend.dtype)
            check_total_weight(f"{what} data", *given)
    keeps, first = keeps_sparse(network), takes_wide(network, backend)
    if first is None:
        warn_of_lost_digits(training, network.layers[0], backend)
    sizes = _sizes(network, training, y, backend)
    if validation is not None:
        own = _sizes(network, validation, held_out, backend)
        bytes_ = own.other_bytes * len(validation)
        if is_stored(validation.X):
            bytes_ += own.streamed_bytes * 2 * min(memory.EVALUATION_ROWS, len(validation))
        else:
            bytes_ += own.feature_bytes * len(validation)
        sizes = replace(sizes, evaluated=len(validation), evaluated_bytes=bytes_)
    available = _available(network, training, backend, sizes)
    plan = memory.choose(network, sizes, len(training), available, streamed=is_stored(training.X))
    _check_learning(network, plan)
    return Placed(
        plan,
        place(training, backend, y, keeps, first, plan.chunk),
        None if validation is None else place(validation, backend, held_out, keeps, first),
        loss,
        available,
        sizes,
    )


def _check_learning(network: "NeuralNetwork", plan: memory.MemoryPlan) -> None:
    """Refuse, or warn of, what a network would go through without learning from it."""
    if not network.parameters:
        warnings.warn(
            "no layer of the network has parameters: fit measures its loss and trains nothing. Add "
            "a DenseLayer, for example",
            stacklevel=5,
        )
    size, rows = plan.batch_size, plan.rows
    short = {size % rows, plan.n_samples % size % rows} - {0}  # besides whole pieces
    for layer in network.layers:
        name, least = layer.layer_name(), layer.least_samples
        if size < least:
            raise ValueError(
                f"{name} learns nothing from batches of {size} sample(s): expected batch_size="
                f"{least} or more, and as many samples"
            )
        if any(n < least for n in short):
            part = "the last batch of each epoch" if rows == size else "a piece of some batches"
            warnings.warn(
                f"{name} learns nothing from fewer than {least} samples at a time, and {part} has "
                f"{min(short)}: {plan.n_samples} samples in batches of {size}"
                + ("" if rows == size else f", which go through the network by {rows}")
                + ". Choose another batch_size, e.g. one that divides the samples evenly",
                stacklevel=5,
            )


def targets_of(network: "NeuralNetwork", data: Dataset) -> Array:
    """Return the targets of a data set as the network's loss takes them, where there are any."""
    if data.y is None:
        raise ValueError("the data set has no targets: give Dataset(X, y)")
    n_outputs = network.layers[-1].output_shape()[0]
    return prepare_targets(data.y, network.loss, n_outputs, network.metric)


def keeps_sparse(network: "NeuralNetwork") -> bool:
    """Whether a batch of sparse rows may stay sparse, as the first layer takes it."""
    return network.layers[0].takes_sparse


def takes_wide(network: "NeuralNetwork", backend: Backend) -> Layer | None:
    """Return the first layer if it takes features with more digits than the network's type has.

    A network with a forward pass of its own may do anything with features before, so it gets them
    in its own type; and there are no such features on a device without float64.
    """
    first = network.layers[0]
    own_pass = replaced(network, ["forward_propagation"]) is not None
    if not first.takes_wide or own_pass or backend.wide_dtype == backend.dtype:
        return None
    return first


def _is_wide(X: Any, first: Layer | None, backend: Backend) -> bool:
    """Whether features stay in their own type until the first layer has them."""
    if first is None or is_sparse(X):
        return False
    return is_wide(numpy_type(X), np.dtype(backend.dtype).itemsize)


def _sizes(network: "NeuralNetwork", data: Dataset, y: Array, backend: Backend) -> memory.Sizes:
    """Return how many bytes a sample takes on the device."""
    item = np.dtype(backend.dtype).itemsize
    sparse = is_sparse(data.X) and keeps_sparse(network)
    wide = _is_wide(data.X, takes_wide(network, backend), backend)
    if is_sparse(data.X):  # a value and its column for each number that is there
        place = data.X.indices.itemsize
        features = math.ceil((item + place) * data.X.nnz / max(len(data), 1)) + place
        streamed = 0
    else:
        features = data.n_features * memory.itemsize_of(numpy_type(data.X), 8 if wide else item)
        streamed = data.n_features * numpy_type(data.X).itemsize
    other = math.prod(y.shape[1:]) * memory.itemsize_of(numpy_type(y), item)
    other += item * (data.sample_weight is not None)
    return memory.Sizes(item, features, other, streamed, sparse, wide)


def _available(
    network: "NeuralNetwork", data: Dataset, backend: Backend, sizes: memory.Sizes
) -> float:
    """Return how many bytes the training may take: the user's limit, or what is free."""
    if network.memory_limit is not None:
        return network.memory_limit
    free = backend.memory()
    if free is None:
        return math.inf
    there = is_array(data.X) and backend.owns(data.X) and not is_stored(data.X)
    return free.free + there * len(data) * (sizes.feature_bytes + sizes.other_bytes)


def place_for(
    network: "NeuralNetwork", dataset: Dataset, backend: Backend, y: Array | None = None
) -> Data:
    """Place data as a network takes them, for anything but its training; see :func:`place`."""
    return place(dataset, backend, y, keeps_sparse(network), takes_wide(network, backend))


def place(
    dataset: Dataset,
    backend: Backend,
    y: Array | None = None,
    keeps: bool = False,
    first: Layer | None = None,
    chunk: int | None = None,
) -> Data:
    """Move features, targets and weights to ``backend``, or make a stream of the features.

    Parameters
    ----------
    dataset : Dataset
    backend : Backend
    y : array, optional
        The targets as the loss takes them.
    keeps : bool
        Whether batches of sparse features may stay sparse.
    first : Layer, optional
        The network's first layer, where it takes features with more digits than the network's
        type has; see :func:`takes_wide`.
    chunk : int, optional
        Rows in a chunk of a stream; data that are stored are streamed without it too.
    """
    X, weight = dataset.X, dataset.sample_weight
    y = None if y is None else _move(y, backend)
    if weight is not None:
        weight = backend.asarray(_move(weight, backend), backend.dtype)
    if is_sparse(X):
        # For its check alone, on the host.
        _move(X.data, backend_of(X.data).with_dtype(backend.dtype))
        rows = backend.from_sparse(X) if keeps else None
        own = own_structure(X) if rows is None else rows
        return Arrays(own, y, weight, backend, rows is not None)
    wide = _is_wide(X, first, backend)
    narrowed = _narrowing(first, backend) if wide else None
    if chunk is not None or is_stored(X):
        return Stream(X, y, weight, backend, chunk or memory.EVALUATION_ROWS, narrowed)
    if narrowed is not None:
        _check_limits(dataset, narrowed, backend)
        if isinstance(X, np.ndarray):  # as kernels go through it
            X = np.ascontiguousarray(X, numpy_type(X))
        return Arrays(move_state(X, backend, wide), y, weight, backend, keeps_type=True)
    return Arrays(_move(X, backend), y, weight, backend)


def _check_limits(dataset: Dataset, narrowed: Any, backend: Backend) -> None:
    """Refuse features that the first layer makes larger than the network's type holds."""
    if not len(dataset):
        return
    low, high = _moments.limits(dataset.X)
    wrong = np.flatnonzero(~np.isfinite(narrowed(np.stack([low, high]))).all(axis=0))
    if wrong.size:
        column = wrong[0]
        raise ValueError(
            f"X has numbers from {low[column]:.3g} to {high[column]:.3g} in column {column}, which "
            f"become {_beyond(backend)} by Normalization: correct them, or give dtype='float64'"
        )


def _narrowing(first: Layer | None, backend: Backend) -> Any:
    """Return a function of rows on the host: the network's numbers that the first layer makes.

    Of a user's layer all that is known is that it takes what is finite.
    """
    if replaced(first, ["forward_propagation"]) is not None or not isinstance(first, Normalization):
        return lambda rows: rows
    moments = to_host(first.mean), to_host(first.scale)
    return partial(_standardized, moments=moments, dtype=np.dtype(backend.dtype))


def _standardized(rows: np.ndarray, moments: tuple[Any, Any], dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):  # refused by who asks, in words
        result: np.ndarray = ops.standardize(rows, *moments, dtype)
    return result


def _move(x: Array, backend: Backend) -> Array:
    """Move an array; integers keep their type, which is smaller, until a batch of them is made."""
    with np.errstate(over="ignore"):  # refused below, in words
        moved, xp = move_state(x, backend), backend.xp
    if moved is x or not xp.isdtype(moved.dtype, "real floating"):
        return moved
    if not backend.scalar(ops.all_finite(moved)):
        raise ValueError(
            f"there are numbers {_beyond(backend)}: scale them down, or give dtype='float64'"
        )
    return moved


def _beyond(backend: Backend) -> str:
    return f"beyond what {backend.dtype} holds ({float(np.finfo(backend.dtype).max):.3g})"
