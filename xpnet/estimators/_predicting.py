"""A network's outputs for features that an estimator is asked about."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import numpy as np

from .._arrays import Arrays
from .._placing import place
from ..backends import Array, on_gpu
from ..backends._blas_threads import blas_threads, one_blas_thread
from ..data import Dataset
from ..memory import EVALUATION_ROWS
from ..neuralnet import NeuralNetwork

_SEVERAL = 4 * EVALUATION_ROWS
"""Rows from which on it is worth to do several times as many at a time."""


def outputs(net: NeuralNetwork, X: Any, check: Callable[[], None] | None = None) -> Array:
    """Return a network's outputs for features whose number and type were checked already.

    Parameters
    ----------
    net : NeuralNetwork
    X : array or CSR matrix of shape (n, n_features)
    check : callable, optional
        Raises an error if there are features that are NaN or infinite, which is yet to be seen.
    """
    if on_gpu(X) or net.backend.name != "numpy":
        if check is not None:
            check()
        return net.predict(X)
    if hasattr(X, "tocsr"):
        X = X.astype(net.backend.dtype, copy=False)

    def some(start: int) -> np.ndarray:
        rows = X[start : start + EVALUATION_ROWS]
        with np.errstate(over="ignore"):  # refused below, in words
            batch = next(Arrays(rows, None, None, net.backend, True).batches(EVALUATION_ROWS))
        # A feature that is NaN or infinite makes its row's sums so: fewer numbers to look at.
        with np.errstate(invalid="ignore"):
            z = net.layers[0].forward_propagation(batch.X, training=False)
            if check is not None and not np.isfinite(np.sum(z)):
                check()
                place(Dataset(rows), net.backend, keeps=True)  # refuses what its type has not
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
    """Do all in as many threads as products take, each of which now takes one.

    Threads that share a product wait for each other at each, and long if others compute, too.
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
