"""An activation given as a plain function."""

from collections.abc import Callable

from ..backends import Array
from ..common.traceable import checked_call
from .base import ActivationLayer


class FunctionActivation(ActivationLayer):
    """An activation given as a function; ``net.add(function)`` makes one.

    Its derivative is derived from the function. A network with it cannot be saved: for that, define
    a subclass of :class:`ActivationLayer`.

    Parameters
    ----------
    function : callable
        ``function(x)`` returns the activation of each number, of the shape of ``x``. It uses
        operators and the functions of ``array_namespace(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, array_namespace
    >>> from xpnet.activations import FunctionActivation
    >>> def sine(x):
    ...     return array_namespace(x).sin(x)
    >>> FunctionActivation(sine).derivative(np.array([0.0])).tolist()  # the cosine of 0
    [1.0]
    >>> NeuralNetwork().add(DenseLayer(2, (1,))).add(sine).layers[-1]
    FunctionActivation(sine)
    """

    # Not given to `register_builtin`: a user's function may change at any time.
    output_kind = "real"
    # For the error message of ``save``.
    instead = "define a subclass of ActivationLayer with activation_function(input)"

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.function = function

    def activation_function(self, input: Array) -> Array:
        """Return ``function(input)``."""
        return checked_call(self.function, input)
