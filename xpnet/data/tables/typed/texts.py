"""Columns of text."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells import MISSING_TEXT, is_missing, number
from ..texts import CellError, Texts, feature_meaning, label_meaning
from .base import Column, Result, Rules
from .objects import are_texts

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


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
