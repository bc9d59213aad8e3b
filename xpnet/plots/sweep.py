"""Plots of scores for the values of a setting."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..backends import UnknownNameError
from ..backends._errors import shown
from ..common.checks import check_text, find
from ..common.direction import best_of, check_mode, direction_of
from ..metrics import METRICS, Metric
from .drawing import axes_for, is_list, numbers_on_host


def plot_sweep(
    values: Sequence[Any],
    scores: Sequence[float],
    errors: Sequence[float] | None = None,
    name: str = "value",
    score: Any = "score",
    ax: Any = None,
    mode: str = "auto",
) -> Any:
    """Draw the score for each value of a setting, and mark the best one.

    Parameters
    ----------
    values : sequence
        Numbers or names. Numbers get a logarithmic axis if the largest is 50 times the smallest.
    scores : sequence of float
        The score for each value. NaN and infinite scores are never the best.
    errors : sequence of float, optional
        The spread of each score.
    name : str, default "value"
        Label of the horizontal axis.
    score : str, Metric, LossFunction or function, default "score"
        The quantity on the vertical axis, or a label for it.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    mode : {"auto", "max", "min"}, default "auto"
        Whether the largest or the smallest score is best. "auto" takes it from ``score``, which
        must then be a metric, the name of a metric or a loss.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        There are no values, or another number of scores or errors than of values. Or ``mode`` is
        "auto", and ``score`` does not say which scores are better.

    Examples
    --------
    >>> ax = plot_sweep([1e-3, 1e-2], [0.31, 0.12], name="learning rate", score="rmse")
    >>> ax = plot_sweep(["sgd", "adam"], [0.9, 0.7], score="accuracy on test", mode="max")
    """
    if isinstance(values, (str, bytes)) or not is_list(values):
        raise TypeError(f"values={shown(values)}: expected a list of settings")
    mode, label = _direction_and_label(score, mode)
    means = numbers_on_host("scores", scores, 1, len(values)).astype(float)
    if not len(means):
        raise ValueError("values is empty: expected at least one setting")
    spread = None
    if errors is not None:
        spread = numbers_on_host("errors", errors, 1, len(values)).astype(float)
    ax = axes_for(ax, 5.0, 3.6)
    numbers = all(isinstance(value, (int, float)) for value in values)
    places: Any = list(values) if numbers else list(range(len(values)))
    # A line between names would suggest values in between.
    ax.plot(places, means, marker="o", linestyle="-" if numbers else "")
    if spread is not None:
        if numbers:
            ax.fill_between(places, means - spread, means + spread, alpha=0.2)
        else:
            ax.errorbar(places, means, spread, linestyle="", color="C0", capsize=3)
    if (best := best_of(means, mode)) is not None:
        marked = f"best: {_short(values[best])}, {means[best]:.4g}"
        ax.plot(places[best], means[best], "o", color="tab:red", label=marked)
        ax.legend()
    if not numbers:
        ax.set_xticks(places, [str(value) for value in values])
    elif min(values) > 0 and max(values) / min(values) >= 50:
        ax.set_xscale("log")
    ax.set(xlabel=check_text("name", name), ylabel=label)
    ax.grid(alpha=0.3)
    return ax


def _direction_and_label(score: Any, mode: str) -> tuple[str, str]:
    """Return whether the "max" or the "min" is best, and the label of the axis."""
    metric = score
    if isinstance(score, str):
        with suppress(UnknownNameError):  # the text may be a label, not the name of a metric
            metric = find("score", score, Metric, METRICS)
    own_name = getattr(score, "name", getattr(score, "__name__", type(score).__name__))
    label = score if isinstance(score, str) else own_name
    direction = direction_of(metric) if check_mode(mode) == "auto" else mode
    if direction is None:
        raise ValueError(
            f"score={shown(score)} is not the name of a metric, so whether large or small "
            "scores are better is unknown: give mode='max' or mode='min'"
        )
    return direction, label


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
