"""scikit-learn's ``MLPClassifier``, and that of :mod:`xpnet.estimators`."""

import warnings
from typing import Any

import numpy as np

from .case import Case
from .peer import LeftOutError, Peer


class Estimator(Peer):
    """Time ``fit`` from the initial weights, or ``predict``, with default settings otherwise."""

    takes_sparse = True

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.device != "cpu" and not self.on_gpu:
            raise LeftOutError("scikit-learn's networks are for the CPU")
        self.case, self.X, self.y = case, X, y
        self.restart()
        if case.task == "predict":
            self.model.set_params(max_iter=1)
            self._fit(X[:_TRAINED], y[:_TRAINED])

    on_gpu = False

    def make(self, **settings: Any) -> Any:
        """Return the estimator."""
        raise NotImplementedError

    def restart(self) -> None:
        """Make a new estimator for ``fit``; keep the fitted one for ``predict``."""
        case = self.case
        if case.task == "predict" and hasattr(self, "model"):
            return
        self.model = self.make(
            hidden_layer_sizes=case.sizes[1:-1],
            solver=case.optimizer,
            batch_size=case.batch_size,
            max_iter=case.epochs,
            random_state=case.seed,
        )

    def epoch(self) -> float | None:
        """Fit and return the loss, or predict ``case.epochs`` times."""
        if self.case.task == "predict":
            rows = self.X[: self.case.rows]
            for _ in range(self.case.epochs):
                self.model.predict(rows)
            return None
        self._fit(self.X, self.y)
        return float(self.model.loss_)

    def _fit(self, X: Any, y: np.ndarray) -> None:
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(X, y)


_TRAINED = 2000
"""The number of samples to fit on before timing ``predict``."""


class SklearnEstimator(Estimator):
    """scikit-learn's estimator."""

    def make(self, **settings: Any) -> Any:
        """Return the estimator."""
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(**settings)


class XpnetEstimator(Estimator):
    """xpnet's estimator, with the same settings, classes, initial weights and batches."""

    on_gpu = True

    def make(self, **settings: Any) -> Any:
        """Return the estimator."""
        from xpnet.estimators import MLPClassifier

        return MLPClassifier(**settings, device=self.case.device)
