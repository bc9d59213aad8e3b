"""Running averages of a network's parameters, and the base of callbacks that ask for one."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..backends import Array, ops
from .callback import Callback


class Average:
    """An average of the parameters after updates, or after epochs.

    It is part of the state of training: the trainer and the steps update it, and snapshots copy it.

    Parameters
    ----------
    decay : float or None
        The decay of an exponential moving average; None for the mean.
    by_step : bool
        Whether the parameters are averaged after each update, rather than after each epoch.

    Attributes
    ----------
    flat : array of shape (n,) or None
        The average, in the order of ``network.parameters.gather()``; None if ``count`` is 0.
    count : int
        How many times parameters were added to the average.
    """

    state_names: ClassVar[tuple[str, ...]] = ("flat", "count")

    def __init__(self, decay: float | None, by_step: bool) -> None:
        self.decay, self.by_step = decay, by_step
        self.reset()

    def reset(self) -> None:
        """Start a new average."""
        self.flat: Array = None
        self.count = 0

    def shares(self, n: int) -> np.ndarray:
        """Count the next ``n`` updates, and return the share of each in the average.

        At each update, the average becomes ``average + share * (parameters - average)``. The first
        share is 1. With a decay, the others fall slowly from 9/11 to 1 - decay, so that an average
        of few updates is not dominated by the first parameters.
        """
        numbers = np.arange(self.count + 1, self.count + n + 1, dtype=np.float64)
        self.count += n
        if self.decay is None:
            return 1.0 / numbers
        shares = np.maximum(1.0 - self.decay, 9.0 / (9.0 + numbers))
        return np.where(numbers == 1, 1.0, shares)

    def add(self, parameters: Array) -> None:
        """Add the parameters as they are now; they are copied."""
        share = float(self.shares(1)[0])
        if share == 1.0:
            self.flat = ops.scale(parameters, 1.0)
        else:
            self.flat = ops.rowwise(
                self.flat, parameters, function=lambda a, w: a + share * (w - a), out=self.flat
            )


class Averaging(Callback):
    """Base of callbacks that make the trainer keep an average of the parameters.

    Attributes
    ----------
    average : Average
    start_epoch : int
        The number of epochs of a ``fit`` before averaging begins.
    validate_with_average : bool
        Whether validation data are evaluated with the average.
    """

    average: Average
    start_epoch: int
    validate_with_average: bool


def average_by_step(model: Any) -> Average | None:
    """Return the average of a model's parameters after each update, if one is kept.

    It is None for an optimizer that takes all samples at once: an epoch has one update then, after
    which the trainer averages.
    """
    average, each = model.average, not model.optimizer.takes_all_samples
    return average if average is not None and average.by_step and each else None


def averaging_of(callbacks: Iterable[Any]) -> Averaging | None:
    """Return the callback that asks for an average, or None.

    Raises
    ------
    ValueError
        Several callbacks ask for one.
    """
    found = [each for each in callbacks if isinstance(each, Averaging)]
    if len(found) > 1:
        raise ValueError(
            f"callbacks has {len(found)} averages of the weights "
            f"({', '.join(type(each).__name__ for each in found)}): give only one"
        )
    return found[0] if found else None
