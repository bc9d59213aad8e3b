"""Dropout."""

import math
import operator
from typing import TYPE_CHECKING, Self

from ..backends import Array, ops
from ..common.checks import check_count, check_fraction
from ..common.overrides import has_methods_of, register_builtin
from ..initializers import random_key
from .base import Layer
from .checks import check_batch
from .prediction import check_sampling_defined

if TYPE_CHECKING:
    from numpy.random import Generator

    from ..optimizers import Optimizer


class Dropout(Layer):
    r"""Set a random part of the inputs to zero in training: :math:`Y = X \odot M / (1 - p)`.

    Each element of M is 0 with probability p and otherwise 1. A new M is drawn for every batch.
    Because training divides by the keep probability 1 - p ("inverted" dropout), prediction is the
    identity. The original form does not scale in training, and multiplies by 1 - p in prediction.
    In both forms, training and prediction agree in expectation.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    Parameters
    ----------
    rate : float, default 0.5
        The probability p of setting an input to zero, in [0, 1).

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, Dropout, NeuralNetwork
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(64, input_shape=(8,))).add(Dropout(0.5))
    >>> dropout, ones = net.layers[1], np.ones((1000, 64), "float32")
    >>> np.unique(dropout.forward_propagation(ones, training=True)).tolist()
    [0.0, 2.0]
    >>> np.unique(dropout.forward_propagation(ones, training=False)).tolist()
    [1.0]
    """

    state_names = ("n_masks",)
    passing_names = ("mask",)
    _ready = True  # needs no initialize(): the first pass chooses the random stream
    output_kind = "real"

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = check_fraction("rate", rate)
        self.n_masks = 0
        self.key: int | None = None
        self.mask: Array = None

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Draw the key of the random masks, and start with the first mask."""
        self.key = random_key(self.rng)
        self.n_masks = 0
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return ``input`` times the mask in training, otherwise ``input`` itself."""
        check_batch(self, input)
        if not training:
            return input
        if self.rate == 0.0:
            self.mask = None
            return input
        if self.key is None:
            self.initialize()
        out = self.buffer("mask", input.shape)
        self.mask = ops.dropout_mask(input, self.rate, self.key or 0, self.n_masks, out=out)
        self.n_masks += 1
        out = self.buffer("output", input.shape)
        return ops.rowwise(input, self.mask, function=operator.mul, out=out)

    @property
    def is_random(self) -> bool:  # type: ignore[override]
        """True, unless the rate is 0."""
        return self.rate > 0

    def sample_propagation(self, input: Array, rng: "Generator") -> Array:
        """Return ``input`` times a random mask, which ``rng`` determines."""
        check_batch(self, input)
        check_sampling_defined(self, Dropout)
        if not self.is_random:
            return input
        return input * ops.dropout_mask(input, self.rate, random_key(rng), 0)

    def input_derivative(self, input: Array, output_error: Array) -> Array:
        """Return ``output_error``: in prediction, dropout is the identity."""
        if not has_methods_of(Dropout, self, "forward_propagation", "backward_propagation"):
            return super().input_derivative(input, output_error)
        return output_error

    def backward_propagation(self, output_error: Array) -> Array:
        """Return ``output_error`` times the mask."""
        if self.mask is None:
            return output_error
        out = self.buffer("input_error", self.mask.shape)
        return ops.rowwise(output_error, self.mask, function=operator.mul, out=out)

    def check_state(self) -> None:
        """Refuse an invalid number of masks, and a key out of range."""
        check_count("n_masks", self.n_masks, least=0)
        if self.key is not None and check_count("key", self.key, least=0) >= 2**63:
            raise ValueError(f"key={self.key}: expected a whole number below 2**63")

    def values_per_sample(self) -> int:
        """Return the count of the base class plus the mask."""
        return super().values_per_sample() + math.prod(self.input_shape())


register_builtin(Dropout)
