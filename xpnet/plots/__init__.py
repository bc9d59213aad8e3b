"""Plots of training, predictions, weights and activations, by matplotlib (the extra ``plot``).

Each function takes the Axes to draw into, or makes a new figure, and returns the Axes.
"""

from .confusion import plot_confusion
from .drawing import new_axes, pyplot
from .history import plot_history
from .images import plot_images, plot_weights
from .outputs import plot_activations, plot_decision_regions
from .sweep import plot_sweep

__all__ = [
    "new_axes",
    "plot_activations",
    "plot_confusion",
    "plot_decision_regions",
    "plot_history",
    "plot_images",
    "plot_sweep",
    "plot_weights",
    "pyplot",
]


def __dir__() -> list[str]:
    return sorted(__all__)
