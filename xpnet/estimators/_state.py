"""The fitted state of an estimator, from which a fit starts or continues."""

import copy
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ..neuralnet import NeuralNetwork
from ..schedules import Schedule
from ._inputs import FLOATING, Home
from ._network import copy_states, draw_weights, load_weights, make_network
from ._policy import CurrentRate


def dtype_of(est: Any, *arrays: Any) -> str:
    """Return the dtype to train in: ``dtype``, or the first float dtype among the arrays."""
    # PyTorch's dtypes read "torch.float32".
    own = (str(each.dtype).rpartition(".")[2] for each in arrays if each is not None)
    return est.dtype or next((each for each in own if each in FLOATING), "float64")


def initialize(est: Any, sizes: list[int], dtype: str) -> None:
    """Draw initial weights, and set all counters to 0."""
    est.n_iter_, est.t_, est.n_layers_ = 0, 0, len(sizes)
    est.loss_ = float("nan")  # until an epoch ends
    est.out_activation_ = est._out_activation()
    est.coefs_, est.intercepts_ = draw_weights(est, sizes, dtype)
    est._loaded = []
    for name in ("network_", "history_", "loss_curve_"):
        est.__dict__.pop(name, None)


def begin_curves(est: Any) -> None:
    """Reset the curves and best values, unless this fit continues those of the last one."""
    lbfgs = est.solver == "lbfgs"
    stops = est.early_stopping and not lbfgs
    if not hasattr(est, "loss_curve_") or lbfgs != (est._trained_by == "lbfgs"):
        est.loss_curve_ = []
        est.validation_loss_curve_ = []
    elif (est.best_loss_ is None) == stops:
        return
    est._no_improvement_count = 0
    est.best_loss_ = None if stops else np.inf
    est.validation_scores_ = [] if stops else None
    est.best_validation_score_ = -np.inf if stops else None


def prepare_network(
    est: Any, sizes: list[int], dtype: str, gpu: Home = None, incremental: bool = False
) -> NeuralNetwork:
    """Return an estimator's network with its current weights and states, ready to train.

    Without a ``device`` parameter, it is on the GPU that holds the features, if any.
    """
    rate = est.learning_rate
    if not isinstance(rate, Schedule):
        rate = CurrentRate(est.learning_rate_init)
    before = getattr(est, "network_", None)
    net = make_network(est, sizes, dtype, est._loss(dtype), rate)
    if gpu and est.device is None:
        net.to(gpu.with_dtype(dtype))
    if before is not None:
        if before.backend != net.backend:
            before = copy.deepcopy(before).to(net.backend)
        copy_states(before, net)
        if incremental and est._trained_by != "lbfgs":  # "lbfgs" has no optimizer state
            net.optimizer = before.optimizer  # a copy: a failed fit restores the old one
        net.history = before.history
    est._trained_by = est.solver
    est.network_, est.history_ = net, net.history
    est._loaded = [None] * len(est._parameters())
    load_weights(net, est._parameters(), est._loaded)
    return net


def adopt(est: Any, coefs: list[np.ndarray], intercepts: list[np.ndarray]) -> None:
    """Make a fitted model with these weights; its other fitted attributes are set already."""
    est.coefs_, est.intercepts_, est._loaded = coefs, intercepts, []
    est._random_state = check_random_state(est.random_state)
    est.validation_loss_curve_ = []
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        if not hasattr(est, name):  # scikit-learn's "lbfgs" sets none of them
            setattr(est, name, [] if name == "loss_curve_" else None)
    sizes = [coefs[0].shape[0], *(w.shape[1] for w in coefs)]
    prepare_network(est, sizes, dtype_of(est, coefs[0])).mark_fitted()
    est._export_weights()
