"""Fit an estimator: check the arguments, make its network, train it, export its weights."""

from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from ..training.errors import DivergedError
from ._checks import check_continuing, check_parameters, warn_of_lost_targets
from ._inputs import checked, checked_validation, on_host
from ._lbfgs import fit_lbfgs
from ._state import begin_curves, dtype_of, initialize, prepare_network
from ._stochastic import explain_training, fit_stochastic, multiply_weights

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


def fit_estimator(
    est: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation_data: Any,
    incremental: bool,
    explain: bool = False,
) -> Any:
    """Fit an estimator, or explain which kind of training steps it would take.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
    X, y, sample_weight, validation_data
        As for its ``fit``.
    incremental : bool
        Whether ``partial_fit`` was called, which trains for one epoch.
    explain : bool, default False
        If True, only prepare training, and return an explanation of its steps.

    Returns
    -------
    MLPClassifier or MLPRegressor, or Explanation
        The estimator itself, unless ``explain``.

    Raises
    ------
    ValueError
        A parameter or the data are invalid, or weights became NaN or infinite.
    """
    hidden = check_parameters(est, validation_data)
    first = not hasattr(est, "coefs_") or not (est.warm_start or incremental)
    X, y, gpu = checked(est, X, y, est.dtype, first, y_numeric=is_regressor(est))
    targets = est._encode(y, incremental)
    weight, class_weights = on_host(sample_weight), est._class_weights(targets, incremental)
    if weight is not None:
        weight = _check_sample_weight(weight, targets, dtype=np.float64)
    sizes = [X.shape[1], *hidden, est._n_outputs(targets)]
    if not first:
        check_continuing(est, sizes)
    est.n_outputs_ = sizes[-1]
    held_out = checked_validation(est, validation_data)
    est._random_state = check_random_state(est.random_state)
    dtype = dtype_of(est, None if first else est.coefs_[0], X)
    if is_regressor(est):
        warn_of_lost_targets(y, dtype, est._loss(dtype).targets == "values")
    if first:
        initialize(est, sizes, dtype)
    begin_curves(est)
    net = prepare_network(est, sizes, dtype, gpu, incremental)
    if explain:
        return explain_training(est, net, X, targets, weight, class_weights)
    est._in_training = True  # coefs_ is out of date until training ends
    try:
        if est.solver == "lbfgs":
            fit_lbfgs(est, net, X, targets, multiply_weights(weight, class_weights))
        else:
            fit_stochastic(est, net, X, targets, weight, class_weights, held_out, incremental)
    except DivergedError as error:
        raise ValueError(_NOT_FINITE) from error
    if not net.parameters.values.all_finite():
        raise ValueError(_NOT_FINITE)
    est._in_training = False
    est._export_weights()
    return est
