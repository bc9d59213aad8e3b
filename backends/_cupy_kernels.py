"""Fast CuPy versions of the operations in :mod:`ops`, for steps that are not captured.

Matrix products are left to cuBLAS. The other operations launch one kernel of
``cuda/kernels.cu``, where CuPy would launch about a dozen.
"""

from functools import cache
from typing import Any

import cupy
import numpy as np

from . import ops
from ._backend import Array
from .cuda.kernels import LINEAR, new_state, pack
from .cuda.machine import kernels_of

_THREADS = 256


def _launch(name: str, like: Array, n: int, *arguments: Any, block: int = _THREADS) -> None:
    """Launch a kernel over ``n`` numbers, for the device and type of ``like``."""
    function = _function(like.device.id, like.dtype.name, name)
    blocks = max(min(-(-n // block), 2048), 1)
    function((blocks,), (block,), pack(name, like.dtype, arguments))


@cache
def _function(device: int, dtype: str, name: str) -> Any:
    return kernels_of(device, dtype).get_function(name)


def _suits(*arrays: Array) -> bool:
    """Whether the kernels take these arrays: C-contiguous, and all float32 or all float64."""
    kind = arrays[0].dtype
    return kind in (np.float32, np.float64) and all(
        array.dtype == kind and array.flags.c_contiguous for array in arrays
    )


@ops.matmul.register(cupy.ndarray)
def matmul(a: Any, b: Array, out: Array | None = None) -> Array:
    """See :func:`ops.matmul`."""
    return cupy.matmul(a, b, out=out)


@ops.affine.register(cupy.ndarray)
def affine(x: Any, w: Array, b: Array, out: Array | None = None) -> Array:
    """See :func:`ops.affine`."""
    z = cupy.matmul(x, w, out=out)
    if not _suits(z, b):
        z += b
        return z
    _launch("bias_activation", z, z.size, z, b, None, *z.shape, LINEAR, 0.0)
    return z


@ops.dropout_mask.register(cupy.ndarray)
def dropout_mask(like: Any, rate: float, key: int, counter: int, out: Array | None = None) -> Array:
    """See :func:`ops.dropout_mask`; drawn on the device."""
    if not _suits(like):
        return ops.dropout_mask.dispatch(object)(like, rate, key, counter)
    mask = cupy.empty_like(like) if out is None else out
    _launch("dropout_mask", mask, -(-mask.size // 8), mask, key, counter, mask.size, rate)
    return mask


@ops.softmax_cross_entropy.register(cupy.ndarray)
def softmax_cross_entropy(z: Any, labels: Array) -> tuple[Array, Array]:
    """See :func:`ops.softmax_cross_entropy`."""
    if not _suits(z) or labels.dtype != np.int64:
        return ops.softmax_cross_entropy.dispatch(object)(z, labels)  # type: ignore[no-any-return]
    rows, n = z.shape
    errors, losses, hits = cupy.empty_like(z), cupy.empty(rows, "f8"), cupy.empty(rows, "f8")
    order = cupy.arange(rows, dtype="i8")
    state = cupy.asarray(new_state([]))
    given = (z, errors, labels, order, None, state, losses, hits, None, rows, n, np.inf)
    _launch("softmax_classes", z, 32 * rows, *given, block=128)
    # The kernel divides by the number of rows.
    return (losses * rows).astype(z.dtype), errors * rows


def _update(
    name: str,
    w: Any,
    g: Array,
    states: tuple[Array, ...],
    out: Array | None,
    rate: float,
    t: int,
    numbers: tuple[float, ...],
) -> tuple[Array, ...] | None:
    """Return new weights and states by a kernel, or None if it does not take the arrays."""
    if not _suits(w, g, *states):
        return None
    if out is None:
        out = w.copy()
    elif out is not w:
        cupy.copyto(out, w)
    state = cupy.asarray(new_state([], rate=rate, update=t))
    _launch(name, w, w.size, out, g, *states, state, w.size, *numbers)
    return (out, *states)


@ops.sgd.register(cupy.ndarray)
def sgd(
    w: Any,
    g: Array,
    v: Array,
    learning_rate: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    out: Array | None = None,
) -> tuple[Array, ...]:
    """See :func:`ops.sgd`."""
    done = None
    if not (nesterov and dampening):  # the kernel does not support both together
        numbers = momentum, 1.0 - dampening, nesterov
        done = _update("sgd", w, g, (v,), out, learning_rate, 1, numbers)
    plain = ops.sgd.dispatch(object)
    return done or plain(w, g, v, learning_rate, momentum, dampening, nesterov)


@ops.rmsprop.register(cupy.ndarray)
def rmsprop(
    w: Any,
    g: Array,
    s: Array,
    learning_rate: float,
    rho: float,
    epsilon: float,
    out: Array | None = None,
) -> tuple[Array, ...]:
    """See :func:`ops.rmsprop`."""
    done = _update("rmsprop", w, g, (s,), out, learning_rate, 1, (rho, 1.0 - rho, epsilon))
    return done or ops.rmsprop.dispatch(object)(w, g, s, learning_rate, rho, epsilon)


@ops.adagrad.register(cupy.ndarray)
def adagrad(
    w: Any, g: Array, s: Array, learning_rate: float, epsilon: float, out: Array | None = None
) -> tuple[Array, ...]:
    """See :func:`ops.adagrad`."""
    done = _update("adagrad", w, g, (s,), out, learning_rate, 1, (epsilon,))
    return done or ops.adagrad.dispatch(object)(w, g, s, learning_rate, epsilon)


@ops.adam.register(cupy.ndarray)
def adam(
    w: Any,
    g: Array,
    m: Array,
    v: Array,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    t: int,
    out: Array | None = None,
) -> tuple[Array, ...]:
    """See :func:`ops.adam`."""
    numbers = beta_1, beta_2, epsilon, 0.0, True
    done = _update("adam", w, g, (m, v), out, learning_rate, t, numbers)
    return done or ops.adam.dispatch(object)(w, g, m, v, learning_rate, beta_1, beta_2, epsilon, t)
