"""S-shaped activations, and the logarithm of the logistic function."""

from typing import ClassVar

from ..backends import Array, array_namespace, ops
from ..common.checks import check_positive
from ..common.overrides import register_builtin
from .base import ActivationLayer


class SigmoidActivation(ActivationLayer):
    r"""Logistic function, :math:`\sigma(\lambda x) = 1 / (1 + e^{-\lambda x})`.

    Parameters
    ----------
    slope : float, default 1.0
        The slope λ, above 0; for large values the function approaches a step.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, SigmoidActivation
    >>> SigmoidActivation().activation_function(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    >>> net = NeuralNetwork(loss="binary_cross_entropy").add(DenseLayer(1, (4,)))
    >>> net = net.add(SigmoidActivation())  # outputs are probabilities of class 1
    """

    output_kind = "probability"
    numbers = ("slope",)
    _checks: ClassVar = {"slope": check_positive}

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = slope

    def activation_function(self, input: Array) -> Array:
        """Return 1 / (1 + exp(-λx)), without overflow."""
        return ops.sigmoid(self.slope * input)

    def derivative(self, input: Array) -> Array:
        """Return λ s (1 - s), for the activation s, as λe / (1 + e)² with e = exp(-|λx|).

        The difference 1 - s would lose digits where s is close to 1.
        """
        xp = array_namespace(input)
        e = xp.exp(-xp.abs(self.slope * input))
        return self.slope * e / ((1.0 + e) * (1.0 + e))


class TanhActivation(ActivationLayer):
    """Hyperbolic tangent.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import TanhActivation
    >>> TanhActivation().activation_function(np.array([-1.0, 0.0, 1.0])).round(3).tolist()
    [-0.762, 0.0, 0.762]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return tanh(x)."""
        return array_namespace(input).tanh(input)

    def derivative(self, input: Array) -> Array:
        """Return 1 - tanh²(x)."""
        output = array_namespace(input).tanh(input)
        return 1.0 - output * output

    def derivative_of_output(self, output: Array) -> Array:
        """Return 1 - y² for the activation y."""
        return 1.0 - output * output


class SoftsignActivation(ActivationLayer):
    r"""Softsign, :math:`x / (1 + |x|)`, which tends to ±1 more slowly than tanh.

    Turian, Bergstra and Bengio 2009, "Quadratic features and deep architectures for chunking".

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SoftsignActivation
    >>> SoftsignActivation().activation_function(np.array([-1.0, 0.0, 3.0])).tolist()
    [-0.5, 0.0, 0.75]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return x / (1 + abs(x))."""
        x = ops.clip(input, -1e30, 1e30)  # the quotient is ±1 well within; ∞ / ∞ would be NaN
        return x / (1.0 + array_namespace(x).abs(x))

    def derivative(self, input: Array) -> Array:
        """Return 1 / (1 + abs(x))²."""
        inverse = 1.0 / (1.0 + array_namespace(input).abs(input))
        return inverse * inverse


class HardSigmoidActivation(ActivationLayer):
    r"""Piecewise linear logistic function, :math:`\min(\max(x / 6 + 1/2, 0), 1)`.

    Howard et al. 2019, "Searching for MobileNetV3", section 5.2; as in PyTorch. Older papers and
    versions of Keras have the slope 1/5. Its derivative at -3 and 3 is taken as 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import HardSigmoidActivation
    >>> HardSigmoidActivation().activation_function(np.array([-3.0, 0.0, 1.5])).tolist()
    [0.0, 0.5, 0.75]
    """

    output_kind = "probability"

    def activation_function(self, input: Array) -> Array:
        """Return min(max(x / 6 + 1/2, 0), 1)."""
        return ops.clip(input / 6.0 + 0.5, 0.0, 1.0)

    def derivative(self, input: Array) -> Array:
        """Return 1/6 where the activation is between 0 and 1, else 0."""
        return _sixth(ops.clip(input / 6.0 + 0.5, 0.0, 1.0))

    def derivative_of_output(self, output: Array) -> Array:
        """Return 1/6 where 0 < y < 1, else 0, for the activation y."""
        return _sixth(output)


def _sixth(y: Array) -> Array:
    return array_namespace(y).astype((y > 0) & (y < 1), y.dtype) / 6.0


class LogSigmoidActivation(ActivationLayer):
    r"""Logarithm of the logistic function, :math:`\log \sigma(x) = -\log(1 + e^{-x})`.

    It is computed without overflow, and its derivative is :math:`\sigma(-x)`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import LogSigmoidActivation
    >>> LogSigmoidActivation().activation_function(np.array([-1000.0, 0.0])).round(3).tolist()
    [-1000.0, -0.693]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return -log(1 + exp(-x))."""
        return -ops.softplus(-input)


register_builtin(
    SigmoidActivation,
    TanhActivation,
    SoftsignActivation,
    HardSigmoidActivation,
    LogSigmoidActivation,
)
