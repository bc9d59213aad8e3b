"""Refuses numbers that are not finite, and says where they are."""

from typing import Any

import numpy as np

from ..backends import Array, array_namespace, backend_of, check_structure, ops
from .reading import not_finite


def check_finite_array(name: str, values: Array, feature_names: list[str] | None = None) -> None:
    """Refuse NaN and infinity in an array on its device.

    Raises
    ------
    ValueError
    """
    xp, backend = array_namespace(values), backend_of(values)
    if not xp.isdtype(values.dtype, "real floating"):
        return
    if backend.scalar(ops.all_finite(values)):
        return
    finite = xp.isfinite(values)
    # Copies from the device one flag for each row, then the first bad row.
    table = xp.reshape(finite, (values.shape[0], -1))
    row = int(np.argmin(backend.to_numpy(xp.all(table, axis=1))))
    cells = np.atleast_1d(backend.to_numpy(values[row, ...]))
    column = int(np.argmin(np.isfinite(cells)))
    where = f"row {row}"
    if values.ndim == 2:
        where += f", column {_column(column, feature_names)}"
    count = backend.scalar(xp.sum(xp.astype(xp.logical_not(finite), xp.int64)))
    raise not_finite(name, int(count), cells[column], where)


def check_finite_sparse(X: Any, feature_names: list[str] | None) -> None:
    """Refuse NaN and infinity, and a CSR structure damaged since ``X`` was read.

    Raises
    ------
    ValueError
    """
    check_structure(X)
    finite = np.isfinite(X.data)
    if finite.all():
        return
    place = int(np.argmin(finite))
    row = int(np.searchsorted(X.indptr, place, side="right")) - 1
    where = f"row {row}, column {_column(int(X.indices[place]), feature_names)}"
    raise not_finite("X", int(np.sum(~finite)), X.data[place], where)


def _column(column: int, feature_names: list[str] | None) -> str:
    return f"{column} ({feature_names[column]!r})" if feature_names else str(column)
