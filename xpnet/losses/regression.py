"""Losses of the difference between a prediction and its target."""

import math
from typing import ClassVar

from ..backends import Array, array_namespace, ops
from ..common.checks import check_positive
from ..common.overrides import register_builtin
from .base import ElementwiseLoss


class MeanSquaredError(ElementwiseLoss):
    r"""Mean squared error, :math:`\frac{1}{nk}\sum_{ij}(\hat y_{ij} - y_{ij})^2`.

    It is the mean over n samples and k outputs. In textbooks that divide only by n, the loss and
    the gradient are k times as large. In textbooks with the gradient :math:`\hat y - y`, the loss
    is :math:`\frac12 \sum (\hat y - y)^2`.

    Parameters
    ----------
    factor : float, default 1.0
        Multiplies the loss. With k / 2 it is :math:`\frac{1}{2n} \sum (\hat y - y)^2`.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import MeanSquaredError
    >>> y_true, y_pred = np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]])
    >>> float(MeanSquaredError()(y_true, y_pred))  # (0.25 + 0) / 2
    0.125
    >>> MeanSquaredError(factor=0.5).derivative(y_true, y_pred).tolist()
    [[0.25], [0.0]]
    """

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = check_positive("factor", factor)

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the squared difference."""
        difference = y_pred - y_true
        return difference * difference

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return 2 (ŷ - y)."""
        return 2.0 * (y_pred - y_true)


class MeanAbsoluteError(ElementwiseLoss):
    r"""Mean absolute error, :math:`\frac{1}{nk}\sum_{ij} |\hat y_{ij} - y_{ij}|`.

    It is the mean over n samples and k outputs. The best constant prediction is the median. Large
    errors count for less than in :class:`MeanSquaredError`. The derivative of each output is ±1,
    and is taken as 0 where ŷ = y.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import MeanAbsoluteError
    >>> y_true, y_pred = np.array([[1.0], [2.0]]), np.array([[1.5], [0.0]])
    >>> float(MeanAbsoluteError()(y_true, y_pred))  # (0.5 + 2) / 2
    1.25
    """

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the absolute difference."""
        return array_namespace(y_pred).abs(y_pred - y_true)


class HuberLoss(ElementwiseLoss):
    r"""Half the square of a small error d, and the absolute value of a large one.

    It is :math:`\frac12 d^2` where :math:`|d| \le \delta`, else
    :math:`\delta (|d| - \frac12 \delta)`. Huber 1964, "Robust estimation of a location parameter".

    Parameters
    ----------
    delta : float, default 1.0
        Above 0. The derivative is d, limited to the range from -δ to δ.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import HuberLoss
    >>> y_true, y_pred = np.array([[0.0], [0.0]]), np.array([[0.5], [100.0]])
    >>> HuberLoss(delta=1.0).element_loss(y_true, y_pred).tolist()
    [[0.125], [99.5]]
    >>> HuberLoss(delta=1.0).element_derivative(y_true, y_pred).tolist()
    [[0.5], [1.0]]
    """

    numbers = ("delta",)
    _checks: ClassVar = {"delta": check_positive}

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return c (d - c / 2), c being the limited difference."""
        limited = self._limited(y_true, y_pred)
        return limited * (y_pred - y_true - 0.5 * limited)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the difference, limited to [-δ, δ]."""
        return self._limited(y_true, y_pred)

    def _limited(self, y_true: Array, y_pred: Array) -> Array:
        # Not element_derivative itself, which a subclass may define otherwise.
        return ops.clip(y_pred - y_true, -self.delta, self.delta)


class LogCoshLoss(ElementwiseLoss):
    r"""Logarithm of the hyperbolic cosine of the error d, :math:`\log\cosh d`.

    It is about :math:`\frac12 d^2` for small errors and :math:`|d| - \log 2` for large ones, where
    it does not overflow. Unlike :class:`HuberLoss`, it is smooth. Its derivative is tanh d.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import LogCoshLoss
    >>> y_true, y_pred = np.array([[0.0], [0.0]]), np.array([[0.1], [1000.0]])
    >>> LogCoshLoss().element_loss(y_true, y_pred).round(3).tolist()
    [[0.005], [999.307]]
    """

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return log(cosh(d)), which is exact for small d too."""
        xp = array_namespace(y_pred)
        size = xp.abs(y_pred - y_true)
        small = size < 1.0
        half = xp.sinh(0.5 * xp.minimum(size, 1.0))  # cosh d is 1 + 2 sinh²(d / 2)
        rest = xp.where(small, 2.0 * (half * half), xp.exp(-2.0 * size))
        return xp.where(small, xp.zeros_like(size), size - math.log(2.0)) + xp.log1p(rest)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return tanh(d)."""
        return array_namespace(y_pred).tanh(y_pred - y_true)


register_builtin(MeanSquaredError, MeanAbsoluteError, HuberLoss, LogCoshLoss)
