"""Checks for numbers that are NaN or infinite."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array, array_namespace, backend_of, ops


def check_finite(name: str, values: Array, columns: Sequence[str] | None = None) -> None:
    """Raise an error for NaN or infinity in an array; this waits for its device.

    Parameters
    ----------
    name : {"X", "y"}
        For the message.
    values : array of shape (n, ...)
    columns : sequence of str, optional
        The names of the columns.

    Raises
    ------
    ValueError
        The message states how many values are not finite, and the place of the first.
    """
    xp, backend = array_namespace(values), backend_of(values)
    if not xp.isdtype(values.dtype, "real floating"):
        return
    if backend.scalar(ops.all_finite(values)):
        return
    finite = xp.isfinite(values)
    # Copy from the device one flag per row, then the first bad row.
    table = xp.reshape(finite, (values.shape[0], -1))
    row = int(np.argmin(backend.to_numpy(xp.all(table, axis=1))))
    cells = np.atleast_1d(backend.to_numpy(values[row, ...]))
    column = int(np.argmin(np.isfinite(cells)))
    where = f"row {row}"
    if values.ndim == 2:
        where += f", column {named(column, columns)}"
    count = backend.scalar(xp.sum(xp.astype(xp.logical_not(finite), xp.int64)))
    raise not_finite(name, int(count), cells[column], where)


def named(column: int, columns: Sequence[str] | None) -> str:
    """Return a column's number, with its name if the columns have names."""
    return f"{column} ({columns[column]!r})" if columns else str(column)


def not_finite(name: str, count: int, value: Any, where: str) -> ValueError:
    """Return the error for numbers that are NaN or infinite."""
    advice = "drop such rows, or replace the values"
    if np.isnan(value) and name == "X":
        advice = (
            "fill missing cells in with dataset.fill_missing(), those of new data with the values "
            "of the training data, new.fill_missing(train.fill_values); or drop such rows with "
            "dataset.drop_missing()"
        )
    elif np.isnan(value):
        advice = "drop such rows, if labels are missing with dataset.drop_missing()"
    return ValueError(
        f"{name} has {count} value(s) that are not finite, the first ({value}) in {where}: {advice}"
    )
