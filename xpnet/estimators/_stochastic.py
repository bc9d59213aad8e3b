"""Training in mini-batches, with held-out samples for early stopping."""

import copy
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split

from ..backends import Array
from ..backends._warnings import warn
from ..data import take_rows
from ..neuralnet import NeuralNetwork
from ..training.callback import check_callbacks
from ..training.fitting import explain_steps, fit
from ..training.steps.choice import Explanation
from ._network import RunningOrders
from ._policy import Policy
from ._scoring import make_scorer


def fit_stochastic(
    est: Any,
    net: NeuralNetwork,
    X: Any,
    y: np.ndarray,
    weight: np.ndarray | None,
    class_weights: np.ndarray | None,
    held_out: tuple[Any, ...] | None,
    incremental: bool,
    explain: bool = False,
) -> Explanation | None:
    """Train an estimator's network in mini-batches.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
    net : NeuralNetwork
    X : array or CSR matrix of shape (n, n_features)
    y : array
        Targets as the loss takes them.
    weight : array of shape (n,), optional
        The weights of the samples.
    class_weights : array of shape (n,), optional
        The weight of each sample's class. Validation ignores these weights.
    held_out : tuple, optional
        Features, targets and weights to validate on. By default, ``early_stopping`` holds out a
        part of the samples.
    incremental : bool
        Whether ``partial_fit`` was called, which trains for one epoch.
    explain : bool, default False
        Whether to return an explanation of the training steps, without training.
    """
    if est.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    if est.early_stopping and held_out is None:
        inside, outside = _split(est, y)
        held_out = _rows(outside, X, y, weight)
        X, y, weight, class_weights = _rows(inside, X, y, weight, class_weights)
    n = X.shape[0]
    net.batch_size = _batch_size(est, n)
    net.orders = RunningOrders(net.randomness, est._random_state if est.shuffle else None)
    data = (X, y, multiply_weights(weight, class_weights))
    given = check_callbacks(est.callbacks or ())
    if explain:
        return explain_steps(net, data, held_out, min_samples=1, callbacks=given)
    score = None
    if est.early_stopping:
        assert held_out is not None
        score = make_scorer(est, *held_out)
    policy = Policy(est, n, score, incremental)
    est.n_iter_ = 0
    callbacks = [policy, *given]
    try:
        fit(
            net,
            data,
            held_out,
            epochs=1 if incremental else int(est.max_iter),
            callbacks=callbacks,
            min_samples=1,  # for partial_fit
            warns_of_targets=False,  # an estimator has no ``target_unit`` to recommend
        )
    except KeyboardInterrupt:
        warn("Training interrupted by user.")
        net.mark_fitted()  # even if the first epoch was interrupted
    finally:
        net.orders = RunningOrders(net.randomness)
        for layer in net.layers:
            layer.forget_pass()
    if est.early_stopping:
        policy.restore_best()
    return None


def scratch_copy(est: Any) -> Any:
    """Return a copy of an estimator that can prepare training without changing the original.

    Its callbacks are not copied: they are not called, and may hold objects that cannot be copied.
    """
    trial = object.__new__(type(est))
    vars(trial).update(vars(est))
    # None would draw from NumPy's global generator.
    trial.random_state = 0 if est.random_state is None else copy.deepcopy(est.random_state)
    if hasattr(est, "network_"):
        trial.network_, trial._loaded = copy.deepcopy(est.network_), list(est._loaded)
    return trial


def explain_training(
    est: Any,
    net: NeuralNetwork,
    X: Any,
    y: np.ndarray,
    weight: np.ndarray | None,
    class_weights: np.ndarray | None,
) -> Explanation:
    """Explain which kind of steps the training of an estimator's network would take."""
    if est.solver == "lbfgs":
        reason = "solver='lbfgs' computes gradients of all samples at once"
        return Explanation("formulas", {"captured": reason, "compiled": reason})
    found = fit_stochastic(
        est, net, X, y, weight, class_weights, None, incremental=False, explain=True
    )
    assert found is not None
    return found


def multiply_weights(
    weight: np.ndarray | None, class_weights: np.ndarray | None
) -> np.ndarray | None:
    """Return the sample weights times the class weights; None if neither is given.

    Raises
    ------
    ValueError
        The class weights make the product 0 for all samples.
    """
    if class_weights is None:
        return weight
    product = class_weights if weight is None else weight * class_weights
    if not product.any() and (weight is None or weight.any()):
        raise ValueError(
            "class_weight gives all training samples the weight 0: add samples of a class whose "
            "weight is above 0"
        )
    return product


def _split(est: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the rows to train on and of the held-out rows."""
    stratify = y.astype(bool) if is_classifier(est) and est.n_outputs_ == 1 else None
    inside, outside = train_test_split(
        np.arange(y.shape[0]),
        random_state=est._random_state,
        test_size=est.validation_fraction,
        stratify=stratify,
    )
    if len(outside) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return inside, outside


def _rows(index: np.ndarray, *arrays: Array | None) -> tuple[Any, ...]:
    return tuple(None if array is None else take_rows(array, index) for array in arrays)


def _batch_size(est: Any, n: int) -> int:
    given = est.batch_size
    if given == "auto":
        return n if est.solver == "rprop" else min(200, n)
    if given > n:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return int(np.clip(given, 1, n))
