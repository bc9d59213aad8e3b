"""Classifying and converting Python objects in the cells of a table."""

from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from ..dates import is_date

ENCODE = (
    "encode categories as numbers first, e.g. with np.unique(values, return_inverse=True)[1], "
    "and then as columns with xpnet.data.one_hot (Dataset.from_frame(frame, label=...) encodes the "
    "columns of a data frame)"
)
HINTS = {
    "c": "give the real and the imaginary parts as separate columns",
    "M": (
        "give dates as numbers, e.g. seconds since a fixed day: "
        "(dates - np.datetime64('2020-01-01')) / np.timedelta64(1, 's') for datetime64, or in "
        "polars dates.dt.epoch('s'); or leave them out"
    ),
    "m": (
        "give durations as numbers, e.g. seconds: durations / np.timedelta64(1, 's'), or in polars "
        "durations.dt.total_seconds()"
    ),
}
"""Advice about complex numbers, dates and durations, by the kind of their NumPy dtype."""


def kind_of_time(cell: Any) -> str:
    """Return "M" if a cell is a date, "m" if it is a duration, otherwise ""."""
    if isinstance(cell, (timedelta, np.timedelta64)):
        return "m"
    if isinstance(cell, (date, time, np.datetime64)) or type(cell).__name__ == "Period":
        return "M"
    if isinstance(cell, bytes):
        cell = cell.decode("ascii", "replace")
    return "M" if isinstance(cell, str) and is_date(cell) else ""


def is_missing(cell: Any) -> bool:
    """Whether a Python object stands for a missing value."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):  # pandas: NA has no ==
        return True
    return isinstance(cell, (float, np.floating, Decimal)) and bool(cell != cell)


def is_number(cell: Any) -> bool:
    """Whether a Python object is a real number or a boolean."""
    return isinstance(cell, (bool, int, float, Decimal, np.bool_, np.integer, np.floating))


def missing_cells(cells: Sequence[Any]) -> np.ndarray:
    """Return a boolean array that is True for missing cells."""
    return np.fromiter(map(is_missing, cells), bool, len(cells))


def are_strings(what: str, cells: Sequence[Any], start: int) -> bool:
    """Whether the cells of a column that are not missing are strings; otherwise they are numbers.

    Parameters
    ----------
    what : str
        The name of the column in messages.
    cells : sequence
    start : int
        The number of the first row.

    Raises
    ------
    TypeError
        A cell is neither a string nor a number, or some are numbers and others strings.
    """
    number = text = None
    for row, cell in enumerate(cells, start):
        if isinstance(cell, str):
            text = text or (cell, row)
        elif is_missing(cell):
            continue
        elif is_number(cell):
            number = number or (cell, row)
        else:
            kind = "c" if isinstance(cell, (complex, np.complexfloating)) else kind_of_time(cell)
            advice = HINTS.get(kind, "convert to numbers or strings, or leave the column out")
            raise TypeError(
                f"{what} has {cell!r} ({type(cell).__name__}) in row {row}, not a number: {advice}"
            )
        if number and text:
            raise TypeError(
                f"{what} has the text {text[0]!r} in row {text[1]} and the number {number[0]!r} in "
                f"row {number[1]}: give the column only one of them, or leave it out"
            )
    return text is not None


def as_numbers(what: str, cells: Sequence[Any], start: int = 0) -> np.ndarray:
    """Return cells as an array of booleans, integers or floats; none may be missing.

    Raises
    ------
    ValueError
        An integer is too large for the common dtype of all cells.
    """
    exact = any(isinstance(cell, Decimal) for cell in cells)
    plain = [_without_decimal(cell) for cell in cells] if exact else cells
    whole = all(isinstance(cell, (int, np.integer, np.bool_)) for cell in plain)
    if whole and len(plain):
        numbers = np.asarray(plain)
        if numbers.dtype.kind in "biu":
            return numbers
        kind = np.dtype(np.uint64 if min(plain) >= 0 else np.int64)
        limits = np.iinfo(kind)
        for row, cell in enumerate(plain, start):
            if not limits.min <= cell <= limits.max:
                raise not_exact(what, cell, row, kind)
        return np.array(plain, kind)
    for row, cell in enumerate(plain, start):
        if isinstance(cell, (int, np.integer)) and not _is_float(int(cell)):
            raise not_exact(what, cell, row, np.dtype(np.float64))
    return np.asarray(plain) if len(plain) else np.zeros(0)


def _is_float(cell: int) -> bool:
    """Whether float64 holds an integer exactly."""
    try:
        return int(float(cell)) == cell
    except OverflowError:
        return False


def _without_decimal(cell: Any) -> Any:
    """Return a decimal number as an integer if float64 has too few digits, else as a float."""
    if not isinstance(cell, Decimal):
        return cell
    whole = abs(cell) >= 2**53 and cell.is_finite() and cell == cell.to_integral_value()
    return int(cell) if whole else float(cell)


def not_exact(what: str, cell: Any, row: int, dtype: np.dtype) -> ValueError:
    """Return the error for an integer that ``dtype`` cannot hold exactly."""
    return ValueError(
        f"{what} has {cell} in row {row}, but {dtype} cannot hold all of its digits: give the "
        "column as id= if it identifies the rows, or leave it out"
    )
