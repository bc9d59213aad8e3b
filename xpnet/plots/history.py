"""Plots of training runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backends._errors import shown
from ..common.direction import best_of
from ..training.metric_settings import metrics_in
from .drawing import axes_for, is_list, numbers_on_host, pyplot


def plot_history(history: Mapping[str, Sequence[float]], axes: Any = None) -> Any:
    """Draw a training run: the loss in each epoch, and each of its metrics.

    A dotted line marks the epoch with the lowest validation loss. On the axes of a metric, it marks
    the epoch with the best validation metric, if it is known whether large or small values are
    better. These are not necessarily the weights that the network has: early stopping keeps those
    of the best epoch by what it watched.

    Parameters
    ----------
    history : mapping of str to sequence of float
        A network's history, or columns of the same names: ``loss`` or a metric such as
        ``accuracy``, perhaps ``val_loss`` and ``val_accuracy``, and ``epoch``, which is 1, 2, ...
        by default. Its attribute ``metrics`` is used if it has one.
    axes : sequence of matplotlib Axes, optional
        One for the loss and one for each metric; by default those of a new figure.

    Returns
    -------
    array of matplotlib Axes, or ``axes``

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        ``history`` is not a mapping.
    ValueError
        ``axes`` are too few or too many, there are no epochs, or no column for a loss or metric, or
        columns differ in length.

    Examples
    --------
    >>> axes = plot_history({"loss": [0.5, 0.25, 0.2], "val_loss": [0.6, 0.4, 0.5]})
    """
    if not isinstance(history, Mapping):
        raise TypeError(f"history={shown(history)}: expected the history of a trained network")
    quantities = [name for name in ("loss", *metrics_in(history)) if name in history]
    if history and not quantities:
        raise ValueError(
            f"the history has the columns {', '.join(map(str, history))}: expected loss or a metric"
        )
    n_epochs = len(history[quantities[0]]) if quantities else 0
    if not n_epochs:
        raise ValueError("the history has no epochs to draw: train the network with fit first")
    columns = {"epoch": np.arange(1.0, n_epochs + 1)}
    for name in ("epoch", *quantities, *(f"val_{name}" for name in quantities)):
        if name in history:
            columns[name] = numbers_on_host(name, history[name], 1, n_epochs).astype(float)
    if axes is None:
        size = (4.8 * len(quantities), 3.6)
        _, axes = pyplot().subplots(
            1, len(quantities), figsize=size, squeeze=False, layout="constrained"
        )
        axes = axes[0]
    panels = _several_axes(axes, quantities)
    modes = {"loss": "min", **getattr(history, "metrics", {})}
    for ax, name in zip(panels, quantities, strict=True):
        ax.plot(columns["epoch"], columns[name], label="training")
        if f"val_{name}" in columns:
            _add_validation(ax, columns["epoch"], columns[f"val_{name}"], name, modes.get(name))
        ax.set_xlabel("epoch")
        ax.set_ylabel(name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend()
    return axes


def _add_validation(
    ax: Any, epochs: np.ndarray, values: np.ndarray, label: str, mode: str | None
) -> None:
    """Draw the epochs that were validated, and mark the best."""
    validated = ~np.isnan(values)
    epochs, values = epochs[validated], values[validated]
    ax.plot(epochs, values, label="validation", marker="." if len(epochs) < 12 else None)
    best = None if mode is None else best_of(values, mode)
    if best is not None:
        extreme = "lowest" if mode == "min" else "highest"
        text = f"{extreme} validation {label}: epoch {epochs[best]:.0f}"
        ax.axvline(epochs[best], color="0.5", linestyle=":", label=text)


def _several_axes(given: Any, quantities: list[str]) -> list[Any]:
    """Return a list with one Axes per quantity; a single Axes need not be in a list."""
    found = list(given) if is_list(given) else [given]
    if isinstance(given, np.ndarray):
        found = given.ravel().tolist()
    if len(found) != len(quantities):
        raise ValueError(
            f"axes has {len(found)} Axes: expected {len(quantities)}, one each for "
            f"{' and '.join(quantities)}"
        )
    return [axes_for(each, 0.0, 0.0) for each in found]
