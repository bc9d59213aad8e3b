"""Metrics of one of several heads, and its loss as a metric."""

from typing import NamedTuple

from ..backends import Array, array_namespace
from ..metrics import Metric
from .base import MeanLoss


class Head(NamedTuple):
    """One of several targets: its loss, and where its targets and outputs are.

    Attributes
    ----------
    loss : MeanLoss
    weight : float
    targets, outputs : tuple of int
        The first column and the one after the last, of the targets and of the outputs.
    """

    loss: MeanLoss
    weight: float
    targets: tuple[int, int]
    outputs: tuple[int, int]

    def split(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the targets and the outputs of this head, in the form that its loss takes."""
        y = y_true[:, slice(*self.targets)]
        if self.loss.targets == "classes":
            xp = array_namespace(y)
            y = xp.astype(xp.reshape(y, (-1,)), xp.int64)
        return y, y_pred[:, slice(*self.outputs)]


class HeadMetric(Metric):
    """A metric, or the loss, of one of several :class:`~xpnet.Heads`.

    Parameters
    ----------
    name : str
        Its column in the history.
    metric : Metric or MeanLoss
    targets, outputs : tuple of int
        The first column of the head and the one after its last.
    loss : MeanLoss, optional
        The loss of the head, for a metric: its decision threshold, and the labels that it ignores.
    """

    def __init__(
        self,
        name: str,
        metric: Metric | MeanLoss,
        targets: tuple[int, int],
        outputs: tuple[int, int],
        loss: MeanLoss | None = None,
    ) -> None:
        self.name, self.metric, self.loss = name, metric, loss
        self.targets, self.outputs = targets, outputs
        self.greater_is_better = metric.greater_is_better  # type: ignore[misc]
        self.takes_weights = getattr(metric, "takes_weights", True)

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the metric's statistics; for a loss, its weighted sum and the sum of weights."""
        metric = self.metric
        if isinstance(metric, Metric):
            assert self.loss is not None
            head = Head(self.loss, 1.0, self.targets, self.outputs)
            y, p = head.split(y_true, y_pred)
            weight = self.loss.metric_weight(y, p, sample_weight)
            return metric.statistics(y, self.loss.compared_outputs(p), weight)
        y, p = Head(metric, 1.0, self.targets, self.outputs).split(y_true, y_pred)
        xp, losses = array_namespace(p), head_losses(metric, y, p)
        if sample_weight is None:
            return xp.stack([xp.sum(losses), xp.sum(xp.ones_like(losses))])
        weight = xp.astype(sample_weight, losses.dtype, copy=False)
        return xp.stack([xp.sum(losses * weight), xp.sum(weight)])

    def merge(self, a: Array, b: Array) -> Array:
        """Return the combined statistics of two batches."""
        return self.metric.merge(a, b) if isinstance(self.metric, Metric) else a + b

    def result(self, statistics: Array) -> Array:
        """Return the metric, or the mean loss, from the statistics of all batches."""
        if isinstance(self.metric, Metric):
            return self.metric.result(statistics)
        xp, total = array_namespace(statistics), statistics[1]
        return statistics[0] / xp.where(total > 0, total, xp.ones_like(total))


def head_losses(loss: MeanLoss, y: Array, p: Array) -> Array:
    """Return the loss of each sample of a head, times its class weight; 0 if it is ignored."""
    losses, own = loss.sample_loss(loss.match(y, p), p), loss.sample_weight(y, p)
    return losses if own is None else losses * own
