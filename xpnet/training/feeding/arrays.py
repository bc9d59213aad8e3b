"""A data set on the network's device, and the batches that are taken from it."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ...backends import Array, Backend, ops
from ...layers.workspace import Workspace
from ...model.randomness import Orders


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples on the network's device: features, targets and weights.

    Attributes
    ----------
    X : array or sparse matrix of shape (n, n_features)
        In the form and the type in which the first layer takes them.
    y : array or None
        The targets in the form that the loss takes.
    sample_weight : array of shape (n,) or None
    """

    X: Any
    y: Array | None
    sample_weight: Array | None


@dataclass(frozen=True)
class Arrays(ABC):
    """Base of data sets whose batches are taken from arrays; a subclass for each form of X.

    Attributes
    ----------
    X : array or sparse matrix of shape (n, n_features)
    y : array or None
        The targets in the form that the loss takes, on the backend's device.
    sample_weight : array of shape (n,) or None
        On the backend's device.
    backend : Backend
    """

    X: Any
    y: Array | None
    sample_weight: Array | None
    backend: Backend

    def __len__(self) -> int:
        return int(self.X.shape[0])

    @property
    def on_device(self) -> bool:
        """Whether ``X`` is on the backend's device, where kernels can read it."""
        return True

    def sample(self, own: bool = False) -> tuple[Self, int]:
        """Return arrays with the shapes and types of every chunk, from which steps can be made.

        Parameters
        ----------
        own : bool, default False
            Whether the arrays must still hold the same numbers when later chunks are read.

        Returns
        -------
        arrays : Arrays
        held : int
            The bytes that the arrays take in addition to the data.
        """
        return self, 0

    def chunks(self, orders: Orders, epoch: int) -> Generator[tuple[Self, np.ndarray], None, None]:
        """Yield one chunk with all samples, and their order in an epoch."""
        yield self, orders.samples(len(self), epoch)

    def batches(
        self,
        size: int,
        order: np.ndarray | None = None,
        workspace: Workspace | None = None,
        index: Array | None = None,
    ) -> Generator[Batch, None, None]:
        """Yield batches of ``size`` samples; the last one may be shorter.

        Parameters
        ----------
        size : int
        order : int array, optional
            The order of the samples, on the host; by default the order of the data.
        workspace : Workspace, optional
            Holds the features of a batch, which are valid until the next batch is taken.
        index : int array, optional
            A copy of ``order`` on the network's device, if one exists.
        """
        if order is None:
            yield from self._in_order(size)
            return
        index = self.backend.asarray(order) if index is None else index  # one copy for all batches
        for start in range(0, max(len(order), 1), size):
            part = slice(start, min(start + size, len(order)))
            X = self._gathered(order[part], index[part], workspace)
            y, weight = take(index[part], self.y, self.sample_weight)
            yield Batch(X, y, weight)

    def _in_order(self, size: int) -> Generator[Batch, None, None]:
        """Yield batches that are views of the arrays, or copies if their type must change."""
        for start in range(0, max(len(self), 1), size):
            part = slice(start, min(start + size, len(self)))
            y, weight = (None if a is None else a[part, ...] for a in (self.y, self.sample_weight))
            yield Batch(self.sliced(part), y, weight)

    @abstractmethod
    def sliced(self, part: slice) -> Any:
        """Return the features of consecutive samples, as in a batch."""

    @abstractmethod
    def _gathered(self, order: np.ndarray, index: Array, workspace: Workspace | None) -> Any:
        """Return the features of a batch; ``order`` and ``index`` are its row indices.

        ``order`` is on the host, ``index`` on the device.
        """


@dataclass(frozen=True)
class DenseArrays(Arrays):
    """Features in an array on the device; each batch is cast to the network's type.

    Attributes
    ----------
    keeps_type : bool, default False
        Whether batches keep the type of ``X`` instead of taking the network's.
    """

    keeps_type: bool = False

    def sliced(self, part: slice) -> Array:
        """Return the features of consecutive samples, as in a batch."""
        X = self.X[part, ...]
        if isinstance(X, np.ndarray):
            X.flags.writeable = False  # only this view: the user's array stays writeable
        return self.backend.asarray(X, None if self.keeps_type else self.backend.dtype)

    def _gathered(self, order: np.ndarray, index: Array, workspace: Workspace | None) -> Array:
        out = None
        if workspace is not None:
            dtype = str(self.X.dtype) if self.keeps_type else None
            out = workspace.array("X", (len(order), *self.X.shape[1:]), dtype)
        X = ops.take_rows(self.X, index, out=out)
        return self.backend.asarray(X, None if self.keeps_type else self.backend.dtype)


@dataclass(frozen=True)
class SparseArrays(Arrays):
    """Features in a CSR matrix of the backend's library; batches are sparse, too."""

    def sliced(self, part: slice) -> Any:
        """Return the features of consecutive samples, as in a batch."""
        return self.X[part]

    def _gathered(self, order: np.ndarray, index: Array, workspace: Workspace | None) -> Any:
        return self.X[index]


@dataclass(frozen=True)
class UnpackedArrays(Arrays):
    """Features in a SciPy CSR matrix on the host; batches are made dense, then moved.

    Attributes
    ----------
    keeps_type : bool, default False
        Whether batches keep the type of ``X`` instead of taking the network's.
    """

    keeps_type: bool = False

    @property
    def on_device(self) -> bool:
        """False."""
        return False

    def sliced(self, part: slice) -> Array:
        """Return the features of consecutive samples, as in a batch."""
        return self._unpacked(self.X[part])

    def _gathered(self, order: np.ndarray, index: Array, workspace: Workspace | None) -> Array:
        return self._unpacked(self.X[order])

    def _unpacked(self, rows: Any) -> Array:
        dtype = None if self.keeps_type else self.backend.dtype
        return self.backend.asarray(rows.toarray(), dtype)


def take(index: Array, y: Array | None, weight: Array | None) -> tuple[Array | None, Array | None]:
    """Return the targets and weights of the samples ``index``; None stays None."""
    return (
        None if y is None else ops.take_rows(y, index),
        None if weight is None else ops.take_rows(weight, index),
    )
