"""Selecting samples of a data set by position, and iterating over them."""

import copy
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ..backends import is_array, to_host
from ..backends._errors import shown
from ..common.checks import as_integer, check_flag
from .features import Features, SparseRows, StoredRows, kind_of, take_dense
from .ids import take_ids
from .reading import check_index

_PIECE = 1024
"""How many samples an iteration reads at a time."""


class Selecting:
    """``rows``, ``dataset[...]`` and iteration; a base of :class:`xpnet.Dataset`."""

    X: Any
    y: Any
    sample_weight: Any
    ids: Any
    _features: Features

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    def rows(self, index: Any, keep_stored: bool = False) -> Self:
        """Return the samples at ``index``, in that order, with the same names.

        Stored features are read into memory, unless the chosen rows would take more than a tenth of
        the free memory: then they stay stored, and are read fastest if ``index`` is sorted.

        Parameters
        ----------
        index : sequence of int, or integer array of shape (k,)
            Row numbers from 0 to ``len(self) - 1``; they may be repeated.
        keep_stored : bool, default False
            Whether stored features always stay stored.

        Returns
        -------
        Dataset

        Raises
        ------
        TypeError
            ``index`` does not hold integers.
        ValueError
            ``index`` is not one-dimensional, or a row number is out of range.
        """
        index, part = check_index(index, len(self)), copy.copy(self)
        if check_flag("keep_stored", keep_stored) and isinstance(self._features, StoredRows):
            part._features = self._features.selected(index)
        else:
            part._features = self._features.rows(index)
        part.y, part.sample_weight = (
            None if each is None else take_dense(each, index)
            for each in (self.y, self.sample_weight)
        )
        part.ids = None if self.ids is None else take_ids(self.ids, index)
        return part

    def __getitem__(self, key: Any) -> Any:
        """Return some of the samples as a data set, or one of them as a tuple.

        Parameters
        ----------
        key : slice, sequence of int or of bool, integer or boolean array of shape (k,), or int
            Negative numbers count from the end. A boolean array has an entry for each sample.

        Returns
        -------
        Dataset or tuple
            For an integer, a tuple ``(x, y)``: the features of one sample, of shape (n_features,)
            or a CSR matrix of one row, and its label; ``(x, y, sample_weight)`` if samples have
            weights, and ``(x,)`` without labels. Otherwise a data set, as by :meth:`rows`.

        Raises
        ------
        IndexError
            There is no such sample, or a mask has the wrong length.
        TypeError
            ``key`` is something else.
        """
        n, key = len(self), to_host(key) if is_array(key) else key
        if isinstance(key, slice):
            return self.rows(np.arange(*key.indices(n)))
        if (place := as_integer(key)) is not None:
            if not -n <= place < n:
                raise IndexError(f"there is no sample {place}: the data set has {n} samples")
            return next(iter(self.rows([place % n])))
        return self.rows(_row_numbers(key, n))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield each sample as a tuple; see :meth:`__getitem__`."""
        for start in range(0, len(self), _PIECE):
            part = self.rows(np.arange(start, min(start + _PIECE, len(self))))
            X = part.X
            labels = [part.y] if part.y is not None or part.sample_weight is not None else []
            weights = [] if part.sample_weight is None else [part.sample_weight]
            for k in range(len(part)):
                x = X[k : k + 1] if kind_of(X) is SparseRows else X[k, ...]
                yield (x, *(_item(each, k) for each in labels + weights))


def _item(values: Any, k: int) -> Any:
    if values is None:
        return None
    return values[k] if values.ndim == 1 else values[k, ...]


def _row_numbers(key: Any, n: int) -> np.ndarray:
    """Return the rows that a sequence or an array selects, as numbers from 0 to n - 1."""
    if isinstance(key, (str, tuple)) or not (is_array(key) or hasattr(key, "__len__")):
        hint = ". A column of features is dataset.X[:, k]" if isinstance(key, (str, tuple)) else ""
        raise TypeError(
            f"dataset[{shown(key)}]: expected an integer, a slice, or a list or array of integers "
            f"or booleans{hint}"
        )
    places = np.asarray(key)
    if places.dtype.kind == "b":
        if places.shape != (n,):
            raise IndexError(f"the mask has shape {places.shape}: expected ({n},)")
        return np.flatnonzero(places)
    if places.dtype.kind == "i" and places.ndim == 1:
        if outside := [int(each) for each in places[(places < -n) | (places >= n)][:1]]:
            raise IndexError(f"there is no sample {outside[0]}: the data set has {n} samples")
        return np.where(places < 0, places + n, places)
    return places
