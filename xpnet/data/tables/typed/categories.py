"""Columns of categorical types."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.checks import check_distinguishable
from ..cells import is_missing_category
from ..strings import Meaning
from .base import Column, Rules
from .objects import is_missing

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


class CategoryColumn(Column):
    """Values of a categorical type, coded from 1 by name; 0 stands for a missing value."""

    is_code = True

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, np.uint32)
        self._codes: dict[str, int] = {}
        self._is_ordered, self._has_missing = False, False

    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the code of each value, which is the same in all blocks."""
        whole = self.rules.is_whole
        codes, names, is_ordered = categories_of(self.what, series, only_used=not whole)
        self._is_ordered = is_ordered and whole
        # The last number, 0, belongs to the code -1 of missing values.
        numbers: np.ndarray = np.zeros(len(names) + 1, np.int64)
        for k, name in enumerate(names):
            numbers[k] = self._codes.setdefault(name, len(self._codes) + 1)
        found: np.ndarray = numbers[codes]
        missing = found == 0
        self.rules.refuse_missing(self.what, missing, start)
        self._has_missing |= bool(missing.any())
        return found

    def feature(self) -> Meaning:
        """Return the final codes and their names, ending in None if values are missing."""
        names = self._names()
        values = self._values(names, len(names))
        return Meaning(values, [*names, None] if self._has_missing else [*names])

    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return the classes, with NaN for missing values."""
        names = self._names()
        y = self._values(names, np.nan)[numbers.astype(np.int64)]
        return (y if self._has_missing else y.astype(np.int64)), names

    def _names(self) -> list[str]:
        names = list(self._codes) if self._is_ordered else sorted(self._codes)
        check_distinguishable(f"{self.what} has the categories", names)
        return names

    def _values(self, names: list[str], missing: float) -> np.ndarray:
        """Return the index in ``names`` for each number, and ``missing`` for 0."""
        values = np.full(len(names) + 1, missing, np.float64)
        values[[self._codes[name] for name in names]] = np.arange(len(names))
        return values


def is_categorical(dtype: Any) -> bool:
    """Whether :func:`categories_of` can read columns of a Narwhals type."""
    return str(dtype).startswith(("Categorical", "Enum"))


def categories_of(
    what: str, series: "nw.Series[Any]", only_used: bool
) -> tuple[np.ndarray, list[str], bool]:
    """Return a categorical column as codes and names.

    Strings that stand for a missing category in string columns, such as "" and "nan", do so here,
    too. A name that occurs in no row is left out if it differs from another name only in spaces
    around it.

    Parameters
    ----------
    what : str
        The name of the column in messages.
    series : narwhals.Series
        A column of the categorical type of pandas, the type Enum or Categorical of polars, or a
        dictionary type of pyarrow.
    only_used : bool
        Whether all names that occur in no row are left out. The dictionary of a stream may be much
        longer than a batch.

    Returns
    -------
    codes : integer array of shape (n,)
        -1 for missing values.
    names : list of str
    is_ordered : bool
        Whether the type gives the names an order. Polars's Categorical does not.

    Raises
    ------
    TypeError
        The categories are binary.
    ValueError
        Two categories become the same string, e.g. 1 and "1".
    """
    codes, names, is_ordered = _found(what, series, only_used)
    used = {names[k] for k in np.unique(codes[codes >= 0])}
    apart = {name.strip() for name in used}
    kept = []
    for name in names:
        if not is_missing_category(name) and (name in used or name.strip() not in apart):
            kept.append(name)
            apart.add(name.strip())
    if len(kept) == len(names):
        return codes, names, is_ordered
    place = {name: k for k, name in enumerate(kept)}
    return np.array([*(place.get(name, -1) for name in names), -1])[codes], kept, is_ordered


def _found(
    what: str, series: "nw.Series[Any]", only_used: bool
) -> tuple[np.ndarray, list[str], bool]:
    """Return the codes and the names of the column, unfiltered."""
    native: Any = series.to_native()
    if hasattr(native, "combine_chunks"):
        return _of_arrow(what, native, only_used)
    if hasattr(native, "cat") and hasattr(native.cat, "codes"):
        if only_used:
            native = native.cat.remove_unused_categories()
        return native.cat.codes.to_numpy(), _names(what, list(native.cat.categories)), True
    if hasattr(getattr(native, "array", None), "__arrow_array__"):  # pandas with pyarrow data
        import pyarrow as pa

        return _of_arrow(what, pa.chunked_array(native.array.__arrow_array__()), only_used)
    texts = series.to_list()
    fixed = None if only_used else getattr(series.dtype, "categories", None)
    names = sorted({text for text in texts if text is not None}) if fixed is None else [*fixed]
    code = {name: k for k, name in enumerate(names)}
    codes = np.fromiter((code.get(text, -1) for text in texts), np.int64, len(texts))
    return codes, names, fixed is not None


def _of_arrow(what: str, column: Any, only_used: bool) -> tuple[np.ndarray, list[str], bool]:
    """Return the codes and the names of a pyarrow array whose chunks may have own dictionaries."""
    chunks = [_of_chunk(what, chunk, only_used) for chunk in column.chunks if len(chunk)]
    same = all(names == chunks[0][1] for _, names in chunks)
    # A dictionary may hold a value twice, or a missing value.
    found = dict.fromkeys(name for _, names in chunks for name in names if name is not None)
    names = list(found) if same else sorted(found)
    place: dict[str | None, int] = {name: k for k, name in enumerate(names)}
    codes = [np.zeros(0, np.int64)]
    for codes_of_chunk, its_names in chunks:
        codes.append(np.array([*(place.get(name, -1) for name in its_names), -1])[codes_of_chunk])
    return np.concatenate(codes), names, same


def _of_chunk(what: str, chunk: Any, only_used: bool) -> tuple[np.ndarray, list[str | None]]:
    """Return the codes of a dictionary array, -1 for missing values, and the names of all codes."""
    codes = np.array(chunk.indices.cast("int64").fill_null(-1))
    dictionary, known = chunk.dictionary, codes >= 0
    if only_used:
        used, codes[known] = np.unique(codes[known], return_inverse=True)
        dictionary = dictionary.take(used)
    values = dictionary.to_pylist()
    return codes, [None if is_missing(value) else _name(what, value) for value in values]


def _name(what: str, category: Any) -> str:
    if isinstance(category, bytes):
        raise TypeError(
            f"{what} has the category {category!r} (bytes), expected strings, numbers or others "
            "with a name: decode it, or leave the column out"
        )
    # 0.0 and -0.0 are the same number.
    return str(category + 0.0 if isinstance(category, float) else category)


def _names(what: str, categories: list[Any]) -> list[str]:
    names = [_name(what, category) for category in categories]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"{what} has two categories that are both written {double!r}, e.g. a number and a "
            "string: rename one"
        )
    return names
