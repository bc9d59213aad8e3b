"""Batch normalization."""

import math
import operator
from typing import TYPE_CHECKING, Self

from ..backends import Array, array_namespace, ops, to_host
from ..backends._errors import shown
from ..common.checks import as_float, check_fraction
from ..common.overrides import has_methods_of, register_builtin
from ..initializers import Zeros
from .base import Layer
from .checks import check_batch, check_epsilon

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class BatchNormalization(Layer):
    r"""Standardise each feature over the batch, then scale and shift it.

    .. math:: Y = \gamma \hat X + \beta, \qquad
              \hat X = (X - \mu) / \sqrt{\sigma^2 + \epsilon}

    Training uses μ and σ² of the batch (σ² with the divisor n). It also updates the running
    moments: ``running = momentum * running + (1 - momentum) * batch``, where the variance has the
    divisor n - 1. Prediction uses the running moments.

    A batch of one sample has no spread. Its output is always β, so no layer before this one learns
    from it, and the running moments are not updated. Therefore ``fit`` refuses batches, or
    micro-batches, of one sample. If only the last batch of an epoch has one sample, it warns.

    With ``trainable = False``, training uses the running moments too, and leaves them as they are:
    the layer is then the same function as in prediction.

    Ioffe and Szegedy 2015, "Batch normalization", algorithms 1 and 2.

    Parameters
    ----------
    momentum : float, default 0.9
        The weight of the old running moments, in [0, 1).
    epsilon : float, default 1e-5
        Added to the variance; above 0.
    input_shape : tuple of int, optional
        Only needed for the first layer of a network.

    Attributes
    ----------
    gamma, beta : array of shape input_shape
    running_mean, running_variance : array of shape input_shape

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import BatchNormalization, DenseLayer, NeuralNetwork, ReLUActivation
    >>> net = NeuralNetwork().add(DenseLayer(32, input_shape=(8,)))
    >>> net = net.add(BatchNormalization()).add(ReLUActivation()).add(DenseLayer(1))
    >>> x = np.random.default_rng(0).normal(50.0, 10.0, (100, 32)).astype("float32")
    >>> y = net.layers[1].forward_propagation(x)
    >>> bool(abs(y.mean()) < 0.01), bool(abs(y.std() - 1) < 0.01)
    (True, True)
    """

    parameter_names = ("gamma", "beta")
    state_names = ("running_mean", "running_variance")
    passing_names = ("normalized", "deviation")
    output_kind = "real"

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        if as_float(momentum) > 1:
            raise ValueError(
                f"momentum={shown(momentum)}: expected a number in [0, 1). The layer takes the "
                "width of its input: do not give a width"
            )
        self.momentum = check_fraction("momentum", momentum)
        self.epsilon = check_epsilon(epsilon)
        if input_shape is not None:
            self.set_input_shape(input_shape)

    @property
    def min_samples(self) -> int:  # type: ignore[override]
        """Two, since one sample has no spread; one if the layer is frozen."""
        return 2 if self.trainable else 1

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Set γ and the running variance to one, β and the running mean to zero."""
        zeros = self.new_parameter(self.input_shape(), Zeros())
        self.gamma, self.beta = zeros + 1.0, zeros
        self.running_mean, self.running_variance = zeros + 0.0, zeros + 1.0
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Normalise with the moments of the batch in training, else with the running moments."""
        check_batch(self, input)
        sqrt = array_namespace(input).sqrt
        n = input.shape[0]
        if not (training and self.trainable) or n == 0:
            deviation = sqrt(self.running_variance + self.epsilon)
            normalized = ops.rowwise(
                input,
                function=lambda x: (x - self.running_mean) / deviation,
                out=self.buffer("normalized", input.shape) if training else None,
            )
        else:
            mean = ops.column_sum(input) / n
            place = self.buffer("normalized", input.shape)
            centred = ops.rowwise(input, function=lambda x: x - mean, out=place)
            variance = self._mean_square(centred)
            deviation = sqrt(variance + self.epsilon)
            normalized = ops.rowwise(centred, function=lambda c: c / deviation, out=place)
            if n > 1:
                self._update_running(mean, variance * (n / (n - 1)))
        out = None
        if training:
            self.normalized, self.deviation = normalized, deviation
            out = self.buffer("output", input.shape)
        return ops.rowwise(normalized, function=lambda x: self.gamma * x + self.beta, out=out)

    def _mean_square(self, x: Array) -> Array:
        """Return the mean of the squares of each column."""
        # The output's buffer is not in use yet.
        squares = ops.rowwise(x, function=lambda x: x * x, out=self.buffer("output", x.shape))
        return ops.column_sum(squares) / x.shape[0]

    def _update_running(self, mean: Array, variance: Array) -> None:
        m = self.momentum
        self.running_mean = m * self.running_mean + (1.0 - m) * mean
        self.running_variance = m * self.running_variance + (1.0 - m) * variance

    def backward_propagation(self, output_error: Array) -> Array:
        r"""Set the gradients of γ and β; return the derivative with respect to the input.

        With :math:`\hat E = \gamma E` the derivative is :math:`(\hat E - \bar{\hat E} -
        \hat X \overline{\hat E \odot \hat X}) / \sqrt{\sigma^2 + \epsilon}`. Bars are means over
        the batch; they appear because μ and σ² depend on every sample. In a frozen layer they do
        not, and the derivative is :math:`\hat E / \sqrt{\sigma^2 + \epsilon}`.
        """
        if not self.trainable:
            factor = self.gamma / self.deviation
            out = self.buffer("input_error", output_error.shape)
            return ops.rowwise(output_error, function=lambda e: e * factor, out=out)
        n = max(output_error.shape[0], 1)
        place = self.buffer("input_error", output_error.shape)
        shape = self.input_shape()
        products = ops.rowwise(output_error, self.normalized, function=operator.mul, out=place)
        self.gamma_gradient = ops.column_sum(products, out=self.buffer("gamma_gradient", shape))
        self.beta_gradient = ops.column_sum(output_error, out=self.buffer("beta_gradient", shape))
        factor = self.gamma / self.deviation

        def derivative(e: Array, x: Array) -> Array:
            return factor * (e - (self.beta_gradient + x * self.gamma_gradient) / n)

        input_error = ops.rowwise(output_error, self.normalized, function=derivative, out=place)
        self.update_parameters()
        return input_error

    def input_derivative(self, input: Array, output_error: Array) -> Array:
        r"""Return :math:`\gamma E / \sqrt{\sigma^2 + \epsilon}` with the running variance."""
        passes = ("forward_propagation", "backward_propagation")
        if not has_methods_of(BatchNormalization, self, *passes):
            return super().input_derivative(input, output_error)
        sqrt = array_namespace(output_error).sqrt
        return output_error * (self.gamma / sqrt(self.running_variance + self.epsilon))

    def check_state(self) -> None:
        """Refuse running moments that are not finite, and a running variance below 0."""
        mean, variance = to_host(self.running_mean), to_host(self.running_variance)
        isfinite = array_namespace(mean).isfinite
        if not isfinite(mean).all():
            raise ValueError("running_mean has numbers that are not finite")
        if not (isfinite(variance) & (variance >= 0)).all():
            raise ValueError("running_variance has numbers below 0, or that are not finite")

    def values_per_sample(self) -> int:
        """Return the count of the base class plus the normalised input."""
        return super().values_per_sample() + math.prod(self.input_shape())

    def parameters(self) -> int:
        """Return the number of values in γ and β."""
        return 2 * math.prod(self.input_shape())


register_builtin(BatchNormalization)
