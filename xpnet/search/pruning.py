"""A callback that ends unpromising Optuna trials early."""

import math
from collections.abc import Sequence
from typing import Any

from ..callbacks.monitor import check_watched, direction_of_column
from ..neuralnet import NeuralNetwork
from ..training.callback import Callback


class OptunaPruning(Callback):
    """Report each epoch to an Optuna trial, and end the trial if Optuna prunes it.

    Parameters
    ----------
    trial : optuna.Trial
        The trial that the objective function gets.
    monitor : str, default "val_loss"
        The column of the history to report. Pruners compare its values in the study's direction.

    Examples
    --------
    >>> import optuna
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.search import OptunaPruning
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> def objective(trial):
    ...     rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    ...     net = NeuralNetwork(epochs=5, learning_rate=rate, seed=0).add(DenseLayer(1, (1,)))
    ...     net.fit((X, y), validation=(X, y), callbacks=OptunaPruning(trial, "val_loss"))
    ...     return net.history["val_loss"][-1]
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(objective, n_trials=3)
    >>> len(study.trials)
    3
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, monitor

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Refuse a column that is missing, or that the study would minimize instead of maximize."""
        check_watched(self, self.monitor, columns, network)
        known = direction_of_column(network, self.monitor)
        # A FixedTrial has no study; with several objectives Optuna cannot prune.
        study = getattr(self.trial, "study", None)
        asked = [each.name for each in getattr(study, "directions", ())]
        if known and asked == ["MINIMIZE" if known == "max" else "MAXIMIZE"]:
            better = "larger" if known == "max" else "smaller"
            raise ValueError(
                f"{self.monitor!r} is better when {better}, but the study would prune the trials "
                f"where it is {better}: monitor another column, or use "
                f"create_study(direction='{known}imize')"
            )

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Report the epoch; raise ``optuna.TrialPruned`` if Optuna prunes the trial."""
        value = row.get(self.monitor, math.nan)
        if math.isnan(value):
            return
        import optuna

        self.trial.report(value, int(row["epoch"]))
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"pruned in epoch {row['epoch']:.0f}")
