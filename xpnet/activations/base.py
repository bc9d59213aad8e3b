"""The base class of the activations."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from ..backends import Array, ops
from ..common.overrides import remember
from ..common.traceable import Traceable, slope, slope_function
from ..layers import Layer
from ..layers.checks import check_batch


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
        x, derivative = self.input, self.derivative
        if getattr(derivative, "__func__", None) is ActivationLayer.derivative:
            # Derived once for the whole batch.
            derivative = slope_function(self, "activation_function", 1, 0, like=x)
        return ops.rowwise(
            output_error,
            x,
            function=lambda error, x: error * derivative(x),
            out=self.buffer("input_error", x.shape),
        )


remember(ActivationLayer)
