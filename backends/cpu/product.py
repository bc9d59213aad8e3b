"""A matrix product for small matrices, for which BLAS spends much of its time packing.

Rows are read in place, in whole registers. A block of the result, 8 rows of 3 registers, stays in
registers during the sum. Each pass adds so few terms that the columns it needs stay in the
first-level cache.
"""

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once
from numba.extending import intrinsic

from .intrinsics import at, while_fits
from .kernels import ROWS

IS_FAST = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
"""Whether the processor has 32 registers of 64 bytes, which the blocks need."""

REGISTER = 64
"""Bytes in a register."""

_TERMS = 128
"""Terms of the sum per pass, so that the columns fit in the first-level cache."""

_WIDTHS, _HEIGHTS = (3, 2, 1), (8, 4, 2, 1)


@intrinsic
def _multiply(typing_context, memory, a, steps, b, b_stride, c, c_stride, sizes, more):
    """Set C to AB, or add AB to C if ``more``.

    ``steps`` are the distances in A between rows and between terms of the sum.
    """
    pair, triple = types.UniTuple(types.int64, 2), types.UniTuple(types.int64, 3)
    whole = types.int64
    item = memory.dtype

    def generate(context, builder, signature, arguments):
        _, a, steps, b, b_stride, c, c_stride, sizes, more = arguments
        scalar = context.get_data_type(item)
        vector = ir.VectorType(scalar, REGISTER // (item.bitwidth // 8))
        places = [builder.extract_value(steps, k) for k in range(2)]
        m, n, terms = (builder.extract_value(sizes, k) for k in range(3))
        column, row = (alloca_once(builder, ir.IntType(64)) for _ in range(2))
        builder.store(ir.IntType(64)(0), column)
        for width in _WIDTHS:
            with while_fits(builder, column, width, n) as j:
                first = builder.mul(j, ir.IntType(64)(vector.count))
                builder.store(ir.IntType(64)(0), row)
                for height in _HEIGHTS:
                    with while_fits(builder, row, height, m) as i:
                        start = builder.gep(a, [builder.mul(i, places[0])], source_etype=scalar)
                        end = builder.add(builder.mul(i, c_stride), first)
                        _block(
                            builder,
                            vector,
                            (height, width, terms),
                            (start, *places),
                            (builder.gep(b, [first], source_etype=scalar), b_stride),
                            (builder.gep(c, [end], source_etype=scalar), c_stride),
                            more,
                        )
        return context.get_dummy_value()

    arguments = memory, memory, pair, memory, whole, memory, whole, triple, types.boolean
    return types.void(*arguments), generate


def _block(
    builder: Any,
    vector: Any,
    sizes: tuple[int, int, Any],
    a: tuple[Any, Any, Any],
    b: tuple[Any, Any],
    c: tuple[Any, Any],
    more: Any,
) -> None:
    """Build the code for one block of C, which stays in registers during the sum."""
    height, width, terms = sizes
    whole, scalar = ir.IntType(64), vector.element
    align = 4 if isinstance(scalar, ir.FloatType) else 8
    lanes = vector.count

    def place(start: Any, *offsets: Any) -> Any:
        for offset in offsets:
            start = builder.gep(start, [offset], source_etype=scalar)
        return start

    def registers(start: Any) -> Any:
        return builder.bitcast(start, vector.as_pointer())

    ends = [
        [place(c[0], builder.mul(whole(i), c[1]), whole(j * lanes)) for j in range(width)]
        for i in range(height)
    ]
    sums = [[alloca_once(builder, vector) for _ in range(width)] for _ in range(height)]
    zero = ir.Constant(vector, None)
    with builder.if_else(more) as (then, otherwise):
        with then:
            for slots, starts in zip(sums, ends, strict=True):
                for slot, start in zip(slots, starts, strict=True):
                    builder.store(builder.load(registers(start), align=align, typ=vector), slot)
        with otherwise:
            for slots in sums:
                for slot in slots:
                    builder.store(zero, slot)
    term = alloca_once(builder, whole)
    builder.store(whole(0), term)
    with while_fits(builder, term, 1, terms) as t:
        start = place(b[0], builder.mul(t, b[1]))
        rights = [
            builder.load(registers(place(start, whole(j * lanes))), align=align, typ=vector)
            for j in range(width)
        ]
        left = place(a[0], builder.mul(t, a[2]))
        for i in range(height):
            number = builder.load(place(left, builder.mul(whole(i), a[1])), align=align, typ=scalar)
            spread = builder.insert_element(ir.Constant(vector, ir.Undefined), number, whole(0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
            spread = builder.shuffle_vector(spread, ir.Constant(vector, ir.Undefined), mask)
            for j in range(width):
                old = builder.load(sums[i][j], typ=vector)
                product = builder.fmul(spread, rights[j], flags=("contract",))
                builder.store(builder.fadd(old, product, flags=("contract",)), sums[i][j])
    for slots, starts in zip(sums, ends, strict=True):
        for slot, start in zip(slots, starts, strict=True):
            builder.store(builder.load(slot, typ=vector), registers(start), align=align)


def row_product(record, state, memory, data):
    """Set C to AB.

    The record is (rows, registers per row, terms, A, its two steps, B, stride, C, stride). The
    steps are the distances in A between rows and between terms of the sum. For rows or terms, -1
    means the number of samples in the batch.
    """
    rows = state[ROWS] if record[0] < 0 else record[0]
    terms = state[ROWS] if record[2] < 0 else record[2]
    b_stride, c_stride = record[7], record[9]
    for first in range(0, terms, _TERMS):
        count = min(_TERMS, terms - first)
        _multiply(
            memory,
            at(memory, record[3] + first * record[5]),
            (record[4], record[5]),
            at(memory, record[6] + first * b_stride),
            b_stride,
            at(memory, record[8]),
            c_stride,
            (rows, record[1], count),
            first > 0,
        )
