"""The operations that layers, losses and the trainer share, written in the array API.

Each function here is a *definition*: a few lines that read like the formula and are right on any
array library. Those decorated with ``operation`` may have a fast version for one array type,
registered by the file of that library (``_numpy_kernels.py``); callers never know.

``out`` is a hint, an array that may be overwritten with the result. Who can write there does, who
cannot returns a new array, so callers always use what comes back.
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
    """Return the rows ``x[index]``, in the type of ``out`` where that is given.

    Parameters
    ----------
    x : array of shape (n, ...)
    index : integer array of shape (b,), on the device of ``x``
        From 0 to n - 1; what is outside is not always refused.
    """
    xp = array_namespace(x)
    rows = xp.take(x, index, axis=0)
    return rows if out is None else xp.astype(rows, out.dtype, copy=False)


@operation
def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the matrix product ``a @ b``."""
    return a @ b


@operation
def affine(x: Array, w: Array, b: Array, out: Array | None = None) -> Array:
    """Return ``x @ w + b``."""
    return x @ w + b


@operation
def column_sum(x: Array, out: Array | None = None) -> Array:
    """Return the sum over the batch, of shape x.shape[1:]."""
    return array_namespace(x).sum(x, axis=0)


@operation
def rowwise(
    x: Array, *others: Array, function: Callable[..., Array], out: Array | None = None
) -> Array:
    """Return ``function(x, *others)``, each row of which depends on the same row of each alone.

    Parameters
    ----------
    x, *others : array of shape (n, ...)
    function : callable
        Of as many arrays. A fast version calls it with some rows at a time, so that what it
        makes on its way stays small.
    """
    return function(x, *others)


@operation
def all_finite(x: Array) -> Array:
    """Return whether no number of ``x`` is NaN or infinite, as a 0-d array."""
    xp = array_namespace(x)
    return xp.all(xp.isfinite(x))


@operation
def norm(x: Array) -> Array:
    """Return the Euclidean length of all numbers of ``x``, as a 0-d array."""
    xp = array_namespace(x)
    # In units of the largest number, so that the squares neither overflow nor vanish.
    largest = xp.max(xp.abs(x))
    unit = x / xp.where(largest > 0, largest, 1.0)
    return largest * xp.sqrt(xp.sum(unit * unit))


@operation
def standardize(
    x: Array, mean: Array, scale: Array, dtype: Any = None, out: Array | None = None
) -> Array:
    """Return ``(x - mean) / scale``, computed in the type of ``mean`` and rounded to another.

    Parameters
    ----------
    x : array of shape (n, k)
        Of any real type.
    mean, scale : array of shape (k,)
        Of one floating-point type.
    dtype : object, optional
        The result's type; by default that of ``mean``.
    """
    xp = array_namespace(x)
    wide = xp.astype(x, mean.dtype, copy=False)
    result = (wide - mean) / scale
    return result if dtype is None else xp.astype(result, dtype, copy=False)


def split_moments(
    mean: np.ndarray, scale: np.ndarray, dtype: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return what :func:`standardize` may be computed from in a type with fewer digits.

    For x of that type, ``((x - high) - low) / scale`` is as exact as the type allows: ``high`` is
    the rounded mean and ``low`` is what rounding took from it. The first difference has no
    rounding error where x is within a factor of 2 of the mean (Sterbenz 1974).

    Returns
    -------
    high, low, scale : array of shape (k,)
        Or None where the type does not hold the mean or all digits of the scale.
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
def clip(x: Array, least: float, most: float, out: Array | None = None) -> Array:
    """Return ``x`` limited to the range from ``least`` to ``most``; NaN stays NaN.

    The standard's ``clip`` is not used: array-api-compat's version assigns through boolean masks,
    for which CuPy waits for the device.
    """
    xp = array_namespace(x)
    return xp.minimum(xp.maximum(x, least), most)


def sigmoid(x: Array) -> Array:
    r"""Logistic function :math:`1 / (1 + e^{-x})`, without overflow.

    The exponential is only ever taken of :math:`-|x|`, so both tails keep their relative
    precision: for x < 0 the same number is :math:`e^{x} / (1 + e^{x})`.
    """
    xp = array_namespace(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, e) / (1.0 + e)


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
    """Return a row per label, 1 in the label's column and 0 elsewhere.

    Parameters
    ----------
    labels : integer array of shape (n,)
    n_classes : int
    like : array
        Gives the result its floating-point type; on the device of ``labels``.

    Returns
    -------
    array of shape (n, n_classes)
    """
    xp = array_namespace(labels, like)
    classes = xp.arange(n_classes, dtype=labels.dtype, device=device(labels))
    return xp.astype(labels[:, None] == classes[None, :], like.dtype)


@operation
def softmax_cross_entropy(z: Array, labels: Array) -> tuple[Array, Array]:
    """Return -log s_y of each row of logits z, s being its softmax, and the derivative s - 1_y.

    Parameters
    ----------
    z : array of shape (n, k)
    labels : integer array of shape (n,)
        From 0 to k - 1; what is outside is not always refused.

    Returns
    -------
    losses, derivatives : array of shape (n,) and (n, k)
    """
    xp = array_namespace(z)
    log_s, rows = log_softmax(z), one_hot(labels, z.shape[1], like=z)
    return -xp.sum(rows * log_s, axis=1), xp.exp(log_s) - rows


def uniform(shape: tuple[int, ...], key: int, counter: int, like: Array) -> Array:
    """Return random numbers in [0, 1) that are a function of ``key`` and ``counter`` alone.

    The generator is counter-based (Philox: Salmon et al. 2011, "Parallel random numbers: as easy
    as 1, 2, 3"), so every backend gives the same numbers and nothing has to be remembered between
    two calls but how many there were.

    Parameters
    ----------
    shape : tuple of int
    key : int
        Which stream, 0 <= key < 2**64.
    counter : int
        Which draw of the stream, 0 <= counter < 2**64.
    like : array
        Gives the result its namespace, device and floating-point type.
    """
    xp = array_namespace(like)
    numbers: Any = philox(key, counter).random(shape, dtype=np.float32)
    return xp.astype(xp.asarray(numbers, device=device(like)), like.dtype, copy=False)


def philox(key: int, counter: int) -> np.random.Generator:
    """Return the generator of one draw of a stream."""
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, counter]))


@operation
def dropout_mask(
    like: Array, rate: float, key: int, counter: int, out: Array | None = None
) -> Array:
    """Return 0 where :func:`uniform` draws less than ``rate``, else 1 / (1 - rate).

    Parameters
    ----------
    like : array
        Gives the mask its shape, namespace, device and type.
    """
    kept = uniform(like.shape, key, counter, like) >= rate
    return array_namespace(like).astype(kept, like.dtype) / (1.0 - rate)


@operation
def scale(x: Array, factor: float, out: Array | None = None) -> Array:
    """Return ``factor * x``."""
    return factor * x


@operation
def penalized(g: Array, w: Array, l1: float, l2: float, out: Array | None = None) -> Array:
    """Return g and the derivative of λ₁ Σ|w| + λ₂ Σw², which is λ₁ sign(w) + 2 λ₂ w."""
    return g + l1 * array_namespace(w).sign(w) + (2.0 * l2) * w


# ---- optimizers' updates: each returns the new weights, and the new state


@operation
def sgd(
    w: Array,
    g: Array,
    v: Array,
    learning_rate: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return w - αv and v = μv + (1 - d)g; see :class:`xpnet.SGD`. v may be overwritten."""
    v = momentum * v + (1.0 - dampening) * g
    step = momentum * v + g if nesterov else v
    return w - learning_rate * step, v


@operation
def rmsprop(
    w: Array,
    g: Array,
    s: Array,
    learning_rate: float,
    rho: float,
    epsilon: float,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return w - αg / (√s + ε) and s = ρs + (1 - ρ)g²; see :class:`xpnet.RMSProp`."""
    s = rho * s + (1.0 - rho) * g * g
    return w - learning_rate * g / (array_namespace(w).sqrt(s) + epsilon), s


@operation
def adagrad(
    w: Array, g: Array, s: Array, learning_rate: float, epsilon: float, out: Array | None = None
) -> tuple[Array, Array]:
    """Return w - αg / (√s + ε) and s = s + g²; see :class:`xpnet.Adagrad`."""
    s = s + g * g
    return w - learning_rate * g / (array_namespace(w).sqrt(s) + epsilon), s


@operation
def adam(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    t: int,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Return w - αm̂ / (√v̂ + ε), m and v at update t = 1, 2, ...; see :class:`xpnet.Adam`."""
    m = beta_1 * m + (1.0 - beta_1) * g
    v = beta_2 * v + (1.0 - beta_2) * g * g
    step, unbias = adam_factors(learning_rate, beta_1, beta_2, t)
    return w - step * m / (unbias * array_namespace(w).sqrt(v) + epsilon), m, v


def adam_factors(learning_rate: float, beta_1: float, beta_2: float, t: int) -> tuple[float, float]:
    """Return α / (1 - β₁ᵗ) and 1 / √(1 - β₂ᵗ): what turns m and √v into αm̂ and √v̂."""
    return learning_rate / (1.0 - beta_1**t), 1.0 / math.sqrt(1.0 - beta_2**t)
