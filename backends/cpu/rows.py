"""Compiled kernels of row normalization and residual connections; kernels as in ``kernels.py``.

Sums over a row are computed in float64.
"""

import math

from .intrinsics import float64_of, matrix, number, vector
from .kernels import ROWS
from .losses import added


def row_norm(record, state, memory, data):
    """Set z to gamma x, where x is y + b normalised by rows; y may be z.

    The record is (columns, z, stride, b, gamma, x, stride, divisors of the rows, whether the mean
    is subtracted, epsilon, y, stride).
    """
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    b, gamma = vector(memory, record[3], n), vector(memory, record[4], n)
    x = matrix(memory, record[5], state[ROWS], record[6])
    divisors, epsilon = vector(memory, record[7], state[ROWS]), float64_of(record[9])
    y = matrix(memory, record[10], state[ROWS], record[11])
    for r in range(state[ROWS]):
        mean = 0.0
        for c in range(n):
            value = y[r, c] + b[c]
            z[r, c] = value
            mean = added(mean, float(value))
        mean = mean / n if record[8] != 0 else 0.0
        squares, shift = 0.0, number(memory, mean)
        for c in range(n):
            value = z[r, c] - shift
            x[r, c] = value
            squares = added(squares, float(value) * float(value))
        divisor = number(memory, math.sqrt(squares / n + epsilon))
        divisors[r] = divisor
        for c in range(n):
            value = x[r, c] / divisor
            x[r, c] = value
            z[r, c] = gamma[c] * value


def back_row_norm(record, state, memory, data):
    """Propagate e back through :func:`row_norm`, and sum the gradients of gamma and of b.

    The record is (columns, e, stride, x, stride, divisors of the rows, gamma, gradient of gamma,
    gradient of b, whether the mean was subtracted).
    """
    n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])
    x = matrix(memory, record[3], state[ROWS], record[4])
    divisors, gamma = vector(memory, record[5], state[ROWS]), vector(memory, record[6], n)
    of_gamma, of_b = vector(memory, record[7], n), vector(memory, record[8], n)
    for c in range(n):
        of_gamma[c] = 0
        of_b[c] = 0
    for r in range(state[ROWS]):
        total, product = 0.0, 0.0
        for c in range(n):
            error = e[r, c]
            of_gamma[c] += error * x[r, c]
            scaled = error * gamma[c]
            e[r, c] = scaled
            total = added(total, float(scaled))
            product = added(product, float(scaled) * float(x[r, c]))
        mean = number(memory, total / n if record[9] != 0 else 0.0)
        slope, divisor = number(memory, product / n), divisors[r]
        for c in range(n):
            value = (e[r, c] - mean - x[r, c] * slope) / divisor
            e[r, c] = value
            of_b[c] += value


def add_to(record, state, memory, data):
    """Add y to x; the record is (columns, x, stride, y, stride)."""
    n, x = record[0], matrix(memory, record[1], state[ROWS], record[2])
    y = matrix(memory, record[3], state[ROWS], record[4])
    for r in range(state[ROWS]):
        for c in range(n):
            x[r, c] += y[r, c]


def copy_to(record, state, memory, data):
    """Set x to y; the record is (columns, x, stride, y, stride)."""
    n, x = record[0], matrix(memory, record[1], state[ROWS], record[2])
    y = matrix(memory, record[3], state[ROWS], record[4])
    for r in range(state[ROWS]):
        for c in range(n):
            x[r, c] = y[r, c]
