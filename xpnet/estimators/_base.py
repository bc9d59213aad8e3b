"""The base class of both estimators: parameters, fitting and conversion."""

import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..backends import Array, to_host
from ..losses import LossFunction
from ..training.errors import DivergedError
from ..training.prediction import outputs
from ..training.steps.choice import Explanation
from ._checks import check_going_on, check_parameters, warn_of_lost_targets
from ._conversion import from_sklearn, to_sklearn
from ._inputs import Home, checked, checked_validation, features, on_host
from ._lbfgs import fit_lbfgs
from ._network import export_weights, load_weights
from ._parameters import CONSTRAINTS
from ._pickling import from_plain, to_plain
from ._state import begin_curves, dtype_of, initialize, ready_network
from ._stochastic import explained, fit_stochastic, multiply_weights, trial_of
from ._undoing import all_or_nothing

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


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
    def _outputs_of(self, targets: np.ndarray) -> int:
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
            An array of NumPy, CuPy, PyTorch, JAX or Dask, a list, or a table of pandas or polars.
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
        still gives the same predictions.
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    def explain_steps(self, X: Any, y: Any, sample_weight: Any = None) -> Explanation:
        """Return which way ``fit`` would take training steps, and why not a faster one.

        The arguments are those of :meth:`fit`. A copy of the estimator prepares training, and takes
        no step. See :meth:`xpnet.NeuralNetwork.explain_steps`.
        """
        self._validate_params()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fit will warn
            trial = trial_of(self)
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
        hidden = check_parameters(self, validation_data)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y, gpu = checked(self, X, y, self.dtype, first, y_numeric=is_regressor(self))
        targets = self._encode(y, incremental)
        weight, of_class = on_host(sample_weight), self._class_weights(targets, incremental)
        if weight is not None:
            weight = _check_sample_weight(weight, targets, dtype=np.float64)
        sizes = [X.shape[1], *hidden, self._outputs_of(targets)]
        if not first:
            check_going_on(self, sizes)
        self.n_outputs_ = sizes[-1]
        held_out = checked_validation(self, validation_data)
        self._random_state = check_random_state(self.random_state)
        dtype = dtype_of(self, None if first else self.coefs_[0], X)
        if is_regressor(self):
            warn_of_lost_targets(y, dtype, self._loss(dtype).targets == "values")
        if first:
            initialize(self, sizes, dtype)
        begin_curves(self)
        net = ready_network(self, sizes, dtype, gpu, incremental)
        if explain:
            return explained(self, net, X, targets, weight, of_class)
        self._in_training = True  # the network is ahead of coefs_
        try:
            if self.solver == "lbfgs":
                fit_lbfgs(self, net, X, targets, multiply_weights(weight, of_class))
            else:
                fit_stochastic(self, net, X, targets, weight, of_class, held_out, incremental)
        except DivergedError as error:
            raise ValueError(_NOT_FINITE) from error
        if not net.parameters.all_finite():
            raise ValueError(_NOT_FINITE)
        self._in_training = False
        self._export_weights()
        return self

    def _parameters(self) -> list[Array]:
        return [*self.coefs_, *self.intercepts_]

    def _export_weights(self) -> None:
        """Set ``coefs_`` and ``intercepts_`` to the network's weights and biases."""
        self.coefs_, self.intercepts_ = export_weights(self.network_)
        self._loaded = self._parameters()

    # ---- predicting

    def _outputs(self, X: Any) -> tuple[np.ndarray, Home]:
        """Return the network's outputs on the host, and the backend that answers belong to."""
        if not hasattr(self, "network_"):  # which is quicker to find out than scikit-learn's check
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
            This one uses a feature that scikit-learn lacks: batch normalization, or another
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
