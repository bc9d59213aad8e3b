"""The networks that are measured: dense layers, ReLU between them."""

from collections.abc import Sequence
from typing import Any

from xpnet import DenseLayer, Layer, NeuralNetwork, ReLUActivation


def dense(
    sizes: Sequence[int], *first: Layer, initializers: Sequence[Any] = (), **settings: Any
) -> NeuralNetwork:
    """Return a network that ends in logits, for softmax and cross-entropy if nothing else is said.

    Parameters
    ----------
    sizes : sequence of int
        Units of the layers, the input's first.
    *first : Layer
        What comes before them.
    initializers : sequence, optional
        One for each dense layer.
    **settings
        Of the network.
    """
    net = NeuralNetwork(**{"loss": "softmax_cross_entropy", "seed": 0} | settings)
    for layer in first:
        net.add(layer)
    for k, n_units in enumerate(sizes[1:]):
        if k:
            net.add(ReLUActivation())
        given = {"initializer": initializers[k]} if initializers else {}
        layer = DenseLayer(n_units, **given)
        if not net.layers:
            layer.set_input_shape((sizes[0],))
        net.add(layer)
    return net
