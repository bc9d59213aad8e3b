"""Compiled losses that combine the outputs of a sample; kernels as in ``kernels.py``.

``formulas.py`` generates the losses that treat each output separately. All have the same record:
(columns, z, stride of z, e, stride of e, address of the targets, address of the samples' weights or
0, whether to report the loss, whether to keep log-probabilities as outputs, factor of the loss,
largest loss to report for one output). The kernel sets e to the derivative of the weighted mean of
the samples' losses. One thread reports this mean and the total weight.
"""

import math

from numba import njit

from .intrinsics import (
    INLINED,
    exp,
    float64_of,
    matrix,
    number,
    pointer,
    pointer_to_float64,
    pointer_to_int64,
    vector,
)
from .kernels import LOSSES, ORDER, OUTPUTS, ROWS, START, STEP, WEIGHTS


@njit(**INLINED)
def total_weight(record, state, memory):
    """Return the total weight of the batch's samples; record[6] is the weights' address."""
    if record[6] == 0:
        return float(state[ROWS])
    weights, order = pointer(record[6], memory), pointer_to_int64(state[ORDER])
    total = 0.0
    for r in range(state[ROWS]):
        total += weights[order[state[START] + r]]
    return total


@njit(**INLINED)
def share_of(record, state, memory, r, total):
    """Return the sample's fraction of the mean, times the loss's factor; 0 if all weights are 0."""
    factor = float64_of(record[9])
    if record[6] == 0:
        return factor / total
    weights, order = pointer(record[6], memory), pointer_to_int64(state[ORDER])
    return factor * weights[order[state[START] + r]] / (total if total > 0 else 1.0)


@njit(**INLINED)
def limit_reported(loss, bits):
    """Return the smaller of a loss and a limit; NaN stays NaN."""
    limit = float64_of(bits)
    return limit if loss > limit else loss


@njit(**INLINED, fastmath={"reassoc"})
def added(total, value):
    """Return ``total + value``; the compiler may reorder such additions to vectorize a loop."""
    return total + value


@njit(**INLINED)
def store_loss(record, state, loss, total):
    """Report the loss of a step and the total weight of its samples, if ``record[7]`` is set."""
    if record[7]:
        pointer_to_float64(state[LOSSES])[state[STEP]] = loss
        pointer_to_float64(state[WEIGHTS])[state[STEP]] = total


@njit(**INLINED)
def _exponentials(record, state, memory):
    """Set e to exp(z - row maximum), in a single loop over all rows and their padding."""
    n, rows, stride = record[0], state[ROWS], record[4]
    z, e = matrix(memory, record[1], rows, record[2]), matrix(memory, record[3], rows, stride)
    for r in range(rows):
        most = _maximum(z, r, n)
        for c in range(n):
            e[r, c] = z[r, c] - most
        for c in range(n, stride):
            e[r, c] = 0
    flat = vector(memory, record[3], rows * stride)
    for k in range(rows * stride):
        flat[k] = exp(flat[k])


def softmax_classes(record, state, memory, data):
    """Compute the softmax cross-entropy for int64 classes; a class out of range has loss 0."""
    n, rows = record[0], state[ROWS]
    z, e = matrix(memory, record[1], rows, record[2]), matrix(memory, record[3], rows, record[4])
    labels, order = pointer_to_int64(record[5]), pointer_to_int64(state[ORDER])
    total, loss = total_weight(record, state, memory), 0.0
    _exponentials(record, state, memory)
    for r in range(rows):
        label = labels[order[state[START] + r]]
        share = share_of(record, state, memory, r, total)
        mass = number(memory, 0)
        for c in range(n):
            mass += e[r, c]
        known = 0 <= label < n
        factor = number(memory, share / mass if known else 0.0)
        most = _maximum(z, r, n)
        if known:
            loss += share * limit_reported(math.log(mass) + (most - z[r, label]), record[10])
        for c in range(n):
            e[r, c] *= factor
        for c in range(n, record[4]):
            e[r, c] = 0
        if known:
            e[r, label] -= number(memory, share)
        _keep_log(record, state, memory, r, most, math.log(mass))
    store_loss(record, state, loss, total)


def softmax_rows(record, state, memory, data):
    """Compute the softmax cross-entropy for rows of class probabilities."""
    n, rows = record[0], state[ROWS]
    z, e = matrix(memory, record[1], rows, record[2]), matrix(memory, record[3], rows, record[4])
    targets, order = pointer(record[5], memory), pointer_to_int64(state[ORDER])
    total, loss = total_weight(record, state, memory), 0.0
    _exponentials(record, state, memory)
    for r in range(rows):
        y = vector(targets, order[state[START] + r] * n, n)
        share = share_of(record, state, memory, r, total)
        mass, parts = number(memory, 0), number(memory, 0)
        for c in range(n):
            mass += e[r, c]
            parts += y[c]
        most, log_mass = _maximum(z, r, n), math.log(mass)
        factor, part = number(memory, share * parts / mass), number(memory, share)
        own = 0.0
        for c in range(n):
            if y[c] != 0:
                own += y[c] * (log_mass + (most - z[r, c]))
            e[r, c] = e[r, c] * factor - y[c] * part
        for c in range(n, record[4]):
            e[r, c] = 0
        loss += share * limit_reported(own, record[10])
        _keep_log(record, state, memory, r, most, log_mass)
    store_loss(record, state, loss, total)


@njit(**INLINED)
def _maximum(z, r, n):
    most = z[r, 0]
    for c in range(1, n):
        most = z[r, c] if z[r, c] > most else most
    return most


@njit(**INLINED)
def _keep_log(record, state, memory, r, most, log_mass):
    """Keep a row's log-probabilities if they are the network's outputs and outputs are kept."""
    if record[8] and record[7] and state[OUTPUTS] != 0:
        n, place = record[0], state[START] + r
        z = matrix(memory, record[1], state[ROWS], record[2])
        kept = vector(pointer(state[OUTPUTS], memory), place * n, n)
        for c in range(n):
            kept[c] = z[r, c] - most - log_mass
