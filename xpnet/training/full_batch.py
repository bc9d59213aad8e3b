"""Checks for training with an optimizer that takes all samples at once."""

from collections.abc import Sequence
from importlib.util import find_spec

from ..layers import Layer
from ..layers.composite import all_layers
from .trainable import TrainableModel

DEFAULT_BATCH_SIZE = 128
"""The batch size of a network for which none was given."""


def check_full_batch(model: TrainableModel, n_samples: int | None) -> None:
    """Refuse settings and layers that do not work with all samples at once.

    Parameters
    ----------
    model : TrainableModel
    n_samples : int or None
        None for ``fit(batches=...)``.

    Raises
    ------
    ValueError, ImportError
    """
    kind, size = type(model.optimizer).__name__, model.batch_size
    if find_spec("scipy") is None:
        raise ImportError(f"{kind} needs SciPy, which is not installed: pip install scipy")
    if n_samples is None:
        raise ValueError(
            f"{kind} needs all samples at each step, so fit(batches=...) cannot be used: give "
            "fit a data set, or use another optimizer"
        )
    if not isinstance(size, str) and size != DEFAULT_BATCH_SIZE and size < n_samples:
        raise ValueError(
            f"batch_size={size} does not work with {kind}, which takes all {n_samples:,} samples "
            "at each step: omit batch_size. A memory_limit splits them into micro-batches"
        )
    if model.accumulate > 1:
        raise ValueError(
            f"accumulate={model.accumulate} does not work with {kind}, which takes all samples at "
            "each step: omit accumulate. A memory_limit splits them into micro-batches"
        )
    for layer in all_layers(model.layers):
        if (refused := _refused(layer)) is not None:
            raise ValueError(
                f"{refused} does not work with {kind}: remove it, or use another optimizer"
            )


def check_not_resumed(model: TrainableModel, names: Sequence[str]) -> None:
    """Refuse checkpoints, which cannot store a solver's memory."""
    kind = type(model.optimizer).__name__
    if names:
        raise ValueError(
            f"{' and '.join(names)} cannot be used with {kind}: its memory of earlier "
            "iterations cannot be saved, so a resumed run would continue differently. "
            "Save networks with ModelCheckpoint, and call fit again to continue from one"
        )


def _refused(layer: Layer) -> str | None:
    """Return the name of a layer or setting to refuse, or None."""
    name = layer.layer_name()
    if layer.is_random and not layer.inner_layers:
        return f"{name}, which makes the loss differ from call to call,"
    if getattr(layer, "max_norm", None) is not None:
        return f"max_norm of a {name}"
    if layer.updates_itself:
        return f"the optimizer of a {name}"
    return None
