"""Learning rates that rise and fall: one cycle, and a cosine with restarts."""

import math

from ..backends._errors import check_name, shown
from ..common.checks import (
    as_float,
    check_count,
    check_flag,
    check_fraction,
    check_non_negative,
    check_positive,
)
from .base import Schedule
from .decays import Decay, cosine


class OneCycle(Decay):
    r"""The 1cycle policy: the rate rises to a maximum, and then falls to a very low value.

    The rate rises for the fraction r of training, and then falls. The progress p is t / N, with N
    as for :class:`LinearDecay`. s(a, b, x) goes from a to b as x goes from 0 to 1, along a line or
    half a cosine.

    .. math:: \alpha_t = \begin{cases} s(\alpha_0, \alpha_{max}, p / r) & p < r \\
              s(\alpha_{max}, \alpha_1, (p - r) / (1 - r)) & p \ge r \end{cases}

    Smith and Topin 2018, "Super-convergence", section 4. Their rates rise and fall along lines; the
    cosine comes from fastai. The momentum is not changed.

    Parameters
    ----------
    highest : float
        α_max > 0. :func:`xpnet.search.find_learning_rate` helps to find it.
    initial : float, optional
        α₀ > 0, below ``highest``; by default ``highest / 25``.
    final : float, optional
        α₁ >= 0; by default ``initial / 10_000``.
    rising : float, default 0.3
        r in (0, 1).
    shape : {"cosine", "linear"}, default "cosine"
        Whether s is half a cosine or a line.
    epochs : int, optional
        The number of epochs; by default the network's ``epochs``, even if ``fit`` is given another
        number. After these epochs the rate stays α₁.
    by_step : bool, default True
        Whether the rate changes at each step. By epoch, the last epoch has α₁.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid, or ``initial`` is not below ``highest``.

    Examples
    --------
    >>> from xpnet import OneCycle
    >>> schedule = OneCycle(0.1, initial=0.01, final=0.0, rising=0.5, shape="linear")
    >>> [round(schedule.learning_rate(epoch, 4), 3) for epoch in (0, 1, 2, 3, 3.5)]
    [0.01, 0.055, 0.1, 0.05, 0.025]
    """

    def __init__(
        self,
        highest: float,
        initial: float | None = None,
        final: float | None = None,
        rising: float = 0.3,
        shape: str = "cosine",
        epochs: int | None = None,
        by_step: bool = True,
    ) -> None:
        super().__init__(epochs, by_step)
        self.highest = check_positive("highest", highest)
        initial = self.highest / 25.0 if initial is None else initial
        self.initial = check_positive("initial", initial)
        if self.initial >= self.highest:
            raise ValueError(
                f"initial={shown(initial)} and highest={shown(highest)}: expected initial below "
                "highest"
            )
        final = self.initial / 10_000 if final is None else final
        self.final = check_non_negative("final", final)
        self.rising = check_fraction("rising", rising)
        if self.rising == 0:
            raise ValueError("rising=0: expected a number in (0, 1), or use CosineDecay")
        self.shape = check_name("shape", shape, ("cosine", "linear"))

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return the rate on the way up, or on the way down."""
        p, rising = self.progress(epoch, epochs), self.rising
        if p < rising:
            first, last, part = self.initial, self.highest, p / rising
        else:
            first, last, part = self.highest, self.final, (p - rising) / (1.0 - rising)
        if self.shape == "linear":
            return first + (last - first) * part
        return cosine(first, last, part)


class CosineRestarts(Schedule):
    r"""Decay along half a cosine, restarted after periods that grow.

    .. math:: \alpha_t = \alpha_1 + (\alpha_0-\alpha_1)(1+\cos(\pi\, t_i/T_i))/2

    t_i counts the epochs since the last restart, and T_i, the length of the period i, is
    :math:`T_0 m^i`. Loshchilov and Hutter 2017, "SGDR", eq. 5; they change the rate at each step.

    Parameters
    ----------
    initial, final : float
        α₀ > 0 and α₁ >= 0.
    period : int, default 10
        T₀, in epochs.
    growth : float, default 2.0
        m >= 1: each period is m times as long as the previous one.
    by_step : bool, default False
        Whether the rate changes at each step instead of each epoch.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> from xpnet import CosineRestarts
    >>> schedule = CosineRestarts(0.1, period=2)
    >>> [round(schedule.learning_rate(epoch, 8), 3) for epoch in range(8)]
    [0.1, 0.05, 0.1, 0.085, 0.05, 0.015, 0.1, 0.096]
    """

    def __init__(
        self,
        initial: float,
        final: float = 0.0,
        period: int = 10,
        growth: float = 2.0,
        by_step: bool = False,
    ) -> None:
        self.initial = check_positive("initial", initial)
        self.final = check_non_negative("final", final)
        self.period = check_count("period", period)
        self.growth = as_float(growth)
        if not 1 <= self.growth < math.inf:
            raise ValueError(f"growth={shown(growth)}: expected a finite number, 1 or more")
        self.by_step = check_flag("by_step", by_step)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return α₁ + (α₀ - α₁)(1 + cos(π t_i/T_i)) / 2."""
        since, period = epoch, float(self.period)
        if self.growth == 1:
            since %= period
        while since >= period:
            since, period = since - period, period * self.growth
        return cosine(self.initial, self.final, since / period)
