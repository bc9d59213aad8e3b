"""A learning rate that is reduced when the loss stops improving."""

import math

from ..backends._errors import shown
from ..common.checks import (
    as_float,
    check_count,
    check_fraction,
    check_non_negative,
    check_positive,
)
from .base import Schedule


class ReduceOnPlateau(Schedule):
    """A rate that is multiplied by a factor whenever the loss has not improved for some epochs.

    It watches the validation loss if there are validation data, else the training loss. Use this
    schedule for the loss, even where callbacks cannot be used (an estimator's ``learning_rate``,
    inside WarmUp), and the callback :class:`~xpnet.ReduceLROnPlateau` for another column or a
    cooldown.

    Parameters
    ----------
    initial : float
        The first learning rate, > 0.
    factor : float, default 0.1
        In [0, 1).
    patience : int, default 10
        The rate is reduced after this many epochs in a row without an improvement, as in Keras; 0
        means the same as 1. PyTorch's ``ReduceLROnPlateau`` waits one epoch longer.
    min_delta : float, default 1e-4
        What counts as an improvement: a loss below ``best - min_delta * abs(best)``.
    final : float, default 0.0
        The learning rate never falls below this.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> from xpnet import ReduceOnPlateau
    >>> schedule = ReduceOnPlateau(0.1, factor=0.5, patience=2)
    >>> for loss in (1.0, 1.0, 1.0):  # two epochs without an improvement
    ...     schedule.observe(loss)
    >>> schedule.learning_rate(3, 10)
    0.05
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

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return the current learning rate."""
        return self.current

    def check_state(self) -> None:
        """Refuse a loss that is NaN, a count below 0 and a rate that is not finite."""
        if math.isnan(as_float(self.best)):
            raise ValueError(f"best={shown(self.best)}: expected a number")
        check_count("waited", self.waited, least=0)
        check_non_negative("current", self.current)

    def observe(self, loss: float) -> None:
        """Count epochs without an improvement; reduce the rate after ``patience`` of them."""
        # Not best * (1 - min_delta): a negative loss would count as improved when it gets worse.
        margin = self.min_delta * abs(self.best) if math.isfinite(self.best) else 0.0
        if math.isfinite(loss) and loss < self.best - margin:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.current = max(self.current * self.factor, self.final)
            self.waited = 0
