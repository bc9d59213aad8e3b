"""A user's function as a schedule."""

import math
from collections.abc import Callable
from inspect import Parameter, signature
from typing import ClassVar

from ..backends._errors import shown
from ..common.checks import as_float, check_flag
from .base import Schedule


class FunctionSchedule(Schedule):
    """The learning rate that a function returns; an optimizer makes one from a plain function.

    A network with this schedule cannot be saved, because a file holds no code. A network with your
    own subclass of :class:`Schedule`, defined in a module, can be saved.

    Parameters
    ----------
    function : callable
        ``function(epoch)`` or ``function(epoch, epochs)``: the epoch, counted from 0, and the total
        number of epochs. With ``by_step``, ``epoch`` has a fraction.
    by_step : bool, default False
        Whether the rate changes at each step instead of each epoch.

    Raises
    ------
    TypeError
        The function does not take one or two arguments.
    ValueError
        The function, when it is called, does not return a finite number, 0 or more.

    Examples
    --------
    >>> from xpnet import FunctionSchedule, NeuralNetwork
    >>> net = NeuralNetwork(learning_rate=lambda epoch: 0.8 * 0.5**epoch)
    >>> net.optimizer.schedule.learning_rate(2, 10)
    0.2
    >>> FunctionSchedule(lambda epoch, epochs: 1 - epoch / epochs).learning_rate(5, 10)
    0.5
    """

    instead: ClassVar[str] = "write a subclass of Schedule with learning_rate"

    def __init__(self, function: Callable[..., float], by_step: bool = False) -> None:
        if not callable(function):
            raise TypeError(f"function={shown(function)}: expected a function of the epoch")
        self.function = function
        self.by_step = check_flag("by_step", by_step)
        self._takes = _n_arguments(function)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return the function's result, as a float."""
        given = self.function(*(epoch, epochs)[: self._takes])
        rate = as_float(given)
        if not 0 <= rate < math.inf:
            name = getattr(self.function, "__name__", shown(self.function))
            raise ValueError(
                f"the schedule {name} returned {shown(given)} for epoch {epoch:g}: expected a "
                "finite number, 0 or more"
            )
        return rate


LearningRate = float | Schedule | Callable[..., float]
"""What an optimizer accepts as its learning rate."""


def _n_arguments(function: Callable[..., float]) -> int:
    """Return how many arguments to pass to a function: 1, the epoch; or 2, with all epochs.

    Arguments with defaults do not count: they are settings of the function.
    """
    try:
        given = signature(function).parameters.values()
    except ValueError:  # some functions in C
        return 1
    if any(each.kind is Parameter.VAR_POSITIONAL for each in given):
        return 2
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    needed = [each for each in given if each.default is Parameter.empty]
    names = ", ".join(each.name for each in given)
    if not 1 <= len(needed) <= 2 or any(each.kind not in positional for each in needed):
        # If all arguments have defaults, the first one is still the epoch.
        if not needed and any(each.kind in positional for each in given):
            return 1
        raise TypeError(
            f"the learning rate is a function of ({names}): expected a function of (epoch) or of "
            "(epoch, epochs)"
        )
    return len(needed)
