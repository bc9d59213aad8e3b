r"""Smooth relatives of the rectified linear unit, hard swish, and the exponential.

Several are x times a factor that tends to 0 for x → -∞. The factor is computed for x clipped to
limits beyond which it is exactly 0 or 1, and x itself is clipped from below. So infinity times 0,
which would be NaN, does not occur, and the value at -∞ is the limit.
"""

import math
from typing import ClassVar

from ..backends import Array, array_namespace, ops
from ..backends._errors import shown
from ..common.checks import check_non_negative, check_positive, check_string
from ..common.overrides import register_builtin
from .base import ActivationLayer


def _below_0(x: Array) -> Array:
    """Return min(x, 0), whose traced derivative at 0 is 1."""
    return array_namespace(x).where(x > 0, 0.0, x)


class ELUActivation(ActivationLayer):
    r"""Exponential linear unit: x where x > 0, else :math:`\alpha (e^x - 1)`.

    Clevert, Unterthiner and Hochreiter 2016, "Fast and accurate deep network learning by
    exponential linear units", eq. 15.

    Parameters
    ----------
    alpha : float, default 1.0
        0 or more; the limit for x → -∞ is -α. Unless α is 1, the derivative jumps at 0, where it
        is taken as α.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import ELUActivation
    >>> ELUActivation(alpha=2.0).activation_function(np.array([-100.0, 0.0, 3.0])).tolist()
    [-2.0, 0.0, 3.0]
    """

    output_kind = "real"
    numbers = ("alpha",)
    _checks: ClassVar = {"alpha": check_non_negative}

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def activation_function(self, input: Array) -> Array:
        """Return x where x > 0, else α (exp(x) - 1)."""
        xp = array_namespace(input)
        return xp.where(input > 0, input, self.alpha * xp.expm1(_below_0(input)))

    def derivative(self, input: Array) -> Array:
        """Return 1 where x > 0, else α exp(x)."""
        xp = array_namespace(input)
        slope = self.alpha * xp.exp(_below_0(input))
        return xp.where(input > 0, xp.ones_like(input), slope)


class SELUActivation(ActivationLayer):
    r"""Scaled exponential linear unit: λx where x > 0, else :math:`\lambda\alpha (e^x - 1)`.

    With λ ≈ 1.0507 and α ≈ 1.6733, the outputs of a wide layer have about mean 0 and variance 1 if
    its inputs have them and its weights have the variance 1 / n_in. Klambauer et al. 2017,
    "Self-normalizing neural networks", eq. 2 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SELUActivation
    >>> x = np.random.default_rng(0).standard_normal(1_000_000)
    >>> y = SELUActivation().activation_function(x)
    >>> bool(abs(y.mean()) < 0.01), bool(abs(y.std() - 1) < 0.01)
    (True, True)
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return λx where x > 0, else λα (exp(x) - 1)."""
        xp = array_namespace(input)
        below = (_SELU_SCALE * _SELU_ALPHA) * xp.expm1(_below_0(input))
        return xp.where(input > 0, _SELU_SCALE * input, below)

    def derivative(self, input: Array) -> Array:
        """Return λ where x > 0, else λα exp(x)."""
        xp = array_namespace(input)
        below = (_SELU_SCALE * _SELU_ALPHA) * xp.exp(_below_0(input))
        return xp.where(input > 0, xp.full_like(input, _SELU_SCALE), below)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


class CELUActivation(ActivationLayer):
    r"""Continuously differentiable ELU: x where x > 0, else :math:`\alpha (e^{x/\alpha} - 1)`.

    Barron 2017, "Continuously differentiable exponential linear units", eq. 2.

    Parameters
    ----------
    alpha : float, default 1.0
        Above 0; the limit for x → -∞ is -α.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import CELUActivation
    >>> CELUActivation(alpha=0.5).activation_function(np.array([-100.0, 0.0, 3.0])).tolist()
    [-0.5, 0.0, 3.0]
    >>> CELUActivation(alpha=0.5).derivative(np.array([0.0])).tolist()  # for every alpha
    [1.0]
    """

    output_kind = "real"
    numbers = ("alpha",)
    _checks: ClassVar = {"alpha": check_positive}

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def activation_function(self, input: Array) -> Array:
        """Return max(x, 0) + α (exp(min(x, 0) / α) - 1)."""
        xp = array_namespace(input)
        below = self.alpha * xp.expm1(_below_0(input) / self.alpha)
        return xp.maximum(input, 0.0) + below

    def derivative(self, input: Array) -> Array:
        """Return exp(min(x, 0) / α)."""
        return array_namespace(input).exp(_below_0(input) / self.alpha)


class SoftplusActivation(ActivationLayer):
    r"""Softplus, :math:`\log(1 + e^{\beta x}) / \beta`, a smooth max(x, 0).

    Dugas et al. 2001, "Incorporating second-order functional knowledge for better option pricing".
    It is exact for all x; PyTorch returns x where βx > 20.

    Parameters
    ----------
    beta : float, default 1.0
        Above 0; for large values the function approaches max(x, 0).

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SoftplusActivation
    >>> SoftplusActivation().activation_function(np.array([0.0, 1000.0])).round(3).tolist()
    [0.693, 1000.0]
    >>> SoftplusActivation(beta=10.0).activation_function(np.array([0.0])).round(3).tolist()
    [0.069]
    """

    output_kind = "real"
    numbers = ("beta",)
    _checks: ClassVar = {"beta": check_positive}

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def activation_function(self, input: Array) -> Array:
        """Return log(1 + exp(βx)) / β, without overflow."""
        return ops.softplus(self.beta * input) / self.beta

    def derivative(self, input: Array) -> Array:
        """Return σ(βx)."""
        return ops.sigmoid(self.beta * input)


class GELUActivation(ActivationLayer):
    r"""Gaussian error linear unit, :math:`x\,\Phi(x)`, with the normal distribution function Φ.

    Hendrycks and Gimpel 2016, "Gaussian error linear units". The approximation :math:`\frac x2 (1 +
    \tanh u)` with :math:`u = \sqrt{2/\pi}\,(x + 0.044715\,x^3)` differs from :math:`x\,\Phi(x)` by
    less than 0.0005.

    Parameters
    ----------
    approximate : {"none", "tanh"}, default "none"
        As in PyTorch. Networks that were trained with one form should be used with the same.

    Raises
    ------
    ValueError, TypeError
        ``approximate`` is neither "none" nor "tanh".

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import GELUActivation
    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> GELUActivation().activation_function(x).round(4).tolist()
    [-0.1587, 0.0, 0.8413]
    >>> GELUActivation(approximate="tanh").activation_function(x).round(4).tolist()
    [-0.1588, 0.0, 0.8412]
    """

    output_kind = "real"

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = check_string("approximate", approximate)
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate={shown(approximate)}: expected 'none' or 'tanh'")

    def activation_function(self, input: Array) -> Array:
        """Return x Φ(x)."""
        x = ops.clip(input, -_FAR, _FAR)
        above = array_namespace(input).maximum(input, -_FAR)
        if self.approximate == "tanh":
            return above * ops.sigmoid(_two_u(x))
        return above * _normal(x)

    def derivative(self, input: Array) -> Array:
        """Return Φ(x) + x Φ'(x)."""
        xp, x = array_namespace(input), ops.clip(input, -_FAR, _FAR)
        if self.approximate == "tanh":
            z = _two_u(x)
            density = ops.sigmoid(z) * ops.sigmoid(-z)
            return ops.sigmoid(z) + x * density * (_GELU[0] + 3.0 * _GELU[1] * (x * x))
        density = math.sqrt(0.5 / math.pi) * xp.exp(-0.5 * (x * x))
        return _normal(x) + x * density


_FAR = 40.0
"""Φ(-40) and its approximation are 0 in every type, and Φ(40) is 1."""

_GELU = 2.0 * math.sqrt(2.0 / math.pi), 0.08943 * math.sqrt(2.0 / math.pi)


def _two_u(x: Array) -> Array:
    """Return 2u of the approximation of GELU: (1 + tanh u) / 2 is σ(2u), exact in both tails."""
    return x * (_GELU[0] + _GELU[1] * (x * x))


def _normal(x: Array) -> Array:
    """Return Φ(x)."""
    return 0.5 * (1.0 + ops.erf(math.sqrt(0.5) * x))


class SiLUActivation(ActivationLayer):
    r"""Sigmoid linear unit, or Swish, :math:`x\,\sigma(x)`.

    Elfwing, Uchibe and Doya 2018, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning"; Ramachandran, Zoph and Le 2017, "Searching for
    activation functions".

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SiLUActivation
    >>> SiLUActivation().activation_function(np.array([-1.0, 0.0, 1.0])).round(3).tolist()
    [-0.269, 0.0, 0.731]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return x σ(x)."""
        above = array_namespace(input).maximum(input, -_FARTHER)
        return above * ops.sigmoid(ops.clip(input, -_FARTHER, _FARTHER))

    def derivative(self, input: Array) -> Array:
        """Return σ(x) (1 + x σ(-x))."""
        x = ops.clip(input, -_FARTHER, _FARTHER)
        return ops.sigmoid(x) * (1.0 + x * ops.sigmoid(-x))


class MishActivation(ActivationLayer):
    r"""Mish, :math:`x \tanh(\log(1 + e^x))`.

    Misra 2020, "Mish: a self regularized non-monotonic activation function".

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import MishActivation
    >>> MishActivation().activation_function(np.array([-1.0, 0.0, 1.0])).round(3).tolist()
    [-0.303, 0.0, 0.865]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return x tanh(log(1 + exp(x)))."""
        xp = array_namespace(input)
        factor = xp.tanh(ops.softplus(ops.clip(input, -_FARTHER, _FARTHER)))
        return xp.maximum(input, -_FARTHER) * factor

    def derivative(self, input: Array) -> Array:
        """Return t + x (1 - t²) σ(x) with t = tanh(log(1 + exp(x)))."""
        x = ops.clip(input, -_FARTHER, _FARTHER)
        t = array_namespace(input).tanh(ops.softplus(x))
        return t + x * ((1.0 - t * t) * ops.sigmoid(x))


_FARTHER = 800.0
"""exp(-800) is 0 in every type."""


class HardSwishActivation(ActivationLayer):
    r"""Swish with a piecewise linear sigmoid, :math:`x \min(\max(x / 6 + 1/2, 0), 1)`.

    Howard et al. 2019, "Searching for MobileNetV3", section 5.2; as in PyTorch. Its derivative at
    -3 is taken as 0, and as 1 at 3.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import HardSwishActivation
    >>> HardSwishActivation().activation_function(np.array([-1.5, 0.0, 3.0])).tolist()
    [-0.375, 0.0, 3.0]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return x min(max(x / 6 + 1/2, 0), 1)."""
        above = array_namespace(input).maximum(input, -3.0)
        return above * ops.clip(input / 6.0 + 0.5, 0.0, 1.0)

    def derivative(self, input: Array) -> Array:
        """Return x / 3 + 1/2 where -3 < x < 3; 0 below and 1 above."""
        xp = array_namespace(input)
        one, zero = xp.ones_like(input), xp.zeros_like(input)
        outside = xp.where(input > 0, one, zero)
        return xp.where((input <= -3) | (input >= 3), outside, input / 3.0 + 0.5)


class ExponentialActivation(ActivationLayer):
    r"""Exponential, :math:`e^x`, e.g. at the end of a network whose outputs are above 0.

    It overflows for large x. With :class:`~xpnet.PoissonLoss`, :class:`~xpnet.GammaLoss` and
    :class:`~xpnet.TweedieLoss`, end with ``DenseLayer`` instead: for these losses, outputs are
    logarithms.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import ExponentialActivation
    >>> ExponentialActivation().activation_function(np.array([0.0, 1.0])).round(3).tolist()
    [1.0, 2.718]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return exp(x)."""
        return array_namespace(input).exp(input)

    def derivative(self, input: Array) -> Array:
        """Return exp(x)."""
        return array_namespace(input).exp(input)

    def derivative_of_output(self, output: Array) -> Array:
        """Return the activation itself."""
        return output


register_builtin(
    ELUActivation,
    SELUActivation,
    CELUActivation,
    SoftplusActivation,
    GELUActivation,
    SiLUActivation,
    MishActivation,
    HardSwishActivation,
    ExponentialActivation,
)
