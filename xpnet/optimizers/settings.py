"""Settings of optimizers, which are checked whenever they are set."""

from typing import Any, ClassVar

from ..backends._errors import shown
from ..common.checked_settings import Check
from ..common.checks import check_positive
from ..common.readable import is_plain_function
from ..common.traceable import Traceable
from ..schedules import ConstantLearningRate, FunctionSchedule, Schedule


def schedule_of(name: str, value: Any) -> Schedule:
    """Return the schedule for a schedule, a function or a number above 0; refuse anything else."""
    if isinstance(value, Schedule) or is_plain_function(value):
        return check_schedule(name, value)
    return ConstantLearningRate(check_positive(name, value))


def check_schedule(name: str, value: Any) -> Schedule:
    """Return the schedule for a schedule or a function; refuse anything else."""
    if is_plain_function(value):
        return FunctionSchedule(value)
    if not isinstance(value, Schedule):
        raise TypeError(
            f"{name}={shown(value)}: expected a schedule, e.g. ConstantLearningRate(0.1), or a "
            "function of the epoch"
        )
    return value


def constant_only(why: str) -> Check:
    """Return a check that refuses all schedules but constants; ``why`` ends its message."""

    def check(name: str, value: Any) -> Schedule:
        schedule = check_schedule(name, value)
        if type(schedule) is not ConstantLearningRate:
            raise ValueError(f"{name}={shown(value)} for {why}")
        return schedule

    return check


def or_none(check: Check) -> Check:
    """Return a check that also accepts None."""
    return lambda name, value: None if value is None else check(name, value)


class Settings(Traceable):
    """Base of optimizers: settings, which may change unless they decide which state is kept."""

    state_names: ClassVar[tuple[str, ...]] = ()
    n_updates: int = 0
    missed_updates: tuple[int, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Make state arrays None until the first update, unless the class sets them itself.

        Raises
        ------
        TypeError
            ``state_names`` is a string.
        """
        super().__init_subclass__(**options)
        names: Any = cls.state_names
        if isinstance(names, str):
            raise TypeError(
                f"{cls.__name__}.state_names is {names!r}: expected a tuple, e.g. ({names!r},)"
            )
        for name in names if isinstance(names, (tuple, list)) else ():
            if not hasattr(cls, name):
                setattr(cls, name, None)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting is checked as in the constructor.

        Raises
        ------
        ValueError
            The setting decides which state arrays are kept, and there have been updates.
        """
        if name not in self._checks or not self.n_updates or name not in vars(self):
            super().__setattr__(name, value)
            return
        before, names = vars(self)[name], self.state_names
        super().__setattr__(name, value)
        if self.state_names != names:
            super().__setattr__(name, before)
            raise ValueError(
                f"{name}={shown(value)} cannot be set after {self.n_updates} updates, since it "
                "changes which state the optimizer has: make a new "
                f"{type(self).__name__}({name}={shown(value)})"
            )
