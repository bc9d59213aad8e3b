"""The base class of both estimators: parameters, fitting and conversion."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_regressor
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..activations import ActivationLayer
from ..backends import PRECISIONS, Array, to_host
from ..backends._errors import shown
from ..losses import LossFunction
from ..neuralnet import NeuralNetwork
from ..schedules import Schedule
from ..training.callback import Callback
from ..training.errors import DivergedError
from ..training.prediction import outputs
from ._checks import (
    check_for_lbfgs,
    check_going_on,
    check_numbers,
    hidden_sizes,
    warn_of_lost_targets,
)
from ._conversion import from_sklearn, to_sklearn
from ._inputs import FLOATING, Home, checked, features, on_host
from ._lbfgs import fit_lbfgs
from ._network import (
    ACTIVATIONS,
    SOLVERS,
    copy_states,
    draw_weights,
    export_weights,
    load_weights,
    make_network,
)
from ._policy import CurrentRate
from ._stochastic import fit_stochastic, multiply_weights
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), list, tuple, callable, ActivationLayer],
        "solver": [StrOptions({"lbfgs", *SOLVERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "device": [str, None],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "precision": [StrOptions(set(PRECISIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "scoring": [str, callable, None],
        "callbacks": [list, tuple, Callback, None],
        "progress": ["boolean"],
    }

    def _take(self, parameters: dict[str, Any]) -> None:
        """Store the arguments of ``__init__`` unchanged, as scikit-learn requires."""
        for name, value in parameters.items():
            if name != "self":
                setattr(self, name, value)

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
            An array of NumPy, CuPy, PyTorch or JAX, a list, or a table of pandas or polars.
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

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool
    ) -> Self:
        hidden = hidden_sizes(self.hidden_layer_sizes)
        check_numbers(self)
        if self.scoring is not None:
            check_scoring(self, self.scoring)
        if self.solver == "lbfgs":
            check_for_lbfgs(self, validation_data)
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
        held_out = self._held_out(validation_data)
        self._random_state = check_random_state(self.random_state)
        dtype = self._dtype_of(None if first else self.coefs_[0], X)
        if is_regressor(self):
            warn_of_lost_targets(y, dtype, self._loss(dtype).targets == "values")
        if first:
            self._initialize(sizes, dtype)
        self._begin_curves()
        net = self._ready(sizes, dtype, gpu, incremental)
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

    def _held_out(self, given: Any) -> tuple[Any, ...] | None:
        """Check and return the user's validation data, if there are any."""
        if given is None:
            return None
        if len(given) not in (2, 3):
            raise ValueError(
                f"validation_data has {len(given)} items: expected (X, y) or (X, y, sample_weight)"
            )
        X, y, *weight = given
        X, y, _ = checked(self, X, y, self.dtype, False, y_numeric=is_regressor(self))
        return X, self._encode(y, True, held_out=True), on_host(weight[0]) if weight else None

    def _dtype_of(self, *arrays: Any) -> str:
        """Return the type to train in: ``dtype``, or the first of the arrays' float types."""
        # PyTorch's are "torch.float32".
        own = (str(each.dtype).rpartition(".")[2] for each in arrays if each is not None)
        return self.dtype or next((each for each in own if each in FLOATING), "float64")

    def _initialize(self, sizes: list[int], dtype: str) -> None:
        """Draw initial weights, and set all counters to 0."""
        self.n_iter_, self.t_, self.n_layers_ = 0, 0, len(sizes)
        self.loss_ = float("nan")  # until an epoch is over
        self.out_activation_ = self._out_activation()
        self.coefs_, self.intercepts_ = draw_weights(self, sizes, dtype)
        self._loaded: list[Any] = []
        for name in ("network_", "history_", "loss_curve_"):
            self.__dict__.pop(name, None)

    def _begin_curves(self) -> None:
        """Reset the curves and best values, unless this fit continues those of the last one."""
        lbfgs = self.solver == "lbfgs"
        stops = self.early_stopping and not lbfgs
        if not hasattr(self, "loss_curve_") or lbfgs != (self._trained_by == "lbfgs"):
            self.loss_curve_: list[float] = []
            self.validation_loss_curve_: list[float] = []
        elif (self.best_loss_ is None) == stops:
            return
        self._no_improvement_count = 0
        self.best_loss_ = None if stops else np.inf
        self.validation_scores_: list[float] | None = [] if stops else None
        self.best_validation_score_ = -np.inf if stops else None

    def _ready(
        self, sizes: list[int], dtype: str, gpu: Home = None, incremental: bool = False
    ) -> NeuralNetwork:
        """Return the network with the current weights and states, ready to train.

        Without a ``device`` parameter, it is on the GPU that holds the features, if any.
        """
        rate = self.learning_rate
        if not isinstance(rate, Schedule):
            rate = CurrentRate(self.learning_rate_init)
        before = getattr(self, "network_", None)
        net = make_network(self, sizes, dtype, self._loss(dtype), rate)
        if gpu and self.device is None:
            net.to(gpu.with_dtype(dtype))
        if before is not None:
            if before.backend != net.backend:
                before = copy.deepcopy(before).to(net.backend)
            copy_states(before, net)
            if incremental and self._trained_by != "lbfgs":  # "lbfgs" has no optimizer state
                net.optimizer = before.optimizer  # a copy: a failed fit restores the old one
            net.history = before.history
        self._trained_by = self.solver
        self.network_, self.history_ = net, net.history
        self._loaded = [None] * len(self._parameters())
        load_weights(net, self._parameters(), self._loaded)
        return net

    def _parameters(self) -> list[Array]:
        return [*self.coefs_, *self.intercepts_]

    def _export_weights(self) -> None:
        """Set ``coefs_`` and ``intercepts_`` to the network's weights and biases."""
        self.coefs_, self.intercepts_ = export_weights(self.network_)
        self._loaded = self._parameters()

    def _scorer(
        self, net: NeuralNetwork, X: Any, targets: np.ndarray, weight: Any
    ) -> Callable[[], float]:
        """Return a function that scores the network's current weights on held-out samples."""
        if self.scoring is not None:
            scorer, y = check_scoring(self, self.scoring), self._decode(targets)
            given = {} if weight is None else {"sample_weight": weight}

            def scored() -> float:
                with warnings.catch_warnings():  # held-out rows have no feature names
                    warnings.filterwarnings("ignore", "X does not have valid feature names")
                    value = scorer(self, X, y, **given)
                if not isinstance(getattr(value, "item", lambda: value)(), Real):
                    raise ValueError(
                        f"scoring must return a number, got {shown(value)} ({type(value).__name__})"
                    )
                return float(value)

            return scored

        def score() -> float:
            z = to_host(outputs(net, X, net.backend))
            if not np.isfinite(z).all():
                return float("nan")
            return float(self._held_out_score(z, targets, weight))

        return score

    def _loss_of(self, row: dict[str, float], name: str = "loss") -> float:
        """Return an epoch's loss as scikit-learn reports it, penalty included."""
        penalty = row.get("penalty", 0.0)
        return (row[name] - penalty) * self._loss_scale() + penalty

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

    def _adopt(self, coefs: list[np.ndarray], intercepts: list[np.ndarray]) -> None:
        """Become a fitted model with these weights; the other fitted attributes are set already."""
        self.coefs_, self.intercepts_, self._loaded = coefs, intercepts, []
        self._random_state = check_random_state(self.random_state)
        self.validation_loss_curve_ = []
        for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
            if not hasattr(self, name):  # scikit-learn's "lbfgs" leaves none of them
                setattr(self, name, [] if name == "loss_curve_" else None)
        sizes = [coefs[0].shape[0], *(w.shape[1] for w in coefs)]
        self._ready(sizes, self._dtype_of(coefs[0])).mark_fitted()
        self._export_weights()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make ``coefs_`` the network's own arrays again, as they were before pickling."""
        super().__setstate__(state)
        if hasattr(self, "network_"):
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
