"""Mean, deviation and limits of columns: read piece by piece, wherever the numbers are."""

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np

from ._reading import not_finite
from ._stored import is_stored, numpy_type, stored_rows
from .backends import Array, array_namespace, backend_of, is_array, is_sparse, to_host
from .backends._errors import shown

_HOST_NUMBERS, _DEVICE_NUMBERS = 1 << 15, 1 << 22
"""Numbers of a piece: on the host 256 KiB, which a cache holds; on a device what keeps it busy."""


def limits(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest number of each column, as float64 arrays on the host.

    Parameters
    ----------
    X : array-like of shape (n, k)
        An array of any library, stored rows, or a sparse matrix whose numbers are finite; n above
        0.

    Raises
    ------
    ValueError
        A number is NaN or infinite.
    """
    if is_sparse(X):  # with the zeros that are not stored
        both = (to_host(each(axis=0).toarray()).ravel() for each in (X.min, X.max))
        low, high = (each.astype(np.float64) for each in both)
        return low, high
    low, high, _ = _first_pass(X)
    return low, high


def mean_and_scale(X: Any, per_feature: bool = True) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the mean and the standard deviation of each column; of a constant one, 1.

    The variance is that of the corrected two-pass algorithm,
    :math:`\sum d_i^2 / n - (\sum d_i / n)^2` with :math:`d_i = x_i - m`, where m is the mean of the
    first pass and :math:`m + \sum d_i / n` the one that is returned (Chan, Golub and LeVeque 1983,
    "Algorithms for computing the sample variance: analysis and recommendations", eq. 1.7).
    Deviations are taken in units of a power of two near the column's largest number, so their
    squares neither overflow nor vanish.

    A column of integers is constant if all its numbers are equal. In a column of floats the
    numbers may differ by rounding alone, as sums of shares do. So it counts as constant if the
    deviation is not above the bound on its own rounding error, :math:`n \epsilon |m|` with the
    ε of float64. In float32 and float16 the bound is at least :math:`4 \epsilon |m|` with their ε,
    a few steps from a number to the next: by no more are sums of some hundred terms off.

    Parameters
    ----------
    X : array-like of shape (n, k)
        An array of any library, or stored rows; n above 0.
    per_feature : bool, default True
        False takes all numbers together.

    Returns
    -------
    mean, scale : float64 array of shape (k,), or () with ``per_feature=False``
        On the host.

    Raises
    ------
    ValueError
        A number is NaN or infinite.
    """
    n, dtype = X.shape[0], numpy_type(X)
    low, high, mean = _first_pass(X)
    if not per_feature:
        n *= X.shape[1]
        low, high, mean = low.min(), high.max(), mean.mean()
    exponent = np.frexp(np.maximum(abs(low), abs(high)))[1]
    unit = np.ldexp(1.0, np.clip(exponent, -1000, 1000))
    scaled, first, second = mean / unit, np.zeros(np.shape(mean)), np.zeros(np.shape(mean))
    axis = 0 if per_feature else None
    with closing(_pieces(X)) as pieces:
        for piece in pieces:
            xp, backend = array_namespace(piece), backend_of(piece)
            factor, centre = (backend.asarray(np.asarray(each)) for each in (1.0 / unit, scaled))
            deviation = piece * factor - centre
            first += to_host(xp.sum(deviation, axis=axis)) / n
            second += to_host(xp.sum(deviation * deviation, axis=axis)) / n
    scaled = scaled + first
    deviation = np.sqrt(np.maximum(second - first * first, 0.0))
    constant = low == high
    if dtype.kind == "f":
        epsilon = n * np.finfo(np.float64).eps
        if dtype.itemsize < 8:
            epsilon = max(epsilon, 4 * float(np.finfo(dtype).eps))
        constant |= deviation <= epsilon * abs(scaled)
    scale = deviation * unit
    constant |= scale < np.finfo(np.float64).smallest_normal  # below it, digits are missing
    return scaled * unit, np.where(constant, 1.0, scale)


def _first_pass(X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the least and the largest number of each column, and about its mean."""
    n, k = X.shape
    low, high, mean = np.full(k, math.inf), np.full(k, -math.inf), np.zeros(k)
    start = 0
    with closing(_pieces(X)) as pieces:
        for piece in pieces:
            xp = array_namespace(piece)
            least, largest = (to_host(f(piece, axis=0)) for f in (xp.min, xp.max))
            if not (np.isfinite(least).all() and np.isfinite(largest).all()):
                raise _found_not_finite(to_host(piece), start)
            low, high = np.minimum(low, least), np.maximum(high, largest)
            mean += to_host(xp.sum(piece * (1.0 / n), axis=0))  # terms so small that none overflows
            start += piece.shape[0]
    return low, high, mean


def _found_not_finite(piece: np.ndarray, start: int) -> ValueError:
    wrong = np.argwhere(~np.isfinite(piece))
    row, column = wrong[0]
    where = f"row {start + row}, column {column}"
    return not_finite("X", len(wrong), piece[row, column], where)


def _pieces(X: Any) -> Generator[Array, None, None]:
    """Yield the rows in pieces, in float64; on the host if their device has no float64."""
    if is_stored(X):
        yield from _stored_pieces(X)
        return
    host = not is_array(X) or backend_of(X).name == "numpy"
    device = None if host else backend_of(X)
    step = max((_HOST_NUMBERS if host else _DEVICE_NUMBERS) // X.shape[1], 1)
    for start in range(0, X.shape[0], step):
        rows = X[start : min(start + step, X.shape[0]), ...]
        if device is not None and device.wide_dtype == "float64":
            yield device.asarray(rows, "float64")
        else:
            yield _float64(to_host(rows))


def _stored_pieces(X: Any) -> Iterator[np.ndarray]:
    step = max(_HOST_NUMBERS // X.shape[1], 1)
    stored = getattr(X, "chunks", None)
    if stored and isinstance(stored[0], int):  # whole chunks, each of which is decoded once
        step = -(-step // stored[0]) * stored[0]
    buffer = np.empty((min(step, X.shape[0]), X.shape[1]), X.dtype)
    with stored_rows(X) as read:
        for start in range(0, X.shape[0], step):
            rows = buffer[: min(step, X.shape[0] - start)]
            read(start, start + len(rows), rows)
            yield _float64(rows)


def _float64(rows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # of wider types; refused as infinite
        return rows.astype(np.float64, copy=False)


def check_moment(
    name: str, given: Any, shape: tuple[int, ...] | None, dtype: str = "float64"
) -> np.ndarray:
    """Return a mean or a scale as a float array on the host, refusing what cannot be one.

    Parameters
    ----------
    name : {"mean", "scale"}
    given : float or array-like
    shape : tuple of int or None
        That of one sample, where it is known.
    dtype : {"float64", "float32"}
        The type it is kept in.

    Raises
    ------
    ValueError
        It is no finite number or numbers, not one for each feature, or a scale not above 0; the
        message says what is expected.
    """
    is_scale = name == "scale"
    try:
        numbers = to_host(given)
    except (TypeError, ValueError):  # lists of different lengths
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
            f"{name}={shown(given)}: {dtype} does not hold it (it becomes infinite or 0): change "
            "the unit of the features"
        )
    return kept


def _usable(numbers: np.ndarray, is_scale: bool) -> bool:
    return bool(np.isfinite(numbers).all() and (not is_scale or (numbers > 0).all()))
