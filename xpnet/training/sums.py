"""Loss and metrics of many batches, summed on the device and read once."""

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array, Backend, array_namespace, backend_of, is_array
from ..backends._errors import shown
from ..losses import LossFunction
from ..losses.head_metrics import HeadMetric
from ..metrics import Metric
from ..metrics.ranking import RankingMetric
from ..model.penalties import inverse
from .feeding.arrays import Batch
from .metric_settings import OneMetric, name_of, needs_all_samples
from .target_unit import Unit, in_float64, in_own_unit


class Sums:
    """Loss and metrics of the batches so far, kept on the device until they are read.

    Parameters
    ----------
    loss : LossFunction
    metrics : sequence of Metric or function
    backend : Backend
    target_unit : tuple of 2 floats, optional
        By which the targets are standardised; metrics are computed in their own unit.
    """

    def __init__(
        self,
        loss: LossFunction,
        metrics: Sequence[OneMetric],
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
        self.metrics = MetricSums(metrics, target_unit, loss)

    def add(self, batch: Batch, output: Array, loss: Array, step: int = 0) -> Array:
        """Add a step's batch or micro-batch; return its total weight."""
        arguments = loss_arguments(batch, output)
        weight = self._loss_function.total_weight(*arguments)
        self._losses.append(loss)
        self._weights.append(weight)
        self._steps.append(step)
        self.add_outputs(*arguments)
        return weight

    def last_loss(self) -> Array | float:
        """Return the loss of the last step, a mean over micro-batches; do not wait for a GPU."""
        n = 1
        while n < len(self._losses) and self._steps[-1 - n] == self._steps[-1]:
            n += 1
        if n == 1:
            return self._losses[-1]
        weight = sum(self._weights[-n:])
        pairs = zip(self._losses[-n:], self._weights[-n:], strict=True)
        return sum(loss * part for loss, part in pairs) * inverse(weight)

    def replace_with(self, other: "Sums") -> None:
        """Replace these sums by other sums."""
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
        """Add targets, outputs and weights for the metrics only."""
        if self.metrics:
            given = metric_arguments(self._loss_function, self.metrics.metrics, *arguments)
            self.metrics.add(*given)

    def begin_part(self) -> None:
        """Begin another part of the epoch, whose steps do not include the batches so far.

        Losses and weights are copied to the host, since the steps will overwrite their arrays; this
        waits for the device.
        """
        self._earlier = np.stack([self._all_losses(), self._all_weights()])
        self._losses, self._weights = self._losses[:0], self._weights[:0]
        self.metrics.begin_part()

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
        """The number of batches with a weight above 0 in this part; waits for the device.

        Each micro-batch counts as a batch.
        """
        return int(np.count_nonzero(_numbers(self._weights, self._backend)))

    def read(self) -> dict[str, float]:
        """Return loss and metrics by name, NaN if no sample counted; wait for the device.

        With several heads, the loss is NaN if no sample counted in any of them.
        """
        losses, weights = self._all_losses(), self._all_weights()
        counted, total = weights != 0.0, self.total_weight
        if not total:
            return dict.fromkeys(["loss", *self.metrics.names], math.nan)
        loss = float(np.sum(losses[counted] * weights[counted])) / total
        found = self.metrics.results()
        of_heads = [found.get(name_of(each), 0.0) for each in self._loss_function.metrics()]
        if of_heads and all(map(math.isnan, of_heads)):
            loss = math.nan
        return {"loss": loss, **found}

    def read_penalty(self) -> float:
        """Return the mean shared penalty per sample; wait for the device."""
        total = self.total_weight
        shared = float(np.sum(_numbers(self._penalties, self._backend)))
        return shared / total if total else 0.0

    def first_not_finite(self) -> tuple[str, float, int] | None:
        """Return the first loss or weight that is not finite: what it is, its value and its step.

        None if all are finite. Waits for the device.
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


class MetricSums:
    """Several metrics of the batches so far.

    Statistics are summed on the device. The outputs of all batches are kept once, if there are
    metrics that need all samples.

    Parameters
    ----------
    metrics : sequence of Metric or function
    unit : tuple of float, optional
        The mean and the scale by which the targets were standardised, if they were. The metrics are
        computed in the targets' own unit, except for the losses of heads.
    loss : LossFunction, optional
        The network's loss, which determines the outputs that a metric evaluates.

    Attributes
    ----------
    names : list of str
        The names of the metrics.
    """

    def __init__(
        self,
        metrics: Sequence[OneMetric],
        unit: Unit | None = None,
        loss: LossFunction | None = None,
    ) -> None:
        self.names = list(map(name_of, metrics))
        self._of_heads = any(isinstance(each, HeadMetric) for each in metrics)
        if self._of_heads and unit is not None:  # HeadMetric converts units
            columns = [each if isinstance(each, tuple) else (each,) for each in unit]
            metrics = [m.in_unit(*columns) if isinstance(m, HeadMetric) else m for m in metrics]
        self.metrics, self._unit = list(metrics), unit
        self._columns = [
            loss.compared_column(m) if loss is not None and isinstance(m, Metric) else None
            for m in metrics
        ]
        self._summed = [
            _Statistics(m, column)
            for m, column in zip(metrics, self._columns, strict=True)
            if not needs_all_samples(m)
        ]
        collected: list[Any] = [each for each in metrics if needs_all_samples(each)]
        self._collects, self._narrowed = bool(collected), None
        if unit is None and all(
            isinstance(each, RankingMetric) and each.output_kind == collected[0].output_kind
            for each in collected
        ):
            self._narrowed = next((each.narrowed for each in collected), None)
        self._seen: list[tuple[Array, ...]] = []

    def __bool__(self) -> bool:
        return bool(self.metrics)

    def begin_part(self) -> None:
        """Begin another part of the epoch; see :meth:`Sums.begin_part`."""
        for each in self._summed:
            each.begin_part()

    def set(self, statistics: Array) -> None:
        """Set the only metric's statistics, of all batches so far in this part of the epoch."""
        self._summed[0].set(statistics)

    def add(self, *arguments: Array) -> None:
        """Add the targets, outputs and weights of a batch."""
        if self._summed:
            in_unit = self._in_unit(*arguments)
            for each in self._summed:
                each.add(*in_unit)
        if self._narrowed is not None:
            arguments = self._narrowed(*map(in_float64, arguments))
        if self._collects:  # copies, since the next step may overwrite the output
            copies = (array_namespace(a).asarray(a, copy=True) for a in arguments)
            self._seen.append(tuple(copies))

    def results(self) -> dict[str, float]:
        """Return the metrics by name; wait for the device."""
        summed, together = iter(self._summed), None
        found = {}
        for name, metric, column in zip(self.names, self.metrics, self._columns, strict=True):
            if not needs_all_samples(metric):
                found[name] = next(summed).result()
                continue
            together = self._joined() if together is None else together
            found[name] = _of_all(metric, _compared(column, *together))
        return found

    def _joined(self) -> tuple[Array, ...]:
        """Return the targets, outputs and weights of all samples, in their own unit."""
        xp = array_namespace(self._seen[0][1])
        joined = (xp.concat(column, axis=0) for column in zip(*self._seen, strict=True))
        self._seen = [tuple(joined)]  # so that the parts are freed
        return self._in_unit(*self._seen[0])

    def _in_unit(self, *arguments: Array) -> tuple[Array, ...]:
        """Return targets, outputs and weights in the unit that metrics expect."""
        if self._of_heads and self._unit is not None:
            return tuple(map(in_float64, arguments))
        return _in_unit(self._unit, *arguments)


class _Statistics:
    """The statistics of a metric."""

    def __init__(self, metric: Any, column: int | None = None) -> None:
        self._metric: Metric = metric
        self._column = column
        self._sums: Array = None
        self._earlier: Array = None

    def begin_part(self) -> None:
        self._earlier = self._sums

    def set(self, statistics: Array) -> None:
        if self._earlier is not None:
            statistics = self._metric.merge(self._earlier, statistics)
        self._sums = statistics

    def add(self, *arguments: Array) -> None:
        new = self._metric.statistics(*_compared(self._column, *arguments))
        if self._sums is None:
            # A copy, since it may be the output itself, which the next step overwrites.
            self._sums = array_namespace(new).asarray(new, copy=True)
        else:
            self._sums = self._metric.merge(self._sums, new)

    def result(self) -> float:
        return _number(self._metric.result(self._sums))


def _of_all(metric: OneMetric, arguments: tuple[Array, ...]) -> float:
    """Return a metric of all samples; metrics other than users' functions get float64."""
    if isinstance(metric, RankingMetric):
        y_true, y_pred, *weight = map(in_float64, arguments)
        return _number(metric.compute(y_true, y_pred, weight[0] if weight else None))
    if isinstance(metric, Metric):
        wide = map(in_float64, arguments)
        return _number(metric.result(metric.statistics(*wide)))
    answer = metric(*arguments)
    try:
        return _number(answer)
    except (TypeError, ValueError, RuntimeError) as error:  # depends on the array's library
        raise TypeError(
            f"the metric {name_of(metric)} returned {shown(answer)}: expected a number for all "
            "samples, e.g. their mean"
        ) from error


def _compared(column: int | None, *arguments: Array) -> tuple[Array, ...]:
    """Return the arguments with only one column of targets and outputs, unless it is None."""
    if column is None:
        return arguments
    part = slice(column, column + 1)
    y_true, y_pred, *weight = arguments
    return y_true[:, part], y_pred[:, part], *weight


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
    """Return the arguments for losses and metrics, with weights only if there are any.

    A user's loss or metric may have no parameter for weights.
    """
    if batch.sample_weight is None:
        return batch.y, output
    return batch.y, output, batch.sample_weight


def metric_arguments(
    loss: LossFunction, metrics: Sequence[OneMetric], *arguments: Array
) -> tuple[Array, ...]:
    """Return the arguments for metrics, with weight 0 for samples that the loss ignores.

    Losses given as metrics take all outputs; metrics take the outputs that they can compare.
    """
    weight = loss.metric_weight(*arguments)
    y, output = arguments[:2]
    if not any(isinstance(each, LossFunction) for each in metrics):
        output = loss.compared_outputs(output)
    return (y, output) if weight is None else (y, output, weight)
