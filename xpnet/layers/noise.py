"""Gaussian noise on the input."""

import math
import operator
from typing import TYPE_CHECKING, Self

from ..backends import Array, ops
from ..common.checks import check_count, check_non_negative
from ..common.overrides import has_methods_of, register_builtin
from ..initializers import random_key
from .base import Layer
from .checks import check_batch
from .prediction import check_sampling_defined

if TYPE_CHECKING:
    from numpy.random import Generator

    from ..optimizers import Optimizer


class GaussianNoise(Layer):
    r"""Add normally distributed noise in training: :math:`Y = X + \sigma Z`, Z standard normal.

    Every value in every batch gets new, independent noise; prediction is the identity. As the first
    layer it blurs the features, so that the network learns a smoother function: small noise acts as
    a penalty on the derivative with respect to the input (Bishop 1995, "Training with noise is
    equivalent to Tikhonov regularization").

    Parameters
    ----------
    stddev : float, default 0.1
        The standard deviation σ of the noise, 0 or more, in the units of the input.
    input_shape : tuple of int, optional
        Only needed for the first layer of a network.

    Raises
    ------
    ValueError
        ``stddev`` is not a number, or is out of range.

    Notes
    -----
    The noise depends only on the seed, and is the same on every backend except for rounding. The
    largest possible deviation is 5.8 σ.

    Examples
    --------
    >>> from xpnet import DenseLayer, GaussianNoise, NeuralNetwork
    >>> net = NeuralNetwork(seed=0).add(GaussianNoise(0.1, input_shape=(3,))).add(DenseLayer(1))
    """

    state_names = ("n_draws",)
    passing_names = ()
    _ready = True  # needs no initialize(): the first pass chooses the random stream
    output_kind = "real"

    def __init__(self, stddev: float = 0.1, input_shape: tuple[int, ...] | None = None) -> None:
        self.stddev = check_non_negative("stddev", stddev)
        self.n_draws = 0
        self.key: int | None = None
        if input_shape is not None:
            self.set_input_shape(input_shape)

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Draw the key of the noise, and start with the first draw."""
        self.key = random_key(self.rng)
        self.n_draws = 0
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return ``input`` plus noise in training, otherwise ``input`` itself."""
        check_batch(self, input)
        if not training or self.stddev == 0.0:
            return input
        if self.key is None:
            self.initialize()
        noise = ops.normal(input.shape, self.key or 0, self.n_draws, like=input)
        self.n_draws += 1
        out = self.buffer("output", input.shape)
        noise = ops.scale(noise, self.stddev)
        return ops.rowwise(input, noise, function=operator.add, out=out)

    @property
    def is_random(self) -> bool:  # type: ignore[override]
        """True, unless the standard deviation is 0."""
        return self.stddev > 0

    def sample_propagation(self, input: Array, rng: "Generator") -> Array:
        """Return ``input`` plus random noise, which ``rng`` determines."""
        check_batch(self, input)
        check_sampling_defined(self, GaussianNoise)
        if not self.is_random:
            return input
        noise = ops.normal(input.shape, random_key(rng), 0, like=input)
        return input + ops.scale(noise, self.stddev)

    def input_derivative(self, input: Array, output_error: Array) -> Array:
        """Return ``output_error``: in prediction, the noise is left out."""
        if not has_methods_of(GaussianNoise, self, "forward_propagation", "backward_propagation"):
            return super().input_derivative(input, output_error)
        return output_error

    def backward_propagation(self, output_error: Array) -> Array:
        """Return ``output_error``."""
        return output_error

    def check_state(self) -> None:
        """Refuse an invalid number of draws, and a key out of range."""
        check_count("n_draws", self.n_draws, least=0)
        if self.key is not None and check_count("key", self.key, least=0) >= 2**63:
            raise ValueError(f"key={self.key}: expected a whole number below 2**63")

    def values_per_sample(self) -> int:
        """Return the number of values in the output and in the noise's temporary arrays."""
        return 4 * math.prod(self.input_shape())


register_builtin(GaussianNoise)
