"""The reader for each type of column."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Column, Rules
from .categories import CategoryColumn, is_categorical
from .numbers import NumberColumn
from .objects import HINTS, are_strings, as_numbers, missing_cells
from .strings import TextColumn

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


def column_for(name: str, series: "nw.Series[Any]", rules: Rules, may_be_missing: bool) -> Column:
    """Return a reader for a column of this type.

    Parameters
    ----------
    name : str
    series : narwhals.Series
        The whole column, or an empty one of the same type.
    rules : Rules
    may_be_missing : bool
        Whether later cells may be missing, even if none in ``series`` is.

    Raises
    ------
    TypeError
        The values are not numbers, strings or categories; or some are numbers and others strings.
    """
    what, dtype = f"{rules.where}, column {name!r}", series.dtype
    kind = str(dtype)
    if kind == "String":
        return TextColumn(name, rules)
    if is_categorical(dtype):
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
            f"{what} has the type {dtype}, expected numbers, strings or categories: convert it to "
            "columns of numbers, or leave it out"
        )
    if series.null_count() == len(series):  # the type of an empty column depends on the library
        return NumberColumn(name, rules, np.float64, may_be_missing)
    values = np.asarray(series.to_numpy())
    if values.dtype.kind in "biuf":  # e.g. a sparse column of pandas
        return NumberColumn(name, rules, values.dtype, may_be_missing)
    if values.dtype.kind != "O":
        hint = HINTS.get(values.dtype.kind, "convert it to numbers or strings, or leave it out")
        raise TypeError(f"{what} has the type {values.dtype}, expected numbers: {hint}")
    cells = series.to_list()
    if are_strings(what, cells, 0):
        return TextColumn(name, rules)
    missing = missing_cells(cells)
    present = [cell for cell, no in zip(cells, missing, strict=True) if not no]
    return NumberColumn(name, rules, as_numbers(what, present).dtype, bool(missing.any()))
