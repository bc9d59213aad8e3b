"""Columns of text, read as codes that become numbers or categories after the last row."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from ...common.checks import alike, differ_only_in_spaces
from .cells import (
    TRUE_FALSE,
    advice,
    are_quantities,
    exceeds_float64,
    is_formatted_number,
    is_missing,
    is_missing_category,
    may_be_quantities,
    number,
)
from .dates import advice_for_time, doubtful_times, times_among

_TEXT_BYTES = 64
"""About how many bytes a Python string takes in addition to its characters."""


class CellError(Exception):
    """A cell that is not valid in its column; :attr:`reason` says why, and what to do.

    Parameters
    ----------
    text : str
        The text of the cell.
    reason : str

    Attributes
    ----------
    text, reason
        As above.
    place : int
        The position of the column in a file; set by code that knows it.
    """

    place: int

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text, self.reason = text, reason


def bytes_of(texts: Sequence[str]) -> int:
    """Return about how many bytes strings take as Python objects."""
    return sum(map(len, texts)) + _TEXT_BYTES * len(texts)


def string_array(texts: Sequence[str]) -> np.ndarray:
    """Return a NumPy array of strings, or of objects if a long string would make it very large.

    Strings that end in NUL characters need objects, too, because NumPy's string type drops them.
    """
    fixed = 4 * max(map(len, texts), default=0) * len(texts)
    as_objects = fixed > 2 * bytes_of(texts) or any(text.endswith("\0") for text in texts)
    return np.array(texts, object if as_objects else np.str_)


def missing_cell(text: str) -> CellError:
    """Return the error for a missing cell where none may be missing."""
    what = f"{text.strip()!r} stands for a missing value" if text.strip() else "the cell is empty"
    return CellError(text, f"{what}: fill it in or drop the row (missing='keep' reads it as NaN)")


class StringCodes:
    """The distinct strings of a column, coded 0, 1, ... in order of first occurrence.

    Parameters
    ----------
    of_file : bool, default False
        Whether they come from a text file, which has no categorical types. Its columns may be
        aligned with spaces, so names are stripped of the spaces around them. Otherwise, strings
        that differ only in such spaces are refused.

    Attributes
    ----------
    of_file
        As above.
    distinct : list of str
        The strings in the order of their codes.
    counts : int array
        The number of cells with each string.
    """

    def __init__(self, of_file: bool = False) -> None:
        self.of_file = of_file
        self._codes: defaultdict[str, int] = defaultdict()
        self._codes.default_factory = self._codes.__len__
        self.counts = np.zeros(0, np.int64)

    @property
    def distinct(self) -> list[str]:
        """The strings in the order of their codes."""
        return list(self._codes)

    def codes(self, texts: Sequence[str]) -> np.ndarray:
        """Return the code of each cell; new strings get new codes."""
        codes = np.fromiter(map(self._codes.__getitem__, texts), np.int64, len(texts))
        counts = np.bincount(codes, minlength=len(self._codes))
        counts[: len(self.counts)] += self.counts
        self.counts = counts
        return codes


@dataclass(frozen=True)
class Meaning:
    """What the codes of a column stand for.

    Attributes
    ----------
    values : array
        The number that replaces each code 0, 1, ...: the number that the text spells, or the index
        of its category. NaN for a missing number or class.
    names : list of str or None, or None
        The names of the categories; None if the column holds numbers.
    doubts : list of (str, str)
        For each kind of text that has become names but may mean something else: the first such
        text in the column, and a warning for the user.
    """

    values: np.ndarray
    names: list[str | None] | None
    doubts: list[tuple[str, str]] = field(default_factory=list)

    def label(self, codes: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return the labels of rows with these codes, and the names of the classes or None."""
        names = None if self.names is None else [str(name) for name in self.names]
        return self.values[codes], names


def feature_meaning(texts: StringCodes, decimal: str, keeps_missing: bool) -> Meaning:
    """Return what the codes of a feature stand for.

    Parameters
    ----------
    texts : StringCodes
    decimal : str
        The decimal sign.
    keeps_missing : bool
        Whether cells may be missing.

    Raises
    ------
    CellError
        A cell is missing but may not be. Or numbers are mixed with other text, or the text is
        dates, or numbers with separators or units.
    """
    found = _Kinds(texts, decimal)
    if not found.others:
        return Meaning(found.all_numbers(keeps_missing), None)
    if not found.numbers and all(text.strip().lower() in TRUE_FALSE for text in found.others):
        flags = [TRUE_FALSE.get(text.strip().lower(), np.nan) for text in found.distinct]
        found.check_missing(is_missing, keeps_missing)
        return Meaning(np.array(flags), None)
    found.refuse_mostly_numbers(or_half=True)
    if found.numbers:
        text = found.numbers[0]
        raise CellError(
            text,
            f"{text!r} is a number among text such as {found.others[0]!r}: give the column only "
            "numbers or only text, or leave it out",
        )
    found.refuse_times()
    found.refuse_quantities()
    values, names = found.categories(keeps_missing)
    doubts = found.doubts("categories")
    if np.isnan(values).any():
        return Meaning(np.where(np.isnan(values), len(names), values), [*names, None], doubts)
    return Meaning(values, [*names], doubts)


def label_meaning(texts: StringCodes, decimal: str, keeps_missing: bool) -> Meaning:
    """Return what the codes of a label stand for: numbers, or the classes 0, 1, ...

    A column that is mostly numbers never becomes classes.

    Raises
    ------
    CellError
        As for features, except that a few numbers among other text may be class names.
    """
    found = _Kinds(texts, decimal)
    if not found.others:
        return Meaning(found.all_numbers(keeps_missing, as_integers=True), None)
    found.refuse_mostly_numbers()
    found.refuse_times()
    found.refuse_quantities()
    values, names = found.categories(keeps_missing)
    return Meaning(values, [*names], found.doubts("classes"))


class _Kinds:
    """The distinct strings of a column, divided into numbers, missing cells and other text."""

    def __init__(self, texts: StringCodes, decimal: str) -> None:
        self._decimal, self._of_file = decimal, texts.of_file
        self.distinct, self._counts = texts.distinct, texts.counts
        self.values = [number(text, decimal) for text in self.distinct]
        missing = [is_missing(text) for text in self.distinct]
        self.numbers = [
            text
            for text, value, no in zip(self.distinct, self.values, missing, strict=True)
            if value is not None and not no
        ]
        self.others = [
            text
            for text, value, no in zip(self.distinct, self.values, missing, strict=True)
            if value is None and not no
        ]

    def all_numbers(self, keeps_missing: bool, as_integers: bool = False) -> np.ndarray:
        """Return the numbers as float64; as int64 if float64 lacks digits and that is allowed."""
        self.check_missing(is_missing, keeps_missing)
        for text, value in zip(self.distinct, self.values, strict=True):
            if value is None or not exceeds_float64(text, value):
                continue
            if as_integers:
                with suppress(ValueError, OverflowError):
                    return np.array([int(each) for each in self.distinct], np.int64)
            raise not_in_float64(text)
        return np.array([np.nan if value is None else value for value in self.values])

    def check_missing(self, missing: Callable[[str], bool], keeps_missing: bool) -> None:
        """Refuse missing cells unless they are to be kept."""
        for text in () if keeps_missing else self.distinct:
            if missing(text):
                raise missing_cell(text)

    def refuse_mostly_numbers(self, or_half: bool = False) -> None:
        """Refuse text if more than half of the cells, or of the distinct strings, are numbers.

        Numbers with separators, currencies or units count as numbers. With ``or_half``, exactly
        half is enough.
        """
        formatted = {text for text in self.others if is_formatted_number(text)}
        numbers = [*self.numbers, *formatted]
        others = [text for text in self.others if text not in formatted]
        count = dict(zip(self.distinct, self._counts.tolist(), strict=True))
        cells = sum(map(count.__getitem__, numbers)) - sum(map(count.__getitem__, others))
        distinct = len(numbers) - len(others)
        margin = max(cells, distinct)
        if margin > 0 or (or_half and margin == 0):
            raise not_a_number(self.others[0], self._decimal)

    def refuse_times(self) -> None:
        """Refuse text if most distinct strings, apart from numbers, are times.

        If all may be times or names, they are refused unless they come from a text file: in other
        tables, a categorical type can mark them as names.
        """
        times = times_among(self.others)
        if not times and not self._of_file:
            times = doubtful_times(self.others)
        if times:
            raise not_a_number(times[0], self._decimal)

    def refuse_quantities(self) -> None:
        """Refuse text that is all numbers with a word or a sign, unless it may be times."""
        if are_quantities(self.others) and not doubtful_times(self.others):
            raise not_a_number(self.others[0], self._decimal)

    def doubts(self, kind: str) -> list[tuple[str, str]]:
        """Return warnings about text that has become names; see `Meaning`.

        ``kind`` is the word for these names: categories or classes.
        """
        found = []
        if times := doubtful_times(self.others):
            some = " and ".join(map(repr, times[:2]))
            found.append((
                times[0],
                f"values such as {some} have become {kind}: if they are dates, times or durations, "
                f"{advice_for_time(times[0])}",
            ))  # fmt: skip
        elif may_be_quantities(self.others):
            some = " and ".join(map(repr, self.others[:2]))
            found.append((
                self.others[0],
                f"values such as {some} have become {kind}: if they are quantities, write the "
                "numbers alone",
            ))  # fmt: skip
        perhaps = [
            (text, count)
            for text, count in zip(self.distinct, self._counts.tolist(), strict=True)
            if is_missing(text) and not is_missing_category(text)
        ]
        if perhaps:
            some = ", ".join(f"{text.strip()!r} in {count} cell(s)" for text, count in perhaps)
            found.append((
                perhaps[0][0],
                f"{some}: such a text often stands for a missing value, but has become one of the "
                f"{kind}. If values are missing, drop these rows, or leave the cells empty and "
                "read the table with missing='keep'",
            ))  # fmt: skip
        return found

    def categories(self, keeps_missing: bool) -> tuple[np.ndarray, list[str]]:
        """Return the category of each string, NaN if it is missing, and the sorted names."""
        self.check_missing(is_missing_category, keeps_missing)
        name_of = {
            text: text.strip() if self._of_file else text
            for text in self.distinct
            if not is_missing_category(text)
        }
        names = sorted(set(name_of.values()))
        if (pair := alike(names)) is not None:
            raise CellError(pair[1], f"there are {differ_only_in_spaces(*pair)}")
        code = {name: float(k) for k, name in enumerate(names)}
        values = [code[name_of[text]] if text in name_of else np.nan for text in self.distinct]
        return np.array(values), names


def not_a_number(text: str, decimal: str) -> CellError:
    """Return the error for text where a number is expected."""
    return CellError(text, f"{text!r} is not a number: {advice(text, decimal)}")


def not_in_float64(text: str) -> CellError:
    """Return the error for a number that float64 cannot hold."""
    has_point = any(sign in text for sign in ".,eE")
    problem = "is larger than float64 allows" if has_point else "has more digits than float64 holds"
    return CellError(
        text,
        f"{text.strip()!r} {problem}: leave the column out (or give it as id=, "
        "if it identifies the rows)",
    )
