"""Targets of several heads, given as a dict."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import to_host
from ..backends._errors import shown
from ..data import Dataset
from ..data.reading import read_numbers
from ..losses import Heads, LossFunction


def with_columns(data: Any, loss: LossFunction) -> Any:
    """Return ``(X, y)`` or ``(X, y, sample_weight)`` with a dict ``y`` as columns.

    Raises
    ------
    TypeError, ValueError
        The loss has no heads, or the dict does not have an array for each, of the same length.
    """
    if not isinstance(data, tuple) or len(data) not in (2, 3) or not isinstance(data[1], Mapping):
        return data
    return (data[0], columns_of(data[1], loss), *data[2:])


def columns_of(y: Any, loss: LossFunction) -> Any:
    """Return the targets of a dict as columns, in the order of the heads; others unchanged."""
    if not isinstance(y, Mapping):
        return y
    if not isinstance(loss, Heads):
        raise TypeError(
            f"y is a dict, but {type(loss).__name__} is for one target: expected an array, or a "
            "network with a dict as loss"
        )
    if set(y) != set(loss.heads):
        raise ValueError(
            f"y has the keys {shown(list(y))}: expected those of the loss, {shown([*loss.heads])}"
        )
    found = []
    for name, head in loss.parts.items():
        column = to_host(read_numbers(f"y[{name!r}]", y[name])[0])
        column = column[:, None] if column.ndim == 1 else column
        n_columns = head.targets[1] - head.targets[0]
        if column.ndim != 2 or column.shape[1] != n_columns:
            raise ValueError(
                f"y[{name!r}] has shape {column.shape}: expected (n, {n_columns})"
                + (", class indices" if head.loss.targets == "classes" else "")
            )
        found.append(column)
    if len({len(column) for column in found}) > 1:
        lengths = ", ".join(f"{name} {len(x)}" for name, x in zip(loss.heads, found, strict=True))
        raise ValueError(f"the arrays of y have different lengths: {lengths}")
    return np.concatenate([column.astype(np.float64) for column in found], axis=1)


def check_order(dataset: Dataset, loss: LossFunction) -> None:
    """Refuse columns with the names of the heads in another order."""
    names = dataset.label_name
    if not isinstance(loss, Heads) or not isinstance(names, list) or names == [*loss.heads]:
        return
    if set(names) == set(loss.heads):
        raise ValueError(
            f"y has the columns {shown(names)}: expected {shown([*loss.heads])}, in this order, as "
            "in the loss"
        )
