"""Operations shared by layers, losses and the trainer, written in the array API.

Each function is a *definition*: a few lines that read like the formula and work with any array
library. A function decorated with ``operation`` may have fast versions for some array types, which
a library's module registers (e.g. ``_numpy_kernels.py``). Callers need not know about them.

``out`` is an array that a version may overwrite with the result, or ignore. Callers must always use
the returned array.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import device

from ._backend import Array, array_namespace
from ._dispatch import operation


@operation
def take_rows(x: Array, index: Array, out: Array | None = None) -> Array:
    """Return the rows ``x[index]``, cast to the dtype of ``out`` if given.

    Parameters
    ----------
    x : array of shape (n, ...)
    index : integer array of shape (b,), on the device of ``x``
        Indices from 0 to n - 1; other values do not always raise an error.
    """
    xp = array_namespace(x)
    rows = xp.take(x, index, axis=0)
    return rows if out is None else xp.astype(rows, out.dtype, copy=False)


@operation
def sum_rows(x: Array, index: Array, n: int, out: Array | None = None) -> Array:
    """Return the sums of rows with equal indices, i.e. the gradient of :func:`take_rows`.

    Row k of the result is the sum of the rows ``x[i]`` with ``index[i] == k``.

    Parameters
    ----------
    x : array of shape (m, w)
    index : int64 array of shape (m,), on the device of ``x``
        Numbers from 0 to n - 1; other values do not always raise an error.
    n : int
        The number of rows of the result.
    """
    xp = array_namespace(x)
    # Multiply the rows by a block of one-hot columns at a time, to bound memory.
    step = max(_ONE_HOT_NUMBERS // max(x.shape[0], 1), 1)
    blocks = [
        xp.matrix_transpose(one_hot(index - start, min(step, n - start), like=x)) @ x
        for start in range(0, n, step)
    ]
    return blocks[0] if len(blocks) == 1 else xp.concat(blocks, axis=0)


_ONE_HOT_NUMBERS = 1 << 22
"""Approximate maximum number of elements in a block of one-hot columns."""


@operation
def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the matrix product ``a @ b``."""
    return a @ b


@operation
def affine(x: Array, w: Array, b: Array | None, out: Array | None = None) -> Array:
    """Return ``x @ w + b``, or ``x @ w`` if ``b`` is None."""
    return x @ w if b is None else x @ w + b


@operation
def column_sum(x: Array, out: Array | None = None) -> Array:
    """Return the sum over the batch, of shape ``x.shape[1:]``."""
    return array_namespace(x).sum(x, axis=0)


@operation
def rowwise(
    x: Array, *others: Array, function: Callable[..., Array], out: Array | None = None
) -> Array:
    """Return ``function(x, *others)``, for a function that treats each row separately.

    Parameters
    ----------
    x, *others : array of shape (n, ...)
    function : callable
        Each row of its result depends only on the same row of each array. A fast version passes a
        few rows at a time, to keep temporary arrays small.
    """
    return function(x, *others)


@operation
def all_finite(x: Array) -> Array:
    """Return whether all numbers in ``x`` are finite, as a 0-d array."""
    xp = array_namespace(x)
    return xp.all(xp.isfinite(x))


@operation
def norm(x: Array) -> Array:
    """Return the Euclidean norm of all numbers in ``x``, as a 0-d array."""
    xp = array_namespace(x)
    # Scaled by the largest number, so that the squares neither overflow nor underflow.
    largest = xp.max(xp.abs(x))
    unit = x / xp.where(largest > 0, largest, 1.0)
    return largest * xp.sqrt(xp.sum(unit * unit))


@operation
def standardize(
    x: Array, mean: Array, scale: Array, dtype: Any = None, out: Array | None = None
) -> Array:
    """Return ``(x - mean) / scale``, computed in the dtype of ``mean`` and cast to ``dtype``.

    Parameters
    ----------
    x : array of shape (n, k)
        Numbers of any real dtype.
    mean, scale : array of shape (k,)
        Arrays of the same floating-point dtype.
    dtype : object, optional
        The dtype of the result; by default the dtype of ``mean``.
    """
    xp = array_namespace(x)
    wide = xp.astype(x, mean.dtype, copy=False)
    result = (wide - mean) / scale
    return result if dtype is None else xp.astype(result, dtype, copy=False)


def split_moments(
    mean: np.ndarray, scale: np.ndarray, dtype: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Split the mean in two, so that :func:`standardize` is accurate in a narrower dtype.

    For x of that dtype, ``((x - high) - low) / scale`` is as accurate as the dtype allows: ``high``
    is the rounded mean, and ``low`` is its rounding error. The first difference is exact if x is
    within a factor of 2 of the mean (Sterbenz 1974).

    Returns
    -------
    high, low, scale : array of shape (k,)
        The three arrays in the given dtype. Or a single None if a mean or a scale overflows in the
        dtype, or a scale is subnormal or 0.
    """
    if mean.dtype == dtype:
        return mean, np.zeros_like(mean), scale
    with np.errstate(over="ignore", invalid="ignore"):
        high, narrow = mean.astype(dtype), scale.astype(dtype)
        low = (mean - high).astype(dtype)
    least = np.finfo(narrow.dtype).smallest_normal
    held = np.isfinite(high).all() and np.isfinite(narrow).all() and (narrow >= least).all()
    return (high, low, narrow) if held else None


@operation
def clip(x: Array, low: float, high: float, out: Array | None = None) -> Array:
    """Return ``x`` limited to the range from ``low`` to ``high``; NaN stays NaN.

    The standard's ``clip`` is not used, because array-api-compat's version assigns through boolean
    masks, for which CuPy waits for the device.
    """
    xp = array_namespace(x)
    return xp.minimum(xp.maximum(x, low), high)


@operation
def sigmoid(x: Array) -> Array:
    r"""Logistic function :math:`1 / (1 + e^{-x})`, without overflow.

    For x < 0, it is computed as :math:`e^{x} / (1 + e^{x})`. So the exponential is only taken of
    :math:`-|x|`, and both tails keep their relative precision.
    """
    xp = array_namespace(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, e) / (1.0 + e)


@operation
def softplus(x: Array) -> Array:
    r"""Smooth maximum of 0 and x, :math:`\log(1 + e^{x})`, without overflow.

    Computed as :math:`\max(x, 0) + \log(1 + e^{-|x|})`. Dugas et al. 2001.
    """
    xp = array_namespace(x)
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


@operation
def erf(x: Array) -> Array:
    r"""Error function, :math:`\frac{2}{\sqrt{\pi}} \int_0^x e^{-t^2} dt`.

    By rational functions on three intervals: Cody 1969, "Rational Chebyshev approximations for the
    error function". The relative error is below 4e-16 in float64 and 3e-7 in float32.
    """
    xp = array_namespace(x)
    size = xp.abs(x)
    square = x * x
    near = x * _rational(square, _ERF_NEAR)
    middle = 1.0 - xp.exp(-square) * _rational(xp.minimum(size, 4.0), _ERF_MIDDLE)
    # From 4 on the result is 1 within 2e-8, and from 6 on exactly 1 in every dtype.
    inverse = 1.0 / xp.maximum(square, 16.0)
    tail = (_ERF_LIMIT - inverse * _rational(inverse, _ERF_FAR)) / xp.maximum(size, 4.0)
    far = 1.0 - xp.exp(-square) * tail
    outer = xp.where(size <= 4.0, middle, far)
    return xp.where(size <= 0.46875, near, xp.sign(x) * outer)


def _rational(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """Return a quotient of polynomials, given their coefficients from the highest power down."""
    above, below = (_polynomial(x, each) for each in coefficients)
    return above / below


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    total = coefficients[0] * x + coefficients[1]
    for each in coefficients[2:]:
        total = total * x + each
    return total


_ERF_NEAR = (
    (
        1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2,
        3.77485237685302021e2, 3.20937758913846947e3,
    ),
    (
        1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
        2.84423683343917062e3,
    ),
)  # fmt: skip
_ERF_MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
        6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
        1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
        1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
        3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_ERF_FAR = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
        1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1,
        6.05183413124413191e-2, 2.33520497626869185e-3,
    ),
)  # fmt: skip
_ERF_LIMIT = 1.0 / math.sqrt(math.pi)


def log_softmax(x: Array) -> Array:
    r"""Logarithm of :func:`softmax` along the last axis, without overflow.

    :math:`x_k - m - \log\sum_j e^{x_j - m}` with :math:`m = \max_j x_j`.
    """
    xp = array_namespace(x)
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def softmax(x: Array) -> Array:
    r"""Softmax along the last axis, :math:`e^{x_k - m} / \sum_j e^{x_j - m}`, without overflow."""
    xp = array_namespace(x)
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def one_hot(labels: Array, n_classes: int, like: Array) -> Array:
    """Return one row for each label, with 1 in the label's column and 0 elsewhere.

    Parameters
    ----------
    labels : integer array of shape (n,)
    n_classes : int
    like : array
        An array on the device of ``labels``, whose dtype the result gets.

    Returns
    -------
    array of shape (n, n_classes)
    """
    xp = array_namespace(labels, like)
    classes = xp.arange(n_classes, dtype=labels.dtype, device=device(labels))
    return xp.astype(labels[:, None] == classes[None, :], like.dtype)


@operation
def softmax_cross_entropy(z: Array, labels: Array) -> tuple[Array, Array]:
    """Return the cross-entropy -log s_y for each row, where s = softmax(z), and its derivative.

    Parameters
    ----------
    z : array of shape (n, k)
        Logits.
    labels : integer array of shape (n,)
        Classes y from 0 to k - 1; other values do not always raise an error.

    Returns
    -------
    losses : array of shape (n,)
    derivatives : array of shape (n, k)
        s minus the one-hot row of y.
    """
    xp = array_namespace(z)
    log_s, rows = log_softmax(z), one_hot(labels, z.shape[1], like=z)
    return -xp.sum(rows * log_s, axis=1), xp.exp(log_s) - rows


def uniform(shape: tuple[int, ...], key: int, counter: int, like: Array) -> Array:
    """Return random numbers in [0, 1) that depend only on ``key`` and ``counter``.

    The generator is counter-based (Philox: Salmon et al. 2011, "Parallel random numbers: as easy
    as 1, 2, 3"), so every backend draws the same numbers, and the only state is the number of draws
    so far.

    Parameters
    ----------
    shape : tuple of int
    key : int
        The number of the stream, 0 <= key < 2**64.
    counter : int
        The number of the draw in the stream, 0 <= counter < 2**64.
    like : array
        An array whose namespace, device and floating-point dtype the result gets.
    """
    xp = array_namespace(like)
    numbers: Any = philox(key, counter).random(shape, dtype=np.float32)
    return xp.astype(xp.asarray(numbers, device=device(like)), like.dtype, copy=False)


def normal(shape: tuple[int, ...], key: int, counter: int, like: Array) -> Array:
    r"""Return normally distributed random numbers with mean 0 and standard deviation 1.

    They are :math:`\sqrt{-2 \log(1 - u)} \cos(2 \pi v)` with u and v from :func:`uniform` (Box and
    Muller 1958, "A note on the generation of random normal deviates"). Since u has 24 bits, no
    absolute value exceeds 5.8.

    Parameters
    ----------
    shape, key, counter, like
        As in :func:`uniform`.
    """
    xp = array_namespace(like)
    both = uniform((2, *shape), key, counter, like)
    u, v = both[0, ...], both[1, ...]
    return xp.sqrt(-2.0 * xp.log1p(-u)) * xp.cos(2.0 * math.pi * v)


def philox(key: int, counter: int) -> np.random.Generator:
    """Return the generator of one draw of a stream."""
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, counter]))


@operation
def dropout_mask(
    like: Array, rate: float, key: int, counter: int, out: Array | None = None
) -> Array:
    """Return 0 where :func:`uniform` draws less than ``rate``, and 1 / (1 - rate) elsewhere.

    Parameters
    ----------
    like : array
        An array whose shape, namespace, device and dtype the mask gets.
    rate : float
        The probability of 0.
    key, counter : int
        As in :func:`uniform`.
    """
    kept = uniform(like.shape, key, counter, like) >= rate
    return array_namespace(like).astype(kept, like.dtype) / (1.0 - rate)


@operation
def scale(x: Array, factor: float, out: Array | None = None) -> Array:
    """Return ``factor * x``."""
    return factor * x
