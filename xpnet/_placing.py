"""Where the data of a training or a prediction go: to the device, or into a stream."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from . import memory
from ._arrays import Arrays
from ._preparing import prepare_targets
from ._reading import is_stored, numpy_type
from ._streaming import Stream
from .backends import Array, Backend, backend_of, is_array, is_sparse, move_state, ops
from .data import Dataset

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

Data = Arrays | Stream


@dataclass(frozen=True)
class Placed:
    """What a training needs, where it needs it."""

    plan: memory.MemoryPlan
    training: Data
    validation: Data | None
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
        The targets do not fit the loss or the network.
    MemoryPlanError
        There is no way that fits into the memory.
    """
    y, held_out = (
        None if data is None else _targets(network, data) for data in (training, validation)
    )
    keeps = keeps_sparse(network)
    sizes = _sizes(training, y, backend, keeps)
    if validation is not None:
        own = _sizes(validation, held_out, backend, keeps)
        bytes_ = own.other_bytes * len(validation)
        if is_stored(validation.X):
            bytes_ += own.streamed_bytes * 2 * min(memory.EVALUATION_ROWS, len(validation))
        else:
            bytes_ += own.feature_bytes * len(validation)
        sizes = replace(sizes, evaluated=len(validation), evaluated_bytes=bytes_)
    available = _available(network, training, backend, sizes)
    plan = memory.choose(network, sizes, len(training), available, streamed=is_stored(training.X))
    return Placed(
        plan,
        place(training, backend, y, keeps, chunk=plan.chunk),
        None if validation is None else place(validation, backend, held_out, keeps),
        available,
        sizes,
    )


def _targets(network: "NeuralNetwork", data: Dataset) -> Array:
    if data.y is None:
        raise ValueError("the data set has no targets: give Dataset(X, y)")
    n_outputs = network.layers[-1].output_shape()[0]
    return prepare_targets(data.y, network.loss, n_outputs, network.metric, network.target_unit)


def keeps_sparse(network: "NeuralNetwork") -> bool:
    """Whether a batch of sparse rows may stay sparse, as the first layer takes it."""
    return network.layers[0].takes_sparse


def _sizes(data: Dataset, y: Array, backend: Backend, keeps: bool) -> memory.Sizes:
    """Return how many bytes a sample takes on the device."""
    item = np.dtype(backend.dtype).itemsize
    sparse = is_sparse(data.X) and keeps
    if is_sparse(data.X):  # a value and its column for each number that is there
        place = data.X.indices.itemsize
        features = math.ceil((item + place) * data.X.nnz / max(len(data), 1)) + place
        streamed = 0
    else:
        features = data.n_features * memory.itemsize_of(numpy_type(data.X), item)
        streamed = data.n_features * numpy_type(data.X).itemsize
    other = math.prod(y.shape[1:]) * memory.itemsize_of(numpy_type(y), item)
    other += item * (data.sample_weight is not None)
    return memory.Sizes(item, features, other, streamed, sparse)


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


def place(
    dataset: Dataset,
    backend: Backend,
    y: Array | None = None,
    keeps: bool = False,
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
        return Arrays(X if rows is None else rows, y, weight, backend, rows is not None)
    if chunk is not None or is_stored(X):
        return Stream(X, y, weight, backend, chunk or memory.EVALUATION_ROWS)
    return Arrays(_move(X, backend), y, weight, backend)


def _move(x: Array, backend: Backend) -> Array:
    """Move an array; integers keep their type, which is smaller, until a batch of them is made."""
    with np.errstate(over="ignore"):  # refused below, in words
        moved, xp = move_state(x, backend), backend.xp
    if moved is x or not xp.isdtype(moved.dtype, "real floating"):
        return moved
    if not backend.scalar(ops.all_finite(moved)):
        raise ValueError(
            f"there are numbers beyond what {backend.dtype} holds "
            f"({float(xp.finfo(moved.dtype).max):.3g}): scale them down, or give dtype='float64'"
        )
    return moved
