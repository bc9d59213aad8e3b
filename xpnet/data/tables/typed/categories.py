"""Columns of categorical types."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..texts import Meaning
from .base import Column, Rules

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


class CategoryColumn(Column):
    """Values of a categorical type, coded from 1 by name; 0 stands for a missing one."""

    is_code = True

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, np.uint32)
        self._codes: dict[str, int] = {}
        self._order: list[str] | None = None  # of the categories, if all blocks have the same
        self._is_first, self._has_missing = True, False

    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the code of each value, which is the same in all blocks."""
        codes, names, is_ordered = categories_of(self.what, series)
        if self._is_first and is_ordered and self.rules.keeps_order:
            self._order = names
        elif self._order != names:
            self._order = None
        self._is_first = False
        # The last number, 0, is that of -1, which stands for a missing value.
        numbers: np.ndarray = np.zeros(len(names) + 1, np.int64)
        for k, name in enumerate(names):
            numbers[k] = self._codes.setdefault(name, len(self._codes) + 1)
        missing = codes < 0
        self.rules.refuse_missing(self.what, missing, start)
        self._has_missing |= bool(missing.any())
        found: np.ndarray = numbers[codes]
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
        return sorted(self._codes) if self._order is None else self._order

    def _values(self, names: list[str], missing: float) -> np.ndarray:
        """Return the code among ``names`` of each number."""
        values = np.full(len(names) + 1, missing, np.float64)
        values[[self._codes[name] for name in names]] = np.arange(len(names))
        return values


def is_categorical(dtype: Any) -> bool:
    """Whether a type of Narwhals is one of those that :func:`categories_of` reads."""
    return str(dtype).startswith(("Categorical", "Enum"))


def categories_of(what: str, series: "nw.Series[Any]") -> tuple[np.ndarray, list[str], bool]:
    """Return a categorical column as codes and names.

    Parameters
    ----------
    what : str
        What the column is called in messages.
    series : narwhals.Series
        Of pandas's categorical type, of the type Enum or Categorical of polars, or a column of
        pyarrow with a dictionary.

    Returns
    -------
    codes : integer array of shape (n,)
        -1 for missing values.
    names : list of str
    is_ordered : bool
        Whether the type gives the names an order. The type Categorical of polars does not.

    Raises
    ------
    ValueError
        Two categories of the type have the same name once they are texts, e.g. 1 and "1".
    """
    native: Any = series.to_native()
    if hasattr(native, "combine_chunks"):
        return _of_arrow(what, native)
    if hasattr(native, "cat") and hasattr(native.cat, "codes"):
        return native.cat.codes.to_numpy(), _names(what, list(native.cat.categories)), True
    if hasattr(getattr(native, "array", None), "__arrow_array__"):  # pandas, with data of pyarrow
        import pyarrow as pa

        return _of_arrow(what, pa.chunked_array(native.array.__arrow_array__()))
    texts = series.to_list()
    fixed = getattr(series.dtype, "categories", None)
    names = sorted({text for text in texts if text is not None}) if fixed is None else [*fixed]
    code = {name: k for k, name in enumerate(names)}
    codes = np.fromiter((code.get(text, -1) for text in texts), np.int64, len(texts))
    return codes, names, fixed is not None


def _of_arrow(what: str, column: Any) -> tuple[np.ndarray, list[str], bool]:
    """Return a chunked array of pyarrow, whose chunks may have different dictionaries."""
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    dictionaries = [chunk.dictionary.to_pylist() for chunk in chunks]
    same = all(each == dictionaries[0] for each in dictionaries)
    values = list(dict.fromkeys(value for each in dictionaries for value in each))
    there = [value for value in values if value is not None]
    names = _names(what, there if same else sorted(there, key=str))
    place = {name: k for k, name in enumerate(names)}
    codes = [np.zeros(0, np.int64)]
    for chunk, dictionary in zip(chunks, dictionaries, strict=True):
        # A dictionary may hold the same value twice, and a missing one.
        codes_of = np.array([-1 if v is None else place[str(v)] for v in dictionary] + [-1])
        codes.append(codes_of[chunk.indices.fill_null(len(dictionary)).to_numpy(False)])
    return np.concatenate(codes), names, same


def _names(what: str, categories: list[Any]) -> list[str]:
    names = [str(category) for category in categories]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"{what} has two categories that both read {double!r}, e.g. a number and a text: "
            "rename one"
        )
    return names
