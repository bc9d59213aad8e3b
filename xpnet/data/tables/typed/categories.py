"""Columns of categorical types."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.checks import check_apart
from ..cells import is_missing_category
from ..texts import Meaning
from .base import Column, Rules
from .objects import is_missing

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


class CategoryColumn(Column):
    """Values of a categorical type, coded from 1 by name; 0 stands for a missing one."""

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
        # The last number, 0, is that of -1, which stands for a missing value.
        numbers: np.ndarray = np.zeros(len(names) + 1, np.int64)
        for k, name in enumerate(names):
            numbers[k] = self._codes.setdefault(name, len(self._codes) + 1)
        found: np.ndarray = numbers[codes]
        missing = found == 0
        self.rules.refuse_missing(self.what, missing, start)
        self._has_missing |= bool(missing.any())
        return found

    def feature(self) -> Meaning:
        """Return the final codes and their names, with None at the end if some are missing."""
        names = self._names()
        values = self._values(names, len(names))
        return Meaning(values, [*names, None] if self._has_missing else [*names])

    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return the classes, NaN where they are missing."""
        names = self._names()
        y = self._values(names, np.nan)[numbers.astype(np.int64)]
        return (y if self._has_missing else y.astype(np.int64)), names

    def _names(self) -> list[str]:
        names = list(self._codes) if self._is_ordered else sorted(self._codes)
        check_apart(f"{self.what} has the categories", names)
        return names

    def _values(self, names: list[str], missing: float) -> np.ndarray:
        """Return the code among ``names`` of each number."""
        values = np.full(len(names) + 1, missing, np.float64)
        values[[self._codes[name] for name in names]] = np.arange(len(names))
        return values


def is_categorical(dtype: Any) -> bool:
    """Whether a type of Narwhals is one of those that :func:`categories_of` reads."""
    return str(dtype).startswith(("Categorical", "Enum"))


def categories_of(
    what: str, series: "nw.Series[Any]", only_used: bool
) -> tuple[np.ndarray, list[str], bool]:
    """Return a categorical column as codes and names.

    Texts that stand for a missing category in columns of text, such as "" and "nan", do so here.
    A name that no row has is left out if another differs from it only in spaces around them.

    Parameters
    ----------
    what : str
        What the column is called in messages.
    series : narwhals.Series
        Of pandas's categorical type, of the type Enum or Categorical of polars, or a column of
        pyarrow with a dictionary.
    only_used : bool
        Whether the names that no row has are left out. A stream may have a dictionary that is much
        longer than each of its batches.

    Returns
    -------
    codes : integer array of shape (n,)
        -1 for missing values.
    names : list of str
    is_ordered : bool
        Whether the type gives the names an order. The type Categorical of polars does not.

    Raises
    ------
    TypeError
        The categories are binary.
    ValueError
        Two categories of the type have the same name once they are texts, e.g. 1 and "1".
    """
    codes, names, is_ordered = _found(what, series, only_used)
    used = {names[k] for k in np.unique(codes[codes >= 0])}
    apart = {name.strip() for name in used}
    there = []
    for name in names:
        if not is_missing_category(name) and (name in used or name.strip() not in apart):
            there.append(name)
            apart.add(name.strip())
    if len(there) == len(names):
        return codes, names, is_ordered
    place = {name: k for k, name in enumerate(there)}
    return np.array([*(place.get(name, -1) for name in names), -1])[codes], there, is_ordered


def _found(
    what: str, series: "nw.Series[Any]", only_used: bool
) -> tuple[np.ndarray, list[str], bool]:
    """Return the codes and the names as they are."""
    native: Any = series.to_native()
    if hasattr(native, "combine_chunks"):
        return _of_arrow(what, native, only_used)
    if hasattr(native, "cat") and hasattr(native.cat, "codes"):
        if only_used:
            native = native.cat.remove_unused_categories()
        return native.cat.codes.to_numpy(), _names(what, list(native.cat.categories)), True
    if hasattr(getattr(native, "array", None), "__arrow_array__"):  # pandas, with data of pyarrow
        import pyarrow as pa

        return _of_arrow(what, pa.chunked_array(native.array.__arrow_array__()), only_used)
    texts = series.to_list()
    fixed = None if only_used else getattr(series.dtype, "categories", None)
    names = sorted({text for text in texts if text is not None}) if fixed is None else [*fixed]
    code = {name: k for k, name in enumerate(names)}
    codes = np.fromiter((code.get(text, -1) for text in texts), np.int64, len(texts))
    return codes, names, fixed is not None


def _of_arrow(what: str, column: Any, only_used: bool) -> tuple[np.ndarray, list[str], bool]:
    """Return a chunked array of pyarrow, whose chunks may have different dictionaries."""
    chunks = [_of_chunk(what, chunk, only_used) for chunk in column.chunks if len(chunk)]
    same = all(names == chunks[0][1] for _, names in chunks)
    # A dictionary may hold the same value twice, and a missing one.
    there = dict.fromkeys(name for _, names in chunks for name in names if name is not None)
    names = list(there) if same else sorted(there)
    place: dict[str | None, int] = {name: k for k, name in enumerate(names)}
    codes = [np.zeros(0, np.int64)]
    for codes_of_chunk, its_names in chunks:
        codes.append(np.array([*(place.get(name, -1) for name in its_names), -1])[codes_of_chunk])
    return np.concatenate(codes), names, same


def _of_chunk(what: str, chunk: Any, only_used: bool) -> tuple[np.ndarray, list[str | None]]:
    """Return the codes of a dictionary array, -1 for missing ones, and the names of all codes."""
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
            f"{what} has the category {category!r} (bytes), expected texts, numbers or others with "
            "a name: decode them, or leave the column out"
        )
    # 0.0 and -0.0 are the same number.
    return str(category + 0.0 if isinstance(category, float) else category)


def _names(what: str, categories: list[Any]) -> list[str]:
    names = [_name(what, category) for category in categories]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"{what} has two categories that both read {double!r}, e.g. a number and a text: "
            "rename one"
        )
    return names
