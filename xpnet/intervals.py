"""The coverage of prediction intervals."""

from typing import Any

import numpy as np

from .backends import to_host
from .data.reading import check_weights, read_numbers


def interval_coverage(y: Any, lower: Any, upper: Any, sample_weight: Any = None) -> float:
    """Return the fraction of targets that lie in their intervals, ends included.

    For intervals that should contain a target with probability 0.9, it should be about 0.9 on data
    that the network was not trained on.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, n_targets)
    lower, upper : array-like of shape (n,) or (n, n_targets)
        The ends of the intervals, as :meth:`~xpnet.NeuralNetwork.predict_interval` returns them.
    sample_weight : array-like of shape (n,), optional
        By default, all samples have the same weight.

    Returns
    -------
    float
        From 0 to 1; the mean over samples and targets.

    Raises
    ------
    TypeError
        An argument does not hold numbers.
    ValueError
        The shapes differ, there are no targets, a number is NaN, or the lower end of an interval is
        above its upper end.

    Examples
    --------
    >>> from xpnet import interval_coverage
    >>> interval_coverage([1.0, 2.0, 3.0, 9.0], [0, 0, 3, 0], [2, 2, 4, 4])
    0.75
    """
    given = {"y": y, "lower": lower, "upper": upper}
    arrays = [to_host(read_numbers(name, each)[0]) for name, each in given.items()]
    target, low, high = (x[:, None] if x.ndim == 1 else x for x in arrays)
    n = target.shape[0] if target.ndim == 2 else 0
    if n == 0 or not target.shape == low.shape == high.shape:
        pairs = zip(given, arrays, strict=True)
        shapes = ", ".join(f"{name} of shape {x.shape}" for name, x in pairs)
        raise ValueError(f"{shapes}: expected the same shape, with at least one target")
    if np.isnan(target).any() or not (low <= high).all():
        raise ValueError(
            "a target or an end of an interval is NaN, or a lower end is above its upper end: "
            "give intervals as predict_interval returns them"
        )
    inside = ((low <= target) & (target <= high)).mean(axis=1)
    if sample_weight is None:
        return float(inside.mean())
    weight = read_numbers("sample_weight", sample_weight)[0]
    check_weights(weight)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight has shape {tuple(weight.shape)}: expected ({n},)")
    return float(np.average(inside, weights=to_host(weight)))
