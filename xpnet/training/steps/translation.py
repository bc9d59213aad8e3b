"""Translate networks for kernels: layers into units, formulas into listings, targets.

Parts without a translation are refused with the reason; then formula steps train the network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from ...activations import ActivationLayer, LinearActivation, LogSoftmaxActivation
from ...backends import Array, array_namespace, ops
from ...backends.formula import Formula, Listing, UntraceableError
from ...common.overrides import first_override, first_override_of, has_methods_of, is_builtin
from ...common.traceable import Outputs, Traceable, checked_call, formula_of, listing_of, named
from ...layers import (
    BatchNormalization,
    CategoricalEmbeddings,
    Composite,
    DenseLayer,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LayerNormalization,
    Normalization,
    Residual,
    RMSNormalization,
)
from ...layers.tables import parts_of
from ...losses import ClassLoss, ElementwiseLoss, LossFunction, MeanLoss, NegativeLogLikelihood
from ...model import Model
from ...optimizers import Optimizer
from ...optimizers.base import ruled
from ...regularizers import ElementwisePenalty
from ..errors import UnsupportedError


@dataclass(frozen=True)
class Unit:
    """A layer with parameters, and the normalization, the activation and the dropout that follow.

    Without a layer, the unit begins with a copy of its input. A residual connection ends in a unit:
    the outputs of other units are added to its output.

    Attributes
    ----------
    layer : DenseLayer, Embedding, CategoricalEmbeddings or None
        Embeddings are only in the first unit.
    source : int
        The index of the unit whose output is the input; -1 for the features.
    forward : Listing
        The activation f(x), and its derivative if the forward pass keeps it.
    back : Listing or None
        The derivative as a function of the activation's output, or None if it is kept.
    has_bias : bool
        Whether the layer has biases.
    norm : BatchNormalization or None
    row_norm : RMSNormalization or None
        Also LayerNormalization, which is a subclass.
    trained, norm_trained : bool
        Whether the layer and the normalization (of either kind) are trained.
    added : tuple of int
        The indices of earlier units whose outputs are added to the output, after dropout.
    reached : bool
        Whether the backward pass reaches the unit: something is trained in it, or in a unit whose
        output it uses.
    """

    layer: DenseLayer | Embedding | CategoricalEmbeddings | None
    source: int
    activation: ActivationLayer
    n_inputs: int
    n_units: int
    forward: Listing
    back: Listing | None
    norm: BatchNormalization | None = None
    row_norm: RMSNormalization | None = None
    dropout: Dropout | None = None
    has_bias: bool = False
    trained: bool = False
    norm_trained: bool = False
    reached: bool = True
    added: tuple[int, ...] = ()

    @property
    def is_dense(self) -> bool:
        """Whether the unit begins with the matrix product of a dense layer."""
        return type(self.layer) is DenseLayer

    @property
    def keeps_derivative(self) -> bool:
        """Whether the forward pass computes the derivative of the activation and keeps it."""
        return len(self.forward.results) > 1


class Lookup(NamedTuple):
    """A column of codes, and the table of vectors that replace them.

    Attributes
    ----------
    column : int
        The position of the column in the input.
    n_categories, n_units : int
        The shape of the table of vectors, without the row for unknown codes.
    first : int
        Where the table begins in the layer's parameter.
    place : int
        Where the vector begins in the output.
    """

    column: int
    n_categories: int
    n_units: int
    first: int
    place: int


def lookups_of(layer: Embedding | CategoricalEmbeddings) -> tuple[Lookup, ...]:
    """Return the columns of codes of an embedding; all other columns are copied in their order."""
    if isinstance(layer, Embedding):
        n, width = layer.n_categories, layer.n_units
        return tuple(Lookup(k, n, width, 0, k * width) for k in range(layer.input_shape()[0]))
    widths = {column: width for column, (_, width) in layer.columns.items()}
    found: list[Lookup] = []
    first = 0
    for column, _, after in parts_of(widths, layer.input_shape()[0]):
        if column is not None:
            n, width = layer.columns[column]
            found.append(Lookup(column, n, width, first, after.start))
            first += (n + layer.unknown) * width
    return tuple(found)


_NO_ACTIVATION = LinearActivation()
"""Shared by all units without an activation, so that units of the same layers are equal."""

_PASSES = (
    "__getattribute__", "forward_propagation", "propagate_loss", "backward_propagation",
    "update_parameters",
)  # fmt: skip
"""The methods of a network that formula steps call."""

_OF_LOSS = frozenset([
    "_checks", "accepts", "advice", "check_outputs", "check_state", "compared_column",
    "compared_outputs", "constant_outputs", "decision_threshold", "element_derivative",
    "element_loss", "explains_little", "factor", "greater_is_better", "interval",
    "makes_weights", "metric_weight", "max_reported", "numbers", "output_kind",
    "prediction_names", "predictions", "predictions_derivative", "predicts_outputs",
    "repeats_targets", "sample_weight", "state_names", "sums_outputs", "targets",
])  # fmt: skip
"""The attributes that a user's elementwise loss may define."""

_OF_ACTIVATION = frozenset([
    "_checks", "activation_function", "derivative", "derivative_of_output", "numbers",
    "output_kind",
])  # fmt: skip
_OF_PENALTY = frozenset(["_checks", "derivative", "element_penalty", "numbers", "per_sample"])
_OF_OPTIMIZER = frozenset([
    "_checks", "no_factors", "numbers", "rule", "square_names", "state_names",
])  # fmt: skip


def check_parts(model: Model) -> None:
    """Refuse parts that are not formulas, and overridden methods."""
    loss = model.loss
    if (name := first_override(model, _PASSES)) is not None:
        raise UnsupportedError(f"{type(model).__name__} overrides {name}")
    for thing in (model.parameters, model.parameters.penalties):
        _check_methods(thing)
    _check_formula(Optimizer, model.optimizer, _OF_OPTIMIZER)
    if isinstance(loss, ElementwiseLoss):
        _check_formula(ElementwiseLoss, loss, _OF_LOSS)
    elif row_kernel(loss) is None:
        raise UnsupportedError(f"the loss {type(loss).__name__}, which is not an ElementwiseLoss")
    else:
        _check_methods(loss)
    for _, name, regularizer in model.parameters.penalties:
        if not isinstance(regularizer, ElementwisePenalty):
            kind = type(regularizer).__name__
            raise UnsupportedError(
                f"the regularizer {kind} of {name}, which is not an ElementwisePenalty"
            )
        _check_formula(ElementwisePenalty, regularizer, _OF_PENALTY)
    ends_in_logarithms = bool(model.layers) and type(model.layers[-1]) is LogSoftmaxActivation
    if isinstance(loss, NegativeLogLikelihood) and not ends_in_logarithms:
        raise UnsupportedError("NegativeLogLikelihood after anything but LogSoftmaxActivation")
    if ends_in_logarithms and not isinstance(loss, NegativeLogLikelihood):
        raise UnsupportedError("LogSoftmaxActivation before anything but NegativeLogLikelihood")


def row_kernel(loss: LossFunction) -> str | None:
    """Return the kernel of a loss that couples the outputs of a sample, or None."""
    kind = type(loss)
    return getattr(kind, "row_kernel", None) if is_builtin(kind) else None


def _check_methods(thing: object) -> None:
    """Refuse an object with an overridden method, which the kernels would not call."""
    if (name := first_override(thing)) is not None:
        raise UnsupportedError(f"a {type(thing).__name__} overrides {name}")


def _check_formula(base: type, part: object, own: frozenset[str]) -> None:
    """Refuse a part that overrides more than its formula."""
    if (name := first_override_of(base, part, own)) is not None:
        raise UnsupportedError(f"{type(part).__name__} overrides {name}")


# ---- formulas


def _of_activation(part: ActivationLayer, x: Any, a: Any) -> tuple[Any, ...]:
    value, slope = checked_call(part.activation_function, x), part.derivative(x)
    of_output = part.derivative_of_output
    return (value, slope) if of_output is None else (value, slope, of_output(a))


def _of_loss(part: ElementwiseLoss, y: Any, p: Any) -> tuple[Any, ...]:
    return checked_call(part.element_loss, y, p), part.element_derivative(y, p)


def _of_penalty(part: ElementwisePenalty, w: Any) -> tuple[Any, ...]:
    return checked_call(part.element_penalty, w), part.derivative(w)


def traced(
    part: Traceable,
    outputs: Outputs,
    inputs: tuple[str, ...],
    dtype: str,
    arguments: tuple[str, ...] = (),
) -> Formula:
    """Return the formula of a part; refuse a part that cannot be traced."""
    try:
        return formula_of(part, outputs, inputs, dtype, arguments)
    except UntraceableError as error:
        raise UnsupportedError(f"the formula of {named(part)} has {error}") from error


def listing_of_loss(loss: ElementwiseLoss, dtype: str) -> Listing:
    """Return the listing of one output's loss and its derivative."""
    return listing_of(traced(loss, _of_loss, ("y", "p"), dtype))


def listing_of_penalty(regularizer: Any, dtype: str) -> Listing:
    """Return the listing of the penalty on a weight and its derivative."""
    return listing_of(traced(regularizer, _of_penalty, ("w",), dtype))


def slope_of_penalty(regularizer: Any, dtype: str) -> Listing:
    """Return the listing of the penalty's derivative alone."""
    return listing_of(traced(regularizer, _of_penalty, ("w",), dtype), 1)


def listing_of_rule(optimizer: Optimizer, dtype: str) -> Listing:
    """Return the listing of the new weight and the new state."""
    if not _OF_STEP.isdisjoint(optimizer.numbers):
        raise UnsupportedError(
            f"{type(optimizer).__name__}.numbers has 'rate' or 't', which are arguments of a rule"
        )
    states = tuple(f"s{k}" for k in range(len(optimizer.state_names)))
    return listing_of(traced(optimizer, ruled, ("w", "g", *states), dtype, ("rate", "t")))


class Formulas(NamedTuple):
    """The listings of a model's optimizer, loss and penalties.

    Attributes
    ----------
    rule : Listing
    loss : Listing or None
        None for a loss that couples the outputs of a sample.
    penalties : tuple of Listing
        In the order of ``model.parameters.penalties``.
    """

    rule: Listing
    loss: Listing | None
    penalties: tuple[Listing, ...]


def formulas_of(
    model: Model, of_penalty: Callable[[Any, str], Listing] = listing_of_penalty
) -> Formulas:
    """Return the listings of a model's parts, except its layers, whose listings are in the units.

    Parameters
    ----------
    model : Model
    of_penalty : callable, default listing_of_penalty
        Or :func:`slope_of_penalty`.

    Raises
    ------
    UnsupportedError
        A part cannot be traced.
    """
    loss, dtype = model.loss, model.backend.dtype
    return Formulas(
        listing_of_rule(model.optimizer, dtype),
        listing_of_loss(loss, dtype) if isinstance(loss, ElementwiseLoss) else None,
        tuple(of_penalty(each, dtype) for _, _, each in model.parameters.penalties),
    )


def settings_of(model: Model, units: list[Unit], formulas: Formulas) -> list[Any]:
    """Return the formulas, and the numbers in a step's kernels that a user may change."""
    found: list[Any] = [formulas, *numbers_in(model.optimizer, formulas.rule)]
    found += scale_of_loss(model)
    if formulas.loss is not None:
        found += numbers_in(model.loss, formulas.loss)
    terms = zip(model.parameters.penalties, formulas.penalties, strict=True)
    for (_, _, regularizer), listing in terms:
        found += [*numbers_in(regularizer, listing), regularizer.per_sample]
    for unit in units:
        for each in (unit.forward, unit.back):
            found += [] if each is None else numbers_in(unit.activation, each)
        found.append(None if unit.dropout is None else unit.dropout.rate)
        if unit.norm is not None:
            found += [unit.norm.momentum, unit.norm.epsilon]
        if unit.row_norm is not None:
            found.append(unit.row_norm.epsilon)
    return found + model.parameters.parts_of(model.optimizer)


def numbers_in(part: Any, listing: Listing) -> list[float]:
    """Return the current values of a listing's numbers, except those of the step."""
    others = _OF_STEP if isinstance(part, Optimizer) else ()
    return [float(getattr(part, name)) for name in listing.numbers if name not in others]


_OF_STEP = frozenset(["rate", "t"])
"""The numbers of an optimizer's rule that differ from step to step."""


def scale_of_loss(model: Model) -> tuple[float, float]:
    """Return the factor of the loss of each output, and the upper limit of its reported value."""
    loss: Any = model.loss
    max_reported = float(getattr(loss, "max_reported", math.inf))
    if not isinstance(loss, ElementwiseLoss):
        return 1.0, max_reported
    return float(loss.factor_of(model.layers[-1].output_shape()[0])), max_reported


def units_of(model: Model, most_dropouts: int) -> list[Unit]:
    """Return a model's layers as units; each layer begins a unit or extends the last unit."""
    units: list[Unit] = []
    dtype, last = model.backend.dtype, len(model.layers) - 1
    for k, layer in enumerate(model.layers):
        if k == 0 and type(layer) in (Normalization, Flatten):
            _check_methods(layer)
        else:
            _append(units, layer, dtype, f"layer {k + 1}", is_last=k == last)
    if not any(unit.is_dense for unit in units):
        raise UnsupportedError("a network without a DenseLayer")
    if sum(unit.dropout is not None for unit in units) > most_dropouts:
        raise UnsupportedError(f"more than {most_dropouts} Dropout layers")
    return _marked(units, dtype)


def _append(units: list[Unit], layer: Layer, dtype: str, place: str, is_last: bool) -> None:
    """Append a unit for a layer, or extend the last unit; ``place`` is for messages."""
    if isinstance(layer, ActivationLayer) and not is_builtin(type(layer)):
        _check_formula(ActivationLayer, layer, _OF_ACTIVATION)
    else:
        _check_methods(layer)
    if layer.updates_itself:
        raise UnsupportedError(f"a {layer.layer_name()} has its own optimizer")
    kind = type(layer)
    if isinstance(layer, DenseLayer) and kind is DenseLayer:
        if layer.max_norm is not None:
            raise UnsupportedError("max_norm")
        units.append(_begin(layer, len(units) - 1, dtype))
    elif isinstance(layer, (Embedding, CategoricalEmbeddings)) and not units:
        units.append(_begin(layer, -1, dtype))
    elif kind is Composite:
        for each in layer.inner_layers:
            _append(units, each, dtype, place, is_last=False)
    elif isinstance(layer, Residual) and kind is Residual:
        _append_residual(units, layer, dtype, place)
    else:
        _follow(units, layer, dtype, place, is_last)


def _begin(layer: Any, source: int, dtype: str) -> Unit:
    """Return a unit for a layer with parameters."""
    n_inputs, n_units = layer.input_shape()[0], layer.output_shape()[0]
    forward, back = _formulas(_NO_ACTIVATION, dtype)
    has_bias = isinstance(layer, DenseLayer) and layer.use_bias
    return Unit(
        layer, source, _NO_ACTIVATION, n_inputs, n_units, forward, back,
        has_bias=has_bias, trained=layer.trainable,
    )  # fmt: skip


def _copy_of(units: list[Unit], n: int, dtype: str) -> Unit:
    """Return a unit that begins with a copy of the last unit's output, of ``n`` numbers."""
    source = len(units) - 1
    return Unit(None, source, _NO_ACTIVATION, n, n, *_formulas(_NO_ACTIVATION, dtype))


def _append_residual(units: list[Unit], layer: Residual, dtype: str, place: str) -> None:
    """Append the units of a residual block; the sum is the output of the last unit.

    Without a projection, the block's input is added to the output of its last layer. With one, the
    output of the block's layers is added to that of the projection.
    """
    n = layer.input_shape()[0]
    if not units:
        units.append(_copy_of(units, n, dtype))
    source, first = len(units) - 1, layer.layers[0]
    while type(first) is Composite:
        first = first.layers[0]
    if type(first) not in (DenseLayer, Residual):  # it would alter the source unit
        units.append(_copy_of(units, n, dtype))
    for each in layer.layers:
        _append(units, each, dtype, place, is_last=False)
    if layer.projection is not None:
        _append(units, layer.projection, dtype, place, is_last=False)
        units[-1] = replace(units[-1], source=source, added=(len(units) - 2,))
        return
    unit = units[-1]
    if unit.back is not None and not unit.back.is_one:  # the derivative is computed from the output
        _, kept, _ = listings_of_activation(unit.activation, dtype)
        unit = replace(unit, forward=kept, back=None)
    units[-1] = replace(unit, added=(*unit.added, source))


def _marked(units: list[Unit], dtype: str) -> list[Unit]:
    """Return the units with ``reached`` set, and without derivatives that no pass needs."""
    marked: list[Unit] = []
    for unit in units:
        used = [marked[k] for k in (unit.source, *unit.added) if k >= 0]
        if not (unit.trained or unit.norm_trained or any(each.reached for each in used)):
            forward = unit.forward
            if unit.dropout is None:  # whose kernel needs the derivative
                forward = listings_of_activation(unit.activation, dtype)[0]
            unit = replace(unit, forward=forward, reached=False)
        marked.append(unit)
    return marked


def _is_elementwise(layer: ActivationLayer) -> bool:
    """Whether an activation is elementwise, unlike a softmax."""
    return has_methods_of(ActivationLayer, layer, "forward_propagation", "backward_propagation")


def listings_of_activation(
    layer: ActivationLayer, dtype: str
) -> tuple[Listing, Listing, Listing | None]:
    """Return listings of f(x), of f(x) with f'(x), and of f' from f(x) if there is a formula."""
    formula = traced(layer, _of_activation, ("x", "a"), dtype)
    back = listing_of(formula, 2) if len(formula.outputs) > 2 else None
    return listing_of(formula, 0), listing_of(formula, 0, 1), back


def _formulas(layer: ActivationLayer, dtype: str) -> tuple[Listing, Listing | None]:
    """Return ``forward`` and ``back`` of a unit with this activation, and without dropout."""
    alone, both, back = listings_of_activation(layer, dtype)
    return (both, None) if back is None else (alone, back)


def _follow(units: list[Unit], layer: Layer, dtype: str, place: str, is_last: bool) -> None:
    """Extend the last unit by a layer or, if that is impossible, append a unit for the layer."""
    kind = type(layer)
    if kind is LinearActivation or (isinstance(layer, Dropout) and layer.rate == 0.0):
        return
    extended = _extended(units[-1], layer, dtype, is_last) if units else None
    if extended is None:
        copied = _copy_of(units, layer.input_shape()[0], dtype)
        extended = _extended(copied, layer, dtype, is_last)
        if extended is None:
            raise UnsupportedError(f"{layer.layer_name()} as {place}")
        units.append(extended)
    else:
        units[-1] = extended


def _extended(unit: Unit, layer: Layer, dtype: str, is_last: bool) -> Unit | None:
    """Return a unit extended by the next layer, or None if that is impossible."""
    kind, is_linear = type(layer), type(unit.activation) is LinearActivation
    if unit.added or unit.dropout is not None:
        return None
    is_plain = is_linear and unit.norm is None and unit.row_norm is None
    if isinstance(layer, ActivationLayer) and is_linear and _is_elementwise(layer):
        forward, back = _formulas(layer, dtype)
        return replace(unit, activation=layer, forward=forward, back=back)
    if isinstance(layer, Dropout) and kind is Dropout:
        if layer.key is None:
            raise UnsupportedError("Dropout before it is initialised")
        _, kept, _ = listings_of_activation(unit.activation, dtype)
        return replace(unit, dropout=layer, forward=kept, back=None)
    if not is_plain:
        return None
    if isinstance(layer, BatchNormalization) and kind is BatchNormalization:
        return replace(unit, norm=layer, norm_trained=layer.trainable)
    if isinstance(layer, RMSNormalization) and kind in (RMSNormalization, LayerNormalization):
        return replace(unit, row_norm=layer, norm_trained=layer.trainable)
    return unit if kind is LogSoftmaxActivation and is_last else None


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
