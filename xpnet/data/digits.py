"""Whether a floating-point type has enough digits for numbers that are far from 0."""

import math
from typing import Any

import numpy as np

from ..backends import Array, to_host

_NUMBERS_PER_DEVIATION = 100.0
"""How many values of a type there must be within one standard deviation of the targets."""


def precision_problem(y: Array, dtype: str) -> str | None:
    """Return a description of targets for which a type has too few digits, or None.

    Parameters
    ----------
    y : array of shape (n,) or (n, n_outputs)
    dtype : {"float32", "float64"}

    Returns
    -------
    str or None
        A description of the first column that loses digits; None if the type has enough.
    """
    host = to_host(y)
    if host.dtype.kind == "b" or not host.size:
        return None
    columns = host.reshape(len(host), -1)
    low, high = columns.min(axis=0).astype(np.float64), columns.max(axis=0).astype(np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused when data are moved
        spacing = np.spacing(largest.astype(dtype)).astype(np.float64)
        suspect = low < high
        if host.dtype.kind == "f":
            suspect &= ~differ_by_rounding(low, high, host.dtype)
        # The smallest standard deviation possible for this range; if it is large enough, the exact
        # one is not computed.
        suspect &= (high - low) / math.sqrt(2 * len(host)) < _NUMBERS_PER_DEVIATION * spacing
    for k in np.flatnonzero(suspect):
        # Scaled by the largest number, so that squares neither overflow nor underflow.
        deviation = float(np.std(columns[:, k] / largest[k]) * largest[k])
        if deviation < _NUMBERS_PER_DEVIATION * spacing[k]:
            return (
                f"y goes from {low[k]:.17g} to {high[k]:.17g} with a standard deviation of "
                f"{deviation:.3g}, but numbers of {dtype} are {spacing[k]:.3g} apart there, "
                "which is too coarse to tell the targets apart"
            )
    return None


def differ_by_rounding(low: Any, high: Any, dtype: Any) -> Any:
    """Whether two numbers of a type are at most a few units in the last place apart."""
    largest = np.maximum(np.abs(low), np.abs(high)).astype(dtype)
    return high - low <= 4.0 * np.spacing(largest).astype(np.float64)
