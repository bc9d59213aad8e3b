"""Learning rates that change from epoch to epoch.

An optimizer takes one of these wherever it takes a number. Epochs are counted from 0 here: t = 0 is
the first. A new schedule is a subclass of :class:`Schedule` with one method.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from .backends._errors import shown
from .common.checks import (
    check_count,
    check_fraction,
    check_non_negative,
    check_positive,
    number,
)
from .common.readable import Readable

__all__ = [
    "ConstantLearningRate",
    "CosineDecay",
    "ExponentialDecay",
    "LinearDecay",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
    "WarmUp",
]


class Schedule(Readable, ABC):
    """Base of the schedules.

    Attributes
    ----------
    state_names : tuple of str
        Numbers that change while training goes on, and are saved with a network.

    Examples
    --------
    >>> from xpnet import SGD, Schedule
    >>> class Inverse(Schedule):
    ...     def __init__(self, initial, rate):
    ...         self.initial, self.rate = initial, rate
    ...
    ...     def learning_rate(self, epoch, epochs):
    ...         return self.initial / (1 + self.rate * epoch)
    >>> [Inverse(0.5, rate=1.0).learning_rate(epoch, 4) for epoch in (0, 1, 4)]
    [0.5, 0.25, 0.1]
    >>> optimizer = SGD(learning_rate=Inverse(0.5, rate=1.0))
    """

    state_names: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return the learning rate of an epoch.

        Parameters
        ----------
        epoch : int
            The epoch about to begin, from 0.
        epochs : int
            How many there will be in all.
        """

    def observe(self, loss: float) -> None:
        """Take note of the loss at the end of an epoch; by default, do nothing."""
        return

    def check_state(self) -> None:
        """Raise ValueError for values of ``state_names`` that training cannot have produced."""


class ConstantLearningRate(Schedule):
    """α, always.

    Parameters
    ----------
    initial : float
        α > 0.

    Examples
    --------
    >>> from xpnet import ConstantLearningRate, NeuralNetwork
    >>> net = NeuralNetwork(optimizer="adam", learning_rate=0.01)
    >>> net.optimizer.schedule
    ConstantLearningRate(0.01)
    >>> net.optimizer.schedule = ConstantLearningRate(0.001)  # for the next fit
    """

    def __init__(self, initial: float) -> None:
        self.initial = check_positive("initial", initial)

    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return α."""
        return self.initial


class LinearDecay(Schedule):
    r"""From α₀ to α₁ in equal steps: :math:`\alpha_t = \alpha_0 - (\alpha_0 - \alpha_1)\, t / N`.

    N is the number of steps between the first epoch and the last, ``epochs - 1``, so the last epoch
    is trained with α₁.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ >= 0.
    epochs : int, optional
        Over how many epochs; by default all that the network trains. After them α₁ stays.

    Examples
    --------
    >>> LinearDecay(0.1, 0.02, epochs=5).learning_rate(1, 5)
    0.08
    """

    def __init__(self, initial: float, final: float, epochs: int | None = None) -> None:
        self.initial = check_positive("initial", initial)
        self.final = check_non_negative("final", final)
        self.epochs = None if epochs is None else check_count("epochs", epochs)

    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return α₀ - (α₀ - α₁) t / N."""
        return self.initial - (self.initial - self.final) * _progress(epoch, self.epochs or epochs)


class ExponentialDecay(Schedule):
    r"""From α₀ to α₁ by equal factors: :math:`\alpha_t = \alpha_0\, (\alpha_1/\alpha_0)^{t/N}`.

    N is ``epochs - 1``, as for :class:`LinearDecay`.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ > 0.
    epochs : int, optional
        Over how many epochs; by default all that the network trains. After them α₁ stays.

    Examples
    --------
    >>> from xpnet import NeuralNetwork, ExponentialDecay
    >>> decay = ExponentialDecay(0.1, 0.001, epochs=3)
    >>> [round(decay.learning_rate(epoch, 10), 6) for epoch in range(4)]
    [0.1, 0.01, 0.001, 0.001]
    >>> net = NeuralNetwork(epochs=50, learning_rate=ExponentialDecay(0.1, 0.001))
    """

    def __init__(self, initial: float, final: float, epochs: int | None = None) -> None:
        self.initial = check_positive("initial", initial)
        self.final = check_positive("final", final)
        self.epochs = None if epochs is None else check_count("epochs", epochs)

    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return α₀ (α₁/α₀)^(t/N)."""
        ratio = self.final / self.initial
        return float(self.initial * ratio ** _progress(epoch, self.epochs or epochs))


class StepDecay(Schedule):
    r"""Times a factor every so many epochs: :math:`\alpha_t = \alpha_0\, f^{\lfloor t/n \rfloor}`.

    Parameters
    ----------
    initial : float
        α₀ > 0.
    factor : float, default 0.5
        f > 0.
    every : int, default 10
        n, in epochs.

    Examples
    --------
    >>> from xpnet import StepDecay
    >>> decay = StepDecay(0.5, factor=0.5, every=10)
    >>> [decay.learning_rate(epoch, 30) for epoch in (0, 9, 10, 20)]
    [0.5, 0.5, 0.25, 0.125]
    """

    def __init__(self, initial: float, factor: float = 0.5, every: int = 10) -> None:
        self.initial = check_positive("initial", initial)
        self.factor = check_positive("factor", factor)
        self.every = check_count("every", every)

    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return α₀ f^⌊t/n⌋."""
        return float(self.initial * self.factor ** (epoch // self.every))


class CosineDecay(Schedule):
    r"""Along half a cosine: :math:`\alpha_t = \alpha_1 + (\alpha_0-\alpha_1)(1+\cos(\pi t/N))/2`.

    Loshchilov and Hutter 2017, "SGDR", eq. 5, without restarts. N is ``epochs - 1``.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ >= 0.
    epochs : int, optional
        Over how many epochs; by default all that the network trains. After them α₁ stays.

    Examples
    --------
    >>> from xpnet import NeuralNetwork, CosineDecay
    >>> decay = CosineDecay(0.1, epochs=5)
    >>> [round(decay.learning_rate(epoch, 5), 4) for epoch in range(5)]
    [0.1, 0.0854, 0.05, 0.0146, 0.0]
    >>> net = NeuralNetwork(epochs=50, learning_rate=CosineDecay(0.1))
    """

    def __init__(self, initial: float, final: float = 0.0, epochs: int | None = None) -> None:
        self.initial = check_positive("initial", initial)
        self.final = check_non_negative("final", final)
        self.epochs = None if epochs is None else check_count("epochs", epochs)

    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return α₁ + (α₀ - α₁)(1 + cos(πt/N)) / 2."""
        half_wave = (1.0 + math.cos(math.pi * _progress(epoch, self.epochs or epochs))) / 2.0
        return self.final + (self.initial - self.final) * half_wave


class ReduceOnPlateau(Schedule):
    """Times a factor whenever the loss has not improved for some epochs.

    It watches the validation loss where there is validation, else the training loss.

    Parameters
    ----------
    initial : float
        The first learning rate, > 0.
    factor : float, default 0.1
        In [0, 1).
    patience : int, default 10
        How many epochs without an improvement are tolerated; the next one reduces.
    min_delta : float, default 1e-4
        What counts as an improvement: a loss below ``best - min_delta * abs(best)``.
    final : float, default 0.0
        The learning rate never falls below this.

    Examples
    --------
    >>> from xpnet import ReduceOnPlateau
    >>> schedule = ReduceOnPlateau(0.5, factor=0.5, patience=2)
    >>> for loss in (0.8, 0.4, 0.5, 0.4, 0.6):  # as training does after each epoch
    ...     schedule.observe(loss)
    >>> schedule.learning_rate(epoch=5, epochs=10)
    0.25
    """

    state_names = ("best", "waited", "current")

    def __init__(
        self,
        initial: float,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        final: float = 0.0,
    ) -> None:
        self.initial = check_positive("initial", initial)
        self.factor = check_fraction("factor", factor)
        self.patience = check_count("patience", patience, least=0)
        self.min_delta = check_non_negative("min_delta", min_delta)
        self.final = check_non_negative("final", final)
        self.best = math.inf
        self.waited = 0
        self.current = self.initial

    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return the learning rate as reduced so far."""
        return self.current

    def check_state(self) -> None:
        """Refuse a loss that is NaN, a count below 0 and a rate that is not finite."""
        if math.isnan(number(self.best)):
            raise ValueError(f"best={shown(self.best)}: expected a number")
        check_count("waited", self.waited, least=0)
        check_non_negative("current", self.current)

    def observe(self, loss: float) -> None:
        """Count epochs without an improvement, and reduce after ``patience`` of them."""
        # Not best * (1 - min_delta): losses that can be negative would improve by getting worse.
        margin = self.min_delta * abs(self.best) if math.isfinite(self.best) else 0.0
        if math.isfinite(loss) and loss < self.best - margin:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.current = max(self.current * self.factor, self.final)
            self.waited = 0


class WarmUp(Schedule):
    r"""Linear warm-up, followed by another schedule.

    The learning rate rises in equal steps, :math:`\alpha_t = \alpha_0 (t + 1) / n` with t from 0:
    large steps do harm while the weights are still those that were drawn. Goyal et al. 2017,
    section 2.2.

    Parameters
    ----------
    schedule : Schedule or float
        What follows; it counts its epochs from the end of the warm-up.
    epochs : int, default 5
        n, the number of epochs of the warm-up.

    Examples
    --------
    >>> from xpnet import CosineDecay, NeuralNetwork, WarmUp
    >>> schedule = WarmUp(CosineDecay(0.1), epochs=4)
    >>> [round(schedule.learning_rate(epoch, 20), 3) for epoch in range(5)]
    [0.025, 0.05, 0.075, 0.1, 0.1]
    >>> net = NeuralNetwork(epochs=20, learning_rate=schedule)
    """

    def __init__(self, schedule: Schedule | float, epochs: int = 5) -> None:
        if not isinstance(schedule, Schedule):
            schedule = ConstantLearningRate(schedule)
        self.schedule: Schedule = schedule
        self.epochs = check_count("epochs", epochs)
        self._is_over = False

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the other schedule, whose state it is."""
        return self.schedule.state_names

    def __getattr__(self, name: str) -> Any:
        """Return a part of the schedule's state."""
        if name != "schedule" and name in self.schedule.state_names:
            return getattr(self.schedule, name)
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a part of the schedule's state there."""
        inner = vars(self).get("schedule")
        if inner is not None and name in inner.state_names:
            setattr(inner, name, value)
        else:
            super().__setattr__(name, value)

    def learning_rate(self, epoch: int, epochs: int) -> float:
        """Return α₀ (t + 1) / n, and then what the schedule says."""
        self._is_over = epoch >= self.epochs
        later = max(epochs - self.epochs, 1)
        if self._is_over:
            return self.schedule.learning_rate(epoch - self.epochs, later)
        return self.schedule.learning_rate(0, later) * (epoch + 1) / self.epochs

    def check_state(self) -> None:
        """Check the state of the other schedule."""
        self.schedule.check_state()

    def observe(self, loss: float) -> None:
        """Let the schedule take note of losses from its own epochs on."""
        if self._is_over:
            self.schedule.observe(loss)


def _progress(epoch: int, epochs: int) -> float:
    """Return how far a decay is, from 0 in the first epoch to 1 in the last and ever after."""
    return min(epoch / (epochs - 1), 1.0) if epochs > 1 else 0.0


def __dir__() -> list[str]:
    return sorted(__all__)
