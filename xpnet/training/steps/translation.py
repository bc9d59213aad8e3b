"""Translation of networks for kernels: layers as dense units, targets as classes or rows, weights.

Anything that has no translation is refused with the reason; the network is trained by its formulas.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, cast

from ...activations import (
    LeakyReLUActivation,
    LinearActivation,
    LogSoftmaxActivation,
    SigmoidActivation,
)
from ...backends import Array, array_namespace, ops
from ...common.overrides import replaced
from ...layers import BatchNormalization, DenseLayer, Dropout, Layer, Normalization
from ...losses import ClassLoss, LossFunction, MeanLoss, NegativeLogLikelihood
from ...model import Model
from ...optimizers import SGD, Optimizer
from ...regularizers import L1, L1L2, L2
from ..errors import UnsupportedError


@dataclass(frozen=True)
class Unit:
    """A dense layer with the normalization, the activation and the dropout that follow it."""

    layer: DenseLayer
    activation: Layer
    n_inputs: int
    n_units: int
    norm: BatchNormalization | None = None
    dropout: Dropout | None = None

    @property
    def keeps_derivative(self) -> bool:
        """Whether the forward pass computes the derivative of the activation and keeps it."""
        return self.dropout is not None or type(self.activation) is SigmoidActivation


_NO_ACTIVATION = LinearActivation()
"""Shared by all units without an activation, so that units of the same layers are equal."""

REGULARIZERS = (L1, L2, L1L2)

_PASSES = (
    "__getattribute__", "forward_propagation", "propagate_loss", "backward_propagation",
    "update_parameters",
)  # fmt: skip
"""The methods of a network that steps by formulas call."""


def check_parts(
    model: Model,
    optimizers: Collection[type[Optimizer]],
    losses: Collection[type[LossFunction]],
) -> None:
    """Refuse other optimizers or losses than these, and overridden methods."""
    optimizer, loss = model.optimizer, model.loss
    if type(optimizer) not in optimizers:
        raise UnsupportedError(f"the optimizer {type(optimizer).__name__}")
    if isinstance(optimizer, SGD) and optimizer.nesterov and optimizer.dampening:
        raise UnsupportedError("SGD with Nesterov's momentum and dampening")
    if type(loss) not in losses:
        raise UnsupportedError(f"the loss {type(loss).__name__}")
    if (name := replaced(model, _PASSES)) is not None:
        raise UnsupportedError(f"{type(model).__name__} overrides {name}")
    for thing in (optimizer, loss, model.parameters, model.parameters.penalties):
        _check_methods(thing)
    for _, name, regularizer in model.parameters.penalties:
        if type(regularizer) not in REGULARIZERS:
            raise UnsupportedError(f"the regularizer {type(regularizer).__name__} of {name}")
        _check_methods(regularizer)
    ends_in_logarithms = bool(model.layers) and type(model.layers[-1]) is LogSoftmaxActivation
    if isinstance(loss, NegativeLogLikelihood) and not ends_in_logarithms:
        raise UnsupportedError("NegativeLogLikelihood after anything but LogSoftmaxActivation")
    if ends_in_logarithms and not isinstance(loss, NegativeLogLikelihood):
        raise UnsupportedError("LogSoftmaxActivation before anything but NegativeLogLikelihood")


def _check_methods(thing: object) -> None:
    """Refuse an object with an overridden method, which its translation would not call."""
    if (name := replaced(thing)) is not None:
        raise UnsupportedError(f"a {type(thing).__name__} overrides {name}")


def factor_and_most(loss: LossFunction) -> tuple[float, float]:
    """Return the factor of a loss, and the upper limit of its reported value."""
    return float(getattr(loss, "factor", 1.0)), float(getattr(loss, "most", math.inf))


def units_of(
    layers: list[Layer], activations: Collection[type[Layer]], most_dropouts: int
) -> list[Unit]:
    """Return a unit for each dense layer, with the layers that follow it."""
    units: list[Unit] = []
    for k, layer in enumerate(layers):
        _check_methods(layer)
        if layer.own_optimizers:
            raise UnsupportedError(f"a {layer.layer_name()} has its own optimizer")
        if type(layer) is DenseLayer:
            if layer.max_norm is not None:
                raise UnsupportedError("max_norm")
            n_inputs = layer.input_shape()[0]
            units.append(Unit(layer, _NO_ACTIVATION, n_inputs, layer.n_units))
        elif units and type(layer) is not Normalization:
            units[-1] = _extend(units[-1], layer, activations, is_last=k == len(layers) - 1)
        elif type(layer) is not Normalization or k > 0:
            raise UnsupportedError(f"{layer.layer_name()} as layer {k + 1}")
    if not units:
        raise UnsupportedError("a network without a DenseLayer")
    if sum(unit.dropout is not None for unit in units) > most_dropouts:
        raise UnsupportedError(f"more than {most_dropouts} Dropout layers")
    return units


def _extend(unit: Unit, layer: Layer, activations: Collection[type[Layer]], is_last: bool) -> Unit:
    """Return a unit extended by the next layer; only one order of layers is supported."""
    kind, is_linear = type(layer), type(unit.activation) is LinearActivation
    if kind is LinearActivation:
        return unit
    if kind in activations:
        if unit.dropout is not None:
            raise UnsupportedError("an activation after Dropout")
        if not is_linear:
            raise UnsupportedError("an activation after another one")
        if isinstance(layer, LeakyReLUActivation) and layer.alpha < 0:
            raise UnsupportedError("LeakyReLUActivation with a negative slope")
        return replace(unit, activation=layer)
    if isinstance(layer, Dropout) and kind is Dropout:
        if layer.rate == 0.0:
            return unit
        if unit.dropout is not None or layer.key is None:
            raise UnsupportedError("Dropout after Dropout, or before it is initialised")
        return replace(unit, dropout=layer)
    if isinstance(layer, BatchNormalization) and kind is BatchNormalization:
        if unit.norm is not None or unit.dropout is not None or not is_linear:
            raise UnsupportedError("BatchNormalization after anything but DenseLayer")
        return replace(unit, norm=layer)
    if kind is LogSoftmaxActivation and is_last:
        if unit.norm is not None or unit.dropout is not None or not is_linear:
            raise UnsupportedError("LogSoftmaxActivation after anything but DenseLayer")
        return unit
    raise UnsupportedError(f"{layer.layer_name()} after a DenseLayer")


def targets_of(model: Model, y: Array) -> Array:
    """Return targets in the form for kernels: int64 classes, or rows of the network's type."""
    xp, n, n_outputs = array_namespace(y), y.shape[0], model.layers[-1].output_shape()[0]
    if isinstance(model.loss, ClassLoss) and model.loss.label_smoothing:
        outputs = model.backend.xp.broadcast_to(model.backend.zeros((1, 1)), (n, n_outputs))
        return model.loss.match(y, outputs)
    column = y.shape in ((n,), (n, 1))
    if model.loss.targets == "classes" and column and n_outputs > 1:
        if not xp.isdtype(y.dtype, "integral"):
            raise UnsupportedError(f"classes of the type {y.dtype}")
        return xp.astype(xp.reshape(y, (-1,)), xp.int64, copy=False)
    if column and n_outputs == 1:
        y = xp.reshape(y, (n, 1))
    if y.shape != (n, n_outputs):
        raise UnsupportedError(f"targets of shape {tuple(y.shape)}")
    return xp.astype(y, model.backend.float_dtype, copy=False)


def weights_of(model: Model, y: Array, given: Array | None) -> Array | None:
    """Return the weight of each sample in the loss, or None if all are equal."""
    backend, loss = model.backend, cast(MeanLoss, model.loss)
    zero, n_outputs = backend.zeros((1, 1)), model.layers[-1].output_shape()[0]

    def of_rows(y: Array, *weight: Array) -> Any:
        # The loss only uses the shape and the type of these outputs.
        outputs = backend.xp.broadcast_to(zero, (y.shape[0], n_outputs))
        return loss.sample_weight(y, outputs, weight[0] if weight else None)

    if given is None and of_rows(y[:1, ...]) is None:
        return None
    arrays = () if given is None else (backend.asarray(given, backend.dtype),)
    return ops.rowwise(y, *arrays, function=of_rows, out=backend.zeros((y.shape[0],)))
