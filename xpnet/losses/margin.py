"""Margin losses for yes-or-no outputs, as in support vector machines."""

from ..backends import Array, array_namespace
from ..common.overrides import register_builtin
from .base import ElementwiseLoss


class HingeLoss(ElementwiseLoss):
    r"""Hinge loss, :math:`\max(1 - m, 0)` with the margin :math:`m = (2y - 1)\,z`.

    Targets y are 0 and 1, as everywhere in this library; outputs z above 0 mean 1. Several outputs
    are independent labels. The derivative is taken as 0 where m = 1. Cortes and Vapnik 1995,
    "Support-vector networks".

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import HingeLoss
    >>> float(HingeLoss()(np.array([0, 1]), np.array([[0.5], [2.0]])))  # (1.5 + 0) / 2
    0.75
    """

    accepts = frozenset(["real"])
    advice = "It takes scores, above 0 for yes: end with DenseLayer or LinearActivation."
    targets = "binary"
    decision_threshold = 0.0

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return max(1 - m, 0)."""
        return _shortfall(y_true, y_pred)


class SquaredHingeLoss(ElementwiseLoss):
    r"""Squared hinge loss, :math:`\max(1 - m, 0)^2` with the margin :math:`m = (2y - 1)\,z`.

    It is differentiable everywhere; for targets and outputs see :class:`HingeLoss`. Tang 2013,
    "Deep learning using linear support vector machines", eq. 8.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SquaredHingeLoss
    >>> float(SquaredHingeLoss()(np.array([0, 1]), np.array([[0.5], [2.0]])))  # (1.5² + 0) / 2
    1.125
    """

    accepts = frozenset(["real"])
    advice = HingeLoss.advice
    targets = "binary"
    decision_threshold = 0.0

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return max(1 - m, 0)²."""
        shortfall = _shortfall(y_true, y_pred)
        return shortfall * shortfall


def _shortfall(y_true: Array, y_pred: Array) -> Array:
    """Return how far the margin is below 1; 0 if it is not."""
    return array_namespace(y_pred).maximum(1.0 - (2.0 * y_true - 1.0) * y_pred, 0.0)


register_builtin(HingeLoss, SquaredHingeLoss)
