"""The base of callbacks that monitor a column of the history."""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import ClassVar

from ..common.checks import check_non_negative
from ..common.direction import check_mode, direction_of
from ..neuralnet import NeuralNetwork
from ..training.callback import Callback
from ..training.metric_settings import name_of


class Monitor(Callback):
    """Base of callbacks that monitor a column of the history.

    Parameters
    ----------
    monitor : str
    mode : {"auto", "min", "max"}
        Whether small or large values are better. "auto" is "min" for losses and the penalty; for
        a metric it is the metric's own direction (:attr:`xpnet.metrics.Metric.greater_is_better`).
    min_delta : float
        A change must be larger than this to count as an improvement; an infinite value never does.
    """

    state_names: ClassVar[tuple[str, ...]] = ("best",)

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        self.monitor, self.mode = monitor, check_mode(mode)
        self.min_delta = check_non_negative("min_delta", min_delta)
        self._sign = 1.0
        self.best = math.inf

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Refuse a column that the history will not have."""
        check_watched(self, self.monitor, columns, network)
        self._sign = -1.0 if self._direction(network) == "max" else 1.0
        self.best = math.inf

    def _direction(self, network: NeuralNetwork) -> str:
        found = direction_of_column(network, self.monitor) if self.mode == "auto" else self.mode
        if found is None:
            raise ValueError(
                f"{type(self).__name__} monitors {self.monitor!r}, and whether small or large "
                "values are better is unknown: give mode='min' or mode='max'"
            )
        return found

    def _improves(self, row: dict[str, float]) -> bool | None:
        """Return whether the epoch is the best so far, and record it; None if it has no value."""
        value = self._sign * row.get(self.monitor, math.nan)
        if math.isnan(value):  # an epoch without validation
            return None
        if math.isfinite(value) and (value < self.best - self.min_delta):
            self.best = value
            return True
        return False


def direction_of_column(network: NeuralNetwork, column: str) -> str | None:
    """Return "min" or "max" for a column of the history; None if its direction is unknown."""
    column = column.removeprefix("val_")
    metrics = {name_of(each): each for each in network.metrics}
    if column in metrics:
        return direction_of(metrics[column])
    return "min" if column in ("loss", "penalty") else None


def check_watched(
    callback: Callback, monitor: str, columns: Sequence[str], network: NeuralNetwork
) -> None:
    """Refuse a column that the history will not have.

    Raises
    ------
    ValueError
        ``monitor`` is not among ``columns``.
    """
    if monitor in columns:
        return
    of_training = str(monitor).removeprefix("val_")
    lacks_validation = of_training != monitor and of_training in columns
    near = get_close_matches(str(monitor), columns, n=1)
    advice = ""
    if lacks_validation:
        advice = "give fit its validation data; "
    elif near:
        advice = f"did you mean {near[0]!r}? "
    raise ValueError(
        f"{type(callback).__name__} monitors {monitor!r}, which the history will not have: "
        f"{advice}it will have {', '.join(columns)}"
    )
