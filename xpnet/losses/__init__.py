"""Loss functions: how wrong the outputs of a batch are, and the derivative of that.

``loss(y_true, y_pred)`` is a mean over the batch; ``derivative(y_true, y_pred)`` is the derivative
of exactly that number with respect to ``y_pred``. With sample weights w the mean is
Σ wᵢ lᵢ / Σ wᵢ. It is 0 if the total weight is 0, e.g. for an empty batch.

A new loss is a subclass of :class:`LossFunction` with those two methods. Or it is a subclass of
:class:`MeanLoss` with the loss and the derivative of each sample; the base class applies the
weights.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from array_api_compat import device

from ..backends import Array, array_namespace, ops, to_host
from ..common.checks import (
    check_batch,
    check_flag,
    check_fraction,
    check_integer,
    check_positive,
    class_indices,
    is_at_hand,
)
from ..common.overrides import has_methods_of, remember
from ..common.readable import Readable
from .class_weights import balanced_weights, read_class_weight, weights_of_classes


class LossFunction(Readable, ABC):
    """Base of all losses.

    Attributes
    ----------
    accepts : set of str or None
        The kinds of output (``Layer.output_kind``) that the formula is for; None for any.
    advice : str
        What to do if the outputs are of another kind, for the error message.
    targets : str or None
        The kind of targets: ``"values"`` (numbers, one per output), ``"probabilities"`` (the same,
        in [0, 1]), ``"counts"`` (the same, 0 or more) or ``"classes"`` (indices from 0 or one-hot
        rows). With None, targets are not checked.
    makes_weights : bool
        Whether samples get weights even if the data have none.
    state_names : tuple of str
        Attributes that a loss computes from the training data; saved with the network.
    decision_threshold : float
        With one output, the value above which the prediction is class 1.
    greater_is_better : bool
        False, because a smaller loss is better. Metrics have the same attribute.
    """

    accepts: ClassVar[frozenset[str] | None] = None
    advice: ClassVar[str] = ""
    targets: ClassVar[str | None] = None
    state_names: ClassVar[tuple[str, ...]] = ()
    makes_weights: bool = False
    decision_threshold: float = 0.5
    greater_is_better: ClassVar[bool] = False

    @abstractmethod
    def loss(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the loss of a batch.

        Parameters
        ----------
        y_true : array of shape (n,) or (n, n_outputs)
        y_pred : array of shape (n, n_outputs)
        sample_weight : array of shape (n,), optional

        Returns
        -------
        0-d array
        """

    @abstractmethod
    def derivative(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the derivative of :meth:`loss` with respect to ``y_pred``, of its shape."""

    def loss_and_derivative(
        self, y_true: Array, y_pred: Array, *sample_weight: Array, out: Array | None = None
    ) -> tuple[Array, Array]:
        """Return both :meth:`loss` and :meth:`derivative`.

        A loss extends this method if the two share costly intermediate results. The derivative may
        be written to ``out``.
        """
        return self.loss(y_true, y_pred, *sample_weight), self.derivative(
            y_true, y_pred, *sample_weight
        )

    def total_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | float:
        """Return the divisor of the mean over the batch: Σ wᵢ, or the number of samples.

        The weights wᵢ are the result of :meth:`sample_weight`.
        """
        weight = self.sample_weight(y_true, y_pred, sample_weight)
        if weight is None:
            return float(y_pred.shape[0])
        return array_namespace(weight).sum(weight)

    def sample_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the weight of each sample in the loss, or None if all are equal."""
        return sample_weight

    def metric_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the weight of each sample in metrics: 0 for samples that do not count."""
        return sample_weight

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse a number of outputs that the loss cannot take; called before training."""
        return

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return :meth:`loss`."""
        return self.loss(y_true, y_pred, sample_weight)


class MeanLoss(LossFunction):
    """A loss that is the weighted mean of a loss for each sample."""

    @abstractmethod
    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the loss of each sample, of shape (n,), for targets from :meth:`match`."""

    @abstractmethod
    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivative of each sample's own loss, of shape (n, n_outputs)."""

    def loss(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return Σ wᵢ lᵢ / Σ wᵢ."""
        self._check(y_true, y_pred, sample_weight)
        y = self.match(y_true, y_pred)
        share = self._share(y_true, y_pred, sample_weight)
        return array_namespace(y_pred).sum(self.sample_loss(y, y_pred) * share)

    def derivative(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return wᵢ / Σ wᵢ times the derivative of each sample's own loss."""
        self._check(y_true, y_pred, sample_weight)
        y = self.match(y_true, y_pred)
        share = self._share(y_true, y_pred, sample_weight)
        if not isinstance(share, float):
            share = share[:, None]
        return self.sample_derivative(y, y_pred) * share

    def sample_loss_and_derivative(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the loss of each sample and its derivative, for targets in any accepted shape."""
        y = self.match(y_true, y_pred)
        return self.sample_loss(y, y_pred), self.sample_derivative(y, y_pred)

    def loss_and_derivative(
        self, y_true: Array, y_pred: Array, *sample_weight: Array, out: Array | None = None
    ) -> tuple[Array, Array]:
        """Return :meth:`loss` and :meth:`derivative`, which share the targets and the weights."""
        if not has_methods_of(MeanLoss, self, "loss", "derivative"):  # an override counts
            return super().loss_and_derivative(y_true, y_pred, *sample_weight)
        self._check(y_true, y_pred, *sample_weight)
        if y_true.shape[:1] != y_pred.shape[:1]:
            self.match(y_true, y_pred)  # raises the error
        share: Array = self._share(y_true, y_pred, *sample_weight)
        shares = () if isinstance(share, float) else (share,)
        losses = []

        def of_rows(y_pred: Array, y_true: Array, *shares: Array) -> Array:
            loss, derivative = self.sample_loss_and_derivative(y_true, y_pred)
            part = shares[0] if shares else share
            losses.append(array_namespace(loss).sum(loss * part))
            return derivative * (part[:, None] if shares else part)

        # rowwise calls the function with a few rows at a time if that is faster in the library.
        derivative = ops.rowwise(y_pred, y_true, *shares, function=of_rows, out=out)
        return sum(losses[1:], start=losses[0]), derivative

    def match(self, y_true: Array, y_pred: Array) -> Array:
        """Return ``y_true`` in the shape and type of ``y_pred``; class indices become one-hot rows.

        Raises
        ------
        ValueError
            The shapes do not fit. They are not broadcast: (n,) and (n, 1) are the same column.
        """
        n, n_outputs = y_pred.shape
        one_column = y_true.shape in ((n,), (n, 1))
        if self.targets == "classes" and one_column and n_outputs > 1:
            return self.one_hot(y_true, y_pred)
        if one_column and n_outputs == 1:
            y_true = array_namespace(y_true).reshape(y_true, (n, 1))
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{type(self).__name__} got targets of shape {y_true.shape} for outputs of shape "
                f"{y_pred.shape}: expected {self._expected(n, n_outputs)}"
            )
        return array_namespace(y_true).astype(y_true, y_pred.dtype, copy=False)

    def one_hot(self, labels: Array, y_pred: Array) -> Array:
        """Return class indices of shape (n,) or (n, 1) as one-hot rows like ``y_pred``.

        Raises
        ------
        TypeError
            ``labels`` are not integers.
        """
        xp = array_namespace(labels)
        if not xp.isdtype(labels.dtype, ("bool", "integral")):
            raise TypeError(
                f"{type(self).__name__} got class indices of type {labels.dtype}: expected "
                "integers, e.g. y.astype(int)"
            )
        flat = xp.astype(xp.reshape(labels, (-1,)), xp.int64, copy=False)
        return ops.one_hot(flat, y_pred.shape[1], like=y_pred)

    def _check(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Refuse arguments that are not arrays of one library; :meth:`match` compares shapes.

        Raises
        ------
        TypeError, ValueError
        """
        check_batch(y_true, y_pred, sample_weight)
        self.check_outputs(y_pred.shape[1])

    def _share(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | float:
        """Return wᵢ / Σ wᵢ, as a single number if all are equal; 0 if the total weight is 0."""
        xp = array_namespace(y_pred)
        weight = self.sample_weight(y_true, y_pred, sample_weight)
        if weight is None:
            return 1.0 / max(y_pred.shape[0], 1)
        weight = xp.astype(weight, y_pred.dtype, copy=False)
        total = xp.sum(weight)
        return weight / xp.where(total > 0, total, 1.0)

    def _expected(self, n: int, n_outputs: int) -> str:
        shapes = f"({n},) or ({n}, 1)" if n_outputs == 1 else f"({n}, {n_outputs})"
        if self.targets == "classes" and n_outputs > 1:
            return f"({n},), class indices, or {shapes}, one-hot rows"
        return shapes


class MeanSquaredError(MeanLoss):
    r"""Mean over samples and outputs, :math:`\frac{1}{nk}\sum_{ij}(\hat y_{ij} - y_{ij})^2`.

    Texts that divide only by the number of samples n have a loss and a gradient that are k times as
    large. Texts with the gradient :math:`\hat y - y` have the loss
    :math:`\frac12 \sum (\hat y - y)^2`.

    Parameters
    ----------
    factor : float, default 1.0
        Multiplies the loss. With k / 2 it is :math:`\frac{1}{2n} \sum (\hat y - y)^2`.
    """

    targets = "values"

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = check_positive("factor", factor)

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the mean squared difference of each row."""
        return self.factor * array_namespace(y_pred).mean((y_pred - y_true) ** 2, axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return 2 (ŷ - y) / k, times the factor."""
        return (2.0 * self.factor / y_pred.shape[1]) * (y_pred - y_true)


class ClassWeightedLoss(MeanLoss):
    r"""Base of the losses with class weights.

    The mean is :math:`\sum_i w_i c_{y_i} l_i / \sum_i w_i c_{y_i}`, with the class weights c and
    the sample weights w. A target that is a distribution over classes has the mean of their
    weights under it. Metrics do not use class weights.

    Attributes
    ----------
    class_weight : list of float, dict of int to float, "balanced" or None
        The argument, as lists and dicts of Python numbers.
    balanced_weight : list of float or None
        The class weights that the last ``fit`` computed for ``"balanced"``. Only the network's
        copy of the loss, ``net.loss``, has them; they are saved with it.
    """

    state_names = ("balanced_weight",)
    balanced_weight: list[float] | None = None

    def __init__(
        self, class_weight: Sequence[float] | Mapping[int, float] | str | None = None
    ) -> None:
        self.class_weight = read_class_weight(class_weight)

    @abstractmethod
    def n_classes(self, n_outputs: int) -> int:
        """Return the number of classes of a network with ``n_outputs`` outputs."""

    @abstractmethod
    def class_parts(self, y_true: Array, y_pred: Array) -> Array:
        """Return the proportion of each class in each target, of shape (n, n_classes)."""

    def sample_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the sample weight times the class weight; 0 for an ignored label."""
        weight = self.metric_weight(y_true, y_pred, sample_weight)
        if self.class_weight is None:
            return weight
        xp, of_class = array_namespace(y_pred), self._weights_of_classes(y_pred.shape[1])
        of_class = xp.asarray(of_class, dtype=y_pred.dtype, device=device(y_pred))
        factor = xp.sum(self.class_parts(y_true, y_pred) * of_class, axis=1)
        return factor if weight is None else weight * factor

    def class_counts(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array:
        """Return the total sample weight of each class, without class weights."""
        weight = self.metric_weight(y_true, y_pred, sample_weight)
        parts = self.class_parts(y_true, y_pred)
        return array_namespace(parts).sum(
            parts if weight is None else parts * weight[:, None], axis=0
        )

    def balanced(self, counts: Sequence[float]) -> Self:
        """Return a copy with the ``"balanced"`` weights for the result of :meth:`class_counts`.

        Raises
        ------
        ValueError
            A class has no samples with a weight above 0.
        """
        loss = copy.copy(self)
        loss.balanced_weight = balanced_weights(counts, getattr(self, "ignore_index", None))
        return loss

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse class weights for another number of classes."""
        n_classes = self.n_classes(n_outputs)
        if self.class_weight is not None and not isinstance(self.class_weight, str):
            weights_of_classes(self.class_weight, n_classes)

    def _weights_of_classes(self, n_outputs: int) -> list[float]:
        """Return the weight of each class.

        Raises
        ------
        ValueError
            There are weights for another number of classes, or ``"balanced"`` weights have not
            been computed yet.
        """
        known = self.balanced_weight if self.class_weight == "balanced" else self.class_weight
        if known is None or isinstance(known, str):
            raise ValueError(
                "class_weight='balanced' has no weights before a network's fit computes them from "
                "its training data: use the loss of a trained network (net.loss), or give a "
                "number for each class"
            )
        return weights_of_classes(known, self.n_classes(n_outputs))


class BinaryCrossEntropy(ClassWeightedLoss):
    r"""Two classes, or several independent yes-or-no outputs (their mean).

    From probabilities p: :math:`-y \log p - (1-y) \log(1-p)`. From logits z, p = σ(z), the same
    number is :math:`\max(z, 0) - yz + \log(1 + e^{-|z|})`, which neither overflows nor loses
    precision. Its derivative is :math:`\sigma(z) - y`. Some texts have the sum over the batch; this
    is the mean.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the outputs are logits, i.e. the network ends without a sigmoid. This is faster and
        more exact.
    factor : float, default 1.0
        Multiplies the loss. With the number of outputs k, it is the sum over a sample's outputs
        instead of their mean.
    most : float, default infinity
        The upper limit of the reported loss of each output, from logits. It does not change the
        derivative.
    class_weight : sequence of 2 float, dict or "balanced", optional
        The weights c₀ of "no" and c₁ of "yes", as for :class:`ClassLoss`. A target y between 0
        and 1 has the weight c₀ (1 - y) + c₁ y. For one output only: with several outputs, a sample
        has several classes but only one weight.

    Notes
    -----
    The logarithm of p is continued by its tangent below ε², and that of 1 - p below ε, the spacing
    of floating-point numbers at 1 (1.2e-7 in float32, 2.2e-16 in float64). So the loss is finite
    even for p = 0 and p = 1. Near p = 0 the numbers are dense, so the derivative with respect to
    the input of a sigmoid is exact there. Near p = 1, rounding leaves few or no correct digits in
    1 - p. ``from_logits=True`` loses none.
    """

    advice = (
        "End with SigmoidActivation, or use BinaryCrossEntropy(from_logits=True) and end with "
        "DenseLayer or LinearActivation."
    )
    targets = "probabilities"

    def __init__(
        self,
        from_logits: bool = False,
        factor: float = 1.0,
        most: float = math.inf,
        class_weight: Sequence[float] | Mapping[int, float] | str | None = None,
    ) -> None:
        super().__init__(class_weight)
        self.from_logits = check_flag("from_logits", from_logits)
        self.factor, self.most = check_positive("factor", factor), _check_most(most)
        self.decision_threshold = 0.0 if from_logits else 0.5

    @property
    def accepts(self) -> frozenset[str]:  # type: ignore[override]
        """Real numbers if the loss takes logits, otherwise probabilities."""
        return frozenset(["real"] if self.from_logits else ["probability"])

    def n_classes(self, n_outputs: int) -> int:
        """Return 2, for "no" and "yes"."""
        if n_outputs > 1 and self.class_weight is not None:
            raise ValueError(
                f"class_weight of BinaryCrossEntropy is for one output, but there are {n_outputs}: "
                "give weights to samples with sample_weight, or use SoftmaxCrossEntropy for "
                "classes that exclude each other"
            )
        return 2

    def class_parts(self, y_true: Array, y_pred: Array) -> Array:
        """Return the rows [1 - y, y]."""
        y = self.match(y_true, y_pred)
        return array_namespace(y).concat([1.0 - y, y], axis=1)

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each row, the mean over its outputs."""
        xp = array_namespace(y_pred)
        if self.from_logits:
            tail = xp.log1p(xp.exp(-xp.abs(y_pred)))
            losses = xp.maximum(y_pred, 0.0) - y_true * y_pred + tail
            return self.factor * xp.mean(_at_most(losses, self.most), axis=1)
        epsilon = _epsilon(y_pred)
        log_p, log_q = _log(y_pred, epsilon**2), _log(1.0 - y_pred, epsilon)
        return -self.factor * xp.mean(y_true * log_p + (1.0 - y_true) * log_q, axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return factor / k times σ(z) - y from logits, or (1-y)/(1-p) - y/p otherwise."""
        if self.from_logits:
            difference = ops.sigmoid(y_pred) - y_true
        else:
            epsilon = _epsilon(y_pred)
            of_no = (1.0 - y_true) * _log_slope(1.0 - y_pred, epsilon)
            difference = of_no - y_true * _log_slope(y_pred, epsilon**2)
        return difference * (self.factor / y_pred.shape[1])


class PoissonLoss(MeanLoss):
    r"""Half the Poisson deviance, for counts; outputs are the logarithm z of the rate μ.

    It is the mean of :math:`y \log(y / \mu) - y + \mu` with :math:`\mu = e^z`, over samples and
    outputs. The derivative with respect to z is :math:`\mu - y`. McCullagh and Nelder 1989,
    section 2.3.1.

    Parameters
    ----------
    factor : float, default 1.0
        Multiplies the loss. With the number of outputs k, it is the sum over a sample's outputs
        instead of their mean.
    """

    accepts = frozenset(["real"])
    advice = "It takes the logarithm of a rate: end with DenseLayer or LinearActivation."
    targets = "counts"

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = check_positive("factor", factor)

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the mean half deviance of each row; 0 log 0 is 0."""
        xp = array_namespace(y_pred)
        log_y = xp.log(xp.where(y_true > 0, y_true, 1.0))
        losses = y_true * (log_y - y_pred) - y_true + xp.exp(y_pred)
        return self.factor * xp.mean(losses, axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return (e^z - y) / k, times the factor."""
        rate = array_namespace(y_pred).exp(y_pred)
        return (rate - y_true) * (self.factor / y_pred.shape[1])


class ClassLoss(ClassWeightedLoss):
    r"""Base of the losses for several classes that exclude each other.

    Parameters
    ----------
    class_weight : sequence of float, dict or "balanced", optional
        A weight for each class; finite, 0 or more, not all 0. A dict has weights by class index;
        all other classes have the weight 1. ``"balanced"`` is :math:`n / (K n_k)` for K
        classes with :math:`n_k` of the n training samples each, so that all classes have the same
        total weight. With sample weights, n and :math:`n_k` are sums of weights. Each ``fit``
        computes it anew from its training data, and uses it for its validation data too; see
        ``net.loss.balanced_weight``. Training data that lack one of the classes are refused.
    ignore_index : int, optional
        Samples with this label are ignored. It may be out of range, e.g. -1.
    label_smoothing : float, default 0.0
        The part ε of each label that is spread over all K classes:
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

    def __init__(
        self,
        class_weight: Sequence[float] | Mapping[int, float] | str | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(class_weight)
        self.ignore_index = None if ignore_index is None else check_integer(ignore_index)
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
        if is_at_hand(y_true):
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
    r"""Several classes, from a distribution p for each sample: :math:`-\sum_k y_k \log p_k`.

    Its derivative is :math:`-y_k / p_k`. The gradient :math:`p - y`, which many texts give for this
    formula, is that of softmax and cross-entropy together, with respect to the input of the
    softmax. :class:`SoftmaxCrossEntropy` is this combination, and is more exact.

    Notes
    -----
    The logarithm is continued below ε² as in :class:`BinaryCrossEntropy`.
    """

    accepts = frozenset(["distribution"])
    advice = "End with SoftmaxActivation, or end with DenseLayer and use SoftmaxCrossEntropy."

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each row."""
        return -array_namespace(y_pred).sum(y_true * _log(y_pred, _epsilon(y_pred) ** 2), axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return -y / p."""
        return -y_true * _log_slope(y_pred, _epsilon(y_pred) ** 2)


class SoftmaxCrossEntropy(ClassLoss):
    r"""Several classes, from logits z: :math:`-\sum_k y_k \log s_k`, s being the softmax of z.

    Its derivative is :math:`s - y` (for targets that sum to 1). Labels are class indices or
    one-hot rows. Some texts give this gradient for
    :math:`-\sum_k [y_k \log s_k + (1 - y_k) \log(1 - s_k)]`, whose gradient is another, because
    the second term contributes too.

    Parameters
    ----------
    class_weight, ignore_index, label_smoothing
        See :class:`ClassLoss`.
    most : float, default infinity
        The upper limit of the reported loss of each sample. It does not change the derivative.
    """

    accepts = frozenset(["real"])
    advice = "It applies the softmax itself: end with DenseLayer or LinearActivation."
    decision_threshold = 0.0

    def __init__(
        self,
        class_weight: Sequence[float] | Mapping[int, float] | str | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        most: float = math.inf,
    ) -> None:
        super().__init__(class_weight, ignore_index, label_smoothing)
        self.most = _check_most(most)

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each row."""
        losses = -array_namespace(y_pred).sum(y_true * ops.log_softmax(y_pred), axis=1)
        return _at_most(losses, self.most)

    def sample_loss_and_derivative(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return both, computed from the same softmax."""
        own = ("sample_loss", "sample_derivative", "match", "one_hot")
        if not has_methods_of(SoftmaxCrossEntropy, self, *own):
            return super().sample_loss_and_derivative(y_true, y_pred)
        plain = not self.label_smoothing and self.ignore_index is None
        whole = array_namespace(y_true).isdtype(y_true.dtype, "integral")
        if plain and whole and y_pred.shape[1] > 1 and y_true.shape == (y_pred.shape[0],):
            losses, derivatives = ops.softmax_cross_entropy(y_pred, y_true)  # without one-hot rows
            return _at_most(losses, self.most), derivatives
        xp, y = array_namespace(y_pred), self.match(y_true, y_pred)
        log_s = ops.log_softmax(y_pred)
        total = xp.sum(y, axis=1, keepdims=True)
        return _at_most(-xp.sum(y * log_s, axis=1), self.most), xp.exp(log_s) * total - y

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return s Σy - y."""
        total = array_namespace(y_true).sum(y_true, axis=1, keepdims=True)
        return ops.softmax(y_pred) * total - y_true


class NegativeLogLikelihood(ClassLoss):
    r"""Several classes, from log-probabilities: :math:`-\log p_{y}`, e.g. after log-softmax."""

    accepts = frozenset(["log-distribution"])
    advice = "End with LogSoftmaxActivation."

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return -Σ y log p: for one-hot rows, minus the log-probability of the class."""
        xp = array_namespace(y_pred)
        # Not just y * log p: a class of probability 0 has log p = -∞, and 0 * ∞ is NaN.
        return -xp.sum(y_true * xp.where(y_true > 0, y_pred, 0.0), axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return -y, which is -1 at each row's class without smoothing."""
        return -y_true


LOSSES: dict[str, type[LossFunction]] = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "binary_cross_entropy": BinaryCrossEntropy,
    "poisson": PoissonLoss,
    "categorical_cross_entropy": CategoricalCrossEntropy,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "nll": NegativeLogLikelihood,
    "negative_log_likelihood": NegativeLogLikelihood,
}

remember(*LOSSES.values())


def _check_most(most: float) -> float:
    return most if type(most) is float and most == math.inf else check_positive("most", most)


def _at_most(losses: Array, most: float) -> Array:
    return losses if most == math.inf else array_namespace(losses).minimum(losses, most)


def _log(p: Array, least: float) -> Array:
    """Return log p; below p₀ = ``least``, its tangent at p₀, which is log p₀ + p/p₀ - 1."""
    xp = array_namespace(p)
    return xp.log(xp.maximum(p, least)) + (xp.minimum(p, least) / least - 1.0)


def _log_slope(p: Array, least: float) -> Array:
    """Return the derivative of :func:`_log`, 1 / max(p, p₀)."""
    return 1.0 / array_namespace(p).maximum(p, least)


def _epsilon(p: Array) -> float:
    """Return ε, the spacing of floating-point numbers at 1."""
    return float(array_namespace(p).finfo(p.dtype).eps)
