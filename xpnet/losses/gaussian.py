"""The loss of networks that predict a normal distribution: a mean and a variance per target."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, ClassVar

from ..backends import Array, array_namespace, ops
from ..backends._errors import shown
from ..common.checks import as_float, check_positive
from ..common.overrides import register_builtin
from .base import MeanLoss


class GaussianNLL(MeanLoss):
    r"""Negative log-likelihood of a normal distribution with a predicted mean and variance.

    The network has two outputs for each target: first the means μ of all targets, then the
    logarithms s of all variances. The loss is the mean over samples and targets of

    .. math:: \frac12 \log(2 \pi v) + \frac{(y - \mu)^2}{2 v}, \qquad v = e^s + \epsilon

    Samples with a larger predicted variance count for less. Nix and Weigend 1994, "Estimating the
    mean and variance of the target probability distribution". The derivative is
    :math:`(\mu - y) / v` with respect to μ, and :math:`\frac{e^s}{2v} (1 - (y - \mu)^2 / v)` with
    respect to s.

    ``predict`` returns the means and then the standard deviations √v, in the unit of the targets,
    and ``predict_interval`` returns intervals. Metrics compare the means with the targets.

    Parameters
    ----------
    epsilon : float, default 1e-6
        Added to the variance; above 0. With a ``target_unit``, it is added to the variance of the
        standardised targets.
    beta : float, default 0.0
        β from 0 to 1. The derivative for each sample and target is multiplied by :math:`v^\beta`,
        so that samples with a large variance count for more in learning the mean. With 1, means are
        learned as with :class:`MeanSquaredError`. The loss itself is not multiplied, so with β
        above 0 the derivative is not that of the loss. Seitzer et al. 2022, "On the pitfalls of
        heteroscedastic uncertainty estimation with probabilistic neural networks", recommend 0.5.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range; or the network does not have two outputs
        for each target.

    Notes
    -----
    A network with this loss is trained by formulas, not in compiled or captured steps. Give a
    ``target_unit`` unless the targets have a mean of about 0 and a standard deviation of about 1.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, GaussianNLL, NeuralNetwork
    >>> rng = np.random.default_rng(0)
    >>> X = rng.integers(0, 2, (500, 1)).astype(float)
    >>> y = 3 * X[:, 0] + np.where(X[:, 0] > 0, 0.2, 1.0) * rng.normal(size=500)
    >>> net = NeuralNetwork(60, 25, "adam", learning_rate=0.02, loss=GaussianNLL(), seed=0)
    >>> net = net.add(DenseLayer(2, (1,))).fit((X, y))
    >>> mean, deviation = net.predict([[0.0], [1.0]]).T
    >>> np.abs(mean - [0, 3]).max() < 0.3, np.abs(deviation - [1.0, 0.2]).max() < 0.2
    (np.True_, np.True_)
    """

    accepts = frozenset(["real"])
    advice = "It takes means and logarithms of variances: end with DenseLayer(2 * n_targets)."
    targets = "values"
    predicts_outputs: ClassVar[bool] = False

    def __init__(self, epsilon: float = 1e-6, beta: float = 0.0) -> None:
        self.epsilon = check_positive("epsilon", epsilon)
        self.beta = as_float(beta)
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta={shown(beta)}: expected a number from 0 to 1")

    def n_targets(self, n_outputs: int) -> int:
        """Return half the number of outputs."""
        return n_outputs // 2

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse an odd number of outputs."""
        if n_outputs % 2:
            raise ValueError(
                f"GaussianNLL needs a mean and a log-variance for each target, but there are "
                f"{n_outputs} outputs: end with DenseLayer(2 * n_targets)"
            )

    def match(self, y_true: Array, y_pred: Array) -> Array:
        """Return ``y_true`` in the shape and dtype of the means."""
        return super().match(y_true, self.compared_outputs(y_pred))

    def sample_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return the mean over the targets of each sample."""
        mean, log_v, _ = self._split(y_pred)
        xp, d = array_namespace(y_pred), y_true - mean
        losses = log_v + d * d * xp.exp(-log_v) + math.log(2.0 * math.pi)
        return 0.5 * xp.mean(losses, axis=1)

    def sample_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return the derivatives with respect to the means and the logarithms of the variances."""
        mean, log_v, part = self._split(y_pred)
        xp, d = array_namespace(y_pred), y_true - mean
        inverse = xp.exp(-log_v)
        factor = 1.0 / mean.shape[1]
        if self.beta:
            factor = factor * xp.exp(self.beta * log_v)
        log_slope = 0.5 * part * (1.0 - d * d * inverse)
        return xp.concat([-d * inverse * factor, log_slope * factor], axis=1)

    def constant_outputs(self, moments: Array) -> Array:
        """Return the means, and the logarithms of the variances."""
        xp = array_namespace(moments)
        return xp.concat([moments[0], 2.0 * xp.log(moments[1])])

    def explains_little(self, reached: float, constant: float) -> bool:
        """Whether the variance is, on average, more than half the variance of constant outputs."""
        return reached > constant + 0.5 * math.log(0.5)

    def compared_outputs(self, y_pred: Array) -> Array:
        """Return the means."""
        return y_pred[..., : y_pred.shape[-1] // 2]

    def prediction_names(self, targets: Sequence[str], n_outputs: int) -> list[str]:
        """Return the names of all means, and then of all standard deviations."""
        names = super().prediction_names(targets, self.n_targets(n_outputs))
        return [f"{name}_{what}" for what in ("mean", "standard_deviation") for name in names]

    def predictions(self, y_pred: Array, mean: Any = 0.0, scale: Any = 1.0) -> Array:
        """Return the means and the standard deviations, in the unit of the targets."""
        mu, log_v, _ = self._split(y_pred)
        xp = array_namespace(y_pred)
        return xp.concat([mu * scale + mean, xp.exp(0.5 * log_v) * scale], axis=-1)

    def predictions_derivative(self, y_pred: Array, scale: Any = 1.0) -> Array:
        """Return 1 for the means and √v eˢ / 2v for the standard deviations √v, times the scale."""
        mu, log_v, part = self._split(y_pred)
        xp = array_namespace(y_pred)
        deviation_slope = 0.5 * part * xp.exp(0.5 * log_v) * scale
        return xp.concat([xp.ones_like(mu) * scale, deviation_slope], axis=-1)

    def interval(self, y_pred: Array, coverage: float) -> tuple[Array, Array]:
        """Return the ends of the interval around the mean that has this coverage."""
        self.check_outputs(y_pred.shape[-1])
        k = y_pred.shape[-1] // 2
        mean, half = y_pred[..., :k], y_pred[..., k:] * NormalDist().inv_cdf(0.5 + coverage / 2)
        return mean - half, mean + half

    def _split(self, y_pred: Array) -> tuple[Array, Array, Array]:
        """Return the means, log v and eˢ / v, computed without overflow or loss of digits."""
        k, least = y_pred.shape[-1] // 2, math.log(self.epsilon)
        above = y_pred[..., k:] - least
        return y_pred[..., :k], ops.softplus(above) + least, ops.sigmoid(above)


register_builtin(GaussianNLL)
