"""Training steps in compiled code, on the CPU."""

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from .... import config
from ....common.checks import check_count
from ... import memory
from ...averaging import average_by_step
from ...errors import NotFiniteError, UnsupportedError
from ...feeding.arrays import Arrays, Batch, take
from ...feeding.training_data import TrainingData
from ...sums import Sums, loss_arguments
from ...trainable import TrainableModel
from ...updates import Updates
from ..base import PreparedSteps
from ..translation import Unit
from .supported import units
from .training import CompiledTraining


class CompiledSteps(PreparedSteps):
    """Steps in compiled code, several per call; during an epoch, its arrays hold the parameters."""

    def __init__(
        self, model: TrainableModel, placed: TrainingData, training: CompiledTraining, nbytes: int
    ) -> None:
        super().__init__(model, placed, training, nbytes)
        # A metric sums batches of fixed sizes, so that its rounding does not depend on run times.
        self._unit = _steps_of_evaluation(placed.plan) if training.keeps else 1
        self._at_a_time = self._unit

    def _units(self) -> list[Unit]:
        return units(self._model)

    def are_current(self) -> bool:
        """Whether the steps fit the network, after renewing the instructions if necessary."""
        if not super().are_current():
            return False
        try:
            self._training.renew()
        except UnsupportedError:
            return False
        return True

    def end_epoch(self) -> None:
        """Copy the parameters to the network."""
        self._training.store()

    def run(
        self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int, updates: Updates
    ) -> Iterator[int]:
        """Train several steps at a time; see :meth:`Steps.run`."""
        size, start = self.plan.batch_size, 0
        self._training.use(arrays.X, arrays.y, arrays.sample_weight)
        while start < len(order):
            part = order[start : start + self._at_a_time * size]
            began = time.perf_counter()
            n = -(-len(part) // size)
            rates, has_update = updates.rates(step, n), updates.has_update(step, n)
            losses, weights = self._training.run(
                part, rates, has_update, updates.average_weights(step, n)
            )
            seconds = time.perf_counter() - began
            sums.add_losses(losses, weights, step)
            sums.add_penalty(float(np.sum(self._training.penalties)))
            wrong = np.flatnonzero(~np.isfinite(losses))
            if wrong.size:
                raise NotFiniteError("the loss", losses[wrong[0]], step + int(wrong[0]))
            self._add_outputs(arrays, part, sums)
            yield len(losses)
            step += len(losses)
            start += len(part)
            if len(part) == self._at_a_time * size:
                self._adapt(seconds)

    def _adapt(self, seconds: float) -> None:
        """Double or halve the number of steps per call if a call was too short or too long.

        The number of outputs that are kept limits the number of steps.
        """
        most = (self._training.keeps or math.inf) / self.plan.batch_size
        if seconds < self.SECONDS / 2 and 2 * self._at_a_time <= most:
            self._at_a_time *= 2
        elif seconds > 2 * self.SECONDS and self._at_a_time > self._unit:
            self._at_a_time //= 2

    def _add_outputs(self, arrays: Arrays, order: np.ndarray, sums: Sums) -> None:
        """Add outputs to the metric, in batches of a fixed size."""
        outputs, size = self._training.outputs, self._unit * self.plan.batch_size
        if outputs is None:
            return
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            y, weight = take(order[part], arrays.y, arrays.sample_weight)
            batch = Batch(None, y, weight)
            sums.add_outputs(*loss_arguments(batch, outputs[part]))


def _steps_of_evaluation(plan: memory.MemoryPlan) -> int:
    """Return the number of steps that make up one batch of an evaluation; at least 1."""
    return max(memory.EVALUATION_ROWS // plan.batch_size, 1)


_KEPT_BYTES = 1 << 20
"""The size of the outputs kept for a metric, in bytes, unless one batch needs more."""


def _kept_rows(model: TrainableModel, plan: memory.MemoryPlan) -> int:
    """Return the number of samples whose outputs are kept."""
    if not model.metrics:
        return 0
    row = model.layers[-1].output_shape()[0] * np.dtype(model.backend.dtype).itemsize
    least = _steps_of_evaluation(plan) * plan.batch_size
    most = math.ceil(plan.n_samples / plan.batch_size) * plan.batch_size
    return min(max(_KEPT_BYTES // row, least), max(most, least))


FEW_STEPS = 16
"""The number of steps below which compiled code is not worth its preparation.

Making the instructions takes a few milliseconds, about as long as 16 steps of a small model. All
steps of the network's ``epochs`` count, not only those of one call of ``fit``, so that 4 and then 6
epochs give the same result as 10.
"""


def make(model: TrainableModel, placed: TrainingData, required: bool = False) -> CompiledSteps:
    """Return a model's steps in compiled code.

    Parameters
    ----------
    model : TrainableModel
    placed : TrainingData
    required : bool, default False
        Whether to use them even for few steps.

    Raises
    ------
    UnsupportedError
        Compiled code does not support the network or the data, or is not worth its preparation.
    """
    threads: Any = config.threads
    if threads is not None:
        threads = check_count("xpnet.config.threads", threads)
    plan, data = placed.plan, placed.training
    of_epoch = placed.n_steps
    if not required and of_epoch is not None and model.epochs * of_epoch < FEW_STEPS:
        raise UnsupportedError(f"training of fewer than {FEW_STEPS} steps")
    if plan.rows != plan.batch_size:
        raise UnsupportedError("a batch that is split to fit into memory")
    sample, held = data.sample()
    y: Any = sample.y
    training = CompiledTraining(
        model,
        sample.X,
        y,
        sample.sample_weight,
        plan.batch_size,
        threads,
        keep_outputs=_kept_rows(model, plan),
        accumulates=model.accumulate > 1,
        average=average_by_step(model),
    )
    return CompiledSteps(model, placed, training, training.nbytes + held)
