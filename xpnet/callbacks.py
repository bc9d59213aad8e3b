"""Callbacks: objects that stop training, keep the best network, or record progress.

A new callback is a subclass of :class:`Callback` with the methods that it needs.
"""

import csv
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .backends._warnings import warn
from .common.checks import check_count, check_flag, check_fraction, check_non_negative, check_path
from .common.direction import check_mode, direction_of
from .model.snapshot import Snapshot
from .neuralnet import NeuralNetwork
from .training.callback import Callback
from .training.errors import DivergedError

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "StopOnNaN",
    "TensorBoard",
    "Watch",
]


class _Monitor(Callback):
    """A callback that watches a column of the history.

    Parameters
    ----------
    monitor : str
    mode : {"auto", "min", "max"}
        Whether small or large values are better. "auto" is "min" for losses and the penalty; for
        a metric it is the metric's own direction (:attr:`xpnet.metrics.Metric.greater_is_better`).
    min_delta : float
        The smallest change that counts as an improvement. An infinite value never does.
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        self.monitor, self.mode = monitor, check_mode(mode)
        self.min_delta = check_non_negative("min_delta", min_delta)
        self._sign = 1.0
        self.best = math.inf

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Refuse a column that the history will not have."""
        check_watched(self, self.monitor, columns, network)
        self._sign = -1.0 if self._direction(network) == "max" else 1.0
        self.best = math.inf

    def _direction(self, network: NeuralNetwork) -> str:
        found = direction_of_column(network, self.monitor) if self.mode == "auto" else self.mode
        if found is None:
            raise ValueError(
                f"{type(self).__name__} watches {self.monitor!r}, but does not know whether small "
                "or large values are better: give mode='min' or mode='max'"
            )
        return found

    def _improves(self, row: dict[str, float]) -> bool | None:
        """Return whether an epoch is the best so far, and remember it; None if it has no value."""
        value = self._sign * row.get(self.monitor, math.nan)
        if math.isnan(value):  # an epoch without validation
            return None
        if math.isfinite(value) and (value < self.best - self.min_delta):
            self.best = value
            return True
        return False


class EarlyStopping(_Monitor):
    """Ends training when a column has not improved for some epochs. Prechelt 1998.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A column of the history: "loss", "metric", "val_loss" or "val_metric", say. A metric's own
        name is not one.
    min_delta : float, default 0.0
        The smallest change that counts as an improvement.
    patience : int, default 5
        How many epochs without an improvement are tolerated. Epochs without a value in the column
        do not count.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large values are better. "auto" knows this for losses and for the metrics
        of this library. For a metric that is a function, give "min" or "max".
    restore_best_weights : bool, default True
        Whether the network gets the parameters of its best epoch when training ends, early or not.
        The history keeps the later epochs.

    Attributes
    ----------
    best_epoch : int or None
        The best epoch, from 1.
    stopped_epoch : int or None
        The epoch after which training was ended early, from 1.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 5,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check_count("patience", patience, least=0)
        self.restore_best_weights = check_flag("restore_best_weights", restore_best_weights)
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._kept: Snapshot | None = None

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Begin anew."""
        super().on_train_begin(network, columns)
        self.best_epoch = self.stopped_epoch = self._kept = None
        self._waited = 0

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Keep the best network; end training after too many epochs without an improvement."""
        improves = self._improves(row)
        if improves is None:
            return
        if improves:
            self.best_epoch, self._waited = int(row["epoch"]), 0
            if self.restore_best_weights:
                self._kept = network.snapshot()
            return
        self._waited += 1
        if self._waited > self.patience:
            self.stopped_epoch = int(row["epoch"])
            network.stop_training = True

    def on_train_end(self, network: NeuralNetwork) -> None:
        """Restore the network of the best epoch."""
        if self._kept is not None and self.best_epoch != network.history.epochs:
            self._kept.restore()
        self._kept = None


class ReduceLROnPlateau(_Monitor):
    """Reduces the learning rate when a column has not improved for some epochs.

    It multiplies the learning rate from the optimizer's schedule. The schedule
    :class:`~xpnet.ReduceOnPlateau` does this too, and is saved with a network.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A column of the history.
    factor : float, default 0.1
        Multiplies the learning rate; in [0, 1).
    patience : int, default 10
        How many epochs without an improvement are tolerated.
    min_delta : float, default 1e-4
        The smallest change that counts as an improvement.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large values are better; "auto" knows this for losses and most metrics.
    cooldown : int, default 0
        The number of epochs after a reduction that do not count towards ``patience``.
    min_lr : float, default 0.0
        The learning rate is not reduced below this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: str = "auto",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = check_fraction("factor", factor)
        self.patience = check_count("patience", patience, least=0)
        self.cooldown = check_count("cooldown", cooldown, least=0)
        self.min_lr = check_non_negative("min_lr", min_lr)
        self._scale, self._waited, self._cooling = 1.0, 0, 0

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Begin anew."""
        super().on_train_begin(network, columns)
        self._scale, self._waited, self._cooling = 1.0, 0, 0

    def on_epoch_begin(self, network: NeuralNetwork, epoch: int) -> None:
        """Scale the epoch's learning rate."""
        optimizer = network.optimizer
        least = min(self.min_lr, optimizer.learning_rate)
        optimizer.learning_rate = max(optimizer.learning_rate * self._scale, least)

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Count epochs without an improvement."""
        improves = self._improves(row)
        if improves is None:
            return
        self._waited = 0 if improves or self._cooling else self._waited + 1
        self._cooling = max(self._cooling - 1, 0)
        if self._waited > self.patience:
            self._scale *= self.factor
            self._waited, self._cooling = 0, self.cooldown


class ModelCheckpoint(_Monitor):
    """Saves the network to a file, every few epochs or when it is the best so far.

    Parameters
    ----------
    path : str or path-like
        Columns of the history in braces are filled in: ``"net-{epoch:03d}-{val_loss:.4f}.xpnet"``.
        The epoch is an integer; all other columns are floats.
    monitor : str, default "val_loss"
        The column of the history that ``best_only`` compares.
    best_only : bool, default False
        Whether to save the network only when it is better than in all earlier epochs.
    every : int, default 1
        The number of epochs between files; not used with ``best_only``.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large values are better; "auto" knows this for losses and most metrics.

    Attributes
    ----------
    saved : list of str
        The paths of the files that were written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        best_only: bool = False,
        every: int = 1,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.path = os.fspath(check_path("path", path))
        self.best_only = check_flag("best_only", best_only)
        self.every = check_count("every", every)
        self.saved: list[str] = []

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Refuse a path that cannot be filled in, or whose folder does not exist."""
        if self.best_only:
            super().on_train_begin(network, columns)
        try:
            path = Path(self._path_for(dict.fromkeys(columns, 1.0)))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(
                f"path={self.path!r} cannot be filled in ({error}): the history will have "
                f"{', '.join(columns)}"
            ) from error
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"there is no folder {path.parent} to save networks in: make it first"
            )

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Save the network if this epoch is due."""
        epoch = int(row["epoch"])
        if self._improves(row) if self.best_only else epoch % self.every == 0:
            path = self._path_for(row)
            network.save(path)
            self.saved.append(path)

    def _path_for(self, row: dict[str, float]) -> str:
        return self.path.format(**row | {"epoch": int(row["epoch"])})


class CSVLogger(Callback):
    """Writes a row to a CSV file after each epoch.

    Parameters
    ----------
    path : str or path-like
    append : bool, default False
        Whether to append to an existing file, e.g. when training is continued.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path, self.append = check_path("path", path), check_flag("append", append)
        self._columns: list[str] = []

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Write the header, or compare it with that of the existing file."""
        self._columns = list(columns)
        if self.append and self.path.exists() and self.path.stat().st_size:
            with self.path.open(newline="", encoding="utf-8") as file:
                found = next(csv.reader(file))
            if found != self._columns:
                raise ValueError(
                    f"{self.path} has the columns {', '.join(found)}, but this training has "
                    f"{', '.join(self._columns)}: give another file, or append=False"
                )
            return
        with self.path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(self._columns)

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Write the epoch's row; missing values are empty cells."""
        values = (row.get(name, math.nan) for name in self._columns)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow("" if math.isnan(value) else value for value in values)


class TensorBoard(Callback):
    """Writes scalars for TensorBoard, with ``tensorboardX``.

    Parameters
    ----------
    folder : str or path-like
        A separate folder for each run; give ``tensorboard --logdir`` their common parent.

    Raises
    ------
    ImportError
        tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "TensorBoard needs tensorboardX: pip install 'xpnet[tensorboard]'"
            ) from error
        self.folder = os.fspath(check_path("folder", folder))
        self._writer: Any = None

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Open the run's file."""
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(self.folder)

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Write the epoch's numbers."""
        for name, value in row.items():
            if name != "epoch" and not math.isnan(value):
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()

    def on_train_end(self, network: NeuralNetwork) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class LambdaCallback(Callback):
    """A callback made of functions, which take the arguments of the methods that they replace.

    Parameters
    ----------
    on_train_begin, on_epoch_begin, on_epoch_end, on_train_end : callable, optional
    """

    def __init__(
        self,
        on_train_begin: Callable[..., Any] | None = None,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
    ) -> None:
        given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
        }
        for name, function in given.items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name}={function!r}: expected a function")
            setattr(self, name, function)


class Watch(Callback):
    """Warns of dead units, once for each layer, and of a loss that does not change.

    Parameters
    ----------
    data : Dataset, (X, y) or (X, y, sample_weight)
        Samples on which the layers are inspected after each epoch.
    most_dead : float, default 0.3
        The proportion of a layer's ReLU units that may output 0 for all of these samples.
    patience : int, default 5
        The number of epochs within which the loss must change by a thousandth.
    """

    def __init__(self, data: Any, most_dead: float = 0.3, patience: int = 5) -> None:
        self.data = data
        self.most_dead = check_fraction("most_dead", most_dead)
        self.patience = check_count("patience", patience)
        self._said: set[str] = set()
        self._losses: list[float] = []

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Begin anew."""
        self._said, self._losses = set(), []

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Check the loss and the layers."""
        epoch = int(row["epoch"])
        self._losses = [*self._losses, row["loss"]][-self.patience - 1 :]
        span = max(self._losses) - min(self._losses)
        if len(self._losses) > self.patience and span < 1e-3 * abs(self._losses[-1]):
            self._say(
                "loss",
                f"the loss has not changed for {self.patience} epochs ({row['loss']:.4g} in epoch "
                f"{epoch}): try another learning rate (xpnet.search.find_learning_rate), "
                "standardised features, or another initializer",
            )
        for number, layer in enumerate(network.inspect(self.data).layers, 1):
            if "ReLU" in layer.layer and layer.dead > self.most_dead * layer.units:
                self._say(
                    f"layer {number}",
                    f"{layer.dead} of {layer.units} units of layer {number} ({layer.layer}) output "
                    f"0 for all samples in epoch {epoch}, so they cannot learn: lower the "
                    "learning rate, or use LeakyReLUActivation or initializer='he_normal'",
                )

    def _say(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warn(text, RuntimeWarning)


class StopOnNaN(Callback):
    """Ends training without an error if it diverges, i.e. the loss becomes NaN or infinite.

    The network is as it was before that epoch.

    Attributes
    ----------
    message : str or None
        The message that the error would have had; None if training did not diverge.
    """

    def __init__(self) -> None:
        self.message: str | None = None

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Begin anew."""
        self.message = None

    def on_diverged(self, network: NeuralNetwork, error: DivergedError) -> bool:
        """Keep the message, and end training."""
        self.message = str(error)
        return True


def direction_of_column(network: NeuralNetwork, column: str) -> str | None:
    """Return "min" or "max" for a column of the history; None if its direction is unknown."""
    column = column.removeprefix("val_")
    if column == "metric":
        return direction_of(network.metric)
    return "min" if column in ("loss", "penalty") else None


def check_watched(
    callback: Callback, monitor: str, columns: Sequence[str], network: NeuralNetwork
) -> None:
    """Refuse a column that the history will not have.

    Raises
    ------
    ValueError
        The message lists the columns it will have.
    """
    if monitor in columns:
        return
    # Progress lines and plots show the metric's own name, so users may have given that.
    column = str(monitor).replace(network.history.metric_name, "metric")
    lacks_validation = column.startswith("val_") and "val_loss" not in columns
    hint = " (give fit its validation data)" if lacks_validation else ""
    advice = f"write {column!r}; " if column in ("metric", "val_metric") else ""
    raise ValueError(
        f"{type(callback).__name__} watches {monitor!r}, which the history will not have{hint}: "
        f"{advice if column != monitor else ''}it will have {', '.join(columns)}"
    )
