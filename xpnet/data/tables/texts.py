"""Columns of text: read as codes, which become numbers or categories after the last row."""

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
"""About how many bytes a Python text takes besides its letters."""


class CellError(Exception):
    """A cell that its column cannot have; :attr:`reason` says why, and what to do.

    Parameters
    ----------
    text : str
        The text as it stands in the table.
    reason : str

    Attributes
    ----------
    text, reason
        As above.
    place : int
        The position of the column in a file, set where it is known.
    """

    place: int

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text, self.reason = text, reason


def array_of_texts(texts: list[str]) -> np.ndarray:
    """Return an array of text, or of objects if one long text would make all take much room.

    NumPy's own type of text also loses NUL characters at the end.
    """
    lengths = list(map(len, texts))
    fixed, objects = 4 * max(lengths) * len(texts), sum(lengths) + _TEXT_BYTES * len(texts)
    as_objects = fixed > 2 * objects or any(text.endswith("\0") for text in texts)
    return np.array(texts, object if as_objects else np.str_)


def missing_cell(text: str) -> CellError:
    """Return the error for a cell that is missing and must not be."""
    what = f"{text.strip()!r} stands for a missing value" if text.strip() else "the cell is empty"
    return CellError(text, f"{what}: fill it in or drop the row (missing='keep' reads it as NaN)")


class Texts:
    """The distinct texts of a column, coded 0, 1, ... in the order in which they come.

    Parameters
    ----------
    of_file : bool, default False
        Whether they come from a file of text, which has no categorical types. Its columns may be
        aligned with spaces, so names are the texts without spaces around them. Otherwise texts
        that differ only in such spaces are refused.

    Attributes
    ----------
    of_file
        As above.
    distinct : list of str
        The texts in the order of their codes.
    counts : int array
        In how many cells each occurs.
    """

    def __init__(self, of_file: bool = False) -> None:
        self.of_file = of_file
        self._codes: defaultdict[str, int] = defaultdict()
        self._codes.default_factory = self._codes.__len__
        self.counts = np.zeros(0, np.int64)

    @property
    def distinct(self) -> list[str]:
        """The texts in the order of their codes."""
        return list(self._codes)

    def codes(self, texts: Sequence[str]) -> np.ndarray:
        """Return the code of each of these cells, and remember new texts."""
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
        The number that replaces each code 0, 1, ...: the one that the text spells, or the number of
        its category. NaN for a missing number or class.
    names : list of str or None, or None
        The names of the categories; None if the column holds numbers.
    doubts : list of (str, str)
        Texts that have become names but may be something else, each the first of its kind in the
        column, and what to tell the user about them.
    """

    values: np.ndarray
    names: list[str | None] | None
    doubts: list[tuple[str, str]] = field(default_factory=list)

    def label(self, codes: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return the label of rows whose texts have these codes, and the names of its classes."""
        names = None if self.names is None else [str(name) for name in self.names]
        return self.values[codes], names


def feature_meaning(texts: Texts, decimal: str, keeps_missing: bool) -> Meaning:
    """Return what the texts of a feature stand for.

    Parameters
    ----------
    texts : Texts
    decimal : str
        The decimal sign.
    keeps_missing : bool
        Whether cells may be missing.

    Raises
    ------
    CellError
        A cell is missing and must not be. Or numbers and other texts are mixed, or the texts are
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
            f"{text!r} is a number among texts such as {found.others[0]!r}: give the column one "
            "kind of values, or leave it out",
        )
    found.refuse_times()
    found.refuse_quantities()
    values, names = found.categories(keeps_missing)
    doubts = found.doubts("categories")
    if np.isnan(values).any():
        return Meaning(np.where(np.isnan(values), len(names), values), [*names, None], doubts)
    return Meaning(values, [*names], doubts)


def label_meaning(texts: Texts, decimal: str, keeps_missing: bool) -> Meaning:
    """Return what the texts of a label stand for: numbers, or the classes 0, 1, ...

    A column that is mostly numbers never becomes classes.

    Raises
    ------
    CellError
        As for features, but some numbers may be the names of classes.
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
    """The distinct texts of a column, divided into numbers, missing cells and others."""

    def __init__(self, texts: Texts, decimal: str) -> None:
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
        """Return the numbers, as int64 if float64 lacks digits for them and if that is allowed."""
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
        """Refuse cells that are missing, unless they may be."""
        for text in () if keeps_missing else self.distinct:
            if missing(text):
                raise missing_cell(text)

    def refuse_mostly_numbers(self, or_half: bool = False) -> None:
        """Refuse texts if more than half of the cells, or of the distinct texts, are numbers.

        Numbers with separators, currencies or units count as numbers. With ``or_half``, half of
        them are enough.
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
        """Refuse texts if most of the distinct ones, without numbers, are times.

        If all may be times or names, they are refused only where a categorical type could say so.
        """
        times = times_among(self.others)
        if not times and not self._of_file:
            times = doubtful_times(self.others)
        if times:
            raise not_a_number(times[0], self._decimal)

    def refuse_quantities(self) -> None:
        """Refuse texts that are all numbers with a word or a sign, and not doubtful times."""
        if are_quantities(self.others) and not doubtful_times(self.others):
            raise not_a_number(self.others[0], self._decimal)

    def doubts(self, kind: str) -> list[tuple[str, str]]:
        """Return what may be wrong with texts that have become names; see `Meaning`.

        ``kind`` is what they have become: categories or classes.
        """
        found = []
        if times := doubtful_times(self.others):
            some = " and ".join(map(repr, times[:2]))
            found.append((
                times[0],
                f"texts such as {some} have become {kind}: if they are dates, times or durations, "
                f"{advice_for_time(times[0])}",
            ))  # fmt: skip
        elif may_be_quantities(self.others):
            some = " and ".join(map(repr, self.others[:2]))
            found.append((
                self.others[0],
                f"texts such as {some} have become {kind}: if they are quantities, write the "
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
        """Return the code of each text, NaN for missing ones, and the sorted names."""
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
    """Return the error for a text where a number is expected."""
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
