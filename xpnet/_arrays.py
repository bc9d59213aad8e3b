"""A data set where the network lives, and the batches that are taken from it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .backends import Array, Backend, is_sparse, ops
from .workspace import Workspace

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork


@dataclass(frozen=True)
class Arrays:
    """A data set where the network lives, features still in their own type.

    Attributes
    ----------
    X : array or sparse matrix of shape (n, n_features)
        A sparse matrix is the library's own, in the network's type, or a SciPy one on the host.
    y : array or None
        As the loss takes it.
    sample_weight : array of shape (n,) or None
    backend : Backend
    keeps_sparse : bool
        Whether a batch of a sparse matrix is one too; else it is made dense.
    keeps_type : bool
        Whether a batch that is dense keeps the features' type; else it has the network's.
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
        self, network: "NeuralNetwork", epoch: int
    ) -> "Generator[tuple[Arrays, np.ndarray], None, None]":
        """Give all samples at once, and their order in an epoch."""
        yield self, network.sample_order(len(self), epoch)

    def batches(
        self,
        size: int,
        order: np.ndarray | None = None,
        workspace: Workspace | None = None,
        index: Array | None = None,
    ) -> "Generator[Arrays, None, None]":
        """Give batches of ``size`` samples, the last one shorter, in their order or another.

        With a workspace, a batch's features last until the next one is asked for. ``index`` is
        the order where the network lives, for who has it there already.
        """
        if order is None:
            yield from self._in_order(size)
            return
        index = self.backend.asarray(order) if index is None else index  # one move for all batches
        for start in range(0, max(len(order), 1), size):
            part = slice(start, min(start + size, len(order)))
            X = self._features(order[part], index[part], workspace)
            y, weight = take(index[part], self.y, self.sample_weight)
            yield Arrays(X, y, weight, self.backend)

    def _in_order(self, size: int) -> "Generator[Arrays, None, None]":
        """Give batches that are parts of the arrays, without a copy where the type is right."""
        for start in range(0, max(len(self), 1), size):
            part = slice(start, min(start + size, len(self)))
            X = self.X[part] if is_sparse(self.X) else self.X[part, ...]
            if isinstance(X, np.ndarray):
                X.flags.writeable = False  # the view, not the user's data
            if is_sparse(X) and not self.keeps_sparse:
                X = X.toarray()
            X = X if is_sparse(X) else self.backend.asarray(X, self._dtype)
            y, weight = (None if a is None else a[part, ...] for a in (self.y, self.sample_weight))
            yield Arrays(X, y, weight, self.backend)

    def _features(self, order: np.ndarray, index: Array, workspace: Workspace | None) -> Array:
        """Return the features of a batch, whose samples are given on the host and on the device."""
        if is_sparse(self.X):
            if self.keeps_sparse:
                return self.X[index]
            return self.backend.asarray(self.X[order].toarray(), self._dtype)
        out = None
        if workspace is not None:
            own = str(self.X.dtype) if self.keeps_type else None
            out = workspace.array("X", (len(order), *self.X.shape[1:]), own)
        return self.backend.asarray(ops.take_rows(self.X, index, out=out), self._dtype)

    @property
    def _dtype(self) -> str | None:
        """The type that a batch of dense features is cast to."""
        return None if self.keeps_type else self.backend.dtype


def take(index: Array, y: Array | None, weight: Array | None) -> tuple[Array | None, Array | None]:
    """Return the targets and the weights of the samples ``index``, those of the two there are."""
    return (
        None if y is None else ops.take_rows(y, index),
        None if weight is None else ops.take_rows(weight, index),
    )
