"""Metrics for regression: errors of predictions, and the proportion of variance explained."""

from ..backends import Array, array_namespace
from ..backends._errors import shown
from ..common.checks import as_float
from .base import Metric
from .batch import if_counted, mean_of, ratio, values, weights


class MSE(Metric):
    """Mean squared error, over samples and outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import MSE
    >>> float(MSE()(np.array([1.0, 2.0]), np.array([[1.0], [4.0]])))
    2.0
    """

    name = "mse"
    greater_is_better = False

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the weighted sum of the samples' errors, and the sum of the weights."""
        xp = array_namespace(y_pred)
        weight = weights(y_pred, sample_weight)
        error = xp.mean(self._error(values(y_true, y_pred), y_pred), axis=1)
        return xp.stack([xp.sum(error * weight), xp.sum(weight)])

    def _error(self, y_true: Array, y_pred: Array) -> Array:
        difference = y_true - y_pred
        return difference * difference

    def result(self, statistics: Array) -> Array:
        """Return the mean."""
        return mean_of(statistics[0], statistics[1])


class MAE(MSE):
    """Mean absolute error, over samples and outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import MAE
    >>> float(MAE()(np.array([1.0, 2.0]), np.array([[1.0], [4.0]])))
    1.0
    """

    name = "mae"

    def _error(self, y_true: Array, y_pred: Array) -> Array:
        return array_namespace(y_pred).abs(y_true - y_pred)


class RMSE(MSE):
    """Square root of the mean squared error over samples and outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import RMSE
    >>> float(RMSE()(np.array([1.0, 2.0]), np.array([[4.0], [5.0]])))
    3.0
    """

    name = "rmse"

    def result(self, statistics: Array) -> Array:
        """Return the root of the mean."""
        return array_namespace(statistics).sqrt(super().result(statistics))


class MAPE(MSE):
    r"""Mean absolute percentage error, as a proportion: the mean of :math:`|y - \hat y| / |y|`.

    Targets should not be 0: as in scikit-learn, :math:`|y|` is taken as at least 2.2e-16, so an
    error at a target of 0 becomes very large. de Myttenaere et al. 2016, "Mean absolute percentage
    error for regression models".

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import MAPE
    >>> float(MAPE()(np.array([1.0, 2.0]), np.array([[1.5], [2.0]])))  # 25 %
    0.25
    """

    name = "mape"

    def _error(self, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(y_pred)
        return xp.abs(y_true - y_pred) / xp.maximum(xp.abs(y_true), _LEAST)


class QuantileError(MSE):
    r"""Pinball loss, which is smallest for predictions of the τ-quantile.

    It is the mean over samples and outputs of :math:`\tau (y - \hat y)` where :math:`y > \hat y`,
    else :math:`(1 - \tau) (\hat y - y)`. Koenker and Bassett 1978, "Regression quantiles". Its name
    is ``quantile_error_0_9`` for τ = 0.9.

    Parameters
    ----------
    quantile : float, default 0.5
        τ between 0 and 1; the median by default, for which it is half the mean absolute error.

    Raises
    ------
    ValueError
        The quantile is not a number between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import QuantileError
    >>> error = QuantileError(0.75)
    >>> error.name
    'quantile_error_0_75'
    >>> float(error(np.array([1.0, 2.0]), np.array([[0.0], [4.0]])))  # (0.75 + 0.25 * 2) / 2
    0.625
    """

    def __init__(self, quantile: float = 0.5) -> None:
        self.quantile = as_float(quantile)
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile={shown(quantile)}: expected a number between 0 and 1")
        # A field in a path, such as "{val_quantile_error_0_9:.3f}", cannot have a dot in its name.
        self.name = f"quantile_error_{self.quantile!r}".replace(".", "_")

    def _error(self, y_true: Array, y_pred: Array) -> Array:
        difference = y_true - y_pred
        return array_namespace(y_pred).maximum(
            self.quantile * difference, (self.quantile - 1.0) * difference
        )


class MaxError(Metric):
    """The largest absolute error of all samples and outputs.

    Samples with the weight 0 do not count; all other weights have the same effect.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import MaxError
    >>> float(MaxError()(np.array([1.0, 2.0]), np.array([[1.0], [4.0]])))
    2.0
    """

    name = "max_error"
    greater_is_better = False

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return the largest error; -1 if no sample counts."""
        xp = array_namespace(y_pred)
        error = xp.abs(values(y_true, y_pred) - y_pred)
        if sample_weight is not None:
            error = xp.where(sample_weight[:, None] > 0, error, -1.0)
        least = xp.reshape(-xp.ones_like(xp.sum(error)), (1,))  # for a batch without samples
        return xp.max(xp.concat([xp.reshape(error, (-1,)), least]))

    def merge(self, a: Array, b: Array) -> Array:
        """Return the larger of two errors."""
        return array_namespace(a).maximum(a, b)

    def result(self, statistics: Array) -> Array:
        """Return the largest error; NaN if no sample counts."""
        return if_counted(statistics, statistics + 1.0)


class R2(Metric):
    r"""Coefficient of determination, :math:`1 - \sum (y-\hat y)^2 / \sum (y - \bar y)^2`.

    With several outputs, it is the mean over the outputs. If the targets do not vary, it is 1 for
    exact predictions and otherwise 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import R2
    >>> float(R2()(np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [4.0]])))
    0.5
    """

    name = "r2"
    greater_is_better = True

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return four rows: the weight, mean, Σ(y - mean)² and Σ(y - ŷ)² of each output."""
        xp = array_namespace(y_pred)
        y = values(y_true, y_pred)
        total, mean, spread = _moments(y, weights(y_pred, sample_weight))
        weight = weights(y_pred, sample_weight)[:, None]
        return xp.stack([total, mean, spread, xp.sum(weight * (y - y_pred) ** 2, axis=0)])

    def merge(self, a: Array, b: Array) -> Array:
        """Return combined statistics, without the cancellation error of formulas with Σy²."""
        xp = array_namespace(a)
        return xp.stack([*_merged(a, b), a[3, :] + b[3, :]])

    def result(self, statistics: Array) -> Array:
        """Return the mean of 1 - residual / spread over the outputs."""
        total, mean, spread, residual = (statistics[k, :] for k in range(4))
        return if_counted(_explained(spread, residual, _rounding(total, mean)), total[0])


class ExplainedVariance(Metric):
    r"""Explained variance, :math:`1 - \mathrm{Var}(y - \hat y) / \mathrm{Var}(y)`.

    It is :class:`R2` after the mean error is subtracted, so a constant error does not lower it.
    With several outputs, it is the mean over the outputs. If the targets do not vary, it is 1 if
    the errors do not vary either, and otherwise 0.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import ExplainedVariance
    >>> outputs = np.array([[5.0], [6.0], [7.0]])
    >>> float(ExplainedVariance()(np.array([1.0, 2.0, 3.0]), outputs))
    1.0
    """

    name = "explained_variance"
    greater_is_better = True

    def statistics(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Array:
        """Return weight, mean and Σ(y - mean)² of the targets, and the same of the errors."""
        y, weight = values(y_true, y_pred), weights(y_pred, sample_weight)
        xp = array_namespace(y_pred)
        return xp.stack([*_moments(y, weight), *_moments(y - y_pred, weight)])

    def merge(self, a: Array, b: Array) -> Array:
        """Return combined statistics, as :meth:`R2.merge` does."""
        xp = array_namespace(a)
        return xp.stack([*_merged(a[:3, :], b[:3, :]), *_merged(a[3:, :], b[3:, :])])

    def result(self, statistics: Array) -> Array:
        """Return the mean of 1 - spread of the errors / spread of the targets."""
        total, mean, spread, _, mean_error, residual = (statistics[k, :] for k in range(6))
        xp = array_namespace(statistics)
        # Errors carry the rounding of the targets and of the outputs.
        size = xp.abs(mean) + xp.abs(mean - mean_error)
        return if_counted(_explained(spread, residual, _rounding(total, size)), total[0])


_LEAST = 2.220446049250313e-16
"""The spacing of float64 at 1, for any type, as in scikit-learn."""


def _moments(x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Return the weight, the mean and Σ(x - mean)² of each column."""
    xp = array_namespace(x)
    weight = weight[:, None] + xp.zeros_like(x)
    total = xp.sum(weight, axis=0)
    mean = ratio(xp.sum(weight * x, axis=0), total)
    return total, mean, xp.sum(weight * (x - mean) ** 2, axis=0)


def _merged(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return the moments of two batches together, as in Chan et al. 1983."""
    total = a[0, :] + b[0, :]
    shift = b[1, :] - a[1, :]
    share = ratio(b[0, :], total)
    spread = a[2, :] + b[2, :] + shift * shift * a[0, :] * share
    return total, a[1, :] + shift * share, spread


def _rounding(total: Array, size: Array) -> Array:
    """Return the largest spread that rounding can produce among equal numbers of this size."""
    xp = array_namespace(total)
    return total * (2.0 * float(xp.finfo(size.dtype).eps) * size) ** 2


def _explained(spread: Array, residual: Array, rounding: Array) -> Array:
    """Return the mean of 1 - residual / spread over the outputs."""
    xp = array_namespace(spread)
    spread = xp.where(spread <= rounding, 0.0, spread)
    residual = xp.where(residual <= rounding, 0.0, residual)
    if_constant = xp.where(residual > 0, xp.ones_like(residual), residual)  # NaN stays NaN
    if_varying = residual / xp.where(spread > 0, spread, 1.0)
    return 1.0 - xp.mean(xp.where(spread > 0, if_varying, if_constant))
