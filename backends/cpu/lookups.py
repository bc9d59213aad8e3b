"""Compiled kernels of embeddings, which replace codes by vectors; kernels as in ``kernels.py``.

The layout of a row is an array of int64 numbers, passed by address, with five numbers for each run
of columns: the first column in x, the first column in z, the number of columns in z, the number of
categories (0 for columns that are copied), and the offset of the table of vectors.
"""

import math

from numba import carray, njit

from .intrinsics import INLINED, matrix, number, pointer_to_int64, vector
from .kernels import ROWS


def lookup(record, state, memory, data):
    """Set z to the vectors of the codes in x, and to copies of the other columns.

    The record is (number of runs, z, stride, x, stride, tables, address of the runs, whether each
    table has one more vector, for numbers that are not codes). Without that vector, the outputs of
    such numbers are NaN.
    """
    runs = carray(pointer_to_int64(record[6]), (record[0], 5))
    for k in range(record[0]):
        width, categories = runs[k, 2], runs[k, 3]
        z = matrix(memory, record[1] + runs[k, 1], state[ROWS], record[2])
        x = matrix(memory, record[3] + runs[k, 0], state[ROWS], record[4])
        if categories == 0:
            for r in range(state[ROWS]):
                for c in range(width):
                    z[r, c] = x[r, c]
            continue
        table = matrix(memory, record[5] + runs[k, 4], categories + 1, width)
        for r in range(state[ROWS]):
            index = _index(x[r, 0], categories)
            if index < categories or record[7] != 0:
                for c in range(width):
                    z[r, c] = table[index, c]
            else:
                for c in range(width):
                    z[r, c] = number(memory, math.nan)


def back_lookup(record, state, memory, data):
    """Set the gradient of the tables to the sums of e over the rows with each code.

    The record is (number of runs, e, stride, x, stride, gradient, address of the runs, whether each
    table has one more vector, size of the gradient).
    """
    runs, whole = carray(pointer_to_int64(record[6]), (record[0], 5)), record[8]
    gradient = vector(memory, record[5], whole)
    for c in range(whole):
        gradient[c] = 0
    for k in range(record[0]):
        width, categories = runs[k, 2], runs[k, 3]
        if categories == 0:
            continue
        e = matrix(memory, record[1] + runs[k, 1], state[ROWS], record[2])
        x = matrix(memory, record[3] + runs[k, 0], state[ROWS], record[4])
        table = matrix(memory, record[5] + runs[k, 4], categories + 1, width)
        for r in range(state[ROWS]):
            index = _index(x[r, 0], categories)
            if index == categories and record[7] == 0:
                index = 0  # as in the layer; the loss is NaN, so training stops
            for c in range(width):
                table[index, c] += e[r, c]


@njit(**INLINED)
def _index(code, categories):
    """Return a code as an integer, or the number of categories if it is not a code."""
    if code >= 0 and code < categories:  # False for NaN
        index = int(code)
        if index == code:
            return index
    return categories
