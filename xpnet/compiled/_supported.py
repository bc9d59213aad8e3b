"""What there is a compiled step for: parts of networks, and the data that they train on."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..activations import (
    LeakyReLUActivation,
    LinearActivation,
    LogSoftmaxActivation,
    ReLU6Activation,
    ReLUActivation,
    SigmoidActivation,
    TanhActivation,
)
from ..backends import is_sparse
from ..layers import DenseLayer, Dropout, Layer, Normalization
from ..losses import (
    BinaryCrossEntropy,
    LossFunction,
    MeanSquaredError,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from ..optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp

if TYPE_CHECKING:
    from ..neuralnet import NeuralNetwork
ACTIVATIONS: dict[type[Layer], tuple[str, str, str | None]] = {
    LinearActivation: ("add_bias", "sum_columns", None),
    ReLUActivation: ("relu", "back_relu", None),
    LeakyReLUActivation: ("leaky_relu", "back_leaky_relu", "alpha"),
    ReLU6Activation: ("relu6", "back_relu6", None),
    SigmoidActivation: ("sigmoid", "back_kept", "slope"),
    TanhActivation: ("tanh_", "back_tanh", None),
}
"""For each activation the kernels forward and back, and the attribute that they need."""

OPTIMIZERS: dict[type[Optimizer], tuple[str, tuple[str, ...]]] = {
    SGD: ("sgd", ("momentum", "dampening")),
    RMSProp: ("rmsprop", ("rho", "epsilon")),
    Adagrad: ("adagrad", ("epsilon", "epsilon")),  # has one, in the place of the second
    Adam: ("adam", ("beta_1", "beta_2", "epsilon")),
    AdamW: ("adam", ("beta_1", "beta_2", "epsilon", "weight_decay")),
}
"""For each optimizer the kernel and the attributes that it needs."""

LOSSES: tuple[type[LossFunction], ...] = (
    BinaryCrossEntropy,
    MeanSquaredError,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)


_FEATURES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32",
    "float64",
]  # fmt: skip


_MOST_DROPOUTS = 16
"""Places for the number of draws in a kernel's state, ``STATE - DRAWS`` of ``_numba_kernels``."""


class UnsupportedError(Exception):
    """There is no compiled step for this; the message says for what."""


@dataclass(frozen=True)
class Unit:
    """A dense layer with the activation, and the dropout, behind it."""

    layer: DenseLayer
    activation: Layer
    n_inputs: int
    n_units: int
    dropout: Dropout | None = None

    @property
    def kernels(self) -> tuple[str, str]:
        return ACTIVATIONS[type(self.activation)][:2]

    @property
    def keeps_derivative(self) -> bool:
        """Whether the derivative is made on the way forward and kept."""
        return self.dropout is not None or type(self.activation) is SigmoidActivation

    @property
    def number(self) -> float:
        name = ACTIVATIONS[type(self.activation)][2]
        return 0.0 if name is None else float(getattr(self.activation, name))


def why_not(net: "NeuralNetwork", X: Any, y: Any = None, sample_weight: Any = None) -> str | None:
    """Return why there is no compiled step for a network and its data, or None where there is."""
    try:
        check_libraries()
        check_network(net)
        units_of(net.layers)
        check_features(net, X)
        if y is not None:
            targets_of(net, y)
        for what, array in (("targets", y), ("weights", sample_weight)):
            if array is not None and array.shape[0] != X.shape[0]:
                raise UnsupportedError(f"{array.shape[0]} {what} for {X.shape[0]} samples")
    except UnsupportedError as reason:
        return str(reason)
    return None


def check_libraries() -> None:
    for name in ("numba", "scipy", "threadpoolctl"):
        if find_spec(name) is None:
            raise UnsupportedError(f"{name} is not installed: pip install 'xpnet[numba]'")


_FOLDER = str(Path(__file__).parents[1])


def _not_ours(thing: object, names: Iterable[str] | None = None) -> str | None:
    """Return the name of a method, one of ``names`` or any, that is not as this package has it.

    Compiled code does what the methods in this package do. Somebody may have put another one into
    the object, its class, or a subclass.
    """
    kind = type(thing)
    for name in names or (name for name in dir(kind) if not name.startswith("__")):
        method = getattr(kind, name)
        if callable(method) and name in vars(thing):
            return name
        if isinstance(method, FunctionType) and not method.__code__.co_filename.startswith(_FOLDER):
            return name
    return None


def check_network(net: "NeuralNetwork") -> None:
    if net.backend.name != "numpy":
        raise UnsupportedError(f"the backend {net.backend.name}: compiled steps are for NumPy")
    optimizer, loss = net.optimizer, net.loss
    if type(optimizer) not in OPTIMIZERS:
        raise UnsupportedError(f"the optimizer {type(optimizer).__name__}")
    if optimizer.clip_norm is not None or optimizer.clip_value is not None:
        raise UnsupportedError("clipping of the gradient")
    if isinstance(optimizer, SGD) and optimizer.nesterov and optimizer.dampening:
        raise UnsupportedError("SGD with Nesterov's momentum and dampening")
    if type(loss) not in LOSSES:
        raise UnsupportedError(f"the loss {type(loss).__name__}")
    passes = ("forward_propagation", "backward_propagation", "update_parameters")
    for thing, names in ((net, passes), (optimizer, None), (loss, None)):
        if (name := _not_ours(thing, names)) is not None:
            raise UnsupportedError(f"{type(thing).__name__} has a {name} of its own")
    ends_in_logarithms = bool(net.layers) and type(net.layers[-1]) is LogSoftmaxActivation
    if isinstance(loss, NegativeLogLikelihood) and not ends_in_logarithms:
        raise UnsupportedError("NegativeLogLikelihood behind anything but LogSoftmaxActivation")
    if ends_in_logarithms and not isinstance(loss, NegativeLogLikelihood):
        raise UnsupportedError("LogSoftmaxActivation before anything but NegativeLogLikelihood")


def units_of(layers: list[Layer]) -> list[Unit]:
    """Return the dense layers, each with its activation."""
    units: list[Unit] = []
    for k, layer in enumerate(layers):
        kind = type(layer)
        if (name := _not_ours(layer)) is not None:
            raise UnsupportedError(f"a {layer.layer_name()} has a {name} of its own")
        if layer.own_optimizers:
            raise UnsupportedError(f"a {layer.layer_name()} has an optimizer of its own")
        if kind is DenseLayer:
            assert isinstance(layer, DenseLayer)
            n_inputs = layer.input_shape()[0]
            units.append(Unit(layer, LinearActivation(), n_inputs, layer.n_units))
        elif kind in ACTIVATIONS and units:
            last = units[-1]
            if kind is LinearActivation:
                continue
            if last.dropout is not None:
                raise UnsupportedError("an activation behind Dropout")
            if type(last.activation) is not LinearActivation:
                raise UnsupportedError("an activation behind another one")
            if isinstance(layer, LeakyReLUActivation) and layer.alpha < 0:
                raise UnsupportedError("LeakyReLUActivation with a slope that turns signs round")
            units[-1] = replace(last, activation=layer)
        elif kind is Dropout and units:
            assert isinstance(layer, Dropout)
            if layer.rate == 0.0:
                continue
            if units[-1].dropout is not None or layer.key is None:
                raise UnsupportedError("Dropout behind Dropout, or without a stream of its own")
            units[-1] = replace(units[-1], dropout=layer)
        elif kind is LogSoftmaxActivation and k == len(layers) - 1 and units:
            if type(units[-1].activation) is not LinearActivation or units[-1].dropout:
                raise UnsupportedError("LogSoftmaxActivation behind anything but DenseLayer")
        elif kind is not Normalization or k > 0:
            raise UnsupportedError(f"{layer.layer_name()} as layer {k + 1}")
    if not units:
        raise UnsupportedError("a network without a DenseLayer")
    if sum(unit.dropout is not None for unit in units) > _MOST_DROPOUTS:
        raise UnsupportedError(f"more than {_MOST_DROPOUTS} times Dropout")
    return units


def check_features(net: "NeuralNetwork", X: Any) -> None:
    if is_sparse(X):
        if X.format != "csr":
            raise UnsupportedError(f"sparse features in the format {X.format}: CSR is needed")
        if type(net.layers[0]) is not DenseLayer:
            raise UnsupportedError(f"sparse features before {net.layers[0].layer_name()}")
    elif not isinstance(X, np.ndarray) or X.ndim != 2:
        raise UnsupportedError("features that are no matrix of NumPy")
    elif X.dtype.name not in _FEATURES or not X.dtype.isnative:
        raise UnsupportedError(f"features of the type {X.dtype}")
    elif not X.flags.c_contiguous:
        raise UnsupportedError("features that are not row by row in one piece of memory")
    if X.shape[1:] != net.layers[0].input_shape():
        raise UnsupportedError(f"features of shape {X.shape}")


def targets_of(net: "NeuralNetwork", y: Any) -> np.ndarray:
    """Return targets as kernels take them: int64 classes, or rows of the network's type."""
    n, n_outputs = y.shape[0], net.layers[-1].output_shape()[0]
    if not isinstance(y, np.ndarray):
        raise UnsupportedError("targets that are not of NumPy")
    column = y.shape in ((n,), (n, 1))
    if net.loss.targets == "classes" and column and n_outputs > 1:
        if y.dtype.kind not in "iu":
            raise UnsupportedError(f"classes of the type {y.dtype}")
        return np.ascontiguousarray(y.reshape(-1), np.int64)
    if column and n_outputs == 1:
        y = y.reshape(n, 1)
    if y.shape != (n, n_outputs):
        raise UnsupportedError(f"targets of shape {y.shape}")
    return np.ascontiguousarray(y, net.backend.dtype)
