"""The updates of an epoch: which steps they follow, and their learning rates."""

import copy
from typing import Any

import numpy as np

from ..backends._warnings import warn
from ..common.checked_settings import is_of_this_package
from ..schedules import ConstantLearningRate, Schedule, WarmUp
from ..schedules.decays import Decay
from ..schedules.wrapping import WrappingSchedule
from .averaging import Average
from .trainable import TrainableModel


def rate_after_end(model: TrainableModel) -> float | None:
    """Return the final rate of a schedule that has ended at almost 0; otherwise None."""
    schedule, done = model.optimizer.schedule, model.history.epochs
    if not done or type(schedule) is ConstantLearningRate or not is_of_this_package(type(schedule)):
        return None
    now, later = (schedule.learning_rate(each, model.epochs) for each in (done, done + 1))
    if now != later:
        return None
    return now if now < _ENDED * _highest(schedule, 0, done, model.epochs) else None


def _highest(schedule: Schedule, first: int, end: int, epochs: int) -> float:
    """Return the highest rate of up to 200 epochs from ``first`` to ``end - 1``."""
    some = {int(each) for each in np.linspace(first, end - 1, 200)}
    return max(schedule.learning_rate(each, epochs) for each in some)


def warn_of_ended_schedule(model: TrainableModel, end: int) -> None:
    """Warn, before a ``fit`` up to epoch ``end``, of a schedule that has ended at almost 0."""
    if (rate := rate_after_end(model)) is None:
        return
    schedule, done = model.optimizer.schedule, model.history.epochs
    highest, longer = _highest(schedule, 0, done, model.epochs), _lengthened(schedule, end)
    advice = f"give a rate, such as net.optimizer.learning_rate = {highest:.3g}"
    if longer is not None and _highest(longer, done, end, model.epochs) >= _ENDED * highest:
        advice += f", or a schedule over all {end} epochs, net.optimizer.schedule = {longer!r}"
    warn(
        f"the schedule {schedule!r} has ended after {done} epochs, so this fit trains at the "
        f"learning rate {rate:.3g}: {advice}"
    )


def _lengthened(schedule: Schedule, end: int) -> Any:
    """Return a schedule stretched to ``end`` epochs; None if it has no number of epochs."""
    longer: Any = copy.copy(schedule)
    if isinstance(schedule, Decay):
        longer.epochs = end
        return longer
    if not isinstance(schedule, WrappingSchedule):
        return None
    warm_up = schedule.epochs if isinstance(schedule, WarmUp) else 0
    longer.schedule = _lengthened(schedule.schedule, end - warm_up)
    return None if longer.schedule is None else longer


_ENDED = 1e-2
"""A schedule that stays below this fraction of its highest rate trains almost nothing."""


class Updates:
    """The updates of one epoch.

    A step is a batch. An update comes after every ``every`` steps, and after the last one.

    Parameters
    ----------
    model : TrainableModel
    epoch : int
        Counted from 0.
    n_steps : int or None
        The number of steps in the epoch, if it is known.
    every : int, default 1
    average : Average, optional
        An average of the parameters after each update.

    Attributes
    ----------
    every : int
    weight : float or 0-d array
        The total weight of the batches since the last update; formula steps add to it.
    pending : int
        The number of steps since the last update; formula steps count them.
    """

    def __init__(
        self,
        model: TrainableModel,
        epoch: int,
        n_steps: int | None,
        every: int = 1,
        average: Average | None = None,
    ) -> None:
        self._model, self._epoch, self._n_steps = model, epoch, n_steps
        self._average, self.every = average, every
        self.weight: Any = 0.0
        self.pending = 0
        if self._optimizer.schedule.changes_by_step:
            self._progress(0)

    @property
    def _optimizer(self) -> Any:
        return self._model.optimizer  # which a callback may have replaced

    def _progress(self, step: int) -> float:
        """Return the time, in epochs, at which the update after a step takes its rate."""
        if self._n_steps is None:
            raise ValueError(
                f"{self._optimizer.schedule!r} changes the learning rate at each step, for which "
                "the number of steps in an epoch has to be known: give fit steps_per_epoch, or the "
                "schedule by_step=False"
            )
        n = -(-self._n_steps // self.every)
        # There may be more batches than their ``len`` says.
        return self._epoch + min(step // self.every, n - 1) / n

    def set_rate(self, step: int) -> None:
        """Give the optimizer the learning rate of a step."""
        if self._optimizer.schedule.changes_by_step:
            self._optimizer.begin_epoch(self._progress(step), self._model.epochs)

    def rates(self, step: int, n: int) -> np.ndarray:
        """Return the learning rates of ``n`` steps from ``step`` on; the last becomes current."""
        if not self._optimizer.schedule.changes_by_step:
            return np.full(n, self._optimizer.learning_rate)
        found = np.empty(n)
        for k in range(n):
            self.set_rate(step + k)
            found[k] = self._optimizer.learning_rate
        return found

    def has_update(self, step: int, n: int) -> np.ndarray:
        """Return whether an update follows each of ``n`` steps from ``step`` on."""
        steps = np.arange(step + 1, step + n + 1)
        found: np.ndarray = (steps % self.every == 0) | (steps == self._n_steps)
        return found

    def average_weights(self, step: int, n: int) -> np.ndarray:
        """Return each step's share in the average of the parameters; 0 without an update."""
        found = np.zeros(n)
        if self._average is not None:
            updates = self.has_update(step, n)
            found[updates] = self._average.shares(int(np.count_nonzero(updates)))
        return found

    def controls(self, step: int, n: int) -> np.ndarray:
        """Return a row for each of ``n`` steps: its rate, its share, whether an update follows."""
        return np.column_stack(
            [self.rates(step, n), self.average_weights(step, n), self.has_update(step, n)]
        ).astype(np.float64)

    def add_to_average(self) -> None:
        """Add the parameters after an update to the average, if there is one."""
        if self._average is not None:
            self._average.add(self._model.parameters.gather())
