"""Callbacks that end training or reduce the learning rate."""

import time
from collections.abc import Sequence

from ..common.checks import (
    check_count,
    check_flag,
    check_fraction,
    check_non_negative,
    check_positive,
)
from ..model.snapshot import Snapshot
from ..neuralnet import NeuralNetwork
from ..schedules import ScaledSchedule, Schedule
from ..training.callback import Callback
from ..training.errors import DivergedError
from .monitor import Monitor


class EarlyStopping(Monitor):
    """End training when a column of the history has not improved for some epochs. Prechelt 1998.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A column of the history, such as "loss", "accuracy", "val_loss" or "val_accuracy".
    min_delta : float, default 0.0
        A change must be larger than this to count as an improvement.
    patience : int, default 5
        Training ends after this many consecutive epochs without an improvement, as in Keras; 0
        means the same as 1. Epochs without a value in the column do not count.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large values are better. "auto" works for losses and for the metrics of
        this library. For a metric that is a function, give "min" or "max".
    restore_best_weights : bool, default True
        Whether the network gets the parameters of its best epoch when training ends, early or not.
        The history keeps the later epochs.
    start_from_epoch : int, default 0
        The number of initial epochs to ignore, e.g. while the learning rate warms up. They are
        counted from the first epoch of the network's history.

    Attributes
    ----------
    best_epoch : int or None
        The best epoch, from 1.
    stopped_epoch : int or None
        The epoch after which training was ended, from 1; None if it was not ended early.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid. From ``fit``: the history has no column ``monitor``, or
        ``mode`` must be given because the direction of the column is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, EarlyStopping, NeuralNetwork
    >>> X = np.random.default_rng(0).random((40, 2))
    >>> net, stopping = NeuralNetwork(seed=0).add(DenseLayer(1, (2,))), EarlyStopping(patience=2)
    >>> fitted = net.fit((X[:30], X[:30, 0]), validation=(X[30:], X[30:, 0]), callbacks=stopping)
    >>> stopping.best_epoch is not None
    True
    """

    state_names = (*Monitor.state_names, "best_epoch", "stopped_epoch", "_waited", "_kept")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 5,
        mode: str = "auto",
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check_count("patience", patience, least=0)
        self.restore_best_weights = check_flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = check_count("start_from_epoch", start_from_epoch, least=0)
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._kept: Snapshot | None = None

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Reset the state."""
        super().on_train_begin(network, columns)
        self.best_epoch = self.stopped_epoch = self._kept = None
        self._waited = 0

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Keep the best network; end training after too many epochs without an improvement."""
        if row["epoch"] <= self.start_from_epoch:
            return
        improves = self._improves(row)
        if improves is None:
            return
        if improves:
            self.best_epoch, self._waited = int(row["epoch"]), 0
            if self.restore_best_weights:
                self._kept = network.snapshot()
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = int(row["epoch"])
            network.stop_training = True

    def on_train_end(self, network: NeuralNetwork) -> None:
        """Restore the network of the best epoch, and record that epoch in the history."""
        history = network.history
        if self._kept is not None:
            if self.best_epoch != (history.kept_epoch or history.epochs):
                self._kept.restore()
            history.kept_epoch = self.best_epoch
        self._kept = None


class ReduceLROnPlateau(Monitor):
    """Reduce the learning rate when a column of the history has not improved for some epochs.

    It wraps the optimizer's schedule in a :class:`~xpnet.schedules.ScaledSchedule`, which
    multiplies all further rates by the factor, even in later calls of ``fit``. For the loss alone,
    without a cooldown, use the schedule :class:`~xpnet.ReduceOnPlateau`, without a callback.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A column of the history.
    factor : float, default 0.1
        Multiplies the learning rate; in [0, 1).
    patience : int, default 10
        The learning rate is reduced after this many consecutive epochs without an improvement, as
        in Keras; 0 means the same as 1. PyTorch's ``ReduceLROnPlateau`` waits one epoch longer.
    min_delta : float, default 1e-4
        A change must be larger than this to count as an improvement.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large values are better; "auto" works for losses and most metrics.
    cooldown : int, default 0
        The number of epochs after a reduction that do not count towards ``patience``, as in
        PyTorch; Keras counts the last of them.
    min_lr : float, default 0.0
        The learning rate is not reduced below this.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid. From ``fit``: the history has no column ``monitor``, or
        ``mode`` must be given because the direction of the column is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, ReduceLROnPlateau
    >>> X = np.random.default_rng(0).random((40, 2))
    >>> net = NeuralNetwork(learning_rate=0.1, seed=0).add(DenseLayer(1, (2,)))
    >>> plateau = ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=10.0)
    >>> net = net.fit((X, X[:, 0]), epochs=5, callbacks=plateau)
    >>> net.history["learning_rate"]
    [0.1, 0.1, 0.1, 0.05, 0.05]
    """

    state_names = (*Monitor.state_names, "_waited", "_cooling")

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
        self._waited = self._cooling = 0

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Reset the state."""
        super().on_train_begin(network, columns)
        self._waited = self._cooling = 0

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Count epochs without an improvement, and reduce the learning rate after too many."""
        improves = self._improves(row)
        if improves is None:
            return
        self._waited = 0 if improves or self._cooling else self._waited + 1
        self._cooling = max(self._cooling - 1, 0)
        if self._waited and self._waited >= self.patience:
            network.optimizer.schedule = self._reduced(network.optimizer.schedule)
            self._waited, self._cooling = 0, self.cooldown

    def _reduced(self, schedule: Schedule) -> Schedule:
        """Return the schedule with its rates multiplied by the factor."""
        if type(schedule) is ScaledSchedule and schedule.lowest == self.min_lr:
            factor = schedule.factor * self.factor
            return ScaledSchedule(schedule.schedule, factor, self.min_lr)
        return ScaledSchedule(schedule, self.factor, self.min_lr)


class TimeLimit(Callback):
    """End training after the epoch in which a time limit is reached.

    If training is resumed from a :class:`Checkpoint`, the time up to that checkpoint counts too.

    Parameters
    ----------
    seconds : float
        The limit of wall-clock time since training began; above 0.

    Attributes
    ----------
    used : float
        The seconds from the beginning of training to the end of the last epoch.

    Raises
    ------
    ValueError
        ``seconds`` is not a number above 0.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, TimeLimit
    >>> net = NeuralNetwork(epochs=10**6, seed=0).add(DenseLayer(1, (2,)))
    >>> net = net.fit(([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0]), callbacks=TimeLimit(0.1))
    >>> net.history.epochs < 10**6
    True
    """

    state_names = ("used",)

    def __init__(self, seconds: float) -> None:
        self.seconds = check_positive("seconds", seconds)
        self.used = 0.0
        self._last = 0.0

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Start the clock."""
        self.used, self._last = 0.0, time.monotonic()

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """End training if the time is up."""
        now = time.monotonic()
        self.used, self._last = self.used + now - self._last, now
        if self.used >= self.seconds:
            network.stop_training = True


class StopOnNaN(Callback):
    """End training without an error if it diverges, i.e. the loss becomes NaN or infinite.

    The network is restored to its state before that epoch.

    Attributes
    ----------
    message : str or None
        The message of the error that ``fit`` would have raised; None if training did not diverge.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, StopOnNaN
    >>> stop = StopOnNaN()
    >>> net = NeuralNetwork(epochs=50, learning_rate=1e6, seed=0).add(DenseLayer(1, (1,)))
    >>> net = net.fit(([[1.0], [2.0]], [1.0, 2.0]), callbacks=stop)
    >>> net.history.epochs < 50, stop.message is None
    (True, False)
    """

    state_names = ("message",)

    def __init__(self) -> None:
        self.message: str | None = None

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Reset the state."""
        self.message = None

    def on_diverged(self, network: NeuralNetwork, error: DivergedError) -> bool:
        """Keep the message, and end training."""
        self.message = str(error)
        return True
