"""Labels that are strings: class names, and the class indices 0, 1, ... that they become."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backends import is_array, to_host
from ..backends._errors import shown
from ..backends._warnings import warn
from ..common.checks import but_for_spaces, check_distinct, check_distinguishable, check_strings
from .reading import read_numbers
from .tables.cells import is_missing, is_missing_category
from .tables.dates import may_be_time
from .tables.strings import CellError, StringCodes, label_meaning
from .tables.typed.categories import categories_of, is_categorical
from .tables.typed.frame_types import as_frame, as_series, column_names
from .tables.typed.objects import HINTS, are_strings, missing_cells

_MISSING = "fill them in or drop these rows"
_NAMES = (
    "If these are names of classes, give Dataset(X, y, class_names=[...]) or a categorical type"
)
_WHOLE = re.compile(r"[-+]?\d+")


def read_labels(
    y: Any, class_names: Sequence[str] | None = None, are_names: bool = False
) -> tuple[Any, list[str], list[str] | None]:
    """Return labels as numbers, the names of their columns, and the names of the classes.

    Strings become the classes 0, 1, ... (``int64``), in sorted order or that of ``class_names``. A
    categorical dtype, even one of numbers, keeps the order of its categories. Names are not
    changed; two that differ only in spaces around them are refused. Other labels are read as
    numbers.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, ...)
    class_names : sequence of str, optional
    are_names : bool, default False
        Whether strings are names even if they look like numbers, as with ``class_names``. Otherwise
        strings that are mostly numbers or times are refused, unless all are integers.

    Raises
    ------
    TypeError
        Some labels are strings and others are not, or a label is bytes.
    ValueError
        A label is missing or is not among ``class_names``. Or labels that are strings have more
        than one column, or are numbers or times. Or two names differ only in spaces around them.
    """
    given = check_class_names(class_names)
    column, names_of_columns = _only_column(as_series(y))
    found = _categories(column)
    if found is None and (texts := _as_strings(column)) is not None:
        found = _coded(texts, are_names or given is not None)
    if found is None:
        return *read_numbers("y", y), given
    codes, names = found
    if given is None:
        return codes, names_of_columns, names
    return recoded(codes, names, given, "class_names"), names_of_columns, given


def check_class_names(given: Sequence[str] | None) -> list[str] | None:
    """Return the names of classes as a list after checking them; None for None."""
    if given is None:
        return None
    names = check_strings("class_names", given)
    check_distinguishable("class_names has", names)
    return names


def targets_by_name(y: Any) -> dict[str, Any] | None:
    """Return several targets by name, or None for labels that are read as one array.

    Several targets are a dict, or a data frame with strings or missing values.
    """
    if isinstance(y, Mapping):
        check_distinct("y has targets", [str(name) for name in y])
        return {str(name): each for name, each in y.items()}
    if len(column_names(y) or []) < 2:
        return None
    frame = as_frame("y", y)
    if all(map(_are_numbers, frame.iter_columns())):
        return None
    return {str(name): frame.get_column(name).to_native() for name in frame.columns}


def _are_numbers(column: Any) -> bool:
    """Whether a column holds numbers or booleans, none of them missing."""
    kind = column.dtype
    if not (kind.is_numeric() or str(kind) == "Boolean") or column.null_count():
        return False
    return not (kind.is_float() and column.is_nan().any())


def read_y(
    y: Any, class_names: Sequence[str] | None = None
) -> tuple[Any, list[str], list[str] | dict[str, list[str]] | None]:
    """Return the labels, or several targets, of a data set, as :func:`read_labels` does.

    With several targets, the class names are a dict with a list for each target of strings.
    """
    if (targets := targets_by_name(y)) is None:
        return read_labels(y, class_names)
    if class_names is not None:
        raise TypeError(
            "class_names is for one target, and y has several: give the network "
            "loss=Heads(..., class_names={...})"
        )
    columns, classes = read_targets(targets)
    return columns, [*targets], classes or None


def read_targets(targets: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Return several targets as columns of float64, and the class names of targets of strings.

    Missing targets are NaN, which some heads of a network ignore.

    Raises
    ------
    TypeError, ValueError
        A target is not one column of numbers or strings, or has integers that float64 cannot hold;
        the message begins with its name. Or targets have different lengths.
    """
    if not targets:
        raise ValueError("y is an empty dict: expected an array for each target")
    columns: dict[str, np.ndarray] = {}
    classes: dict[str, list[str]] = {}
    for name, given in targets.items():
        try:
            present, missing = with_missing_replaced(given)
            column, _, names = read_labels(present)
        except (TypeError, ValueError) as error:
            raise type(error)(f"the target {name!r}: {error}") from error
        host = to_host(column)
        if host.ndim > 2 or host.shape[1:] not in ((), (1,)):
            raise ValueError(
                f"the target {name!r} has shape {host.shape}: expected (n,). Only a network with "
                "heads takes a target of several columns: give fit(X, y) the dict itself as y, not "
                "a Dataset"
            )
        if host.dtype.kind in "iu" and host.size and np.abs(host.astype(float)).max() > 2**53:
            raise ValueError(
                f"the target {name!r} has whole numbers above 2**53, which lose digits in float64, "
                "the type of several targets: subtract a fixed number from them first"
            )
        columns[name] = host.reshape(-1).astype(np.float64)
        columns[name][missing] = np.nan
        classes |= {} if names is None else {name: names}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the targets have different numbers of rows: {shown(lengths)}")
    return np.column_stack([*columns.values()]), classes


def with_missing_replaced(given: Any) -> tuple[Any, np.ndarray]:
    """Return targets with missing values replaced by present ones, and a mask of those rows.

    The rows stay in place. The type is kept, and with it the order of its categories.
    """
    column = _only_column(as_series(given))[0]
    is_list = isinstance(column, (list, tuple))
    host: Any = column
    if isinstance(column, np.ma.MaskedArray):
        return given, np.zeros(0, bool)  # read_labels refuses it
    if hasattr(column, "to_native"):
        lost = missing_cells(column.to_list())
    elif is_list or is_array(column) or column_names(column) is not None:
        host = np.asarray(column, object) if is_list else to_host(column)
        if host.dtype.kind == "O":
            lost = missing_cells(host.ravel().tolist()).reshape(host.shape)
        else:
            lost = np.isnan(host) if host.dtype.kind == "f" else np.zeros(len(host), bool)
    else:
        return given, np.zeros(0, bool)
    rows: np.ndarray = np.any(lost.reshape(len(host), -1), axis=1)
    if not rows.any():
        return given, rows
    if rows.all():  # refused later if they are all labels of a data set
        return np.zeros(lost.shape), rows
    index = np.where(rows, np.argmin(rows), np.arange(len(rows)))
    if hasattr(column, "to_native"):
        return column[index.tolist()].to_native(), rows
    return host[index].tolist() if is_list else host[index], rows


def recoded(codes: np.ndarray, own: list[str], names: list[str], where: str) -> np.ndarray:
    """Return class indices that refer to another list of names.

    Parameters
    ----------
    codes : int array of shape (n,) or (n, 1)
        Indices into ``own``; other numbers, such as a loss's ``ignore_index``, are not changed.
    own, names : list of str
    where : str
        How the message refers to ``names``.

    Raises
    ------
    ValueError
        The name of a class that occurs is not among ``names``.
    """
    place = {name: k for k, name in enumerate(names)}
    table = np.array([place.get(name, -1) for name in own], np.int64)
    known = (codes >= 0) & (codes < len(own))
    result: np.ndarray = codes.astype(np.int64)
    result[known] = table[result[known]]
    unknown = known & (result < 0)
    if unknown.any():
        first = int(np.argmax(unknown.ravel()))
        name = own[int(codes.ravel()[first])]
        raise _unknown(name, first, where, names)
    return result


def _unknown(name: str, row: int, where: str, names: list[str]) -> ValueError:
    return ValueError(
        f"y has the class {name!r} in row {row}, which is not among {where}: {shown(names)}"
        f"{but_for_spaces(name, names)}"
    )


def _only_column(y: Any) -> tuple[Any, list[str]]:
    """Return the only column of a data frame, or the given object, and its name in a list."""
    names = column_names(y)
    if names is not None and len(names) == 1:
        frame = as_frame("y", y)
        return frame.get_column(frame.columns[0]), names
    if names is not None or is_array(y) or not hasattr(y, "to_numpy"):
        return y, []
    import narwhals.stable.v2 as nw

    series = nw.from_native(y, series_only=True, pass_through=True)
    name = getattr(series, "name", None)
    return series, [str(name)] if name else []


def _categories(column: Any) -> tuple[np.ndarray, list[str]] | None:
    """Return the codes and names of a categorical column; None for any other."""
    if not hasattr(column, "to_native") or not is_categorical(column.dtype):
        return None
    codes, names, is_ordered = categories_of("y", column, only_used=False)
    codes = np.asarray(codes, np.int64)
    _refuse_missing(codes < 0)
    check_distinguishable("y has the categories", names)
    return (codes, names) if is_ordered else (np.argsort(np.argsort(names))[codes], sorted(names))


def _as_strings(column: Any) -> np.ndarray | None:
    """Return labels as an array of Python strings, or None if they are not strings."""
    if hasattr(column, "to_native"):
        cells: Any = np.asarray(column.to_list(), dtype=object)
    elif is_array(column) and not isinstance(column, np.ndarray):
        return None
    elif isinstance(column, np.ndarray):
        cells = column.astype(object) if column.dtype.kind in "SUT" else column
    elif isinstance(column, (list, tuple)):
        try:
            kind = np.asarray(column).dtype.kind
        except ValueError:  # rows of different lengths, which are refused as numbers
            return None
        cells = np.asarray(column, dtype=object) if kind in "SUO" else None
    else:
        return None
    if cells is None or cells.dtype.kind != "O" or not cells.ndim:
        return None
    flat = cells.ravel().tolist()
    _refuse_bytes(flat)
    first = next((cell for cell in flat if isinstance(cell, str)), None)
    if first is None:
        return None
    are_strings("y", flat, 0)  # refuses cells that are neither strings nor missing
    _refuse_missing(missing_cells(flat))
    if cells.size != len(cells):
        raise ValueError(
            f"y has text in {cells.size // len(cells)} columns: expected one class for each "
            "sample. If a sample can have several, give a column of 0 and 1 for each class"
        )
    flat_cells: np.ndarray = cells.ravel()
    return flat_cells


def _refuse_bytes(cells: list[Any]) -> None:
    """Refuse bytes, since their text depends on an encoding."""
    row = next((row for row, cell in enumerate(cells) if isinstance(cell, bytes)), None)
    if row is not None:
        raise TypeError(
            f"y has {cells[row]!r} (bytes) in row {row}: to use bytes as class names, decode them, "
            "e.g. [label.decode() for label in y]"
        )


def _refuse_missing(missing: np.ndarray) -> None:
    if missing.any():
        raise ValueError(
            f"y has {missing.sum()} missing value(s) (NaN or None), the first in row "
            f"{int(np.argmax(missing))}: {_MISSING}"
        )


def _coded(texts: np.ndarray, are_names: bool) -> tuple[np.ndarray, list[str]]:
    """Return the class of each string, and the sorted names."""
    cells = list(map(str, texts.tolist()))
    names = sorted(set(cells))
    check_distinguishable("y has the classes", names)
    if (missing := next(filter(is_missing_category, names), None)) is not None:
        raise ValueError(
            f"y has {missing!r} in row {cells.index(missing)}, which stands for a missing "
            f"value: {_MISSING}"
        )
    are_whole = all(_WHOLE.fullmatch(name.strip()) for name in names)  # as the digits "0" to "9"
    if not are_names and not are_whole:
        _refuse_numbers(cells)
    place = {name: k for k, name in enumerate(names)}
    return np.fromiter(map(place.__getitem__, cells), np.int64, len(cells)), names


def _refuse_numbers(cells: list[str]) -> None:
    """Refuse strings that a table's label may not have, or that a table would read as numbers."""
    texts = StringCodes()
    texts.codes(cells)
    try:
        meaning = label_meaning(texts, ".", keeps_missing=False)
        if meaning.names is not None:
            for text, doubt in meaning.doubts:
                warn(f"y, row {cells.index(text)}: {doubt}. {_NAMES}")
            return
        text, problem = cells[0], "a number written as text: convert y with astype(float)"
    except CellError as error:
        text = error.text
        problem = (
            "among strings that look like numbers, some with separators, currencies or units: "
            "give y as numbers"
        )
        if is_missing(text):
            problem = f"which stands for a missing value among numbers: {_MISSING}"
        elif may_be_time(text):
            problem = f"a date or a time: {HINTS['M']}"
    raise ValueError(f"y has {text!r} in row {cells.index(text)}, {problem}. {_NAMES}")


def names_for_strings(y: Any, names: Any) -> list[str] | None:
    """Return ``names`` if ``y`` holds strings, which may then look like numbers; None otherwise.

    Parameters
    ----------
    y : array-like
    names : list of str, or anything else if no classes are known

    Raises
    ------
    ValueError
        A string is not among the names.

    Examples
    --------
    >>> names = ["1", "2", "none"]
    >>> names_for_strings(["1", "2"], names), names_for_strings([1, 2], names)
    (['1', '2', 'none'], None)
    """
    if not isinstance(names, list) or (texts := _as_strings(_only_column(as_series(y))[0])) is None:
        return None
    cells = list(map(str, texts.tolist()))
    if other := {each for each in cells if not is_missing_category(each)}.difference(names):
        row = next(row for row, each in enumerate(cells) if each in other)
        raise _unknown(cells[row], row, "the classes of the training data", names)
    return names


def recoded_targets(y: Any, own: list[str] | None, names: list[str] | None) -> np.ndarray | None:
    """Return targets as indices into other class names, on the host, or None if nothing changes.

    Parameters
    ----------
    y : array
    own : list of str or None
        The names of the classes in ``y``; None if it holds numbers, which do not change.
    names : list of str or None
        The class names of the training data.

    Raises
    ------
    ValueError
        A class that occurs in ``y`` is not among ``names``, or ``y`` has a column for each class
        and the names differ.
    """
    if own is None or names is None or own == names:
        return None
    host = to_host(y)
    if host.ndim == 2 and host.shape[1] > 1:
        raise ValueError(
            f"y has columns for the classes {shown(own)}: expected a column for each class of the "
            f"training data, {shown(names)}"
        )
    if host.dtype.kind not in "biu" and not np.array_equal(host, np.floor(host)):
        raise ValueError(
            "y has numbers that are not whole, though its classes have names: expected the "
            "indices of the names, from 0"
        )
    return recoded(host.astype(np.int64), own, names, "the classes of the training data")
