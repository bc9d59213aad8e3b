"""``MLPRegressor``."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions

from ..backends import Array
from ..common.keywords import ESTIMATOR, with_hints
from ..losses import LossFunction, MeanSquaredError, PoissonLoss
from ._base import BaseMLP, partial_fit_if_stochastic
from ._inputs import answer, on_host, one_dimensional
from ._network import apply_output_activation
from ._parameters import CONSTRAINTS, store_parameters
from ._rollback import all_or_nothing


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multi-layer perceptron for regression: scikit-learn's, with ``device=``.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default "squared_error"
        Half the squared error, or half the Poisson deviance; for the latter the network's output
        is the logarithm of the rate.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init
        As for :class:`MLPClassifier`, like the following parameters.
    power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum
    nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
    n_iter_no_change, max_fun, device, dtype, precision, dropout, batch_norm, l1_ratio
    weight_decay, callbacks, progress
    scoring : str, callable or None, default None
        A scikit-learn scorer for ``early_stopping``; None is R².

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_
        As for :class:`MLPClassifier`, like the other attributes.

    Notes
    -----
    Divergence and warnings are handled as in :class:`MLPClassifier`. ``fit`` warns if float32 has
    too few digits for the targets, e.g. for Unix times: use float64, or standardise the targets.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from xpnet.estimators import MLPRegressor
    >>> X, y = make_regression(200, 20, random_state=1)
    >>> regressor = MLPRegressor(solver="lbfgs", random_state=1, max_iter=2000).fit(X, y)
    >>> bool(regressor.score(X, y) > 0.99)
    True
    """

    __module__ = __package__  # the public path, which pickles name

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    @with_hints(**ESTIMATOR)
    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        device: str | None = None,
        dtype: str | None = None,
        precision: str = "float32",
        dropout: float = 0.0,
        batch_norm: bool = False,
        l1_ratio: float = 0.0,
        weight_decay: float = 0.01,
        scoring: Any = None,
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        store_parameters(self, locals())

    def _encode(self, y: Any, incremental: bool, held_out: bool = False) -> np.ndarray:
        y = one_dimensional(y)
        targets = y.reshape(-1, 1) if y.ndim == 1 else y
        if self.loss == "poisson" and np.any(targets < 0):
            raise ValueError("Some values of y are negative: the loss 'poisson' needs y >= 0.")
        if held_out and targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"validation_data has {targets.shape[1]} targets for each sample: expected "
                f"{self.n_outputs_}, as in y"
            )
        return np.asarray(targets, np.float64)

    def _n_outputs(self, targets: np.ndarray) -> int:
        return targets.shape[1]

    def _decode(self, targets: np.ndarray) -> np.ndarray:
        return targets[:, 0] if self.n_outputs_ == 1 else targets

    def _loss(self, dtype: str) -> LossFunction:
        if self.loss == "poisson":
            return PoissonLoss(factor=self.n_outputs_)
        return MeanSquaredError(factor=0.5 * self.n_outputs_)

    def _loss_scale(self) -> float:
        # scikit-learn reports the mean over outputs, and minimises their sum.
        return 1.0 if self.loss == "poisson" else 1.0 / self.n_outputs_

    def _out_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _held_out_score(self, z: np.ndarray, targets: np.ndarray, weight: Any) -> float:
        values = apply_output_activation(self.out_activation_, z)
        return float(r2_score(targets, values, sample_weight=weight))

    def predict(self, X: Any) -> Array:
        """Return predicted values.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            In the library and on the device of X; in NumPy if X is a list, a table or a sparse
            matrix.

        Raises
        ------
        NotFittedError
            The estimator has not been fitted.
        ValueError
            A feature is missing, NaN or infinite, or the features are not those of :meth:`fit`:
            scikit-learn expects the same columns in the same order.
        TypeError
            The features are dates or durations.
        """
        z, home = self._outputs(X)
        return answer(self._decode(apply_output_activation(self.out_activation_, z)), home)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R²; with several outputs, its mean over the outputs.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As for :meth:`predict`; or ``y`` or ``sample_weight`` has another length.
        """
        return float(
            r2_score(on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight))
        )

    @partial_fit_if_stochastic
    @_fit_context(prefer_skip_nested_validation=True)
    @all_or_nothing
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError, DeviceUnavailableError
            As for :meth:`fit`; a ValueError also with ``early_stopping``.
        AttributeError
            The ``solver`` is "lbfgs", which needs all samples at once.
        """
        return self._fit(X, y, sample_weight, None, incremental=True)
