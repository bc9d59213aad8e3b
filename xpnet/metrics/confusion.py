"""The confusion matrix, and the metrics that are computed from it."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from ..backends import Array, array_namespace, ops, resolve
from ..backends._errors import check_name
from .accuracies import check_threshold
from .base import Metric
from .batch import (
    check_classes,
    check_shapes,
    if_counted,
    mean_of,
    predicted_classes,
    ratio,
    true_classes,
    weights,
)


class ConfusionMetric(Metric):
    """Base of the metrics that are computed from a confusion matrix.

    Parameters
    ----------
    threshold : float, optional
        As for :class:`Accuracy`.
    """

    one_class_per_sample = True
    greater_is_better = True

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = check_threshold(threshold)

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the confusion matrix."""
        return _confusion(y_true, y_pred, sample_weight, self.threshold)


class AveragedMetric(ConfusionMetric):
    """Base of the metrics that are computed for each class and averaged.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "weighted"}, default "auto"
        ``"binary"`` is the metric of class 1, and ``"macro"`` is the mean over the classes that
        occur in targets or predictions. ``"weighted"`` is the mean weighted by the number of
        targets in each class. ``"auto"`` is binary for two classes and macro for more.
    threshold : float, optional
        As for :class:`Accuracy`.
    """

    def __init__(self, average: str = "auto", threshold: float | None = None) -> None:
        super().__init__(threshold)
        self.average = check_name("average", average, ("auto", "binary", "macro", "weighted"))

    @abstractmethod
    def class_metrics(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return the metric of each class.

        Parameters
        ----------
        hits, true, predicted : array of shape (n_classes,)
            The total weights of the samples that are correctly predicted to be of a class, that
            are of the class, and that are predicted to be of the class.
        """

    def result(self, statistics: Array) -> Array:
        """Return the average over classes."""
        xp = array_namespace(statistics)
        hits = xp.linalg.diagonal(statistics)
        true, predicted = xp.sum(statistics, axis=1), xp.sum(statistics, axis=0)
        values = self.class_metrics(hits, true, predicted)
        if self.average == "binary" or (self.average == "auto" and values.shape[0] == 2):
            return if_counted(values[1], xp.sum(true))
        weight = true
        if self.average != "weighted":
            weight = xp.astype((true + predicted) > 0, values.dtype)
        return mean_of(xp.sum(values * weight), xp.sum(weight))


class Precision(AveragedMetric):
    """The proportion of correct predictions among the samples predicted to be of a class.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "weighted"}, default "auto"
        ``"binary"`` takes class 1 alone, ``"macro"`` the mean over the classes that occur in
        targets or predictions, ``"weighted"`` the mean weighted by the number of targets in each
        class. ``"auto"`` is binary for two classes and macro for more.
    threshold : float, optional
        As for :class:`Accuracy`.

    Raises
    ------
    UnknownNameError
        ``average`` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import Precision
    >>> float(Precision()(np.array([0, 1, 1, 0]), np.array([[0.2], [0.8], [0.4], [0.9]])))
    0.5
    """

    name = "precision"

    def class_metrics(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return hits / predicted."""
        return ratio(hits, predicted)


class Recall(AveragedMetric):
    """The proportion of correct predictions among the samples of a class.

    Parameters
    ----------
    average, threshold
        As for :class:`Precision`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import Recall
    >>> float(Recall()(np.array([0, 1, 1, 0]), np.array([[0.2], [0.8], [0.4], [0.1]])))
    0.5
    """

    name = "recall"

    def class_metrics(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return hits / true."""
        return ratio(hits, true)


class F1(AveragedMetric):
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN).

    Parameters
    ----------
    average, threshold
        As for :class:`Precision`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import F1
    >>> round(float(F1()(np.array([0, 1, 1]), np.array([[0.2], [0.8], [0.4]]))), 4)
    0.6667
    """

    name = "f1"

    def class_metrics(self, hits: Array, true: Array, predicted: Array) -> Array:
        """Return 2 hits / (true + predicted)."""
        return ratio(2.0 * hits, true + predicted)


class BalancedAccuracy(ConfusionMetric):
    """The mean recall of the classes that occur in the targets.

    Guessing scores 1 / K for K classes, however rare some of them are. Brodersen et al. 2010, "The
    balanced accuracy and its posterior distribution".

    Parameters
    ----------
    threshold : float, optional
        As for :class:`Accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import BalancedAccuracy
    >>> outputs = np.array([[0.2], [0.3], [0.1], [0.4]])
    >>> float(BalancedAccuracy()(np.array([0, 0, 0, 1]), outputs))
    0.5
    """

    name = "balanced_accuracy"

    def result(self, statistics: Array) -> Array:
        """Return the mean of hits / true."""
        xp = array_namespace(statistics)
        true = xp.sum(statistics, axis=1)
        recall = ratio(xp.linalg.diagonal(statistics), true)
        return mean_of(xp.sum(recall), xp.sum(xp.astype(true > 0, true.dtype)))


class MatthewsCorrelation(ConfusionMetric):
    r"""Correlation of true and predicted classes, from -1 to 1; 0 is no better than guessing.

    With the proportions t and p of each class in targets and predictions, and the accuracy c, it is
    :math:`(c - \sum tp) / \sqrt{(1 - \sum t^2)(1 - \sum p^2)}`; 0 if all targets or all predictions
    are of one class. Matthews 1975; for several classes Gorodkin 2004, "Comparing two
    K-category assignments by a K-category correlation coefficient".

    Parameters
    ----------
    threshold : float, optional
        As for :class:`Accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import MatthewsCorrelation
    >>> outputs = np.array([[0.2], [0.8], [0.9], [0.6]])
    >>> round(float(MatthewsCorrelation()(np.array([0, 1, 1, 0]), outputs)), 4)
    0.5774
    """

    name = "matthews_corrcoef"

    def result(self, statistics: Array) -> Array:
        """Return the correlation."""
        xp = array_namespace(statistics)
        true, predicted = xp.sum(statistics, axis=1), xp.sum(statistics, axis=0)
        total = xp.sum(true)
        # Divide each by its own sum: then a class with all samples has a proportion of exactly 1.
        t, p = ratio(true, total), ratio(predicted, xp.sum(predicted))
        correct = ratio(xp.sum(xp.linalg.diagonal(statistics)), total)
        spread = (1.0 - xp.sum(t * t)) * (1.0 - xp.sum(p * p))
        found = ratio(correct - xp.sum(t * p), xp.sqrt(xp.where(spread > 0, spread, 0.0)))
        return if_counted(found, total)


class CohenKappa(ConfusionMetric):
    r"""Agreement of true and predicted classes beyond chance: :math:`1 - \sum wC / \sum wE`.

    C is the confusion matrix, E its expectation if predictions were independent of targets, and w
    the weight of each kind of mistake. 1 is full agreement, and 0 is agreement by chance. It is
    also 0 if targets and predictions are all of the same class. Cohen 1960; weights: Cohen 1968.

    Parameters
    ----------
    weights : {"linear", "quadratic"}, optional
        For ordered classes: the weight of a mistake is the distance between the two classes, or its
        square. By default, all mistakes have the same weight.
    threshold : float, optional
        As for :class:`Accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import CohenKappa
    >>> float(CohenKappa()(np.array([0, 1, 1, 0]), np.array([[0.2], [0.8], [0.9], [0.6]])))
    0.5
    """

    name = "cohen_kappa"

    def __init__(self, weights: str | None = None, threshold: float | None = None) -> None:
        super().__init__(threshold)
        if weights is not None:
            weights = check_name("weights", weights, ("linear", "quadratic"))
        self.weights = weights

    def result(self, statistics: Array) -> Array:
        """Return 1 - Σ wC / Σ wE."""
        xp, n_classes = array_namespace(statistics), statistics.shape[0]
        # Number the classes with a cumulative sum, which is on the device already.
        number = xp.cumulative_sum(xp.ones_like(statistics[0, :]))
        distance = xp.abs(number[:, None] - number[None, :])
        if self.weights is None:
            distance = xp.astype(distance > 0, statistics.dtype)
        elif self.weights == "quadratic":
            distance = distance * distance / n_classes
        true, predicted = xp.sum(statistics, axis=1), xp.sum(statistics, axis=0)
        total = xp.sum(true)
        expected = ratio(true, total)[:, None] * predicted[None, :]
        by_chance = xp.sum(distance * expected)
        return if_counted(ratio(by_chance - xp.sum(distance * statistics), by_chance), total)


def confusion_matrix(
    y_true: Array | Sequence[str],
    y_pred: Array | Sequence[str],
    sample_weight: Array | None = None,
    *,
    threshold: float | None = None,
) -> Array:
    """Count the samples of class i (row) that are predicted to be of class j (column).

    Parameters
    ----------
    y_true : array of shape (n,), (n, 1) or (n, n_classes)
        Class indices, rows of 0 and 1, or class names, of shape (n,).
    y_pred : array of shape (n, n_outputs), or names of shape (n,)
        A network's output; a single output is for two classes. If ``y_true`` has class names, the
        names of the predicted classes.
    sample_weight : array of shape (n,), optional
    threshold : float, optional
        As for :class:`Accuracy`.

    Returns
    -------
    array of shape (n_classes, n_classes), in the dtype of y_pred
        For names, a NumPy array of float64; the classes are the names that occur, in sorted order.

    Raises
    ------
    TypeError, ValueError
        The arguments are invalid, as for a metric.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import confusion_matrix
    >>> confusion_matrix(np.array([0, 1, 1]), np.array([[0.2], [0.8], [0.4]]))
    array([[1., 0.],
           [1., 1.]])
    >>> confusion_matrix(["no", "yes", "yes"], ["no", "yes", "no"])
    array([[1., 0.],
           [1., 1.]])
    """
    if (true := _names(y_true)) is not None and (predicted := _names(y_pred)) is not None:
        return _confusion_of_names(true, predicted, sample_weight)
    if true is not None or _names(y_pred) is not None:
        raise TypeError(
            "only one of y_true and y_pred has class names: expected names in both, or class "
            "indices in y_true and a network's output in y_pred"
        )
    check_shapes(y_true, y_pred, sample_weight)
    check_classes(y_true, y_pred, sample_weight)
    return _confusion(y_true, y_pred, sample_weight, threshold)


def _names(labels: Any) -> list[str] | None:
    """Return labels as a list if they are class names, otherwise None."""
    if isinstance(labels, Iterable) and len(getattr(labels, "shape", (0,))) == 1:
        found = list(labels)
        if found and all(isinstance(each, str) for each in found):
            return found
    return None


def _confusion_of_names(true: list[str], predicted: list[str], sample_weight: Any) -> Array:
    weight = [1.0] * len(true) if sample_weight is None else [float(each) for each in sample_weight]
    if not len(true) == len(predicted) == len(weight):
        raise ValueError(
            f"y_true has {len(true)} rows, y_pred {len(predicted)} and sample_weight "
            f"{len(weight)}: expected the same number"
        )
    place = {name: k for k, name in enumerate(sorted({*true, *predicted}))}
    counts = [[0.0] * len(place) for _ in place]
    for i, j, w in zip(true, predicted, weight, strict=True):
        counts[place[i]][place[j]] += w
    return resolve("cpu", dtype="float64").asarray(counts)


def _confusion(
    y_true: Array, y_pred: Array, sample_weight: Array | None, threshold: float | None
) -> Array:
    xp = array_namespace(y_pred)
    n_classes = max(y_pred.shape[1], 2)
    weight = weights(y_pred, sample_weight)[:, None]
    true = ops.one_hot(true_classes(y_true, y_pred), n_classes, like=y_pred)
    predicted = ops.one_hot(predicted_classes(y_pred, threshold), n_classes, like=y_pred)
    return xp.matmul((true * weight).T, predicted)
