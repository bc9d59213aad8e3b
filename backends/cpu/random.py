"""Compiled dropout, which draws the same numbers as :func:`ops.uniform`.

The generator is counter-based, so each thread draws only the numbers for its own columns. Kernels
as in ``kernels.py``.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .intrinsics import INLINED, float64_of, matrix, number, vector
from .kernels import DRAWS, PASS, ROWS

# Constants of Philox4x64-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_LOW, _HALF, _BYTE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(8)
_ZERO = np.uint64(0)


@intrinsic
def _high_product(typing_context, a, b):
    """Return the upper 64 bits of the product of two unsigned numbers."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(each, wide) for each in arguments))
        return builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@njit(**INLINED)
def _philox(block, draw, key):
    """Return the four 64-bit words of a block of the stream, the same as NumPy's generator."""
    c0, c1, c2, c3 = np.uint64(block + 1), _ZERO, _ZERO, np.uint64(draw)
    k0, k1 = key, _ZERO
    for _ in range(10):
        high0, low0 = _high_product(_M0, c0), _M0 * c0
        high1, low1 = _high_product(_M1, c2), _M1 * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _W0, k1 + _W1
    return c0, c1, c2, c3


def ones(record, state, memory, data):
    """Set d to 1; the record is (columns, d, stride)."""
    n, d = record[0], matrix(memory, record[1], state[ROWS], record[2])
    for r in range(state[ROWS]):
        for c in range(n):
            d[r, c] = 1


def dropout(record, state, memory, data):
    """Set z and d to 0 for dropped units, and divide them by 1 - rate for all other units.

    The record is (columns, z, stride, d, stride, columns of the whole layer, this thread's first
    column, key, rate, index of this dropout's draws in ``state`` from ``DRAWS`` on, scratch for a
    row's numbers and 16 more). Each block of the generator yields eight numbers, in row-major
    order.
    """
    n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])
    d = matrix(memory, record[3], state[ROWS], record[4])
    rate = float64_of(record[8])
    limit, zero = number(memory, rate), number(memory, 0)
    factor = number(memory, 1) / number(memory, 1.0 - rate)
    draw, key = state[DRAWS + record[9]] + state[PASS] - 1, np.uint64(record[7])
    drawn = vector(memory, record[10], n + 16)
    for r in range(state[ROWS]):
        start = r * record[5] + record[6]
        for block in range(start >> 3, (start + n + 7) >> 3):
            place = (block - (start >> 3)) * 8
            words = _philox(block, draw, key)
            for k in range(4):
                drawn[place + 2 * k] = _uniform(words[k] & _LOW)
                drawn[place + 2 * k + 1] = _uniform(words[k] >> _HALF)
        for c in range(n):
            mask = factor if drawn[(start & 7) + c] >= limit else zero
            z[r, c] *= mask
            d[r, c] *= mask


@njit(**INLINED)
def _uniform(bits):
    """Convert 32 random bits to a float32 in [0, 1)."""
    return np.float32(np.int64(bits >> _BYTE)) * np.float32(1.0 / 16777216.0)
