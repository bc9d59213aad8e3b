"""The layout of category columns in a row, and of their tables of vectors in a flat array."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..backends import Array, array_namespace, ops


class Part(NamedTuple):
    """Adjacent columns of a row, in the input with codes and in the output with vectors.

    Attributes
    ----------
    column : int or None
        The position of a column of categories; None for columns of numbers.
    before, after : slice
        The columns' places in the input and in the output.
    """

    column: int | None
    before: slice
    after: slice


def parts_of(units: Mapping[int, int], n_features: int) -> list[Part]:
    """Return the parts of a row, in order.

    Parameters
    ----------
    units : dict of int to int
        The length of the vectors of each column of categories, in the order of the columns.
    n_features : int
        The number of columns of the input.
    """
    parts: list[Part] = []
    read = written = 0
    for column, width in (*units.items(), (n_features, 0)):
        if (n := column - read) > 0:
            parts.append(Part(None, slice(read, column), slice(written, written + n)))
            written += n
        if width:
            after = slice(written, written + width)
            parts.append(Part(column, slice(column, column + 1), after))
            written += width
        read = column + 1
    return parts


def tables_of(flat: Array, shapes: Mapping[int, tuple[int, int]]) -> dict[int, Array]:
    """Return views of a flat array as tables, which follow one another.

    Parameters
    ----------
    flat : array of shape (n,)
    shapes : dict of int to (int, int)
        The shape of each column's table.
    """
    xp, start, tables = array_namespace(flat), 0, {}
    for column, (rows, width) in shapes.items():
        tables[column] = xp.reshape(flat[start : start + rows * width], (rows, width))
        start += rows * width
    return tables


def vector_gradients(
    error: Array,
    indices: Sequence[Array],
    parts: Sequence[Part],
    shapes: Mapping[int, tuple[int, int]],
    out: Array | None,
) -> Array:
    """Return the gradients of all vectors as a flat array.

    Parameters
    ----------
    error : array of shape (n, n_outputs)
        The derivative of the output.
    indices : sequence of int64 array of shape (n,)
        For each column of categories, the row of its table for each sample.
    parts : sequence of Part
    shapes : dict of int to (int, int)
        The shape of each column's table.
    out : array, optional
        Where to write the result, if the library can write into given arrays.
    """
    xp, tables = array_namespace(error), {} if out is None else tables_of(out, shapes)
    sums: dict[int, Array] = {}
    for column, _, after in parts:
        if column is not None:
            index, rows = indices[len(sums)], shapes[column][0]
            place = tables.get(column)
            sums[column] = ops.sum_rows(error[:, after], index, rows, out=place)
    if out is not None and all(sums[column] is tables[column] for column in sums):
        return out
    return xp.concat([xp.reshape(each, (-1,)) for each in sums.values()])
