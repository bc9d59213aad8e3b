"""Compiled pieces of a training step: products, activations, sums.

A kernel is a function of four pointers and returns nothing:

``record``
    Its own arguments, as 64-bit integers: sizes, offsets into ``memory`` (in numbers), addresses;
    floating-point ones by their bits.
``state``
    What changes from step to step, in the places named by :data:`ROWS` and the others.
``memory``
    All arrays of the step, one piece of memory in the network's type.
``data``
    The features, in a type of their own.

Each is compiled by itself, once for each type of numbers, and kept on disk: loops of their own are
what the compiler puts into vector registers, and a new network needs no compiler. Matrices are
rows ``stride`` numbers apart; a thread that owns some of the columns gets the offset of its first.
"""

from numba import carray

from ._numba_intrinsics import (
    call_gemm,
    exp,
    float64_of,
    matrix,
    number,
    pointer,
    pointer_to_float64,
    pointer_to_int32,
    pointer_to_int64,
    tanh,
    vector,
)

ROWS, START, ORDER, STEP, UPDATE, RATE, LOSSES, WEIGHTS, OUTPUTS, PENALTIES = range(10)
DRAWS, STATE = 16, 32
"""Places in ``state``: samples in the batch, its first place in the order, the order's address,
the step in this run, the number of the update from 1, the learning rate (bits), and the addresses
of the losses, their weights, the kept outputs (0 for none) and the penalties, which each thread has
a part of. From ``DRAWS`` on there are numbers
to add to the number of the update, ``STATE - DRAWS`` of them, and ``STATE`` is how long it is in
all."""


def gather(record, state, memory, data):
    """Copy the batch's rows out of the features: (columns, x, stride)."""
    columns = record[0]
    x = matrix(memory, record[1], state[ROWS], record[2])
    order = pointer_to_int64(state[ORDER])
    for r in range(state[ROWS]):
        row = vector(data, order[state[START] + r] * columns, columns)
        for c in range(columns):
            x[r, c] = row[c]


def gather_standardized(record, state, memory, data):
    """Copy rows as ((row - high) - low) / scale: (columns, x, stride, high, low, scale).

    See :func:`ops.split_moments`.
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

    The record is (columns, x, stride, the address of the means, that of the scales).
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
    """Multiply matrices by BLAS; :meth:`Program.gemm` makes the record."""
    place = record[11]  # the record's own address: BLAS takes its numbers by address
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


# ---- activations: z becomes f(z + b), (columns, z, stride, b, slope's own number)


def add_bias(record, state, memory, data):
    """Let z be z + b."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    b = vector(memory, record[3], n)
    for r in range(state[ROWS]):
        for c in range(n):
            z[r, c] += b[c]


def relu(record, state, memory, data):
    """Let z be max(z + b, 0)."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    b, zero = vector(memory, record[3], n), number(memory, 0)
    for r in range(state[ROWS]):
        for c in range(n):
            value = z[r, c] + b[c]
            z[r, c] = zero if value < zero else value  # NaN stays


def leaky_relu(record, state, memory, data):
    """Let z be z + b where that is above 0, else α times it; α is the record's fifth number."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    b, zero = vector(memory, record[3], n), number(memory, 0)
    alpha = number(memory, float64_of(record[4]))
    for r in range(state[ROWS]):
        for c in range(n):
            value = z[r, c] + b[c]
            z[r, c] = value if value > zero else alpha * value


def relu6(record, state, memory, data):
    """Let z be z + b, brought into [0, 6]."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    b, zero, six = vector(memory, record[3], n), number(memory, 0), number(memory, 6)
    for r in range(state[ROWS]):
        for c in range(n):
            value = z[r, c] + b[c]
            value = zero if value < zero else value
            z[r, c] = six if value > six else value


def tanh_(record, state, memory, data):
    """Let z be tanh(z + b)."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    b = vector(memory, record[3], n)
    for r in range(state[ROWS]):
        for c in range(n):
            z[r, c] = tanh(z[r, c] + b[c])


def sigmoid(record, state, memory, data):
    """Let z be σ(λ(z + b)), and keep the derivative, λσ(1 - σ), at (..., d, its stride)."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    b, slope = vector(memory, record[3], n), number(memory, float64_of(record[4]))
    d = matrix(memory, record[5], state[ROWS], record[6])
    zero, one = number(memory, 0), number(memory, 1)
    for r in range(state[ROWS]):
        for c in range(n):
            value = slope * (z[r, c] + b[c])
            e = exp(-abs(value))  # of numbers below 0 alone: no overflow, and exact in both tails
            z[r, c] = (e if value < zero else one) / (one + e)
            d[r, c] = slope * e / ((one + e) * (one + e))


# ---- and back: e becomes e f', and the biases' gradient its sum,
#      (columns, e, stride, activations, stride, gradient, slope's own number)


def sum_columns(record, state, memory, data):
    """Sum e over the batch."""
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    total = vector(memory, record[5], n)
    for c in range(n):
        total[c] = 0
    for r in range(state[ROWS]):
        for c in range(n):
            total[c] += e[r, c]


def back_relu(record, state, memory, data):
    """Let e be e where the activation is above 0, else 0."""
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    a, total = matrix(memory, record[3], state[ROWS], record[4]), vector(memory, record[5], n)
    zero, one = number(memory, 0), number(memory, 1)
    for c in range(n):
        total[c] = 0
    for r in range(state[ROWS]):
        for c in range(n):
            value = e[r, c] * (one if a[r, c] > zero else zero)
            e[r, c] = value
            total[c] += value


def back_leaky_relu(record, state, memory, data):
    """Let e be e where the activation is above 0, else αe."""
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    a, total = matrix(memory, record[3], state[ROWS], record[4]), vector(memory, record[5], n)
    zero, one = number(memory, 0), number(memory, 1)
    alpha = number(memory, float64_of(record[6]))
    for c in range(n):
        total[c] = 0
    for r in range(state[ROWS]):
        for c in range(n):
            value = e[r, c] * (one if a[r, c] > zero else alpha)
            e[r, c] = value
            total[c] += value


def back_relu6(record, state, memory, data):
    """Let e be e where the activation is between 0 and 6, else 0."""
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    a, total = matrix(memory, record[3], state[ROWS], record[4]), vector(memory, record[5], n)
    zero, one, six = number(memory, 0), number(memory, 1), number(memory, 6)
    for c in range(n):
        total[c] = 0
    for r in range(state[ROWS]):
        for c in range(n):
            inside = (a[r, c] > zero) & (a[r, c] < six)
            value = e[r, c] * (one if inside else zero)
            e[r, c] = value
            total[c] += value


def back_tanh(record, state, memory, data):
    """Let e be e(1 - a²)."""
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    a, total = matrix(memory, record[3], state[ROWS], record[4]), vector(memory, record[5], n)
    one = number(memory, 1)
    for c in range(n):
        total[c] = 0
    for r in range(state[ROWS]):
        for c in range(n):
            value = e[r, c] * (one - a[r, c] * a[r, c])
            e[r, c] = value
            total[c] += value


def back_kept(record, state, memory, data):
    """Let e be e times the derivative that was kept on the way forward."""
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
    """Add up what each thread has of an error: (columns, e, stride, parts, stride, ...)."""
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    first = matrix(memory, record[3], state[ROWS], record[4])
    for k in range(record[6] - 1):
        other = matrix(memory, record[3] + (k + 1) * record[5], state[ROWS], record[4])
        for r in range(state[ROWS]):
            for c in range(n):
                e[r, c] = (first[r, c] if k == 0 else e[r, c]) + other[r, c]


def keep_outputs(record, state, memory, data):
    """Copy the outputs to where they are kept, if they are: (columns, z, stride)."""
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    if state[OUTPUTS] != 0:
        kept = carray(pointer(state[OUTPUTS], memory), (state[START] + state[ROWS], n))
        for r in range(state[ROWS]):
            for c in range(n):
                kept[state[START] + r, c] = z[r, c]
