"""Loss and metric of many batches, summed where the batches are and read once."""

import math
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import Arrays
from ._target_unit import Unit, in_float64, in_own_unit
from .backends import Array, Backend, array_namespace, backend_of, is_array
from .losses import LossFunction
from .metrics import Metric

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork


class Sums:
    """Loss and metric of the batches so far, on the device until they are read."""

    def __init__(self, network: "NeuralNetwork") -> None:
        self._loss_function = network.loss
        self._backend = network.backend
        # Numbers where they are there at once; else arrays, which are read at the end.
        lazy = network.backend.lazy
        self._losses: Any = [] if lazy else array("d")
        self._weights: Any = [] if lazy else array("d")
        self._steps = array("q")
        self._penalties: list[Array] = []
        self.metric = None
        if network.metric is not None:
            self.metric = accumulator(network.metric, network.target_unit)

    def add(self, batch: Arrays, output: Array, loss: Array, step: int = 0) -> Array:
        """Take a batch, or a piece of the batch of that step, in; return what it weighs."""
        arguments = loss_arguments(batch, output)
        weight = self._loss_function.total_weight(*arguments)
        self._losses.append(loss)
        self._weights.append(weight)
        self._steps.append(step)
        self.add_outputs(*arguments)
        return weight

    def add_losses(self, losses: Array, weights: Array, step: int) -> None:
        """Take the losses of some steps in, the first of which is ``step``."""
        if self._backend.lazy:
            self._losses.append(losses)
            self._weights.append(weights)
        else:
            self._losses.extend(losses.tolist())
            self._weights.extend(weights.tolist())
        self._steps.extend(range(step, step + losses.shape[0]))

    def add_penalty(self, penalty: Array) -> None:
        """Take in what the samples of a batch shared, before it was divided by their weight."""
        self._penalties.append(penalty)

    def add_outputs(self, *arguments: Array) -> None:
        """Take targets, outputs and weights in, for the metric alone."""
        if self.metric is not None:
            self.metric.add(*metric_arguments(self._loss_function, *arguments))

    def set_statistics(self, statistics: Array) -> None:
        """Take the metric's statistics of all batches so far, in place of those held."""
        if isinstance(self.metric, _SummedMetric):
            self.metric.statistics = statistics

    @property
    def last_step(self) -> int:
        """The step of the last batch."""
        return self._steps[-1]

    @property
    def total_weight(self) -> float:
        """What the batches weigh together; waits for the device."""
        return float(np.sum(_numbers(self._weights, self._backend)))

    def read(self) -> tuple[float, float | None]:
        """Return loss and metric, NaN where nothing counted; waits for the device."""
        losses, weights = (
            _numbers(values, self._backend) for values in (self._losses, self._weights)
        )
        counted, total = weights != 0.0, self.total_weight
        if not total:
            return math.nan, None if self.metric is None else math.nan
        loss = float(np.sum(losses[counted] * weights[counted])) / total
        return loss, None if self.metric is None else self.metric.result()

    def read_penalty(self) -> float:
        """Return the mean over the samples of the penalties that they shared; waits."""
        total = self.total_weight
        shared = float(np.sum(_numbers(self._penalties, self._backend)))
        return shared / total if total else 0.0

    def first_not_finite(self) -> tuple[str, int] | None:
        """Return what was not finite first, a batch's loss or its weight, and its step; waits."""
        for what, values in (("the loss", self._losses), ("the weight", self._weights)):
            numbers = _numbers(values, self._backend)
            wrong = np.flatnonzero(~np.isfinite(numbers))
            if wrong.size:
                ending = "" if what == "the loss" else " of a batch"
                return f"{what} {numbers[wrong[0]]}{ending}", self._steps[wrong[0]]
        return None


def _numbers(values: Any, backend: Backend) -> np.ndarray:
    """Bring many single numbers over at once."""
    if len(values) and backend.lazy and is_array(values[0]):
        xp = array_namespace(values[0])
        flat = [xp.reshape(value, (-1,)) for value in values]
        return backend.to_numpy(xp.concat(flat)).astype(np.float64)
    return np.asarray(values, dtype=np.float64).reshape(-1)


class _SummedMetric:
    """A metric that keeps the statistics of the batches so far."""

    def __init__(self, metric: Metric, unit: Unit | None) -> None:
        self.metric, self._unit = metric, unit
        self.statistics: Array = None

    def add(self, *arguments: Array) -> None:
        new = self.metric.statistics(*_in_unit(self._unit, *arguments))
        if self.statistics is None:
            # A copy: it may be the output itself, which is written over at the next step.
            self.statistics = array_namespace(new).asarray(new, copy=True)
        else:
            self.statistics = self.metric.merge(self.statistics, new)

    def result(self) -> float:
        return _number(self.metric.result(self.statistics))


class _CollectedMetric:
    """A user's function, which needs all targets and outputs at once."""

    def __init__(self, metric: Callable[..., Any], unit: Unit | None) -> None:
        self.metric, self._unit = metric, unit
        self.seen: list[tuple[Array, ...]] = []

    def add(self, *arguments: Array) -> None:
        # Copies: the next batch's output may be written where this one is.
        self.seen.append(tuple(array_namespace(a).asarray(a, copy=True) for a in arguments))

    def result(self) -> float:
        xp = array_namespace(self.seen[0][1])
        arguments = (xp.concat(column, axis=0) for column in zip(*self.seen, strict=True))
        return _number(self.metric(*_in_unit(self._unit, *arguments)))


def accumulator(
    metric: Metric | Callable[..., Any], unit: Unit | None = None
) -> _SummedMetric | _CollectedMetric:
    """Return what takes a metric of batches whose targets and outputs are standardised, if at all.

    Parameters
    ----------
    metric : Metric or function
    unit : tuple of float, optional
        The mean and the scale that they were standardised by: the metric is that of the values.
    """
    if isinstance(metric, Metric):
        return _SummedMetric(metric, unit)
    return _CollectedMetric(metric, unit)


def _in_unit(unit: Unit | None, *arguments: Array) -> tuple[Array, ...]:
    """Return targets, outputs and weights with the first two in their own unit."""
    if unit is None:
        return arguments
    y_true, y_pred, *weight = arguments
    return in_own_unit(y_true, unit), in_own_unit(y_pred, unit), *map(in_float64, weight)


def _number(x: Any) -> float:
    """Return what a metric made, a 0-d array or a number, as a float; waits for the device."""
    return backend_of(x).scalar(x) if is_array(x) else float(x)


def loss_arguments(batch: Arrays, output: Array) -> tuple[Array, ...]:
    """Return what losses and metrics take; without weights, a user's may have no such argument."""
    if batch.sample_weight is None:
        return batch.y, output
    return batch.y, output, batch.sample_weight


def metric_arguments(loss: LossFunction, *arguments: Array) -> tuple[Array, ...]:
    """Return what metrics take: with weights of 0 for samples that the loss does not count."""
    weight = loss.metric_weight(*arguments)
    return arguments[:2] if weight is None else (*arguments[:2], weight)
