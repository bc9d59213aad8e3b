"""Columns of a data frame or a data set, chosen by name."""

import copy
from collections.abc import Sequence
from typing import Any

from .dataset import Dataset
from .tables.typed.frame_types import as_frame, column_names


def names_of(X: Any) -> list[str] | None:
    """Return the column names of a data frame or a Dataset; None for columns without names.

    Examples
    --------
    >>> from xpnet import Dataset
    >>> names_of(Dataset([[1, 2]], feature_names=["a", "b"])), names_of([[1, 2]])
    (['a', 'b'], None)
    """
    return X.feature_names if isinstance(X, Dataset) else column_names(X)


def choose_columns(X: Any, names: Sequence[str]) -> Any:
    """Return a data frame or a Dataset with only the named columns, in the given order.

    Parameters
    ----------
    X : data frame or Dataset
        Has a column of each name, and no two columns of the same name.
    names : sequence of str

    Returns
    -------
    data frame or Dataset
        A data frame of the same library; or a Dataset with the same kind of features, and the
        same targets, weights and ids.

    Examples
    --------
    >>> from xpnet import Dataset
    >>> data = Dataset([[0, 5, 2]], [1], ["hue", "size", "age"], categories={"hue": ["red"]})
    >>> chosen = choose_columns(data, ["age", "size"])
    >>> chosen.X.tolist(), chosen.feature_names, chosen.categories
    ([[2, 5]], ['age', 'size'], {})
    """
    place = {name: k for k, name in enumerate(names_of(X) or [])}
    index = [place[name] for name in names]
    if not isinstance(X, Dataset):
        return as_frame("X", X)[:, index].to_native()
    chosen, old = copy.copy(X), X.features
    chosen._features = old.columns(index)
    chosen._features.numbers = old.numbers
    chosen.feature_names, kept = list(names), {*names}
    chosen.categories = {name: own for name, own in X.categories.items() if name in kept}
    chosen.encoded = {
        name: own for name, own in X.encoded.items() if {f"{name}={each}" for each in own} <= kept
    }
    known = kept | chosen.encoded.keys()
    chosen.fill_values = {name: value for name, value in X.fill_values.items() if name in known}
    return chosen
