"""Proportions of samples that are classified correctly."""

import math

from ..backends import Array, array_namespace, ops
from ..backends._errors import shown
from ..common.checks import as_float, check_count
from .base import Metric
from .batch import mean_of, predicted_classes, true_classes, values, weights


class Accuracy(Metric):
    """The proportion of samples whose class is correct.

    Parameters
    ----------
    threshold : float, optional
        With one output, the value above which the prediction is class 1. By default, a network
        uses the decision threshold of its loss (0.5 for probabilities, 0 for logits), and a metric
        without a network uses 0.5.

    Raises
    ------
    ValueError
        The threshold is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import Accuracy
    >>> float(Accuracy()(np.array([0, 1, 1, 0]), np.array([[0.2], [0.8], [0.4], [0.1]])))
    0.75
    """

    name = "accuracy"
    greater_is_better = True
    one_class_per_sample = True

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = check_threshold(threshold)

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the total weight of the correct samples, and of all samples."""
        xp = array_namespace(y_pred)
        correct = xp.astype(self._correct(y_true, y_pred), y_pred.dtype)
        if correct.ndim == 2:
            correct = xp.mean(correct, axis=1)
        weight = weights(y_pred, sample_weight)
        return xp.stack([xp.sum(correct * weight), xp.sum(weight)])

    def _correct(self, y_true: Array, y_pred: Array) -> Array:
        return true_classes(y_true, y_pred) == predicted_classes(y_pred, self.threshold)

    def result(self, statistics: Array) -> Array:
        """Return the weight of the correct samples divided by that of all samples."""
        return mean_of(statistics[0], statistics[1])


class BinaryAccuracy(Accuracy):
    """The proportion of correct yes-or-no answers; each output is an independent answer.

    Parameters
    ----------
    threshold : float, optional
        As for :class:`Accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import BinaryAccuracy
    >>> float(BinaryAccuracy()(np.array([[0, 1], [1, 1]]), np.array([[0.2, 0.8], [0.4, 0.9]])))
    0.75
    """

    name = "binary_accuracy"
    one_class_per_sample = False
    of_classes = True

    def _correct(self, y_true: Array, y_pred: Array) -> Array:
        threshold = 0.5 if self.threshold is None else self.threshold
        return (values(y_true, y_pred) > 0.5) == (y_pred > threshold)


class TopKAccuracy(Accuracy):
    """The proportion of samples whose class is among the k classes with the largest outputs.

    Of equal outputs, the one with the smaller index counts as the larger, so that k = 1 is
    :class:`Accuracy`. Its name is ``top_5_accuracy`` for k = 5.

    Parameters
    ----------
    k : int, default 5
        Less than the number of classes.

    Raises
    ------
    ValueError
        ``k`` is not an integer from 1 to 10⁹, or there are k or fewer outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import TopKAccuracy
    >>> top = TopKAccuracy(k=2)
    >>> top.name
    'top_2_accuracy'
    >>> float(top(np.array([0, 1]), np.array([[0.3, 0.4, 0.3], [0.5, 0.1, 0.4]])))
    0.5
    """

    def __init__(self, k: int = 5) -> None:
        self.k = check_count("k", k)
        if self.k > _MAX_CLASSES:  # e.g. from a damaged file
            raise ValueError(f"k={shown(k)}: expected at most {_MAX_CLASSES:,}")
        self.name = f"top_{self.k}_accuracy"

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse k or fewer outputs."""
        if n_outputs <= self.k:
            raise ValueError(
                f"metric {self.name!r} of {n_outputs} output(s) would always be 1: expected more "
                f"outputs than k={self.k}. Give a smaller k, e.g. TopKAccuracy(k=2)"
            )

    def _correct(self, y_true: Array, y_pred: Array) -> Array:
        xp, n_classes = array_namespace(y_pred), y_pred.shape[1]
        true = true_classes(y_true, y_pred)
        row = ops.one_hot(true, n_classes, like=y_pred)
        true_output = xp.sum(xp.where(row > 0, y_pred, 0.0), axis=1, keepdims=True)
        later = xp.cumulative_sum(row, axis=1) > 0  # the true class and those after it
        # NaN is behind nothing, so a row of NaN is never correct.
        behind = (y_pred < true_output) | ((y_pred == true_output) & later)
        ahead = xp.sum(xp.astype(xp.logical_not(behind), xp.int64), axis=1)
        return ahead < self.k


_MAX_CLASSES = 10**9


def check_threshold(given: float | None) -> float | None:
    """Return a threshold unchanged, if it is a finite number or None."""
    if given is not None and not math.isfinite(as_float(given)):
        raise ValueError(f"threshold={shown(given)}: expected a finite number or None")
    return given
