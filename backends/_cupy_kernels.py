"""Fast CuPy versions of operations and formulas, for steps that are not captured.

Matrix products are left to cuBLAS. Every other operation launches a single kernel, from
``cuda/kernels.cu`` or generated from a formula, where CuPy would launch about a dozen.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from numbers import Real
from typing import Any

import cupy
import numpy as np

from . import ops
from ._backend import Array
from .cuda import formulas
from .cuda.kernels import Kernel, new_state, pack
from .cuda.machine import function_of
from .formula.listing import Listing, listing
from .formula.running import run
from .formula.tracing import Formula

_THREADS = 256


def _launch(
    kernel: str | Kernel, like: Array, n: int, *arguments: Any, block: int = _THREADS
) -> None:
    """Launch a kernel over ``n`` elements, for the device and dtype of ``like``."""
    function = _function(like.device.id, like.dtype.name, kernel)
    blocks = max(min(-(-n // block), 2048), 1)
    function((blocks,), (block,), pack(kernel, like.dtype, arguments))


_function = lru_cache(maxsize=1024)(function_of)


def _fits_kernels(*arrays: Array) -> bool:
    """Return whether kernels accept these arrays: C-contiguous, all float32 or all float64."""
    kind = arrays[0].dtype
    return kind in (np.float32, np.float64) and all(
        array.dtype == kind and array.flags.c_contiguous for array in arrays
    )


@ops.matmul.register(cupy.ndarray)
def matmul(a: Any, b: Array, out: Array | None = None) -> Array:
    """See :func:`ops.matmul`."""
    return cupy.matmul(a, b, out=out)


@ops.affine.register(cupy.ndarray)
def affine(x: Any, w: Array, b: Array | None, out: Array | None = None) -> Array:
    """See :func:`ops.affine`."""
    z = cupy.matmul(x, w, out=out)
    if b is not None:
        z += b
    return z


@ops.dropout_mask.register(cupy.ndarray)
def dropout_mask(like: Any, rate: float, key: int, counter: int, out: Array | None = None) -> Array:
    """See :func:`ops.dropout_mask`; the mask is drawn on the device."""
    if not _fits_kernels(like):
        return ops.dropout_mask.dispatch(object)(like, rate, key, counter)
    mask = cupy.empty_like(like) if out is None else out
    _launch("dropout_mask", mask, -(-mask.size // 8), mask, key, counter, mask.size, rate)
    return mask


@ops.softmax_cross_entropy.register(cupy.ndarray)
def softmax_cross_entropy(z: Any, labels: Array) -> tuple[Array, Array]:
    """See :func:`ops.softmax_cross_entropy`."""
    if not _fits_kernels(z) or labels.dtype != np.int64:
        return ops.softmax_cross_entropy.dispatch(object)(z, labels)  # type: ignore[no-any-return]
    rows, n = z.shape
    errors, losses, hits = cupy.empty_like(z), cupy.empty(rows, "f8"), cupy.empty(rows, "f8")
    order = cupy.arange(rows, dtype="i8")
    state = cupy.asarray(new_state([]))
    given = (z, errors, labels, order, None, state, losses, hits, None, rows, n, np.inf)
    _launch("softmax_classes", z, 32 * rows, *given, block=128)
    # The kernel divides by the number of rows.
    return (losses * rows).astype(z.dtype), errors * rows


@run.register(cupy.ndarray)
def compute_formula(
    first: Any,
    *others: Array,
    formula: Formula,
    numbers: Mapping[str, float],
    outs: Sequence[Array] | None = None,
    overwrites: tuple[str | None, ...] = (),
) -> tuple[Array, ...]:
    """See :func:`xpnet.backends.formula.run`."""
    inputs = (first, *others)
    if outs is None:
        outs = [cupy.empty_like(first, order="C") for _ in formula.outputs]
    same_shape = all(each.shape == first.shape for each in (*others, *outs))
    # Numbers on the device are left to the definition: fetching them would wait for the device.
    numeric = all(isinstance(value, Real) for value in numbers.values())
    if not (same_shape and numeric and _fits_kernels(*inputs, *outs)):
        return run.dispatch(object)(*inputs, formula=formula, numbers=numbers)  # type: ignore[no-any-return]
    program, kernel = _compiled(formula)
    values = formulas.fixed(program, numbers)
    _launch(kernel, first, first.size, *inputs, *outs, first.size, *values)
    return tuple(outs)


@lru_cache(maxsize=256)
def _compiled(formula: Formula) -> tuple[Listing, Kernel]:
    """Return the listing of a formula, and the kernel that runs it."""
    program = listing(formula)
    return program, formulas.elementwise(program)
