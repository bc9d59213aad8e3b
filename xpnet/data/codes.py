"""Checks of columns that hold codes of categories: the whole numbers from 0 to n - 1."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..backends import to_host
from ..backends._errors import shown
from .dataset import Dataset
from .features import DenseRows


def check_columns(
    layer: str,
    dataset: Dataset,
    n_categories: Mapping[int, int],
    names: Mapping[int, Sequence[str | None]],
    takes_unknown: bool,
) -> None:
    """Refuse features with numbers that are not codes, or with codes of other categories.

    Features that are stored, sparse, or have categories of their own are not read here.

    Parameters
    ----------
    layer : str
        The name of the layer that takes them, for messages.
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
                f"{layer}: expected a whole number from 0 to {n - 1}. With "
                "unknown=True, all other numbers share a vector"
            )


def _check_names(
    layer: str,
    feature: str,
    found: Sequence[str | None],
    n: int | None,
    expected: Sequence[str | None] | None,
) -> None:
    """Refuse a feature whose categories are not those that the layer has vectors for."""
    if n is None:
        raise TypeError(
            f"the feature {feature!r} has categories, and {layer} takes it as numbers: make the "
            f"layer with {layer}.adapt(dataset), or give its column"
        )
    if expected is None and len(found) > n:
        raise ValueError(
            f"the feature {feature!r} has {len(found)} categories, and {layer} has vectors for {n}"
        )
    if expected is not None and list(found) != list(expected):
        raise ValueError(
            f"the feature {feature!r} has the categories {shown(list(found))}, and {layer} was "
            f"made for {shown(list(expected))}: give "
            "dataset.with_codes_of(categories) with the attribute categories of the training data"
        )
