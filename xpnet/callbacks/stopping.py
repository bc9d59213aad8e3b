"""Callbacks that end training, or slow it down."""

from collections.abc import Sequence

from ..common.checks import check_count, check_flag, check_fraction, check_non_negative
from ..model.snapshot import Snapshot
from ..neuralnet import NeuralNetwork
from ..training.callback import Callback
from ..training.errors import DivergedError
from .monitor import Monitor


class EarlyStopping(Monitor):
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

    state_names = (*Monitor.state_names, "best_epoch", "stopped_epoch", "_waited", "_kept")

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
        """Restore the network of the best epoch, and note that epoch in the history."""
        history = network.history
        if self._kept is not None:
            if self.best_epoch != (history.kept_epoch or history.epochs):
                self._kept.restore()
            history.kept_epoch = self.best_epoch
        self._kept = None


class ReduceLROnPlateau(Monitor):
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

    state_names = (*Monitor.state_names, "_scale", "_waited", "_cooling")

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


class StopOnNaN(Callback):
    """Ends training without an error if it diverges, i.e. the loss becomes NaN or infinite.

    The network is as it was before that epoch.

    Attributes
    ----------
    message : str or None
        The message that the error would have had; None if training did not diverge.
    """

    state_names = ("message",)

    def __init__(self) -> None:
        self.message: str | None = None

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Begin anew."""
        self.message = None

    def on_diverged(self, network: NeuralNetwork, error: DivergedError) -> bool:
        """Keep the message, and end training."""
        self.message = str(error)
        return True
