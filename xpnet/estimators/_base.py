"""The base class of both estimators: parameters, fitting and conversion."""

import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ..backends import Array, to_host
from ..losses import LossFunction
from ..training.prediction import outputs
from ..training.steps.choice import Explanation
from ._conversion import from_sklearn, to_sklearn
from ._fitting import fit_estimator
from ._inputs import Home, features
from ._labels import names_of_classes
from ._network import export_weights, load_weights
from ._parameters import CONSTRAINTS
from ._pickling import from_plain, to_plain
from ._rollback import all_or_nothing
from ._stochastic import scratch_copy


class BaseMLP(BaseEstimator, ABC):
    """Base of :class:`MLPClassifier` and :class:`MLPRegressor`, which document the parameters."""

    best_loss_: float | None
    _in_training = False
    _trained_by = ""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    # ---- defined by the subclasses

    @abstractmethod
    def _encode(self, y: Any, incremental: bool, held_out: bool = False) -> np.ndarray:
        """Return targets as the loss takes them; a classifier learns its classes from them."""

    @abstractmethod
    def _decode(self, targets: np.ndarray) -> np.ndarray:
        """Return the targets that :meth:`_encode` was given."""

    @abstractmethod
    def _loss(self, dtype: str) -> LossFunction:
        """Return the loss of the network."""

    @abstractmethod
    def _out_activation(self) -> str:
        """Return the name of scikit-learn's output activation."""

    @abstractmethod
    def _held_out_score(self, z: np.ndarray, targets: np.ndarray, weight: Any) -> float:
        """Return the score of outputs ``z`` of the network."""

    @abstractmethod
    def _n_outputs(self, targets: np.ndarray) -> int:
        """Return the number of outputs that the targets need."""

    def _class_weights(self, targets: np.ndarray, incremental: bool) -> np.ndarray | None:
        """Return the weight of each sample's class, or None."""
        return None

    def _loss_scale(self) -> float:
        """Return the factor by which ``loss_`` differs from the network's loss."""
        return 1.0

    def _reported_loss(self, loss: Array, z: Array, targets: Array, *weight: Array) -> Array:
        """Return the loss as scikit-learn reports it, given the outputs ``z``."""
        return self._loss_scale() * loss

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """Fit the model to data.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            A NumPy, CuPy, PyTorch, JAX or Dask array, a list, or a pandas or polars table.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
        validation_data : tuple of (X, y) or (X, y, sample_weight), optional
            Data for the validation loss in ``history_``. With ``early_stopping`` they replace the
            samples that are held out for the validation score.

        Returns
        -------
        MLPClassifier or MLPRegressor
            The estimator itself.

        Raises
        ------
        ValueError
            A parameter or the data are invalid, or weights became NaN or infinite.
        TypeError
            Features, or a regressor's targets, are dates or durations.
        DeviceUnavailableError
            This machine does not have the ``device``.

        Notes
        -----
        A fit that raises an error does not change the estimator: a model that was fitted before
        still makes the same predictions.
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    def explain_steps(self, X: Any, y: Any, sample_weight: Any = None) -> Explanation:
        """Return which way ``fit`` would take training steps, and why not a faster one.

        The arguments are those of :meth:`fit`. A copy of the estimator prepares training, and takes
        no step. See :meth:`xpnet.NeuralNetwork.explain_steps`.

        Raises
        ------
        ValueError, TypeError, DeviceUnavailableError
            As for :meth:`fit`.
        """
        self._validate_params()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fit will warn
            trial = scratch_copy(self)
            return trial._fit(X, y, sample_weight, None, incremental=False, explain=True)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any,
        incremental: bool,
        explain: bool = False,
    ) -> Any:
        return fit_estimator(self, X, y, sample_weight, validation_data, incremental, explain)

    def _parameters(self) -> list[Array]:
        return [*self.coefs_, *self.intercepts_]

    def _export_weights(self) -> None:
        """Set ``coefs_`` and ``intercepts_`` to the network's weights and biases."""
        self.coefs_, self.intercepts_ = export_weights(self.network_)
        self._loaded = self._parameters()
        self.network_.class_names = names_of_classes(self)

    # ---- predicting

    def _outputs(self, X: Any) -> tuple[np.ndarray, Home]:
        """Return the network's outputs on the host, and the backend to return predictions in."""
        if not hasattr(self, "network_"):  # quicker than scikit-learn's check
            check_is_fitted(self, "network_")
        X, home, check = features(self, X)
        if self._in_training:  # the caller is a scorer, which has its targets on the host
            home = None
        if not self._in_training:
            load_weights(self.network_, self._parameters(), self._loaded)
        net = self.network_
        return to_host(outputs(net, X, net.backend, check)), home

    # ---- scikit-learn's own estimators

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator with the same parameters and weights.

        Raises
        ------
        ValueError
            The estimator uses a feature that scikit-learn lacks: batch normalization, or another
            activation, solver or learning rate.
        """
        return to_sklearn(self)

    @classmethod
    def from_sklearn(cls, estimator: Any, **parameters: Any) -> Self:
        """Return an estimator with the parameters and the weights of scikit-learn's.

        The state of its optimizer is not copied: ``partial_fit`` starts with a new optimizer.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            A fitted estimator of the same name.
        **parameters
            Parameters to change or to add, such as ``device="cuda"``.

        Returns
        -------
        MLPClassifier or MLPRegressor

        Raises
        ------
        TypeError
            ``estimator`` is of another class.
        """
        return from_sklearn(cls, estimator, parameters)

    def __getstate__(self) -> dict[str, Any]:
        """Return plain values, with the version of xpnet."""
        if hasattr(self, "network_") and not self._in_training:
            load_weights(self.network_, self._parameters(), self._loaded)
        return to_plain(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make ``coefs_`` the network's own arrays again, as they were before pickling."""
        super().__setstate__(from_plain(state, type(self)))
        if hasattr(self, "network_"):
            if hasattr(self, "coefs_"):
                load_weights(self.network_, self._parameters(), self._loaded)
            self.network_.parameters.gather()
            self._export_weights()

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: sparse features are supported."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def stochastic(est: BaseMLP) -> bool:
    """Return True if the solver has ``partial_fit``, else raise AttributeError."""
    if est.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    return True


partial_fit_if_stochastic = available_if(stochastic)
