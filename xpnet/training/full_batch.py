"""Checks of a training by an optimizer that takes all samples at once."""

from collections.abc import Sequence
from importlib.util import find_spec

from ..layers import Layer
from ..layers.composite import all_layers
from .trainable import TrainableModel

DEFAULT_BATCH_SIZE = 128
"""The batch size of a network for which none was given."""


def check_full_batch(model: TrainableModel, n_samples: int | None) -> None:
    """Refuse settings and layers that an optimizer that takes all samples at once cannot have.

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
        raise ImportError(f"{kind} needs SciPy, which is not installed: pip install 'xpnet[numba]'")
    if n_samples is None:
        raise ValueError(
            f"{kind} needs all samples at each step, so it does not go with fit(batches=...): give "
            "fit a data set, or use another optimizer"
        )
    if not isinstance(size, str) and size != DEFAULT_BATCH_SIZE and size < n_samples:
        raise ValueError(
            f"batch_size={size} does not go with {kind}, which takes all {n_samples:,} samples at "
            "each step: leave batch_size out. With a memory_limit, they go through the network in "
            "pieces"
        )
    if model.accumulate > 1:
        raise ValueError(
            f"accumulate={model.accumulate} does not go with {kind}, which takes all samples at "
            "each step: leave accumulate out. With a memory_limit, they go through the network in "
            "pieces"
        )
    for layer in all_layers(model.layers):
        if (refused := _refused(layer)) is not None:
            raise ValueError(
                f"{refused} does not go with {kind}: remove it, or use another optimizer"
            )


def check_not_resumed(model: TrainableModel, names: Sequence[str]) -> None:
    """Refuse checkpoints, from which a solver's memory could not be restored."""
    if names:
        raise ValueError(
            f"{' and '.join(names)} with {type(model.optimizer).__name__}, whose memory of earlier "
            "iterations cannot be saved, so that a resumed training would go on in another way: "
            "save networks with ModelCheckpoint, and call fit again to go on from one"
        )


def _refused(layer: Layer) -> str | None:
    """Return the name of a layer or of its setting to be refused, or None."""
    name = layer.layer_name()
    if layer.is_random and not layer.inner_layers:
        return f"{name}, which makes the loss differ from call to call,"
    if getattr(layer, "max_norm", None) is not None:
        return f"max_norm of a {name}"
    if layer.own_optimizers:
        return f"the own optimizer of a {name}"
    return None
