"""Mean, standard deviation and limits of columns, computed piece by piece on any device."""

import math
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import numpy as np

from ..backends import Array, array_namespace, backend_of, to_host
from ..backends._errors import shown
from .finite import not_finite

Pieces = Callable[[], Generator[Array, None, None]]
"""A function that yields the rows of a table in pieces of float64, on any device."""


def limits(pieces: Pieces, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest number of each column, as float64 arrays on the host.

    Parameters
    ----------
    pieces : function
        Yields the rows in pieces of float64.
    shape : tuple of int
        The shape of all rows together: (n, k), n above 0.

    Raises
    ------
    ValueError
        A number is NaN or infinite.
    """
    low, high, _ = _first_pass(pieces, shape)
    return low, high


def mean_and_scale(
    pieces: Pieces, shape: tuple[int, int], dtype: np.dtype, per_feature: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the mean and the standard deviation of each column, with 1 for constant columns.

    The variance is computed by the corrected two-pass algorithm,
    :math:`\sum d_i^2 / n - (\sum d_i / n)^2` with :math:`d_i = x_i - m`, where m is the mean of the
    first pass. The returned mean is :math:`m + \sum d_i / n` (Chan, Golub and LeVeque 1983,
    "Algorithms for computing the sample variance: analysis and recommendations", eq. 1.7).
    Deviations are scaled by a power of two near the column's largest number, so that their squares
    neither overflow nor underflow.

    A column of integers is constant if all its numbers are equal. In a column of floats, the
    numbers may differ by rounding alone, e.g. if each is a sum of fractions. So the column counts
    as constant if its standard deviation does not exceed the bound on its rounding error,
    :math:`n \epsilon |m|` with the ε of float64. For float32 and float16, the bound is at least
    :math:`4 \epsilon |m|` with the ε of that dtype, which covers the rounding error of sums of a
    few hundred terms.

    Parameters
    ----------
    pieces : function
        Yields the rows in pieces of float64; called twice.
    shape : tuple of int
        The shape of all rows together: (n, k), n above 0.
    dtype : numpy.dtype
        The dtype of the numbers before they were converted to float64.
    per_feature : bool, default True
        With False, one mean and one scale of all numbers are computed.

    Returns
    -------
    mean, scale : float64 array on the host
        Of shape (k,), or () with ``per_feature=False``.

    Raises
    ------
    ValueError
        A number is NaN or infinite.
    """
    n = shape[0]
    low, high, mean = _first_pass(pieces, shape)
    if not per_feature:
        n *= shape[1]
        low, high, mean = low.min(), high.max(), mean.mean()
    exponent = np.frexp(np.maximum(abs(low), abs(high)))[1]
    unit = np.ldexp(1.0, np.clip(exponent, -1000, 1000))
    scaled, first, second = mean / unit, np.zeros(np.shape(mean)), np.zeros(np.shape(mean))
    axis = 0 if per_feature else None
    with closing(pieces()) as rows:
        for piece in rows:
            xp, backend = array_namespace(piece), backend_of(piece)
            factor, centre = (backend.asarray(np.asarray(each)) for each in (1.0 / unit, scaled))
            deviation = piece * factor - centre
            first += to_host(xp.sum(deviation, axis=axis)) / n
            second += to_host(xp.sum(deviation * deviation, axis=axis)) / n
    scaled = scaled + first
    deviation = np.sqrt(np.maximum(second - first * first, 0.0))
    constant = low == high
    if dtype.kind == "f":
        epsilon = n * float(np.finfo(np.float64).eps)
        if dtype.itemsize < 8:
            epsilon = max(epsilon, 4 * float(np.finfo(dtype).eps))
        constant |= deviation <= epsilon * abs(scaled)
    scale = deviation * unit
    constant |= scale < np.finfo(np.float64).smallest_normal  # subnormals have fewer digits
    return scaled * unit, np.where(constant, 1.0, scale)


def _first_pass(
    pieces: Pieces, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the smallest number, the largest number and a first mean of each column."""
    n, k = shape
    low, high, mean = np.full(k, math.inf), np.full(k, -math.inf), np.zeros(k)
    start = 0
    with closing(pieces()) as rows:
        for piece in rows:
            xp = array_namespace(piece)
            least, largest = (to_host(f(piece, axis=0)) for f in (xp.min, xp.max))
            if not (np.isfinite(least).all() and np.isfinite(largest).all()):
                raise _not_finite_error(to_host(piece), start)
            low, high = np.minimum(low, least), np.maximum(high, largest)
            mean += to_host(xp.sum(piece * (1.0 / n), axis=0))  # the sum itself might overflow
            start += piece.shape[0]
    return low, high, mean


def _not_finite_error(piece: np.ndarray, start: int) -> ValueError:
    wrong = np.argwhere(~np.isfinite(piece))
    row, column = wrong[0]
    where = f"row {start + row}, column {column}"
    return not_finite("X", len(wrong), piece[row, column], where)


def check_moment(
    name: str, given: Any, shape: tuple[int, ...] | None, dtype: str = "float64"
) -> np.ndarray:
    """Check a mean or a scale, and return it as an array on the host.

    Parameters
    ----------
    name : {"mean", "scale"}
    given : float or array-like
    shape : tuple of int or None
        The shape of one sample, if known.
    dtype : {"float64", "float32"}, default "float64"
        The dtype of the returned array.

    Raises
    ------
    ValueError
        A number is not finite, a scale is not above 0, the shape is neither () nor ``shape``, or
        a number is too large or too small for ``dtype``.
    """
    is_scale = name == "scale"
    try:
        numbers = to_host(given)
    except (TypeError, ValueError):  # e.g. nested lists of different lengths
        numbers = np.asarray(None)
    known = numbers.dtype.kind in "biuf" and not isinstance(given, np.ma.MaskedArray)
    fits = shape is None or numbers.shape in ((), shape)
    if not (known and fits and _usable(numbers, is_scale)):
        each = "one for each feature" if shape is None else f"{math.prod(shape)} of them"
        raise ValueError(
            f"{name}={shown(given)}: expected a finite number{' above 0' * is_scale}, or {each}"
        )
    with np.errstate(over="ignore", under="ignore"):
        kept: np.ndarray = numbers.astype(dtype)
    if not _usable(kept, is_scale):
        raise ValueError(
            f"{name}={shown(given)} becomes infinite or 0 in {dtype}: change the unit of the "
            "features"
        )
    return kept


def _usable(numbers: np.ndarray, is_scale: bool) -> bool:
    return bool(np.isfinite(numbers).all() and (not is_scale or (numbers > 0).all()))
