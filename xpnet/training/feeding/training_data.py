"""The data of a training run: check them, plan the memory, and place them."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ...backends import Array, Backend, resolve
from ...backends._warnings import warn
from ...data import Dataset
from ...data.features import SparseRows, StoredRows, itemsize_of
from ...data.stored import numpy_type
from ...layers import Layer
from ...layers.composite import all_layers, is_trained
from ...losses import LossFunction
from .. import memory
from ..checks import naming_argument, warn_of_lost_digits
from ..objective import Objective
from ..weighing import balanced_loss, check_total_weight
from .arrays import Arrays
from .batches import Batches
from .intake import Intake
from .placing import Data, is_out_of_order, place
from .summary import summary


@dataclass(frozen=True)
class TrainingData:
    """The data of a training run, on the device or as a stream, with their memory plan."""

    plan: memory.MemoryPlan
    training: Data | Batches
    validation: Data | None
    loss: LossFunction
    """The given loss; balanced class weights are computed from the training data."""
    available: float
    """Bytes that training may use."""
    sizes: memory.DataSizes
    summaries: Callable[[], tuple[dict[str, Any], dict[str, Any] | None]]
    """Describes the training data (or the first batch) and the validation data: :func:`summary`."""
    memory_limit: int | None = None
    """The user's limit, if there is one."""

    @property
    def n_steps(self) -> int | None:
        """The number of steps in an epoch, or None if it is not known in advance."""
        if isinstance(self.training, Batches):
            return self.training.n_steps
        return math.ceil(len(self.training) / self.plan.batch_size)

    @property
    def samples_kept(self) -> int:
        """The number of samples whose results steps must have room for on the device."""
        if not isinstance(self.training, Batches):
            return self.plan.n_samples
        size = self.plan.batch_size
        most = min(max(_KEPT_SAMPLES // size, 1), _KEPT_STEPS)
        return min(most, self.n_steps or most) * size

    def has_room(self, arrays: Arrays) -> bool:
        """Whether steps made for these data can train on a chunk of them."""
        return not isinstance(self.training, Batches) or self.training.has_room(arrays)

    def with_room(self, arrays: Arrays, network: memory.NetworkSizes) -> "TrainingData":
        """Return a copy from which steps with room for a larger batch can be made.

        Raises
        ------
        MemoryPlanError
            The batch does not fit in memory.
        """
        assert isinstance(self.training, Batches)
        rows = self.training.make_room(arrays)
        request = memory.Request(network, rows, self.memory_limit)
        plan = memory.choose(request, self.sizes, rows, self.available, False, chunks=False)
        return replace(self, plan=plan)

    def in_micro_batches(self, network: memory.NetworkSizes, rows: int) -> "TrainingData":
        """Return a copy whose batches are split into micro-batches of ``rows`` samples."""
        old = self.plan
        plan = memory.plan(network, self.sizes, old.n_samples, old.batch_size, rows, old.chunk)
        return replace(self, plan=plan)


_KEPT_STEPS, _KEPT_SAMPLES = 256, 1 << 20
"""The most steps and samples whose results are kept at a time, if an epoch has no known end."""


@dataclass(frozen=True)
class Purpose:
    """The properties of a model needed to check, plan for and place its training data.

    Attributes
    ----------
    layers : sequence of Layer
    intake : Intake
        The form of the features, and the backend to train on.
    objective : Objective
        The loss and the metrics.
    request : memory.Request
        The batch size, the limit of memory, and the sizes of the network.
    """

    layers: Sequence[Layer]
    intake: Intake
    objective: Objective
    request: memory.Request


@dataclass(frozen=True)
class _Given:
    """A data set, and its targets in the form that the loss takes."""

    data: Dataset
    y: Array


def place_training(
    training: Dataset | Batches,
    validation: Dataset | None,
    purpose: Purpose,
    class_names: Any = None,
) -> TrainingData:
    """Check the targets, choose a memory plan, and move the data to the device accordingly.

    For :class:`Batches`, only the first batch is planned for and moved. ``class_names`` come from
    the training data or, if these have none, from earlier training data.

    Raises
    ------
    ValueError
        The targets do not fit the loss or the network, every sample has weight 0, or a layer
        cannot learn from batches as small as these.
    MemoryPlanError
        No plan fits in memory.
    """
    objective, backend = purpose.objective, purpose.intake.backend
    batches, held_out = None, None
    if isinstance(training, Batches):
        batches, training = training, training.first
        given = _Given(training, batches.y)
        request = replace(purpose.request, batch_size=len(training))
        purpose = replace(purpose, request=request)
    else:
        given = _Given(training, objective.targets_of(training))
    if validation is not None:
        with naming_argument("validation"):
            held_out = _Given(validation, objective.targets_of(validation))
    n_outputs = objective.n_outputs
    loss = objective.loss
    if batches is None:
        of_data = (given.y, training.sample_weight, n_outputs)
        loss = balanced_loss(loss, *of_data, class_names=class_names)
    for what, each in (("training", given if batches is None else None), ("validation", held_out)):
        if each is not None:
            weighed = (loss, each.y, each.data.sample_weight, n_outputs, backend.dtype)
            check_total_weight(f"{what} data", *weighed)
    if purpose.intake.wide is None:
        warn_of_lost_digits(training, purpose.layers[0], backend)
    both = purpose, loss, given, held_out, batches
    stored = [
        each.data
        for each in (given if batches is None else None, held_out)
        if each is not None and isinstance(each.data.features, StoredRows)
    ]
    if purpose.request.memory_limit is None:
        for k in range(len(stored), 0, -1):  # validation data are the first to stay on disk
            with suppress(MemoryError):
                return _place_both(*both, read=stored[:k])
    return _place_both(*both, read=[])


def _place_both(
    purpose: Purpose,
    loss: LossFunction,
    given: _Given,
    held_out: _Given | None,
    batches: Batches | None,
    read: list[Dataset],
) -> TrainingData:
    """Place the data, and read into memory the stored data sets listed in ``read``.

    Raises
    ------
    MemoryError
        The data in ``read`` do not fit in memory.
    MemoryPlanError
        ``read`` is empty, and no plan fits in memory.
    """
    intake, data = purpose.intake, given.data
    sizes = _sizes(intake, given)
    if held_out is not None:
        sizes = _with_validation(sizes, _sizes(intake, held_out), held_out.data, read)
    available = _available(data, purpose, sizes)
    most = _room_to_read(read, intake.backend, available) if read else available
    streamed = batches is None and isinstance(data.features, StoredRows) and data not in read
    chunks = batches is None
    plan = memory.choose(purpose.request, sizes, len(data), most, streamed, chunks=chunks)
    if read and plan.chunk is not None:
        raise MemoryError("the stored data do not fit in memory")
    _check_learning(purpose.layers, plan)
    placed: Data | Batches
    if batches is None:
        placed = place(data, intake, given.y, plan, data in read)
    else:
        batches.begin(intake)
        placed = batches
    evaluated = None
    if held_out is not None:
        evaluated = place(held_out.data, intake, held_out.y, read=held_out.data in read)
    limit = purpose.request.memory_limit
    described = partial(_summaries, data, held_out, batches is None)
    return TrainingData(plan, placed, evaluated, loss, available, sizes, described, limit)


def _summaries(
    data: Dataset, held_out: _Given | None, whole: bool
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    return summary(data, whole), None if held_out is None else summary(held_out.data)


def _check_learning(layers: Sequence[Layer], plan: memory.MemoryPlan) -> None:
    """Refuse batches too small for a layer to learn from; warn if only the last batch is."""
    if not any(map(is_trained, layers)):
        what, advice = "has parameters", "Add a layer with parameters, e.g. a DenseLayer"
        if any(each.parameter_names for each in all_layers(layers)):
            what, advice = "is trainable", "Set trainable = True on a layer"
        warn(f"no layer of the network {what}: fit computes the loss but trains nothing. {advice}")
    size, last = plan.batch_size, plan.n_samples % plan.batch_size
    for layer in layers:
        name, least = layer.layer_name(), layer.min_samples
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
    stored = [each.features for each in read]
    sizes = [math.prod(rows.shape) * rows.dtype.itemsize for rows in stored]
    if backend.name != "numpy" and backend.memory() is not None:
        # The host holds the data only until they are on the device.
        return available if sum(sizes) <= (1 - _KEPT_FREE) * free else 0
    # During a cast, memory holds the data in the file's type and in the network's.
    cast = [
        size
        for size, rows in zip(sizes, stored, strict=True)
        if rows.dtype.kind == "f" and rows.dtype != backend.dtype
    ]
    most = available if math.isfinite(available) else free
    return most - _KEPT_FREE * free - sum(cast)


def _sizes(intake: Intake, given: _Given) -> memory.DataSizes:
    """Return the sizes in bytes from which the memory plan is made."""
    features, y = given.data.features, given.y
    item = np.dtype(intake.backend.dtype).itemsize
    wide = intake.keeps_type(features)
    other = math.prod(y.shape[1:]) * itemsize_of(numpy_type(y), item)
    other += item * (given.data.sample_weight is not None)
    return memory.DataSizes(
        item,
        features.row_bytes(item, wide),
        other,
        features.streamed_row_bytes,
        features.decoded_rows,
        sparse=isinstance(features, SparseRows) and intake.first_layer_takes_sparse,
        wide=wide,
    )


def _with_validation(
    sizes: memory.DataSizes, own: memory.DataSizes, held_out: Dataset, read: list[Dataset]
) -> memory.DataSizes:
    """Return the sizes of training data, with the sizes of the validation data, ``own``, added."""
    n = len(held_out)
    bytes_ = own.other_bytes * n
    if isinstance(held_out.features, StoredRows) and held_out not in read:
        bytes_ += own.streamed_bytes * 2 * min(memory.EVALUATION_ROWS, n)
    else:
        bytes_ += own.feature_bytes * n
    return replace(sizes, evaluated=n, evaluated_bytes=bytes_)


def _available(data: Dataset, purpose: Purpose, sizes: memory.DataSizes) -> float:
    """Return how many bytes training may use: the user's limit, or else the free memory."""
    if purpose.request.memory_limit is not None:
        return purpose.request.memory_limit
    backend = purpose.intake.backend
    free = backend.memory()
    if free is None:
        return math.inf
    # The plan counts the data, but they need no new memory if they are already on the device.
    on_device = data.features.backend is not None and backend.owns(data.X)
    on_device = on_device and not is_out_of_order(data.X)
    return free.free + on_device * len(data) * (sizes.feature_bytes + sizes.other_bytes)
