"""Splitting data into a part to train on and a part to test on."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import is_array, to_host
from ..backends._errors import shown
from ..common.checks import as_float, check_count, check_flag
from ..common.keywords import SPLIT, with_hints
from .classes import read_labels
from .dataset import Dataset, as_dataset, take_rows
from .features import SparseRows, StoredRows, kind_of
from .splitting import count_test, stratified
from .stored import read_rows
from .tables.typed.frame_types import column_names


@with_hints(**SPLIT)
def train_test_split(
    *data: Any,
    test_size: float = 0.25,
    random_state: Any = None,
    shuffle: bool = True,
    stratify: Any = None,
) -> Any:
    """Shuffle the samples and split them into a training part and a test part.

    A data set is split into two; arrays are split as by scikit-learn's function of the same name.
    The two parts of stored data keep the order of the file, in which they are read fastest.
    Training shuffles them anyway, unless the network has ``shuffle=False``. A part that is too
    large for memory stays stored; see :meth:`Dataset.rows`.

    Parameters
    ----------
    *data : Dataset, tuple (X, y), or arrays with a row for each sample
        A data set; or one or more arrays, sparse matrices, lists, data frames or Series, or dicts
        of them, such as the targets of several heads by name.
    test_size : float or int, default 0.25
        The size of the test part: a fraction of the samples in (0, 1), or their number.
    random_state : int, numpy.random.Generator or numpy.random.RandomState, optional
        An integer fixes the order, which is then the same on every backend. Without it, each call
        shuffles differently.
    shuffle : bool, default True
        Whether to shuffle first. Otherwise the last samples are the test part.
    stratify : array-like of shape (n,), or True, optional
        Labels whose classes keep their proportions in both parts, with at least one sample of each
        class. True means the labels of a data set. Needs ``shuffle``.

    Returns
    -------
    train, test : Dataset
        If a data set or a tuple is given.
    X_train, X_test, y_train, y_test, ... : list
        If arrays are given: the two parts of each, in its own library. A dict is split into dicts.

    Raises
    ------
    TypeError, ValueError
        An argument is invalid, the arrays have different lengths, a part would be empty, or it
        would lack a class although ``stratify`` is given.

    Examples
    --------
    >>> from xpnet import train_test_split
    >>> X, y = [[0], [1], [2], [3]], ["a", "b", "a", "b"]
    >>> train, test = train_test_split((X, y), test_size=2, stratify=True, random_state=0)
    >>> sorted(test.y.tolist())
    [0, 1]
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1, shuffle=False)
    >>> X_test, y_test
    ([[3]], ['b'])
    """
    shuffle = check_flag("shuffle", shuffle)
    if not data:
        raise TypeError("train_test_split() was given no data: expected a data set, or X and y")
    for each in data:
        if as_float(each) == as_float(each):
            raise TypeError(
                f"train_test_split() was given {shown(each)} among the data: to set the size of "
                "the test part, write test_size="
            )
    one = len(data) == 1 and isinstance(data[0], (Dataset, tuple))
    parts = (as_dataset(data[0]),) if one else data
    n = _common_length(parts)
    n_test = count_test("test_size", test_size, n)
    labels = _labels(stratify, parts[0].y if one else None, n)
    if labels is not None and not shuffle:
        raise ValueError(
            "stratify= needs shuffle=True, because it chooses the samples of both parts: leave out "
            "stratify= to split the data in order"
        )
    order = np.arange(n)
    chosen = order[n - n_test :]
    if shuffle:
        order = _generator(random_state).permutation(n)
        chosen = order[:n_test] if labels is None else stratified(labels, order, n_test)
    in_test = np.zeros(n, dtype=bool)
    in_test[chosen] = True
    if any(_in_file(each) for each in parts):
        order = np.arange(n)
    found = [_rows(each, order[side[order]]) for each in parts for side in (~in_test, in_test)]
    return tuple(found) if one else found


def _generator(random_state: Any) -> Any:
    """Return the random generator that shuffles the samples."""
    if hasattr(random_state, "permutation"):
        return random_state
    if random_state is not None:
        random_state = check_count("random_state", random_state, least=0)
    return np.random.default_rng(random_state)


def _common_length(parts: tuple[Any, ...]) -> int:
    lengths = []
    named = [(str(place), each) for place, each in enumerate(parts)]
    for place, each in named:
        if _is_dict(each) and each:
            named += [(f"{place}, {name!r}", own) for name, own in each.items()]
            continue
        shape = getattr(each, "shape", None)
        if each is None or isinstance(each, str) or not (shape or hasattr(each, "__len__")):
            raise TypeError(
                f"train_test_split() was given {shown(each)} as its argument {place}: expected "
                "arrays, lists or data frames with a row for each sample"
            )
        lengths.append(int(shape[0]) if shape else len(each))
    if len(set(lengths)) > 1:
        raise ValueError(f"the arrays have {lengths} rows: expected the same number in each")
    return lengths[0]


def _labels(stratify: Any, own: Any, n: int) -> np.ndarray | None:
    """Return the classes to keep in proportion, on the host."""
    if stratify is None or stratify is False:
        return None
    if stratify is True:
        if own is None:
            raise ValueError(
                "stratify=True needs a data set with labels: give a Dataset with a y, or stratify=y"
            )
        return to_host(own)
    labels = to_host(read_labels(stratify, are_names=True)[0])
    if labels.shape[:1] != (n,):
        raise ValueError(
            f"stratify has shape {labels.shape}: expected a label for each of {n} rows"
        )
    return labels


def _is_dict(values: Any) -> bool:
    """Whether ``values`` is a dict of arrays; some sparse matrices are dicts, too."""
    return isinstance(values, Mapping) and not hasattr(values, "shape")


def _in_file(values: Any) -> bool:
    if isinstance(values, Dataset):
        return isinstance(values.features, StoredRows)
    if _is_dict(values):
        return any(map(_in_file, values.values()))
    return kind_of(values) is StoredRows


def _rows(values: Any, index: np.ndarray) -> Any:
    """Return the rows at ``index`` as an object of the same kind as ``values``."""
    if isinstance(values, Dataset):
        return values.rows(index)
    if _is_dict(values):
        return {name: _rows(each, index) for name, each in values.items()}
    if isinstance(values, (list, tuple)):
        return [values[k] for k in index.tolist()]
    if hasattr(values, "iloc"):
        return values.iloc[index]
    if kind_of(values) is SparseRows:
        return take_rows(values.tocsr(), index)
    if _in_file(values):
        return take_rows(values, index) if len(values.shape) == 2 else read_rows(values, index)
    if isinstance(values, np.ndarray):
        return values[index]
    if is_array(values):
        return take_rows(values, index)
    if hasattr(values, "take"):  # a pandas array or index, or any pyarrow object
        return values.take(index)
    if column_names(values) is not None or hasattr(values, "to_numpy"):
        import narwhals.stable.v2 as nw

        return nw.from_native(values, allow_series=True)[index].to_native()
    return [values[k] for k in index.tolist()]
