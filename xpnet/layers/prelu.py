"""The rectified linear unit with a learned slope."""

import math
from typing import TYPE_CHECKING, Any, Self

from ..backends import Array, array_namespace, is_array, ops
from ..backends._errors import shown
from ..common.checks import check_non_negative
from ..common.overrides import register_builtin
from ..initializers import FromArray, Zeros
from .base import Layer
from .checks import check_batch

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class PReLULayer(Layer):
    r"""Parametric rectified linear unit: x where x > 0, else αx with a learned α for each unit.

    The backward pass, with :math:`E = \partial L / \partial Y`:
    :math:`\partial L / \partial \alpha = \sum_i E_i \min(X_i, 0)`,
    :math:`\partial L / \partial X = E` where x > 0, else αE. The derivative at 0 is taken as α.

    He et al. 2015, "Delving deep into rectifiers", eq. 1. As recommended there, the network's
    regularizer does not apply to α.

    Parameters
    ----------
    initial : float or array of shape input_shape, default 0.25
        The initial slopes, 0 or more. A learned slope may have either sign.
    input_shape : tuple of int, optional
        The shape of a sample; only needed for the first layer of a network.

    Attributes
    ----------
    alpha : array of shape input_shape
        The slopes.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, PReLULayer
    >>> net = NeuralNetwork(epochs=1, loss="mse", seed=0)
    >>> net = net.add(DenseLayer(3, (2,))).add(PReLULayer()).add(DenseLayer(1))
    >>> net.layers[1].alpha.tolist()
    [0.25, 0.25, 0.25]
    """

    parameter_names = ("alpha",)
    output_kind = "real"

    def __init__(
        self, initial: float | Array = 0.25, input_shape: tuple[int, ...] | None = None
    ) -> None:
        self.initial = _slopes(initial)
        if input_shape is not None:
            self.set_input_shape(input_shape)
        self.alpha: Array = None
        self.input: Array = None
        self.output: Array = None

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Set the slopes to their initial values."""
        if is_array(self.initial):
            self.alpha = self.new_parameter(self.input_shape(), FromArray(self.initial), "alpha")
        else:
            self.alpha = self.new_parameter(self.input_shape(), Zeros()) + self.initial
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return x where x > 0, else αx."""
        check_batch(self, input)
        where = array_namespace(input).where
        output = ops.rowwise(
            input,
            function=lambda x: where(x > 0, x, self.alpha * x),
            out=self.buffer("output", input.shape) if training else None,
        )
        if training:
            self.input, self.output = input, output
        return output

    def backward_propagation(self, output_error: Array) -> Array:
        """Set ``alpha_gradient``; return the derivative with respect to the input."""
        xp, shape = array_namespace(output_error), output_error.shape
        place = self.buffer("input_error", shape)
        if self.trainable:
            parts = ops.rowwise(
                output_error, self.input, function=lambda e, x: e * xp.minimum(x, 0.0), out=place
            )
            out = self.buffer("alpha_gradient", shape[1:])
            self.alpha_gradient = ops.column_sum(parts, out=out)
        input_error = None
        if self.needs_input_error:
            input_error = ops.rowwise(
                output_error,
                self.input,
                function=lambda e, x: xp.where(x > 0, e, self.alpha * e),
                out=place,
            )
        self.update_parameters()
        return input_error

    def parameters(self) -> int:
        """Return the number of slopes."""
        return math.prod(self.input_shape())


def _slopes(initial: Any) -> Any:
    """Return initial slopes, one number or a copy of an array; refuse negative ones."""
    if not is_array(initial):
        if isinstance(initial, int) and initial > 1:
            raise ValueError(
                f"initial={shown(initial)}: expected a slope, such as 0.25. The layer takes the "
                "width of its input: do not give a width"
            )
        return check_non_negative("initial", initial)
    found = FromArray(initial).values
    if found.ndim and (found < 0).any():
        raise ValueError(f"initial has the number {found.min()}: expected 0 or more")
    return found if found.ndim else check_non_negative("initial", found.item())


register_builtin(PReLULayer)
