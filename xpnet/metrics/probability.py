"""Metrics of predicted probabilities: log loss, Brier score and calibration."""

from abc import abstractmethod

from ..backends import Array, array_namespace, ops
from ..backends._errors import shown
from ..common.checks import check_count
from .base import Metric
from .batch import class_rows, mean_of, values, weights
from .outputs import OF_CLASSES, are_answers, check_output_kind, log_probabilities, probabilities


class ProbabilityMetric(Metric):
    """Base of the metrics that compare the probabilities of classes with the targets.

    Parameters
    ----------
    output_kind : str, optional
        What the outputs are: "probability" (of class 1 or, with several outputs, of a yes for each
        output), "log-odds" (whose sigmoid is that probability), "distribution" (over the classes),
        "logits" (whose softmax is a distribution) or "log-distribution". By default, a network
        takes it from its loss or its last layer; a metric without a network assumes that one output
        is the probability of class 1, and that several are a distribution. With several
        probabilities or log-odds, the metric is the mean over the outputs.

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
    of_classes = True

    def __init__(self, output_kind: str | None = None) -> None:
        self.output_kind = check_output_kind(output_kind)

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse a single output as a distribution over the classes."""
        if self.output_kind in OF_CLASSES and n_outputs == 1:
            raise ValueError(
                f"metric {self.name!r} has output_kind={self.output_kind!r}, which is for several "
                "outputs, but the network has one: leave output_kind out, or give another"
            )


class _MeanScore(ProbabilityMetric):
    """Base of the metrics that are the mean of a score of each sample."""

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the weighted sum of the samples' scores, and the sum of the weights."""
        weight, kind = weights(y_pred, sample_weight), self.output_kind
        if are_answers(y_pred, kind):
            # Each of the k answers counts as a sample with 1/k of the weight.
            xp, (n, k) = array_namespace(y_pred), y_pred.shape
            y_true = xp.reshape(values(y_true, y_pred), (-1, 1))
            y_pred = xp.reshape(y_pred, (-1, 1))
            weight = xp.reshape(xp.broadcast_to(weight[:, None] / k, (n, k)), (-1,))
        xp = array_namespace(y_pred)
        scores = self._sample_scores(class_rows(y_true, y_pred), y_pred)
        return xp.stack([xp.sum(scores * weight), xp.sum(weight)])

    @abstractmethod
    def _sample_scores(self, rows: Array, y_pred: Array) -> Array:
        """Return the score of each sample, of shape (n,).

        Parameters
        ----------
        rows : array of shape (n, n_classes)
            The targets, with a column for each class; 2 columns for one output.
        y_pred : array of shape (n, n_outputs)
            One output, or one for each class.
        """

    def result(self, statistics: Array) -> Array:
        """Return the mean."""
        return mean_of(statistics[0], statistics[1])


class LogLoss(_MeanScore):
    r"""Mean of :math:`-\log p` of the true class, also called cross-entropy. Good 1952.

    From logits and log-odds, it is computed without rounding to probabilities. Probabilities are
    clipped to [ε, 1 - ε], where ε is the spacing of their type at 1, as in scikit-learn. Class
    weights and label smoothing of a loss do not change it.

    Parameters
    ----------
    output_kind : str, optional
        What the outputs are: "probability", "log-odds", "distribution", "logits" or
        "log-distribution"; see :class:`ProbabilityMetric`. With several probabilities or log-odds,
        it is the mean over the samples and the outputs.

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

    def _sample_scores(self, rows: Array, y_pred: Array) -> Array:
        """Return -Σ y log p of each sample."""
        xp, log_p = array_namespace(y_pred), log_probabilities(y_pred, self.output_kind)
        # A class of probability 0 has the logarithm -∞, and 0 * ∞ would be NaN.
        return -xp.sum(xp.where(rows > 0, rows * log_p, 0.0), axis=1)


class BrierScore(_MeanScore):
    r"""Mean squared difference of probabilities and outcomes; smaller is better. Brier 1950.

    For two classes it is the mean of :math:`(p_1 - y)^2`, from 0 to 1. For more, it is the mean of
    :math:`\sum_k (p_k - y_k)^2`, from 0 to 2, as in scikit-learn. For several yes-or-no outputs, it
    is the mean of their scores.

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

    def _sample_scores(self, rows: Array, y_pred: Array) -> Array:
        """Return the score of each sample."""
        p = probabilities(y_pred, self.output_kind)
        score = array_namespace(p).sum((p - rows) ** 2, axis=1)
        return 0.5 * score if p.shape[1] == 2 else score


_MAX_BINS = 10_000
"""More bins are of no use, and take memory for each sample."""


class ExpectedCalibrationError(ProbabilityMetric):
    r"""Mean gap between predicted probabilities and observed proportions, over bins.

    It is :math:`\sum_b (n_b / n) |o_b - p_b|`, with the mean predicted probability :math:`p_b` of
    the samples in a bin, and the proportion :math:`o_b` of them for which the prediction came true.
    With one output, the probability is that of class 1 (Naeini et al. 2015, "Obtaining well
    calibrated probabilities using Bayesian binning"). With several outputs, it is that of the
    predicted class; the prediction came true if that class is correct (Guo et al. 2017, "On
    calibration of modern neural networks"). With several yes-or-no outputs, the metric is the mean
    of their errors.

    Parameters
    ----------
    bins : int, default 15
        The number of intervals of equal width between 0 and 1. Each includes its upper end.
    output_kind : str, optional
        As for :class:`LogLoss`.

    Raises
    ------
    ValueError
        ``bins`` is not an integer from 1 to 10,000.

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
        if self.bins > _MAX_BINS:
            raise ValueError(f"bins={shown(bins)}: expected at most {_MAX_BINS:,}")

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the sums of weights, probabilities and outcomes in each bin.

        Returns
        -------
        array of shape (n_answers, 3, bins)
            ``n_answers`` is the number of yes-or-no outputs; 1 for outputs of other kinds.
        """
        xp, weight = array_namespace(y_pred), weights(y_pred, sample_weight)
        if not are_answers(y_pred, self.output_kind):
            p, came_true = self._predicted(class_rows(y_true, y_pred), y_pred)
            return self._in_bins(p, came_true, weight)[None, ...]
        y, found = values(y_true, y_pred), []
        for k in range(y_pred.shape[1]):
            p = probabilities(y_pred[:, k : k + 1], self.output_kind)[:, 1]
            found.append(self._in_bins(p, y[:, k], weight))
        return xp.stack(found)

    def _predicted(self, rows: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the probability of class 1, or of the predicted class, and the outcome."""
        xp, p = array_namespace(y_pred), probabilities(y_pred, self.output_kind)
        if y_pred.shape[1] == 1:
            return p[:, 1], rows[:, 1]
        predicted = ops.one_hot(xp.argmax(p, axis=1), p.shape[1], like=p)
        return xp.max(p, axis=1), xp.sum(rows * predicted, axis=1)

    def _in_bins(self, p: Array, came_true: Array, weight: Array) -> Array:
        """Return three rows: the sums of weights, probabilities and outcomes in each bin."""
        xp = array_namespace(p)
        # Compare with each edge, so that rounding does not move a probability past its edge.
        above = [xp.astype(p > k / self.bins, xp.int64) for k in range(1, self.bins)]
        number = sum(above, start=xp.zeros_like(p, dtype=xp.int64))
        in_bin = ops.one_hot(number, self.bins, like=p)
        return xp.matmul(xp.stack([weight, weight * p, weight * came_true]), in_bin)

    def result(self, statistics: Array) -> Array:
        """Return Σ |outcomes - probabilities| / Σ weights, averaged over yes-or-no outputs."""
        xp = array_namespace(statistics)
        gaps = xp.abs(statistics[:, 2, :] - statistics[:, 1, :])
        found = mean_of(xp.sum(gaps, axis=1), xp.sum(statistics[:, 0, :], axis=1))
        return xp.mean(found)
