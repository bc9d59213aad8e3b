"""The networks of the benchmarks: dense layers with ReLU between them."""

from collections.abc import Sequence
from typing import Any

from xpnet import DenseLayer, Layer, NeuralNetwork, ReLUActivation


def dense(
    sizes: Sequence[int], *first: Layer, initializers: Sequence[Any] = (), **settings: Any
) -> NeuralNetwork:
    """Return a network whose outputs are logits, by default with softmax cross-entropy loss.

    Parameters
    ----------
    sizes : sequence of int
        Sizes of the layers, from input to output.
    *first : Layer
        Layers before the dense ones.
    initializers : sequence, optional
        The initializer of each dense layer.
    **settings
        Arguments of :class:`NeuralNetwork`.
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
