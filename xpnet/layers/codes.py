"""Columns that hold codes of categories: the whole numbers from 0 to n - 1."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..backends import Array, Backend, array_namespace, ops, to_host
from ..backends._errors import shown
from ..data import Dataset
from ..data.features import DenseRows

if TYPE_CHECKING:
    from .base import Layer


def check_exact(n_categories: int, backend: Backend) -> None:
    """Refuse more categories than the type in which features come has whole numbers.

    Raises
    ------
    ValueError
    """
    most = 2 ** (np.finfo(backend.dtype).nmant + 1)
    if n_categories > most:
        raise ValueError(
            f"{n_categories:,} categories in {backend.dtype}, which holds whole numbers exactly "
            f"only up to {most:,}: give the network dtype='float64', or use fewer categories"
        )


def vectors_of(
    codes: Array, table: Array, n_categories: int, out: Array | None = None
) -> tuple[Array, Array]:
    """Return the rows of a table for codes.

    Parameters
    ----------
    codes : array of shape (m,)
        Whole numbers, in any real type.
    table : array of shape (n_categories, w) or (n_categories + 1, w)
        If there is one more row, it is for all numbers that are not codes. Otherwise these get rows
        of NaN, which no loss accepts: to ask the device for an error would mean to wait for it.
    n_categories : int

    Returns
    -------
    vectors : array of shape (m, w)
    index : int64 array of shape (m,)
        The rows of the table.
    """
    xp = array_namespace(codes, table)
    codes = xp.astype(codes, table.dtype, copy=False)
    is_code = (codes >= 0) & (codes < n_categories) & (codes == xp.floor(codes))
    has_unknown = table.shape[0] > n_categories
    other = float(n_categories) if has_unknown else 0.0
    index = xp.astype(xp.where(is_code, codes, other), xp.int64)
    vectors = ops.take_rows(table, index, out=out)
    if not has_unknown:
        vectors = ops.rowwise(
            vectors, is_code[:, None], function=lambda v, known: xp.where(known, v, xp.nan), out=out
        )
    return vectors, index


def check_columns(
    layer: "Layer",
    dataset: Dataset,
    n_categories: Mapping[int, int],
    names: Mapping[int, Sequence[str | None]],
    takes_unknown: bool,
) -> None:
    """Refuse features with numbers that are not codes, or with codes of other categories.

    Features that are stored, sparse, or have categories of their own are not read here.

    Parameters
    ----------
    layer : Layer
        For messages.
    dataset : Dataset
    n_categories : dict of int to int
        How many categories the columns have, by position.
    names : dict of int to list of str or None
        The names of the codes in some columns.
    takes_unknown : bool
        Whether numbers that are not codes have a vector of their own.

    Raises
    ------
    ValueError
        The message has the row and the column of the first such number.
    TypeError
        A feature has categories, and the layer takes it as numbers.
    """
    features = dataset.feature_names or []
    place = {name: k for k, name in enumerate(features)}
    of_data = {place[name]: found for name, found in dataset.categories.items()}
    for column, found in of_data.items():
        _check_names(layer, features[column], found, n_categories.get(column), names.get(column))
    if takes_unknown or not isinstance(dataset.features, DenseRows):
        return
    for column, n in n_categories.items():
        if column in of_data:
            continue
        codes = to_host(dataset.features.X[:, column])
        right = (codes >= 0) & (codes < n) & (codes == np.floor(codes))
        if not right.all():
            row = int(np.argmin(right))
            name = f" ({features[column]!r})" if features else ""
            raise ValueError(
                f"X, row {row}, column {column}{name}: {codes[row]} is not a code for "
                f"{layer.layer_name()}: expected a whole number from 0 to {n - 1}. With "
                "unknown=True, all other numbers share a vector"
            )


def _check_names(
    layer: "Layer",
    feature: str,
    found: Sequence[str | None],
    n: int | None,
    expected: Sequence[str | None] | None,
) -> None:
    """Refuse a feature whose categories are not those that the layer has vectors for."""
    name = layer.layer_name()
    if n is None:
        raise TypeError(
            f"the feature {feature!r} has categories, and {name} takes it as numbers: make the "
            f"layer with {name}.adapt(dataset), or give its column"
        )
    if expected is None and len(found) > n:
        raise ValueError(
            f"the feature {feature!r} has {len(found)} categories, and {name} has vectors for {n}"
        )
    if expected is not None and list(found) != list(expected):
        raise ValueError(
            f"the feature {feature!r} has the categories {shown(list(found))}, and {name} was made "
            f"for {shown(list(expected))}: give dataset.recode(categories) with the attribute "
            "categories of the training data"
        )
