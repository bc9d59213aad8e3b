"""Missing cells: filled in by values that other data can have too, or dropped with their rows."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Self, TypeVar

import numpy as np

from ..backends import Array, array_namespace, backend_of, move, to_host, unknown_name
from ..backends._errors import shown
from ..common.checks import as_float, as_integer, naming_memory_errors
from ..common.keywords import FILL, NoSuchDataMethods, with_hints
from .categories import check_categories, check_codes, check_lists, listed
from .encoding import WithCategories, with_empty_columns_categorical
from .features import DenseRows, Features, SparseRows, StoredRows, kind_of
from .missing import are_missing, codes_of_none, columns_with_missing, count_missing, pieces_of
from .selecting import Selecting
from .tables.gathering import RowCollector, feature_memory_limit

FillValues = dict[str | int, float | str]
"""What replaces missing cells, by the name of the feature, or by its position without names."""

_BYTES = 1 << 28
"""About how many bytes of stored columns are in memory while their medians are computed."""


class WithMissing(WithCategories, Selecting, NoSuchDataMethods):
    """The methods for missing cells; a base of :class:`xpnet.Dataset`."""

    fill_values: FillValues
    drops_missing: bool = False

    @with_hints(**FILL)
    def fill_missing(self, values: Mapping[Any, Any] | None = None) -> Self:
        """Return the data set with a value in place of each missing cell.

        A network that is trained on the result remembers the values (``net.fill_values``), and
        fills missing cells of other data with them.

        Parameters
        ----------
        values : dict, optional
            The number or the category name to fill in, by feature name (by position, if features
            have no names): ``test.fill_missing(train.fill_values)``. A new name becomes a category
            of the feature. By default, the values with which the data set was filled before. If
            there are none: the median of each column of numbers, and the most frequent category of
            each other column, the first of equally frequent ones.

        Returns
        -------
        Dataset
            With these values as ``fill_values``; by default, every column has one, even if it has
            no missing cells. No feature has the category None. ``X`` keeps its type and device, and
            is not copied if no cell is missing. Otherwise stored features are read into memory, or
            written to a temporary file if they would take more than half of the free memory.
            Several targets keep their missing labels, for ``Heads(ignore_missing=True)``.

        Raises
        ------
        TypeError
            ``values`` is not a dict of numbers and names, or it has a number for a feature with
            categories, or a name for a column of numbers.
        ValueError
            All cells of a column are missing, or a column has missing cells but no entry in
            ``values``. Or a label is missing, the features are sparse, categories have become
            columns by :meth:`one_hot`, or the data set was filled with other values before.

        Examples
        --------
        >>> import numpy as np
        >>> from xpnet import Dataset
        >>> train = Dataset([[0, 5.0], [1, np.nan], [0, 7.0]], None, ["colour", "size"],
        ...                 categories={"colour": ["red", None]}).fill_missing()
        >>> train.fill_values, train.categories
        ({'colour': 'red', 'size': 6.0}, {'colour': ['red']})
        >>> train.X.tolist()
        [[0.0, 5.0], [0.0, 6.0], [0.0, 7.0]]
        >>> Dataset([[0, np.nan]], None, train.feature_names, categories={"colour": ["red"]}
        ...         ).fill_missing(train.fill_values).X.tolist()
        [[0.0, 6.0]]
        """
        if self.encoded:
            raise ValueError(
                f"one_hot() has already encoded {listed(self.encoded)}: fill in missing cells "
                "before, with fill_missing().one_hot()"
            )
        if isinstance(self._features, SparseRows):
            raise ValueError(
                "X is sparse, so the median of most columns would be 0, the value of cells not "
                "stored: replace NaN in X.data before making the Dataset, or give X.toarray()"
            )
        _refuse_missing_label(self)
        check_categories(self.categories, self.feature_names, self._features)
        if values is None:
            return filled(self, self.fill_values or _usual_values(self))
        given = _checked(values, self)
        try:
            refuse_other_values(given, self.fill_values, "an earlier call")
        except ValueError as error:
            raise ValueError(
                f"{error}: give the same values, or the data as they were read"
            ) from None
        return filled(self, given)

    def is_complete(self) -> np.ndarray:
        """Return whether each row is complete: no feature and no label is missing.

        A feature is missing if it is NaN, or the category None; a label, if it is NaN.

        Returns
        -------
        boolean NumPy array of shape (n_samples,)

        Examples
        --------
        >>> import numpy as np
        >>> from xpnet import Dataset
        >>> Dataset([[1.0], [np.nan]]).is_complete()
        array([ True, False])
        """
        return _missing_of(self)[0]

    def drop_missing(self) -> Self:
        """Return the rows in which no feature and no label is missing, as :meth:`is_complete` says.

        Returns
        -------
        Dataset
            With ``drops_missing``, and without the category None. Stored features stay stored; if
            no row is dropped, ``X`` is the same.

        Raises
        ------
        ValueError
            No row is complete. The message names the column in which most cells are missing.

        Examples
        --------
        >>> import numpy as np
        >>> from xpnet import Dataset
        >>> Dataset([[1.0], [np.nan], [3.0]], [0, 1, 1], ids=[7, 8, 9]).drop_missing().ids
        array([7, 9])
        """
        complete, counts = _missing_of(self)
        if len(self) and not complete.any():
            most = max(counts, key=lambda name: counts[name])
            raise ValueError(
                f"all {len(self):,} row(s) lack a value; most are missing in {most}, "
                f"{counts[most]:,} of them: leave such a column out with exclude=, or fill "
                "features in with fill_missing()"
            )
        kept = copy.copy(self)
        if not complete.all():
            kept = self.rows(np.flatnonzero(complete), keep_stored=True)
        kept.categories = {name: _named(names) for name, names in self.categories.items()}
        kept.drops_missing = True
        return kept


_T = TypeVar("_T", bound=WithMissing)


def filled(
    dataset: _T,
    values: Mapping[Any, float | str],
    names: Sequence[str] | None = None,
    codes: Mapping[str, Sequence[str | None]] | None = None,
) -> _T:
    """Return a data set with values in place of missing cells; see `WithMissing.fill_missing`.

    Parameters
    ----------
    dataset : Dataset
        Sparse features are left as they are, and so are labels.
    values : dict
        Checked; by name or by position. Values of features that the data set lacks are
        ignored.
    names : sequence of str, optional
        The keys of ``values`` for the columns, if the features have no names.
    codes : dict of str to list, optional
        For these names, the categories whose codes are in the columns.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Dataset
    >>> filled(Dataset([[np.nan, 3.0]]), {"hue": "red"}, ["hue", "size"], {"hue": ["red"]}).X
    array([[0., 3.]])
    """
    if isinstance(dataset._features, SparseRows):
        return dataset
    result = copy.copy(
        with_empty_columns_categorical(
            dataset, {k: [] for k, value in values.items() if isinstance(value, str)}
        )
    )
    features, own = result._features, result.feature_names
    assert not isinstance(features, SparseRows)
    keys: Sequence[Any] = own or names or range(features.n_features)
    nones = codes_of_none(own, result.categories)
    has_codes: Mapping[str, Sequence[str | None]] = result.categories if own else codes or {}
    values = by_name(values, own or names)
    by_place = {k: values.get(key) for k, key in enumerate(keys)}
    numbers = {
        k: _number_for(value, has_codes.get(keys[k]), nones.get(k), keys[k])
        for k, value in by_place.items()
        if value is not None
    }
    found = columns_with_missing(features, nones)
    if lacking := [_called(keys[k]) for k in found if numbers.get(k) is None]:
        raise ValueError(
            f"X has missing cells in {', '.join(lacking[:3])}, for which there is no value among "
            f"{shown(dict(values))}: give fill_missing() a value for each of these columns"
        )
    if found:
        new = np.zeros((1, features.n_features), features.dtype)
        for k in found:
            new[0, k] = _held(numbers[k] or 0, features.dtype, keys[k])
        result._features = _replaced(features, new, nones)
    result.categories = dict(result.categories)
    for k in nones:
        known = _named(result.categories[keys[k]])
        is_new = k in found and by_place[k] not in known
        result.categories[keys[k]] = [*known, str(by_place[k])] if is_new else known
    check_lists(result.categories)
    result.fill_values = dict(values)
    return result


def _number_for(
    value: float | str,
    names: Sequence[str | None] | None,
    none: int | None,
    key: Any,
) -> float | None:
    """Return what replaces missing cells of a column; None if the value is none of its categories.

    Parameters
    ----------
    value : float or str
    names : list of str or None, or None
        The column's categories; None if it has numbers.
    none : int, optional
        The code of the category None, which a new category takes.
    key : str or int
        The name or the position of the column.
    """
    if isinstance(value, str) and names is None:
        raise TypeError(
            f"X: {_called(key)} is a column of numbers here, but the value for its missing cells "
            f"is the category {value!r}: give a number, or a column of category names"
        )
    if isinstance(value, str):
        return list(names or ()).index(value) if value in (names or ()) else none
    if names is not None:
        raise TypeError(
            f"X: {_called(key)} has strings here, {shown(list(names))}, but the value for its "
            f"missing cells is the number {value}: give numbers in this column, or a string for "
            "its missing cells"
        )
    return value


def by_name(values: Mapping[Any, Any], names: Sequence[str] | None) -> FillValues:
    """Return values by the name of the feature, if features have names, and not by position.

    Examples
    --------
    >>> by_name({0: 1.5, "hue": "red"}, ["size", "hue"])
    {'size': 1.5, 'hue': 'red'}
    """
    places = dict(enumerate(names or ()))
    return {places.get(key, key): value for key, value in values.items()}


def refuse_other_values(own: Mapping[Any, Any], others: Mapping[Any, Any], which: str) -> None:
    """Refuse data that were filled with other values than ``others``, the values of ``which``.

    Parameters
    ----------
    own, others : dict
        Columns that only one of the dicts has are ignored.

    Raises
    ------
    ValueError
        The message has the first column with two values.
    """
    for key, value in own.items():
        if key in others and others[key] != value:
            raise ValueError(
                f"missing cells of {_called(key)} are filled with {value!r} here, and with "
                f"{others[key]!r} in {which}"
            )


def _called(key: Any) -> str:
    """Return what a column is called in messages."""
    return repr(key) if isinstance(key, str) else f"column {key}"


def _named(names: Sequence[str | None]) -> list[str | None]:
    return [name for name in names if name is not None]


def _refuse_missing_label(dataset: WithMissing) -> None:
    """Refuse a lone label that is missing; several targets may lack some."""
    y = dataset.y
    if y is None or (y.ndim == 2 and y.shape[1] > 1):
        return
    missing = np.isnan(to_host(y).reshape(-1))
    if missing.any():
        raise ValueError(
            f"y has {missing.sum()} missing label(s), the first in row {np.argmax(missing)}, and "
            "labels are not filled in: drop these rows with drop_missing()"
        )


def _checked(values: Any, dataset: WithMissing) -> FillValues:
    """Return values that a user gives, for features that the data set has."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f"values={shown(values)}: expected a dict with a number, or the name of a category, "
            "by feature, like the attribute fill_values of a Dataset"
        )
    checked: FillValues = {}
    names, n = dataset.feature_names, dataset._features.n_features
    for key, value in values.items():
        if names is not None and not isinstance(key, str):
            raise TypeError(f"values has {shown(key)}: expected names of features, {shown(names)}")
        if names is not None and key not in names:
            raise unknown_name("feature", key, names)
        place = None if names is not None else as_integer(key)
        if names is None and (place is None or not 0 <= place < n):
            raise TypeError(
                f"values has {shown(key)}, and the features have no names: expected positions, 0 "
                f"to {n - 1}, or give the Dataset feature_names"
            )
        what = f"values[{shown(key)}]={shown(value)}"
        if isinstance(value, str):
            if names is None:
                raise TypeError(f"{what}: expected a number, since only names have categories")
            checked[key] = str(value)
            continue
        if not np.isfinite(found := as_float(value)):
            raise TypeError(f"{what}: expected a finite number, or the name of a category")
        checked[key if place is None else place] = found
    return checked


def _usual_values(dataset: WithMissing) -> FillValues:
    """Return the median of each column of numbers, and the most frequent category of others."""
    features = dataset._features
    assert not isinstance(features, SparseRows)
    if not len(features):
        raise ValueError(
            "the data set has no rows from which to compute values: give fill_missing() those of "
            "the training data, train.fill_values"
        )
    keys: Sequence[Any] = dataset.feature_names or range(features.n_features)
    values: FillValues = {}
    for key, column in zip(keys, _columns_of(features), strict=True):
        names = dataset.categories.get(key)
        if names is None:
            found: float | str | None = _median(column, features.dtype, key)
        else:
            found = _most_frequent(check_codes(column, key, names), names)
        if found is not None:
            values[key] = found
    if empty := [_called(key) for key in keys if key not in values]:
        raise ValueError(
            f"no row has a value in {', '.join(empty[:3])}, so there is none to fill in: "
            "drop the column with exclude=, or give fill_missing() a value for each column"
        )
    return values


def _columns_of(features: DenseRows | StoredRows) -> Iterator[np.ndarray]:
    """Yield the columns on the host; those of stored features are read a few at a time."""
    n, n_features = features.shape
    step = max(_BYTES // (8 * n), 1)
    for first in range(0, n_features, step):
        last = min(first + step, n_features)
        if isinstance(features, DenseRows):
            yield from np.ascontiguousarray(to_host(features.X[:, first:last]).T)
            continue
        with naming_memory_errors("stored columns", (last - first, n)):
            columns, start = np.empty((last - first, n)), 0
        with closing(features.pieces()) as pieces:
            for rows in pieces:
                columns[:, start : start + len(rows)] = rows[:, first:last].T
                start += len(rows)
        yield from columns


def _median(column: np.ndarray, dtype: np.dtype, key: Any) -> float | None:
    """Return the median of the numbers that are not NaN; None if all of them are NaN.

    It is rounded to the features' type if that is one of floats.
    """
    numbers = column.astype(np.float64)
    numbers = numbers[~np.isnan(numbers)]
    if not len(numbers):
        return None
    middle = [(len(numbers) - 1) // 2, len(numbers) // 2]
    low, high = np.partition(numbers, middle)[middle]
    median = low if low == high else low / 2 + high / 2  # whose sum may overflow
    if not np.isfinite(median):
        raise ValueError(
            f"the median of {_called(key)} is {median}: replace infinite values, or give "
            "fill_missing() a value for each column"
        )
    return float(np.asarray(median).astype(dtype) if dtype.kind == "f" else median)


def _most_frequent(codes: np.ndarray, names: Sequence[str | None]) -> str | None:
    """Return the category that most rows have, the first of several; None if no row has one."""
    named = _named(names)
    counts = np.bincount(codes, minlength=len(names))[: len(named)]
    return named[int(np.argmax(counts))] if counts.any() else None


def _held(value: float, dtype: np.dtype, key: Any) -> Any:
    """Return a number in the features' type; refuse a number that this type cannot hold."""
    with np.errstate(over="ignore"):
        held = np.asarray(value).astype(dtype)
    if np.isinf(held):
        raise ValueError(
            f"the value for missing cells of {_called(key)}, {value}, does not fit in {dtype}, the "
            "type of the features: give a smaller number"
        )
    return held


def _replaced(
    features: DenseRows | StoredRows, numbers: np.ndarray, nones: Mapping[int, int]
) -> Features:
    """Return features with others in place of their missing cells.

    ``numbers`` has one for each column, in the features' type and of shape (1, n_features).
    """
    with naming_memory_errors("the features without missing cells", features.shape):
        if isinstance(features, DenseRows):
            X = array_namespace(features.X).asarray(features.X, copy=True)
            moved = move(numbers, backend_of(X))
            for start, rows in pieces_of(features):
                X[start : start + rows.shape[0], ...] = _filled_rows(rows, moved, nones)
            return DenseRows(X)
        with RowCollector(features.n_features, features.dtype, feature_memory_limit()) as gathered:
            for _, rows in pieces_of(features):
                gathered.add(_filled_rows(rows, numbers, nones))
            stored = gathered.finish({})
    return kind_of(stored)(stored)


def _filled_rows(rows: Array, numbers: Array, nones: Mapping[int, int]) -> Array:
    return array_namespace(rows).where(are_missing(rows, nones), numbers, rows)


def _missing_of(dataset: WithMissing) -> tuple[np.ndarray, dict[str, int]]:
    """Return which rows are complete, and how many cells are missing in each column and label."""
    features, names = dataset._features, dataset.feature_names
    complete, counts = count_missing(features, codes_of_none(names, dataset.categories))
    keys: Sequence[Any] = names or range(features.n_features)
    found = {_called(key): int(count) for key, count in zip(keys, counts, strict=True)}
    if dataset.y is not None and len(dataset):
        lacking = np.isnan(to_host(dataset.y).reshape(len(dataset), -1)).any(axis=1)
        complete &= ~lacking
        found["the label"] = int(lacking.sum())
    return complete, found
