"""Copies of composites whose inner layers pass a batch in another way than by their own methods.

A composite says how its inner layers are connected in its two passes, and only there. To pass a
batch through the same connections in another way (with random outputs, say), a copy of it gets
other passes for its inner layers. So every composite can do this, also a user's.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from ..backends import Array
from .base import Layer

InnerPass = Callable[[Layer, Array], Array]
"""Takes an inner layer of the composite, not of the copy, and the input or the output's error."""


def rewired(outer: Layer, forward: InnerPass, backward: InnerPass | None = None) -> Any:
    """Return a copy of a composite whose inner layers pass a batch by functions.

    The copy's own passes call them in place of its inner layers' methods. What the functions do
    with an inner layer happens to the composite's own.

    Parameters
    ----------
    outer : Layer
        One with inner layers. It stays as it is.
    forward : callable
        ``forward(layer, input)`` returns the output of an inner layer.
    backward : callable, optional
        ``backward(layer, output_error)`` returns the derivative with respect to its input.

    Raises
    ------
    ValueError
        The copy shares inner layers with the composite: it is not derived from ``Composite``, or
        keeps them where its ``__copy__`` does not find them.
    """
    twin = copy.copy(outer)
    for own, inner in zip(outer.inner_layers, twin.inner_layers, strict=True):
        if inner is own:
            raise ValueError(
                f"a copy of {outer.layer_name()} shares the {own.layer_name()} inside it: derive "
                "the layer from Composite, and keep inner layers in attributes, lists or dicts of "
                "it"
            )
        passes: dict[str, Any] = {"forward_propagation": partial(_forward, forward, own)}
        if backward is not None:
            passes["backward_propagation"] = partial(backward, own)
        vars(inner).update(passes)
    return twin


def _forward(function: InnerPass, layer: Layer, input: Array, training: bool = True) -> Array:
    """Call a function in place of a layer's forward pass; the composite says if it is training."""
    return function(layer, input)
