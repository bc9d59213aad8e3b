"""Metrics of predicted probabilities: log loss, Brier score and calibration."""

from ..backends import Array, array_namespace, ops
from ..backends._errors import shown
from ..common.checks import check_count
from .base import Metric
from .batch import class_rows, ratio, weights
from .outputs import check_output_kind, log_probabilities, probabilities


class ProbabilityMetric(Metric):
    """Base of the metrics that compare the probabilities of classes with the targets.

    Parameters
    ----------
    output_kind : str, optional
        What the outputs are: "probability" (of class 1), "log-odds" (a sigmoid makes them
        probabilities), "distribution" (over the classes), "logits" (a softmax makes them one) or
        "log-distribution". By default, a network takes it from its loss or its last layer, and a
        metric without a network takes outputs as probabilities.

    Raises
    ------
    UnknownNameError
        ``output_kind`` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import LogLoss
    >>> logits, y_true = np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([1, 0])
    >>> round(float(LogLoss(output_kind="logits")(y_true, logits)), 3)  # (log 2 + 0.0001) / 2
    0.347
    """

    greater_is_better = False
    one_class_per_sample = True

    def __init__(self, output_kind: str | None = None) -> None:
        self.output_kind = check_output_kind(output_kind)

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse a kind of outputs that does not fit their number."""
        kind = self.output_kind
        if kind is not None and (kind in ("probability", "log-odds")) != (n_outputs == 1):
            expected = "one output" if n_outputs > 1 else "several outputs"
            raise ValueError(
                f"metric {self.name!r} has output_kind={kind!r}, which is for {expected}, but "
                f"there are {n_outputs}"
            )

    def result(self, statistics: Array) -> Array:
        """Return the mean."""
        return ratio(statistics[0], statistics[1])


class LogLoss(ProbabilityMetric):
    r"""Mean of :math:`-\log p` of the true class, also called cross-entropy. Good 1952.

    From logits and log-odds it is computed without rounding the probabilities. Probabilities are
    clipped to [ε, 1 - ε], where ε is the spacing of their type at 1, as in scikit-learn. Class
    weights and label smoothing of a loss do not change it.

    Parameters
    ----------
    output_kind : str, optional
        What the outputs are: "probability" (of class 1), "log-odds", "distribution", "logits" or
        "log-distribution". By default, a network takes it from its loss or its last layer, and a
        metric without a network takes outputs as probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import LogLoss
    >>> y = np.array([0, 1])
    >>> round(float(LogLoss()(y, np.array([[0.5], [0.5]]))), 4)
    0.6931
    >>> round(float(LogLoss("logits")(y, np.array([[1.0, 1.0], [3.0, 3.0]]))), 4)
    0.6931
    """

    name = "log_loss"

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the weighted sum of the samples' losses, and the sum of the weights."""
        xp, weight = array_namespace(y_pred), weights(y_pred, sample_weight)
        rows = class_rows(y_true, y_pred)
        # A class of probability 0 has the logarithm -∞, and 0 * ∞ would be NaN.
        terms = xp.where(rows > 0, rows * log_probabilities(y_pred, self.output_kind), 0.0)
        return xp.stack([-xp.sum(xp.sum(terms, axis=1) * weight), xp.sum(weight)])


class BrierScore(ProbabilityMetric):
    r"""Mean squared difference of probabilities and outcomes; smaller is better. Brier 1950.

    For two classes it is the mean of :math:`(p_1 - y)^2`, from 0 to 1. For more, it is the mean of
    :math:`\sum_k (p_k - y_k)^2`, from 0 to 2, as in scikit-learn.

    Parameters
    ----------
    output_kind : str, optional
        As for :class:`LogLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import BrierScore
    >>> float(BrierScore()(np.array([0, 1]), np.array([[0.5], [1.0]])))
    0.125
    """

    name = "brier_score"

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the weighted sum of the samples' scores, and the sum of the weights."""
        xp, weight = array_namespace(y_pred), weights(y_pred, sample_weight)
        p = probabilities(y_pred, self.output_kind)
        score = xp.sum((p - class_rows(y_true, y_pred)) ** 2, axis=1)
        factor = 0.5 if p.shape[1] == 2 else 1.0
        return xp.stack([xp.sum(factor * score * weight), xp.sum(weight)])


_MOST_BINS = 10_000
"""More would be of no use, and would take memory for each sample."""


class ExpectedCalibrationError(ProbabilityMetric):
    r"""How far probabilities are from the proportions of outcomes, in bins of probabilities.

    It is :math:`\sum_b (n_b / n) |o_b - p_b|`, with the mean probability :math:`p_b` of the samples
    in a bin, and the proportion :math:`o_b` of them for which it came true. With one output, the
    probability is that of class 1 (Naeini et al. 2015, "Obtaining well calibrated probabilities
    using Bayesian binning"). With several outputs, it is that of the predicted class, which came
    true if the class is correct (Guo et al. 2017, "On calibration of modern neural networks").

    Parameters
    ----------
    bins : int, default 15
        The number of intervals of equal width between 0 and 1. Each includes its upper end.
    output_kind : str, optional
        As for :class:`LogLoss`.

    Raises
    ------
    ValueError
        ``bins`` is not a whole number from 1 to 10,000.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import ExpectedCalibrationError
    >>> outputs = np.array([[0.8], [0.8], [0.3], [0.3]])
    >>> error = ExpectedCalibrationError(bins=10)(np.array([1, 1, 0, 1]), outputs)
    >>> round(float(error), 4)  # (|1 - 0.8| + |0.5 - 0.3|) / 2
    0.2
    """

    name = "calibration_error"

    def __init__(self, bins: int = 15, output_kind: str | None = None) -> None:
        super().__init__(output_kind)
        self.bins = check_count("bins", bins)
        if self.bins > _MOST_BINS:
            raise ValueError(f"bins={shown(bins)}: expected at most {_MOST_BINS:,}")

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return three rows: the sums of weights, probabilities and outcomes in each bin."""
        xp, weight = array_namespace(y_pred), weights(y_pred, sample_weight)
        p, rows = probabilities(y_pred, self.output_kind), class_rows(y_true, y_pred)
        if y_pred.shape[1] == 1:
            p, came_true = p[:, 1], rows[:, 1]
        else:
            predicted = ops.one_hot(xp.argmax(p, axis=1), p.shape[1], like=p)
            p, came_true = xp.max(p, axis=1), xp.sum(rows * predicted, axis=1)
        # A comparison with each edge, so that a probability on an edge is not rounded past it.
        above = [xp.astype(p > k / self.bins, xp.int64) for k in range(1, self.bins)]
        number = sum(above, start=xp.zeros_like(p, dtype=xp.int64))
        in_bin = ops.one_hot(number, self.bins, like=p)
        sums = xp.stack([weight, weight * p, weight * came_true])
        return xp.matmul(sums, in_bin)

    def result(self, statistics: Array) -> Array:
        """Return Σ |outcomes - probabilities| / Σ weights."""
        xp = array_namespace(statistics)
        apart = xp.abs(statistics[2, :] - statistics[1, :])
        return ratio(xp.sum(apart), xp.sum(statistics[0, :]))
