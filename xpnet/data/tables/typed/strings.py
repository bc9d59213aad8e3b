"""Columns of strings."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ....backends._warnings import warn
from ..cells import is_missing, is_missing_category, number
from ..strings import CellError, Meaning, StringCodes, feature_meaning, label_meaning
from .base import Column, Rules
from .objects import are_strings

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


class TextColumn(Column):
    """Strings, coded from 0.

    If missing cells are kept, ``dtype`` is float64: a column without any value becomes NaN, and so
    do the missing cells of a column of "true" and "false".
    """

    is_code = True

    def __init__(self, name: str, rules: Rules) -> None:
        super().__init__(name, rules, np.float64 if rules.keeps_missing else np.uint32)
        self._texts = StringCodes()
        self._first_rows: list[int] = []

    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the code of each string; a missing cell counts as ""."""
        cells = series.to_list()
        missing = np.fromiter((not isinstance(cell, str) for cell in cells), bool, len(cells))
        if missing.any():
            are_strings(self.what, cells, start)  # refuses other objects
            self.rules.refuse_missing(self.what, missing, start)
            cells = [cell if isinstance(cell, str) else "" for cell in cells]
        codes = self._texts.codes(cells)
        n_new = len(self._texts.counts) - len(self._first_rows)
        if n_new:
            first = np.zeros(len(self._texts.counts), np.int64)
            first[codes[::-1]] = np.arange(start, start + len(codes))[::-1]
            self._first_rows += first[-n_new:].tolist()
        return codes

    def feature(self) -> Meaning:
        """Return the codes and the names of the categories, sorted."""
        return self._meaning(feature_meaning)

    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return the classes, whose names are sorted."""
        y, names = self._meaning(label_meaning).label(numbers.astype(np.int64))
        return (y if np.isnan(y).any() else y.astype(np.int64)), names

    def _meaning(self, meaning_of: Callable[[StringCodes, str, bool], Meaning]) -> Meaning:
        self._check()
        try:
            meaning = meaning_of(self._texts, ".", self.rules.keeps_missing)
        except CellError as error:
            row = self._row(error.text)
            raise ValueError(f"{self.what}, row {row}: {error.reason}") from None
        for text, doubt in meaning.doubts:
            warn(
                f"{self.what}, row {self._row(text)}: {doubt}. If all cells of the column are "
                "names, give it a categorical type"
            )
        return meaning

    def _check(self) -> None:
        """Refuse strings that stand for missing values, and columns of numbers written as text."""
        texts = self._texts.distinct
        present = [each for each in texts if not is_missing(each)]
        numbers = [each for each in present if number(each) is not None]
        if numbers and len(numbers) == len(present):
            raise TypeError(
                f"{self.what} has numbers written as text, the first {numbers[0]!r} in row "
                f"{self._row(numbers[0])}: convert the column with astype(float), or to a "
                "categorical type if they are names"
            )
        text = next(filter(is_missing_category, texts), None)
        if text is not None and not self.rules.keeps_missing:
            raise ValueError(
                f"{self.what} has {text!r} in row {self._row(text)}, which stands for a missing "
                f"value: {self.rules.advice}"
            )

    def _row(self, text: str) -> int:
        return self._first_rows[self._texts.distinct.index(text)]
