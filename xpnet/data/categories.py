"""Features that hold codes of categories, and the names of the codes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backends import to_host, unknown_name
from ..backends._errors import shown
from ..common.checks import check_distinguishable
from .features import Features, SparseRows, StoredRows

Categories = dict[str, list[str | None]]
"""The names of the codes 0, 1, ... by feature; a final None stands for missing cells."""


def check_categories(
    given: Any, feature_names: Sequence[str] | None, features: Features
) -> Categories:
    """Check the categories of features and return them; {} for None.

    The codes of stored features are checked when they are read.

    Raises
    ------
    UnknownNameError
        There is no feature of that name.
    TypeError
        ``given`` is not a dict of lists of strings.
    ValueError
        The features are sparse or have no names, a name occurs twice, or a number is not a code.
    """
    if given is None:
        return {}
    categories = check_lists(given)
    if not categories:
        return {}
    if feature_names is None:
        raise ValueError(
            f"categories has the features {listed(categories)}, but the features have no names: "
            "give feature_names"
        )
    if len(feature_names) != features.n_features:
        raise ValueError(
            f"X has {features.n_features} columns, but there are {len(feature_names)} "
            f"feature_names, and categories for {listed(categories)}: make a new Dataset"
        )
    known = set(feature_names)
    for name in categories:
        if name not in known:
            raise unknown_name("feature", name, feature_names)
    if isinstance(features, SparseRows):
        raise ValueError(
            f"X is sparse and has categories in {listed(categories)}: give it as a dense "
            "array, or with a column of 0 and 1 for each category and without categories="
        )
    if not isinstance(features, StoredRows):
        place = {name: k for k, name in enumerate(feature_names)}
        for name, names in categories.items():
            check_codes(features.X[:, place[name]], name, names)
    return categories


def with_names(
    found: Mapping[int, Sequence[str | None]], feature_names: Sequence[str] | None
) -> dict[str, Sequence[str | None]]:
    """Return categories by feature name, from categories by the position of the column."""
    own = feature_names or []
    if found and len(own) <= max(found):
        raise ValueError(
            f"X has strings or categories in column {max(found)}, which has no name in the "
            "features that it replaces: make a new Dataset"
        )
    return {own[k]: names for k, names in found.items()}


def joined_categories(found: Mapping[str, Sequence[str | None]], given: Any) -> Any:
    """Return the categories found in a data frame with those given for its other columns."""
    if not found or given is None:
        return found or given
    if both := sorted(set(found).intersection(check_lists(given))):
        raise ValueError(
            f"X has strings or categories in {listed(both)}, and categories= has names for them, "
            "too: leave them out of categories="
        )
    return {**found, **given}


def check_same_categories(found: Mapping[str, Any], own: Categories) -> None:
    """Refuse a data frame whose categories differ from those of the features it replaces."""
    for name, names in found.items():
        if own.get(name) != names:
            raise ValueError(
                f"X has categories in {name!r} that differ from those of the features it replaces: "
                "make a new Dataset"
            )


def check_lists(given: Any) -> Categories:
    """Return a copy of categories after checks that need no features."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"categories={shown(given)}: expected a dict of lists of category names, by feature "
            "name, like the attribute categories of a Dataset"
        )
    return {name: _check_list(name, names) for name, names in given.items()}


def _check_list(feature: Any, names: Any) -> list[str | None]:
    if not isinstance(feature, str):
        raise TypeError(f"categories has {shown(feature)}: expected the name of a feature")
    what = f"categories[{feature!r}]"
    if isinstance(names, (str, bytes)) or not hasattr(names, "__iter__"):
        raise TypeError(f"{what}={shown(names)}: expected a list of names")
    found = list(names)
    for place, name in enumerate(found):
        if name is None and place + 1 == len(found):
            continue
        if not isinstance(name, str):
            raise TypeError(
                f"{what} has {shown(name)} as the name of code {place}: expected a string; None, "
                "for missing cells, is allowed only at the end"
            )
    check_distinguishable(f"{what} has", [name for name in found if name is not None])
    return [None if name is None else str(name) for name in found]


def check_codes(
    values: Any, feature: str, names: Sequence[str | None], first_row: int = 0
) -> np.ndarray:
    """Return the codes in a column as int64 on the host.

    Parameters
    ----------
    values : array of shape (n,)
        Of any library.
    feature : str
        The name of the column.
    names : list of str or None
        The names of the codes.
    first_row : int, default 0
        The number of the first row in messages.

    Raises
    ------
    ValueError
        A number is not one of the codes; the message has its row and column.
    """
    host = to_host(values)
    known = (host >= 0) & (host < len(names))
    if host.dtype.kind == "f":
        known &= host == np.floor(host)
    if not known.all():
        row = int(np.argmin(known))
        raise ValueError(
            f"X, row {first_row + row}, column {feature!r}: {host[row]} is not the code of a "
            f"category: expected a whole number below {len(names)}, for {shown(list(names))}"
        )
    codes: np.ndarray = host.astype(np.int64)
    return codes


def refuse_numbers(feature: str, names: Sequence[str | None], where: str) -> None:
    """Refuse a column of numbers in place of named categories, since they may not be the codes.

    Parameters
    ----------
    feature : str
        The name of the column.
    names : list of str or None
        The names of the categories.
    where : str
        The words before the names in the message, e.g. "in training it had".

    Raises
    ------
    ValueError
        Always.
    """
    raise ValueError(
        f"X: {feature!r} is a column of numbers here, and {where} the categories "
        f"{shown(list(names))}: give category names. If the numbers are such names, "
        f"convert the column, in pandas with astype({{{feature!r}: 'category'}}). If they are the "
        "codes of these categories, give Dataset(..., categories=...), or an array without column "
        "names"
    )


def refuse_categories(categories: Mapping[str, Any]) -> None:
    """Refuse features with categories where a network would compute with their codes.

    Parameters
    ----------
    categories : dict
        The categories of a data set; empty if all features are numbers.

    Raises
    ------
    TypeError
        ``categories`` is not empty.
    """
    if categories:
        raise TypeError(
            f"X has categories in {listed(categories)}, which a network cannot compute with: make "
            "columns of 0 and 1 from them with dataset.one_hot() (for other data than the training "
            "data, one_hot(training.categories)), begin the network with "
            "CategoricalEmbeddings.adapt(dataset), or leave these columns out. "
            "Dataset.from_frame(frame, label=...) makes a dataset from a data frame"
        )


def listed(names: Mapping[str, Any] | Sequence[str], most: int = 3) -> str:
    """Return names for a message: the first few, and how many more there are."""
    first = [repr(name) for name in list(names)[:most]]
    others = len(names) - len(first)
    return ", ".join(first) + (f" and {others} more" if others else "")
