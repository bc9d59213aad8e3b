"""Piecewise linear activations: the identity, and rectified linear units."""

from typing import ClassVar

from ..backends import Array, array_namespace, ops
from ..common.checks import check_non_negative
from ..common.overrides import register_builtin
from .base import ActivationLayer


class LinearActivation(ActivationLayer):
    """The identity, x, e.g. at the end of a regression network.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import LinearActivation
    >>> LinearActivation().activation_function(np.array([-1.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return ``input``."""
        return input

    def derivative(self, input: Array) -> Array:
        """Return 1."""
        return array_namespace(input).ones_like(input)

    derivative_of_output = derivative


class ReLUActivation(ActivationLayer):
    """Rectified linear unit, max(x, 0). Nair and Hinton 2010; its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
    >>> ReLUActivation().activation_function(np.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    >>> net = NeuralNetwork().add(DenseLayer(8, (2,), "he_normal")).add(ReLUActivation())
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return max(x, 0)."""
        return array_namespace(input).maximum(input, 0.0)

    def derivative(self, input: Array) -> Array:
        """Return 1 where x > 0, else 0."""
        return array_namespace(input).astype(input > 0, input.dtype)

    derivative_of_output = derivative


class LeakyReLUActivation(ActivationLayer):
    """Leaky ReLU: x where x > 0, else αx, so that no unit is dead. Maas et al. 2013.

    Parameters
    ----------
    alpha : float, default 0.01
        The slope where x < 0; 0 or more.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import LeakyReLUActivation
    >>> LeakyReLUActivation(alpha=0.25).activation_function(np.array([-2.0, 3.0])).tolist()
    [-0.5, 3.0]
    """

    output_kind = "real"
    numbers = ("alpha",)
    _checks: ClassVar = {"alpha": check_non_negative}

    def __init__(self, alpha: float = 0.01) -> None:
        self.alpha = alpha

    def activation_function(self, input: Array) -> Array:
        """Return x where x > 0, else αx."""
        return array_namespace(input).where(input > 0, input, self.alpha * input)

    def derivative(self, input: Array) -> Array:
        """Return 1 where x > 0, else α."""
        xp = array_namespace(input)
        return xp.where(input > 0, xp.ones_like(input), self.alpha)

    derivative_of_output = derivative


class ReLU6Activation(ActivationLayer):
    """Rectified linear unit of at most 6, min(max(x, 0), 6). Krizhevsky 2010.

    The derivative at 0 and 6 is taken as 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import ReLU6Activation
    >>> ReLU6Activation().activation_function(np.array([-1.0, 3.0, 9.0])).tolist()
    [0.0, 3.0, 6.0]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return min(max(x, 0), 6)."""
        return ops.clip(input, 0.0, 6.0)

    def derivative(self, input: Array) -> Array:
        """Return 1 where 0 < x < 6, else 0."""
        return array_namespace(input).astype((input > 0) & (input < 6), input.dtype)

    derivative_of_output = derivative


class HardTanhActivation(ActivationLayer):
    """Piecewise linear tanh, min(max(x, -1), 1). Collobert 2004, section 4.3.

    Its derivative at -1 and 1 is taken as 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import HardTanhActivation
    >>> HardTanhActivation().activation_function(np.array([-2.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]
    """

    output_kind = "real"

    def activation_function(self, input: Array) -> Array:
        """Return min(max(x, -1), 1)."""
        return ops.clip(input, -1.0, 1.0)

    def derivative(self, input: Array) -> Array:
        """Return 1 where -1 < x < 1, else 0."""
        return array_namespace(input).astype((input > -1) & (input < 1), input.dtype)

    derivative_of_output = derivative


register_builtin(
    LinearActivation, ReLUActivation, LeakyReLUActivation, ReLU6Activation, HardTanhActivation
)
