"""What the samples of a data set weigh in a loss: class weights found from it, and what is refused.

All of it is computed in float64 on the host, from the weights as they were given, so that every
library, device and way of taking steps refuses the same data.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .backends import Array, to_host
from .losses import ClassWeightedLoss, LossFunction

_PIECE = 1 << 18
"""Numbers of an array that are made at a time."""


def balanced_loss(
    loss: LossFunction,
    y: Array,
    sample_weight: Array | None,
    n_outputs: int,
    anew: bool = True,
) -> LossFunction:
    """Return a loss with the class weights for some training data, if they are to be balanced.

    Parameters
    ----------
    loss : LossFunction
        Stays as it is.
    y : array of shape (n,) or (n, n_outputs)
        The targets as the loss takes them.
    sample_weight : array of shape (n,) or None
    n_outputs : int
    anew : bool, default True
        Whether weights that were found from other data are replaced.

    Raises
    ------
    ValueError
        A class is not in the data.
    """
    if not isinstance(loss, ClassWeightedLoss) or loss.class_weight != "balanced":
        return loss
    if loss.balanced_weight is not None and not anew:
        return loss
    counts = sum(loss.class_counts(*some) for some in _pieces(y, sample_weight, n_outputs))
    return loss.balanced(np.asarray(counts).tolist())


def check_total_weight(
    what: str,
    loss: LossFunction,
    y: Array,
    sample_weight: Array | None,
    n_outputs: int,
    dtype: str,
    *,
    for_metric: bool = False,
) -> None:
    """Refuse data of which nothing counts, or whose weights a floating-point type cannot hold.

    Parameters
    ----------
    what : str
        Which data they are, for the message.
    loss, y, sample_weight, n_outputs
        As for :func:`balanced_loss`.
    dtype : str
        The network's.
    for_metric : bool, default False
        Whether what counts is what metrics are taken with, without class weights.

    Raises
    ------
    ValueError
    """
    method = loss.metric_weight if for_metric else loss.sample_weight
    if method(*next(_pieces(y[:1, ...], None, n_outputs))) is None and sample_weight is None:
        return
    with np.errstate(over="ignore"):  # infinity is refused below
        weights = np.concatenate([method(*s) for s in _pieces(y, sample_weight, n_outputs)])
    if not weights.any():
        raise ValueError(f"no sample of the {what} counts: {_reason(loss, y, for_metric)}")
    limits = np.finfo(dtype)
    # Sums of weights times squared errors shall neither overflow nor vanish.
    most = math.sqrt(float(limits.max))
    total, largest = float(np.sum(weights)), float(np.max(weights))
    if not (total <= most and largest >= 1.0 / most):
        raise ValueError(
            f"the weights of the {what} sum to {total:.3g}, and the largest is {largest:.3g}: in "
            f"{dtype} expected a sum of at most {most:.1g} and a largest weight of at least "
            f"{1.0 / most:.1g}. Divide the weights by their mean"
        )
    lost = (weights > 0) & (weights < float(limits.smallest_normal))
    if lost.any():
        raise ValueError(
            f"{int(np.sum(lost))} sample(s) of the {what} have weights above 0 that are too small "
            f"for {dtype}, down to {float(np.min(weights[lost])):.3g}: set those to 0, or give "
            "dtype='float64'"
        )


def _pieces(y: Array, sample_weight: Array | None, n_outputs: int) -> Iterator[Any]:
    """Give targets, outputs (for their shape and type alone) and weights, on the host."""
    y = to_host(y)
    weight = None if sample_weight is None else to_host(sample_weight).astype(np.float64)
    rows = max(_PIECE // n_outputs, 1)
    for start in range(0, max(len(y), 1), rows):
        part = y[start : start + rows]
        outputs = np.broadcast_to(np.float64(0.0), (len(part), n_outputs))
        yield part, outputs, None if weight is None else weight[start : start + rows]


def _reason(loss: LossFunction, y: Array, for_metric: bool) -> str:
    """Return why no sample counts, as far as that is known."""
    ignored = getattr(loss, "ignore_index", None)
    if ignored is not None and np.all(to_host(y) == ignored):
        return f"all have the label {ignored}, which ignore_index={ignored} leaves out"
    class_weight = getattr(loss, "class_weight", None)
    if class_weight is not None and not for_metric:
        return (
            f"class_weight={class_weight} is 0 for all classes that are there, or the samples of "
            "the others weigh 0 themselves. Give these classes a weight above 0"
        )
    return f"{type(loss).__name__} gives each of them the weight 0"
