"""If memory runs out in an epoch, restart it with smaller micro-batches."""

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
    """Warn, and return how many samples to take at a time from now on.

    Parameters
    ----------
    error : MemoryError
        Gets a note that explains why, if the epoch cannot be repeated.
    network : TrainableModel
    training : Data or Batches
        The training data.
    plan : MemoryPlan
        The plan of the epoch that failed.
    epoch : int
        Counted from 0.

    Returns
    -------
    int or None
        None if the epoch cannot be repeated with smaller micro-batches.

    Warns
    -----
    RuntimeWarning
        States whether micro-batches change the updates.
    """
    if isinstance(training, Batches):
        if not isinstance(error, MemoryPlanError):
            error.add_note(_NOT_REPEATABLE)
        return None
    least = sizes_of(network).min_samples
    rows = fewer_rows(plan.rows, plan.batch_size, plan.n_samples, least)
    if rows is not None:
        warn(
            f"out of memory in epoch {epoch + 1} ({error}): restarting it with micro-batches of "
            f"{rows} samples. {_note_on_updates(network.layers)}. Give memory_limit= to keep "
            "training within the available memory from the beginning",
            RuntimeWarning,
        )
    return rows


def _note_on_updates(layers: Sequence[Layer]) -> str:
    """Return a sentence on whether splitting a batch into micro-batches changes the updates."""
    differences = [
        f"{layer.layer_name()} {text}"
        for layer in all_layers(layers)
        for kind, text in _PER_MICRO_BATCH.items()
        if isinstance(layer, kind)
    ]
    if not differences:
        return "The updates stay the same"
    return f"The updates differ, because {' and '.join(dict.fromkeys(differences))}"


_PER_MICRO_BATCH: dict[type[Layer], str] = {
    BatchNormalization: "takes the moments of each micro-batch",
    Dropout: "draws a mask for each micro-batch",
    GaussianNoise: "draws noise for each micro-batch",
}
"""What layers do for each micro-batch, instead of once for the whole batch."""

_NOT_REPEATABLE = (
    "Batches of this epoch are used up, so it cannot be repeated with smaller micro-batches: "
    "make smaller batches, or give the network a memory_limit, within which batches are split"
)
"""What to do if memory runs out in an epoch of ``fit(batches=...)``."""
