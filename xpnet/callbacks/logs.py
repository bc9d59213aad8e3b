"""Callbacks that log the history of each epoch to files."""

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..common.checks import check_flag, check_new_path, check_path
from ..common.replacing import check_writable, replacing
from ..neuralnet import NeuralNetwork
from ..training.callback import Callback
from ..training.history import History


def rows_of(history: History, epochs: Iterable[int]) -> Iterator[dict[str, float]]:
    """Yield the history's rows of the complete epochs among ``epochs``."""
    for epoch in epochs:
        if epoch not in history.incomplete:
            yield {name: column[epoch - 1] for name, column in history.items()}


class CSVLogger(Callback):
    """Write all columns of the history to a CSV file, one row per complete epoch.

    Columns that other callbacks add to the history, such as the ``val_score`` of estimators with
    early stopping, are the last columns of the file. Those callbacks must come before this one.

    After ``fit(resume=...)`` the file has exactly one row per epoch: an incomplete last line and
    rows of epochs after the checkpoint are removed, and missing rows are taken from the history.

    Parameters
    ----------
    path : str or path-like
    append : bool, default False
        Whether to append to an existing file, e.g. to continue training; by default, the file is
        replaced. An incomplete last line, left by a killed process, is replaced by the history's
        row of its epoch.

    Raises
    ------
    ValueError
        From ``fit``: with ``append``, the file has other columns than the history.
    OSError
        From ``fit``: the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from xpnet import CSVLogger, DenseLayer, NeuralNetwork
    >>> net = NeuralNetwork(epochs=2, seed=0).add(DenseLayer(1, input_shape=(1,)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "epochs.csv")
    ...     net = net.fit(([[0.0], [1.0]], [0.0, 1.0]), callbacks=CSVLogger(path))
    ...     lines = path.read_text().splitlines()
    >>> lines[0], len(lines)
    ('epoch,loss,learning_rate,seconds', 3)
    """

    state_names = ("_first", "_earlier", "_added")

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path, self.append = check_new_path("path", path), check_flag("append", append)
        self._columns: list[str] = []
        self._added: list[str] = []  # columns of other callbacks
        self._first, self._earlier = 1, 0  # first epoch, number of rows before it

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Write the header, or compare it with the header of the existing file."""
        self._columns, self._added = list(columns), []
        self._first = network.history.epochs + 1
        lines, is_torn = self._lines() if self.append else ([], False)
        if is_torn and lines:
            missing = range(self._epoch(lines[-1]) + 1, self._first)
            lines += self._rows(network, missing)
        if is_torn or not lines:
            self._replace(lines)
        else:
            check_writable(self.path)
        self._earlier = len(lines)

    def on_resume(
        self, network: NeuralNetwork, columns: Sequence[str], state: dict[str, Any]
    ) -> None:
        """Rewrite the file with one row for each epoch so far."""
        self._added = list(state.get("_added", []))
        self._columns = [*columns, *self._added]
        self._first, self._earlier = state["_first"], state["_earlier"]
        lines = self._lines()[0] if self.append else []
        epochs = range(self._first, network.history.epochs + 1)
        self._replace([*lines[: self._earlier], *self._rows(network, epochs)])

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Write the epoch's row; missing values are empty cells."""
        names = self._columns
        if new := [each for each in row if each not in names and not math.isnan(row[each])]:
            self._add_columns(network, new)
            return
        with self.path.open("ab", buffering=0) as file:  # in one write
            file.write(self._line(row))

    def _add_columns(self, network: NeuralNetwork, names: list[str]) -> None:
        """Rewrite the file with more columns, which are empty in the rows of earlier runs."""
        lines = self._lines()[0][: self._earlier] if self.append else []
        padded = [line.rstrip(b"\r\n") + b"," * len(names) + b"\r\n" for line in lines]
        self._columns, self._added = [*self._columns, *names], [*self._added, *names]
        epochs = range(self._first, network.history.epochs + 1)
        self._replace([*padded, *self._rows(network, epochs)])

    def _lines(self) -> tuple[list[bytes], bool]:
        """Return the complete rows of the file, and whether an incomplete line follows them.

        Raises
        ------
        ValueError
            The file's columns differ.
        """
        if not self.path.exists():
            return [], False
        lines = self.path.read_bytes().splitlines(keepends=True)
        is_torn = bool(lines) and not lines[-1].endswith(b"\n")
        if is_torn:
            lines.pop()
        if not lines:
            return [], is_torn
        found = next(csv.reader([lines[0].decode("utf-8")]))
        if not self._added and found[: len(self._columns)] == self._columns:
            self._added = found[len(self._columns) :]
            self._columns = found
        if found != self._columns:
            raise ValueError(
                f"{self.path} has the columns {', '.join(found)}, but this training has "
                f"{', '.join(self._columns)}: give another path, or append=False"
            )
        return lines[1:], is_torn

    def _epoch(self, line: bytes) -> int:
        """Return the epoch of a row."""
        try:
            return int(float(line.split(b",", 1)[0]))
        except ValueError:
            raise ValueError(
                f"{self.path} has the line {line!r}, which does not begin with an epoch: give "
                "another path, or append=False"
            ) from None

    def _rows(self, network: NeuralNetwork, epochs: Iterable[int]) -> list[bytes]:
        """Return the history's rows of the complete epochs among ``epochs``, as lines."""
        return [self._line(row) for row in rows_of(network.history, epochs)]

    def _line(self, row: dict[str, float]) -> bytes:
        values = [row.get(name, math.nan) for name in self._columns]
        return _encoded("" if math.isnan(value) else value for value in values)

    def _replace(self, lines: Iterable[bytes]) -> None:
        """Replace the file with the header and these lines."""
        with replacing(self.path) as file:
            file.write(_encoded(self._columns) + b"".join(lines))


def _encoded(cells: Iterable[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode("utf-8")


class TensorBoard(Callback):
    """Write the history of each epoch as scalars for TensorBoard, with ``tensorboardX``.

    Parameters
    ----------
    folder : str or path-like
        A separate folder for each run; pass their common parent to ``tensorboard --logdir``. When
        training is resumed, TensorBoard hides the earlier points of epochs that are repeated.

    Raises
    ------
    ImportError
        tensorboardX is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from xpnet import DenseLayer, NeuralNetwork, TensorBoard
    >>> net = NeuralNetwork(epochs=2, seed=0).add(DenseLayer(1, input_shape=(1,)))
    >>> with tempfile.TemporaryDirectory() as runs:  # usually a folder that stays
    ...     board = TensorBoard(f"{runs}/first")  # then: tensorboard --logdir runs
    ...     net = net.fit(([[0.0], [1.0]], [0.0, 1.0]), callbacks=board)
    ...     len(list(Path(runs, "first").iterdir()))
    1
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError as error:
            raise ImportError("TensorBoard needs tensorboardX: pip install tensorboardX") from error
        self.folder = os.fspath(check_path("folder", folder))
        self._writer: Any = None

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Open the run's event file."""
        self._open()

    def on_resume(
        self, network: NeuralNetwork, columns: Sequence[str], state: dict[str, Any]
    ) -> None:
        """Open another event file, which replaces the epochs after the checkpoint."""
        self._open(purge_step=network.history.epochs + 1)

    def _open(self, **options: Any) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(self.folder, **options)

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Write the epoch's values."""
        for name, value in row.items():
            if name != "epoch" and not math.isnan(value):
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()

    def on_train_end(self, network: NeuralNetwork) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
