"""One-hot encoding: a column of 0 and 1 for each category, in place of a column of codes."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from ..backends import Array, array_namespace, backend_of, move, to_host
from ..backends._errors import shown
from ..common.checks import but_for_spaces, check_distinct, naming_memory_errors
from .categories import Categories, check_categories, check_codes, check_lists, listed
from .features import DenseRows, Features, SparseRows, StoredRows, kind_of
from .tables.gathering import RowCollector, feature_memory_limit

_NUMBERS = 1 << 20
"""About how many numbers are encoded at a time: 8 MiB of float64."""


class WithCategories:
    """The methods :meth:`one_hot` and :meth:`with_codes_of`; a base of :class:`xpnet.Dataset`."""

    feature_names: list[str] | None
    categories: Categories
    encoded: Categories
    _features: Features

    def one_hot(self, categories: Mapping[str, Sequence[str | None]] | None = None) -> Self:
        """Return the data set with a column of 0 and 1 for each category.

        Parameters
        ----------
        categories : dict of str to list of str, optional
            The categories to make columns for, matched by name; by default the data set's own. Give
            those of the training data so that test data get the same columns:
            ``test.one_hot(train.categories)``.

        Returns
        -------
        Dataset
            In place of each feature with categories, it has columns in the order of the categories,
            with names such as ``colour=red``, or ``colour=None`` for missing cells. ``X`` keeps its
            type and device. Stored features are read into memory, or written to a temporary file if
            they would take more than half of the free memory.

        Raises
        ------
        TypeError
            ``categories`` is not a dict of lists of strings.
        ValueError
            A sample's category is not among ``categories``; the message has its row, column and
            name. Or ``categories`` has other features, or two columns would have the same name.
        MemoryError
            The columns do not fit into memory.

        Examples
        --------
        >>> from xpnet import Dataset
        >>> data = Dataset([[0, 5], [1, 6]], None, ["colour", "size"],
        ...                categories={"colour": ["red", "blue"]})
        >>> data.one_hot().feature_names
        ['colour=red', 'colour=blue', 'size']
        >>> data.one_hot().X
        array([[1, 0, 5],
               [0, 1, 6]])
        """
        own = self.categories if categories is None else check_lists(categories)
        encoded = copy.copy(with_empty_columns_categorical(self, own))
        encoded._features, encoded.feature_names = _encode(
            encoded._features, self.feature_names, encoded.categories, categories
        )
        encoded.encoded = {**self.encoded, **{name: own[name] for name in encoded.categories}}
        encoded.categories = {}
        return encoded

    def with_codes_of(self, categories: Mapping[str, Sequence[str | None]]) -> Self:
        """Return the data set with its categories recoded as in other data.

        A network with embeddings knows the codes of its training data. In data read separately, the
        same names may have other codes.

        Parameters
        ----------
        categories : dict of str to list of str
            The names of the codes 0, 1, ...: those of the training data, e.g.
            ``test.with_codes_of(train.categories)``. They are matched by name.

        Returns
        -------
        Dataset
            With these categories. Its features have the same type, device and columns, unless they
            are stored: then they are read into memory.

        Raises
        ------
        TypeError
            ``categories`` is not a dict of lists of strings.
        ValueError
            A sample's category is not among ``categories``; the message has its row, column and
            name. Or ``categories`` has other features, or more categories than the features' dtype
            can hold.

        Examples
        --------
        >>> from xpnet import Dataset
        >>> data = Dataset([[0], [1]], None, ["colour"], categories={"colour": ["red", "blue"]})
        >>> data.with_codes_of({"colour": ["blue", "green", "red"]}).X
        array([[2],
               [0]])
        """
        own = with_empty_columns_categorical(self, check_lists(categories))
        known = self.feature_names or []
        features = own._features
        check_categories(own.categories, known, features)
        wanted = _check_wanted(categories, own.categories, known)
        features = features.read() if isinstance(features, StoredRows) else features
        columns = []
        for k, column in enumerate(_columns(known, own.categories, wanted)):
            codes = features.X[:, k : k + 1]
            if column.wanted is not None:
                places = column.places(codes[:, 0], 0)
                _check_held(places, features.dtype, column.name)
                moved = move(places[:, None], backend_of(codes))
                codes = array_namespace(codes).astype(moved, codes.dtype)
            columns.append(codes)
        coded = copy.copy(own)
        if columns and own.categories:
            coded._features = DenseRows(array_namespace(*columns).concat(columns, axis=1))
        coded.categories = wanted
        return coded


_T = TypeVar("_T", bound=WithCategories)


def with_empty_columns_categorical(dataset: _T, categories: Mapping[str, Any]) -> _T:
    """Return a data set whose columns without any value are categorical if ``categories`` has them.

    A table does not show whether a column without any value is one of text. Such a column is read
    as numbers that are all NaN.

    Parameters
    ----------
    dataset : Dataset
    categories : dict of str to list
        The categories of other data. A column of numbers changes only if its name is a key and it
        has no value: then all its cells get its only category, None.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Dataset
    >>> one = Dataset([[np.nan, 3.0]], feature_names=["hue", "size"])
    >>> one = with_empty_columns_categorical(one, {"hue": ["blue", "red", None]})
    >>> one.X.tolist(), one.categories
    ([[0.0, 3.0]], {'hue': [None]})
    """
    features = dataset._features
    if isinstance(features, SparseRows):  # they have no categories
        return dataset
    lost = {
        name: k
        for k, name in enumerate(dataset.feature_names or [])
        if name in categories and name not in dataset.categories and _has_no_value(features, k)
    }
    if not lost:
        return dataset
    features = features.read() if isinstance(features, StoredRows) else features
    filled = copy.copy(dataset)
    X = array_namespace(features.X).asarray(features.X, copy=True)
    for k in lost.values():
        X[:, k] = 0
    filled._features = DenseRows(X)
    filled.categories = {**dataset.categories, **{name: [None] for name in lost}}
    return filled


def _has_no_value(features: DenseRows | StoredRows, column: int) -> bool:
    """Whether all cells of a column are NaN."""
    if isinstance(features, DenseRows):
        cells = to_host(features.X[:, column])
        return not len(cells) or (cells.dtype.kind == "f" and bool(np.isnan(cells).all()))
    with closing(features.pieces()) as pieces:
        return all(np.isnan(rows[:, column]).all() for rows in pieces)


def _check_held(codes: np.ndarray, dtype: np.dtype, feature: str) -> None:
    """Refuse codes that the type of the features cannot hold."""
    most = int(codes.max(initial=0))
    if np.asarray(most).astype(dtype).astype(np.int64) != most:
        raise ValueError(
            f"the code {most} of {feature!r} does not fit in {dtype}, the type of the features: "
            "make the data set from features of a larger type"
        )


def _encode(
    features: Features,
    feature_names: list[str] | None,
    categories: Categories,
    wanted: Mapping[str, Any] | None,
) -> tuple[Features, list[str] | None]:
    """Return features with columns of 0 and 1 in place of codes, and the column names.

    Parameters
    ----------
    features : DenseRows, SparseRows or StoredRows
        Returned as they are if they have no categories.
    feature_names : list of str or None
    categories : dict
        The names of the codes of some features.
    wanted : dict or None
        The categories to make columns for; by default ``categories``.
    """
    check_categories(categories, feature_names, features)  # attributes may have been changed
    known = feature_names or []
    columns = _columns(known, categories, _check_wanted(wanted, categories, known))
    if not categories:
        return features, feature_names
    names = [name for column in columns for name in column.new_names]
    check_distinct("one_hot() makes columns", names)
    if not names:
        raise ValueError("one_hot() leaves no column: the features have no categories at all")
    shape = len(features), len(names)
    step = max(_NUMBERS // len(names), 1)
    most = max(columns, key=lambda column: len(column.new_names))
    what = (
        f"the features with a column for each category, {len(most.new_names):,} of them for "
        f"{most.name!r},"
    )
    with naming_memory_errors(what, shape):
        if isinstance(features, StoredRows):
            limit = feature_memory_limit()
            with (
                RowCollector(len(names), features.dtype, limit) as gathered,
                closing(features.blocks(step)) as blocks,
            ):
                for start, rows in blocks:
                    gathered.add(_encode_rows(rows, columns, start))
                stored = gathered.finish({})
            return kind_of(stored)(stored), names
        assert isinstance(features, DenseRows)  # sparse rows have no categories
        X, xp = features.X, array_namespace(features.X)
        out = xp.zeros(shape, dtype=X.dtype, device=backend_of(X).device)
        for start, rows in features.blocks(step):
            out[start : start + rows.shape[0], ...] = _encode_rows(rows, columns, start)
    return DenseRows(out), names


@dataclass(frozen=True)
class _Column:
    """A column of codes or of numbers, and the columns that replace it.

    Attributes
    ----------
    name : str
    names : list of str or None, or None
        The names of its codes; None for a column of numbers.
    wanted : list of str or None, or None
        The categories to make columns for.
    """

    name: str
    names: list[str | None] | None = None
    wanted: list[str | None] | None = None

    @property
    def new_names(self) -> list[str]:
        """The names of the new columns."""
        if self.wanted is None:
            return [self.name]
        return [f"{self.name}={name}" for name in self.wanted]

    def places(self, values: Array, first_row: int) -> np.ndarray:
        """Return for each row the index of the new column that is 1."""
        assert self.names is not None
        assert self.wanted is not None
        codes = check_codes(values, self.name, self.names, first_row)
        place = {name: k for k, name in enumerate(self.wanted)}
        by_code = np.array([place.get(name, -1) for name in self.names], np.int64)
        found: np.ndarray = by_code[codes] if len(codes) else codes
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            name = self.names[codes[row]]
            what = "the cell is missing, and None" if name is None else repr(name)
            raise ValueError(
                f"X, row {first_row + row}, column {self.name!r}: {what} is not among the known "
                f"categories {shown(self.wanted)}: leave such rows out, or train on data that have "
                "this category. A column that identifies rows is not a feature: read it with "
                f"id={but_for_spaces(name or '', self.wanted)}"
            )
        return found


def _columns(names: Sequence[str], own: Categories, wanted: Categories) -> list[_Column]:
    return [_Column(name, own.get(name), wanted.get(name)) for name in names]


def _check_wanted(given: Any, own: Categories, feature_names: Sequence[str]) -> Categories:
    """Return the categories to make columns for, after checking that the features match."""
    if given is None:
        return own
    wanted = check_lists(given)
    if lacking := [name for name in own if name not in wanted]:
        raise ValueError(
            f"the given categories lack {listed(lacking)}, which this data set has: give the "
            "attribute categories of the training data, read in the same way"
        )
    if others := [name for name in wanted if name not in own]:
        is_there = others[0] in feature_names
        raise ValueError(
            f"the given categories have {listed(others)}: {others[0]!r} is "
            + ("a column of numbers here" if is_there else "not a feature of this data set")
            + ". Read both data sets in the same way"
        )
    return wanted


def _encode_rows(rows: Array, columns: list[_Column], first_row: int) -> Array:
    """Return rows with the new columns, in the same dtype and on the same device."""
    xp, backend = array_namespace(rows), backend_of(rows)
    parts: list[Array] = []
    for first, last in _runs(columns):
        column = columns[first]
        if column.wanted is None:
            parts.append(rows[:, first:last])
            continue
        places = move(column.places(rows[:, first], first_row), backend)
        each = move(np.arange(len(column.wanted)), backend)
        parts.append(xp.astype(places[:, None] == each[None, :], rows.dtype))
    return xp.concat(parts, axis=1)


def _runs(columns: list[_Column]) -> Iterator[tuple[int, int]]:
    """Yield the start and stop of each column of codes and of each run of columns of numbers."""
    first = 0
    for k, column in enumerate(columns):
        if column.wanted is not None:
            if first < k:
                yield first, k
            yield k, k + 1
            first = k + 1
    if first < len(columns):
        yield first, len(columns)


def raw_names(feature_names: Sequence[str] | None, encoded: Categories) -> list[str] | None:
    """Return the names that features had before :meth:`WithCategories.one_hot`.

    Parameters
    ----------
    feature_names : list of str or None
        With names such as ``colour=red``.
    encoded : dict
        The categories that have become columns, by the name of the original feature.

    Examples
    --------
    >>> raw_names(["size", "hue=blue", "hue=red"], {"hue": ["blue", "red"]})
    ['size', 'hue']
    """
    if feature_names is None:
        return None
    first = {f"{name}={names[0]}": name for name, names in encoded.items() if names}
    raw: list[str] = []
    left = list(feature_names)
    while left:
        name = first.get(left[0])
        new = _Column(name, None, encoded[name]).new_names if name is not None else []
        if name is not None and left[: len(new)] == new:
            raw.append(name)
            left = left[len(new) :]
        else:
            raw.append(left.pop(0))
    return raw
