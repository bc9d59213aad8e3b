"""Plots of scores for the values of a setting."""

import textwrap
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..backends import UnknownNameError
from ..backends._errors import shown
from ..common.checks import as_float, check_string, find
from ..common.direction import best_of, check_mode, direction_of
from ..metrics import METRICS, Metric
from .drawing import (
    COLORS,
    axes_for,
    finish,
    is_list,
    letters_in,
    numbers_on_host,
    room_of,
    shortened,
    title_of,
)

_RESULTS = ("trial", "score", "seconds", "error")
"""The columns of a search's rows that are not settings."""


def plot_sweep(
    values: Any,
    scores: Sequence[float] | None = None,
    errors: Sequence[float] | None = None,
    name: str | None = None,
    score: Any = "score",
    mode: str = "auto",
    error_name: str = "spread",
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw the score for each value of a setting, and mark the best one.

    Parameters
    ----------
    values : sequence, or Search
        Numbers or names. The axis of positive numbers is logarithmic if the largest is at least 50
        times the smallest. Or the result of a :func:`~xpnet.search.random_search`: each trial is a
        point at its value of the setting ``name``, and the search's scores, metric and direction
        replace ``scores``, ``score`` and ``mode``.
    scores : sequence of float
        The score of each value; omit it for a search. NaN and infinite scores are never the best.
    errors : sequence of float, optional
        The spread of each score, drawn above and below it.
    name : str, optional
        Label of the horizontal axis, by default "value". For a search, the setting to draw, which
        may be omitted if there is only one.
    score : str, Metric, LossFunction or function, default "score"
        The quantity on the vertical axis, or a label for it.
    mode : {"auto", "max", "min"}, default "auto"
        Whether the largest or the smallest score is best. "auto" takes it from ``score``, which
        must then be a metric, the name of a metric or a loss.
    error_name : str, default "spread"
        What the errors are, for the legend, e.g. "standard deviation over 3 seeds".
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        ``scores`` is missing, or given with a search.
    ValueError
        ``values`` is empty, or differs from ``scores`` or ``errors`` in length. Or ``mode`` is
        "auto", and ``score`` does not say which scores are better. Or the search has no setting
        ``name``.

    Examples
    --------
    >>> from xpnet.plots import plot_sweep
    >>> ax = plot_sweep([1e-3, 1e-2], [0.31, 0.12], name="learning rate", score="rmse")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['lowest rmse: 0.12 at 0.01']
    >>> ax = plot_sweep(["sgd", "adam"], [0.9, 0.7], score="accuracy on test", mode="max")
    """
    is_search = hasattr(values, "rows") and hasattr(values, "best_score")
    if is_search and scores is not None:
        raise TypeError("a search has its own scores: write plot_sweep(found, name='...')")
    if is_search:
        score, mode = values.metric, values.mode
        values, scores, name = _of_search(values.rows, name)
    elif scores is None:
        raise TypeError("scores is missing: expected the score of each value")
    name = "value" if name is None else name
    if isinstance(values, (str, bytes)) or not is_list(values):
        raise TypeError(f"values={shown(values)}: expected a list of settings")
    mode, label = _direction_and_label(score, mode)
    means = numbers_on_host("scores", scores, 1, len(values)).astype(float)
    if not len(means):
        raise ValueError("values is empty: expected at least one setting")
    spread = None
    if errors is not None:
        spread = numbers_on_host("errors", errors, 1, len(values)).astype(float)
    name, error_name = check_string("name", name), check_string("error_name", error_name)
    numbers = all(as_float(value) == value for value in values)
    names = list(dict.fromkeys(map(str, values)))  # equal names share a place
    longest = 0 if numbers else max(len(t) for each in names for t in each.split("\n"))
    ax = axes_for(ax, figsize, min(max(5.0, 1 + 0.045 * longest * len(names)), 10.0), 4.0)
    places: Any = list(values) if numbers else [names.index(str(value)) for value in values]
    # A line between names would suggest values in between.
    line = "-" if numbers and not is_search else ""
    ax.plot(places, means, marker="o", linestyle=line, color=COLORS[0])
    if spread is not None:
        bars = {"linestyle": "", "color": COLORS[0], "capsize": 3, "label": f"± {error_name}"}
        ax.errorbar(places, means, spread, **bars)
    if (best := best_of(means, mode)) is not None:
        extreme = "highest" if mode == "max" else "lowest"
        marked = f"{extreme} {label}: {means[best]:.4g} at {_short(values[best])}"
        style = {"markersize": 9, "color": COLORS[1], "linestyle": "", "label": marked}
        ax.plot(places[best], means[best], "D", **style)
    if not numbers:
        _name_places(ax, list(range(len(names))), names)
    elif min(values) > 0 and max(values) / min(values) >= 50:
        ax.set_xscale("log")
    finish(ax, f"{title_of(label)} by {name.replace(chr(10), ' ')}", name, label)
    return ax


def _of_search(rows: list[dict[str, Any]], name: str | None) -> tuple[list[Any], list[float], str]:
    """Return the values of a setting in the trials of a search, their scores and its name."""
    settings = list(dict.fromkeys(key for row in rows for key in row if key not in _RESULTS))
    if name is None and len(settings) == 1:
        name = settings[0]
    if name not in settings:
        raise ValueError(
            f"name={shown(name)}: expected a setting of the search, one of {', '.join(settings)}"
        )
    tried = [row for row in rows if name in row]
    return [row[name] for row in tried], [row["score"] for row in tried], name


def _name_places(ax: Any, places: list[int], names: list[str]) -> None:
    """Label ticks with names, on several lines or rotated if they would overlap."""
    fit = max(int(72 * ax.get_window_extent().width / ax.figure.dpi / len(names) / 5.5), 1)
    broken = [
        [x for y in name.split("\n") for x in textwrap.wrap(y, fit, break_long_words=False) or [""]]
        for name in names
    ]
    if all(len(lines) <= 5 and max(map(len, lines)) <= fit for lines in broken):
        ax.set_xticks(places, ["\n".join(lines) for lines in broken], size=9)
    else:
        most = letters_in(0.4 * min(room_of(ax)), 8, ax.figure.dpi)  # at 45°, so a bit less
        short = shortened([_short(name) for name in names], most)
        ax.set_xticks(places, short, size=8, rotation=45, ha="right", rotation_mode="anchor")
    ax.margins(x=0.5 / len(names) if len(names) > 1 else 0.05)


def _direction_and_label(score: Any, mode: str) -> tuple[str, str]:
    """Return whether the "max" or the "min" is best, and the label of the axis."""
    metric = score
    if isinstance(score, str):
        with suppress(UnknownNameError):  # the string may be a label, not the name of a metric
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
    """Return a value as one line of text."""
    return f"{value:g}" if isinstance(value, float) else ", ".join(str(value).split("\n"))
