"""Data sets: samples, labels and their names, checked when they come in, wherever they live."""

import copy
import csv
import math
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._checks import check_count
from .backends import (
    Array,
    Backend,
    array_namespace,
    backend_of,
    is_array,
    is_sparse,
    move,
    to_host,
    unknown_name,
)
from .backends.ops import one_hot as _one_hot
from .backends.ops import take_rows

__all__ = ["Dataset", "as_dataset", "one_hot", "train_test_split"]

_ENCODE = (
    "encode categories as numbers first, e.g. codes by np.unique(values, return_inverse=True)[1], "
    "and those as columns by xpnet.data.one_hot(codes)"
)
_HINTS = {
    "c": "give the real and the imaginary parts as columns of their own",
    "M": "give dates as numbers, e.g. days since the first one",
    "m": "give durations as numbers, e.g. seconds",
}


class Dataset:
    """Samples in rows, with their labels, weights and names.

    Arrays stay what they are: same library, device and type, not copied.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        An array of any library that follows the array API, a SciPy sparse matrix (kept sparse,
        as CSR), nested lists, or a pandas or polars DataFrame. Booleans, integers or floats.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        Labels; moved to where ``X`` is, or to the host beside a sparse ``X``.
    feature_names : sequence of str, optional
        A name for each column; those of a DataFrame by default.
    label_name : str, optional
        What ``y`` is; the name of a Series or of a one-column frame by default.
    sample_weight : array-like of shape (n_samples,), optional
        How much each sample counts: finite, not negative, not all zero. Moved like ``y``.
    class_names : sequence of str, optional
        What the codes 0, 1, ... in ``y`` stand for.

    Attributes
    ----------
    X, y, feature_names, label_name, sample_weight, class_names
        As above; None where not given.

    Raises
    ------
    TypeError
        Something else than real numbers: text, dates, objects, complex numbers.
    ValueError
        Shapes that do not fit one another, missing values in a frame, bad names or weights.

    Examples
    --------
    >>> data = Dataset([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [1, 1, 0], feature_names=["a", "b"])
    >>> data
    Dataset(3 samples, 2 features of float64 on cpu, labels of int64)
    >>> data.rows([2, 0]).y
    array([0, 1])
    """

    X: Array
    y: Array | None
    feature_names: list[str] | None
    label_name: str | None
    sample_weight: Array | None
    class_names: list[str] | None

    def __init__(
        self,
        X: Any,
        y: Any = None,
        feature_names: Sequence[str] | None = None,
        label_name: str | None = None,
        sample_weight: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.X, columns = _read("X", X)
        _check_samples(self.X)
        self.y = None
        label: list[str] = []
        if y is not None:
            y, label = _read("y", y)
            self.y = _beside("y", y, self.X, dimensions=(1, 2))
        self.sample_weight = None
        if sample_weight is not None:
            sample_weight = _read("sample_weight", sample_weight)[0]
            _check_weights(sample_weight)
            self.sample_weight = _beside("sample_weight", sample_weight, self.X, dimensions=(1,))
        self.feature_names = _check_names(feature_names, columns, self.n_features)
        self.label_name = label[0] if label_name is None and len(label) == 1 else label_name
        self.class_names = None if class_names is None else [str(name) for name in class_names]

    @classmethod
    def from_csv(
        cls, path: str | Path, label: str | None = None, delimiter: str | None = None
    ) -> "Dataset":
        """Read a CSV file with a header row; every feature column holds numbers.

        Parameters
        ----------
        path : str or Path
            A file in UTF-8.
        label : str, optional
            The column that becomes ``y``. Written as whole numbers throughout, it is ``int64``;
            as numbers, ``float64``; else its distinct texts, sorted, become the codes 0, 1, ...
            (``int64``) and are kept in ``class_names``.
        delimiter : str, optional
            One character; found out among ``, ; | tab`` by default.

        Returns
        -------
        Dataset
            ``X`` is ``float64``.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        UnknownNameError
            There is no column ``label``.
        ValueError
            The file is empty, has no header, or a row does not fit: the message has its line.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")
        if delimiter is not None and len(delimiter) != 1:
            raise ValueError(f"delimiter={delimiter!r}: expected one character, e.g. ';'")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                delimiter = delimiter or _sniff(file.read(8192))
                file.seek(0)
                names, table, labels = _read_csv(path, csv.reader(file, delimiter=delimiter), label)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 ({error}); save it in that encoding") from error
        except csv.Error as error:
            raise ValueError(f"{path}: not a CSV file ({error})") from error
        y, class_names = (None, None) if label is None else _parse_labels(labels)
        return cls(table, y, names, label, class_names=class_names)

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def __repr__(self) -> str:
        where = "in CSR" if is_sparse(self.X) else f"on {backend_of(self.X).device_name}"
        labels = "" if self.y is None else f", labels of {_type_name(self.y)}"
        return (
            f"Dataset({len(self)} samples, {self.n_features} features of {_type_name(self.X)} "
            f"{where}{labels})"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of ``X``: (n_samples, n_features)."""
        return len(self), self.n_features

    @property
    def n_features(self) -> int:
        """Number of columns of ``X``."""
        return int(self.X.shape[1])

    def rows(self, index: Any) -> "Dataset":
        """Return the samples at ``index``, in that order, under the same names.

        Parameters
        ----------
        index : sequence of int, or integer array of shape (k,)
            Places from 0 to ``len(self) - 1``; one may come more than once.

        Raises
        ------
        TypeError
            ``index`` holds something else than integers.
        ValueError
            It is not one-dimensional, or a place is outside of the data.
        """
        index = _check_index(index, len(self))
        part = copy.copy(self)
        part.X = self.X[index] if is_sparse(self.X) else _take(self.X, index)
        part.y = None if self.y is None else _take(self.y, index)
        part.sample_weight = (
            None if self.sample_weight is None else _take(self.sample_weight, index)
        )
        return part

    def check_finite(self) -> None:
        """Refuse NaN and infinity in ``X`` and ``y``; one number is brought over from the device.

        Raises
        ------
        ValueError
            How many there are, and the row and column of the first.
        """
        if is_sparse(self.X):
            self._check_finite_sparse()
        else:
            self._check_finite_array("X", self.X)
        if self.y is not None:
            self._check_finite_array("y", self.y)

    def _check_finite_array(self, name: str, values: Array) -> None:
        xp, backend = array_namespace(values), backend_of(values)
        if not xp.isdtype(values.dtype, "real floating"):
            return
        finite = xp.isfinite(values)
        if backend.scalar(xp.all(finite)):
            return
        # Only now may it cost something: a flag per row comes over, then the first bad row.
        table = xp.reshape(finite, (values.shape[0], -1))
        row = int(np.argmin(backend.to_numpy(xp.all(table, axis=1))))
        cells = np.atleast_1d(backend.to_numpy(values[row, ...]))
        column = int(np.argmin(np.isfinite(cells)))
        where = f"row {row}"
        if values.ndim == 2:
            where += f", column {self._column(column) if name == 'X' else column}"
        count = backend.scalar(xp.sum(xp.astype(xp.logical_not(finite), xp.int64)))
        raise _not_finite(name, int(count), cells[column], where)

    def _check_finite_sparse(self) -> None:
        finite = np.isfinite(self.X.data)
        if finite.all():
            return
        place = int(np.argmin(finite))
        row = int(np.searchsorted(self.X.indptr, place, side="right")) - 1
        where = f"row {row}, column {self._column(int(self.X.indices[place]))}"
        raise _not_finite("X", int(np.sum(~finite)), self.X.data[place], where)

    def _column(self, column: int) -> str:
        return f"{column} ({self.feature_names[column]!r})" if self.feature_names else str(column)


def as_dataset(data: Any) -> Dataset:
    """Return a data set from one, or from a tuple ``(X, y)`` or ``(X, y, sample_weight)``.

    Raises
    ------
    TypeError
        ``data`` is something else.

    Examples
    --------
    >>> as_dataset(([[1], [2]], [0, 1])).shape
    (2, 1)
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) in (2, 3):
        return Dataset(data[0], data[1], sample_weight=data[2] if len(data) == 3 else None)
    given = f"a tuple of {len(data)}" if isinstance(data, tuple) else type(data).__name__
    raise TypeError(
        f"expected a Dataset or a tuple (X, y) or (X, y, sample_weight), got {given}: "
        "give Dataset(X, y)"
    )


def train_test_split(
    dataset: Any, test_size: float = 0.25, stratify: bool = False, seed: int | None = None
) -> tuple[Dataset, Dataset]:
    """Shuffle the samples and split them in two; the same seed gives the same on every backend.

    Parameters
    ----------
    dataset : Dataset or tuple (X, y)
    test_size : float or int, default 0.25
        The second part: a share of the samples in (0, 1), rounded, or a number of them.
    stratify : bool, default False
        Keep each class's share in both parts, with one sample of each class at least.
    seed : int, optional
        For the shuffling; without it each call shuffles differently.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    ValueError
        A part would be empty, or, with ``stratify``, without one of the classes.

    Examples
    --------
    >>> train, test = train_test_split(([[0], [1], [2], [3]], [0, 1, 0, 1]), 2, True, seed=0)
    >>> sorted(test.y.tolist())
    [0, 1]
    """
    dataset = as_dataset(dataset)
    n = len(dataset)
    n_test = _count_test(test_size, n)
    order = np.random.default_rng(seed).permutation(n)
    chosen = _stratified(dataset, order, n_test) if stratify else order[:n_test]
    in_test = np.zeros(n, dtype=bool)
    in_test[chosen] = True
    return dataset.rows(order[~in_test[order]]), dataset.rows(order[in_test[order]])


def one_hot(labels: Any, n_classes: int | None = None) -> Array:
    """Return a row per label, 1 in the label's column and 0 elsewhere.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Class codes 0, 1, ...: integers, or floats that are whole.
    n_classes : int, optional
        Number of columns; the largest label + 1 by default.

    Returns
    -------
    array of shape (n, n_classes)
        ``float32``, in the library and on the device of ``labels``; lists give NumPy.

    Raises
    ------
    TypeError
        The labels are no numbers.
    ValueError
        A label is negative, not whole, or not below ``n_classes``.

    Examples
    --------
    >>> one_hot([1, 0])
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    labels = _read("labels", labels)[0]
    if is_sparse(labels) or labels.ndim != 1:
        raise ValueError(f"labels have shape {tuple(labels.shape)}: expected (n,), dense")
    xp, backend = array_namespace(labels), backend_of(labels)
    if xp.isdtype(labels.dtype, "real floating") and not backend.scalar(
        xp.all(xp.isfinite(labels) & (xp.floor(labels) == labels))
    ):
        raise ValueError("labels must be whole numbers 0, 1, ...; some of these are not")
    codes = xp.astype(labels, xp.int64)
    if codes.shape[0]:
        least, most = (int(backend.scalar(f(codes))) for f in (xp.min, xp.max))
    else:
        least, most = 0, -1
    n_classes = most + 1 if n_classes is None else check_count("n_classes", n_classes)
    if n_classes < 1 or least < 0 or most >= n_classes:
        raise ValueError(
            f"labels from {least} to {most} do not fit {n_classes} classes: expected 0 to "
            f"n_classes - 1; np.unique(labels, return_inverse=True)[1] makes such codes"
        )
    return _one_hot(codes, n_classes, like=backend.zeros((1,)))


# What comes in ------------------------------------------------------------------------------


def _read(name: str, values: Any) -> tuple[Array, list[str]]:
    """Return real numbers as an array or CSR matrix, with its columns' names where it has any."""
    names: list[str] = []
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it in first, by {name}.filled(...)")
    if is_sparse(values):
        values = values.tocsr() if values.ndim == 2 else values
    elif not is_array(values) and hasattr(values, "to_numpy"):  # pandas, polars and their like
        values, names = _read_frame(name, values)
    elif not is_array(values):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ValueError(f"{name} has rows of different lengths ({error})") from error
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = _read_objects(name, values)
    isdtype = np.isdtype if is_sparse(values) else array_namespace(values).isdtype
    if not isdtype(values.dtype, ("bool", "integral", "real floating")):
        raise _not_numbers(name, values.dtype)
    return values, names


def _read_frame(name: str, frame: Any) -> tuple[np.ndarray, list[str]]:
    """Return a DataFrame or a Series as an array, refusing missing values by column."""
    columns = getattr(frame, "columns", None)
    if columns is None:
        own = getattr(frame, "name", None)
        what = f"{name} ({own!r})" if own else name
        return _read_column(what, frame.to_numpy()), [str(own)] if own else []
    names = [str(column) for column in columns]
    _check_distinct(f"{name} has columns", names)
    parts = [
        _read_column(f"{name}, column {str(column)!r}", frame[column].to_numpy())
        for column in columns
    ]
    if not parts:
        raise ValueError(f"{name} is a frame without columns")
    table = np.column_stack(parts)
    if table.dtype.kind == "f" and all(part.dtype.kind in "biu" for part in parts):
        raise TypeError(f"{name} mixes uint64 with signed columns: cast them to one type")
    return table, names


def _read_objects(name: str, values: np.ndarray) -> np.ndarray:
    """Return an array of Python objects as one of numbers, where all of them are."""
    if values.ndim != 2:
        return _read_column(name, values)
    parts = [_read_column(f"{name}, column {k}", values[:, k]) for k in range(values.shape[1])]
    return np.column_stack(parts) if parts else values.astype(np.float64)


def _read_column(what: str, values: np.ndarray) -> np.ndarray:
    """Return one column as numbers; ``what`` names it in the message where that cannot be."""
    cells = values.ravel().tolist() if values.dtype.kind == "O" else []
    missing = np.array([_is_missing(cell) for cell in cells], dtype=bool)
    if values.dtype.kind == "f":
        missing = np.isnan(values)
    if missing.any():
        raise ValueError(
            f"{what} has {missing.sum()} missing value(s) (NaN or None), the first in row "
            f"{int(np.argmax(missing))}: fill them in or drop these rows"
        )
    for row, cell in enumerate(cells):
        if not isinstance(cell, (bool, int, float, np.bool_, np.integer, np.floating)):
            raise TypeError(
                f"{what} has {cell!r} ({type(cell).__name__}) in row {row}, not a number: {_ENCODE}"
            )
    numbers: np.ndarray = np.asarray(cells).reshape(values.shape) if cells else values
    if numbers.dtype.kind not in "biuf":
        raise _not_numbers(what, numbers.dtype)
    return numbers


def _is_missing(cell: Any) -> bool:
    """Whether a Python object stands for a missing value; pandas's NA cannot be compared."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, (float, np.floating)) and bool(cell != cell)


def _not_numbers(what: str, dtype: Any) -> TypeError:
    # NumPy's types say their kind; in the other libraries only complex numbers get here.
    hint = _HINTS.get(getattr(dtype, "kind", "c"), _ENCODE)
    return TypeError(f"{what} has the type {dtype}, expected booleans, integers or floats: {hint}")


def _not_finite(name: str, count: int, value: Any, where: str) -> ValueError:
    return ValueError(
        f"{name} has {count} value(s) that are not finite, the first ({value}) in {where}: "
        "drop such rows, or fill them in, e.g. with the column's mean"
    )


def _check_samples(X: Array) -> None:
    shape = tuple(X.shape)
    if len(shape) == 2 and shape[1] > 0:
        return
    hint = "a table of samples in rows"
    if len(shape) == 1:
        hint = f"for one feature give X.reshape(({shape[0]}, 1)), for one sample X.reshape((1, -1))"
    elif len(shape) > 2:
        hint = f"flatten each sample: X.reshape(({shape[0]}, -1))"
    raise ValueError(f"X has shape {shape}, expected (n_samples, n_features): {hint}")


def _check_weights(weights: Array) -> None:
    if is_sparse(weights):
        raise TypeError("sample_weight is sparse: give sample_weight.toarray().ravel()")
    host = to_host(weights)
    if not np.isfinite(host).all() or (host < 0).any() or (host.size and not host.any()):
        raise ValueError("sample_weight must be finite, 0 or more, and not all 0")


def _check_names(given: Any, columns: list[str], n_features: int) -> list[str] | None:
    if given is None:
        return columns or None
    if isinstance(given, str):
        raise TypeError(f"feature_names={given!r}: expected a list of names")
    names = [str(name) for name in given]
    if len(names) != n_features:
        raise ValueError(f"feature_names has {len(names)} names for {n_features} columns of X")
    _check_distinct("feature_names has", names)
    return names


def _check_distinct(what: str, names: list[str]) -> None:
    if double := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"{what} more than once: {', '.join(double)}. Rename them")


def _beside(name: str, values: Array, X: Array, dimensions: tuple[int, ...]) -> Array:
    """Move labels or weights to where ``X`` is; beside a sparse matrix, that is the host."""
    if is_sparse(values):
        raise TypeError(f"{name} is sparse: give {name}.toarray()")
    if values.ndim not in dimensions:
        raise ValueError(f"{name} has shape {tuple(values.shape)}: give one row per sample of X")
    if values.shape[0] != X.shape[0]:
        raise ValueError(f"X has {X.shape[0]} rows but {name} has {values.shape[0]}: one for each")
    if is_sparse(X):
        return to_host(values)
    backend = backend_of(X)
    if backend.owns(values):
        return values
    host = to_host(values)
    if host.dtype == np.float64 and not _has_float64(backend):
        host = host.astype(np.float32)
    return move(host, backend)


def _has_float64(backend: Backend) -> bool:
    """Whether the device knows double precision at all; some accelerators do not."""
    info = backend.xp.__array_namespace_info__()
    return "float64" in info.dtypes(device=backend.device, kind="real floating")


def _type_name(values: Array) -> str:
    return str(values.dtype).rpartition(".")[2]


# Rows and splits ----------------------------------------------------------------------------


def _check_index(index: Any, n: int) -> np.ndarray:
    places = to_host(index)
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


def _take(values: Array, index: np.ndarray) -> Array:
    return take_rows(values, move(index, backend_of(values)))


def _count_test(test_size: Any, n: int) -> int:
    if isinstance(test_size, bool) or not hasattr(test_size, "__float__"):
        raise TypeError(f"test_size={test_size!r}: expected a share in (0, 1) or a whole number")
    if hasattr(test_size, "__index__"):
        n_test = int(test_size)
    elif 0 < test_size < 1:
        n_test = math.floor(test_size * n + 0.5)
    else:
        raise ValueError(f"test_size={test_size!r}: expected a share in (0, 1) or a whole number")
    if not 0 < n_test < n:
        raise ValueError(
            f"test_size={test_size!r} puts {n_test} of {n} samples in the test part: each part "
            "needs one at least"
        )
    return n_test


def _stratified(dataset: Dataset, order: np.ndarray, n_test: int) -> np.ndarray:
    """Return the first samples, as shuffled, of each class: its share of ``n_test``."""
    if dataset.y is None:
        raise ValueError("stratify=True needs labels: give the data set a y")
    labels = to_host(dataset.y)
    # Rows of a two-dimensional y (one-hot, several outputs) are the classes.
    _, codes, counts = np.unique(
        labels, axis=0 if labels.ndim == 2 else None, return_inverse=True, return_counts=True
    )
    if counts.min() < 2:
        raise ValueError("stratify=True: a class has 1 sample, each part needs one of each class")
    k, n = len(counts), len(order)
    if not k <= n_test <= n - k:
        raise ValueError(
            f"stratify=True: {n - n_test} and {n_test} samples cannot both hold each of {k} "
            "classes: give another test_size"
        )
    shares = _shares(counts, n_test)
    by_class = order[np.argsort(codes.ravel()[order], kind="stable")]
    groups = np.split(by_class, np.cumsum(counts)[:-1])
    return np.concatenate([group[:m] for group, m in zip(groups, shares, strict=True)])


def _shares(counts: np.ndarray, total: int) -> np.ndarray:
    """Split ``total`` in proportion to ``counts`` by largest remainder, from 1 to count - 1 each.

    The remainders are compared as whole numbers, times ``sum(counts)``, so nothing is rounded.
    """
    n = int(counts.sum())
    shares: np.ndarray = np.clip(counts * total // n, 1, counts - 1)
    while (short := total - int(shares.sum())) != 0:
        remainder = counts * total - shares * n
        if short > 0:
            shares[np.argmax(np.where(shares < counts - 1, remainder, -n * n))] += 1
        else:
            shares[np.argmin(np.where(shares > 1, remainder, n * n))] -= 1
    return shares


# CSV ----------------------------------------------------------------------------------------


def _sniff(sample: str) -> str:
    try:
        return csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:  # e.g. a single column
        return ","


def _read_csv(path: Path, reader: Any, label: str | None) -> tuple[list[str], Any, list[str]]:
    """Return the features' names, their numbers and the label column's texts."""
    names = [name.strip() for name in next((row for row in reader if row), [])]
    if not names:
        raise ValueError(f"{path} is empty: expected a header row and a row per sample")
    if all(_is_number(name) for name in names):
        raise ValueError(f"{path} begins with numbers: put a header row of column names first")
    _check_distinct(f"{path} has columns", names)
    if label is not None and label not in names:
        raise unknown_name("column", label, names)
    place = len(names) if label is None else names.index(label)
    features = names[:place] + names[place + 1 :]
    if not features:
        raise ValueError(f"{path} has no column beside the label {label!r}: expected features")
    numbers, labels = array("d"), []
    for row in filter(None, reader):  # blank lines are []
        if len(row) != len(names):
            raise ValueError(
                f"{path}, line {reader.line_num}: {len(row)} cells, but the header has {len(names)}"
            )
        labels += row[place : place + 1]
        cells = row[:place] + row[place + 1 :]
        if label is not None and not row[place].strip():
            raise _bad_cell(path, reader.line_num, label, "")
        try:
            numbers.extend([float(cell) for cell in cells])
        except ValueError:
            bad = next(k for k, cell in enumerate(cells) if not _is_number(cell))
            raise _bad_cell(path, reader.line_num, features[bad], cells[bad]) from None
    if not numbers:
        raise ValueError(f"{path} has a header but no rows: expected a row per sample")
    return features, np.array(numbers).reshape(-1, len(features)), labels


def _bad_cell(path: Path, line: int, column: str, cell: str) -> ValueError:
    where = f"{path}, line {line}, column {column!r}"
    if not cell.strip():
        return ValueError(f"{where}: the cell is empty; fill it in or drop the line")
    return ValueError(
        f"{where}: {cell!r} is not a number; encode categories as numbers, or, if it is what to "
        f"predict, give label={column!r}"
    )


def _parse_labels(texts: list[str]) -> tuple[np.ndarray, list[str] | None]:
    for number, dtype in ((int, np.int64), (float, np.float64)):
        try:
            return np.array([number(text) for text in texts], dtype=dtype), None
        except (ValueError, OverflowError):
            continue
    names, codes = np.unique([text.strip() for text in texts], return_inverse=True)
    return codes.astype(np.int64), [str(name) for name in names]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
