"""Metrics: how good the outputs are, as numbers that are easy to compare.

A metric sums *statistics* over batches on the device, and computes its value from the sums once. It
can also be called, as in ``accuracy(y_true, y_pred)``, and returns a 0-d array of the library of
``y_pred``.

A new metric is a subclass of :class:`Metric` with ``statistics`` and ``result``. It may also be a
function ``(y_true, y_pred) -> number``, which needs all outputs of an epoch at once. Searches and
callbacks read its attribute ``greater_is_better`` to find the best network. If a function does not
have it, ``mode="max"`` or ``mode="min"`` must be given.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from .backends import Array, array_namespace, ops, to_host
from .backends._errors import shown
from .common.checks import check_batch, class_indices, number
from .common.readable import Readable


class Metric(Readable, ABC):
    """Base of all metrics.

    Attributes
    ----------
    name : str
        The name of the metric in tables and histories.
    one_class_per_sample : bool
        Whether each sample belongs to exactly one class.
    greater_is_better : bool or None, default None
        Whether a larger value means a better network. With None, searches and callbacks need
        ``mode="max"`` or ``mode="min"``.

    Examples
    --------
    The share of errors that are larger than a tolerance:

    >>> import numpy as np
    >>> from xpnet import NeuralNetwork, array_namespace
    >>> from xpnet.metrics import Metric
    >>> class LargeErrors(Metric):
    ...     name = "large_errors"
    ...     greater_is_better = False
    ...
    ...     def __init__(self, tolerance=0.5):
    ...         self.tolerance = tolerance
    ...
    ...     def statistics(self, y_true, y_pred, sample_weight=None):
    ...         xp = array_namespace(y_pred)
    ...         errors = xp.abs(xp.reshape(y_true, y_pred.shape) - y_pred) > self.tolerance
    ...         large = xp.astype(errors[:, 0], y_pred.dtype)
    ...         weight = xp.ones_like(large) if sample_weight is None else sample_weight
    ...         return xp.stack([xp.sum(large * weight), xp.sum(weight)])
    ...
    ...     def result(self, statistics):
    ...         return statistics[0] / statistics[1]
    >>> float(LargeErrors()(np.array([1.0, 2.0]), np.array([[1.1], [5.0]])))
    0.5
    >>> net = NeuralNetwork(metric=LargeErrors(tolerance=0.1))
    """

    name: ClassVar[str]
    one_class_per_sample: ClassVar[bool] = False
    greater_is_better: ClassVar[bool | None] = None

    @abstractmethod
    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the statistics of a batch, from which :meth:`result` computes the metric.

        Parameters
        ----------
        y_true : array of shape (n,) or (n, n_outputs)
            Values, class indices or one-hot rows.
        y_pred : array of shape (n, n_outputs)
            A network's output.
        sample_weight : array of shape (n,), optional
        """

    @abstractmethod
    def result(self, statistics: Array) -> Array:
        """Return the metric, a 0-d array, from the statistics of all batches."""

    def merge(self, a: Array, b: Array) -> Array:
        """Return the combined statistics of two batches; by default their sum."""
        return a + b

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the metric of one batch.

        Raises
        ------
        TypeError
            An argument is not an array, the outputs are not floating-point numbers, or the arrays
            are from different libraries or on different devices.
        ValueError
            The shapes do not fit, or a target with a weight above 0 is not a class.
        """
        _check(y_true, y_pred, sample_weight)
        if self.one_class_per_sample:
            _check_classes(y_true, y_pred, sample_weight)
        return self.result(self.statistics(y_true, y_pred, sample_weight))


class Accuracy(Metric):
    """The proportion of samples whose class is correct.

    Parameters
    ----------
    threshold : float, optional
        With one output, the value above which the prediction is class 1. By default, a network
        uses the decision threshold of its loss (0.5 for probabilities, 0 for logits), and a metric
        without a network uses 0.5.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import accuracy
    >>> from xpnet.metrics import Accuracy
    >>> outputs = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 4.0]])
    >>> float(accuracy(np.array([0, 1, 1, 0]), outputs))  # the largest output is the class
    0.75
    >>> float(Accuracy(threshold=0.9)(np.array([1, 0]), np.array([[0.95], [0.8]])))
    1.0
    """

    name = "accuracy"
    greater_is_better = True
    one_class_per_sample = True

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = _check_threshold(threshold)

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the total weight of the correct samples, and of all samples."""
        xp = array_namespace(y_pred)
        correct = xp.astype(self._correct(y_true, y_pred), y_pred.dtype)
        if correct.ndim == 2:
            correct = xp.mean(correct, axis=1)
        weight = _weight(y_pred, sample_weight)
        return xp.stack([xp.sum(correct * weight), xp.sum(weight)])

    def _correct(self, y_true: Array, y_pred: Array) -> Array:
        return true_classes(y_true, y_pred) == predicted_classes(y_pred, self.threshold)

    def result(self, statistics: Array) -> Array:
        """Return the weight of the correct samples divided by that of all samples."""
        return _ratio(statistics[0], statistics[1])


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
    >>> y_true = np.array([[1, 0, 1], [0, 0, 1]])  # three questions, two samples
    >>> y_pred = np.array([[0.9, 0.2, 0.4], [0.1, 0.3, 0.8]])
    >>> round(float(BinaryAccuracy()(y_true, y_pred)), 3)  # 5 of 6
    0.833
    """

    name = "binary_accuracy"
    one_class_per_sample = False

    def _correct(self, y_true: Array, y_pred: Array) -> Array:
        threshold = 0.5 if self.threshold is None else self.threshold
        return (_column(y_true, y_pred) > 0.5) == (y_pred > threshold)


class MSE(Metric):
    """Mean squared error, over samples and outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import mse
    >>> float(mse(np.array([1.0, 2.0]), np.array([[1.5], [2.0]])))  # (0.25 + 0) / 2
    0.125
    """

    name = "mse"
    greater_is_better = False

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the weighted sum of the samples' errors, and the sum of the weights."""
        xp = array_namespace(y_pred)
        weight = _weight(y_pred, sample_weight)
        error = xp.mean(self._error(_column(y_true, y_pred) - y_pred), axis=1)
        return xp.stack([xp.sum(error * weight), xp.sum(weight)])

    def _error(self, difference: Array) -> Array:
        return difference * difference

    def result(self, statistics: Array) -> Array:
        """Return the mean."""
        return _ratio(statistics[0], statistics[1])


class MAE(MSE):
    """Mean absolute error, over samples and outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import mae
    >>> float(mae(np.array([1.0, 2.0]), np.array([[1.5], [2.0]])))  # (0.5 + 0) / 2
    0.25
    """

    name = "mae"

    def _error(self, difference: Array) -> Array:
        return array_namespace(difference).abs(difference)


class RMSE(MSE):
    """Square root of the mean squared error over samples and outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import NeuralNetwork, rmse
    >>> float(rmse(np.array([1.0, 2.0]), np.array([[1.0], [4.0]])).round(3))  # √((0 + 4) / 2)
    1.414
    >>> net = NeuralNetwork(metric="rmse")
    """

    name = "rmse"
    greater_is_better = False

    def result(self, statistics: Array) -> Array:
        """Return the root of the mean."""
        return array_namespace(statistics).sqrt(super().result(statistics))


class R2(Metric):
    r"""Coefficient of determination, :math:`1 - \sum (y-\hat y)^2 / \sum (y - \bar y)^2`.

    With several outputs, it is the mean over the outputs. If the targets do not vary, it is 1 for
    exact predictions and otherwise 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import r2
    >>> y = np.array([1.0, 2.0, 3.0])
    >>> float(r2(y, y[:, None])), float(r2(y, np.array([[2.0], [2.0], [2.0]])))  # exact, the mean
    (1.0, 0.0)
    """

    name = "r2"
    greater_is_better = True

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return four rows: the weight, mean, Σ(y - mean)² and Σ(y - ŷ)² of each output."""
        xp = array_namespace(y_pred)
        y = _column(y_true, y_pred)
        weight = _weight(y_pred, sample_weight)[:, None] + xp.zeros_like(y)
        total = xp.sum(weight, axis=0)
        mean = _ratio(xp.sum(weight * y, axis=0), total)
        spread = xp.sum(weight * (y - mean) ** 2, axis=0)
        return xp.stack([total, mean, spread, xp.sum(weight * (y - y_pred) ** 2, axis=0)])

    def merge(self, a: Array, b: Array) -> Array:
        """Combine as in Chan et al. 1983, without the cancellation of formulas with Σy²."""
        xp = array_namespace(a)
        total = a[0, :] + b[0, :]
        apart = b[1, :] - a[1, :]
        share = _ratio(b[0, :], total)
        mean = a[1, :] + apart * share
        spread = a[2, :] + b[2, :] + apart * apart * a[0, :] * share
        return xp.stack([total, mean, spread, a[3, :] + b[3, :]])

    def result(self, statistics: Array) -> Array:
        """Return the mean of 1 - residual / spread over the outputs."""
        xp = array_namespace(statistics)
        total, mean = statistics[0, :], statistics[1, :]
        # If all targets are equal, rounding may leave a small spread, which is taken as 0.
        rounding = total * (2.0 * float(xp.finfo(mean.dtype).eps) * mean) ** 2
        spread = xp.where(statistics[2, :] <= rounding, 0.0, statistics[2, :])
        residual = xp.where(statistics[3, :] <= rounding, 0.0, statistics[3, :])
        of_constant = xp.where(residual > 0, xp.ones_like(residual), residual)  # NaN stays NaN
        of_varying = residual / xp.where(spread > 0, spread, 1.0)
        return 1.0 - xp.mean(xp.where(spread > 0, of_varying, of_constant))


class _FromConfusion(Metric):
    """Base of the metrics that are computed from a confusion matrix.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "weighted"}, default "auto"
        ``"binary"`` is the metric of class 1, and ``"macro"`` is the mean over the classes that
        occur in targets or predictions. ``"weighted"`` is the mean weighted by the number of
        targets in each class. ``"auto"`` is binary for two classes and macro for more.
    threshold : float, optional
        As for :class:`Accuracy`.
    """

    one_class_per_sample = True
    greater_is_better = True

    def __init__(self, average: str = "auto", threshold: float | None = None) -> None:
        if average not in ("auto", "binary", "macro", "weighted"):
            raise ValueError(
                f"average={average!r}: expected 'auto', 'binary', 'macro' or 'weighted'"
            )
        self.average = average
        self.threshold = _check_threshold(threshold)

    @abstractmethod
    def of_classes(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return the metric of each class.

        Parameters
        ----------
        hits, true, predicted : array of shape (n_classes,)
            The total weights of the samples that are correctly predicted to be of a class, that
            are of the class, and that are predicted to be of the class.
        """

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the confusion matrix."""
        return _confusion(y_true, y_pred, sample_weight, self.threshold)

    def result(self, statistics: Array) -> Array:
        """Return the average over classes."""
        xp = array_namespace(statistics)
        hits = xp.linalg.diagonal(statistics)
        true, predicted = xp.sum(statistics, axis=1), xp.sum(statistics, axis=0)
        values = self.of_classes(hits, true, predicted)
        if self.average == "binary" or (self.average == "auto" and values.shape[0] == 2):
            return values[1]
        weight = true
        if self.average != "weighted":
            weight = xp.astype((true + predicted) > 0, values.dtype)
        return _ratio(xp.sum(values * weight), xp.sum(weight))


class Precision(_FromConfusion):
    """The proportion of samples predicted to be of a class that are of that class.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import precision
    >>> y_true, y_pred = np.array([1, 1, 0, 0]), np.array([[0.9], [0.2], [0.8], [0.1]])
    >>> float(precision(y_true, y_pred))  # of two predicted to be of class 1, one is
    0.5
    """

    name = "precision"

    def of_classes(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return hits / predicted."""
        return _ratio(hits, predicted)


class Recall(_FromConfusion):
    """The proportion of samples of a class that are predicted to be of that class.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import Recall
    >>> y_true = np.array([0, 0, 1, 2])
    >>> outputs = np.eye(3)[[0, 1, 1, 2]]  # one of class 0 is taken for class 1
    >>> round(float(Recall(average="macro")(y_true, outputs)), 3)  # (0.5 + 1 + 1) / 3
    0.833
    """

    name = "recall"

    def of_classes(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return hits / true."""
        return _ratio(hits, true)


class F1(_FromConfusion):
    """Harmonic mean of precision and recall, 2 hits / (true + predicted).

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import NeuralNetwork, f1
    >>> from xpnet.metrics import F1
    >>> y_true, y_pred = np.array([1, 1, 0, 0]), np.array([[0.9], [0.2], [0.8], [0.1]])
    >>> float(f1(y_true, y_pred))
    0.5
    >>> net = NeuralNetwork(loss="softmax_cross_entropy", metric=F1(average="weighted"))
    """

    name = "f1"

    def of_classes(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return 2 hits / (true + predicted)."""
        return _ratio(2.0 * hits, true + predicted)


def _check_threshold(given: float | None) -> float | None:
    """Return a threshold as it was given, if it is a finite number or None."""
    if given is not None and not math.isfinite(number(given)):
        raise ValueError(f"threshold={shown(given)}: expected a finite number or None")
    return given


def confusion_matrix(
    y_true: Array,
    y_pred: Array,
    sample_weight: Array | None = None,
    *,
    threshold: float | None = None,
) -> Array:
    """Count the samples of class i (row) that are predicted to be of class j (column).

    Parameters
    ----------
    y_true : array of shape (n,), (n, 1) or (n, n_classes)
    y_pred : array of shape (n, n_outputs)
        A network's output. A single output is for two classes.
    sample_weight : array of shape (n,), optional
    threshold : float, optional
        As for :class:`Accuracy`.

    Returns
    -------
    array of shape (n_classes, n_classes), of the type of y_pred

    Raises
    ------
    TypeError, ValueError
        The arguments are invalid, as for a metric.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import confusion_matrix
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([[0.2], [0.9], [0.8]])).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    _check(y_true, y_pred, sample_weight)
    _check_classes(y_true, y_pred, sample_weight)
    return _confusion(y_true, y_pred, sample_weight, threshold)


def _confusion(
    y_true: Array, y_pred: Array, sample_weight: Array | None, threshold: float | None
) -> Array:
    xp = array_namespace(y_pred)
    n_classes = max(y_pred.shape[1], 2)
    weight = _weight(y_pred, sample_weight)[:, None]
    true = ops.one_hot(true_classes(y_true, y_pred), n_classes, like=y_pred)
    predicted = ops.one_hot(predicted_classes(y_pred, threshold), n_classes, like=y_pred)
    return xp.matmul((true * weight).T, predicted)


def predicted_classes(y_pred: Array, threshold: float | None = None) -> Array:
    """Return the class that a network predicts for each sample.

    Parameters
    ----------
    y_pred : array of shape (n, n_outputs)
        With several outputs, the class is the index of the largest. With one output, it is 1 above
        the threshold and otherwise 0.
    threshold : float, optional
        By default 0.5.

    Returns
    -------
    integer array of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import predicted_classes
    >>> predicted_classes(np.array([[0.1, 0.7, 0.2], [0.6, 0.2, 0.2]])).tolist()
    [1, 0]
    >>> predicted_classes(np.array([[0.4], [-0.3]]), threshold=0.0).tolist()  # from logits
    [1, 0]
    """
    xp = array_namespace(y_pred)
    if y_pred.shape[1] > 1:
        return xp.astype(xp.argmax(y_pred, axis=1), xp.int64)
    return xp.astype(y_pred[:, 0] > (0.5 if threshold is None else threshold), xp.int64)


def true_classes(y_true: Array, y_pred: Array) -> Array:
    """Return the class of each target, as an integer array of shape (n,).

    Parameters
    ----------
    y_true : array of shape (n,), (n, 1) or (n, n_classes)
        Class indices, of any type, or one-hot rows.
    y_pred : array of shape (n, n_outputs)

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import true_classes
    >>> true_classes(np.array([[0, 1], [1, 0]]), np.zeros((2, 2))).tolist()  # one-hot rows
    [1, 0]
    """
    xp = array_namespace(y_true)
    if y_true.ndim == 2 and y_true.shape[1] > 1:
        return xp.astype(xp.argmax(y_true, axis=1), xp.int64)
    y_true = xp.reshape(y_true, (-1,))
    if y_pred.shape[1] == 1 and xp.isdtype(y_true.dtype, "real floating"):
        y_true = y_true > 0.5  # a probability of class 1, usually 0 or 1
    return xp.astype(y_true, xp.int64)


METRICS: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "mse": MSE,
    "mae": MAE,
    "rmse": RMSE,
    "r2": R2,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
}

accuracy, mse, mae, rmse, r2 = Accuracy(), MSE(), MAE(), RMSE(), R2()
precision, recall, f1 = Precision(), Recall(), F1()


def _check(y_true: Array, y_pred: Array, sample_weight: Array | None) -> None:
    """Refuse arguments whose shapes do not fit each other."""
    check_batch(y_true, y_pred, sample_weight)
    n = y_pred.shape[0]
    if y_true.ndim not in (1, 2) or y_true.shape[0] != n:
        raise ValueError(f"y_true of shape {y_true.shape} does not fit y_pred of {y_pred.shape}")
    if y_true.ndim == 2 and y_true.shape[1] not in (1, y_pred.shape[1]):
        raise ValueError(f"y_true of shape {y_true.shape} does not fit y_pred of {y_pred.shape}")


def _check_classes(y_true: Array, y_pred: Array, sample_weight: Array | None) -> None:
    """Refuse class indices that are out of range; this waits for a GPU to finish."""
    if y_true.shape[1:] not in ((), (1,)):
        return
    labels, n_outputs = to_host(y_true).reshape(-1), y_pred.shape[1]
    if sample_weight is not None:
        labels = labels[to_host(sample_weight) != 0]
    if n_outputs > 1:
        class_indices(labels, n_outputs)
    elif not ((labels >= 0) & (labels <= 1)).all():
        raise ValueError(
            f"y_true goes from {labels.min()} to {labels.max()}: expected numbers from 0 to 1, "
            "because one output has the classes 0 and 1"
        )


def _weight(y_pred: Array, sample_weight: Array | None) -> Array:
    """Return a weight for each sample; 1 if none are given."""
    xp = array_namespace(y_pred)
    if sample_weight is None:
        return xp.ones_like(y_pred[:, 0])
    return xp.astype(sample_weight, y_pred.dtype, copy=False)


def _column(y_true: Array, y_pred: Array) -> Array:
    """Return targets in the shape and type of the outputs."""
    xp = array_namespace(y_true)
    if y_true.ndim == 1 and y_pred.shape[1] == 1:
        y_true = xp.reshape(y_true, (-1, 1))
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"targets of shape {y_true.shape} do not fit outputs of shape {y_pred.shape}"
        )
    return xp.astype(y_true, y_pred.dtype, copy=False)


def _ratio(a: Array, b: Array) -> Array:
    """Return a / b, and 0 where b is 0."""
    xp: Any = array_namespace(a)
    return xp.where(b > 0, a / xp.where(b > 0, b, 1.0), 0.0)
