"""Targets of several heads, given as a dict or a data frame."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import to_host
from ..backends._errors import shown
from ..data import Dataset, as_dataset
from ..data.classes import names_for_strings, read_labels, recoded, with_missing_replaced
from ..data.reading import move_to_device_of
from ..data.tables.typed.frame_types import as_frame, column_names
from ..losses import Heads, LossFunction
from ..losses.head_metrics import Head
from .checks import naming_argument
from .known import Known

ClassNames = Mapping[str, list[str]]
"""The names of the classes of each head whose labels are text."""


def read_dataset(data: Any, loss: LossFunction, earlier: Known | None = None) -> Dataset:
    """Return data as a data set; targets by head become columns, and ``class_names`` a dict.

    Parameters
    ----------
    data : Dataset, (X, y) or (X, y, sample_weight)
    loss : LossFunction
    earlier : Known, optional
        The names of earlier data. If their labels were text, numbers are refused for named classes,
        unless the loss names them.

    Raises
    ------
    TypeError, ValueError
        The targets are not those of the heads, or have different lengths. Or the loss has no heads,
        and some of several targets are text.
    """
    names: dict[str, list[str]] = {}
    known = classes = None
    was_text, missing = False, "error"
    if earlier is not None:
        known, classes = earlier.names_by_head, earlier.list_of_names
        was_text, missing = earlier.has_text_labels, earlier.missing
    if isinstance(data, tuple) and len(data) in (2, 3):
        columns, names = columns_of(data[1], loss, known, was_text=was_text)
        data = (data[0], columns, *data[2:])
        if (own := names_for_strings(columns, classes)) is not None:
            X, weights = data[0], data[2] if len(data) == 3 else None
            data = Dataset(X, columns, sample_weight=weights, class_names=own, missing=missing)
    dataset = as_dataset(data, missing)
    if isinstance(loss, Heads) and isinstance(dataset.class_names, list):
        of_classes = [k for k, each in loss.heads.items() if each[0].targets == "classes"]
        head = [*of_classes, *loss.heads][0]
        raise ValueError(
            f"y has the class names {shown(dataset.class_names)}, but which head they belong to is "
            f"unknown: give (X, y) with y as a dict, {{{head!r}: ...}}. To name classes that do "
            f"not occur in y, give loss=Heads(..., class_names={{{head!r}: [...]}})"
        )
    if not names:
        dataset = _in_order(dataset, loss, known, was_text)
    given = (loss.class_names or {}) if isinstance(loss, Heads) else {}
    if (names or given) and dataset.y is not None and dataset.class_names is None:
        dataset = copy.copy(dataset)  # not to change the user's
        dataset.class_names = {**given, **names}
        dataset.has_text_labels = _are_text(names, loss, known, was_text)
    return dataset


def _are_text(
    names: ClassNames, loss: LossFunction, known: ClassNames | None, was_text: bool
) -> bool:
    """Whether these or earlier labels were text, rather than indices of named classes."""
    given = (loss.class_names or {}) if isinstance(loss, Heads) else {}
    return was_text or bool(names.keys() - given.keys() - (known or {}).keys())


def _in_order(
    dataset: Dataset, loss: LossFunction, known: ClassNames | None, was_text: bool
) -> Dataset:
    """Return a data set with its named targets in the order of the heads.

    Targets without names must be in this order. Numbers are refused if earlier targets were text,
    as in a dict.
    """
    names, classes = dataset.label_name, dataset.class_names
    is_one = isinstance(names, str)
    names = [names] if isinstance(names, str) else names or []
    if not isinstance(loss, Heads):
        if isinstance(classes, dict):
            raise TypeError(
                f"the data set has the targets {shown(names)} by name, but {type(loss).__name__} "
                "is for one target: expected a network with a dict as loss"
            )
        return dataset
    if dataset.y is None:
        return dataset
    have_names = _are_names(names) and not (is_one and _is_other(names, loss))
    were_text = was_text and known
    if classes is None and not were_text and (not have_names or names == [*loss.heads]):
        return dataset
    host = to_host(dataset.y).reshape(len(dataset), -1)
    if have_names or (names and classes is not None):
        targets = dict(zip(names, host.T, strict=True))
    elif host.shape[1] != loss.n_targets(0):  # refused later
        return dataset
    else:
        targets = {name: host[:, slice(*head.targets)] for name, head in loss.parts.items()}
    columns, found = columns_of(targets, loss, known, classes, was_text)
    ordered = copy.copy(dataset)
    ordered.y = move_to_device_of("y", columns, dataset.features, (1, 2))
    ordered.label_name = [*loss.heads] if have_names else dataset.label_name
    ordered.class_names = found or None
    ordered.has_text_labels = _are_text(found, loss, known, was_text)
    return ordered


def columns_of(
    y: Any,
    loss: LossFunction,
    known: ClassNames | None = None,
    own_names: ClassNames | None = None,
    was_text: bool = False,
) -> tuple[Any, dict[str, list[str]]]:
    """Return targets by head as columns in the order of the heads, and the names of classes.

    Other targets are returned unchanged, without names. ``own_names`` has the names of the classes
    of targets that are class indices already. ``was_text`` is whether earlier labels were text.
    """
    y = _by_head(y, loss)
    if not isinstance(y, Mapping) or not isinstance(loss, Heads):
        return y, {}
    if set(y) != set(loss.heads):
        raise ValueError(
            f"y has the targets {shown(list(y))}: expected those of the loss, "
            f"{shown([*loss.heads])}, each with all columns of its head. To give columns in the "
            "order of the heads, without names, give an array"
        )
    given = loss.class_names or {}
    found, names = [], {**(known or {}), **given}
    for name, head in loss.parts.items():
        with naming_argument(f"the head {name!r}"):
            coded = None if own_names is None else own_names.get(name)
            takes_numbers = name in given or not was_text
            column, own = _read(name, y[name], head, names.get(name), coded, takes_numbers)
        if own is not None and known is not None and name not in names:
            raise ValueError(
                f"the head {name!r}: y has text, e.g. {own[0]!r}, but the training targets were "
                "numbers, or missing in the first batch: give numbers, or name the classes with "
                f"loss=Heads(..., class_names={{{name!r}: [...]}})"
            )
        names |= {} if own is None else {name: own}
        found.append(column)
    if len({len(column) for column in found}) > 1:
        lengths = ", ".join(f"{name} {len(x)}" for name, x in zip(loss.heads, found, strict=True))
        raise ValueError(f"the arrays of y have different lengths: {lengths}")
    return np.concatenate([column.astype(np.float64) for column in found], axis=1), names


def _are_names(columns: list[str]) -> bool:
    """Whether columns have names, and not only numbers, as pandas gives them."""
    return columns != [str(k) for k in range(len(columns))]


def _is_other(columns: list[str], loss: Heads) -> bool:
    """Whether a single column is not named like the single head."""
    return len(columns) == len(loss.heads) == 1 and columns != [*loss.heads]


def _by_head(y: Any, loss: LossFunction) -> Any:
    """Return a data frame as a dict of its columns; others unchanged.

    A single column under another name is the target of a single head, as a series is.
    """
    if not isinstance(loss, Heads) or isinstance(y, Mapping):
        return y
    columns = column_names(y) or []
    if not _are_names(columns) or _is_other(columns, loss):
        return y
    frame = as_frame("y", y)
    return {name: frame.get_column(name).to_native() for name in columns}


def _read(
    name: str,
    given: Any,
    head: Head,
    names: list[str] | None,
    own: list[str] | None,
    takes_numbers: bool,
) -> tuple[np.ndarray, list[str] | None]:
    """Return the targets of a head as columns, and its class names if they are text.

    ``names`` are the classes of the training data; ``own`` are given for targets that are indices.
    ``takes_numbers`` is whether numbers may stand for the named classes.
    """
    missing = None
    if head.ignore_missing:
        given, missing = with_missing_replaced(given)
    column: np.ndarray
    if own is None:
        given, _, own = read_labels(given, names_for_strings(given, names))
    column = to_host(given)
    if names is not None and own is not None:
        column, own = recoded(column, own, names, "class_names"), names
    elif names is not None and not takes_numbers and (missing is None or not missing.all()):
        raise ValueError(
            f"y has numbers, but the training targets were text, such as {shown(names[0])}: give "
            "the names of the classes"
        )
    column = column[:, None] if column.ndim == 1 else column
    if column.ndim != 2 or column.shape[1] != head.n_targets:
        raise ValueError(
            f"y[{name!r}] has shape {column.shape}: expected (n, {head.n_targets})"
            + (", class indices" if head.loss.targets == "classes" else "")
        )
    if own is not None and head.loss.targets not in ("classes", "binary", "probabilities"):
        raise ValueError(
            f"y has text, e.g. {own[0]!r}, and {type(head.loss).__name__} is for numbers: give "
            "the head a classification loss, such as 'softmax_cross_entropy', or numbers"
        )
    if own is None and column.dtype.kind in "iu" and np.abs(column.astype(float)).max() > 2**53:
        raise ValueError(
            "y has whole numbers above 2**53, which lose digits in float64, the type of all heads: "
            "subtract a fixed number from them first"
        )
    if missing is None:
        if (wrong := np.argwhere(~np.isfinite(column))).size:
            raise ValueError(
                f"y has {len(wrong)} value(s) that are not finite, the first "
                f"({column[tuple(wrong[0])]}) in row {wrong[0][0]}: drop such rows, fill in "
                "the values, or give loss=Heads(..., ignore_missing=True), which takes NaN as a "
                "missing target"
            )
        return column, own
    column = column.astype(np.float64)
    column[missing] = np.nan
    return column, own


def check_finite(dataset: Dataset, loss: LossFunction) -> None:
    """Refuse NaN and infinity, except for NaN as a missing target."""
    if not isinstance(loss, Heads) or not loss.ignore_missing or dataset.y is None:
        dataset.check_finite()
        return
    dataset.features.check_finite(dataset.feature_names)
    if (wrong := np.argwhere(np.isinf(to_host(dataset.y)))).size:
        row, column = map(int, wrong[0])
        raise ValueError(
            f"y has {len(wrong)} infinite value(s), the first in row {row}, column {column}"
        )
