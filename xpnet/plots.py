"""Pictures, by matplotlib (the extra ``plot``)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .history import History


def plot_history(history: "History", axes: Any = None) -> Any:
    """Draw a training run; see :meth:`xpnet.history.History.plot`."""
    quantities = [name for name in ("loss", "metric") if name in history]
    if axes is None:
        size = (4.8 * len(quantities), 3.6)
        _, axes = pyplot().subplots(
            1, len(quantities), figsize=size, squeeze=False, layout="constrained"
        )
        axes = axes[0]
    for ax, name in zip(axes, quantities, strict=True):
        ax.plot(history["epoch"], history[name], label="training")
        if f"val_{name}" in history:
            ax.plot(history["epoch"], history[f"val_{name}"], label="validation")
        ax.set_xlabel("epoch")
        ax.set_ylabel(history.metric_name if name == "metric" else name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend()
    return axes


def pyplot() -> Any:
    """Return matplotlib's pyplot, or say which extra brings it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib, which is not installed: pip install 'xpnet[plot]'"
        ) from error
    return plt
