"""Learning rates that go from an initial to a final value."""

import math

from ..common.checks import check_count, check_flag, check_non_negative, check_positive
from .base import Schedule


class Decay(Schedule):
    """Base of schedules over a number of epochs.

    Parameters
    ----------
    epochs : int, optional
        The number of epochs; by default the network's ``epochs``, even if ``fit`` is given another
        number. After these epochs the rate stays at its last value.
    by_step : bool
        Whether the rate changes at each step instead of each epoch.
    """

    def __init__(self, epochs: int | None, by_step: bool) -> None:
        self.epochs = None if epochs is None else check_count("epochs", epochs)
        self.by_step = check_flag("by_step", by_step)

    @property
    def spans_training(self) -> bool:
        """Whether the schedule spans the network's ``epochs``, because it has none of its own."""
        return self.epochs is None

    def progress(self, epoch: float, epochs: int) -> float:
        """Return t / N, at most 1.

        N is ``epochs - 1``, so that the last epoch has the last rate. By step, it is ``epochs``:
        the last rate is reached at the end of the last epoch.
        """
        n = (self.epochs or epochs) - (not self.by_step)
        return min(epoch / n, 1.0) if n > 0 else 0.0


class LinearDecay(Decay):
    r"""Decay from α₀ to α₁ in equal steps.

    .. math:: \alpha_t = \alpha_0 - (\alpha_0 - \alpha_1)\, t / N

    N is the number of steps between the first epoch and the last, ``epochs - 1``, so the last epoch
    is trained with α₁. With ``by_step``, N is ``epochs``: the rate would be α₁ in the step after
    the last.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ >= 0.
    epochs : int, optional
        The number of epochs; by default the network's ``epochs``, even if ``fit`` is given another
        number. After these epochs the rate stays α₁.
    by_step : bool, default False
        Whether the rate changes at each step instead of each epoch.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> from xpnet import LinearDecay
    >>> LinearDecay(0.1, 0.02, epochs=5).learning_rate(1, 5)
    0.08
    >>> LinearDecay(1.0, 0.5, by_step=True).learning_rate(2.5, 5)  # in the middle of training
    0.75
    """

    def __init__(
        self, initial: float, final: float, epochs: int | None = None, by_step: bool = False
    ) -> None:
        super().__init__(epochs, by_step)
        self.initial = check_positive("initial", initial)
        self.final = check_non_negative("final", final)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α₀ - (α₀ - α₁) t / N."""
        return self.initial - (self.initial - self.final) * self.progress(epoch, epochs)


class ExponentialDecay(Decay):
    r"""Decay from α₀ to α₁ by equal factors.

    .. math:: \alpha_t = \alpha_0\, (\alpha_1/\alpha_0)^{t/N}

    N is ``epochs - 1`` or, with ``by_step``, ``epochs``, as for :class:`LinearDecay`.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ > 0.
    epochs : int, optional
        The number of epochs; by default the network's ``epochs``, even if ``fit`` is given another
        number. After these epochs the rate stays α₁.
    by_step : bool, default False
        Whether the rate changes at each step instead of each epoch.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> from xpnet import ExponentialDecay
    >>> ExponentialDecay(0.16, 0.01).learning_rate(2, 5)
    0.04
    """

    def __init__(
        self, initial: float, final: float, epochs: int | None = None, by_step: bool = False
    ) -> None:
        super().__init__(epochs, by_step)
        self.initial = check_positive("initial", initial)
        self.final = check_positive("final", final)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α₀ (α₁/α₀)^(t/N)."""
        ratio = self.final / self.initial
        return float(self.initial * ratio ** self.progress(epoch, epochs))


class PolynomialDecay(Decay):
    r"""Decay from α₀ to α₁ by a power of the time left.

    .. math:: \alpha_t = \alpha_1 + (\alpha_0 - \alpha_1)(1 - t/N)^p

    Liu, Rabinovich and Berg 2016, "ParseNet", section 4, use p = 0.9 and α₁ = 0. N is
    ``epochs - 1`` or, with ``by_step``, ``epochs``, as for :class:`LinearDecay`.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ >= 0.
    power : float, default 0.9
        p > 0. With 1 the decay is linear; the larger it is, the sooner the rate falls.
    epochs : int, optional
        The number of epochs; by default the network's ``epochs``, even if ``fit`` is given another
        number. After these epochs the rate stays α₁.
    by_step : bool, default False
        Whether the rate changes at each step instead of each epoch.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> from xpnet import PolynomialDecay
    >>> PolynomialDecay(0.16, power=2.0).learning_rate(2, 5)
    0.04
    """

    def __init__(
        self,
        initial: float,
        final: float = 0.0,
        power: float = 0.9,
        epochs: int | None = None,
        by_step: bool = False,
    ) -> None:
        super().__init__(epochs, by_step)
        self.initial = check_positive("initial", initial)
        self.final = check_non_negative("final", final)
        self.power = check_positive("power", power)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α₁ + (α₀ - α₁)(1 - t/N)^p."""
        left = (1.0 - self.progress(epoch, epochs)) ** self.power
        return float(self.final + (self.initial - self.final) * left)


class CosineDecay(Decay):
    r"""Decay from α₀ to α₁ along half a cosine.

    .. math:: \alpha_t = \alpha_1 + (\alpha_0-\alpha_1)(1+\cos(\pi t/N))/2

    Loshchilov and Hutter 2017, "SGDR", eq. 5, without restarts. N is ``epochs - 1`` or, with
    ``by_step``, ``epochs``, as for :class:`LinearDecay`.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ >= 0.
    epochs : int, optional
        The number of epochs; by default the network's ``epochs``, even if ``fit`` is given another
        number. After these epochs the rate stays α₁.
    by_step : bool, default False
        Whether the rate changes at each step instead of each epoch.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> from xpnet import CosineDecay
    >>> CosineDecay(0.1).learning_rate(2, 5)
    0.05
    """

    def __init__(
        self,
        initial: float,
        final: float = 0.0,
        epochs: int | None = None,
        by_step: bool = False,
    ) -> None:
        super().__init__(epochs, by_step)
        self.initial = check_positive("initial", initial)
        self.final = check_non_negative("final", final)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α₁ + (α₀ - α₁)(1 + cos(πt/N)) / 2."""
        return cosine(self.initial, self.final, self.progress(epoch, epochs))


class StepDecay(Schedule):
    r"""Decay by a factor after every n epochs: :math:`\alpha_t = \alpha_0 f^{\lfloor t/n \rfloor}`.

    Parameters
    ----------
    initial : float
        α₀ > 0.
    factor : float, default 0.5
        f > 0.
    every : int, default 10
        n, in epochs.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> from xpnet import StepDecay
    >>> [StepDecay(0.8, every=2).learning_rate(epoch, 5) for epoch in range(5)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    def __init__(self, initial: float, factor: float = 0.5, every: int = 10) -> None:
        self.initial = check_positive("initial", initial)
        self.factor = check_positive("factor", factor)
        self.every = check_count("every", every)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α₀ f^⌊t/n⌋."""
        return float(self.initial * self.factor ** (epoch // self.every))


def cosine(first: float, last: float, progress: float) -> float:
    """Return a point on half a cosine between two rates, for a progress from 0 to 1."""
    return last + (first - last) * (1.0 + math.cos(math.pi * progress)) / 2.0
