"""Plots of training runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backends._errors import shown
from ..common.checks import check_strings
from ..common.direction import best_of
from ..training.metric_settings import RESERVED
from .drawing import (
    COLORS,
    MARKERS,
    axes_for,
    check_figsize,
    finish,
    is_list,
    new_axes,
    numbers_on_host,
    title_of,
    whole_epochs,
)

MARKED = {"weights kept": "kept_epoch", "saved to a file": "saved_epoch"}
"""Labels of the epochs that a history marks, and the attributes of the history that hold them."""

TRAINING, VALIDATION = "training", "validation"
OTHERS = frozenset(RESERVED) - {"loss"}
"""The history columns that are not drawn."""


class Quantity(NamedTuple):
    """A quantity in a history, such as the loss.

    Attributes
    ----------
    name : str
        The column of the training data. The column of the validation data is ``val_`` and the name.
    label : str
        The label in the plot.
    mode : {"max", "min"} or None
        Whether large or small values are better, if known.
    """

    name: str
    label: str
    mode: str | None

    def columns(self, history: Mapping[str, Any]) -> dict[str, str]:
        """Return the quantity's columns in the history by kind: training and validation."""
        found = {TRAINING: self.name, VALIDATION: f"val_{self.name}"}
        return {kind: column for kind, column in found.items() if column in history}


def quantities_of(history: Mapping[str, Any]) -> list[Quantity]:
    """Return the quantities of a history that can be drawn, with the loss first."""
    names = dict.fromkeys(
        str(column).removeprefix("val_") for column in history if column not in OTHERS
    )
    modes = {"loss": "min", "score": "max", **getattr(history, "metrics", {})}
    order = sorted(names, key=lambda name: name != "loss")
    return [Quantity(name, name, modes.get(name)) for name in order]


def plot_history(history: Any, axes: Any = None, names: Any = None, figsize: Any = None) -> Any:
    """Draw the loss and each metric by epoch, each in its own panel.

    Training curves are solid, validation curves dashed. A dotted line marks the epoch with the best
    validation value, if it is known whether large or small values are better. Dash-dotted lines
    mark the epoch whose weights early stopping kept, which may monitor another column, and the
    epoch that ``ModelCheckpoint(best_only=True)`` saved last.

    Parameters
    ----------
    history : History, mapping, network, estimator, or several of these
        A history, a mapping with the same columns (``loss``, ``val_loss``, metrics; the column
        ``epoch`` is 1, 2, ... by default), or a trained network or estimator. A list of these, or a
        dict by name, is compared in the same panels, with one colour per run.
    axes : matplotlib Axes or sequence of them, optional
        One per panel; by default those of a new figure.
    names : str or sequence of str, optional
        The quantities to draw, one per panel; by default the loss and all metrics.
    figsize : tuple of float, optional
        Width and height of a new figure in inches; by default 4.8 × 4 per panel.

    Returns
    -------
    array of matplotlib Axes, or ``axes``

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``history`` is none of these.
    ValueError
        The number of ``axes`` is wrong, there are no epochs, ``names`` has an unknown name, or
        columns differ in length.

    Examples
    --------
    >>> from xpnet.plots import plot_history
    >>> axes = plot_history({"loss": [0.5, 0.25, 0.2], "val_loss": [0.6, 0.4, 0.5]})
    >>> axes[0].get_title()
    'Loss by epoch'
    >>> axes = plot_history({"SGD": {"loss": [3.0, 2.0]}, "Adam": {"loss": [2.0, 1.0]}})
    """
    runs = _runs(history)
    chosen = _chosen(runs.values(), names)
    data = {what: _columns(run, chosen) for what, run in runs.items()}
    if axes is None:
        axes = _panels(len(chosen), figsize)
        panels = list(axes)
    else:
        check_figsize(figsize, 0, 0, axes)
        panels = _several_axes(axes, chosen)
    for ax, quantity in zip(panels, chosen, strict=True):
        if len(runs) == 1:
            (run,), (columns,) = runs.values(), data.values()
            _draw_run(ax, run, columns, quantity)
        else:
            _compare(ax, data, quantity)
        epochs = np.concatenate([columns["epoch"] for columns in data.values()])
        whole_epochs(ax, epochs)
        finish(ax, f"{title_of(quantity.label)} by epoch", "epoch", quantity.label)
    return axes


def history_of(given: Any) -> Mapping[str, Any]:
    """Return the history of a network or estimator; return a mapping unchanged.

    Raises
    ------
    TypeError
        ``given`` has no history.
    ValueError
        The history has no epochs, or no column to draw.
    """
    found = given
    for attribute in ("history_", "history"):
        if not isinstance(found, Mapping):
            found = getattr(given, attribute, found)
    if not isinstance(found, Mapping):
        raise TypeError(
            f"history={shown(given)}: expected a history, or a trained network or estimator"
        )
    quantities = quantities_of(found)
    if found and not quantities:
        raise ValueError(
            f"the history has the columns {', '.join(map(str, found))}: expected loss or a metric"
        )
    if not quantities or not any(np.size(found[c]) for c in quantities[0].columns(found).values()):
        raise ValueError("the history has no epochs to draw: train the network with fit first")
    return found


def _runs(given: Any) -> dict[str, Mapping[str, Any]]:
    """Return the histories to draw by name; a single history has the name ""."""
    several = given
    if is_list(given) and not isinstance(given, np.ndarray):
        several = {str(k): each for k, each in enumerate(given, 1)}
    is_named = isinstance(several, Mapping) and any(
        isinstance(each, Mapping) or hasattr(each, "history") or hasattr(each, "history_")
        for each in several.values()
    )
    if not is_named and several is given:
        return {"": history_of(given)}
    if not several:
        raise ValueError("history is empty: expected at least one history")
    return {str(name): history_of(each) for name, each in several.items()}


def _chosen(runs: Iterable[Mapping[str, Any]], names: Any) -> list[Quantity]:
    """Return the quantities with these names; by default all quantities of any run."""
    found: dict[str, Quantity] = {}
    for run in runs:
        for each in quantities_of(run):
            found.setdefault(each.name, each)
    if names is None:
        return list(found.values())
    wanted = check_strings("names", [names] if isinstance(names, str) else names)
    unknown = [name for name in wanted if name not in found]
    if unknown or not wanted:
        raise ValueError(f"names={shown(names)}: expected names among {', '.join(found)}")
    return [found[name] for name in wanted]


def _columns(history: Mapping[str, Any], quantities: Sequence[Quantity]) -> dict[str, np.ndarray]:
    """Return the epochs and the columns of the quantities, as arrays of equal length."""
    names = [c for each in quantities_of(history) for c in each.columns(history).values()]
    n_epochs = len(numbers_on_host(names[0], history[names[0]], 1))
    columns = {"epoch": np.arange(1.0, n_epochs + 1)}
    wanted = {c for each in quantities for c in each.columns(history).values()}
    for name in ("epoch", *names):
        if name in history and name in {"epoch", *wanted}:
            columns[name] = numbers_on_host(name, history[name], 1, n_epochs).astype(float)
    return columns


def _draw_run(
    ax: Any, history: Mapping[str, Any], columns: dict[str, np.ndarray], quantity: Quantity
) -> None:
    """Draw a quantity of one run, and mark the best epoch and the epochs kept or saved."""
    epochs = columns["epoch"]
    for kind, column in quantity.columns(columns).items():
        is_training = kind == TRAINING
        color, line = (COLORS[0], "-") if is_training else (COLORS[1], "--")
        marker = "o" if is_training else "s"
        _draw_curve(ax, epochs, columns[column], kind, color=color, linestyle=line, marker=marker)
    marks: dict[int, list[str]] = {}  # by the position of the epoch
    validation = columns.get(f"val_{quantity.name}")
    if validation is not None and len(epochs) > 1 and quantity.mode is not None:
        best = best_of(validation, quantity.mode)
        if best is not None:
            extreme = "lowest" if quantity.mode == "min" else "highest"
            marks[best] = [f"{extreme} validation {quantity.label}"]
    for text, attribute in MARKED.items():
        epoch = getattr(history, attribute, None)
        if epoch is not None and 0 < epoch <= len(epochs):
            marks.setdefault(epoch - 1, []).append(text)
    for place, texts in marks.items():
        label = f"{', '.join(texts)}: epoch {epochs[place]:.0f}"
        line = "-." if texts[0] in MARKED else ":"
        ax.axvline(epochs[place], color="0.3", linestyle=line, linewidth=1.2, label=label)


def _compare(ax: Any, data: Mapping[str, dict[str, np.ndarray]], quantity: Quantity) -> None:
    """Draw a quantity of several runs, with one colour and marker per run."""
    kinds = {kind for columns in data.values() for kind in quantity.columns(columns)}
    for k, (what, columns) in enumerate(data.items()):
        style = {"color": COLORS[k % len(COLORS)], "marker": MARKERS[k % len(MARKERS)]}
        for kind, column in quantity.columns(columns).items():
            line = "-" if kind == TRAINING else "--"
            label = f"{what}, {kind}" if len(kinds) == 2 else what
            _draw_curve(ax, columns["epoch"], columns[column], label, linestyle=line, **style)


def _draw_curve(ax: Any, epochs: np.ndarray, values: np.ndarray, label: str, **style: Any) -> None:
    """Draw the epochs that have a value, with about a dozen markers."""
    has_value = ~np.isnan(values)
    epochs, values = epochs[has_value], values[has_value]
    every = max(len(epochs) // 12, 1)
    ax.plot(epochs, values, label=label, markersize=4, markevery=every, **style)


def _panels(n: int, figsize: Any) -> Any:
    """Return the Axes of n panels in a new figure: side by side, or stacked if it is narrow."""
    columns = min(n, 3)
    rows = -(-n // columns)
    width, height = check_figsize(figsize, 4.8 * columns, 4.0 * rows)
    columns = min(columns, max(int(width // 2.9), 1))
    rows = -(-n // columns)
    panels = np.ravel(new_axes(width, height, rows, columns, squeeze=False))
    for ax in panels[n:]:
        ax.remove()
    return panels[:n]


def _several_axes(given: Any, quantities: list[Quantity]) -> list[Any]:
    """Return a list of Axes, one per quantity; a single Axes need not be in a list."""
    found = given.ravel().tolist() if isinstance(given, np.ndarray) else given
    found = list(found) if is_list(found) else [found]
    panels = [axes_for(each, None, 0.0, 0.0) for each in found]
    if len(panels) != len(quantities):
        names = [each.name for each in quantities]
        hint = "" if len(names) == 1 else f", or names={names[0]!r} to draw only that"
        raise ValueError(
            f"axes has {len(panels)} Axes: expected {len(names)}, one each for "
            f"{' and '.join(names)}{hint}"
        )
    return panels
