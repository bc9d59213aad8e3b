"""The loss whose best prediction is a quantile."""

from collections.abc import Sequence
from typing import Any

from ..backends import Array, array_namespace, is_array, to_host
from ..backends._errors import shown
from ..common.checks import as_float
from ..common.overrides import register_builtin
from .base import ElementwiseLoss
from .per_output import as_row


class QuantileLoss(ElementwiseLoss):
    r"""Pinball loss: outputs are the τ-quantile of the target, given the features.

    It is the mean over samples and outputs of :math:`\tau (y - \hat y)` where :math:`y > \hat y`,
    else :math:`(1 - \tau) (\hat y - y)`. The derivative with respect to ŷ is -τ or 1 - τ, and is
    taken as 0 where ŷ = y. Koenker and Bassett 1978, "Regression quantiles".

    Parameters
    ----------
    quantiles : float or sequence of float, default 0.5
        τ between 0 and 1. With one number, each output has its own column of targets. With several,
        targets have one column, and the network has one output for each quantile, in this order.
        For several targets with several quantiles, use :class:`~xpnet.Heads`.

        Predicted quantiles may cross: a smaller quantile may be predicted above a larger one.
        ``predict`` does not change that. ``predict_interval`` sorts each row first, which brings
        the predictions closer to the true quantiles: Chernozhukov, Fernández-Val and Galichon 2010,
        "Quantile and probability curves without crossing".

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range. With several quantiles, the network has a
        metric for a quantile that is not among them.

    Notes
    -----
    With several quantiles, :class:`~xpnet.metrics.QuantileError` uses the output for its own
    quantile, and all other metrics use the output for the median. Metrics given as functions get
    all outputs. The network is trained by formulas, not in compiled or captured steps.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, QuantileLoss
    >>> rng = np.random.default_rng(0)
    >>> X, y = np.ones((1000, 1)), rng.uniform(0, 1, 1000)
    >>> net = NeuralNetwork(epochs=30, loss=QuantileLoss([0.1, 0.5, 0.9]), seed=0)
    >>> net = net.add(DenseLayer(3, (1,))).fit((X, y))
    >>> np.abs(net.predict(X[:1]) - [0.1, 0.5, 0.9]).max() < 0.1
    np.True_
    """

    def __init__(self, quantiles: float | Sequence[float] = 0.5) -> None:
        self.quantiles = _checked(quantiles)
        self.repeats_targets = isinstance(self.quantiles, list)

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse outputs that are not one per quantile, if there are several quantiles."""
        if isinstance(self.quantiles, list) and n_outputs != len(self.quantiles):
            raise ValueError(
                f"QuantileLoss has {len(self.quantiles)} quantiles, but there are {n_outputs} "
                "outputs: expected one output per quantile. For several targets, give each a head, "
                f"such as loss={{'a': ({self!r}, {len(self.quantiles)}), ...}}"
            )

    def compared_column(self, metric: Any) -> int | None:
        """Return the column of the metric's quantile, by default of the median."""
        if not isinstance(self.quantiles, list) or len(self.quantiles) == 1:
            return None
        level = getattr(metric, "quantile", 0.5)
        for k, each in enumerate(self.quantiles):
            if abs(each - level) < 1e-6:
                return k
        what = "median" if level == 0.5 else f"quantile {level:g}"
        raise ValueError(
            f"metric {metric.name!r} is for the {what}, which is not among quantiles="
            f"{self.quantiles}: add {level:g} to the quantiles, or use a metric such as "
            f"QuantileError({self.quantiles[0]:g})"
        )

    def prediction_names(self, targets: Sequence[str], n_outputs: int) -> list[str]:
        """Return a name for each quantile of a list; for a single number, the targets' names."""
        if not isinstance(self.quantiles, list):
            return super().prediction_names(targets, n_outputs)
        return [f"{targets[0]}_quantile_{each}" for each in self.quantiles]

    def interval(self, y_pred: Array, coverage: float) -> tuple[Array, Array]:
        """Return the two quantiles between which a target lies with this probability."""
        self.check_outputs(y_pred.shape[-1])
        ordered = sorted(self.quantiles) if isinstance(self.quantiles, list) else []
        pairs = {
            high - low: (k, m)
            for k, low in enumerate(ordered)
            for m, high in enumerate(ordered)
            if low < 0.5 and abs(low + high - 1.0) < 1e-6
        }
        found = [pair for each, pair in pairs.items() if abs(each - coverage) < 1e-6]
        if not found:
            known = ", ".join(f"{each:g}" for each in sorted(pairs))
            known = f", which has intervals for the coverages {known}" if known else ""
            ends = [f"{(1 - coverage) / 2:g}", f"{(1 + coverage) / 2:g}"]
            raise ValueError(
                f"coverage={coverage:g} needs the quantiles {' and '.join(ends)}, but the loss is "
                f"{self!r}{known}: train with QuantileLoss([{', 0.5, '.join(ends)}]) and 3 outputs"
            )
        rows = array_namespace(y_pred).sort(y_pred, axis=-1)
        low, high = found[0]
        return rows[..., low : low + 1], rows[..., high : high + 1]

    def element_loss(self, y_true: Array, y_pred: Array) -> Array:
        """Return max(τ (y - ŷ), (τ - 1) (y - ŷ))."""
        tau, difference = as_row(self.quantiles, y_pred, "quantiles"), y_true - y_pred
        return array_namespace(y_pred).maximum(tau * difference, (tau - 1.0) * difference)

    def element_derivative(self, y_true: Array, y_pred: Array) -> Array:
        """Return 1 - τ where ŷ > y, -τ where ŷ < y, and 0 where they are equal."""
        sign = array_namespace(y_pred).sign(y_pred - y_true)
        return 0.5 * sign + (0.5 - as_row(self.quantiles, y_pred, "quantiles")) * (sign * sign)


def _checked(given: Any) -> float | list[float]:
    """Return a quantile as a float, or several as a list."""
    expected = "expected a number between 0 and 1, or several different ones"
    if is_array(given):
        given = to_host(given).tolist()
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    found = [as_float(each) for each in (given if several else [given])]
    if not found or not all(0 < each < 1 for each in found) or len({*found}) < len(found):
        raise ValueError(f"quantiles={shown(given)}: {expected}")
    return found if several else found[0]


register_builtin(QuantileLoss)
