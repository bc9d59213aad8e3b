"""Plots of a regression's predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array
from ..backends._errors import shown
from ..common.checks import check_strings
from .drawing import COLORS, MARKERS, axes_for, finish, finite_numbers

MAX_POINTS = 5000


def plot_residuals(
    y_true: Array,
    y_pred: Array,
    kind: str = "predicted",
    names: Sequence[str] | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw predicted against true values, or the residuals against the predictions.

    A dotted line marks perfect predictions. The title shows the root mean squared error (RMSE) and
    the coefficient of determination (R²); with several outputs, the legend shows them per output.
    Both are computed from all samples, but at most 5000 evenly spaced samples are drawn.

    Parameters
    ----------
    y_true : array of shape (n,) or (n, n_outputs)
    y_pred : array of shape (n, n_outputs) or (n,)
        A network's output, or the predictions of an estimator.
    kind : {"predicted", "residuals"}, default "predicted"
        Whether to draw predicted values against true ones, or true minus predicted values against
        predicted ones.
    names : sequence of str, optional
        The names of the outputs; by default their numbers from 0.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The arrays differ in shape, are empty or not finite, or ``kind`` is unknown.

    Examples
    --------
    >>> from xpnet.plots import plot_residuals
    >>> ax = plot_residuals([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    >>> ax.get_title()
    'Predicted and true values: RMSE 0.577, R² 0.5'
    """
    if not isinstance(kind, str) or kind not in ("predicted", "residuals"):
        raise ValueError(f"kind={shown(kind)}: expected 'predicted' or 'residuals'")
    predicted = finite_numbers("y_pred", y_pred, None)
    predicted = predicted.reshape(len(predicted), -1)
    true = finite_numbers("y_true", y_true, None, len(predicted))
    true = true.reshape(len(true), -1)
    if true.shape != predicted.shape:
        hint = ". To compare the first column, give y_pred[:, :1]" if true.shape[1] == 1 else ""
        raise ValueError(f"y_true has shape {true.shape}, and y_pred {predicted.shape}: expected "
                         f"equal shapes{hint}")  # fmt: skip
    k = true.shape[1]
    labels = [f"output {j}" for j in range(k)]
    if names is not None and len(labels := check_strings("names", names)) != k:
        raise ValueError(f"names has {len(labels)} names: expected {k}, one per output")
    ax = axes_for(ax, figsize, 4.8, 4.6)
    step = -(-len(true) // MAX_POINTS)
    for j in range(k):
        x, y = true[::step, j], predicted[::step, j]
        if kind == "residuals":
            x, y = y, x - y
        label = None if k == 1 else f"{labels[j]}: {_quality(true[:, j], predicted[:, j])}"
        style = {"color": COLORS[j % len(COLORS)], "marker": MARKERS[j % len(MARKERS)]}
        ax.scatter(x, y, s=14, alpha=0.6, edgecolor="none", label=label, **style)
    if kind == "residuals":
        ax.axhline(0, color="0.2", linestyle=":", label="no error")
        title, xlabel, ylabel = "Residuals", "predicted value", "true minus predicted value"
    else:
        ax.axline((true.flat[0],) * 2, slope=1, color="0.2", linestyle=":", label="no error")
        title, xlabel, ylabel = "Predicted and true values", "true value", "predicted value"
    if k == 1:
        title += f": {_quality(true[:, 0], predicted[:, 0])}"
    finish(ax, title, xlabel, ylabel)
    return ax


def _quality(true: np.ndarray, predicted: np.ndarray) -> str:
    """Return RMSE and R² as text; R² is omitted if the true values do not vary."""
    error = np.mean((true - predicted) ** 2)
    spread = np.var(true)
    return f"RMSE {np.sqrt(error):.3g}" + (f", R² {1 - error / spread:.3g}" if spread > 0 else "")
