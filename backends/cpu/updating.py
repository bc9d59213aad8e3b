"""Compiled kernels for gradient accumulation and for averaging weights.

Kernels as in ``kernels.py``.
"""

from .intrinsics import float64_of, number, pointer_to_float64, vector
from .kernels import AVERAGE_WEIGHT, HAS_UPDATE, TOTAL, WAITING
from .losses import total_weight


def accumulate(record, state, memory, data):
    """Add g times the batch's weight to a sum; before an update, set g to the mean.

    The record is (size, g, sum, unused, unused, unused, address of the samples' weights or 0).
    """
    n = record[0]
    g, sums = vector(memory, record[1], n), vector(memory, record[2], n)
    weight, total = total_weight(record, state, memory), pointer_to_float64(state[TOTAL])
    factor = number(memory, weight)
    if state[WAITING] == 0:
        total[0] = weight
        for k in range(n):
            sums[k] = factor * g[k]
    else:
        total[0] += weight
        for k in range(n):
            sums[k] += factor * g[k]
    state[WAITING] += 1
    if state[HAS_UPDATE] != 0:
        state[WAITING] = 0
        divisor = number(memory, total[0] if total[0] > 0 else 1.0)
        for k in range(n):
            g[k] = sums[k] / divisor


def average(record, state, memory, data):
    """Add the new weights to their average; the record is (size, w, average)."""
    n, share = record[0], float64_of(state[AVERAGE_WEIGHT])
    w, mean = vector(memory, record[1], n), vector(memory, record[2], n)
    part = number(memory, share)
    if share == 1.0:
        for k in range(n):
            mean[k] = w[k]
    elif share != 0.0:
        for k in range(n):
            mean[k] += part * (w[k] - mean[k])
