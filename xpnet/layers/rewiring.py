"""Copies of composites in which functions replace the passes of the inner layers.

Only the two passes of a composite define how its inner layers are connected. To send a batch
through the same connections in another way (with random outputs, say), a copy of the composite gets
inner layers with other passes. This works for every composite, including a user's.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..backends import Array
from .base import Layer

if TYPE_CHECKING:
    from numpy.random import Generator

InnerPass = Callable[[Layer, Array], Array]
"""Takes an inner layer of the composite, not of the copy, and the input or the output's error."""


def rewired(outer: Layer, forward: InnerPass, backward: InnerPass | None = None) -> Any:
    """Return a copy of a composite that calls functions instead of its inner layers' passes.

    The functions get the inner layers of the composite itself, not their copies. A function that
    changes an inner layer therefore changes the composite.

    Parameters
    ----------
    outer : Layer
        A layer with inner layers, which is not changed itself.
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
                "the layer from Composite, and keep its inner layers in attributes, or in lists or "
                "dicts there"
            )
        passes: dict[str, Any] = {"forward_propagation": partial(_forward, forward, own)}
        if backward is not None:
            passes["backward_propagation"] = partial(backward, own)
        vars(inner).update(passes)
    return twin


def _forward(function: InnerPass, layer: Layer, input: Array, training: bool = True) -> Array:
    """Call a function instead of a layer's forward pass; ``training`` is ignored."""
    return function(layer, input)


class CompositePrediction(Layer):
    """The part of a composite that ``predict(samples=...)`` and ``input_gradient`` use."""

    @property
    def is_random(self) -> bool:  # type: ignore[override]
        """Whether an inner layer is random."""
        return any(each.is_random for each in self.inner_layers)

    def sample_propagation(self, input: Array, rng: "Generator") -> Array:
        """Return one random output: the forward pass with random outputs of the inner layers.

        Each inner layer has its own random stream, spawned from ``rng``.
        """
        inner = self.inner_layers
        streams = {id(x): stream for x, stream in zip(inner, rng.spawn(len(inner)), strict=True)}

        def sampled(layer: Layer, input: Array) -> Array:
            return layer.sample_propagation(input, streams[id(layer)])

        output: Array = rewired(self, sampled).forward_propagation(input, training=False)
        return output

    def input_derivative(self, input: Array, output_error: Array) -> Array:
        """Return the derivative of the predicted output, from the derivatives of the inner layers.

        Raises
        ------
        ValueError
            The composite itself computes something else in training, or an inner layer does.
        """
        inputs: dict[int, Array] = {}

        def predicted(layer: Layer, input: Array) -> Array:
            inputs[id(layer)] = input
            return layer.forward_propagation(input, training=False)

        def back(layer: Layer, output_error: Array) -> Array:
            return layer.input_derivative(inputs[id(layer)], output_error)

        return Layer.input_derivative(rewired(self, predicted, back), input, output_error)
