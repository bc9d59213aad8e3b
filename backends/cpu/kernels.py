"""Compiled parts of a training step that are not generated from formulas: products, sums, copies.

A kernel is a function of four pointers that returns nothing:

``record``
    The kernel's arguments as 64-bit integers: sizes, offsets into ``memory`` (in elements),
    addresses, and the bits of floating-point numbers.
``state``
    Values that change from step to step, at the indices :data:`ROWS`, :data:`START` etc.
``memory``
    All arrays of the step, in one block of memory of the network's dtype.
``data``
    The features, in their own dtype.

Each kernel is compiled separately, once per dtype, and cached on disk. The compiler can vectorize
such short loops, and a new network with the same kernels needs no compilation. The rows of a matrix
are ``stride`` elements apart; a thread that works on some of the columns gets the offset of its
first column.

Names of arrays: x the input of a layer, z its output, b its biases, w its weights, g the gradient
of a parameter, d the derivative of the activation, e the error, which is the derivative of the loss
with respect to z.
"""

from numba import carray

from .intrinsics import (
    call_gemm,
    matrix,
    number,
    pointer,
    pointer_to_float64,
    pointer_to_int32,
    pointer_to_int64,
    vector,
)

ROWS, START, ORDER, STEP, UPDATE, RATE, LOSSES, WEIGHTS, OUTPUTS, PENALTIES = range(10)
PASS, AVERAGE_WEIGHT, HAS_UPDATE, RATES, AVERAGE_WEIGHTS, HAVE_UPDATES = range(10, 16)
TOTAL, WAITING, DRAWS, STATE = 16, 17, 18, 34
"""Indices into ``state``, which has ``STATE`` words.

``ROWS`` is the number of samples in the batch, ``START`` its first index into the order, ``ORDER``
the order's address, ``STEP`` the step in this run, ``UPDATE`` the number of the update from 1, and
``RATE`` the bits of the learning rate. ``LOSSES``, ``WEIGHTS``, ``OUTPUTS`` and ``PENALTIES`` are
the addresses of the losses, of their weights, of the outputs to keep (or 0) and of this thread's
part of the penalties.

``PASS`` counts the batches since the parameters were loaded, from 1. ``HAS_UPDATE`` is whether an
update follows this batch, and ``AVERAGE_WEIGHT`` the bits of the weight of the new parameters in
their running average. ``RATES``, ``AVERAGE_WEIGHTS`` and ``HAVE_UPDATES`` are the addresses of
these three values for all steps of the run. ``TOTAL`` is the address of the total weight of the
batches since the last update, and ``WAITING`` is their number.

The words from ``DRAWS`` on are the number of draws of each dropout before the first pass.
"""


def gather(record, state, memory, data):
    """Copy the batch's rows of the features to x; the record is (columns, x, stride)."""
    columns = record[0]
    x = matrix(memory, record[1], state[ROWS], record[2])
    order = pointer_to_int64(state[ORDER])
    for r in range(state[ROWS]):
        row = vector(data, order[state[START] + r] * columns, columns)
        for c in range(columns):
            x[r, c] = row[c]


def gather_standardized(record, state, memory, data):
    """Copy rows as ((row - high) - low) / scale, as in :func:`ops.split_moments`.

    The record is (columns, x, stride, high, low, scale).
    """
    columns = record[0]
    x = matrix(memory, record[1], state[ROWS], record[2])
    high, low = vector(memory, record[3], columns), vector(memory, record[4], columns)
    scale, order = vector(memory, record[5], columns), pointer_to_int64(state[ORDER])
    for r in range(state[ROWS]):
        row = vector(data, order[state[START] + r] * columns, columns)
        for c in range(columns):
            x[r, c] = ((number(memory, row[c]) - high[c]) - low[c]) / scale[c]


def gather_standardized_wide(record, state, memory, data):
    """Copy rows as (row - mean) / scale, computed in float64.

    The record is (columns, x, stride, address of the means, address of the scales).
    """
    columns = record[0]
    x = matrix(memory, record[1], state[ROWS], record[2])
    mean, scale = pointer_to_float64(record[3]), pointer_to_float64(record[4])
    order = pointer_to_int64(state[ORDER])
    for r in range(state[ROWS]):
        row = vector(data, order[state[START] + r] * columns, columns)
        for c in range(columns):
            x[r, c] = number(memory, (float(row[c]) - mean[c]) / scale[c])


def gemm(record, state, memory, data):
    """Multiply matrices by BLAS; :meth:`Program.gemm` builds the record."""
    place = record[11]  # the record's own address, since BLAS takes its arguments by address
    sizes = pointer_to_int32(place + 16)
    for k in range(3):
        if (record[1] >> k) & 1:
            sizes[k] = state[ROWS]
    call_gemm(
        record[0],
        (
            place + 40, place + 41, place + 16, place + 20, place + 24, place + 48, record[8],
            place + 28, record[9], place + 32, place + 56, record[10], place + 36,
        ),
    )  # fmt: skip


# ---- backward


def back_kept(record, state, memory, data):
    """Multiply e by the derivative d that the forward pass kept, and sum its columns.

    The record is (columns, e, stride, d, stride, gradient of the biases).
    """
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    d, total = matrix(memory, record[3], state[ROWS], record[4]), vector(memory, record[5], n)
    for c in range(n):
        total[c] = 0
    for r in range(state[ROWS]):
        for c in range(n):
            value = e[r, c] * d[r, c]
            e[r, c] = value
            total[c] += value


def add_parts(record, state, memory, data):
    """Set e to the sum of the parts that the threads have computed.

    The record is (columns, e, stride, parts, stride, distance between parts, number of parts).
    """
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    first = matrix(memory, record[3], state[ROWS], record[4])
    for k in range(record[6] - 1):
        other = matrix(memory, record[3] + (k + 1) * record[5], state[ROWS], record[4])
        for r in range(state[ROWS]):
            for c in range(n):
                e[r, c] = (first[r, c] if k == 0 else e[r, c]) + other[r, c]


def keep_outputs(record, state, memory, data):
    """Keep the batch's outputs if the caller needs them; the record is (columns, z, stride)."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    if state[OUTPUTS] != 0:
        kept = carray(pointer(state[OUTPUTS], memory), (state[START] + state[ROWS], n))
        for r in range(state[ROWS]):
            for c in range(n):
                kept[state[START] + r, c] = z[r, c]
