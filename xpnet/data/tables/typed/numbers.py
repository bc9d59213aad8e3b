"""Columns of numbers and booleans."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Column, Rules
from .objects import are_strings, as_numbers, missing_cells, not_exact

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


class NumberColumn(Column):
    """Numbers and booleans.

    Parameters
    ----------
    name, rules
        See `Column`.
    dtype : NumPy dtype
        The dtype of the cells.
    may_be_missing : bool
        Whether any cell, in any block, may be missing.
    """

    def __init__(self, name: str, rules: Rules, dtype: Any, may_be_missing: bool) -> None:
        dtype = np.dtype(dtype)
        self._is_flag = dtype.kind == "b"
        if may_be_missing and rules.keeps_missing and dtype.kind != "f":
            dtype = np.dtype(np.float64)
        super().__init__(name, rules, dtype)

    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the numbers, with NaN for missing cells."""
        kind = str(series.dtype)
        is_plain = series.dtype.is_numeric() or kind == "Boolean"
        if not is_plain or series.dtype.is_decimal() or kind in ("Int128", "UInt128"):
            return self._read_objects(series.to_list(), start)
        missing = np.asarray(series.is_null().to_numpy(), bool)
        numbers = (series.drop_nulls() if missing.any() else series).to_numpy()
        return self._complete(np.asarray(numbers), missing, start)

    def _read_objects(self, cells: list[Any], start: int) -> np.ndarray:
        if are_strings(self.what, cells, start):
            row = next(k for k, cell in enumerate(cells, start) if isinstance(cell, str))
            raise TypeError(
                f"{self.what} has {cells[row - start]!r} (str) in row {row}: expected a number"
            )
        missing = missing_cells(cells)
        present = [cell for cell, no in zip(cells, missing, strict=True) if not no]
        return self._complete(as_numbers(self.what, present, start), missing, start)

    def _complete(self, numbers: np.ndarray, missing: np.ndarray, start: int) -> np.ndarray:
        """Return a number for each row, NaN if missing; ``numbers`` has only those present."""
        if numbers.dtype.kind == "f" and np.isnan(numbers).any():
            missing = missing.copy()
            places = np.flatnonzero(~missing)
            missing[places] = np.isnan(numbers)
            numbers = numbers[~np.isnan(numbers)]
        self.rules.refuse_missing(self.what, missing, start)
        if not missing.any():
            return exact(self.what, numbers, self.dtype, range(start, start + len(numbers)))
        if self.dtype.kind != "f":  # the schema says that the column has no missing values
            raise ValueError(
                f"{self.what} has a missing value in row {start + int(np.argmax(missing))}, but "
                "its schema says that it has none: fill it in, or declare the column as nullable"
            )
        found = exact(self.what, numbers, self.dtype, np.flatnonzero(~missing) + start)
        complete = np.full(len(missing), np.nan, self.dtype)
        complete[~missing] = found
        return complete

    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return whole numbers as int64, booleans as classes."""
        names = ["False", "True"] if self._is_flag else None
        if numbers.dtype.kind == "f":
            numbers = numbers.astype(np.float64)  # float16 has no 2**53, only infinity
            if not _are_whole(numbers):
                return numbers, names
        return exact(self.what, numbers, np.dtype(np.int64), range(len(numbers))), names


def _are_whole(numbers: np.ndarray) -> bool:
    """Whether all floats are integers up to 2**53, which are exact."""
    return bool(((abs(numbers) <= 2**53) & (np.trunc(numbers) == numbers)).all())


def exact(what: str, numbers: np.ndarray, dtype: np.dtype, rows: np.ndarray | range) -> np.ndarray:
    """Return numbers in another dtype, which must hold them exactly if they are integers.

    Parameters
    ----------
    what : str
        The name of the column in messages.
    numbers : array of shape (n,)
    dtype : NumPy dtype
    rows : integer array of shape (n,), or range
        Their row numbers.

    Raises
    ------
    ValueError
        An integer has more digits than the dtype holds.
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
