"""Which cells of features are missing: NaN, or the code of the category None."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing

import numpy as np

from ..backends import Array, array_namespace, to_host
from .categories import Categories
from .features import DenseRows, Features, SparseRows, StoredRows

_NUMBERS = 1 << 20
"""About how many numbers are looked at together: 8 MiB of float64."""


def codes_of_none(feature_names: Sequence[str] | None, categories: Categories) -> dict[int, int]:
    """Return the code of the category None, by the position of the columns that have it.

    Examples
    --------
    >>> codes_of_none(["size", "hue"], {"hue": ["blue", "red", None]})
    {1: 2}
    """
    return {
        k: len(categories[name]) - 1
        for k, name in enumerate(feature_names or ())
        if None in categories.get(name, ())
    }


def pieces_of(features: DenseRows | StoredRows) -> Generator[tuple[int, Array], None, None]:
    """Yield the rows as ``features.blocks`` does, in blocks of about ``_NUMBERS`` numbers."""
    return features.blocks(max(_NUMBERS // features.n_features, 1))


def are_missing(rows: Array, nones: Mapping[int, int]) -> Array:
    """Return which cells are NaN or, in some columns, the code of the category None."""
    xp = array_namespace(rows)
    is_float = xp.isdtype(rows.dtype, "real floating")
    missing = xp.isnan(rows) if is_float else xp.zeros_like(rows, dtype=xp.bool)
    for column, code in nones.items():
        missing[:, column] = rows[:, column] == code
    return missing


def columns_with_missing(features: DenseRows | StoredRows, nones: Mapping[int, int]) -> list[int]:
    """Return the positions of the columns with missing cells."""
    found = np.zeros(features.n_features, bool)
    if features.dtype.kind == "f" or nones:
        with closing(pieces_of(features)) as pieces:
            for _, rows in pieces:
                found |= to_host(array_namespace(rows).any(are_missing(rows, nones), axis=0))
    return [int(k) for k in np.flatnonzero(found)]


def count_missing(features: Features, nones: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows have no missing cell, and how many cells are missing in each column.

    Returns
    -------
    complete : boolean array of shape (n,)
    counts : int64 array of shape (n_features,)
    """
    complete, counts = np.ones(len(features), bool), np.zeros(features.n_features, np.int64)
    if isinstance(features, SparseRows):
        data, columns, starts = map(to_host, features.parts)
        places = np.flatnonzero(np.isnan(data))
        complete[np.searchsorted(starts, places, side="right") - 1] = False
        return complete, np.bincount(columns[places], minlength=len(counts))
    with closing(pieces_of(features)) as pieces:
        for start, rows in pieces:
            missing = to_host(are_missing(rows, nones))
            complete[start : start + len(missing)] = ~missing.any(axis=1)
            counts += missing.sum(axis=0)
    return complete, counts
