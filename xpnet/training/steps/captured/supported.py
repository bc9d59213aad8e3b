"""The networks and data that captured steps support."""

from typing import TYPE_CHECKING, Any

from ....activations import (
    LeakyReLUActivation,
    LinearActivation,
    ReLU6Activation,
    ReLUActivation,
    SigmoidActivation,
    TanhActivation,
)
from ....backends.cuda import kernels
from ....data.features import SparseRows, kind_of
from ....layers import DenseLayer, Layer, Normalization
from ....losses import (
    BinaryCrossEntropy,
    LossFunction,
    MeanSquaredError,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from ....optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp
from ..translation import Unit, UnsupportedError, check_parts, targets_of, units_of

if TYPE_CHECKING:
    from ....neuralnet import NeuralNetwork

ACTIVATIONS: dict[type[Layer], tuple[int, str | None]] = {
    LinearActivation: (kernels.LINEAR, None),
    ReLUActivation: (kernels.RELU, None),
    LeakyReLUActivation: (kernels.LEAKY_RELU, "alpha"),
    ReLU6Activation: (kernels.RELU6, None),
    SigmoidActivation: (kernels.SIGMOID, "slope"),
    TanhActivation: (kernels.TANH, None),
}
"""For each activation, its number in the kernels, and the attribute that they need."""

OPTIMIZERS: frozenset[type[Optimizer]] = frozenset([SGD, RMSProp, Adagrad, Adam, AdamW])

LOSSES: frozenset[type[LossFunction]] = frozenset(
    [BinaryCrossEntropy, MeanSquaredError, NegativeLogLikelihood, SoftmaxCrossEntropy]
)

MOST_NUMBERS = 2**31 - 1
"""The largest number of elements of an array: kernels compute indices in 32 bits."""


def why_not(net: "NeuralNetwork", X: Any, y: Any = None, batch_size: int = 1) -> str | None:
    """Return why captured steps do not support a network and its data, or None if they do."""
    try:
        needed = units(net)
        _check_features(net, X)
        if y is not None:
            targets_of(net, y)
        widest = max(max(unit.n_inputs, unit.n_units) for unit in needed)
        if batch_size * widest > MOST_NUMBERS:
            raise UnsupportedError(f"a batch of {batch_size} rows of {widest} numbers")
    except UnsupportedError as reason:
        return str(reason)
    return None


def units(net: "NeuralNetwork") -> list[Unit]:
    """Return a unit for each dense layer of a network, with the layers that follow it."""
    check_parts(net, OPTIMIZERS, LOSSES)
    return units_of(net.layers, ACTIVATIONS, kernels.MOST_DROPOUTS)


def _check_features(net: "NeuralNetwork", X: Any) -> None:
    if kind_of(X) is SparseRows:
        if X.format != "csr":
            raise UnsupportedError(f"sparse features in the format {X.format} instead of CSR")
        if type(net.layers[0]) is not DenseLayer:
            raise UnsupportedError(f"sparse features before {net.layers[0].layer_name()}")
    elif X.ndim != 2 or X.shape[1:] != net.layers[0].input_shape():
        raise UnsupportedError(f"features of shape {tuple(X.shape)}")
    elif str(X.dtype) not in kernels.DATA_TYPES:
        raise UnsupportedError(f"features of the type {X.dtype}")
    if len(net.layers) > 1 and type(net.layers[0]) is Normalization:
        return
    if type(net.layers[0]) is not DenseLayer:
        raise UnsupportedError(f"{net.layers[0].layer_name()} as layer 1")
