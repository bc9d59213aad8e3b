"""The learning rate of an optimizer, and the schedule that it follows."""

from typing import Any, ClassVar

from ..common.checked_settings import Check
from ..common.checks import check_non_negative
from ..common.readable import Readable
from ..schedules import ConstantLearningRate, FunctionSchedule, Schedule
from .settings import Settings, check_schedule


class Scheduled(Settings, Readable):
    """Base of optimizers: the learning rate follows a schedule until it is set."""

    learning_rate: float
    schedule: Schedule

    _checks: ClassVar[dict[str, Check]] = {
        "learning_rate": check_non_negative,
        "schedule": check_schedule,
    }

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a learning rate replaces the schedule.

        Raises
        ------
        ValueError
            See :class:`.settings.Settings`.
        """
        super().__setattr__(name, value)
        if name == "learning_rate":
            self.schedule = ConstantLearningRate(self.learning_rate)

    def begin_epoch(self, epoch: float, epochs: int) -> None:
        """Set the learning rate from the schedule.

        Parameters
        ----------
        epoch : float
            The epoch, from 0. For a schedule by step, it includes the fraction of the epoch; see
            :mod:`xpnet.schedules`.
        epochs : int
            The number of epochs that the schedule spans.
        """
        rate = float(self.schedule.at(epoch, epochs))
        # Not by setattr, which would replace the schedule.
        vars(self)["learning_rate"] = self._checks["learning_rate"]("learning_rate", rate)

    def _argument(self, name: str) -> Any:
        if name != "learning_rate":
            return super()._argument(name)
        schedule = super()._argument("schedule")
        if isinstance(schedule, FunctionSchedule) and not schedule.by_step:
            return schedule.function
        return schedule.initial if type(schedule) is ConstantLearningRate else schedule
