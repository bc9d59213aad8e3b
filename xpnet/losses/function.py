"""A loss given as a plain function."""

from collections.abc import Callable
from typing import ClassVar

from ..backends import Array
from ..common.traceable import checked_call
from .base import ElementwiseLoss


class FunctionLoss(ElementwiseLoss):
    """A loss given as a function; ``NeuralNetwork(loss=function)`` makes one.

    Its derivative is derived from the function. A network with it cannot be saved: for that, define
    a subclass of :class:`ElementwiseLoss`.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)`` returns the loss of each output, in the shape of its arguments.
        It may use operators and the functions of ``array_namespace(y_pred)``.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import NeuralNetwork, array_namespace
    >>> from xpnet.losses import FunctionLoss
    >>> def cauchy(y_true, y_pred):
    ...     return array_namespace(y_pred).log1p((y_pred - y_true) ** 2)
    >>> FunctionLoss(cauchy).derivative(np.array([0.0]), np.array([[1.0]])).tolist()
    [[1.0]]
    >>> NeuralNetwork(loss=cauchy).loss
    FunctionLoss(cauchy)
    """

    targets: ClassVar[str | None] = None
    # Not given to `register_builtin`: a user's function may change at any time.
    # What to do instead, for the error message of saving.
    instead = "define a subclass of ElementwiseLoss with element_loss(y_true, y_pred)"

    def __init__(self, function: Callable[[Array, Array], Array]) -> None:
        self.function = function

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return ``function(y_true, y_pred)``."""
        return checked_call(self.function, y_true, y_pred)
