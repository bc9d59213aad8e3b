"""Loss functions: how wrong the outputs of a batch are, and which way is better.

``loss(y_true, y_pred)`` is a mean over the batch; ``derivative(y_true, y_pred)`` is the derivative
of exactly that number with respect to ``y_pred``. With sample weights w the mean is
Σ wᵢ lᵢ / Σ wᵢ; a batch without weight (an empty one, say) has the loss 0.

A new loss is a subclass of :class:`LossFunction` with those two methods, or of :class:`MeanLoss`
with the loss and the derivative of each sample, which brings the weights.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from array_api_compat import device

from ._checks import check_flag, check_fraction, check_integer, check_positive
from .backends import Array, array_namespace, ops


class LossFunction(ABC):
    """Base of all losses.

    Attributes
    ----------
    accepts : set of str or None
        The kinds of output (``Layer.output_kind``) that the formula is made for; None for any.
    advice : str
        What to do about another kind of output, for the error message.
    targets : str or None
        What ``y_true`` is: ``"values"`` (numbers, one per output), ``"probabilities"`` (the same,
        in [0, 1]), ``"counts"`` (the same, 0 or more), ``"classes"`` (indices from 0 or one-hot
        rows), or None, which is not checked.
    makes_weights : bool
        Whether samples get weights even where the data have none.
    decision_threshold : float
        With one output, the value above which it says "class 1".
    """

    accepts: ClassVar[frozenset[str] | None] = None
    advice: ClassVar[str] = ""
    targets: ClassVar[str | None] = None
    makes_weights: bool = False
    decision_threshold: float = 0.5

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
        """Return both; a loss that has much to compute for either does it once here.

        ``out`` is where the derivative may be written.
        """
        return self.loss(y_true, y_pred, *sample_weight), self.derivative(
            y_true, y_pred, *sample_weight
        )

    def total_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | float:
        """Return what the mean over the batch is divided by: Σ wᵢ, or the number of samples."""
        if sample_weight is None:
            return float(y_pred.shape[0])
        return array_namespace(sample_weight).sum(sample_weight)

    def metric_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the weights that metrics are taken with: 0 for samples that do not count."""
        return sample_weight

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse, before training, a number of outputs that the loss cannot take."""
        return

    def __call__(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return :meth:`loss`."""
        return self.loss(y_true, y_pred, sample_weight)


class MeanLoss(LossFunction):
    """A loss that is the weighted mean of a loss for each sample."""

    @abstractmethod
    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the loss of each sample, shape (n,), from arguments as :meth:`match` made them."""

    @abstractmethod
    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivative of each sample's own loss, shape (n, n_outputs)."""

    def loss(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return Σ wᵢ lᵢ / Σ wᵢ."""
        y = self.match(y_true, y_pred)
        share = self._share(y_true, y_pred, sample_weight)
        return array_namespace(y_pred).sum(self.sample_loss(y, y_pred) * share)

    def derivative(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return wᵢ / Σ wᵢ times the derivative of each sample's own loss."""
        y = self.match(y_true, y_pred)
        share = self._share(y_true, y_pred, sample_weight)
        if not isinstance(share, float):
            share = share[:, None]
        return self.sample_derivative(y, y_pred) * share

    def sample_loss_and_derivative(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return the loss of each sample and its derivative; targets are as they were given."""
        y = self.match(y_true, y_pred)
        return self.sample_loss(y, y_pred), self.sample_derivative(y, y_pred)

    def loss_and_derivative(
        self, y_true: Array, y_pred: Array, *sample_weight: Array, out: Array | None = None
    ) -> tuple[Array, Array]:
        """Return :meth:`loss` and :meth:`derivative`, unless a subclass has either of its own."""
        if _overrides(type(self), MeanLoss, "loss", "derivative"):
            return super().loss_and_derivative(y_true, y_pred, *sample_weight)
        if y_true.shape[0] != y_pred.shape[0]:
            self.match(y_true, y_pred)  # which refuses it
        share: Array = self._share(y_true, y_pred, *sample_weight)
        shares = () if isinstance(share, float) else (share,)
        losses = []

        def some(y_pred: Array, y_true: Array, *shares: Array) -> Array:
            loss, derivative = self.sample_loss_and_derivative(y_true, y_pred)
            part = shares[0] if shares else share
            losses.append(array_namespace(loss).sum(loss * part))
            return derivative * (part[:, None] if shares else part)

        # As some rows at a time, where that is how the library works best.
        derivative = ops.rowwise(y_pred, y_true, *shares, function=some, out=out)
        return sum(losses[1:], start=losses[0]), derivative

    def match(self, y_true: Array, y_pred: Array) -> Array:
        """Return ``y_true`` in the shape and type of ``y_pred``; class indices become one-hot rows.

        Raises
        ------
        ValueError
            The shapes do not fit. Nothing is broadcast: (n,) against (n, 1) means the same column.
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
        """Return class indices of shape (n,) or (n, 1) as one-hot rows like ``y_pred``."""
        flat = array_namespace(labels).reshape(labels, (-1,))
        return ops.one_hot(flat, y_pred.shape[1], like=y_pred)

    def sample_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None
    ) -> Array | None:
        """Return the weight of each sample, or None where all weigh the same."""
        return sample_weight

    def total_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | float:
        """Return Σ wᵢ, w being what :meth:`sample_weight` makes of the weights given."""
        weight = self.sample_weight(y_true, y_pred, sample_weight)
        return super().total_weight(y_true, y_pred, weight)

    def _share(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | float:
        """Return wᵢ / Σ wᵢ, as one number where all are the same; 0 where nothing weighs."""
        xp = array_namespace(y_pred)
        weight = self.sample_weight(y_true, y_pred, sample_weight)
        if weight is None:
            return 1.0 / max(y_pred.shape[0], 1)
        if weight.shape != (y_pred.shape[0],):
            raise ValueError(
                f"sample_weight has shape {weight.shape}: expected ({y_pred.shape[0]},), "
                "one weight for each sample"
            )
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

    Texts that divide by the number of samples n alone have a loss, and a gradient, k times as
    large; those that print the gradient :math:`\hat y - y` have the loss
    :math:`\frac12 \sum (\hat y - y)^2`.

    Parameters
    ----------
    factor : float, default 1.0
        What it is multiplied by: k / 2 makes it :math:`\frac{1}{2n} \sum (\hat y - y)^2`.
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


class BinaryCrossEntropy(MeanLoss):
    r"""Two classes, or several independent yes-or-no outputs (their mean).

    From probabilities p: :math:`-y \log p - (1-y) \log(1-p)`. From logits z, p = σ(z), the same
    number is :math:`\max(z, 0) - yz + \log(1 + e^{-|z|})`, which neither overflows nor loses
    precision, and whose derivative is :math:`\sigma(z) - y`. Some texts print the sum over the
    batch; this is the mean.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the network ends without a sigmoid. Faster and more exact.
    factor : float, default 1.0
        What it is multiplied by: k makes it the sum over a sample's outputs in place of the mean.
    most : float, default infinity
        What one output's loss from logits is reported as at most. The derivative is not changed.

    Notes
    -----
    Below ε = the spacing of floating-point numbers at 1, the logarithm is continued by its tangent
    at ε. So the loss is finite even for p = 0, and its derivative, 1 / max(p, ε), exact everywhere.
    """

    advice = (
        "End with SigmoidActivation, or use BinaryCrossEntropy(from_logits=True) and end with "
        "DenseLayer or LinearActivation."
    )
    targets = "probabilities"

    def __init__(
        self, from_logits: bool = False, factor: float = 1.0, most: float = math.inf
    ) -> None:
        self.from_logits = check_flag("from_logits", from_logits)
        self.factor, self.most = check_positive("factor", factor), _check_most(most)
        self.decision_threshold = 0.0 if from_logits else 0.5

    @property
    def accepts(self) -> frozenset[str]:  # type: ignore[override]
        """Real numbers where logits are asked for, else probabilities."""
        return frozenset(["real"] if self.from_logits else ["probability"])

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each row, the mean over its outputs."""
        xp = array_namespace(y_pred)
        if self.from_logits:
            tail = xp.log1p(xp.exp(-xp.abs(y_pred)))
            losses = xp.maximum(y_pred, 0.0) - y_true * y_pred + tail
            return self.factor * xp.mean(_at_most(losses, self.most), axis=1)
        log_p, log_q = _log(y_pred), _log(1.0 - y_pred)
        return -self.factor * xp.mean(y_true * log_p + (1.0 - y_true) * log_q, axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return (σ(z) - y) / k from logits, ((1-y)/(1-p) - y/p) / k else, times the factor."""
        if self.from_logits:
            difference = ops.sigmoid(y_pred) - y_true
        else:
            difference = (1.0 - y_true) * _log_slope(1.0 - y_pred) - y_true * _log_slope(y_pred)
        return difference * (self.factor / y_pred.shape[1])


class PoissonLoss(MeanLoss):
    r"""Counts, from the logarithm z of their rate :math:`\mu = e^z`: half of the Poisson deviance.

    :math:`y \log(y / \mu) - y + \mu`, the mean over samples and outputs; its derivative with
    respect to z is :math:`\mu - y`. McCullagh and Nelder 1989, section 2.3.1.

    Parameters
    ----------
    factor : float, default 1.0
        What it is multiplied by: k makes it the sum over a sample's outputs in place of the mean.
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


class ClassLoss(MeanLoss):
    r"""Base of the losses of several classes that exclude each other.

    Parameters
    ----------
    class_weight : sequence of float, optional
        A weight c for each class. The mean is :math:`\sum_i w_i c_{y_i} l_i / \sum_i w_i c_{y_i}`.
    ignore_index : int, optional
        Samples with this label (which may be out of range, e.g. -1) count for nothing.
    label_smoothing : float, default 0.0
        The part ε of a label that all K classes share: :math:`(1 - \epsilon) y + \epsilon / K`, so
        that the network need not be certain. Szegedy et al. 2016, section 7.
    """

    targets = "classes"

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        if class_weight is not None:
            class_weight = [float(weight) for weight in class_weight]
            if not class_weight or not all(0 <= weight < float("inf") for weight in class_weight):
                raise ValueError(
                    f"class_weight={class_weight!r}: expected a finite number, 0 or more, for each "
                    "class"
                )
        self.class_weight = class_weight
        self.ignore_index = None if ignore_index is None else check_integer(ignore_index)
        self.label_smoothing = check_fraction("label_smoothing", label_smoothing)
        self.makes_weights = ignore_index is not None

    def match(self, y_true: Array, y_pred: Array) -> Array:
        """Return the targets as rows like ``y_pred``, smoothed."""
        rows = super().match(y_true, y_pred)
        if not self.label_smoothing:
            return rows
        return rows * (1.0 - self.label_smoothing) + self.label_smoothing / y_pred.shape[1]

    def sample_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None
    ) -> Array | None:
        """Return the sample's weight times its class's, and 0 for the label to ignore."""
        xp = array_namespace(y_pred)
        weight = self.metric_weight(y_true, y_pred, sample_weight)
        if self.class_weight is not None:
            self.check_outputs(y_pred.shape[1])
            of_class = xp.asarray(self.class_weight, dtype=y_pred.dtype, device=device(y_pred))
            # Of the labels as they were given: smoothing makes nothing of another class.
            rows = super().match(y_true, y_pred)
            weight = _times(weight, xp.sum(rows * of_class, axis=1))
        return weight

    def metric_weight(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> Array | None:
        """Return the sample's weight, and 0 for the label to ignore."""
        if self.ignore_index is None or y_true.shape == y_pred.shape:
            return sample_weight
        xp = array_namespace(y_pred)
        labels = xp.reshape(y_true, (-1,))
        return _times(sample_weight, xp.astype(labels != self.ignore_index, y_pred.dtype))

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse class weights of another number than the classes."""
        if self.class_weight is not None and len(self.class_weight) != n_outputs:
            raise ValueError(
                f"class_weight has {len(self.class_weight)} weights for {n_outputs} classes: "
                "expected one for each"
            )


class CategoricalCrossEntropy(ClassLoss):
    r"""Several classes, from a distribution p for each sample: :math:`-\sum_k y_k \log p_k`.

    Its derivative is :math:`-y_k / p_k`. The gradient :math:`p - y` that is often printed beside
    this formula belongs to softmax and cross-entropy taken together, with respect to the softmax's
    input: that is :class:`SoftmaxCrossEntropy`, which is also the more exact of the two.

    Notes
    -----
    The logarithm is continued below ε as in :class:`BinaryCrossEntropy`.
    """

    accepts = frozenset(["distribution"])
    advice = "End with SoftmaxActivation, or end with DenseLayer and use SoftmaxCrossEntropy."

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the cross-entropy of each row."""
        return -array_namespace(y_pred).sum(y_true * _log(y_pred), axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return -y / p."""
        return -y_true * _log_slope(y_pred)


class SoftmaxCrossEntropy(ClassLoss):
    r"""Several classes, from logits z: :math:`-\sum_k y_k \log s_k`, s being the softmax of z.

    Its derivative is :math:`s - y` (for targets that sum to 1). Labels are class indices or
    one-hot rows. A text that prints this gradient beside
    :math:`-\sum_k [y_k \log s_k + (1 - y_k) \log(1 - s_k)]` pairs it with another loss than its
    own: the second term has a gradient too.

    Parameters
    ----------
    class_weight, ignore_index, label_smoothing
        See :class:`ClassLoss`.
    most : float, default infinity
        What a sample's loss is reported as at most. The derivative is not changed.
    """

    accepts = frozenset(["real"])
    advice = "It takes the softmax itself: end with DenseLayer or LinearActivation."
    decision_threshold = 0.0

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
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
        """Return both from one softmax, unless a subclass has either of its own."""
        own = ("sample_loss", "sample_derivative", "match", "one_hot")
        if _overrides(type(self), SoftmaxCrossEntropy, *own):
            return super().sample_loss_and_derivative(y_true, y_pred)
        plain = not self.label_smoothing and self.ignore_index is None
        if plain and y_pred.shape[1] > 1 and y_true.shape == (y_pred.shape[0],):
            losses, derivatives = ops.softmax_cross_entropy(y_pred, y_true)  # makes no rows
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
        """Return -Σ y log p, minus the log-probability of each row's class."""
        xp = array_namespace(y_pred)
        # Not y * log p alone: a class of probability 0 has log p = -∞, and 0 * ∞ is NaN.
        return -xp.sum(y_true * xp.where(y_true > 0, y_pred, 0.0), axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return -y: -1 at each row's class, if it is not smoothed."""
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


@cache
def _overrides(loss: type[LossFunction], base: type, *methods: str) -> bool:
    """Whether a loss has another of these methods than the class that knows them taken together."""
    return any(getattr(loss, name) is not getattr(base, name) for name in methods)


def _times(weight: Array | None, factor: Array) -> Array:
    return factor if weight is None else weight * factor


def _check_most(most: float) -> float:
    return most if most == math.inf else check_positive("most", most)


def _at_most(losses: Array, most: float) -> Array:
    return losses if most == math.inf else array_namespace(losses).minimum(losses, most)


def _log(p: Array) -> Array:
    """Return log p, continued below ε by its tangent there: log ε + p/ε - 1."""
    xp = array_namespace(p)
    epsilon = float(xp.finfo(p.dtype).eps)
    return xp.log(xp.maximum(p, epsilon)) + (xp.minimum(p, epsilon) / epsilon - 1.0)


def _log_slope(p: Array) -> Array:
    """Return the derivative of :func:`_log`, 1 / max(p, ε)."""
    xp = array_namespace(p)
    return 1.0 / xp.maximum(p, float(xp.finfo(p.dtype).eps))
