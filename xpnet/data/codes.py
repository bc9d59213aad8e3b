"""Checks of columns that hold codes of categories, the integers from 0 to n - 1."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backends import Array, to_host
from ..backends._errors import shown
from .dataset import Dataset
from .features import DenseRows, Rows, SparseRows


class Codes(NamedTuple):
    """The codes that a layer accepts in a column.

    Attributes
    ----------
    layer : str
        The name of the layer, for messages.
    n : int
        The number of categories; codes go up to n - 1.
    names : list of str or None, optional
        The names of the codes.
    takes_unknown : bool, default False
        Whether the layer has a vector for numbers that are not codes.
    """

    layer: str
    n: int
    names: Sequence[str | None] | None = None
    takes_unknown: bool = False


Columns = Mapping[int, Codes]
"""The columns of a data set whose numbers must be codes, by position."""


def check_codes(columns: Columns, dataset: Dataset) -> None:
    """Refuse features in memory with numbers that are not codes.

    Stored features are checked with :func:`check_read` when they are read.

    Raises
    ------
    ValueError
        The message has the row and the column of the first such number.
    """
    features = dataset.features
    if isinstance(features, SparseRows):
        _check_sparse(columns, features, dataset.feature_names)
    elif isinstance(features, DenseRows):
        _check_rows(columns, features.X, 0, features, dataset.feature_names)


def check_read(columns: Columns, rows: np.ndarray, first: int, features: Rows) -> None:
    """Refuse numbers that are not codes in rows read from ``features``, from position ``first``.

    Raises
    ------
    ValueError
        As for :func:`check_codes`.
    """
    _check_rows(columns, rows, first, features)


def _check_rows(
    columns: Columns,
    rows: Array,
    first: int,
    features: Rows,
    feature_names: Sequence[str] | None = None,
) -> None:
    for column, codes in columns.items():
        values = to_host(rows[:, column])
        right = are_codes(values, codes.n)
        if not right.all():
            row = int(np.argmin(right))
            number = features.number(first + row)
            raise _not_a_code(codes, number, column, values[row], feature_names)


def _check_sparse(
    columns: Columns, features: SparseRows, feature_names: Sequence[str] | None
) -> None:
    """Refuse numbers in a sparse matrix that are not codes; entries that are not stored are 0."""
    data, indices, indptr = map(to_host, features.parts)
    n_codes = np.zeros(features.n_features, np.int64)
    for column, codes in columns.items():
        n_codes[column] = codes.n
    most = n_codes[indices]
    right = are_codes(data, most) | (most == 0)
    if not right.all():
        place = int(np.argmin(right))
        row = int(np.searchsorted(indptr, place, side="right")) - 1
        column = int(indices[place])
        raise _not_a_code(columns[column], row, column, data[place], feature_names)


def are_codes(values: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """Return for each number whether it is one of the codes 0 to n - 1."""
    right: np.ndarray = (values >= 0) & (values < n)
    return right & (values == np.floor(values)) if values.dtype.kind == "f" else right


def _not_a_code(
    codes: Codes, row: int, column: int, value: Any, feature_names: Sequence[str] | None
) -> ValueError:
    """Return the error for a number that is not a code."""
    name = f" ({feature_names[column]!r})" if feature_names else ""
    return ValueError(
        f"X, row {row}, column {column}{name}: {value} is not a code for {codes.layer}: expected "
        f"a whole number from 0 to {codes.n - 1}. With unknown=True, all other numbers share a "
        "vector"
    )


def check_names(codes: Codes, feature: str, found: Sequence[str | None]) -> None:
    """Refuse a feature whose categories differ from those that a layer has vectors for.

    Raises
    ------
    ValueError
        The names differ, or there are more than the layer has vectors.
    """
    if codes.names is None and len(found) > codes.n:
        raise ValueError(
            f"the feature {feature!r} has {len(found)} categories, and {codes.layer} has vectors "
            f"for {codes.n}"
        )
    if codes.names is not None and list(found) != list(codes.names):
        raise ValueError(
            f"the feature {feature!r} has the categories {shown(list(found))}, and {codes.layer} "
            f"was made for {shown(list(codes.names))}: give "
            "dataset.with_codes_of(categories) with the attribute categories of the training data"
        )
