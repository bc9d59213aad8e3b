"""Batch normalization."""

import math
from typing import TYPE_CHECKING, Self

from .._checks import check_fraction, check_positive
from ..backends import Array, array_namespace
from ..initializers import Zeros
from .base import Layer

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class BatchNormalization(Layer):
    r"""Standardise each feature over the batch, then scale and shift it.

    .. math:: Y = \gamma \hat X + \beta, \qquad
              \hat X = (X - \mu) / \sqrt{\sigma^2 + \epsilon}

    Training takes μ and σ² (divided by n) of the batch, and moves the running ones towards them:
    ``running = momentum * running + (1 - momentum) * batch``, with the variance divided by n - 1.
    Prediction takes the running ones. A batch of one sample has no spread: it leaves them alone.

    Ioffe and Szegedy 2015, "Batch normalization", algorithms 1 and 2.

    Parameters
    ----------
    momentum : float, default 0.9
        The weight of the old running value, in [0, 1).
    epsilon : float, default 1e-5
    input_shape : tuple of int, optional
        Needed by the first layer of a network only.

    Attributes
    ----------
    gamma, beta : array of shape input_shape
    running_mean, running_variance : array of shape input_shape
    """

    parameter_names = ("gamma", "beta")
    state_names = ("running_mean", "running_variance")
    output_kind = "real"

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.momentum = check_fraction("momentum", momentum)
        self.epsilon = check_positive("epsilon", epsilon)
        if input_shape is not None:
            self.set_input_shape(input_shape)

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Set γ and the running variance to one, β and the running mean to zero."""
        zeros = self.new_parameter(self.input_shape(), Zeros())
        self.gamma, self.beta = zeros + 1.0, zeros
        self.running_mean, self.running_variance = zeros + 0.0, zeros + 1.0
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Normalise by the batch's moments in training, by the running ones else."""
        xp = array_namespace(input)
        n = input.shape[0]
        if not training or n == 0:
            mean, variance = self.running_mean, self.running_variance
        else:
            mean, variance = xp.mean(input, axis=0), xp.var(input, axis=0)
        deviation = xp.sqrt(variance + self.epsilon)
        normalized = (input - mean) / deviation
        if training:
            self.normalized, self.deviation = normalized, deviation
            if n > 1:
                self._update_running(mean, variance * (n / (n - 1)))
        return self.gamma * normalized + self.beta

    def _update_running(self, mean: Array, variance: Array) -> None:
        m = self.momentum
        self.running_mean = m * self.running_mean + (1.0 - m) * mean
        self.running_variance = m * self.running_variance + (1.0 - m) * variance

    def backward_propagation(self, output_error: Array) -> Array:
        r"""Set the gradients of γ and β, return the input's derivative.

        With :math:`\hat E = \gamma E` the derivative is :math:`(\hat E - \bar{\hat E} -
        \hat X \overline{\hat E \odot \hat X}) / \sqrt{\sigma^2 + \epsilon}`, bars meaning over
        the batch: μ and σ² depend on every sample.
        """
        xp = array_namespace(output_error)
        n = max(output_error.shape[0], 1)
        self.gamma_gradient = xp.sum(output_error * self.normalized, axis=0)
        self.beta_gradient = xp.sum(output_error, axis=0)
        through_moments = (self.beta_gradient + self.normalized * self.gamma_gradient) / n
        input_error = self.gamma / self.deviation * (output_error - through_moments)
        self.update_parameters()
        return input_error

    def output_shape(self) -> tuple[int, ...]:
        """Return the input's shape."""
        return self.input_shape()

    def parameters(self) -> int:
        """Return the number of γ and β."""
        return 2 * math.prod(self.input_shape())
