"""The base of all schedules, and the constant learning rate."""

from abc import ABC, abstractmethod
from typing import ClassVar

from ..common.checks import check_non_negative
from ..common.readable import Readable


class Schedule(Readable, ABC):
    """Base of the schedules; a subclass defines :meth:`learning_rate`.

    Attributes
    ----------
    by_step : bool
        Whether the rate changes at each step, so that ``learning_rate`` is called with fractions
        of epochs. By default it changes from epoch to epoch.
    state_names : tuple of str
        The attributes with numbers that change during training, and are saved with a network.

    Examples
    --------
    >>> from xpnet import Schedule
    >>> class Halving(Schedule):
    ...     def learning_rate(self, epoch, epochs):
    ...         return 0.1 * 0.5**epoch
    >>> Halving().at(1.75, 5)
    0.05
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    by_step: bool = False

    @abstractmethod
    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return the learning rate of an epoch or a step.

        Parameters
        ----------
        epoch : int, or float if ``by_step``
            The epoch about to begin, from 0; for step k of an epoch with n steps, k / n more.
        epochs : int
            The number of epochs that the schedule spans: the network's ``epochs``, even if
            ``fit(epochs=...)`` is given another number.
        """

    def at(self, progress: float, epochs: int) -> float:
        """Return the learning rate after ``progress`` epochs, which may be a fraction."""
        return self.learning_rate(progress if self.by_step else int(progress), epochs)

    @property
    def changes_by_step(self) -> bool:
        """Whether the rate may change within an epoch."""
        return self.by_step

    @property
    def spans_training(self) -> bool:
        """Whether the rate depends on the network's number of epochs."""
        return False

    def observe(self, loss: float) -> None:
        """Record the loss at the end of an epoch; most schedules ignore it."""
        return

    def check_state(self) -> None:
        """Raise ValueError for values of ``state_names`` that training cannot have produced."""


class ConstantLearningRate(Schedule):
    """The same learning rate α in all epochs.

    Parameters
    ----------
    initial : float
        α >= 0.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> from xpnet import ConstantLearningRate
    >>> ConstantLearningRate(0.1).learning_rate(7, 10)
    0.1
    """

    def __init__(self, initial: float) -> None:
        self.initial = check_non_negative("initial", initial)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α."""
        return self.initial
