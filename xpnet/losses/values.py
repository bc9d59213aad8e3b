"""Losses of numbers: squared errors, and counts."""

from ..backends import Array, array_namespace
from ..common.checks import check_positive
from ..common.overrides import remember
from .base import ElementwiseLoss


class MeanSquaredError(ElementwiseLoss):
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

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the squared difference."""
        difference = y_pred - y_true
        return difference * difference

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return 2 (ŷ - y)."""
        return 2.0 * (y_pred - y_true)


class PoissonLoss(ElementwiseLoss):
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

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return half the deviance; 0 log 0 is 0."""
        xp = array_namespace(y_pred)
        log_y = xp.log(xp.where(y_true > 0, y_true, 1.0))
        return y_true * (log_y - y_pred) - y_true + xp.exp(y_pred)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return e^z - y."""
        return array_namespace(y_pred).exp(y_pred) - y_true


remember(MeanSquaredError, PoissonLoss)
