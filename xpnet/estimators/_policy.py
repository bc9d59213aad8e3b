"""Update the loss curve and the learning rate after each epoch, and decide when to stop.

The rules are those that scikit-learn documents for ``learning_rate``, ``tol``, ``n_iter_no_change``
and ``early_stopping``.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

from sklearn.exceptions import ConvergenceWarning

from ..backends._warnings import warn
from ..model.snapshot import Snapshot
from ..neuralnet import NeuralNetwork
from ..optimizers import SGD
from ..schedules import Schedule
from ..schedules.wrapping import WrappingSchedule
from ..training.callback import Callback
from ..training.errors import DivergedError

_TO_CONVERGE = "Lower learning_rate_init, or standardise the features and the targets."


class CurrentRate(Schedule):
    """A learning rate that is set from outside, by :class:`Policy`.

    Parameters
    ----------
    rate : float
        The first learning rate.
    """

    state_names = ("initial", "rate")

    def __init__(self, rate: float) -> None:
        self.initial = self.rate = float(rate)

    def learning_rate(self, epoch: float, epochs: int) -> float:
        """Return the current rate."""
        return self.rate


class Policy(Callback):
    """Watch the training of an estimator, and keep its attributes up to date.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
    n_samples : int
        The number of samples in an epoch.
    score : callable, optional
        Returns the score on held-out samples, for early stopping.
    incremental : bool, default False
        Whether ``partial_fit`` was called, which trains for one epoch.
    """

    def __init__(
        self,
        est: Any,
        n_samples: int,
        score: Callable[[], float] | None = None,
        incremental: bool = False,
    ) -> None:
        self.est, self._n_samples, self._score = est, n_samples, score
        self._incremental = incremental
        self._best: Snapshot | None = None
        self._best_epoch = 0
        self._nonfinite_scores: list[float] = []
        self._validates = False

    def on_train_begin(self, network: NeuralNetwork, columns: Sequence[str]) -> None:
        """Keep the initial weights, which are the best if no score is finite."""
        self._validates = "val_loss" in columns
        if self._score is not None and self.est.best_validation_score_ == -math.inf:
            self._best, self._best_epoch = network.snapshot(), network.history.epochs

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Record the epoch; stop, or change the learning rate, as the rules say."""
        est = self.est
        self._count(
            _reported(est, row), _reported(est, row, "val_loss") if self._validates else math.nan
        )
        self._compare(network)
        if est.learning_rate == "invscaling" and _changes(network):
            initial = cast(CurrentRate, _current(network)).initial
            _set_rate(network, initial / (est.t_ + 1.0) ** float(est.power_t))
        if est._no_improvement_count > est.n_iter_no_change and self._ends(network):
            network.stop_training = True
        elif est.n_iter_ == est.max_iter and not self._incremental:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    def _count(self, loss: float, validation_loss: float) -> None:
        """Record an epoch's losses."""
        est = self.est
        est.n_iter_ += 1
        est.t_ += self._n_samples
        est.loss_ = loss
        est.loss_curve_.append(loss)
        if self._validates:
            est.validation_loss_curve_.append(validation_loss)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")

    def _compare(self, network: NeuralNetwork) -> None:
        """Count the epochs since the last improvement by ``tol``; keep the best for early stopping.

        A score that is not finite is no improvement: an infinite score would never be beaten.
        """
        est = self.est
        if self._score is None:
            improved = est.loss_ <= est.best_loss_ - est.tol
            est.best_loss_ = min(est.loss_, est.best_loss_)
        else:
            score = self._score()
            est.validation_scores_.append(score)
            network.history.add("val_score", score)
            if est.verbose:
                print(f"Validation score: {score:f}")
            finite = math.isfinite(score)
            if not finite:
                self._nonfinite_scores.append(score)
            improved = finite and score >= est.best_validation_score_ + est.tol
            if finite and score > est.best_validation_score_:
                est.best_validation_score_ = score
                self._best, self._best_epoch = network.snapshot(), network.history.epochs
        est._no_improvement_count = 0 if improved else est._no_improvement_count + 1

    def _ends(self, network: NeuralNetwork) -> bool:
        """Decide whether training ends here; otherwise divide the learning rate by 5."""
        est = self.est
        what = "Training loss" if self._score is None else "Validation score"
        text = (
            f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} "
            "consecutive epochs."
        )
        if est.learning_rate != "adaptive" or not _changes(network):
            ends, text = True, f"{text} Stopping."
        elif (rate := cast(CurrentRate, _current(network)).rate) <= 1e-6:
            ends, text = True, f"{text} Learning rate too small. Stopping."
        else:
            _set_rate(network, rate / 5.0)
            est._no_improvement_count = 0
            ends, text = False, f"{text} Setting learning rate to {rate / 5.0:f}"
        if est.verbose:
            print(text)
        return ends

    def on_diverged(self, network: NeuralNetwork, error: DivergedError) -> bool:
        """Record the epoch with a loss of NaN; with early stopping, end with the best weights."""
        self._count(math.nan, math.nan)
        network.mark_fitted()  # even after the first epoch: another callback may end training
        if self._score is None:
            return False
        self.est.validation_scores_.append(math.nan)
        self._nonfinite_scores.clear()  # the divergence explains them
        warn(
            "Stochastic Optimizer: training diverged: the loss became NaN or infinite in epoch "
            f"{self.est.n_iter_}. {self._kept()} {_TO_CONVERGE}",
            ConvergenceWarning,
        )
        return True

    def _kept(self) -> str:
        """Say which weights early stopping keeps."""
        if self.est.best_validation_score_ == -math.inf:
            return "The weights are the initial random weights: nothing was learned."
        return "The weights are those with the best validation score."

    def restore_best(self) -> None:
        """Go back to the epoch with the best score on held-out samples."""
        if self._nonfinite_scores:
            advice = _TO_CONVERGE if self.est.scoring is None else "Give another scoring."
            warn(
                f"Stochastic Optimizer: the validation score was {self._nonfinite_scores[0]} in "
                f"{len(self._nonfinite_scores)} epoch(s), which count as no improvement. "
                f"{self._kept()} {advice}",
                ConvergenceWarning,
            )
        if self._best is not None:
            self._best.restore()
            self.est.history_.kept_epoch = self._best_epoch


def _reported(est: Any, row: dict[str, float], name: str = "loss") -> float:
    """Return an epoch's loss as scikit-learn reports it, penalty included."""
    penalty = row.get("penalty", 0.0)
    return (row[name] - penalty) * float(est._loss_scale()) + penalty


def _changes(network: NeuralNetwork) -> bool:
    """Whether the network's optimizer has a learning rate that the policies may change.

    After ``set_params`` it may still be the optimizer of an earlier ``partial_fit``.
    """
    return isinstance(network.optimizer, SGD) and _current(network) is not None


def _current(network: NeuralNetwork) -> CurrentRate | None:
    """Return the schedule that the policies set, even if a callback scales it."""
    schedule = network.optimizer.schedule
    while isinstance(schedule, WrappingSchedule):
        schedule = schedule.schedule
    return schedule if isinstance(schedule, CurrentRate) else None


def _set_rate(network: NeuralNetwork, rate: float) -> None:
    """Change the learning rate from the next epoch on.

    scikit-learn's momentum accumulates steps, each with the learning rate of its own time. Ours
    accumulates gradients, which are rescaled here to the same effect.
    """
    optimizer: Any = network.optimizer
    schedule = cast(CurrentRate, _current(network))
    before, schedule.rate = schedule.rate, rate
    if optimizer.retained_gradient is not None:
        optimizer.retained_gradient = optimizer.retained_gradient * (before / rate)
