"""Computes an estimator's outputs, in several threads where that is faster."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import numpy as np

from ..backends import Array, on_gpu
from ..backends.cpu.blas_threads import blas_threads, one_blas_thread
from ..data import Dataset
from ..neuralnet import NeuralNetwork
from ..training.feeding.arrays import DenseArrays, SparseArrays
from ..training.feeding.intake import Intake
from ..training.feeding.placing import place
from ..training.memory import EVALUATION_ROWS

_SEVERAL = 4 * EVALUATION_ROWS
"""The number of rows from which it pays to use several threads."""


def outputs(net: NeuralNetwork, X: Any, check: Callable[[], None] | None = None) -> Array:
    """Return a network's outputs for features whose number and type are known to be right.

    Parameters
    ----------
    net : NeuralNetwork
    X : array or CSR matrix of shape (n, n_features)
    check : callable, optional
        Raises an error if a feature is NaN or infinite. Not given if that was checked already.
    """
    if on_gpu(X) or net.backend.name != "numpy":
        if check is not None:
            check()
        return net.predict(X)
    kind: type[DenseArrays | SparseArrays] = DenseArrays
    if hasattr(X, "tocsr"):
        kind, X = SparseArrays, X.astype(net.backend.dtype, copy=False)

    def some(start: int) -> np.ndarray:
        rows = X[start : start + EVALUATION_ROWS]
        with np.errstate(over="ignore"):  # refused below
            batch = next(kind(rows, None, None, net.backend).batches(EVALUATION_ROWS))
        # NaN or infinite features make the first layer's outputs so, which are fewer to check.
        with np.errstate(invalid="ignore"):
            z = net.layers[0].forward_propagation(batch.X, training=False)
            if check is not None and not np.isfinite(np.sum(z)):
                check()
                place(Dataset(rows), Intake(net.backend, True))  # refuses numbers beyond its type
        for layer in net.layers[1:]:
            z = layer.forward_propagation(z, training=False)
        return z

    n = X.shape[0]
    if n <= EVALUATION_ROWS:
        return some(0)
    starts = range(0, n, EVALUATION_ROWS)
    parts = _in_threads(some, starts) if n >= _SEVERAL else list(map(some, starts))
    return np.concatenate(parts)


def _in_threads(some: Callable[[int], np.ndarray], starts: range) -> list[np.ndarray]:
    """Run ``some`` for each start in as many threads as BLAS uses, with one BLAS thread each.

    BLAS threads wait for each other at each matrix product, and wait long on a busy machine.
    """
    n_threads = blas_threads()
    if n_threads == 1:
        return list(map(some, starts))
    with one_blas_thread(), ThreadPoolExecutor(n_threads) as pool:
        done = [pool.submit(copy_context().run, some, start) for start in starts]
        try:
            return [each.result() for each in done]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
