"""Data sets: samples, labels and their names, in any array library, checked on construction."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import Array
from ..common.checks import check_strings
from . import reading
from .categories import (
    Categories,
    check_categories,
    check_same_categories,
    joined_categories,
    with_names,
)
from .classes import check_class_names, read_y
from .features import Features, kind_of
from .filling import FillValues, WithMissing
from .finite import check_finite
from .from_tables import FromTables
from .ids import check_ids
from .stored import type_name
from .tables.selection import keeps_missing
from .tables.table import Table
from .tables.typed.frame_types import column_names

__all__ = ["Dataset", "as_dataset", "take_rows"]


class Dataset(FromTables, WithMissing):
    """Samples in rows, with their labels, weights and names.

    Arrays are not copied, and keep their library, device and dtype. Slices such as
    ``dataset[:100]``, index arrays and masks return data sets. A single index, and iteration,
    return tuples ``(x, y)``, as PyTorch's data sets do; see :meth:`__getitem__`.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        An array of any library that follows the array API, a SciPy sparse matrix (kept sparse,
        as CSR; duplicate entries are summed), or nested lists, of booleans, integers or floats. Or
        a data frame, whose strings become categories; see `from_frame`. Samples with more than one
        dimension, such as images, are flattened to rows in C order.
        A ``numpy.memmap``, an HDF5 or Zarr data set, a Dask array, or another object with a
        ``shape``, a ``dtype`` and row slices stays where it is stored, in any byte order. Training
        reads it into memory once if it fits and the network has no ``memory_limit``. Otherwise it
        reads chunks, each made of blocks of rows from all over the data. Prediction always reads
        chunks.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or dict, optional
        Labels. Strings, one per sample, become the classes 0, 1, ... (``int64``), numbered in
        sorted order or in that of ``class_names``. A categorical dtype, even one of numbers, keeps
        the order of its categories. Class names are not changed; two that differ only in spaces
        around them are refused. Strings that are mostly numbers or times are refused, unless all
        are integers or ``class_names`` is given. Several targets, e.g. for the heads of a network,
        are given as a data frame or a dict of arrays of shape (n_samples,). A dict, or a data frame
        with strings or missing values, becomes columns of ``float64``, with NaN for missing values,
        which ``Heads(ignore_missing=True)`` ignores. Labels are moved to the device of ``X``, or to
        the host if ``X`` is sparse. On a device without float64 they become float32, with a warning
        if float32 cannot tell them apart.
    feature_names : sequence of str, optional
        A name for each column; by default the column names of a data frame.
    label_name : str or sequence of str, optional
        The name of the labels, or a name for each column of ``y``; by default the name of a Series,
        or the column names of a data frame.
    sample_weight : array-like of shape (n_samples,), optional
        The weight of each sample: finite, 0 or more, not all 0. Moved like ``y``.
    class_names : sequence of str, optional
        The names of the classes 0, 1, ... in ``y``; by default those in ``y``, if it holds strings.
        Only for a single target.
    categories : dict of str to list of str, optional
        For each feature that holds codes of categories, the names of the codes 0, 1, ... If the
        last one is None, it stands for missing cells. Networks refuse such features, unless they
        begin with a layer for them: see :class:`~xpnet.CategoricalEmbeddings` and :meth:`one_hot`.
    ids : array-like of shape (n_samples,), optional
        An identifier for each sample, a string or an integer. Ids are selected and split together
        with the samples, and have no other use.
    missing : {"error", "keep"}, default "error"
        Whether missing cells of a data frame with features are refused or kept, as by `from_frame`.

    Attributes
    ----------
    X, y, feature_names, label_name, sample_weight, class_names, categories, ids
        As above; None if not given, or {} for ``categories``. ``ids`` is a NumPy array,
        or an object whose slices and selections are NumPy arrays, if a table's ids were written to
        temporary files. With several targets, ``label_name`` is a list, and ``class_names`` a dict
        by target.
    has_text_labels : bool
        Whether ``y`` held strings and ``class_names`` was not given, so that the classes were
        numbered in sorted order. False for booleans, even written as strings: their order is known.
    encoded : dict of str to list of str
        The categories that :meth:`one_hot` has turned into columns, by the name of the original
        feature; {} if there are none.
    fill_values : dict of str to float or str
        The values that :meth:`fill_missing` puts into missing cells, by the name of the feature, or
        by its position without ``feature_names``; {} if it was not called.
    drops_missing : bool
        Whether :meth:`drop_missing` made this data set.
    features : DenseRows, SparseRows or StoredRows
        The rows of ``X``, in memory, sparse or stored.

    Raises
    ------
    TypeError
        The features are not real numbers, but e.g. strings, dates, objects or complex numbers; or
        the labels are neither numbers nor strings.
    ValueError
        Shapes do not fit each other, a frame or the only label has missing values, names or weights
        are invalid, a label is not among ``class_names``, or a feature with categories has a number
        that is not a code.

    Examples
    --------
    >>> from xpnet import Dataset
    >>> data = Dataset([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [1, 1, 0], feature_names=["a", "b"])
    >>> data
    Dataset(3 samples, 2 features of float64 on cpu, labels of int64)
    >>> Dataset([[0.0], [1.0]], ["no", "yes"]).class_names
    ['no', 'yes']
    >>> several = Dataset([[0.0], [1.0]], {"price": [2.5, 4.0], "ripe": ["no", "yes"]})
    >>> several.y.tolist(), several.label_name, several.class_names
    ([[2.5, 0.0], [4.0, 1.0]], ['price', 'ripe'], {'ripe': ['no', 'yes']})
    """

    y: Array | None
    label_name: str | list[str] | None
    sample_weight: Array | None
    class_names: Any  # list of str or None; a dict of lists for several heads of a network
    has_text_labels: bool = False
    ids: Any  # array of shape (n,) or StoredTexts; None if not given
    encoded: Categories
    fill_values: FillValues

    def __init__(
        self,
        X: Any,
        y: Any = None,
        feature_names: Sequence[str] | None = None,
        label_name: str | Sequence[str] | None = None,
        sample_weight: Any = None,
        class_names: Sequence[str] | None = None,
        categories: Mapping[str, Sequence[str | None]] | None = None,
        ids: Any = None,
        missing: str = "error",
    ) -> None:
        self._features, columns, found = reading.read_features(X, keeps_missing(missing))
        self.y, label = None, list[str]()
        names: Any = check_class_names(class_names)
        if y is not None:
            y, label, names = read_y(y, class_names)
            self.has_text_labels = class_names is None and _are_from_strings(names)
            self.y = reading.move_to_device_of("y", y, self._features, (1, 2))
        self.sample_weight = None
        if sample_weight is not None:
            weight = reading.read_numbers("sample_weight", sample_weight)[0]
            reading.check_weights(weight)
            features = self._features
            self.sample_weight = reading.move_to_device_of("sample_weight", weight, features, (1,))
        self.feature_names = reading.check_names(feature_names, columns, self.n_features)
        self.label_name = reading.check_label_name(label_name, label, self.y)
        if isinstance(names, dict):
            one = len(label) == 1 and isinstance(self.label_name, str)
            new = check_strings("label_name", [self.label_name] if one else self.label_name)
            names = {name: names[own] for own, name in zip(label, new, strict=True) if own in names}
        self.class_names = names
        self.encoded, self.fill_values = {}, {}
        coded = with_names(found, self.feature_names)
        given = joined_categories(coded, categories)
        self.categories = check_categories(given, self.feature_names, self._features)
        self.ids = check_ids(ids, len(self))

    @classmethod
    def _from_table(cls, table: Table) -> "Dataset":
        """Return a data set with the content of a table."""
        dataset = cls(**vars(table))
        dataset.has_text_labels = _are_from_strings(dataset.class_names)
        return dataset

    @property
    def X(self) -> Any:
        """The features as an array, a CSR matrix or stored data.

        They can be replaced by assignment. A feature with categories must then hold codes of the
        same categories, and a data frame must have its columns in the order of ``feature_names``.
        """
        return self._features.X

    @X.setter
    def X(self, X: Any) -> None:
        features, columns, found = reading.read_features(X)
        reading.check_order(columns, self.feature_names)
        check_same_categories(with_names(found, self.feature_names), self.categories)
        check_categories(self.categories, self.feature_names, features)
        self._features = features

    @property
    def features(self) -> Features:
        """The rows of ``X``, in memory, sparse or stored."""
        return self._features

    def __len__(self) -> int:
        return len(self._features)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Refuse conversion to an array, which would lose the names and the labels."""
        features = "dataset.one_hot().X" if self.categories else "dataset.X"
        raise TypeError(
            f"a Dataset is not an array: give its features as {features}, its labels as dataset.y"
        )

    def __repr__(self) -> str:
        features = f"{self.n_features} features of {type_name(self.X)} {self._features.where}"
        if self.categories:
            features += f" ({len(self.categories)} with categories)"
        parts = [f"{len(self)} samples", features]
        if self.y is not None:
            columns = f"{self.y.shape[1]} columns of " if self.y.ndim > 1 else ""
            parts.append(f"{columns}labels of {type_name(self.y)}")
        if isinstance(self.class_names, dict):
            parts.append(f"classes of {', '.join(self.class_names)}")
        elif self.class_names is not None:
            parts.append(f"{len(self.class_names)} classes")
        if self.sample_weight is not None:
            parts.append("weights")
        if self.ids is not None:
            parts.append("ids")
        return f"Dataset({', '.join(parts)})"

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of ``X``: (n_samples, n_features)."""
        return self._features.shape

    @property
    def n_features(self) -> int:
        """Number of columns of ``X``."""
        return self._features.n_features

    def check_finite(self) -> None:
        """Raise an error for NaN or infinity in ``X`` or ``y``; this waits for the device.

        Stored features are checked only when they are read.

        Raises
        ------
        ValueError
            The message states how many values are not finite, and the place of the first.
        """
        self._features.check_finite(self.feature_names)
        if self.y is not None:
            check_finite("y", self.y)


def _are_from_strings(names: Any) -> bool:
    """Whether class names were read from strings that are not booleans."""
    are_flags = isinstance(names, list) and [each.lower() for each in names] == ["false", "true"]
    return names is not None and not are_flags


def as_dataset(data: Any, missing: str = "error") -> Dataset:
    """Return ``data`` as a data set; it may be a tuple ``(X, y)`` or ``(X, y, sample_weight)``.

    ``missing`` is as for :class:`Dataset`, and applies to a tuple.

    Raises
    ------
    TypeError
        ``data`` is neither a Dataset nor such a tuple.

    Examples
    --------
    >>> from xpnet.data import as_dataset
    >>> as_dataset(([[1], [2]], [0, 1])).shape
    (2, 1)
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) in (2, 3):
        weight = data[2] if len(data) == 3 else None
        return Dataset(data[0], data[1], sample_weight=weight, missing=missing)
    given = f"a tuple of {len(data)}" if isinstance(data, tuple) else type(data).__name__
    if isinstance(data, (str, Path)):
        advice = "to read a CSV file, give Dataset.from_csv(path, label=...)"
    elif column_names(data) is not None:
        advice = "give features and targets as (X, y), or Dataset.from_frame(frame, label=...)"
    elif _are_batches(data):
        advice = "to train on batches that are made during training, give fit(batches=...)"
    elif isinstance(data, list) and not data:
        advice = "it has no rows: give features and targets of at least one sample"
    elif isinstance(data, list) and len(data) in (2, 3) and _is_table(data[0]):
        advice = "write the list as a tuple, (X, y)"
    elif any(each.__module__.startswith("torch.utils.data") for each in type(data).__mro__):
        advice = "give fit(batches=DataLoader(dataset, batch_size=128, shuffle=True))"
        if hasattr(data, "tensors"):
            advice = f"give its tensors, (dataset.tensors[0], dataset.tensors[1]), or {advice[5:]}"
    else:
        advice = "give the targets as well: X and y, or a tuple (X, y)"
    raise TypeError(
        f"expected a Dataset or a tuple (X, y) or (X, y, sample_weight), got {given}: {advice}"
    )


def _is_table(data: Any) -> bool:
    return column_names(data) is not None or len(getattr(data, "shape", ())) > 1


def _are_batches(data: Any) -> bool:
    """Whether something other than a data set looks like batches: an iterator, a list of tuples."""
    if isinstance(data, list):
        return bool(data) and isinstance(data[0], (tuple, list, Dataset)) and len(data[0]) in (2, 3)
    return isinstance(data, Iterator) or type(data).__name__ == "DataLoader"


def take_rows(values: Any, index: np.ndarray) -> Any:
    """Return the rows ``values[index]`` of an array, on its device, or of a sparse matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.data import take_rows
    >>> take_rows(np.array([[1, 2], [3, 4], [5, 6]]), np.array([2, 0])).tolist()
    [[5, 6], [1, 2]]
    """
    return kind_of(values)(values).rows(index).X
