"""The base class of the activations."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from ..backends import Array, ops
from ..common.overrides import register_builtin
from ..common.traceable import Traceable, checked_call, derivative_function, derivative_of
from ..layers import Layer
from ..layers.checks import check_batch


class ActivationLayer(Traceable, Layer):
    """Base of the activations: a subclass defines :meth:`activation_function`.

    The rest is derived from it. See :class:`~xpnet.common.traceable.Traceable` for what the formula
    may use. An activation of whole rows, such as a softmax, defines :meth:`backward_propagation`
    too. To be saved, its attributes must have the names of its constructor's arguments.

    Attributes
    ----------
    derivative_of_output : callable or None
        A method ``derivative_of_output(self, output)`` that computes the derivative from the
        output, so that a training step need not keep the derivative. By default None.
    numbers : tuple of str
        The settings that may change without compiling the formula again; by default, none.
    output_kind : str or None
        ``"real"``, ``"probability"``, ...; see :class:`~xpnet.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import ActivationLayer, array_namespace
    >>> from xpnet.testing import check_layer
    >>> class Snake(ActivationLayer):
    ...     def __init__(self, a=1.0):
    ...         self.a = a
    ...
    ...     def activation_function(self, input):
    ...         return input + array_namespace(input).sin(self.a * input) ** 2 / self.a
    >>> Snake(a=2.0).derivative(np.array([0.0])).tolist()
    [1.0]
    >>> check_layer(Snake(a=2.0), np.linspace(-3.0, 3.0, 8).reshape(4, 2))
    """

    formula_names = ("activation_function", "derivative", "derivative_of_output")
    derivative_of_output: ClassVar[Callable[..., Array] | None] = None
    input: Array = None
    output: Array = None

    @abstractmethod
    def activation_function(self, input: Array) -> Array:
        """Return the activation of ``input``, of the same shape.

        Parameters
        ----------
        input : array of shape (n, *input_shape), or symbol
            It must not be changed.
        """

    def derivative(self, input: Array) -> Array:
        """Return the derivative of the activation at ``input``, of the same shape.

        By default it is derived from :meth:`activation_function`.

        Raises
        ------
        UntraceableError
            :meth:`activation_function` is not an elementwise formula.
        """
        return derivative_of(self, "activation_function", (input,), by=0)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the activation of ``input``."""
        check_batch(self, input)
        out = self.buffer("output", input.shape) if training else None
        output = ops.rowwise(input, function=self._values, out=out)
        if training:
            self.input, self.output = input, output
        return output

    def _values(self, input: Array) -> Array:
        return checked_call(self.activation_function, input)

    def backward_propagation(self, output_error: Array) -> Array:
        """Return ``output_error * derivative(input)``, by the chain rule."""
        x, derivative = self.input, self.derivative
        if getattr(derivative, "__func__", None) is ActivationLayer.derivative:
            # Trace the formula once for the whole batch.
            derivative = derivative_function(self, "activation_function", 1, 0, like=x)
        return ops.rowwise(
            output_error,
            x,
            function=lambda error, x: error * derivative(x),
            out=self.buffer("input_error", x.shape),
        )


register_builtin(ActivationLayer)
