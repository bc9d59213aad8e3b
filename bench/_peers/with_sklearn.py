"""scikit-learn."""

import statistics
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from .case import ADAM, SGD, Case
from .peer import LeftOutError, Peer


class Sklearn(Peer):
    """``MLPClassifier``: ``partial_fit`` for an epoch, ``fit`` for several."""

    takes_sparse = True
    note = "Adam instead of RMSProp, which it lacks"

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.device != "cpu":
            raise LeftOutError("scikit-learn's networks are for the CPU")
        self.case, self.X, self.y = case, X, y
        self.has_optimizer = case.optimizer != "rmsprop"
        self.restart()

    def restart(self) -> None:
        """Make a new classifier, which sets the initial weights at its first fit."""
        case = self.case
        settings = SGD if case.optimizer == "sgd" else ADAM
        arguments = {k: v for k, v in settings.items() if k != "learning_rate"}
        self.model = _WithWeights(
            hidden_layer_sizes=case.sizes[1:-1],
            solver="sgd" if case.optimizer == "sgd" else "adam",
            alpha=0.0,
            batch_size=case.batch_size,
            learning_rate_init=settings["learning_rate"],
            max_iter=case.epochs,
            # A generator, since with a number each partial_fit shuffles in the same order.
            random_state=np.random.RandomState(case.seed),
            tol=0.0,
            n_iter_no_change=np.inf,
            nesterovs_momentum=False,
            **arguments,
        )
        self.model.given = case.weights()

    def epoch(self) -> float:
        """Fit, and return the loss."""
        if self.case.epochs == 1:
            self.model.partial_fit(self.X, self.y, classes=np.unique(self.y))
            return float(self.model.loss_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.X, self.y)
        return statistics.fmean(self.model.loss_curve_)


class _WithWeights(MLPClassifier):
    """A classifier that starts from given weights, and checks the same data only once."""

    def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> Any:
        """Return the given weights of the next layer instead of random ones."""
        weights, biases = self.given.pop(0)
        assert weights.shape == (fan_in, fan_out)
        return weights.astype(dtype), biases.astype(dtype)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> Any:
        """Check the data in the first of many calls only, as in training for many epochs."""
        if not incremental:
            return super()._validate_input(X, y, incremental, reset)
        if not hasattr(self, "_checked"):
            self._checked = super()._validate_input(X, y, incremental, reset)
        return self._checked
