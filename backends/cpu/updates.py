"""Compiled updates of parameters; kernels as in ``kernels.py``.

The record of an optimizer is (size, w, g, first state, second state, bits of its settings). Each
kernel makes one pass over the arrays. The formulas are those of :mod:`ops`.
"""

import math

from numba import njit

from .intrinsics import INLINED, float64_of, number, pointer_to_float64, vector
from .kernels import PENALTIES, RATE, STEP, UPDATE
from .losses import total_weight


def penalize(record, state, memory, data):
    """Add the penalty's derivative to g, as :func:`ops.penalized` does.

    A penalty that the samples of a batch share is divided by their total weight. The record is
    (size, g, w, λ₁, λ₂, whether the penalty is shared, address of the weights or 0, whether to
    report the penalty).
    """
    n, g, w = record[0], vector(memory, record[1], record[0]), vector(memory, record[2], record[0])
    share = 1.0
    if record[5] != 0:
        total = total_weight(record, state, memory)
        share = 1.0 / total if total > 0 else 0.0
    l1 = number(memory, share * float64_of(record[3]))
    twice_l2 = number(memory, share * 2.0 * float64_of(record[4]))
    zero = number(memory, 0)
    for k in range(n):
        value = w[k]
        sign = l1 if value > zero else (-l1 if value < zero else zero)
        g[k] += sign + twice_l2 * value
    if record[7] != 0:
        pointer_to_float64(state[PENALTIES])[state[STEP]] += share * _cost(record, memory)


@njit(**INLINED, fastmath={"reassoc"})  # reordering allows the compiler to vectorize the sum
def _cost(record, memory):
    """Return λ₁ Σ|w| + λ₂ Σw²."""
    n, w = record[0], vector(memory, record[2], record[0])
    l1, l2 = number(memory, float64_of(record[3])), number(memory, float64_of(record[4]))
    total = 0.0
    for k in range(n):
        total += (l1 + l2 * abs(w[k])) * abs(w[k])
    return total


def sgd(record, state, memory, data):
    """See :func:`ops.sgd`: (..., momentum, 1 - dampening)."""
    n, w, g = record[0], vector(memory, record[1], record[0]), vector(memory, record[2], record[0])
    v = vector(memory, record[3], n)
    rate = number(memory, float64_of(state[RATE]))
    momentum = number(memory, float64_of(record[5]))
    part = number(memory, float64_of(record[6]))
    for k in range(n):
        new = momentum * v[k] + part * g[k]
        v[k] = new
        w[k] -= rate * new


def sgd_nesterov(record, state, memory, data):
    """See :func:`ops.sgd`: (..., momentum, 1)."""
    n, w, g = record[0], vector(memory, record[1], record[0]), vector(memory, record[2], record[0])
    v = vector(memory, record[3], n)
    rate = number(memory, float64_of(state[RATE]))
    momentum = number(memory, float64_of(record[5]))
    for k in range(n):
        new = momentum * v[k] + g[k]
        v[k] = new
        w[k] -= rate * (momentum * new + g[k])


def rmsprop(record, state, memory, data):
    """See :func:`ops.rmsprop`: (..., ρ, ε)."""
    n, w, g = record[0], vector(memory, record[1], record[0]), vector(memory, record[2], record[0])
    s = vector(memory, record[3], n)
    rate = number(memory, float64_of(state[RATE]))
    rho, rest = _moving(record[5], memory)
    epsilon = number(memory, float64_of(record[6]))
    for k in range(n):
        new = rho * s[k] + rest * (g[k] * g[k])
        s[k] = new
        w[k] -= rate * (g[k] / (number(memory, math.sqrt(new)) + epsilon))


def adagrad(record, state, memory, data):
    """See :func:`ops.adagrad`: (..., unused, ε)."""
    n, w, g = record[0], vector(memory, record[1], record[0]), vector(memory, record[2], record[0])
    s = vector(memory, record[3], n)
    rate = number(memory, float64_of(state[RATE]))
    epsilon = number(memory, float64_of(record[6]))
    for k in range(n):
        new = s[k] + g[k] * g[k]
        s[k] = new
        w[k] -= rate * (g[k] / (number(memory, math.sqrt(new)) + epsilon))


def adam(record, state, memory, data):
    """See :func:`ops.adam`: (..., β₁, β₂, ε, decay, whether ε is added to the corrected √v̂).

    The decay is AdamW's decoupled weight decay.
    """
    n, w, g = record[0], vector(memory, record[1], record[0]), vector(memory, record[2], record[0])
    m, v = vector(memory, record[3], n), vector(memory, record[4], n)
    rate, t = float64_of(state[RATE]), state[UPDATE]
    beta_1, rest_1 = _moving(record[5], memory)
    beta_2, rest_2 = _moving(record[6], memory)
    step = rate / (1.0 - float64_of(record[5]) ** t)
    unbias = 1.0 / math.sqrt(1.0 - float64_of(record[6]) ** t)
    # α m̂ / (√v̂ + ε), with the bias corrections moved into the factor and ε
    factor = number(memory, step / unbias)
    corrected = float64_of(record[9]) != 0.0
    epsilon = number(memory, float64_of(record[7]) / (unbias if corrected else 1.0))
    kept = number(memory, 1.0 - rate * float64_of(record[8]))
    for k in range(n):
        first = beta_1 * m[k] + rest_1 * g[k]
        second = beta_2 * v[k] + rest_2 * (g[k] * g[k])
        m[k] = first
        v[k] = second
        w[k] = kept * w[k] - factor * (first / (number(memory, math.sqrt(second)) + epsilon))


@njit(**INLINED)
def _moving(bits, memory):
    """Return the weights of the old and of the new value in a moving average."""
    old = float64_of(bits)
    return number(memory, old), number(memory, 1.0 - old)
