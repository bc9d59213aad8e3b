"""Flattening of samples into rows."""

import math

from ..backends import Array, array_namespace
from ..common.overrides import register_builtin
from .base import Layer
from .checks import check_batch


class Flatten(Layer):
    """Turn each sample into a row, in C order: the last axis varies fastest.

    As the first layer of a network, it states the shape of the samples, e.g. of images with
    channels. The rows of a data set, in which the samples are flat already, pass unchanged.

    Parameters
    ----------
    input_shape : tuple of int, optional
        The shape of a sample; only needed for the first layer of a network.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, Flatten, NeuralNetwork
    >>> net = NeuralNetwork(epochs=1, batch_size=2, seed=0)
    >>> net = net.add(Flatten(input_shape=(1, 28, 28))).add(DenseLayer(1))
    >>> images = np.zeros((4, 1, 28, 28))
    >>> net.fit((images, np.zeros(4))).predict(images).shape
    (4, 1)
    """

    passing_names = ("shape",)

    def __init__(self, input_shape: tuple[int, ...] | None = None) -> None:
        self.shape: tuple[int, ...] | None = None
        if input_shape is not None:
            self.set_input_shape(input_shape)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the samples as rows."""
        row = self.output_shape()
        if getattr(input, "shape", ())[1:] != row:
            check_batch(self, input)
        if training:
            self.shape = input.shape
        return array_namespace(input).reshape(input, (input.shape[0], *row))

    def backward_propagation(self, output_error: Array) -> Array:
        """Return the derivative in the shape of the input."""
        return array_namespace(output_error).reshape(output_error, self.shape)

    def output_shape(self) -> tuple[int, ...]:
        """Return ``(n,)`` for samples of n values."""
        return (math.prod(self.input_shape()),)

    def values_per_sample(self) -> int:
        """Return 0, since the layer allocates no array."""
        return 0


register_builtin(Flatten)
