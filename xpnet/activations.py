"""Activation layers: a function of each number (or of each row), without parameters.

A new one is a subclass of :class:`ActivationLayer` with ``activation_function``; all else follows.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from array_api_compat import device

from .backends import Array, array_namespace, ops
from .common.checks import check_non_negative, check_positive
from .common.overrides import remember
from .common.traceable import Traceable, slope
from .layers import Layer
from .layers.checks import check_batch


class ActivationLayer(Traceable, Layer):
    """Base of the activations.

    Attributes
    ----------
    derivative_of_output : callable or None
        A method that returns the derivative from the activation itself, if there is a formula for
        that: then a training step need not keep the derivative. None if there is none.
    numbers : tuple of str
        See :class:`~xpnet.common.traceable.Traceable`.
    """

    formula_names = ("activation_function", "derivative", "derivative_of_output")
    derivative_of_output: ClassVar[Callable[..., Array] | None] = None
    input: Array = None
    output: Array = None

    @abstractmethod
    def activation_function(self, input: Array) -> Array:
        """Return the activation of ``input``, of the same shape."""

    def derivative(self, input: Array) -> Array:
        """Return the derivative of the activation at ``input``, of the same shape.

        By default it is derived from :meth:`activation_function`.

        Raises
        ------
        UntraceableError
            That is not a formula of single numbers.
        """
        return slope(self, "activation_function", (input,), by=0)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the activation of ``input``."""
        check_batch(self, input)
        out = self.buffer("output", input.shape) if training else None
        output = ops.rowwise(input, function=self.activation_function, out=out)
        if training:
            self.input, self.output = input, output
        return output

    def backward_propagation(self, output_error: Array) -> Array:
        """Return ``output_error * derivative(input)``: the chain rule, number by number."""
        return ops.rowwise(
            output_error,
            self.input,
            function=lambda error, x: error * self.derivative(x),
            out=self.buffer("input_error", self.input.shape),
        )


class LinearActivation(ActivationLayer):
    """The identity, x: the end of a regression network."""

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return ``input``."""
        return input

    def derivative(self, input: Array) -> Array:
        """Return 1."""
        return array_namespace(input).ones_like(input)

    derivative_of_output = derivative


class ReLUActivation(ActivationLayer):
    """Rectified linear unit, max(x, 0). Nair and Hinton 2010; its derivative at 0 is taken as 0."""

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return max(x, 0)."""
        return array_namespace(input).maximum(input, 0.0)

    def derivative(self, input: Array) -> Array:
        """Return 1 where x > 0, else 0."""
        return array_namespace(input).astype(input > 0, input.dtype)

    derivative_of_output = derivative


class LeakyReLUActivation(ActivationLayer):
    """x where x > 0, else αx, so that no unit goes silent for good. Maas et al. 2013.

    Parameters
    ----------
    alpha : float, default 0.01
        The slope below 0.
    """

    output_kind = "real"
    numbers = ("alpha",)

    def __init__(self, alpha: float = 0.01) -> None:
        self.alpha = check_non_negative("alpha", alpha)

    def activation_function(self, input: Array) -> Array:
        """Return x where x > 0, else αx."""
        return array_namespace(input).where(input > 0, input, self.alpha * input)

    def derivative(self, input: Array) -> Array:
        """Return 1 where x > 0, else α."""
        xp = array_namespace(input)
        return xp.where(input > 0, xp.ones_like(input), self.alpha)

    derivative_of_output = derivative


class ReLU6Activation(ActivationLayer):
    """min(max(x, 0), 6). Krizhevsky 2010; its derivative at 0 and 6 is taken as 0."""

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return min(max(x, 0), 6)."""
        return ops.clip(input, 0.0, 6.0)

    def derivative(self, input: Array) -> Array:
        """Return 1 where 0 < x < 6, else 0."""
        return array_namespace(input).astype((input > 0) & (input < 6), input.dtype)

    derivative_of_output = derivative


class SigmoidActivation(ActivationLayer):
    r"""Logistic function, :math:`\sigma(\lambda x) = 1 / (1 + e^{-\lambda x})`.

    Parameters
    ----------
    slope : float, default 1.0
        λ > 0: the larger, the nearer to a step.
    """

    output_kind = "probability"
    numbers = ("slope",)

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = check_positive("slope", slope)

    def activation_function(self, input: Array) -> Array:
        """Return 1 / (1 + exp(-λx)), without overflow."""
        return ops.sigmoid(self.slope * input)

    def derivative(self, input: Array) -> Array:
        """Return λ s (1 - s), s being the activation; 1 - s is taken as σ(-λx), which is exact."""
        scaled = self.slope * input  # of it and of its negative, one exponential serves both
        return self.slope * ops.sigmoid(scaled) * ops.sigmoid(-scaled)


class TanhActivation(ActivationLayer):
    """Hyperbolic tangent."""

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return tanh(x)."""
        return array_namespace(input).tanh(input)

    def derivative(self, input: Array) -> Array:
        """Return 1 - tanh²(x)."""
        return self.derivative_of_output(array_namespace(input).tanh(input))

    def derivative_of_output(self, output: Array) -> Array:
        """Return 1 - y², y being the activation."""
        return 1.0 - output * output


class SoftmaxActivation(ActivationLayer):
    r"""Each row becomes a distribution, :math:`s_k = e^{x_k} / \sum_j e^{x_j}`.

    Every output depends on the whole row, so the derivative is a matrix for each row; the diagonal
    s_k (1 - s_k) alone, which some texts print, is not the derivative. Before
    :class:`~xpnet.losses.CategoricalCrossEntropy`, prefer
    :class:`~xpnet.losses.SoftmaxCrossEntropy`, which does both in one and more exactly.
    """

    output_kind = "distribution"

    def activation_function(self, input: Array) -> Array:
        """Return the softmax of each row."""
        return ops.softmax(input)

    def derivative(self, input: Array) -> Array:
        r"""Return the Jacobians, :math:`\partial s_k / \partial x_j = s_k (\delta_{kj} - s_j)`.

        Returns
        -------
        array of shape (n, k, k)
        """
        s = ops.softmax(input)
        return s[:, :, None] * (_identity(s) - s[:, None, :])

    def backward_propagation(self, output_error: Array) -> Array:
        """Return each row's error times its Jacobian, s ⊙ (e - e·s), without making it."""
        sum = array_namespace(output_error).sum
        return ops.rowwise(
            output_error,
            self.output,
            function=lambda e, s: s * (e - sum(e * s, axis=-1, keepdims=True)),
            out=self.buffer("input_error", self.output.shape),
        )


class LogSoftmaxActivation(ActivationLayer):
    r"""Logarithm of the softmax of each row, :math:`x_k - \log \sum_j e^{x_j}`.

    The end of a network that is trained with :class:`~xpnet.losses.NegativeLogLikelihood`.
    """

    output_kind = "log-distribution"

    def activation_function(self, input: Array) -> Array:
        """Return the log-softmax of each row."""
        return ops.log_softmax(input)

    def derivative(self, input: Array) -> Array:
        r"""Return the Jacobians, :math:`\partial y_k / \partial x_j = \delta_{kj} - s_j`.

        Returns
        -------
        array of shape (n, k, k)
        """
        s = ops.softmax(input)
        return _identity(s) - s[:, None, :]

    def backward_propagation(self, output_error: Array) -> Array:
        """Return each row's error times its Jacobian, e - s Σe, without making it."""
        xp = array_namespace(output_error)
        return ops.rowwise(
            output_error,
            self.output,
            function=lambda e, y: e - xp.exp(y) * xp.sum(e, axis=-1, keepdims=True),
            out=self.buffer("input_error", self.output.shape),
        )


def _identity(like: Array) -> Array:
    """Return an identity matrix as wide as ``like``, with an axis in front for the batch."""
    xp = array_namespace(like)
    return xp.eye(like.shape[-1], dtype=like.dtype, device=device(like))[None, :, :]


remember(*ActivationLayer.__subclasses__())
