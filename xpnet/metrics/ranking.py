"""Metrics of how outputs rank the samples: area under the ROC curve, average precision."""

from abc import abstractmethod
from collections.abc import Callable

from ..backends import Array, array_namespace
from ..backends._errors import check_name
from .base import CollectedMetric
from .batch import are_indices, true_classes
from .outputs import check_output_kind, scores

_PIECE = 1 << 16
"""How many outputs are ranked at a time."""


class RankingMetric(CollectedMetric):
    """Base of the metrics of how each output ranks positive samples among negative ones.

    Parameters
    ----------
    average : {"macro", "weighted"}, default "macro"
        The mean over the outputs, or the mean weighted by the number of positive samples.
    output_kind : str, optional
        As for :class:`LogLoss`.
    """

    greater_is_better = True
    of_classes = True

    def __init__(self, average: str = "macro", output_kind: str | None = None) -> None:
        self.average = check_name("average", average, ("macro", "weighted"))
        self.output_kind = check_output_kind(output_kind)

    @abstractmethod
    def output_metric(self, score: Array, yes: Array, no: Array) -> Array:
        """Return the metric of one output.

        Parameters
        ----------
        score : array of shape (n,)
            In ascending order.
        yes, no : array of shape (n,)
            The weights of the positive and of the negative samples; 0 for all others.
        """

    @abstractmethod
    def is_defined(self, yes: Array, no: Array) -> Array:
        """Whether the metric is defined for these total weights of positives and negatives."""

    def narrowed(self, y_true: Array, y_pred: Array, *weight: Array) -> tuple[Array, ...]:
        """Return arguments for :meth:`compute` with the same result, in less memory if possible.

        With one score per sample, the targets become booleans, and the outputs the scores: 9 bytes
        per sample, which a network keeps until the end of the epoch.
        """
        score = scores(y_pred, self.output_kind)
        if score.shape[1] > 1:
            return y_true, y_pred, *weight
        return _answers(y_true, y_pred, 1)(0)[:, None], score, *weight

    def compute(self, y_true: Array, y_pred: Array, weight: Array | None) -> Array:
        """Return the average over the outputs for which the metric is defined; NaN if none is.

        Targets may also be class indices. If ``weight`` is None, all weights are 1.
        """
        xp, score = array_namespace(y_pred), scores(y_pred, self.output_kind)
        is_yes = _answers(y_true, y_pred, score.shape[1])
        found = [self._column_metric(score[:, k], is_yes(k), weight) for k in range(score.shape[1])]
        values, shares = (xp.stack(column) for column in zip(*found, strict=True))
        total = xp.sum(shares)
        mean = xp.sum(xp.where(shares > 0, values * shares, 0.0)) / xp.where(total > 0, total, 1.0)
        is_known = xp.logical_not(xp.any(xp.isnan(score))) & (total > 0)
        return xp.where(is_known, mean, float("nan"))

    def _column_metric(
        self, score: Array, is_yes: Array, weight: Array | None
    ) -> tuple[Array, Array]:
        """Return the metric of one output and its share in the average."""
        xp = array_namespace(score)
        order = xp.argsort(score)
        weight = xp.take(xp.ones_like(score) if weight is None else weight, order, axis=0)
        is_yes = xp.take(is_yes, order, axis=0)
        yes, no = xp.where(is_yes, weight, 0.0), xp.where(is_yes, 0.0, weight)
        value = self.output_metric(xp.take(score, order, axis=0), yes, no)
        return value, self._share(xp.sum(yes), xp.sum(no))

    def _share(self, all_yes: Array, all_no: Array) -> Array:
        """Return an output's share in the average from its weights of positives and negatives."""
        share = (
            all_yes if self.average == "weighted" else array_namespace(all_yes).ones_like(all_yes)
        )
        return array_namespace(share).where(self.is_defined(all_yes, all_no), share, 0.0)


def _answers(y_true: Array, y_pred: Array, n_scores: int) -> Callable[[int], Array]:
    """Return a function from the index of a score to a mask of the positive samples."""
    xp = array_namespace(y_true)
    if are_indices(y_true, y_pred):  # of two classes, only class 1 counts
        classes, first = true_classes(y_true, y_pred), y_pred.shape[1] - n_scores
        return lambda k: classes == first + k
    rows = xp.reshape(y_true, (y_true.shape[0], -1))
    first, is_bool = rows.shape[1] - n_scores, xp.isdtype(rows.dtype, "bool")
    return lambda k: rows[:, first + k] if is_bool else rows[:, first + k] > 0.5


class ROCAUC(RankingMetric):
    """Area under the ROC curve: how well outputs separate positive samples from negative ones.

    It is the probability that a positive sample has a larger output than a negative one, where
    equal outputs count half. It needs no threshold, and depends only on the order of the outputs.
    Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".

    It needs all samples at once: a network keeps all outputs of an epoch for it.

    Parameters
    ----------
    average : {"macro", "weighted"}, default "macro"
        With several classes, each is compared with all others together (one-vs-rest); with several
        yes-or-no outputs, each is scored by itself. "macro" is the mean over the classes or
        outputs, and "weighted" the mean weighted by the number of positive samples. A class that no
        sample has, or that all have, is left out. If none remains, the result is NaN.
    output_kind : str, optional
        As for :class:`LogLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import ROCAUC
    >>> float(ROCAUC()(np.array([0, 0, 1, 1]), np.array([[0.1], [0.4], [0.35], [0.8]])))
    0.75
    """

    name = "roc_auc"

    def output_metric(self, score: Array, yes: Array, no: Array) -> Array:
        """Return the mean fraction of negatives below a positive; equal outputs count half."""
        xp = array_namespace(score)
        all_yes, all_no = xp.sum(yes), xp.sum(no)
        # The weight of the negatives before each position. Equal scores share two positions: the
        # first of them and the one after the last.
        before = xp.concat([xp.zeros_like(no[:1]), xp.cumulative_sum(no)])
        below = xp.take(before, xp.searchsorted(score, score, side="left"), axis=0)
        up_to = xp.take(before, xp.searchsorted(score, score, side="right"), axis=0)
        pairs = xp.where(all_yes * all_no > 0, all_yes * all_no, 1.0)
        return xp.sum(yes * (below + up_to)) / (2.0 * pairs)

    def _column_metric(
        self, score: Array, is_yes: Array, weight: Array | None
    ) -> tuple[Array, Array]:
        """Return the metric of one output and its share; without weights, in little memory."""
        if weight is not None:
            return super()._column_metric(score, is_yes, weight)
        xp = array_namespace(score)
        positives, negatives = score[is_yes], xp.sort(score[xp.logical_not(is_yes)])
        n_yes, n_no = positives.shape[0], negatives.shape[0]
        below = xp.zeros_like(xp.sum(score))
        for start in range(0, n_yes if n_no else 0, _PIECE):
            piece = positives[start : start + _PIECE]
            for side in ("left", "right"):
                below = below + xp.sum(xp.searchsorted(negatives, piece, side=side))
        all_yes, all_no = xp.full_like(below, n_yes), xp.full_like(below, n_no)
        return below / max(2.0 * n_yes * n_no, 1.0), self._share(all_yes, all_no)

    def is_defined(self, yes: Array, no: Array) -> Array:
        """Whether there are positives and negatives."""
        return (yes > 0) & (no > 0)


class AveragePrecision(RankingMetric):
    r"""Area under the precision-recall curve: :math:`\sum_n (R_n - R_{n-1}) P_n`.

    The sum goes over all thresholds between outputs, without interpolation, as in scikit-learn. The
    metric suits rare positives: for these, the area under the ROC curve may be close to 1 even if
    most samples that are predicted to be positive are negative. Zhu 2004, "Recall, precision and
    average precision".

    It needs all samples at once: a network keeps all outputs of an epoch for it.

    Parameters
    ----------
    average : {"macro", "weighted"}, default "macro"
        With one output, or two classes, only class 1 counts. With several classes or several
        yes-or-no outputs, "macro" is the mean, and "weighted" the mean weighted by the number of
        positive samples. A class that no sample has is left out. If none remains, the result is
        NaN.
    output_kind : str, optional
        As for :class:`LogLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import AveragePrecision
    >>> outputs = np.array([[0.1], [0.4], [0.35], [0.8]])
    >>> round(float(AveragePrecision()(np.array([0, 0, 1, 1]), outputs)), 4)
    0.8333
    """

    name = "average_precision"

    def output_metric(self, score: Array, yes: Array, no: Array) -> Array:
        """Return the mean, over the positives, of the precision with their output as threshold."""
        xp = array_namespace(score)
        # Sum from the largest output down: differences from the total would lose digits.
        down, yes, no = -xp.flip(score), xp.flip(yes), xp.flip(no)
        place = xp.searchsorted(down, down, side="right")
        start = xp.zeros_like(yes[:1])
        hits = xp.take(xp.concat([start, xp.cumulative_sum(yes)]), place, axis=0)
        all_taken = xp.take(xp.concat([start, xp.cumulative_sum(yes + no)]), place, axis=0)
        precision = hits / xp.where(all_taken > 0, all_taken, 1.0)
        total = xp.sum(yes)
        return xp.sum(yes * precision) / xp.where(total > 0, total, 1.0)

    def is_defined(self, yes: Array, no: Array) -> Array:
        """Whether there are positives."""
        return yes > 0
