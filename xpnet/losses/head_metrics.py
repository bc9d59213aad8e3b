"""One of several heads: its target and output columns, and its metrics."""

import copy
from typing import Any, NamedTuple, Self

from array_api_compat import device

from ..backends import Array, array_namespace
from ..metrics import Metric
from ..metrics.batch import if_counted, ratio
from .base import MeanLoss


class Head(NamedTuple):
    """One of several heads: its loss, its weight, and its columns of targets and outputs.

    Attributes
    ----------
    loss : MeanLoss
    weight : float
    targets, outputs : tuple of int
        The first column and the column after the last, among all targets and all outputs.
    ignore_missing : bool
        Whether NaN marks a missing target of this head.
    """

    loss: MeanLoss
    weight: float
    targets: tuple[int, int]
    outputs: tuple[int, int]
    ignore_missing: bool = False

    @property
    def n_targets(self) -> int:
        """The number of this head's target columns."""
        return self.targets[1] - self.targets[0]

    @property
    def n_outputs(self) -> int:
        """The number of this head's outputs."""
        return self.outputs[1] - self.outputs[0]

    def targets_of(self, y_true: Array) -> Array:
        """Return this head's targets in the form that its loss takes; 1 for missing targets."""
        xp, y = array_namespace(y_true), y_true[:, slice(*self.targets)]
        if self.ignore_missing and xp.isdtype(y.dtype, "real floating"):
            y = xp.where(xp.isnan(y), xp.ones_like(y), y)  # a valid target of every loss
        if self.loss.targets == "classes":
            y = xp.astype(xp.reshape(y, (-1,)), xp.int64)
        return y

    def known_targets(self, y_true: Array) -> Array:
        """Return this head's target columns, without the rows where a target is missing."""
        xp = array_namespace(y_true)
        y = y_true[:, slice(*self.targets)] if y_true.ndim == 2 else y_true[:, None]
        if not self.ignore_missing or not xp.isdtype(y.dtype, "real floating"):
            return y
        return y[xp.logical_not(xp.any(xp.isnan(y), axis=1))]

    def split(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return this head's targets, from :meth:`targets_of`, and its outputs."""
        return self.targets_of(y_true), y_pred[:, slice(*self.outputs)]

    def weights(
        self,
        y_true: Array,
        y: Array,
        p: Array,
        sample_weight: Array | None = None,
        for_metric: bool = False,
    ) -> Array | None:
        """Return the weight of each sample in this head; None if all are 1.

        It is 0 for samples whose target is missing.

        Parameters
        ----------
        y_true : array of shape (n, n_targets)
            The targets of all heads; missing targets are NaN.
        y, p : array
            From :meth:`split`.
        sample_weight : array of shape (n,), optional
        for_metric : bool, default False
            Whether to leave out class weights.
        """
        loss, xp = self.loss, array_namespace(y_true)
        weight = (loss.metric_weight if for_metric else loss.sample_weight)(y, p, sample_weight)
        if not self.ignore_missing or not xp.isdtype(y_true.dtype, "real floating"):
            return weight
        missing = xp.any(xp.isnan(y_true[:, slice(*self.targets)]), axis=1)
        weight = xp.ones_like(p[:, 0]) if weight is None else weight
        return xp.where(missing, xp.zeros_like(weight), weight)

    def losses(self, y_true: Array, y_pred: Array) -> tuple[Array, Array | None]:
        """Return the weighted loss of each sample in this head, and the weights.

        A weight is the class weight, or 0 if the sample does not count; None if all are 1.
        """
        y, p = self.split(y_true, y_pred)
        losses, own = self.loss.sample_loss(self.loss.match(y, p), p), self.weights(y_true, y, p)
        return (losses if own is None else losses * own), own


class HeadMetric(Metric):
    """A metric, or the loss, of one of several :class:`~xpnet.Heads`.

    Parameters
    ----------
    name : str
        The metric's column in the history.
    metric : Metric or MeanLoss
    targets, outputs : tuple of int
        The first column of the head and the column after its last.
    loss : MeanLoss, optional
        The loss of the head. A metric needs its decision threshold and its ignored labels.
    ignore_missing : bool, default False
        Whether samples whose target is NaN are left out.
    own_name : str, optional
        A name for ``metric`` without the name of the head; by default it keeps its name.

    Attributes
    ----------
    unit : tuple or None
        The means and scales by which the head's targets were standardised; None if they were not.
    """

    unit: Any = None

    def __init__(
        self,
        name: str,
        metric: Metric | MeanLoss,
        targets: tuple[int, int],
        outputs: tuple[int, int],
        loss: MeanLoss | None = None,
        ignore_missing: bool = False,
        own_name: str | None = None,
    ) -> None:
        if own_name is not None and isinstance(metric, Metric) and metric.name != own_name:
            metric = metric.named(own_name)
        self.own_name = own_name
        self.ignore_missing = ignore_missing
        if getattr(loss, "balanced_weight", None) is not None:  # metrics do not use it
            loss = copy.copy(loss)
            del vars(loss)["balanced_weight"]
        self.name, self.metric, self.loss = name, metric, loss
        self.targets, self.outputs = targets, outputs
        self.greater_is_better = metric.greater_is_better  # type: ignore[misc]
        self.takes_weights = getattr(metric, "takes_weights", True)

    def in_unit(self, mean: tuple[float, ...], scale: tuple[float, ...]) -> Self:
        """Return a copy that takes standardised targets and computes the metric in their old unit.

        If ``metric`` is a loss, it is still computed for standardised targets.

        Parameters
        ----------
        mean, scale : tuple of float
            The means and scales of the targets of all heads.
        """
        copied, place = copy.copy(self), slice(*self.targets)
        own = mean[place], scale[place]
        # No arithmetic for 0 and 1, which change nothing but would turn class indices into floats.
        in_unit = any(own[0]) or any(each != 1.0 for each in own[1])
        copied.unit = own if in_unit and not isinstance(self.metric, MeanLoss) else None
        return copied

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the metric's statistics.

        For a loss, these are its weighted sum, the sum of the sample weights, and the sum of the
        weights in this head.
        """
        metric, loss = self.metric, self.loss
        if not isinstance(metric, Metric):
            return self._loss_statistics(metric, y_true, y_pred, sample_weight)
        assert loss is not None
        head = Head(loss, 1.0, self.targets, self.outputs, self.ignore_missing)
        y, p = head.split(y_true, y_pred)
        weight = head.weights(y_true, y, p, sample_weight, for_metric=True)
        p, column = loss.compared_outputs(p), loss.compared_column(metric)
        if column is not None:
            p = p[:, column : column + 1]
        if self.unit is not None:
            xp, place = array_namespace(p), device(p)
            mean, scale = (xp.asarray(each, dtype=p.dtype, device=place) for each in self.unit)
            y, p = y * scale + mean, p * scale + mean
        return metric.statistics(y, p, weight)

    def _loss_statistics(
        self, loss: MeanLoss, y_true: Array, y_pred: Array, sample_weight: Array | None
    ) -> Array:
        head = Head(loss, 1.0, self.targets, self.outputs, self.ignore_missing)
        xp = array_namespace(y_pred)
        losses, own = head.losses(y_true, y_pred)
        weight = xp.ones_like(losses)
        if sample_weight is not None:
            weight = xp.astype(sample_weight, losses.dtype, copy=False)
        total = xp.sum(weight)
        counted = total if own is None else xp.sum(weight * own)
        return xp.stack([xp.sum(losses * weight), total, counted])

    def merge(self, a: Array, b: Array) -> Array:
        """Return the combined statistics of two batches."""
        return self.metric.merge(a, b) if isinstance(self.metric, Metric) else a + b

    def result(self, statistics: Array) -> Array:
        """Return the metric, or the mean loss, from the statistics of all batches.

        The mean loss is NaN if no sample counts in this head.
        """
        if isinstance(self.metric, Metric):
            return self.metric.result(statistics)
        return if_counted(ratio(statistics[0], statistics[1]), statistics[2])
