"""Losses for mutually exclusive classes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..backends import Array, array_namespace, ops, to_host
from ..common.checks import (
    check_batch,
    check_fraction,
    check_integer,
    class_indices,
    is_on_host,
)
from ..common.overrides import has_methods_of, register_builtin
from .class_weighted import ClassWeightedLoss
from .finite import check_max_reported, epsilon_of, finite_log, finite_log_slope, limit_reported


class ClassLoss(ClassWeightedLoss):
    r"""Base of the losses for mutually exclusive classes.

    Parameters
    ----------
    class_weight : sequence of float, dict or "balanced", optional
        A weight for each class; finite, 0 or more, not all 0. A dict has weights by class index or,
        if the classes have names, by name; all other classes have the weight 1. With
        ``"balanced"``, class k has the weight :math:`n / (K n_k)`, where :math:`n_k` of the n
        training samples are of class k, and K is the number of classes; so all classes have the
        same total weight. With sample weights, n and :math:`n_k` are sums of weights. Each ``fit``
        recomputes the weights from its training data, and uses them for its validation data too;
        see ``net.loss.balanced_weight``. Training data without samples of one of the classes are
        refused.
    ignore_index : int, optional
        Samples with this label are ignored. It may be out of range, e.g. -1.
    label_smoothing : float, default 0.0
        The fraction ε of each label that is spread evenly over all K classes:
        :math:`(1 - \epsilon) y + \epsilon / K`. It keeps the network from becoming too certain.
        Szegedy et al. 2016, section 7. Class weights use the labels before smoothing.

    Raises
    ------
    ValueError, TypeError
        A weight is negative or not a finite number, all weights are 0, or a key of a dict is not a
        class index. ``fit`` refuses weights for another number of classes.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, SoftmaxCrossEntropy
    >>> net = NeuralNetwork(epochs=1, loss=SoftmaxCrossEntropy(class_weight="balanced"))
    >>> X, y = [[0.0], [0.1], [0.2], [1.0]], [0, 0, 0, 1]
    >>> net = net.add(DenseLayer(2, input_shape=(1,))).fit((X, y))
    >>> [round(weight, 2) for weight in net.loss.balanced_weight]
    [0.67, 2.0]
    >>> SoftmaxCrossEntropy(class_weight={1: 3}).class_weight
    {1: 3.0}
    """

    targets = "classes"
    row_kernel: ClassVar[str | None] = None
    """Prefix of the names of the kernels that compute this loss of a row; None without kernels."""

    def __init__(
        self,
        class_weight: Sequence[float] | Mapping[Any, float] | str | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(class_weight)
        self.ignore_index = (
            None if ignore_index is None else check_integer("ignore_index", ignore_index)
        )
        self.label_smoothing = check_fraction("label_smoothing", label_smoothing)
        self.makes_weights = ignore_index is not None

    def n_classes(self, n_outputs: int) -> int:
        """Return the number of outputs."""
        if n_outputs < 2:
            raise ValueError(
                f"{type(self).__name__} needs one output for each class, but the network has "
                f"{n_outputs}: give the last layer as many units as there are classes, or use "
                "BinaryCrossEntropy"
            )
        return n_outputs

    def match(self, y_true: Array, y_pred: Array) -> Array:
        """Return the targets as rows like ``y_pred``, smoothed."""
        rows = super().match(y_true, y_pred)
        if not self.label_smoothing:
            return rows
        return rows * (1.0 - self.label_smoothing) + self.label_smoothing / y_pred.shape[1]

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return :meth:`loss` after checking the class indices, which waits for a GPU."""
        check_batch(y_true, y_pred, sample_weight)
        self._check_classes(to_host(y_true), y_pred)
        return self.loss(y_true, y_pred, sample_weight)

    def _check(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        super()._check(y_true, y_pred, sample_weight)
        if is_on_host(y_true):
            self._check_classes(y_true, y_pred)

    def _check_classes(self, y_true: Any, y_pred: Array) -> None:
        """Refuse class indices that are out of range; ``y_true`` is on the host."""
        n, n_classes = y_pred.shape
        if y_true.shape in ((n,), (n, 1)) and n_classes > 1:
            class_indices(y_true, n_classes, self.ignore_index)

    def class_parts(self, y_true: Array, y_pred: Array) -> Array:
        """Return the targets as rows, without smoothing."""
        return super().match(y_true, y_pred)

    def metric_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the sample weight; 0 for the ignored label."""
        if self.ignore_index is None or y_true.shape == y_pred.shape:
            return sample_weight
        xp = array_namespace(y_pred)
        labels = xp.reshape(y_true, (-1,))
        counts = xp.astype(labels != self.ignore_index, y_pred.dtype)
        return counts if sample_weight is None else sample_weight * counts


class CategoricalCrossEntropy(ClassLoss):
    r"""Cross-entropy of classes, from a distribution p per sample: :math:`-\sum_k y_k \log p_k`.

    Its derivative is :math:`-y_k / p_k`. The gradient :math:`p - y`, which many textbooks give for
    this formula, is that of softmax and cross-entropy together, with respect to the input of the
    softmax. :class:`SoftmaxCrossEntropy` is this combination, and is more exact.

    Parameters
    ----------
    class_weight, ignore_index, label_smoothing
        See :class:`ClassLoss`.

    Raises
    ------
    ValueError, TypeError
        As for :class:`ClassLoss`.

    Notes
    -----
    The logarithm is continued below ε² as in :class:`BinaryCrossEntropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import CategoricalCrossEntropy, DenseLayer, NeuralNetwork, SoftmaxActivation
    >>> p = np.array([[0.5, 0.25, 0.25]])
    >>> round(float(CategoricalCrossEntropy()(np.array([0]), p)), 3)  # -log 0.5
    0.693
    >>> net = NeuralNetwork(loss=CategoricalCrossEntropy())
    >>> net = net.add(DenseLayer(3, input_shape=(4,))).add(SoftmaxActivation())
    """

    accepts = frozenset(["distribution"])
    output_kind = "distribution"
    advice = "End with SoftmaxActivation, or end with DenseLayer and use SoftmaxCrossEntropy."

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each row."""
        return -array_namespace(y_pred).sum(
            y_true * finite_log(y_pred, epsilon_of(y_pred) ** 2), axis=1
        )

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return -y / p."""
        return -y_true * finite_log_slope(y_pred, epsilon_of(y_pred) ** 2)


class SoftmaxCrossEntropy(ClassLoss):
    r"""Cross-entropy of classes, from logits z with softmax s: :math:`-\sum_k y_k \log s_k`.

    Its derivative is :math:`s - y` (for targets that sum to 1). Labels are class indices or
    one-hot rows. Some textbooks give this gradient for :math:`-\sum_k [y_k \log s_k + (1 - y_k)
    \log(1 - s_k)]`, which has a different gradient, because the second term contributes too.

    Parameters
    ----------
    class_weight, ignore_index, label_smoothing
        See :class:`ClassLoss`.
    max_reported : float, default infinity
        The upper limit of the reported loss of each sample. It does not change the derivative.

    Raises
    ------
    ValueError, TypeError
        As for :class:`ClassLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, SoftmaxCrossEntropy
    >>> y_true, z = np.array([0, 1]), np.array([[0.0, 0.0], [0.0, 1000.0]])
    >>> round(float(SoftmaxCrossEntropy()(y_true, z)), 3)  # (log 2 + 0) / 2
    0.347
    >>> SoftmaxCrossEntropy().derivative(y_true, z).tolist()
    [[-0.25, 0.25], [0.0, 0.0]]
    >>> net = NeuralNetwork(loss=SoftmaxCrossEntropy(label_smoothing=0.1), metric="accuracy")
    >>> net = net.add(DenseLayer(10, input_shape=(64,)))  # without a softmax at the end
    """

    accepts = frozenset(["real"])
    advice = "It applies the softmax itself: end with DenseLayer or LinearActivation."
    row_kernel = "softmax"
    decision_threshold = 0.0
    output_kind = "logits"

    def __init__(
        self,
        class_weight: Sequence[float] | Mapping[Any, float] | str | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        max_reported: float = math.inf,
    ) -> None:
        super().__init__(class_weight, ignore_index, label_smoothing)
        self.max_reported = check_max_reported(max_reported)

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each row."""
        losses = -array_namespace(y_pred).sum(y_true * ops.log_softmax(y_pred), axis=1)
        return limit_reported(losses, self.max_reported)

    def sample_loss_and_derivative(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the loss of each sample and its derivative, from one softmax."""
        own = ("sample_loss", "sample_derivative", "match", "one_hot")
        if not has_methods_of(SoftmaxCrossEntropy, self, *own):
            return super().sample_loss_and_derivative(y_true, y_pred)
        plain = not self.label_smoothing and self.ignore_index is None
        whole = array_namespace(y_true).isdtype(y_true.dtype, "integral")
        if plain and whole and y_pred.shape[1] > 1 and y_true.shape == (y_pred.shape[0],):
            losses, derivatives = ops.softmax_cross_entropy(y_pred, y_true)  # without one-hot rows
            return limit_reported(losses, self.max_reported), derivatives
        xp, y = array_namespace(y_pred), self.match(y_true, y_pred)
        log_s = ops.log_softmax(y_pred)
        total = xp.sum(y, axis=1, keepdims=True)
        losses = limit_reported(-xp.sum(y * log_s, axis=1), self.max_reported)
        return losses, xp.exp(log_s) * total - y

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return s Σy - y."""
        total = array_namespace(y_true).sum(y_true, axis=1, keepdims=True)
        return ops.softmax(y_pred) * total - y_true


class NegativeLogLikelihood(ClassLoss):
    r"""Cross-entropy of classes, from log-probabilities as after log-softmax: :math:`-\log p_y`.

    Parameters
    ----------
    class_weight, ignore_index, label_smoothing
        See :class:`ClassLoss`.

    Raises
    ------
    ValueError, TypeError
        As for :class:`ClassLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, LogSoftmaxActivation, NegativeLogLikelihood, NeuralNetwork
    >>> log_p = np.log(np.array([[0.5, 0.25, 0.25]]))
    >>> round(float(NegativeLogLikelihood()(np.array([0]), log_p)), 3)  # -log 0.5
    0.693
    >>> net = NeuralNetwork(loss=NegativeLogLikelihood())
    >>> net = net.add(DenseLayer(3, input_shape=(4,))).add(LogSoftmaxActivation())
    """

    accepts = frozenset(["log-distribution"])
    output_kind = "log-distribution"
    advice = "End with LogSoftmaxActivation."
    row_kernel = "softmax"

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return -Σ y log p: for one-hot rows, minus the log-probability of the class."""
        xp = array_namespace(y_pred)
        # Not just y * log p: a class of probability 0 has log p = -∞, and 0 * ∞ is NaN.
        return -xp.sum(y_true * xp.where(y_true > 0, y_pred, 0.0), axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return -y, which is -1 at each row's class without smoothing."""
        return -y_true


register_builtin(CategoricalCrossEntropy, SoftmaxCrossEntropy, NegativeLogLikelihood)
