"""The solver "lbfgs": SciPy's L-BFGS-B over all samples at once."""

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from .. import config
from ..backends import Array
from ..backends._warnings import warn
from ..backends.cpu.blas_sleep import let_threads_sleep
from ..backends.cpu.blas_threads import computing
from ..data import Dataset
from ..neuralnet import NeuralNetwork
from ..training.feeding.intake import Intake
from ..training.feeding.placing import place
from ..training.steps.lbfgs.objective import FlatObjective
from ._network import dense_layers


class Objective(FlatObjective):
    """The loss of a network on all samples, and its gradient, as a function of its parameters.

    The parameters are in scikit-learn's order: all weights, all biases, then all others.

    Parameters
    ----------
    net : NeuralNetwork
    X, y : array
        Features and targets on the network's device.
    weight : array of shape (n,) or None
    est : MLPClassifier or MLPRegressor
        Converts the loss to scikit-learn's.
    """

    def __init__(
        self, net: NeuralNetwork, X: Array, y: Array, weight: Array | None, est: Any
    ) -> None:
        super().__init__(net, _weights_first(net))
        self._X, self._est = X, est
        self._y = (y,) if weight is None else (y, weight)

    def _evaluate(self) -> tuple[Array, Array]:
        net = self._model
        targets, *weight = self._y
        done = net.loss_and_gradient(self._X, targets, *weight)
        # The line search needs scikit-learn's loss to take the same steps. It clips probabilities,
        # so its gradient differs slightly from that of our loss.
        reported = self._est._reported_loss(done.loss, done.output, targets, *weight)
        return reported, net.loss.total_weight(targets, done.output, *weight)


def _weights_first(net: NeuralNetwork) -> np.ndarray:
    """Return where the network keeps its parameters, for parameters in scikit-learn's order."""
    places = net.parameters.places
    dense = dense_layers(net)
    first = [places[layer, name] for name in ("weights", "biases") for layer in dense]
    rest = [part for part in places.values() if part not in first]
    return np.concatenate([np.arange(part.start, part.stop) for part in (*first, *rest)])


def fit_lbfgs(est: Any, net: NeuralNetwork, X: Any, y: np.ndarray, weight: Any) -> None:
    """Train an estimator's network on all samples at once, until ``max_iter`` or ``tol``."""
    if config.blas_sleep:
        let_threads_sleep()
    backend = net.backend
    with computing(), backend.active():
        intake = Intake(backend, net.layers[0].takes_sparse)
        arrays = place(Dataset(X, y, sample_weight=weight), intake, y)
        batch = next(arrays.batches(X.shape[0]))  # one batch of all samples
        objective = Objective(net, batch.X, batch.y, batch.sample_weight, est)
        result = minimize(
            objective,
            objective.start(),
            method="L-BFGS-B",
            jac=True,
            # The last call in an iteration is at the point that the line search accepted.
            callback=lambda _: est.loss_curve_.append(objective.value),
            options={"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol},
        )
        objective.put(result.x)
    est.n_iter_ = min(result.nit, est.max_iter)
    if not math.isfinite(result.fun):
        warn(
            f"lbfgs diverged after {est.n_iter_} iteration(s): the loss is {result.fun}. The "
            "weights are those of the last iteration with a finite loss, or the initial random "
            "weights. The features or the targets may be large: standardise them.",
            ConvergenceWarning,
        )
    elif result.status != 0:
        _warn_not_converged(result, est.n_iter_, est.max_iter)
    est.loss_ = float(result.fun)
    est.best_loss_ = min(est.loss_curve_, default=est.loss_)
    net.mark_fitted()
    for layer in net.layers:
        layer.forget_pass()


def _warn_not_converged(result: Any, n_iter: int, max_iter: int) -> None:
    """Warn, in scikit-learn's words, that the solver ended before it converged."""
    text = f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}):\n"
    text += f"{result.message}\n"
    if n_iter == max_iter:
        text += (
            f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
        )
    text += (
        "\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )
    warn(text, ConvergenceWarning)
