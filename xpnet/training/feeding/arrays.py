"""A data set on the network's device, and the batches that are taken from it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...backends import Array, Backend, is_sparse, ops
from ...layers.workspace import Workspace
from ...model.randomness import Orders


@dataclass(frozen=True)
class Arrays:
    """A data set on the network's device; each batch is cast to the network's type.

    Attributes
    ----------
    X : array or sparse matrix of shape (n, n_features)
        A sparse matrix is either of the backend's library, in the network's type, or of SciPy, on
        the host.
    y : array or None
        The targets in the form that the loss takes.
    sample_weight : array of shape (n,) or None
    backend : Backend
    keeps_sparse : bool, default False
        Whether batches of a sparse matrix are sparse. Otherwise they are made dense.
    keeps_type : bool, default False
        Whether dense batches keep the type of ``X``. Otherwise they have the network's type.
    """

    X: Any
    y: Array | None
    sample_weight: Array | None
    backend: Backend
    keeps_sparse: bool = False
    keeps_type: bool = False

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def chunks(
        self, orders: Orders, epoch: int
    ) -> "Generator[tuple[Arrays, np.ndarray], None, None]":
        """Yield one chunk with all samples, and their order in an epoch."""
        yield self, orders.samples(len(self), epoch)

    def batches(
        self,
        size: int,
        order: np.ndarray | None = None,
        workspace: Workspace | None = None,
        index: Array | None = None,
    ) -> "Generator[Arrays, None, None]":
        """Yield batches of ``size`` samples; the last one may be shorter.

        Parameters
        ----------
        size : int
        order : int array, optional
            The order of the samples, on the host; by default the order of the data.
        workspace : Workspace, optional
            Holds the features of a batch, which are valid until the next batch is taken.
        index : int array, optional
            A copy of ``order`` on the network's device, if there is one already.
        """
        if order is None:
            yield from self._in_order(size)
            return
        index = self.backend.asarray(order) if index is None else index  # one copy for all batches
        for start in range(0, max(len(order), 1), size):
            part = slice(start, min(start + size, len(order)))
            X = self._features(order[part], index[part], workspace)
            y, weight = take(index[part], self.y, self.sample_weight)
            yield Arrays(X, y, weight, self.backend)

    def _in_order(self, size: int) -> "Generator[Arrays, None, None]":
        """Yield batches that are views of the arrays, or copies if their type must change."""
        for start in range(0, max(len(self), 1), size):
            part = slice(start, min(start + size, len(self)))
            X = self.X[part] if is_sparse(self.X) else self.X[part, ...]
            if isinstance(X, np.ndarray):
                X.flags.writeable = False  # of this view only: the user's array stays writeable
            if is_sparse(X) and not self.keeps_sparse:
                X = X.toarray()
            X = X if is_sparse(X) else self.backend.asarray(X, self._dtype)
            y, weight = (None if a is None else a[part, ...] for a in (self.y, self.sample_weight))
            yield Arrays(X, y, weight, self.backend)

    def _features(self, order: np.ndarray, index: Array, workspace: Workspace | None) -> Array:
        """Return the features of a batch; ``order`` and ``index`` are its row indices.

        ``order`` is on the host, ``index`` on the device.
        """
        if is_sparse(self.X):
            if self.keeps_sparse:
                return self.X[index]
            return self.backend.asarray(self.X[order].toarray(), self._dtype)
        out = None
        if workspace is not None:
            dtype = str(self.X.dtype) if self.keeps_type else None
            out = workspace.array("X", (len(order), *self.X.shape[1:]), dtype)
        return self.backend.asarray(ops.take_rows(self.X, index, out=out), self._dtype)

    @property
    def _dtype(self) -> str | None:
        """The type to which dense batches are cast; None keeps the type of ``X``."""
        return None if self.keeps_type else self.backend.dtype


def take(index: Array, y: Array | None, weight: Array | None) -> tuple[Array | None, Array | None]:
    """Return the targets and weights of the samples ``index``; None stays None."""
    return (
        None if y is None else ops.take_rows(y, index),
        None if weight is None else ops.take_rows(weight, index),
    )
