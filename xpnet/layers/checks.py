"""Checks that batches fit a layer, and that its outputs have the shape it states."""

from typing import Any

from ..backends import Array
from ..backends._errors import shown
from ..common.checks import check_positive, check_shape
from .base import Layer


def check_batch(layer: Layer, input: Array) -> None:
    """Refuse a batch that does not fit a layer, with a clearer message than the array library's.

    Networks check their data earlier; this is for layers used outside of a network.

    Raises
    ------
    ValueError
        The layer is not initialised, or the batch does not have the shape (n, *input_shape).
    TypeError
        ``input`` is not an array.
    """
    if not layer._ready:
        _check_ready(layer)
    shape, expected = getattr(input, "shape", None), layer._input_shape
    if shape is None:
        raise TypeError(f"{layer.layer_name()} got a {type(input).__name__}: expected an array")
    if expected is not None and shape[1:] != expected:
        raise ValueError(
            f"{layer.layer_name()} got a batch of shape {tuple(shape)}: expected "
            f"{_batch_of(expected)}"
        )


def check_epsilon(value: float) -> float:
    """Return the ε of a normalization, at most 1; a larger number was probably meant as a width."""
    epsilon = check_positive("epsilon", value)
    if epsilon > 1:
        raise ValueError(
            f"epsilon={shown(value)}: expected a small number, at most 1. The layer takes the "
            "width of its input: do not give a width"
        )
    return epsilon


def check_output_shape(layer: Layer) -> None:
    """Refuse a layer whose ``output_shape()`` is not the shape of one sample.

    Raises
    ------
    ValueError
        The message shows what the method returned.
    """
    shape: Any = layer.output_shape()
    try:
        is_shape = isinstance(shape, (tuple, list)) and bool(check_shape("output_shape", shape))
    except ValueError:
        is_shape = False
    if not is_shape:
        raise ValueError(
            f"{layer.layer_name()}.output_shape() returned {shown(shape)}: expected a tuple of "
            "whole numbers, the shape of one output sample without the batch, e.g. (10,)"
        )


def check_output(layer: Layer, output: Array) -> None:
    """Refuse an output of another shape than the layer's ``output_shape()``.

    Otherwise the next layers would be initialised for inputs of the wrong shape.

    Raises
    ------
    ValueError
        The shapes differ; the message has both.
    TypeError
        The output is not an array.
    """
    shape: Any = getattr(output, "shape", None)
    if shape is None:
        raise TypeError(
            f"{layer.layer_name()}.forward_propagation returned {type(output).__name__}: expected "
            "an array"
        )
    if shape[1:] != (expected := tuple(layer.output_shape())):
        raise ValueError(
            f"{layer.layer_name()} returned an output of shape {tuple(shape)}, but its "
            f"output_shape() says {_batch_of(expected)}: define output_shape in a layer whose "
            "output has another shape than its input"
        )


def _batch_of(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, ('n', *shape)))})"


def _check_ready(layer: Layer) -> None:
    """Refuse a layer that needs ``initialize``, if it was not called."""
    needed = type(layer).initialize is not Layer.initialize
    names = (*layer.parameter_names, *layer.state_names)
    # The parameters may have been set by hand instead.
    given = layer.parameter_names and all(getattr(layer, name, None) is not None for name in names)
    if needed and not given:
        raise ValueError(
            f"{layer.layer_name()} is not initialised: call its initialize(), or add it to a "
            "network"
        )
    layer._ready = True
