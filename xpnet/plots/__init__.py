"""Plots of training, predictions, weights and functions, drawn by matplotlib.

Each function draws into the given Axes (``ax``, or ``axes`` for several) or into a new figure of
``figsize`` inches, and returns the Axes. ``ax.figure.savefig("plot.png")`` saves the figure. No
function shows a figure or changes matplotlib's settings. All plots share one palette, safe for
colour-blind readers, and vary lines or markers as well.
"""

from .confusion import plot_confusion
from .drawing import add_legend, new_axes, pyplot, series_style, whole_epochs
from .functions import plot_activation, plot_loss, plot_schedule
from .history import plot_history
from .images import plot_images, plot_weights
from .outputs import plot_decision_regions, plot_layer_outputs
from .regression import plot_residuals
from .scores import plot_calibration, plot_precision_recall, plot_roc
from .sweep import plot_sweep

__all__ = [
    "add_legend",
    "new_axes",
    "plot_activation",
    "plot_calibration",
    "plot_confusion",
    "plot_decision_regions",
    "plot_history",
    "plot_images",
    "plot_layer_outputs",
    "plot_loss",
    "plot_precision_recall",
    "plot_residuals",
    "plot_roc",
    "plot_schedule",
    "plot_sweep",
    "plot_weights",
    "pyplot",
    "series_style",
    "whole_epochs",
]


def __dir__() -> list[str]:
    return sorted(__all__)
