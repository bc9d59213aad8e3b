"""A loss given as a plain function."""

from collections.abc import Callable
from typing import ClassVar

from ..backends import Array
from ..common.traceable import values_of
from .base import ElementwiseLoss


class FunctionLoss(ElementwiseLoss):
    """A loss given as a function; a network makes one of a function that it gets as its loss.

    Its derivative is derived from the function. It is not saved: for that, define a subclass of
    :class:`ElementwiseLoss`.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)`` returns the loss of each output, of the shape of both. It uses
        operators and the functions of ``array_namespace(y_pred)``.
    """

    targets: ClassVar[str | None] = None
    # Not recorded as the package's own: what a user's function does may change at any time.
    instead = "define a subclass of ElementwiseLoss with element_loss(y_true, y_pred)"

    def __init__(self, function: Callable[[Array, Array], Array]) -> None:
        self.function = function

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return what the function does."""
        return values_of(self.function, y_true, y_pred)
