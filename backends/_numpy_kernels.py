"""Fast NumPy versions of the operations in :mod:`ops`, which write into ``out`` block by block.

A formula that makes ten passes over long arrays is limited by memory bandwidth. Applied to one
block at a time, which stays in the processor's cache, it is limited by arithmetic, and its
temporary arrays are small.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from . import ops
from ._backend import Array


@ops.take_rows.register(np.ndarray)
def take_rows(x: np.ndarray, index: Array, out: Array | None = None) -> Array:
    """See :func:`ops.take_rows`."""
    if out is None:
        return np.take(x, index, axis=0)
    if out.dtype != x.dtype:
        return _by_rows(out, lambda part: np.take(x, index[part], axis=0))
    # mode="raise" would buffer the result, to leave `out` unchanged if an index is out of range.
    return np.take(x, index, axis=0, out=out, mode="clip")


@ops.sum_rows.register(np.ndarray)
def sum_rows(x: np.ndarray, index: Array, n: int, out: Array | None = None) -> Array:
    """See :func:`ops.sum_rows`."""
    m, width = x.shape
    out = np.empty((n, width), x.dtype) if out is None else out
    if n <= 4 * m:  # summing single numbers, in float64, is faster unless most sums are 0
        place = (index[:, None] * width + np.arange(width)).ravel()
        out[...] = np.bincount(place, x.ravel(), n * width).reshape(n, width)
        return out
    out[...] = 0.0
    if m:
        order = np.argsort(index, kind="stable")
        found = index[order]
        starts = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]]))
        out[found[starts]] = np.add.reduceat(x[order], starts, axis=0)
    return out


@ops.matmul.register(np.ndarray)
def matmul(a: np.ndarray, b: Array, out: Array | None = None) -> Array:
    """See :func:`ops.matmul`."""
    if out is not None:  # in training, whose steps ignore floating-point warnings
        return np.matmul(a, b, out=out)
    # BLAS may compute with numbers next to the arrays in memory, e.g. a NaN, and discard the
    # result. NumPy would report an invalid value; this does so only if the product has one.
    try:
        with np.errstate(invalid="raise"):
            return np.matmul(a, b)
    except FloatingPointError as error:
        if "invalid" not in str(error):  # e.g. an overflow, if the user's np.errstate raises it
            raise
    with np.errstate(all="ignore"):  # the first product has reported other errors
        product = np.matmul(a, b)
        rows = np.isnan(a).any(axis=-1, keepdims=np.ndim(b) > 1)
        given = rows | np.isnan(b).any(axis=-min(np.ndim(b), 2), keepdims=a.ndim > 1)
    if (np.isnan(product) & ~given).any():  # from inf * 0 or inf - inf
        np.matmul(np.full((1, 1), np.inf), np.zeros((1, 1)))  # reports it as np.errstate says
    return product


@ops.affine.register(np.ndarray)
def affine(x: np.ndarray, w: Array, b: Array | None, out: Array | None = None) -> Array:
    """See :func:`ops.affine`."""
    out = matmul(x, w, out)
    if b is not None:
        out += b
    return out


@ops.column_sum.register(np.ndarray)
def column_sum(x: np.ndarray, out: Array | None = None) -> Array:
    """See :func:`ops.column_sum`."""
    return np.add.reduce(x, axis=0, out=out)


@ops.rowwise.register(np.ndarray)
def rowwise(
    x: np.ndarray, *others: Array, function: Callable[..., Array], out: Array | None = None
) -> Array:
    """See :func:`ops.rowwise`."""
    if out is None:
        return function(x, *others)
    if len(out) <= _rows_per_piece(out):
        out[...] = function(x, *others)
        return out
    return _by_rows(out, lambda part: function(x[part], *(other[part] for other in others)))


PIECE = 1 << 16
"""Bytes of rows that are computed at a time, about the size of a first-level cache."""


def _rows_per_piece(x: Array) -> int:
    row: int = x.itemsize * math.prod(x.shape[1:])
    return max(PIECE // max(row, 1), 1)


def _by_rows(out: Array, compute: Callable[[slice], Array]) -> Array:
    """Fill ``out`` slice by slice: ``compute(rows)`` returns the rows of a slice."""
    step = _rows_per_piece(out)
    for start in range(0, out.shape[0], step):
        part = slice(start, start + step)
        out[part] = compute(part)
    return out


@ops.dropout_mask.register(np.ndarray)
def dropout_mask(
    like: np.ndarray, rate: float, key: int, counter: int, out: Array | None = None
) -> Array:
    """See :func:`ops.dropout_mask`."""
    out = np.empty(like.shape, like.dtype) if out is None else out
    limit = out.dtype.type(rate)  # the definition compares in this dtype
    generator = ops.philox(key, counter)  # drawing in pieces gives the same numbers

    def kept(part: slice) -> Array:
        return generator.random(out[part].shape, dtype=np.float32) >= limit

    _by_rows(out, kept)
    out /= 1.0 - rate
    return out


@ops.softmax_cross_entropy.register(np.ndarray)
def softmax_cross_entropy(z: np.ndarray, labels: Array) -> tuple[Array, Array]:
    """See :func:`ops.softmax_cross_entropy`."""
    rows = np.arange(len(z))
    shifted = z - np.maximum.reduce(z, axis=1, keepdims=True)
    of_label = shifted[rows, labels]
    e = np.exp(shifted, out=shifted)
    total = np.add.reduce(e, axis=1, keepdims=True)
    losses = np.log(total[:, 0]) - of_label
    e /= total
    e[rows, labels] -= 1.0
    return losses, e


def _square_sum(x: Array) -> float:
    """Return the sum of squares by BLAS, or NaN if this would need a copy."""
    return float(np.vdot(x, x)) if x.flags.c_contiguous and x.itemsize >= 4 else math.nan


@ops.all_finite.register(np.ndarray)
def all_finite(x: np.ndarray) -> Array:
    """See :func:`ops.all_finite`."""
    if math.isfinite(_square_sum(x)):  # a sum that is not finite may only have overflowed
        return np.True_
    if x.ndim == 0:
        return np.isfinite(x)
    step = 4 * _rows_per_piece(x)  # booleans take a quarter of the memory of float32
    starts = range(0, x.shape[0], step)
    return np.bool_(all(np.isfinite(x[start : start + step]).all() for start in starts))


@ops.norm.register(np.ndarray)
def norm(x: np.ndarray) -> Array:
    """See :func:`ops.norm`."""
    square, limits = _square_sum(x), np.finfo(x.dtype)
    if limits.smallest_normal / limits.eps < square < math.inf:
        return x.dtype.type(math.sqrt(square))
    return ops.norm.dispatch(object)(x)  # the sum overflowed, or squares underflowed


@ops.standardize.register(np.ndarray)
def standardize(
    x: np.ndarray, mean: Array, scale: Array, dtype: Any = None, out: Array | None = None
) -> Array:
    """See :func:`ops.standardize`."""
    dtype = mean.dtype if dtype is None else np.dtype(dtype)
    moments = None
    if x.dtype == dtype:
        moments = _split(mean.tobytes(), scale.tobytes(), mean.dtype, dtype)
    if moments is None:
        out = np.empty(x.shape, dtype) if out is None else out
        return _by_rows(out, lambda part: (x[part] - mean) / scale)
    shifts, narrow = moments
    for shift in shifts:
        x = out = np.subtract(x, shift, out=out)
    return np.divide(x, narrow, out=out)


@lru_cache(maxsize=16)
def _split(
    mean: bytes, scale: bytes, wide: np.dtype, dtype: np.dtype
) -> tuple[list[Array], Array] | None:
    """Return the arrays to subtract and the scale, from the bytes of the mean and the scale.

    They come from :func:`ops.split_moments`, without arrays to subtract that are all 0, as for
    pixels from 0 to 255. The result is cached, since computing it takes longer than a small batch.
    The bytes are the key, so that changes to the arrays are noticed.
    """
    moments = ops.split_moments(np.frombuffer(mean, wide), np.frombuffer(scale, wide), dtype)
    if moments is None:
        return None
    high, low, narrow = moments
    return [shift for shift in (high, low) if shift.any()], narrow


@ops.clip.register(np.ndarray)
def clip(x: np.ndarray, low: float, high: float, out: Array | None = None) -> Array:
    """See :func:`ops.clip`."""
    return np.clip(x, low, high, out=out)


@ops.scale.register(np.ndarray)
def scale(x: np.ndarray, factor: float, out: Array | None = None) -> Array:
    """See :func:`ops.scale`."""
    return np.multiply(x, factor, out=out)
