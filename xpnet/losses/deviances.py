"""Losses for counts and for positive numbers; outputs are the logarithm of the mean."""

from ..backends import Array, array_namespace
from ..backends._errors import shown
from ..common.checks import as_float, check_positive
from ..common.overrides import register_builtin
from .base import ElementwiseLoss


class PoissonLoss(ElementwiseLoss):
    r"""Half the Poisson deviance, for counts; outputs are the logarithm z of the rate μ.

    It is the mean of :math:`y \log(y / \mu) - y + \mu` with :math:`\mu = e^z`, over samples and
    outputs. The derivative with respect to z is :math:`\mu - y`. McCullagh and Nelder 1989,
    section 2.3.1.

    Parameters
    ----------
    factor : float, default 1.0
        Multiplies the loss. Give the number of outputs to get the sum over a sample's outputs
        instead of their mean.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import PoissonLoss
    >>> counts, z = np.array([[3.0], [0.0]]), np.log(np.array([[3.0], [0.5]]))
    >>> PoissonLoss().element_loss(counts, z).round(6).tolist()
    [[0.0], [0.5]]
    >>> PoissonLoss().element_derivative(counts, z).round(6).tolist()  # rate - count
    [[0.0], [0.5]]
    """

    accepts = frozenset(["real"])
    advice = "It takes the logarithm of a rate: end with DenseLayer or LinearActivation."
    targets = "counts"

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = check_positive("factor", factor)

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return half the deviance; 0 log 0 is 0."""
        xp = array_namespace(y_pred)
        positive = xp.where(y_true > 0, y_true, 1.0)
        # Beyond 1000 the exponential is infinite, and infinity minus infinity would be NaN.
        ratio = xp.log(positive) - xp.minimum(y_pred, 1000.0)
        return xp.where(y_true > 0, positive * ratio, 0.0) - y_true + xp.exp(y_pred)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return e^z - y."""
        return array_namespace(y_pred).exp(y_pred) - y_true


class GammaLoss(ElementwiseLoss):
    r"""Half the gamma deviance, for targets above 0; outputs are the logarithm z of the mean μ.

    It is the mean of :math:`\log(\mu / y) + y / \mu - 1` with :math:`\mu = e^z`, over samples and
    outputs. The derivative with respect to z is :math:`1 - y / \mu`: errors count relative to the
    mean. McCullagh and Nelder 1989, section 8.3. scikit-learn's ``mean_gamma_deviance`` is
    twice this.

    Parameters
    ----------
    factor : float, default 1.0
        Multiplies the loss.

    Raises
    ------
    ValueError
        ``factor`` is not a number above 0; or, at ``fit``, a target is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import GammaLoss
    >>> y, z = np.array([[2.0], [200.0]]), np.log(np.array([[1.0], [100.0]]))
    >>> GammaLoss().element_loss(y, z).round(4).tolist()  # both are twice the mean
    [[0.3069], [0.3069]]
    """

    accepts = frozenset(["real"])
    advice = "It takes the logarithm of a mean: end with DenseLayer or LinearActivation."
    targets = "positive"

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = check_positive("factor", factor)

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return r - 1 - log r, r being y / μ."""
        xp = array_namespace(y_pred)
        log_r = xp.log(y_true) - y_pred
        # Beyond 1000 the first term is infinite, and infinity minus infinity would be NaN.
        return xp.expm1(log_r) - xp.minimum(log_r, 1000.0)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return 1 - y / μ."""
        xp = array_namespace(y_pred)
        return -xp.expm1(xp.log(y_true) - y_pred)


class TweedieLoss(ElementwiseLoss):
    r"""Half the Tweedie deviance; outputs are the logarithm z of the mean μ.

    It is the mean over samples and outputs of

    .. math:: \frac{y^{2-p}}{(1-p)(2-p)} - \frac{y \mu^{1-p}}{1-p} + \frac{\mu^{2-p}}{2-p}

    with :math:`\mu = e^z`, for a variance proportional to :math:`\mu^p`. The derivative with
    respect to z is :math:`\mu^{2-p} - y \mu^{1-p}`. For p = 1 it is :class:`PoissonLoss`, and for
    p = 2 it is :class:`GammaLoss`. For p between 1 and 2, a target may be exactly 0 with a
    probability above 0, as insurance claims are. Jørgensen 1987, "Exponential dispersion models".
    scikit-learn's ``mean_tweedie_deviance`` is twice this.

    Parameters
    ----------
    power : float, default 1.5
        p, 1 or more. Targets are 0 or more where p < 2, else above 0.
    factor : float, default 1.0
        Multiplies the loss.

    Raises
    ------
    ValueError
        An argument is not a number or is out of range; or, at ``fit``, a target is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, TweedieLoss
    >>> claims, z = np.array([[0.0], [4.0]]), np.log(np.array([[4.0], [4.0]]))
    >>> TweedieLoss(power=1.5).element_loss(claims, z).round(6).tolist()
    [[4.0], [0.0]]
    >>> net = NeuralNetwork(loss=TweedieLoss(1.5)).add(DenseLayer(1, input_shape=(4,)))
    """

    accepts = frozenset(["real"])
    advice = "It takes the logarithm of a mean: end with DenseLayer or LinearActivation."

    def __init__(self, power: float = 1.5, factor: float = 1.0) -> None:
        self.power = as_float(power)
        if not 1 <= self.power < float("inf"):
            raise ValueError(f"power={shown(power)}: expected a finite number, 1 or more")
        self.factor = check_positive("factor", factor)

    @property
    def targets(self) -> str:  # type: ignore[override]
        """Positive numbers if the power is 2 or more, otherwise counts."""
        return "counts" if self.power < 2 else "positive"

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return half the deviance."""
        p = self.power
        if p in (1.0, 2.0):
            return (_POISSON if p == 1.0 else _GAMMA).element_loss(y_true, y_pred)
        xp = array_namespace(y_pred)
        target_term = y_true ** (2.0 - p) / ((1.0 - p) * (2.0 - p))
        if p < 2:
            mean_term = xp.exp((2.0 - p) * y_pred) / (2.0 - p)
            return target_term + _product(y_true, (1.0 - p) * y_pred) / (p - 1.0) + mean_term
        # The other two terms as one product: for small z, both would be infinite.
        ratio = y_true * xp.exp(-y_pred) / (p - 1.0)
        return target_term + xp.exp((2.0 - p) * y_pred) * (ratio - 1.0 / (p - 2.0))

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return μ^(2 - p) - y μ^(1 - p)."""
        p = self.power
        if p in (1.0, 2.0):
            return (_POISSON if p == 1.0 else _GAMMA).element_derivative(y_true, y_pred)
        exp = array_namespace(y_pred).exp
        mean_term = exp((2.0 - p) * y_pred)
        if p < 2:
            return mean_term - _product(y_true, (1.0 - p) * y_pred)
        return mean_term * (1.0 - y_true * exp(-y_pred))


_POISSON, _GAMMA = PoissonLoss(), GammaLoss()


def _product(y: Array, exponent: Array) -> Array:
    """Return y times an exponential; 0 where y is 0, even if the exponential is infinite."""
    xp = array_namespace(y)
    positive = xp.where(y > 0, y, 1.0)
    return xp.where(y > 0, positive * xp.exp(exponent), 0.0)


register_builtin(PoissonLoss, GammaLoss, TweedieLoss)
