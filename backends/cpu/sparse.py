"""Compiled products of sparse matrices; kernels as in ``kernels.py``.

The matrix X is in CSR format. Its three arrays are passed by address: int64 starts, int32 indices,
and values in the network's dtype. The sum for a row, or the row of the error, stays in registers
during the loop over the row's entries.
"""

from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once
from numba.extending import intrinsic

from .intrinsics import at, matrix, pointer, pointer_to_int32, pointer_to_int64, vector, while_fits
from .kernels import ORDER, ROWS, START

_WIDTHS = (64, 32, 16, 8, 4, 2, 1)
"""The numbers of columns that a pass over a row's entries may compute at once."""


def _row_pass(scatter):
    """Return an intrinsic for dense += Σ value · W[index] or, with scatter, for its transpose.

    The transpose is W[index] += value · dense.
    """

    @intrinsic
    def one_row(typing_context, memory, dense, table, n, indices, values, entries):
        whole = types.int64
        places = types.CPointer(types.int32)
        item = memory.dtype

        def generate(context, builder, signature, arguments):
            _, dense, table, n, indices, values, entries = arguments
            scalar = context.get_data_type(item)
            align = item.bitwidth // 8
            column, entry = (alloca_once(builder, ir.IntType(64)) for _ in range(2))
            builder.store(ir.IntType(64)(0), column)
            for width in _WIDTHS:
                lanes = ir.VectorType(scalar, width)
                total = alloca_once(builder, lanes)

                def registers(start, *offsets, lanes=lanes):
                    for offset in offsets:
                        start = builder.gep(start, [offset], source_etype=scalar)
                    return builder.bitcast(start, lanes.as_pointer())

                with while_fits(builder, column, width, n) as first:
                    mine = registers(dense, first)
                    builder.store(builder.load(mine, align=align, typ=lanes), total)
                    builder.store(ir.IntType(64)(0), entry)
                    with while_fits(builder, entry, 1, entries) as k:
                        place = builder.gep(indices, [k], source_etype=ir.IntType(32))
                        index = builder.sext(
                            builder.load(place, typ=ir.IntType(32)), ir.IntType(64)
                        )
                        row = registers(table, builder.mul(index, n), first)
                        value = builder.load(
                            builder.gep(values, [k], source_etype=scalar), typ=scalar
                        )
                        nothing = ir.Constant(lanes, ir.Undefined)
                        spread = builder.insert_element(nothing, value, ir.IntType(32)(0))
                        mask = ir.Constant(ir.VectorType(ir.IntType(32), width), None)
                        spread = builder.shuffle_vector(spread, nothing, mask)
                        theirs = builder.load(row, align=align, typ=lanes)
                        held = builder.load(total, typ=lanes)
                        factor, old = (held, theirs) if scatter else (theirs, held)
                        product = builder.fmul(spread, factor, flags=("contract",))
                        new = builder.fadd(old, product, flags=("contract",))
                        if scatter:
                            builder.store(new, row, align=align)
                        else:
                            builder.store(new, total)
                    if not scatter:
                        builder.store(builder.load(total, typ=lanes), mine, align=align)
            return context.get_dummy_value()

        arguments = memory, memory, memory, whole, places, memory, whole
        return types.void(*arguments), generate

    return one_row


_collect, _scatter = _row_pass(False), _row_pass(True)


def sparse_product(record, state, memory, data):
    """Set z to XW; the record is (columns, z, stride, W, starts, indices, values)."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    order, starts = pointer_to_int64(state[ORDER]), pointer_to_int64(record[4])
    for r in range(state[ROWS]):
        sample = order[state[START] + r]
        start, stop = starts[sample], starts[sample + 1]
        for c in range(n):
            z[r, c] = 0
        _collect(
            memory,
            at(memory, record[1] + r * record[2]),
            at(memory, record[3]),
            n,
            pointer_to_int32(record[5] + 4 * start),
            at(pointer(record[6], memory), start),
            stop - start,
        )


def sparse_gradient(record, state, memory, data):
    """Set g to Xᵀe.

    The record is (columns, e, stride, g, starts, indices, values, rows of g).
    """
    n = record[0]
    order, starts = pointer_to_int64(state[ORDER]), pointer_to_int64(record[4])
    whole = vector(memory, record[3], record[7] * n)
    for k in range(record[7] * n):
        whole[k] = 0
    for r in range(state[ROWS]):
        sample = order[state[START] + r]
        start, stop = starts[sample], starts[sample + 1]
        _scatter(
            memory,
            at(memory, record[1] + r * record[2]),
            at(memory, record[3]),
            n,
            pointer_to_int32(record[5] + 4 * start),
            at(pointer(record[6], memory), start),
            stop - start,
        )
