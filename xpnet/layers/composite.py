"""Layers that are made of other layers."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from ..backends import Array
from ..backends._errors import shown
from ..common.checks import check_flag, check_non_negative
from ..common.overrides import register_builtin
from .base import Layer
from .checks import check_batch, check_output
from .rewiring import CompositePrediction

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class Composite(CompositePrediction):
    """Several layers as one: each gets the output of the layer before it.

    It is the base of :class:`~xpnet.Residual` and :class:`~xpnet.Branches`, and of your own layers
    that are made of layers. The inner layers are layers like all others: their parameters are
    trained, regularised, constrained, frozen and saved. Each inner layer has its own random stream,
    for initial weights and dropout, which is spawned from the outer layer's.

    A subclass whose constructor takes other arguments keeps each as an attribute of the same name,
    and lists the inner layers in ``inner_layers``. A subclass that does not call them in sequence
    defines ``forward_propagation``, ``backward_propagation``, and ``connect``, which sets the input
    shape of each. :meth:`forward_through` and :meth:`backward_through` call layers in sequence.

    Parameters
    ----------
    *layers : Layer
        New layers, one or more.
    input_shape : tuple of int, optional
        Only needed for the first layer of a network.

    Attributes
    ----------
    layers : tuple of Layer
        The layers that were given.
    inner_layers : tuple of Layer
        All inner layers, including those that the composite has made itself.

    Raises
    ------
    TypeError
        An argument is not a layer.
    ValueError
        There are no layers, or one is given twice or is already in a network.

    Examples
    --------
    A layer that multiplies its input by the output of its inner layers:

    >>> from xpnet import Composite, DenseLayer, SigmoidActivation
    >>> class Gated(Composite):
    ...     def forward_propagation(self, input, training=True):
    ...         gate = self.forward_through(self.layers, input, training)
    ...         if training:
    ...             self.input, self.gate = input, gate
    ...         return input * gate
    ...
    ...     def backward_propagation(self, output_error):
    ...         through_gate = self.backward_through(self.layers, output_error * self.input)
    ...         return output_error * self.gate + through_gate
    ...
    ...     passing_names = ("input", "gate")
    >>> Gated(DenseLayer(4), SigmoidActivation(), input_shape=(4,)).initialize().parameters()
    20
    """

    passing_names = ()
    own_trainable: bool = True
    own_factor: float = 1.0

    def __init__(self, *layers: Layer, input_shape: tuple[int, ...] | None = None) -> None:
        self.layers = check_new_layers(type(self).__name__, layers)
        if input_shape is not None:
            self.set_input_shape(input_shape)

    @property
    def inner_layers(self) -> tuple[Layer, ...]:
        """All inner layers, in the order in which they are initialised."""
        return self.layers

    @property
    def min_samples(self) -> int:  # type: ignore[override]
        """The smallest batch from which all inner layers can learn."""
        return max((each.min_samples for each in self.inner_layers), default=1)

    @property
    def output_kind(self) -> str | None:  # type: ignore[override]
        """The kind of the last layer's outputs."""
        return self.layers[-1].output_kind

    @property
    def updates_itself(self) -> bool:
        """Whether the layer or an inner layer updates its own parameters."""
        return bool(self._optimizers) or any(each.updates_itself for each in self.inner_layers)

    @property
    def trainable(self) -> bool:
        """Whether any inner layer is trained. Setting it sets ``trainable`` of all inner layers.

        For a composite that has parameters itself: whether these are trained.
        """
        if self.parameter_names:
            return self.own_trainable
        return any(each.trainable for each in self.inner_layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = check_flag(f"{self.layer_name()}.trainable", value)
        if self.parameter_names:
            self.own_trainable = value
        for each in self.inner_layers:
            each.trainable = value

    @property
    def learning_rate_factor(self) -> float:
        """The factor of the composite's own parameters or, without any, of all inner layers.

        It is 1 if the inner layers' factors differ. Setting it also sets all inner layers' factors.
        """
        if self.parameter_names:
            return self.own_factor
        found = {each.learning_rate_factor for each in self.inner_layers}
        return found.pop() if len(found) == 1 else 1.0

    @learning_rate_factor.setter
    def learning_rate_factor(self, value: float) -> None:
        value = check_non_negative(f"{self.layer_name()}.learning_rate_factor", value)
        if self.parameter_names:
            self.own_factor = value
        for each in self.inner_layers:
            each.learning_rate_factor = value

    def set_input_shape(self, input_shape: tuple[int, ...]) -> None:
        """Set the shape of one input sample, and connect the inner layers."""
        with unchanged_on_failure(self):
            super().set_input_shape(input_shape)
            self.connect()

    def connect(self) -> None:
        """Set the input shapes of the inner layers, which follow one another by default."""
        connect_in_sequence(self, self.layers, self.input_shape())

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Initialise the inner layers in their order, on the layer's backend."""
        self.input_shape()  # refuses a layer without one
        inner = self.inner_layers
        streams = [None] * len(inner) if self.rng is None else self.rng.spawn(len(inner))
        for each, stream in zip(inner, streams, strict=True):
            each.backend, each.rng = self.backend, stream
            each.initialize(optimizer)
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the output of the last layer."""
        check_batch(self, input)
        return self.forward_through(self.layers, input, training)

    def backward_propagation(self, output_error: Array) -> Array:
        """Propagate the derivative back through all layers; return the input's derivative."""
        return self.backward_through(self.layers, output_error)

    def forward_through(self, layers: Sequence[Layer], input: Array, training: bool) -> Array:
        """Return the output of layers in sequence; without layers, the input itself."""
        for each in layers:
            input = each.forward_propagation(input, training)
            check_output(each, input)
        return input

    def backward_through(self, layers: Sequence[Layer], output_error: Array) -> Array:
        """Propagate a derivative back through layers in sequence; return None if not needed."""
        needed = self.needs_input_error
        for each, follows_trained in reversed([*zip(layers, _follow_trained(layers), strict=True)]):
            each.needs_input_error = needed or follows_trained
            output_error = each.backward_propagation(output_error)
            if not each.needs_input_error:
                return None
        return output_error

    def output_shape(self) -> tuple[int, ...]:
        """Return the shape of one sample of the last layer's output."""
        self.input_shape()  # refuses a layer that is not connected
        return tuple(self.layers[-1].output_shape())

    def parameters(self) -> int:
        """Return the number of parameter values, including those of the inner layers."""
        return super().parameters() + sum(each.parameters() for each in self.inner_layers)

    def values_per_sample(self) -> int:
        """Return the number of values that the inner layers store per sample."""
        return sum(each.values_per_sample() for each in self.inner_layers)

    def forget_pass(self) -> None:
        """Release the arrays of the last training pass, including those of the inner layers."""
        super().forget_pass()
        for each in self.inner_layers:
            each.forget_pass()

    def __copy__(self) -> Self:
        """Return a copy with shallow copies of the inner layers, so that no layer is shared."""
        copies = {id(each): copy.copy(each) for each in self.inner_layers}
        state: Any = self.__getstate__()
        attributes = state[0] | state[1] if isinstance(state, tuple) else state
        twin = object.__new__(type(self))
        for name, held in attributes.items():
            setattr(twin, name, _with_copies(held, copies))
        return twin

    def _argument(self, name: str) -> Any:
        given = super()._argument(name)
        if name != "layers" or self._input_shape is None or not isinstance(given, tuple):
            return given
        return tuple(map(without_shapes, given))


def all_layers(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Yield each layer, followed by the layers inside it."""
    for each in layers:
        yield each
        if inner := each.inner_layers:
            yield from all_layers(inner)


def without_shapes(layer: Layer) -> Layer:
    """Return a copy of a layer for ``repr``, without input shapes, which its composite sets."""
    twin = copy.copy(layer)
    for each in all_layers([twin]):
        each._input_shape = None
    return twin


def is_trained(layer: Layer) -> bool:
    """Whether a layer, or a layer inside it, has parameters that are trained."""
    return any(each.trainable and each.parameter_names for each in all_layers([layer]))


def check_new_layers(name: str, layers: Any, least: int = 1) -> tuple[Layer, ...]:
    """Return the layers that were given to a composite, after checking them.

    Parameters
    ----------
    name : str
        The name of the composite, for messages.
    layers : sequence of Layer
    least : int, default 1
        The minimum number of layers.
    """
    for each in layers:
        if not isinstance(each, Layer):
            hint = f": write {each.__name__}(...)" if isinstance(each, type) else ""
            raise TypeError(f"{name} got {shown(each)}: expected instances of Layer{hint}")
        if each.in_network:
            raise ValueError(
                f"{name} got a {each.layer_name()} that is already in a network: give "
                "layer.copy(), which keeps its parameters, or a new layer"
            )
    if len(layers) < least:
        raise ValueError(f"{name} got no layers: give one or more, e.g. {name}(DenseLayer(8))")
    inside = [id(each) for each in all_layers(layers)]
    if len(set(inside)) < len(inside):
        raise ValueError(f"{name} got the same layer twice: make a new one for each place")
    return tuple(layers)


def connect_in_sequence(
    outer: Layer, layers: Sequence[Layer], shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Set the input shapes of layers in sequence, and return the last one's output shape.

    Raises
    ------
    ValueError
        A layer already has another input shape.
    """
    for each in layers:
        if each._input_shape not in (None, shape):
            raise ValueError(
                f"{each.layer_name()} in {outer.layer_name()} has "
                f"input_shape={shown(each.input_shape())}, but its inputs have the shape "
                f"{shown(shape)}: leave input_shape out, and use new layers for other inputs"
            )
        each.set_input_shape(shape)
        shape = tuple(each.output_shape())
    return shape


@contextmanager
def unchanged_on_failure(layer: Layer) -> Iterator[None]:
    """Restore the attributes of a layer and of the layers inside it if the block fails."""
    before = [(each, dict(vars(each))) for each in all_layers([layer])]
    try:
        yield
    except Exception:
        for each, attributes in before:
            vars(each).clear()
            vars(each).update(attributes)
        raise


def _follow_trained(layers: Sequence[Layer]) -> list[bool]:
    """Return for each layer whether a layer before it is trained."""
    trained = [is_trained(each) for each in layers]
    return [any(trained[:k]) for k in range(len(layers))]


def _with_copies(held: Any, copies: Mapping[int, Layer]) -> Any:
    """Return a value with copies in place of layers, also inside lists, tuples and dicts."""
    if isinstance(held, Layer):
        return copies.get(id(held), held)
    if isinstance(held, dict):
        return {key: _with_copies(each, copies) for key, each in held.items()}
    if type(held) in (list, tuple):
        return type(held)(_with_copies(each, copies) for each in held)
    return held


register_builtin(Composite)
