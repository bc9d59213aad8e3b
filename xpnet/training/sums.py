"""Loss and metric of many batches, summed on the device and read once."""

import math
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends import Array, Backend, array_namespace, backend_of, is_array
from ..backends._errors import shown
from ..losses import LossFunction
from ..metrics import Metric
from .feeding.arrays import Batch
from .target_unit import Unit, in_float64, in_own_unit


class Sums:
    """Loss and metric of the batches so far, kept on the device until they are read.

    Parameters
    ----------
    loss : LossFunction
    metric : Metric, function or None
    backend : Backend
    target_unit : tuple of 2 floats, optional
        By which the targets are standardised; the metric is computed in their own unit.
    """

    def __init__(
        self,
        loss: LossFunction,
        metric: Metric | Callable[..., Any] | None,
        backend: Backend,
        target_unit: Unit | None = None,
    ) -> None:
        self._loss_function, self._backend = loss, backend
        # A lazy backend returns 0-d arrays, which are read at the end so that no step waits.
        lazy = backend.lazy
        self._losses: Any = [] if lazy else array("d")
        self._weights: Any = [] if lazy else array("d")
        self._steps = array("q")
        self._penalties: list[Array] = []
        self._earlier = np.zeros((2, 0))
        self.metric = None if metric is None else accumulator(metric, target_unit)

    def add(self, batch: Batch, output: Array, loss: Array, step: int = 0) -> Array:
        """Add a step's batch, or a piece of it; return its total weight."""
        arguments = loss_arguments(batch, output)
        weight = self._loss_function.total_weight(*arguments)
        self._losses.append(loss)
        self._weights.append(weight)
        self._steps.append(step)
        self.add_outputs(*arguments)
        return weight

    def take(self, other: "Sums") -> None:
        """Replace the batches so far by those of other sums."""
        vars(self).update(vars(other))

    def add_losses(self, losses: Array, weights: Array, step: int) -> None:
        """Add the losses of consecutive steps, of which ``step`` is the first."""
        if self._backend.lazy:
            self._losses.append(losses)
            self._weights.append(weights)
        else:
            self._losses.extend(losses.tolist())
            self._weights.extend(weights.tolist())
        self._steps.extend(range(step, step + losses.shape[0]))

    def add_penalty(self, penalty: Array) -> None:
        """Add the penalty that the samples of a batch share, before division by their weight."""
        self._penalties.append(penalty)

    def add_outputs(self, *arguments: Array) -> None:
        """Add targets, outputs and weights for the metric only."""
        if self.metric is not None:
            self.metric.add(*metric_arguments(self._loss_function, *arguments))

    def set_statistics(self, statistics: Array) -> None:
        """Replace the metric's statistics by those of all batches so far in this part."""
        if isinstance(self.metric, _SummedMetric):
            self.metric.set(statistics)

    def begin_part(self) -> None:
        """Begin another part of the epoch, whose steps know nothing of the batches so far.

        Losses and weights are copied to the host, since the steps will overwrite their arrays; this
        waits for the device.
        """
        self._earlier = np.stack([self._all_losses(), self._all_weights()])
        self._losses, self._weights = self._losses[:0], self._weights[:0]
        if isinstance(self.metric, _SummedMetric):
            self.metric.begin_part()

    def _all_losses(self) -> np.ndarray:
        return np.concatenate([self._earlier[0], _numbers(self._losses, self._backend)])

    def _all_weights(self) -> np.ndarray:
        return np.concatenate([self._earlier[1], _numbers(self._weights, self._backend)])

    @property
    def last_step(self) -> int:
        """The step of the batch that was added last."""
        return self._steps[-1]

    @property
    def total_weight(self) -> float:
        """The total weight of all batches; waits for the device."""
        return float(np.sum(self._all_weights()))

    @property
    def n_counted(self) -> int:
        """How many batches of this part of the epoch have a weight above 0; waits for the device.

        The pieces of a batch count one each.
        """
        return int(np.count_nonzero(_numbers(self._weights, self._backend)))

    def read(self) -> tuple[float, float | None]:
        """Return the loss and the metric, NaN if no sample counted; wait for the device.

        The second is None for a network without a metric.
        """
        losses, weights = self._all_losses(), self._all_weights()
        counted, total = weights != 0.0, self.total_weight
        if not total:
            return math.nan, None if self.metric is None else math.nan
        loss = float(np.sum(losses[counted] * weights[counted])) / total
        return loss, None if self.metric is None else self.metric.result()

    def read_penalty(self) -> float:
        """Return the mean shared penalty per sample; wait for the device."""
        total = self.total_weight
        shared = float(np.sum(_numbers(self._penalties, self._backend)))
        return shared / total if total else 0.0

    def first_not_finite(self) -> tuple[str, float, int] | None:
        """Return what the first loss or weight is that is not finite, its value, and its step.

        It is None if all are finite. Waits for the device.
        """
        for what, numbers in (
            ("the loss", self._all_losses()),
            ("the total weight of a batch", self._all_weights()),
        ):
            wrong = np.flatnonzero(~np.isfinite(numbers))
            if wrong.size:
                return what, float(numbers[wrong[0]]), self._steps[wrong[0]]
        return None


def _numbers(values: Any, backend: Backend) -> np.ndarray:
    """Copy many 0-d arrays to the host in one transfer."""
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
        self._earlier: Array = None

    def begin_part(self) -> None:
        self._earlier = self.statistics

    def set(self, statistics: Array) -> None:
        if self._earlier is not None:
            statistics = self.metric.merge(self._earlier, statistics)
        self.statistics = statistics

    def add(self, *arguments: Array) -> None:
        new = self.metric.statistics(*_in_unit(self._unit, *arguments))
        if self.statistics is None:
            # A copy, since it may be the output itself, which the next step overwrites.
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
        # Copies, since the next step may overwrite the output.
        self.seen.append(tuple(array_namespace(a).asarray(a, copy=True) for a in arguments))

    def result(self) -> float:
        xp = array_namespace(self.seen[0][1])
        arguments = (xp.concat(column, axis=0) for column in zip(*self.seen, strict=True))
        answer = self.metric(*_in_unit(self._unit, *arguments))
        try:
            return _number(answer)
        except (TypeError, ValueError, RuntimeError) as error:  # depends on the array's library
            name = getattr(self.metric, "__name__", shown(self.metric))
            raise TypeError(
                f"the metric {name} returned {shown(answer)}: expected a number for all samples, "
                "e.g. their mean"
            ) from error


def accumulator(
    metric: Metric | Callable[..., Any], unit: Unit | None = None
) -> _SummedMetric | _CollectedMetric:
    """Return an object that computes a metric of many batches.

    Parameters
    ----------
    metric : Metric or function
    unit : tuple of float, optional
        The mean and the scale by which the targets were standardised, if they were. The metric is
        computed in the targets' own unit.
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
    """Return the result of a metric, a 0-d array or a number, as a float; wait for the device."""
    return backend_of(x).scalar(x) if is_array(x) else float(x)


def loss_arguments(batch: Batch, output: Array) -> tuple[Array, ...]:
    """Return the arguments for losses and metrics, with weights only if there are some.

    A user's loss or metric may have no parameter for weights.
    """
    if batch.sample_weight is None:
        return batch.y, output
    return batch.y, output, batch.sample_weight


def metric_arguments(loss: LossFunction, *arguments: Array) -> tuple[Array, ...]:
    """Return the arguments for metrics, with weight 0 for samples that the loss ignores."""
    weight = loss.metric_weight(*arguments)
    return arguments[:2] if weight is None else (*arguments[:2], weight)
