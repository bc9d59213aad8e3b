"""Focal losses: cross-entropies that give less weight to well-classified samples."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import Array, array_namespace, ops
from ..backends._errors import shown
from ..common.checks import as_float, check_non_negative
from ..common.overrides import register_builtin
from .base import ElementwiseLoss
from .classes import ClassLoss


class BinaryFocalLoss(ElementwiseLoss):
    r"""Focal loss of yes-or-no outputs, from logits: :math:`-\alpha_t (1 - q)^\gamma \log q`.

    q is the probability of the target, σ(z) for 1 and σ(-z) for 0. :math:`\alpha_t` is α for 1 and
    1 - α for 0. Several outputs are independent labels. Lin et al. 2017, "Focal loss for dense
    object detection", eq. 5; torchvision's ``sigmoid_focal_loss``.

    Parameters
    ----------
    gamma : float, default 2.0
        γ, 0 or more; 0 is the binary cross-entropy.
    alpha : float, optional
        α between 0 and 1; None for no factor. The paper recommends 0.25 with γ = 2.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import BinaryFocalLoss
    >>> y, z = np.array([[1.0], [1.0]]), np.array([[0.0], [5.0]])  # undecided; sure and right
    >>> BinaryFocalLoss(gamma=0.0).element_loss(y, z).round(5).tolist()
    [[0.69315], [0.00672]]
    >>> BinaryFocalLoss(gamma=2.0).element_loss(y, z).round(5).tolist()
    [[0.17329], [0.0]]
    """

    accepts = frozenset(["real"])
    advice = "It applies the sigmoid itself: end with DenseLayer or LinearActivation."
    targets = "binary"
    decision_threshold = 0.0
    output_kind = "log-odds"

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        self.gamma = check_non_negative("gamma", gamma)
        self.alpha = None if alpha is None else as_float(alpha)
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise ValueError(f"alpha={shown(alpha)}: expected a number between 0 and 1, or None")

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the focal loss of each output."""
        u = (2.0 * y_true - 1.0) * y_pred  # the logit of q
        return self._weight(y_true) * ops.sigmoid(-u) ** self.gamma * ops.softplus(-u)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        r"""Return ∓αₜ (1 - q)^γ (1 - q - γ q log q)."""
        sign = 2.0 * y_true - 1.0
        u = sign * y_pred
        # q log q tends to 0, but 0 times infinity would be NaN.
        log_q = -ops.softplus(array_namespace(u).minimum(-u, 800.0))
        rest = ops.sigmoid(-u)
        slope = rest - self.gamma * ops.sigmoid(u) * log_q
        return -sign * self._weight(y_true) * rest**self.gamma * slope

    def _weight(self, y_true: Array) -> Array | float:
        if self.alpha is None:
            return 1.0
        return (1.0 - self.alpha) + (2.0 * self.alpha - 1.0) * y_true


class FocalLoss(ClassLoss):
    r"""Focal loss of classes, from logits: :math:`-\sum_k y_k (1 - s_k)^\gamma \log s_k`.

    s is the softmax of the logits. Lin et al. 2017, "Focal loss for dense object detection",
    eq. 4. The paper's factor for each class is ``class_weight`` here, which makes the loss a
    weighted mean.

    Parameters
    ----------
    class_weight, ignore_index, label_smoothing
        See :class:`ClassLoss`.
    gamma : float, default 2.0
        γ, 0 or more; 0 is :class:`SoftmaxCrossEntropy`.

    Raises
    ------
    ValueError, TypeError
        As for :class:`ClassLoss`, or ``gamma`` is not 0 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import FocalLoss, SoftmaxCrossEntropy
    >>> y_true, z = np.array([0]), np.array([[0.0, 0.0]])
    >>> round(float(SoftmaxCrossEntropy()(y_true, z)), 4)
    0.6931
    >>> round(float(FocalLoss(gamma=2.0)(y_true, z)), 4)  # times (1 - 0.5) squared
    0.1733
    """

    accepts = frozenset(["real"])
    advice = "It applies the softmax itself: end with DenseLayer or LinearActivation."
    decision_threshold = 0.0
    output_kind = "logits"

    def __init__(
        self,
        class_weight: Sequence[float] | Mapping[Any, float] | str | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(class_weight, ignore_index, label_smoothing)
        self.gamma = check_non_negative("gamma", gamma)

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the focal loss of each row."""
        log_s, rest = _log_softmax(y_pred)
        return -array_namespace(y_pred).sum(y_true * rest**self.gamma * log_s, axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return g - s Σg, g being the derivative with respect to the log-probabilities."""
        xp = array_namespace(y_pred)
        log_s, rest = _log_softmax(y_pred)
        s = xp.exp(log_s)
        # log s / (1 - s), which tends to -1 where s tends to 1.
        ratio = xp.where(rest > 0, log_s / xp.where(rest > 0, rest, 1.0), -1.0)
        g = -y_true * rest**self.gamma * (1.0 - self.gamma * s * ratio)
        return g - s * xp.sum(g, axis=1, keepdims=True)


def _log_softmax(z: Array) -> tuple[Array, Array]:
    """Return log s and 1 - s, s being the softmax."""
    log_s = ops.log_softmax(z)
    return log_s, -array_namespace(z).expm1(log_s)


register_builtin(BinaryFocalLoss, FocalLoss)
