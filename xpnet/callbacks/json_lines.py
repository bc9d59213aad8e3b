"""A callback that writes the numbers of each epoch as lines of JSON."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.checks import check_new_path
from ..common.replacing import replacing
from ..neuralnet import NeuralNetwork
from ..training.callback import Callback
from .logs import rows_of


class JSONLogger(Callback):
    """Write a line of JSON after each complete epoch: an object with the columns of the history.

    Missing values are ``null``. After ``fit(resume=...)`` the file has exactly one line for each
    epoch: lines of epochs after the checkpoint are removed, and missing lines are taken from the
    history.

    Parameters
    ----------
    path : str or path-like
        Usually ends in ``.jsonl``. An existing file is replaced.

    Raises
    ------
    OSError
        From ``fit``: the file cannot be written.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.callbacks import JSONLogger
    >>> net = NeuralNetwork(epochs=2, seed=0).add(DenseLayer(1, input_shape=(1,)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "epochs.jsonl")
    ...     net = net.fit(([[0.0], [1.0]], [0.0, 1.0]), callbacks=JSONLogger(path))
    ...     rows = [json.loads(line) for line in path.read_text().splitlines()]
    >>> [row["epoch"] for row in rows], sorted(rows[0])
    ([1, 2], ['epoch', 'learning_rate', 'loss', 'seconds'])
    """

    state_names = ("_first",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = check_new_path("path", path)
        self._first = 1  # the first epoch of the training

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Begin a new file."""
        self._first = network.history.epochs + 1
        self._replace(network)

    def on_resume(
        self, network: NeuralNetwork, columns: Sequence[str], state: dict[str, Any]
    ) -> None:
        """Leave one line for each epoch so far."""
        self._first = state["_first"]
        self._replace(network)

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Append the epoch's line."""
        with self.path.open("ab", buffering=0) as file:  # in one write
            file.write(_line(row))

    def _replace(self, network: NeuralNetwork) -> None:
        """Rewrite the file with the history of this training run, one line per epoch."""
        history = network.history
        with replacing(self.path) as file:
            file.writelines(map(_line, rows_of(history, range(self._first, history.epochs + 1))))


def _line(row: Mapping[str, float]) -> bytes:
    numbers = {name: value if math.isfinite(value) else None for name, value in row.items()}
    return json.dumps(numbers, ensure_ascii=False).encode() + b"\n"
