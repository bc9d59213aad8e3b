"""Build the network of an estimator, and draw its initial weights as scikit-learn does.

The network ends with a dense layer. The estimators apply scikit-learn's output activation to its
outputs (:func:`apply_output_activation`).
"""

import copy
import operator
from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from itertools import pairwise
from typing import Any

import numpy as np

from ..activations import ACTIVATIONS as NAMED
from ..activations import (
    ActivationLayer,
    FunctionActivation,
    LogSoftmaxActivation,
    SoftmaxActivation,
)
from ..backends import Array, array_namespace, is_array, move, ops, to_host
from ..common.checks import naming_memory_errors
from ..layers import BatchNormalization, DenseLayer, Dropout
from ..losses import LossFunction
from ..model.randomness import Orders, Randomness
from ..neuralnet import NeuralNetwork
from ..optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
)
from ..regularizers import L1L2
from ..schedules import Schedule

ACTIVATIONS: dict[str, type[ActivationLayer]] = {
    name: kind
    for name, kind in NAMED.items()
    if not issubclass(kind, (SoftmaxActivation, LogSoftmaxActivation))  # only for the end
}

_ALMOST_1 = float(np.nextafter(1.0, 0.0))

SOLVERS: dict[str, Callable[[Any, Schedule], Optimizer]] = {
    "sgd": lambda est, rate: SGD(
        rate,
        momentum=min(float(est.momentum), _ALMOST_1),  # scikit-learn allows 1
        nesterov=est.nesterovs_momentum and est.momentum > 0,
    ),
    "adam": lambda est, rate: Adam(rate, *_adam_parameters(est), corrects_epsilon=False),
    "adamw": lambda est, rate: AdamW(
        rate, *_adam_parameters(est), float(est.weight_decay), corrects_epsilon=False
    ),
    "rmsprop": lambda est, rate: RMSProp(rate, epsilon=float(est.epsilon)),
    "adagrad": lambda est, rate: Adagrad(rate, epsilon=float(est.epsilon)),
    "adadelta": lambda est, rate: Adadelta(rate, epsilon=float(est.epsilon)),
    "adamax": lambda est, rate: Adamax(rate, *_adam_parameters(est)),
    "nadam": lambda est, rate: NAdam(rate, *_adam_parameters(est)),
    "radam": lambda est, rate: RAdam(rate, *_adam_parameters(est)),
    "lion": lambda est, rate: Lion(rate, weight_decay=float(est.weight_decay)),
    # Rprop itself refuses schedules given by the user.
    "rprop": lambda est, rate: Rprop(
        rate if isinstance(est.learning_rate, Schedule) else float(est.learning_rate_init)
    ),
}
"""The solvers that train in mini-batches; "lbfgs" does not."""


def _adam_parameters(est: Any) -> tuple[float, float, float]:
    """Return Adam's parameters as floats; scikit-learn allows any real number, even booleans."""
    return float(est.beta_1), float(est.beta_2), float(est.epsilon)


class RunningOrders(Orders):
    """Orders samples as scikit-learn does: each epoch shuffles the order of the last one.

    Parameters
    ----------
    randomness : Randomness
        Orders streamed data.
    stream : numpy.random.RandomState or None
        Shuffles all other data; None for no shuffling.
    """

    def __init__(self, randomness: Randomness, stream: Any = None) -> None:
        super().__init__(randomness)
        self._stream = stream
        self._order: np.ndarray | None = None
        self._epoch = -1

    def samples(self, n: int, epoch: int) -> np.ndarray:
        """Return the order of ``n`` samples in an epoch; a second call returns the same order."""
        if self._order is None:
            self._order = np.arange(n)
        if self._stream is not None and epoch != self._epoch:
            places = np.arange(n)
            self._stream.shuffle(places)  # draws the numbers that scikit-learn's shuffle draws
            self._order = self._order[places]
        self._epoch = epoch
        return self._order


def make_network(
    est: Any, sizes: Sequence[int], dtype: str, loss: LossFunction, rate: Schedule
) -> NeuralNetwork:
    """Return an estimator's network, with all weights 0, pinned to the estimator's device.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
    sizes : sequence of int
        The number of features, the number of units in each hidden layer, the number of outputs.
    dtype : str
    loss : LossFunction
    rate : Schedule
    """
    penalty = None
    if est.alpha:
        alpha, l1 = float(est.alpha), float(est.alpha * est.l1_ratio)
        penalty = L1L2(l1=l1, l2=0.5 * (alpha - l1), per_sample=True)
    net = NeuralNetwork(
        epochs=int(est.max_iter),
        optimizer=SOLVERS.get(est.solver, SOLVERS["sgd"])(est, rate),
        loss=loss,
        regularizer=penalty,
        device="cpu" if est.device is None else est.device,  # pins the network
        dtype=dtype,
        precision=est.precision,
        progress=est.progress,
        seed=int(est._random_state.randint(2**31)) if est.dropout else 0,
    )
    for k, n_units in enumerate(sizes[1:-1]):
        shape = None if net.layers else (sizes[0],)
        net.add(DenseLayer(n_units, shape, initializer="zeros"))
        if est.batch_norm:
            net.add(BatchNormalization())
        if (activation := _activation(est.activation, k, len(sizes) - 2)) is not None:
            net.add(activation)
        if est.dropout:
            net.add(Dropout(float(est.dropout)))
    net.add(DenseLayer(sizes[-1], None if net.layers else (sizes[0],), initializer="zeros"))
    net.orders = RunningOrders(net.randomness)
    return net


def activation_of(given: Any, k: int, n_hidden: int) -> Any:
    """Return the activation given for hidden layer ``k``, counted from 0."""
    if not isinstance(given, (list, tuple)):
        return given
    if len(given) != n_hidden:
        raise ValueError(
            f"activation has {len(given)} activations for {n_hidden} hidden layers: expected one "
            "activation for all layers, or a list with one per layer"
        )
    return given[k]


def _activation(given: Any, k: int, n_hidden: int) -> ActivationLayer | None:
    chosen = activation_of(given, k, n_hidden)
    if isinstance(chosen, str):
        if chosen not in ACTIVATIONS:
            raise ValueError(f"activation {chosen!r}: expected one of {', '.join(ACTIVATIONS)}")
        return None if chosen == "identity" else ACTIVATIONS[chosen]()
    made = chosen
    if callable(chosen) and not isinstance(chosen, ActivationLayer):
        made = FunctionActivation(chosen) if _takes_an_array(chosen) else chosen()
    if not isinstance(made, ActivationLayer):
        raise ValueError(
            f"activation {chosen!r}: expected a name ({', '.join(ACTIVATIONS)}), a subclass of "
            "ActivationLayer, a function that returns an instance of one, or a function of an array"
        )
    # Layers and networks must not share an instance.
    return copy.copy(made) if made is chosen else made


def _takes_an_array(function: Callable[..., Any]) -> bool:
    """Whether a function needs an argument, unlike a function that makes an activation."""
    if isinstance(function, type):
        return False
    try:
        given = signature(function).parameters.values()
    except ValueError:  # some functions in C, e.g. NumPy's
        return True
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return any(each.kind in positional and each.default is Parameter.empty for each in given)


def draw_weights(
    est: Any, sizes: Sequence[int], dtype: Any
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return initial weights and biases, drawn uniformly from ±√(6 / (n_in + n_out)).

    With the logistic function the bounds are ±√(2 / (n_in + n_out)). Glorot and Bengio 2010,
    section 4.2.1. The numbers are drawn in scikit-learn's order.
    """
    coefs, intercepts = [], []
    n_hidden = len(sizes) - 2
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        place = min(k, n_hidden - 1)  # the last layer has the activation of the one below
        activation = activation_of(est.activation, place, n_hidden) if n_hidden else est.activation
        bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (n_in + n_out))
        with naming_memory_errors("weights", (n_in, n_out)):
            coefs.append(est._random_state.uniform(-bound, bound, (n_in, n_out)).astype(dtype))
        intercepts.append(est._random_state.uniform(-bound, bound, n_out).astype(dtype))
    return coefs, intercepts


def dense_layers(net: NeuralNetwork) -> list[DenseLayer]:
    """Return the layers whose weights are ``coefs_``."""
    return [layer for layer in net.layers if isinstance(layer, DenseLayer)]


def load_weights(net: NeuralNetwork, given: Sequence[Array], held: list[Array]) -> None:
    """Set the weights and biases of a network, except those that it has already.

    Parameters
    ----------
    net : NeuralNetwork
    given : sequence of array
        All weights, then all biases.
    held : list of array
        The arrays that the network has already, in the same order; updated in place.
    """
    if len(given) == len(held) and all(map(operator.is_, given, held)):
        return
    dense, backend = dense_layers(net), net.backend
    places = [(layer, name) for name in ("weights", "biases") for layer in dense]
    for k, ((layer, name), value) in enumerate(zip(places, given, strict=True)):
        if value is not held[k]:
            own = value if is_array(value) else np.asarray(value)
            setattr(layer, name, move(own, backend, backend.dtype))
            held[k] = value


def export_weights(net: NeuralNetwork) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return weights and biases on the host.

    On a CPU they are the network's own arrays: writing to them changes the network. Arrays from
    another device are copies, and read-only, since writing to them would have no effect.
    """
    coefs: list[np.ndarray] = []
    intercepts: list[np.ndarray] = []
    for layer in dense_layers(net):
        for arrays, value in ((coefs, layer.weights), (intercepts, layer.biases)):
            host = to_host(value)
            if host is not value:
                host = host.copy()
                host.flags.writeable = False
            arrays.append(host)
    return coefs, intercepts


def copy_states(old: NeuralNetwork, new: NeuralNetwork) -> None:
    """Copy weights and states to a network whose layers with weights are the same."""
    for kind in (DenseLayer, BatchNormalization):
        befores, afters = ([x for x in net.layers if type(x) is kind] for net in (old, new))
        for before, after in zip(befores, afters, strict=True):
            for name in (*after.parameter_names, *after.state_names):
                setattr(after, name, getattr(before, name))


def apply_output_activation(kind: str, z: Array) -> Array:
    """Apply scikit-learn's output activation ``kind`` to a network's outputs."""
    if kind == "softmax":
        return ops.softmax(z)
    if kind == "logistic":
        return ops.sigmoid(z)
    return array_namespace(z).exp(z) if kind == "exp" else z
