"""How the columns of data frames become numbers: numbers, texts and categories."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import MISSING_TEXT, is_missing, number
from .frame_categories import categories_of
from .objects import HINTS, are_texts, as_numbers, missing_cells, not_exact
from .texts import CellError, Texts, feature_meaning, label_meaning

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


@dataclass(frozen=True)
class Rules:
    """What is said about a table that is read, and what may be in it.

    Attributes
    ----------
    where : str
        What the table is called in messages.
    keeps_missing : bool
        Whether cells may be missing.
    advice : str
        What to do about missing cells.
    is_whole : bool
        Whether the table comes as one frame, so that all missing cells of a column can be counted.
    may_be_empty : bool, default False
        Whether it may have no rows.
    keeps_order : bool, default True
        Whether categorical types keep the order of their names; otherwise they are sorted.
    """

    where: str
    keeps_missing: bool
    advice: str
    is_whole: bool
    may_be_empty: bool = False
    keeps_order: bool = True

    def refuse_missing(self, what: str, missing: np.ndarray, start: int) -> None:
        """Refuse missing cells unless they may be; ``missing`` has a boolean for each row."""
        if self.keeps_missing or not missing.any():
            return
        has, first = "a missing value", "in"
        if self.is_whole:
            has, first = f"{np.count_nonzero(missing)} missing value(s)", "the first in"
        separator = ", " if self.is_whole else " "
        raise ValueError(
            f"{what} has {has} (NaN or None){separator}{first} row "
            f"{start + int(np.argmax(missing))}: {self.advice}"
        )


@dataclass(frozen=True)
class Result:
    """What the numbers stand for that a column has given.

    Attributes
    ----------
    values : array or None
        The number that replaces each of them, if they are codes 0, 1, ...
    names : list or None
        The names of the categories, if it has some.
    """

    values: np.ndarray | None = None
    names: list[str | None] | None = None


class Column(ABC):
    """A column of a table that comes in blocks of rows.

    Attributes
    ----------
    dtype : NumPy dtype
        A type that holds the numbers of all blocks, and those that replace them in the end.
    """

    is_code = False

    def __init__(self, name: str, rules: Rules, dtype: Any) -> None:
        self.what = f"{rules.where}, column {name!r}"
        self.rules, self.dtype = rules, np.dtype(dtype)

    @abstractmethod
    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the numbers of a block whose first row has the number ``start``."""

    def feature(self) -> Result:
        """Return what the numbers stand for if the column is a feature."""
        return Result()

    @abstractmethod
    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return all of the column's numbers as a label, and the names of its classes or None."""


class NumberColumn(Column):
    """Numbers and booleans.

    Parameters
    ----------
    name, rules
        See `Column`.
    dtype : NumPy dtype
        The type of the cells.
    may_be_missing : bool
        Whether a cell that may be missing could be.
    """

    def __init__(self, name: str, rules: Rules, dtype: Any, may_be_missing: bool) -> None:
        dtype = np.dtype(dtype)
        self._is_flag = dtype.kind == "b"
        if may_be_missing and rules.keeps_missing and dtype.kind != "f":
            dtype = np.dtype(np.float64)
        super().__init__(name, rules, dtype)

    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the numbers, NaN where they are missing."""
        kind = str(series.dtype)
        is_plain = series.dtype.is_numeric() or kind == "Boolean"
        if not is_plain or series.dtype.is_decimal() or kind in ("Int128", "UInt128"):
            return self._read_objects(series.to_list(), start)
        missing = np.asarray(series.is_null().to_numpy(), bool)
        numbers = (series.drop_nulls() if missing.any() else series).to_numpy()
        return self._complete(np.asarray(numbers), missing, start)

    def _read_objects(self, cells: list[Any], start: int) -> np.ndarray:
        if are_texts(self.what, cells, start):
            row = next(k for k, cell in enumerate(cells, start) if isinstance(cell, str))
            raise TypeError(
                f"{self.what} has {cells[row - start]!r} (str) in row {row}: expected a number"
            )
        missing = missing_cells(cells)
        there = [cell for cell, no in zip(cells, missing, strict=True) if not no]
        return self._complete(as_numbers(self.what, there, start), missing, start)

    def _complete(self, numbers: np.ndarray, missing: np.ndarray, start: int) -> np.ndarray:
        """Return the numbers of all rows, of which ``numbers`` has those that are not missing."""
        if numbers.dtype.kind == "f" and np.isnan(numbers).any():
            missing = missing.copy()
            places = np.flatnonzero(~missing)
            missing[places] = np.isnan(numbers)
            numbers = numbers[~np.isnan(numbers)]
        self.rules.refuse_missing(self.what, missing, start)
        if not missing.any():
            return exact(self.what, numbers, self.dtype, range(start, start + len(numbers)))
        found = exact(self.what, numbers, self.dtype, np.flatnonzero(~missing) + start)
        complete = np.full(len(missing), np.nan, self.dtype)
        complete[~missing] = found
        return complete

    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return whole numbers as int64, booleans as classes."""
        names = ["False", "True"] if self._is_flag else None
        if numbers.dtype.kind == "f" and not _are_whole(numbers):
            return numbers.astype(np.float64), names
        return exact(self.what, numbers, np.dtype(np.int64), range(len(numbers))), names


def _are_whole(numbers: np.ndarray) -> bool:
    """Whether all floats are whole numbers that are surely exact."""
    return bool(((abs(numbers) <= 2**53) & (np.trunc(numbers) == numbers)).all())


def exact(what: str, numbers: np.ndarray, dtype: np.dtype, rows: np.ndarray | range) -> np.ndarray:
    """Return numbers in another type, which must hold them exactly if they are integers.

    Parameters
    ----------
    what : str
        What the column is called in messages.
    numbers : array of shape (n,)
    dtype : NumPy dtype
    rows : integer array of shape (n,), or range
        The numbers of their rows.

    Raises
    ------
    ValueError
        An integer has more digits than the type holds.
    """
    found = numbers.astype(dtype, copy=False)
    if numbers.dtype.kind not in "iu" or numbers.dtype == dtype:
        return found
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        lost = np.flatnonzero((numbers < limits.min) | (numbers > limits.max))
    else:
        large = np.flatnonzero((numbers >= 2**53) | (numbers <= -(2**53)))
        lost = np.array([k for k in large if int(found[k]) != int(numbers[k])], np.int64)
    if lost.size:
        raise not_exact(what, numbers[lost[0]], int(rows[lost[0]]), dtype)
    return found


class TextColumn(Column):
    """Texts, numbered from 0.

    If cells may be missing and all are, or the others are "true" and "false", they become numbers
    and NaN. So ``dtype`` is a type of floats then.
    """

    is_code = True

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, np.float64 if rules.keeps_missing else np.uint32)
        self._texts = Texts()
        self._first_rows: list[int] = []

    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the number of each text among all distinct ones; None counts as ''."""
        cells = series.to_list()
        missing = np.fromiter((not isinstance(cell, str) for cell in cells), bool, len(cells))
        if missing.any():
            are_texts(self.what, cells, start)  # refuses what is neither text nor missing
            self.rules.refuse_missing(self.what, missing, start)
            cells = [cell if isinstance(cell, str) else "" for cell in cells]
        codes = self._texts.codes(cells)
        n_new = len(self._texts.counts) - len(self._first_rows)
        if n_new:
            first = np.zeros(len(self._texts.counts), np.int64)
            first[codes[::-1]] = np.arange(start, start + len(codes))[::-1]
            self._first_rows += first[-n_new:].tolist()
        return codes

    def feature(self) -> Result:
        """Return the names of the categories, sorted."""
        self._check()
        try:
            meaning = feature_meaning(self._texts, ".", self.rules.keeps_missing)
        except CellError as error:
            raise self._refusal(error) from None
        return Result(meaning.values, meaning.names)

    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return the classes, whose names are sorted."""
        self._check()
        try:
            meaning = label_meaning(self._texts, ".", self.rules.keeps_missing)
        except CellError as error:
            raise self._refusal(error) from None
        y = meaning.values[numbers.astype(np.int64)]
        names = None if meaning.names is None else [str(name) for name in meaning.names]
        return (y if np.isnan(y).any() else y.astype(np.int64)), names

    def _check(self) -> None:
        """Refuse texts that stand for missing values, and columns of numbers written as text."""
        texts = self._texts.distinct
        numbers = [each for each in texts if not is_missing(each) and number(each) is not None]
        if numbers and all(is_missing(each) or number(each) is not None for each in texts):
            raise TypeError(
                f"{self.what} has numbers written as text, the first {numbers[0]!r} in row "
                f"{self._row(numbers[0])}: convert the column with astype(float), or to a "
                "categorical type if they are names"
            )
        stand_for_missing = [each for each in texts if each.strip().lower() in MISSING_TEXT]
        if stand_for_missing and not self.rules.keeps_missing:
            text = stand_for_missing[0]
            raise ValueError(
                f"{self.what} has {text!r} in row {self._row(text)}, which stands for a missing "
                f"value: {self.rules.advice}"
            )

    def _row(self, text: str) -> int:
        return self._first_rows[self._texts.distinct.index(text)]

    def _refusal(self, error: CellError) -> ValueError:
        return ValueError(f"{self.what}, row {self._row(error.text)}: {error.reason}")


class CategoryColumn(Column):
    """Values of a categorical type, numbered from 1; 0 stands for a missing one."""

    is_code = True

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, np.uint32)
        self._codes: dict[str, int] = {}
        self._order: list[str] | None = None  # of the categories, if all blocks have the same
        self._is_first, self._has_missing = True, False

    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the number of each value among the names of all blocks."""
        codes, names, is_ordered = categories_of(self.what, series)
        if self._is_first and is_ordered and self.rules.keeps_order:
            self._order = names
        elif self._order != names:
            self._order = None
        self._is_first = False
        # The last one is that of -1, which stands for a missing value.
        numbers: np.ndarray = np.zeros(len(names) + 1, np.int64)
        for k, name in enumerate(names):
            numbers[k] = self._codes.setdefault(name, len(self._codes) + 1)
        missing = codes < 0
        self.rules.refuse_missing(self.what, missing, start)
        self._has_missing |= bool(missing.any())
        found: np.ndarray = numbers[codes]
        return found

    def feature(self) -> Result:
        """Return the names of the categories, with None at the end if some are missing."""
        names = self._names()
        values = self._values(names, len(names))
        return Result(values, [*names, None] if self._has_missing else [*names])

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


class IdColumn:
    """The names of the rows: texts or integers.

    Parameters
    ----------
    name : str
    rules : Rules
    """

    def __init__(self, name: str, rules: Rules) -> None:
        self._what = f"{rules.where}, id={name!r}"
        self._blocks: list[np.ndarray] = []

    def read(self, series: "nw.Series[Any]", start: int) -> None:
        """Read the names of a block of rows."""
        cells = series.to_list()
        if str(series.dtype).startswith(("Categorical", "Enum")):
            codes, names, _ = categories_of(self._what, series)
            cells = [names[code] if code >= 0 else None for code in codes]
        missing = missing_cells(cells)
        if missing.any():
            raise ValueError(
                f"{self._what} has no name in row {start + int(np.argmax(missing))}: expected a "
                "text or an integer for each row"
            )
        are_texts(self._what, cells, start)
        if cells:
            self._blocks.append(self._checked(np.array(cells)))

    def _checked(self, names: np.ndarray) -> np.ndarray:
        if names.dtype.kind in "iuU":
            return names
        raise TypeError(
            f"{self._what} has {names[0]!r}, expected texts, or integers of at most 64 bits"
        )

    def ids(self) -> np.ndarray:
        """Return all names."""
        if not self._blocks:
            return np.zeros(0, np.int64)
        found: np.ndarray = np.concatenate(self._blocks)
        return self._checked(found)


def column_for(name: str, series: "nw.Series[Any]", rules: Rules, may_be_missing: bool) -> Column:
    """Return the column of a type that takes such values.

    Parameters
    ----------
    name : str
    series : narwhals.Series
        All of the column, or an empty one of its type.
    rules : Rules
    may_be_missing : bool
        Whether cells can be missing, of which ``series`` need not have one.

    Raises
    ------
    TypeError
        The values are no numbers, texts or categories; or some are numbers and others texts.
    """
    what, dtype = f"{rules.where}, column {name!r}", series.dtype
    kind = str(dtype)
    if kind == "String":
        return TextColumn(name, rules)
    if kind.startswith(("Categorical", "Enum")):
        return CategoryColumn(name, rules)
    if dtype.is_decimal():
        return NumberColumn(name, rules, np.float64, may_be_missing)
    if kind in ("Int128", "UInt128"):
        return NumberColumn(name, rules, np.int64, may_be_missing)
    if kind == "Boolean" or dtype.is_numeric():
        type_ = bool if kind == "Boolean" else kind.lower()
        return NumberColumn(name, rules, type_, may_be_missing)
    if dtype.is_temporal() or kind == "Time":
        hint = HINTS["m" if kind.startswith("Duration") else "M"]
        raise TypeError(f"{what} has the type {dtype}, expected numbers: {hint}")
    if dtype.is_nested() or kind == "Binary":
        raise TypeError(
            f"{what} has the type {dtype}, expected numbers, texts or categories: make columns of "
            "numbers of it, or leave it out"
        )
    values = np.asarray(series.to_numpy())
    if values.dtype.kind in "biuf":  # a sparse column of pandas, say
        return NumberColumn(name, rules, values.dtype, may_be_missing)
    if values.dtype.kind != "O":
        hint = HINTS.get(values.dtype.kind, "make numbers or texts of it, or leave it out")
        raise TypeError(f"{what} has the type {values.dtype}, expected numbers: {hint}")
    cells = series.to_list()
    if are_texts(what, cells, 0):
        return TextColumn(name, rules)
    missing = missing_cells(cells)
    there = [cell for cell, no in zip(cells, missing, strict=True) if not no]
    return NumberColumn(name, rules, as_numbers(what, there).dtype, bool(missing.any()))
