"""Training steps as graphs of kernels, on a GPU."""

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....losses import SoftmaxCrossEntropy
from ....metrics import Accuracy
from ... import memory
from ...averaging import average_by_step
from ...errors import UnsupportedError
from ...feeding.arrays import Arrays, Batch, take
from ...feeding.training_data import TrainingData
from ...sums import Sums, loss_arguments
from ...trainable import TrainableModel
from ...updates import Updates
from ..base import PreparedSteps
from ..translation import Unit
from . import graphs
from .supported import translate
from .supported import units as units_of
from .training import CapturedTraining

_KEPT_BYTES = 1 << 28
"""The largest size of the outputs that an epoch keeps for a metric, in bytes."""


class CapturedSteps(PreparedSteps):
    """Steps as CUDA graphs on a GPU; during an epoch, the graphs' arrays hold the parameters."""

    AHEAD = 2
    """The most groups of steps waiting in the GPU's queue.

    The GPU never runs out of work, and Ctrl-C does not have to wait for a whole epoch.
    """

    def __init__(
        self, model: TrainableModel, placed: TrainingData, training: CapturedTraining, nbytes: int
    ) -> None:
        super().__init__(model, placed, training, nbytes)
        self._at_a_time = 16
        self._most = -(-placed.samples_kept // placed.plan.batch_size)
        self._queued: deque[Any] = deque()
        self._sums: Sums | None = None

    def _units(self) -> list[Unit]:
        return units_of(self._model)

    def needs_restart(self) -> bool:
        """Whether there is no room for more losses, as in a long epoch of a user's batches."""
        return bool(self._training.taken >= self._most)

    def end_epoch(self) -> None:
        """Copy the parameters to the network, and add ``per_sample`` penalties to the sums."""
        self._queued.clear()
        sums, self._sums = self._sums, None
        self._training.store()
        parameters = self._model.parameters
        if sums is not None and parameters.penalties.shared:
            # The penalty of the last weights stands for that of each step. The exact mean over the
            # steps, which the history has on the CPU, would take a sum over all weights in each
            # step. Only this number of the history is approximate: the gradients are exact.
            n_updates = -(-sums.n_counted // self._model.accumulate)
            sums.add_penalty(n_updates * parameters.penalties.total(shared=True))

    def run(
        self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int, updates: Updates
    ) -> Iterator[int]:
        """Queue several steps at a time without waiting for them; see :meth:`Steps.run`."""
        size, start, first = self.plan.batch_size, 0, self._training.taken
        self._sums = sums  # end_epoch adds penalties to it
        self._training.use(arrays.X, arrays.y, arrays.sample_weight)
        while start < len(order):
            part = order[start : start + self._at_a_time * size]
            began = time.perf_counter()
            controls = updates.controls(step, -(-len(part) // size))
            losses, weights = self._training.run(part, controls)
            sums.add_losses(losses, weights, step)
            self._queued.append(self._training.record_event())
            if len(self._queued) > self.AHEAD:
                self._queued.popleft().synchronize()
            start += len(part)
            try:
                yield len(losses)
            except GeneratorExit:  # Ctrl-C: the metric is computed from the samples so far
                self._add_outputs(arrays, order[:start], sums, first * size)
                raise
            step += len(losses)
            is_whole = len(part) == self._at_a_time * size
            if is_whole and time.perf_counter() - began < self.SECONDS / 2:
                self._at_a_time *= 2
        self._add_outputs(arrays, order, sums, first * size)

    def _add_outputs(self, arrays: Arrays, order: np.ndarray, sums: Sums, first: int) -> None:
        """Add outputs, or the number of correct predictions, to the metric."""
        training = self._training
        if training.counts_hits:
            sums.metrics.set(training.hits())
            return
        if training.outputs is None:
            return
        training.wait()
        index = arrays.backend.asarray(order)
        rows = memory.EVALUATION_ROWS
        for start in range(0, len(order), rows):
            y, weight = take(index[start : start + rows], arrays.y, arrays.sample_weight)
            batch = Batch(None, y, weight)
            stop = min(start + rows, len(order))
            outputs = training.outputs[first + start : first + stop]
            sums.add_outputs(*loss_arguments(batch, outputs))


def make(model: TrainableModel, placed: TrainingData, required: bool = False) -> CapturedSteps:
    """Return a model's steps as graphs.

    Parameters
    ----------
    model : TrainableModel
    placed : TrainingData
    required : bool, default False
        Whether to raise an error if the steps cannot be captured in a graph.

    Raises
    ------
    UnsupportedError
        Captured steps do not support the network or the data.
    """
    plan, data = placed.plan, placed.training
    if plan.rows != plan.batch_size:
        raise UnsupportedError("a batch that is split to fit into memory")
    sample, held = data.sample(own=True)
    if not sample.on_device:
        raise UnsupportedError("sparse features that the first layer does not accept")
    units = translate(model, sample.X, sample.y, plan.batch_size)
    hits = _counts_hits(model, sample.y)
    kept = 0
    if model.metrics and not hits:
        n_outputs = model.layers[-1].output_shape()[0]
        kept = -(-placed.samples_kept // plan.batch_size) * plan.batch_size
        if kept * n_outputs * sample.backend.zeros((0,)).itemsize > _KEPT_BYTES:
            raise UnsupportedError(f"a metric of {placed.samples_kept} rows of {n_outputs} outputs")
    capture = False if graphs.ONE_BY_ONE else True if required else "auto"
    machine = sample.backend.machine(model.precision)
    try:
        training = CapturedTraining(
            model,
            sample.X,
            sample.y,
            sample.sample_weight,
            plan.batch_size,
            machine,
            placed.samples_kept,
            kept,
            hits,
            capture,
            units,
            model.accumulate > 1,
            average_by_step(model),
        )
    except BaseException:
        machine.close()
        raise
    return CapturedSteps(model, placed, training, training.nbytes + held)


def _counts_hits(model: TrainableModel, y: Any) -> bool:
    """Whether the only metric is the accuracy, for which the loss kernel can count hits."""
    several = model.layers[-1].output_shape()[0] > 1
    return (
        [*map(type, model.metrics)] == [Accuracy]
        and type(model.loss) is SoftmaxCrossEntropy
        and several
        and y.ndim == 1
    )
