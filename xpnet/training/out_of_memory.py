"""What to do if memory runs out in an epoch: begin it again, with batches in smaller pieces."""

from collections.abc import Sequence

from ..backends._warnings import warn
from ..layers import BatchNormalization, Dropout, GaussianNoise, Layer
from ..layers.composite import all_layers
from .feeding.batches import Batches
from .feeding.placing import Data
from .memory import MemoryPlan, MemoryPlanError, fewer_rows
from .purpose import sizes_of
from .trainable import TrainableModel


def rows_after(
    error: MemoryError,
    network: TrainableModel,
    training: Data | Batches,
    plan: MemoryPlan,
    epoch: int,
) -> int | None:
    """Return how many samples to take at a time from now on, with a warning.

    Parameters
    ----------
    error : MemoryError
        If the epoch cannot be repeated, a note is added to it that says why.
    network : TrainableModel
    training : Data or Batches
        What the network is trained on.
    plan : MemoryPlan
        That of the epoch that has failed.
    epoch : int
        Counted from 0.

    Returns
    -------
    int or None
        None if the epoch cannot be repeated with smaller pieces.

    Warns
    -----
    RuntimeWarning
        It says whether pieces change the updates.
    """
    if isinstance(training, Batches):
        if not isinstance(error, MemoryPlanError):
            error.add_note(_TAKEN)
        return None
    least = sizes_of(network).least_samples
    rows = fewer_rows(plan.rows, plan.batch_size, plan.n_samples, least)
    if rows is not None:
        warn(
            f"out of memory in epoch {epoch + 1} ({error}): it begins again, with batches in "
            f"pieces of {rows} samples. {_updates_in_pieces(network.layers)}. memory_limit= keeps "
            "training within the available memory from the beginning",
            RuntimeWarning,
        )
    return rows


def _updates_in_pieces(layers: Sequence[Layer]) -> str:
    """Return a sentence on whether splitting a batch into pieces changes the updates."""
    differences = [
        f"{layer.layer_name()} {text}"
        for layer in all_layers(layers)
        for kind, text in _PIECEWISE.items()
        if isinstance(layer, kind)
    ]
    if not differences:
        return "The updates stay the same"
    return f"The updates differ, because {' and '.join(dict.fromkeys(differences))}"


_PIECEWISE: dict[type[Layer], str] = {
    BatchNormalization: "takes the moments of each piece",
    Dropout: "draws a mask for each piece",
    GaussianNoise: "draws noise for each piece",
}
"""What layers do for each piece of a batch, instead of once for the whole batch."""

_TAKEN = (
    "Batches of this epoch have already been used, so it cannot be repeated with smaller pieces: "
    "make smaller batches, or give the network a memory_limit, within which batches are split"
)
"""What to do if memory runs out in an epoch of ``fit(batches=...)``."""
