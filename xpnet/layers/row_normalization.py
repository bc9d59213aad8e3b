"""Layer normalization and RMS normalization, which normalise each row independently."""

import math
import operator
from typing import TYPE_CHECKING, ClassVar, Self

from ..backends import Array, array_namespace, ops
from ..common.overrides import register_builtin
from ..initializers import Zeros
from .base import Layer
from .checks import check_batch, check_epsilon

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class RMSNormalization(Layer):
    r"""Divide each row by its root mean square, then scale each feature.

    .. math:: Y = \gamma \hat X, \qquad
              \hat X = X / \sqrt{\tfrac{1}{d} \sum_j X_{ij}^2 + \epsilon}

    A row is the last axis of a sample, with d numbers. The layer does the same in training and in
    prediction, and the batch may have any size.

    The backward pass, with :math:`E = \partial L / \partial Y`, :math:`\hat E = \gamma E`, the root
    r that each row is divided by, and bars for means over each row:
    :math:`\partial L / \partial \gamma = \sum_i E_i \hat X_i`,
    :math:`\partial L / \partial X = (\hat E - \hat X \overline{\hat E \odot \hat X}) / r`.

    Zhang and Sennrich 2019, "Root mean square layer normalization", eq. 4.

    Parameters
    ----------
    epsilon : float, default 1e-5
        Added to the mean square; above 0.
    input_shape : tuple of int, optional
        Only needed for the first layer of a network.

    Attributes
    ----------
    gamma : array of shape (d,)
        The factor of each feature; initially 1.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import RMSNormalization
    >>> layer = RMSNormalization(input_shape=(2,)).initialize()
    >>> layer.forward_propagation(np.array([[1.0, 7.0]])).round(3).tolist()
    [[0.2, 1.4]]
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("gamma",)
    passing_names = ("normalized", "divisor")
    output_kind = "real"

    def __init__(self, epsilon: float = 1e-5, input_shape: tuple[int, ...] | None = None) -> None:
        self.epsilon = check_epsilon(epsilon)
        if input_shape is not None:
            self.set_input_shape(input_shape)

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Set γ to one."""
        self.gamma = self.new_parameter(self.input_shape()[-1:], Zeros()) + 1.0
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Normalise each row, then scale each feature."""
        check_batch(self, input)
        divisor = normalized = out = None
        if training:
            divisor = self.buffer("divisor", (*input.shape[:-1], 1))
            normalized = self.buffer("normalized", input.shape)
            out = self.buffer("output", input.shape)
        divisor = ops.rowwise(input, function=self._divisor, out=divisor)
        normalized = ops.rowwise(input, divisor, function=self._normalized, out=normalized)
        if training:
            self.normalized, self.divisor = normalized, divisor
        return ops.rowwise(normalized, function=self._scaled, out=out)

    def _divisor(self, x: Array) -> Array:
        """Return the divisor of each row, of shape (..., 1)."""
        return array_namespace(x).sqrt(_mean(x * x) + self.epsilon)

    def _normalized(self, x: Array, divisor: Array) -> Array:
        return x / divisor

    def _scaled(self, normalized: Array) -> Array:
        return self.gamma * normalized

    def backward_propagation(self, output_error: Array) -> Array:
        """Set the gradients of the parameters; return the derivative of the input."""
        place = self.buffer("input_error", output_error.shape)
        if self.trainable:
            products = ops.rowwise(output_error, self.normalized, function=operator.mul, out=place)
            self.gamma_gradient = self._feature_sum("gamma_gradient", products)
        input_error = None
        if self.needs_input_error:
            input_error = ops.rowwise(
                output_error, self.normalized, self.divisor, function=self._input_error, out=place
            )
        self.update_parameters()
        return input_error

    def _input_error(self, error: Array, normalized: Array, divisor: Array) -> Array:
        """Return the derivative with respect to the input, row by row."""
        e = self.gamma * error
        return (e - normalized * _mean(e * normalized)) / divisor

    def _feature_sum(self, name: str, x: Array) -> Array:
        """Return the sum of each feature, over the batch and all axes but the last."""
        rows = x
        if x.ndim > 2:
            rows = array_namespace(x).reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
        return ops.column_sum(rows, out=self.buffer(name, x.shape[-1:]))

    def values_per_sample(self) -> int:
        """Return the count of the base class, plus the normalised input and the divisors."""
        shape = self.input_shape()
        return super().values_per_sample() + math.prod(shape) + math.prod(shape[:-1])


class LayerNormalization(RMSNormalization):
    r"""Standardise each row independently, then scale and shift each feature.

    .. math:: Y = \gamma \hat X + \beta, \qquad
              \hat X = (X - \mu) / \sqrt{\sigma^2 + \epsilon}

    A row is the last axis of a sample, with d numbers. μ and σ² are its mean and its variance,
    whose divisor is d, not d - 1. The layer does the same in training and in prediction, and the
    batch may have any size.

    The backward pass, with :math:`E = \partial L / \partial Y`, :math:`\hat E = \gamma E`, the root
    r that each row is divided by, and bars for means over each row:
    :math:`\partial L / \partial \gamma = \sum_i E_i \hat X_i`,
    :math:`\partial L / \partial \beta = \sum_i E_i`,
    :math:`\partial L / \partial X =
    (\hat E - \bar{\hat E} - \hat X \overline{\hat E \odot \hat X}) / r`.

    Ba, Kiros and Hinton 2016, "Layer normalization", eqs. 3 and 4.

    Parameters
    ----------
    epsilon : float, default 1e-5
        Added to the variance; above 0.
    input_shape : tuple of int, optional
        Only needed for the first layer of a network.

    Attributes
    ----------
    gamma, beta : array of shape (d,)
        The factor and the shift of each feature; initially 1 and 0.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import LayerNormalization
    >>> layer = LayerNormalization(input_shape=(2,)).initialize()
    >>> layer.forward_propagation(np.array([[1.0, 7.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """

    parameter_names = ("gamma", "beta")

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Set γ to one and β to zero."""
        self.beta = self.new_parameter(self.input_shape()[-1:], Zeros())
        return super().initialize(optimizer)

    def _divisor(self, x: Array) -> Array:
        centred = x - _mean(x)
        return super()._divisor(centred)

    def _normalized(self, x: Array, divisor: Array) -> Array:
        return (x - _mean(x)) / divisor

    def _scaled(self, normalized: Array) -> Array:
        return super()._scaled(normalized) + self.beta

    def backward_propagation(self, output_error: Array) -> Array:
        """Set the gradients of γ and β; return the derivative of the input."""
        if self.trainable:
            self.beta_gradient = self._feature_sum("beta_gradient", output_error)
        return super().backward_propagation(output_error)

    def _input_error(self, error: Array, normalized: Array, divisor: Array) -> Array:
        e = self.gamma * error
        return (e - _mean(e) - normalized * _mean(e * normalized)) / divisor


def _mean(x: Array) -> Array:
    """Return the mean of each row, of shape (..., 1)."""
    return array_namespace(x).mean(x, axis=-1, keepdims=True)


register_builtin(RMSNormalization, LayerNormalization)
