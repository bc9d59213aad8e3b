"""A check that training is resumed with the same data."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import Dataset, NeuralNetwork
from ..backends import to_host
from ..callbacks import Callback

_ROWS = 1 << 12
"""How many rows are hashed at a time; they may be in a file."""


class SameData(Callback):
    """Refuse to resume training with other rows.

    ``fit`` itself compares only some rows, because its data may be in compressed files, and reading
    them completely may take longer than an epoch.

    Parameters
    ----------
    folder : str
        The folder of the checkpoints, for messages.
    *parts : Dataset or None
        The rows to train on and to evaluate after each epoch.
    """

    state_names = ("digest",)

    def __init__(self, folder: str, *parts: Dataset | None) -> None:
        self.folder, self.digest = folder, _digest(parts)

    def on_resume(
        self, network: NeuralNetwork, columns: Sequence[str], state: dict[str, Any]
    ) -> None:
        """Compare the data with those of the checkpoint."""
        if state.get("digest") != self.digest:
            raise ValueError(
                f"--resume {self.folder}: the rows to train on, or to evaluate after each "
                "epoch, are not those of the first run: give the same files and options, or "
                "another folder"
            )


def _digest(parts: Sequence[Dataset | None]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in filter(None, parts):
        found.update(repr((len(part), part.n_features, part.categories)).encode())
        for start in range(0, len(part), _ROWS):
            rows = part[start : start + _ROWS]
            for values in (rows.X, rows.y):
                found.update(np.ascontiguousarray(to_host(values)).tobytes())
    return found.hexdigest()
