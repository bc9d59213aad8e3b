"""Upper limits of losses, and logarithms that are finite at 0."""

import math

from ..backends import Array, array_namespace
from ..common.checks import check_positive


def check_max_reported(max_reported: float) -> float:
    """Return the upper limit of a loss: a number above 0, or infinity for none."""
    if type(max_reported) is float and max_reported == math.inf:
        return max_reported
    return check_positive("max_reported", max_reported)


def limit_reported(losses: Array, max_reported: float) -> Array:
    """Return losses, clipped to the upper limit."""
    unlimited = max_reported == math.inf
    return losses if unlimited else array_namespace(losses).minimum(losses, max_reported)


def finite_log(p: Array, least: float) -> Array:
    """Return log p; below p₀ = ``least``, its tangent at p₀, which is log p₀ + p/p₀ - 1."""
    xp = array_namespace(p)
    return xp.log(xp.maximum(p, least)) + (xp.minimum(p, least) / least - 1.0)


def finite_log_slope(p: Array, least: float) -> Array:
    """Return the derivative of :func:`finite_log`, 1 / max(p, p₀)."""
    return 1.0 / array_namespace(p).maximum(p, least)


def epsilon_of(p: Array) -> float:
    """Return ε, the spacing of floating-point numbers at 1."""
    return float(array_namespace(p).finfo(p.dtype).eps)
