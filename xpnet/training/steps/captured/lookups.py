"""The places of an embedding's vectors, in its parameter and in a row of its output."""

from typing import NamedTuple

import numpy as np

from ....layers import CategoricalEmbeddings, Embedding
from ..translation import lookups_of


class Lookups(NamedTuple):
    """The numbers that kernels need to look up vectors; see ``embed`` in ``kernels.cu``.

    Attributes
    ----------
    columns : int64 array of shape (n_units, 5)
    tables : int64 array of shape (n_tables, 3)
    n_inputs, n_units : int
        The number of columns of the input and of the output.
    per_sample : int
        The number of rows into which the kernels divide a sample. All columns of an Embedding share
        a table, so each is treated as a row of one column.
    unknown : bool
        Whether each table has one more row, for numbers that are not codes.
    """

    columns: np.ndarray
    tables: np.ndarray
    n_inputs: int
    n_units: int
    per_sample: int
    unknown: bool


def numbers_of(layer: Embedding | CategoricalEmbeddings) -> Lookups:
    """Return the numbers for the kernels of a layer."""
    n_inputs, n_units, per_sample = layer.input_shape()[0], layer.output_shape()[0], 1
    found = lookups_of(layer)
    if isinstance(layer, Embedding):
        found, per_sample, n_inputs, n_units = found[:1], n_inputs, 1, layer.n_units
    by_column = {each.column: (k, each) for k, each in enumerate(found)}
    columns: list[tuple[int, ...]] = []
    for column in range(n_inputs):
        if column not in by_column:
            columns.append((column, 0, 0, 0, -1))
            continue
        k, lookup = by_column[column]
        for unit in range(lookup.n_units):
            place = lookup.n_categories, lookup.n_units, lookup.first + unit
            columns.append((column, *place, -1 if unit else k))
    tables = [(each.n_units, each.first, each.place) for each in found]
    given = np.array(columns, np.int64), np.array(tables, np.int64)
    return Lookups(*given, n_inputs, n_units, per_sample, layer.unknown)
