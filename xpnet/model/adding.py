"""Checks of a layer that is added to a network, and the parameters that it already has."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..activations import FunctionActivation
from ..backends import Array, Backend, is_array, move_state
from ..backends._errors import shown
from ..common.overrides import is_builtin
from ..common.readable import is_plain_function
from ..layers import Layer, Normalization
from ..layers.composite import all_layers
from .freezing import check_training


def check_new(layer: Layer | Callable[[Array], Array]) -> Layer:
    """Return the layer to add to a network: for a function, an activation that calls it.

    Raises
    ------
    TypeError
        It is neither a layer nor a function.
    ValueError
        The layer, or a layer inside it, is already in a network.
    """
    if not isinstance(layer, Layer) and is_plain_function(layer):
        layer = FunctionActivation(layer)
    if not isinstance(layer, Layer):
        given: Any = layer
        is_collection = isinstance(given, Iterable) and not isinstance(given, str)  # e.g. a network
        what = f"a {type(given).__name__}" if is_collection else shown(given)
        raise TypeError(f"add({what}): expected an instance of Layer{_hint(given)}")
    for each in all_layers([layer]):
        if each.in_network:
            raise ValueError(
                f"this {each.layer_name()} is already in a network: add layer.copy(), which "
                "keeps its parameters, or a new layer"
            )
    return layer


def _hint(given: Any) -> str:
    """Return advice for a value that is not a layer."""
    if isinstance(given, type):
        return f": write {given.__name__}(...)"
    if isinstance(given, str):
        return ". Activations are layers, e.g. ReLUActivation()"
    if isinstance(given, Iterable) and not is_array(given):
        are_taken = any(getattr(each, "in_network", False) for each in given)
        each = "layer.copy()" if are_taken else "layer"
        return f". Add layers one at a time, as in: for layer in layers: net.add({each})"
    return ""


def connect(layer: Layer, earlier: Sequence[Layer], may_change: bool) -> None:
    """Set a new layer's input shape to the output shape of the layer before it; check its settings.

    Parameters
    ----------
    layer : Layer
    earlier : sequence of Layer
        The layers before it. The first layer has none, and must have an input shape already.
    may_change : bool
        Whether an initialised layer may get another input shape, since it has learned nothing.

    Raises
    ------
    ValueError, TypeError
        The layer does not fit, or a setting is invalid.
    """
    if isinstance(layer, Normalization) and layer._is_adapted:
        _refuse_outputs(layer, earlier)
    if earlier:
        before = earlier[-1]
        shape = before.output_shape()
        is_free = vars(layer).get("_ready", False) and may_change  # e.g. a copied activation
        if layer._input_shape not in (None, shape) and not is_free:
            raise ValueError(
                f"{layer.layer_name()} has input_shape={layer.input_shape()}, but the layer "
                f"before it has outputs of shape {shape}: leave input_shape out"
            )
        layer.set_input_shape(shape)
    layer.input_shape()
    check_training(layer)
    for each in all_layers([layer]):
        if is_builtin(type(each)) and "parameter_names" in vars(each):
            raise ValueError(
                f"the parameter_names of this {each.layer_name()} were changed: to freeze it, "
                "set its trainable to False instead"
            )


def _refuse_outputs(layer: Normalization, earlier: Sequence[Layer]) -> None:
    """Refuse a layer that was adapted to data, if a layer with parameters comes before it."""
    other = next((each for each in earlier if each.parameters()), None)
    # If its shape differs from that of the network's data, it was adapted to hidden outputs.
    if other is not None and layer.input_shape() == earlier[0].input_shape():
        name = layer.layer_name()
        raise ValueError(
            f"{name}.adapt(X) uses the mean and the standard deviation of X, not those of the "
            f"outputs of {other.layer_name()}: put {name} before {other.layer_name()}. If X holds "
            "these outputs, give Normalization(mean, scale) without input_shape"
        )


def learned_arrays(layer: Layer) -> dict[tuple[Layer, str], Array]:
    """Return the parameters and state arrays of a layer that was initialised before.

    The parameters and state arrays of the layers inside it are included.
    """
    ready = (each for each in all_layers([layer]) if vars(each).get("_ready", False))
    return {key: array for each in ready for key, array in arrays_of(each).items()}


def arrays_of(layer: Layer) -> dict[tuple[Layer, str], Array]:
    """Return the parameters and state arrays of a layer, without those of layers inside it."""
    names = (*layer.parameter_names, *layer.state_names)
    held = {(layer, name): getattr(layer, name, None) for name in names}
    return {key: array for key, array in held.items() if is_array(array)}


def restore(learned: dict[tuple[Layer, str], Array], backend: Backend) -> None:
    """Put arrays back into layers that were initialised again, moved to the network's backend."""
    for (layer, name), array in learned.items():
        new: Any = getattr(layer, name, None)
        if is_array(new) and tuple(new.shape) != tuple(array.shape):
            raise ValueError(
                f"{layer.layer_name()}.{name} has shape {tuple(array.shape)}, but needs "
                f"{tuple(new.shape)} in this network, where the layer's inputs have shape "
                f"{layer.input_shape()}: add a new layer"
            )
        setattr(layer, name, move_state(array, backend, name in layer.wide_names))
