"""Reading real numbers from arrays, lists, tables and sparse matrices; other data are refused."""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from ..backends import Array, array_namespace, is_array, move, to_host
from ..backends._errors import shown
from ..backends._warnings import warn
from ..common.checks import check_distinct, check_strings
from .canonical import canonical
from .digits import precision_problem
from .features import Features, SparseRows, StoredRows, kind_of
from .flattened import flattened
from .stored import read_all
from .tables.selection import Request
from .tables.typed.frame_types import as_frame, as_series, column_names, is_lazy
from .tables.typed.frames import read_frame
from .tables.typed.objects import ENCODE, HINTS, as_numbers, is_number, kind_of_time, missing_cells

_REAL = ("bool", "integral", "real floating")
_KEEP = (
    "fill them in or drop these rows, e.g. with data = Dataset.from_frame(frame, missing='keep') "
    "and data.fill_missing() or data.drop_missing()"
)


def read_features(
    X: Any, keeps_missing: bool = False
) -> tuple[Features, list[str], dict[int, list[str | None]]]:
    """Return features as rows, their column names, and their categories by column position.

    Only data frames have names and categories; otherwise both are empty. Stored data are not read.
    Missing cells of a data frame are refused unless ``keeps_missing``.

    Raises
    ------
    TypeError, ValueError
        The features are not a table of real numbers, or have missing values.
    """
    kind, names = kind_of(X), cast(list[str], [])
    categories: dict[int, list[str | None]] = {}
    rows: Any = X
    if kind is SparseRows:
        rows = canonical(X) if X.ndim == 2 else X
        if not np.isdtype(rows.dtype, _REAL):
            raise _not_numbers("X", rows.dtype)
    elif isinstance(X, Mapping):  # such as an HDF5 or a .npz file
        raise TypeError(
            f"X is a {type(X).__name__}, which holds arrays by name: give one of them, "
            f"e.g. X[{next(iter(X), 'name')!r}], or a table with all of them as its columns"
        )
    elif kind is StoredRows:
        if np.dtype(X.dtype).kind not in "biuf":
            raise _not_numbers("X", np.dtype(X.dtype))
        if any(size != size for size in X.shape):  # NaN, in Dask
            raise ValueError(
                f"X has the unknown shape {tuple(X.shape)}: call X.compute_chunk_sizes() first"
            )
        if len(X.shape) > 2 and math.prod(X.shape[1:]):
            rows = flattened(X)
    elif column_names(X) is not None or is_lazy(X):
        request = Request(keeps_missing=keeps_missing)
        table = read_frame(X, "X", request, advice=_KEEP, may_be_empty=True)
        rows, names = table.X, table.feature_names
        categories = {names.index(name): found for name, found in table.categories.items()}
    else:
        rows, names = read_numbers("X", X)
        if rows.ndim > 2 and math.prod(rows.shape[1:]):
            rows = array_namespace(rows).reshape(rows, (rows.shape[0], math.prod(rows.shape[1:])))
    _check_table(rows, X)
    return kind(rows), names, categories


def check_label_name(given: Any, found: list[str], y: Array | None) -> str | list[str] | None:
    """Return the name of the labels, a name for each of several columns, or None.

    Parameters
    ----------
    given : str, sequence of str or None
        By default, the names in ``found``.
    found : list of str
    y : array or None

    Raises
    ------
    ValueError
        There are not as many names as columns, or a name occurs twice.
    """
    if given is None and not found:
        return None
    if isinstance(given, str):
        return given
    names = check_strings("label_name", found if given is None else given)
    n_columns = y.shape[1] if y is not None and y.ndim == 2 else 1
    if len(names) != n_columns:
        raise ValueError(
            f"label_name has {len(names)} names, but y has {n_columns} columns: expected one for "
            "each"
        )
    check_distinct("label_name has", names)
    return names[0] if len(names) == 1 else names


def read_numbers(name: str, values: Any) -> tuple[Array, list[str]]:
    """Return real numbers as an array, and the names of its columns, or [].

    Raises
    ------
    TypeError
        The values are a sparse matrix, or not real numbers.
    ValueError
        Values are missing, or rows have different lengths.
    """
    names: list[str] = []
    kind = kind_of(values)
    if kind is SparseRows:
        flat = ".ravel()" if name == "sample_weight" else ""
        raise TypeError(f"{name} is sparse: give {name}.toarray(){flat}")
    if kind is StoredRows:  # labels and weights are small enough for memory
        mapped = isinstance(values, np.memmap) and values.ndim
        values = read_all(values) if mapped else np.array(values[:])
    elif isinstance(values, np.memmap):  # a copy of a memory map, or a result computed from one
        values = np.asarray(values)
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it in first, with {name}.filled(...)")
    if not is_array(values) and (hasattr(values, "to_numpy") or column_names(values)):
        values, names = _read_frame(name, as_series(values))
    elif not is_array(values):
        values = _as_array(name, values)
    if isinstance(values, np.ndarray) and values.ndim == 0 and values.dtype.kind in "US":
        raise _text(name, values.item())
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = _read_objects(name, values)
    if str(values.dtype).endswith("bfloat16"):
        call = "float()" if hasattr(values, "float") else "astype('float32')"
        raise TypeError(f"{name} has the type {values.dtype}: convert it, with {name}.{call}")
    if not array_namespace(values).isdtype(values.dtype, _REAL):
        raise _not_numbers(name, values.dtype, values)
    return values, names


def _as_array(name: str, values: Any) -> np.ndarray:
    """Return lists as an array; refuse lists of byte arrays or pyarrow scalars.

    NumPy would convert them to numbers: a pyarrow string becomes a row of character codes.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        _refuse_buffers(name, values)
        raise ValueError(f"{name} has rows of different lengths ({error})") from error
    if array.dtype.kind == "O" or (array.dtype.kind in "iu" and array.dtype.itemsize == 1):
        _refuse_buffers(name, values)
    return array


def _refuse_buffers(name: str, values: Any) -> None:
    for each in values if isinstance(values, (list, tuple)) else ():
        if isinstance(each, bytearray) or hasattr(each, "as_py"):
            call = "list(each)" if isinstance(each, bytearray) else "each.as_py()"
            raise TypeError(
                f"{name} has {each!r} ({type(each).__name__}) in a list: give Python numbers or "
                f"strings, such as {call}"
            )
        if isinstance(each, (list, tuple)):
            _refuse_buffers(name, each)


def _read_frame(name: str, frame: Any) -> tuple[np.ndarray, list[str]]:
    """Return a data frame or a Series as an array, and its names; refuse missing values."""
    names = column_names(frame)
    if names is None:
        own = getattr(frame, "name", None)
        what = f"{name} ({own!r})" if own else name
        # A copy, because the frame may change later.
        return _read_column(what, np.array(frame.to_numpy())), [str(own)] if own else []
    parts = [
        _read_column(f"{name}, column {column!r}", series.to_numpy())
        for column, series in zip(names, as_frame(name, frame).iter_columns(), strict=True)
    ]
    table = np.column_stack(parts)
    if table.dtype.kind == "f" and all(part.dtype.kind in "biu" for part in parts):
        raise TypeError(
            f"{name} has columns of uint64 and of signed integers: cast them to one type"
        )
    return table, names


def _read_objects(name: str, values: np.ndarray) -> np.ndarray:
    """Return an array of Python objects as an array of numbers, or refuse it."""
    if values.ndim == 0:  # NumPy has wrapped an object of an unknown type
        raise TypeError(f"{name} is a {type(values.item()).__name__}: expected arrays or lists")
    if values.ndim != 2:
        return _read_column(name, values)
    parts = [_read_column(f"{name}, column {k}", values[:, k]) for k in range(values.shape[1])]
    return np.column_stack(parts) if parts else values.astype(np.float64)


def _read_column(what: str, values: np.ndarray) -> np.ndarray:
    """Return one column as numbers, or refuse it; ``what`` is its name in messages."""
    cells = values.ravel().tolist() if values.dtype.kind == "O" else []
    missing = np.isnan(values) if values.dtype.kind == "f" else missing_cells(cells)
    if missing.any():
        raise ValueError(
            f"{what} has {missing.sum()} missing value(s) (NaN or None), the first in row "
            f"{int(np.argmax(missing))}: fill them in or drop these rows"
        )
    for row, cell in enumerate(cells):
        if not is_number(cell):
            raise TypeError(
                f"{what} has {cell!r} ({type(cell).__name__}) in row {row}, not a number: "
                f"{HINTS.get(kind_of_time(cell), ENCODE)}"
            )
    if values.dtype.kind == "O" and not cells:  # no rows
        return values.astype(np.float64)
    numbers = as_numbers(what, cells).reshape(values.shape) if cells else values
    if numbers.dtype.kind not in "biuf":
        raise _not_numbers(what, numbers.dtype, numbers)
    return numbers


def refuse_times(name: str, values: Any) -> None:
    """Refuse dates and durations in arrays, lists or tables.

    NumPy and scikit-learn convert them to integers: days, or nanoseconds since 1970.

    Raises
    ------
    TypeError
        The values are dates or durations; the message says how to convert them to numbers.
    """
    # By column, because NumPy may convert a table of mixed types to floats as a whole.
    if hasattr(values, "columns"):
        # The ``columns`` of a pyarrow table are arrays, not names.
        for column in getattr(values, "column_names", values.columns):
            refuse_times(f"{name}, column {str(column)!r},", np.asarray(values[column]))
        return
    try:
        host = np.asarray(values)
    except ValueError:  # rows of different lengths, which the caller refuses
        return
    kinds: set[str] = {host.dtype.kind}
    if host.dtype.kind == "O":
        kinds = {kind_of_time(cell) for cell in host.flat}
    elif host.dtype.kind in "UST" and host.size:
        kinds = {kind_of_time(host.flat[0])}
    for kind in ("M", "m"):
        if kind in kinds:
            raise TypeError(f"{name} has dates or durations, expected numbers: {HINTS[kind]}")


def _not_numbers(what: str, dtype: Any, values: Any = None) -> TypeError:
    # The dtypes of other libraries have no kind; here, they can only be complex.
    kind = getattr(dtype, "kind", "c")
    if kind in "UST" and isinstance(values, np.ndarray) and values.size:
        kind = kind_of_time(values.flat[0])
    hint = HINTS.get(kind, ENCODE)
    return TypeError(f"{what} has the type {dtype}, expected booleans, integers or floats: {hint}")


def _text(name: str, text: Any) -> TypeError:
    hint = ""
    if name == "X":
        hint = ". To read a CSV file, give Dataset.from_csv(path, label=...)"
    elif name == "y":
        hint = ". A column of a data frame is named by Dataset.from_frame(frame, label=...)"
    return TypeError(f"{name}={shown(text)}: expected an array or a list of numbers{hint}")


def _check_table(X: Array, given: Any) -> None:
    """Refuse features that are not a table.

    ``given`` is the object from which ``X`` was read; the advice depends on its type.
    """
    shape = tuple(X.shape)
    call = "X.reshape(" if hasattr(given, "reshape") else "np.reshape(X, "
    if len(shape) == 2 and shape[1] > 0:
        return
    hint = "give a table with a row for each sample"
    if shape == (0,):
        raise ValueError("X has no rows: expected a row of features for each sample")
    if len(shape) == 1 and hasattr(given, "to_frame"):
        hint = "for one feature give X.to_frame()"
    elif len(shape) == 1:
        hint = f"for one feature give {call}({shape[0]}, 1)), for one sample {call}(1, -1))"
    elif len(shape) > 2:
        hint = f"flatten each sample: {call}({shape[0]}, -1))"
    raise ValueError(f"X has shape {shape}, expected (n_samples, n_features): {hint}")


def check_weights(weights: Array) -> None:
    """Refuse sample weights that are negative, not finite, or all 0."""
    host = to_host(weights)
    wrong = ~(np.isfinite(host) & (host >= 0))
    expected = "expected finite numbers, 0 or more, and not all 0"
    if wrong.any():
        row = int(np.argmax(wrong.ravel()))
        raise ValueError(f"sample_weight has {host.ravel()[row]:g} in row {row}: {expected}")
    if host.size and not host.any():
        raise ValueError(f"sample_weight is 0 in all {len(host)} rows: {expected}")


def check_names(given: Any, columns: list[str], n_features: int) -> list[str] | None:
    """Return the given names of the features, or else the names of the columns, or None."""
    if given is None:
        return columns or None
    names = check_strings("feature_names", given)
    if len(names) != n_features:
        raise ValueError(f"feature_names has {len(names)} names for {n_features} columns of X")
    check_distinct("feature_names has", names)
    check_order(columns, names)
    return names


def check_order(columns: list[str], names: list[str] | None) -> None:
    """Refuse a data frame that has the features' columns in another order."""
    if names is not None and columns != names and sorted(columns) == sorted(names):
        raise ValueError(
            f"X has the columns {shown(columns)}: expected the order of feature_names, "
            f"{shown(names)}"
        )


def move_to_device_of(
    name: str, values: Array, features: Features, dimensions: tuple[int, ...]
) -> Array:
    """Return labels or weights on the device of the features, or on the host if they have none."""
    if values.ndim not in dimensions:
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}: give one row for each sample of X"
        )
    if values.shape[0] != len(features):
        raise ValueError(
            f"X has {len(features)} rows but {name} has {values.shape[0]}: expected the same number"
        )
    backend = features.backend
    if backend is None:
        return to_host(values)
    if backend.owns(values):
        return values
    host = to_host(values)
    if host.dtype == np.float64 and backend.wide_dtype != "float64":
        if name == "y" and (lost := precision_problem(host, "float32")) is not None:
            warn(
                f"{lost}, and {backend.device_name} has no float64: give X on the host, or "
                "standardise y first"
            )
        host = host.astype(np.float32)
    return move(host, backend)


def has_more_digits(dtype: np.dtype, item: int) -> bool:
    """Whether a dtype has more digits than the floating-point type of ``item`` bytes.

    float32 holds all integers of 16 bits, but not all of 32 bits.
    """
    return item == 4 and dtype.itemsize >= (8 if dtype.kind == "f" else 4)


def check_index(index: Any, n: int) -> np.ndarray:
    """Return row numbers as an integer array, or refuse those that are not below ``n``."""
    try:
        places = to_host(index)
    except ValueError as error:
        raise ValueError(f"index has rows of different lengths ({error})") from error
    if places.size == 0:
        places = places.astype(np.int64)
    if places.dtype.kind not in "iu":
        raise TypeError(
            f"index has the type {places.dtype}, expected integers (np.flatnonzero(mask) makes "
            "them from a mask)"
        )
    if places.ndim != 1:
        raise ValueError(f"index has shape {places.shape}, expected (k,)")
    if places.size and (places.min() < 0 or places.max() >= n):
        raise ValueError(
            f"index goes from {places.min()} to {places.max()}, expected 0 to {n - 1}: the data "
            f"set has {n} samples"
        )
    return places.astype(np.int64, copy=False)
