"""Schedules that change another schedule: a warm-up before it, or a factor for all its rates."""

from typing import Any

from ..common.checks import check_count, check_flag, check_non_negative
from ..common.readable import is_plain_function
from .base import ConstantLearningRate, Schedule
from .function import FunctionSchedule, LearningRate


class WrappingSchedule(Schedule):
    """Base of schedules that change another one, and share its state.

    Parameters
    ----------
    schedule : Schedule, float or function
    """

    def __init__(self, schedule: LearningRate) -> None:
        given: Any = schedule
        if is_plain_function(given):
            given = FunctionSchedule(given)
        elif not isinstance(given, Schedule):
            given = ConstantLearningRate(given)
        self.schedule: Schedule = given

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The state names of the inner schedule."""
        return self.schedule.state_names

    def __getattr__(self, name: str) -> Any:
        """Return a state attribute of the inner schedule."""
        if name != "schedule" and name in self.schedule.state_names:
            return getattr(self.schedule, name)
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a state attribute is set on the inner schedule."""
        inner = vars(self).get("schedule")
        if inner is not None and name in inner.state_names:
            setattr(inner, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def changes_by_step(self) -> bool:
        """Whether the rate may change within an epoch."""
        return self.by_step or self.schedule.changes_by_step

    @property
    def spans_training(self) -> bool:
        """Whether the inner schedule depends on the network's number of epochs."""
        return self.schedule.spans_training

    def check_state(self) -> None:
        """Check the state of the inner schedule."""
        self.schedule.check_state()

    def observe(self, loss: float) -> None:
        """Pass the loss to the inner schedule."""
        self.schedule.observe(loss)


class WarmUp(WrappingSchedule):
    r"""Linear warm-up, followed by another schedule.

    The rate rises in equal steps to the first rate α₀ of the schedule,
    :math:`\alpha_t = \alpha_0 (t + 1) / n`, t counted from 0: large steps do harm while the weights
    are still close to their initial values. Goyal et al. 2017, section 2.2. By step it starts at 0,
    :math:`\alpha_t = \alpha_0\, t / n`.

    Parameters
    ----------
    schedule : Schedule, float or function
        What follows; it counts its epochs from the end of the warm-up. Its own ``by_step`` says
        whether it changes at each step.
    epochs : int, default 5
        n, the number of epochs of the warm-up.
    by_step : bool, default False
        Whether the rate rises at each step instead of each epoch.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> from xpnet import WarmUp
    >>> [WarmUp(0.9, epochs=3).learning_rate(epoch, 5) for epoch in range(5)]
    [0.3, 0.6, 0.9, 0.9, 0.9]
    >>> round(WarmUp(0.9, epochs=3, by_step=True).learning_rate(1.5, 5), 6)
    0.45
    """

    _is_over: bool = False  # whether the last rate was the schedule's own

    def __init__(self, schedule: LearningRate, epochs: int = 5, by_step: bool = False) -> None:
        super().__init__(schedule)
        self.epochs = check_count("epochs", epochs)
        self.by_step = check_flag("by_step", by_step)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what each epoch sets again."""
        return {name: value for name, value in vars(self).items() if name != "_is_over"}

    def at(self, progress: float, epochs: int) -> float:
        """Return the learning rate after ``progress`` epochs, which may be a fraction."""
        return self.learning_rate(progress, epochs)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α₀ (t + 1) / n (with ``by_step``, α₀ t / n), and then the schedule's own rate."""
        self._is_over = epoch >= self.epochs
        later = max(epochs - self.epochs, 1)
        if self._is_over:
            return self.schedule.at(epoch - self.epochs, later)
        t = epoch if self.by_step else int(epoch) + 1
        return self.schedule.at(0, later) * t / self.epochs

    def observe(self, loss: float) -> None:
        """Pass the loss to the schedule, once the warm-up is over."""
        if self._is_over:
            super().observe(loss)


class ScaledSchedule(WrappingSchedule):
    """Another schedule times a factor; :class:`~xpnet.ReduceLROnPlateau` makes these.

    Parameters
    ----------
    schedule : Schedule or float
    factor : float
        0 or more.
    lowest : float, default 0.0
        The lowest rate, unless the schedule's own rate is lower.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> from xpnet import LinearDecay
    >>> from xpnet.schedules import ScaledSchedule
    >>> [ScaledSchedule(LinearDecay(1.0, 0.0), 0.5).learning_rate(t, 5) for t in range(3)]
    [0.5, 0.375, 0.25]
    """

    def __init__(self, schedule: LearningRate, factor: float, lowest: float = 0.0) -> None:
        super().__init__(schedule)
        self.factor = check_non_negative("factor", factor)
        self.lowest = check_non_negative("lowest", lowest)

    def at(self, progress: float, epochs: int) -> float:
        """Return the learning rate after ``progress`` epochs, which may be a fraction."""
        return self.learning_rate(progress, epochs)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return the schedule's rate times the factor."""
        rate = self.schedule.at(epoch, epochs)
        return max(rate * self.factor, min(self.lowest, rate))
