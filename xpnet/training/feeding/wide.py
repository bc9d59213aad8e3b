"""Features of wide types, which have more digits than the network's type.

They keep their type until a Normalization as the first layer has subtracted the mean.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backends import Array, Backend, ops, to_host
from ...common.overrides import replaced
from ...data import moments
from ...data.reading import is_wide
from ...data.stored import numpy_type
from ...layers import Layer, Normalization

if TYPE_CHECKING:
    from ...neuralnet import NeuralNetwork

Narrowing = Callable[[np.ndarray], np.ndarray]
"""Converts rows of features on the host to the numbers that the network computes with."""


def takes_wide(network: "NeuralNetwork", backend: Backend) -> Layer | None:
    """Return the first layer if it takes features of wide types, otherwise None.

    If a subclass of the network overrides the forward pass, it may use the features before the
    first layer does, so it gets them in the network's type. On a device without float64, no type
    of features is wide.
    """
    first = network.layers[0]
    if not first.takes_wide or backend.wide_dtype == backend.dtype:
        return None
    return first if replaced(network, ["forward_propagation"]) is None else None


def keeps_type(X: Any, first: Layer | None, backend: Backend) -> bool:
    """Whether features keep their type until they reach the first layer."""
    if first is None:
        return False
    return is_wide(numpy_type(X), np.dtype(backend.dtype).itemsize)


def check_limits(X: Array, narrowed: Narrowing, backend: Backend) -> None:
    """Refuse features that the first layer makes too large for the network's type."""
    if not X.shape[0]:
        return
    low, high = moments.limits(X)
    wrong = np.flatnonzero(~np.isfinite(narrowed(np.stack([low, high]))).all(axis=0))
    if wrong.size:
        column = wrong[0]
        raise ValueError(
            f"X has numbers from {low[column]:.3g} to {high[column]:.3g} in column {column}, which "
            f"become {beyond(backend)} by Normalization: correct them, or give dtype='float64'"
        )


def narrowing(first: Layer | None, backend: Backend) -> Narrowing:
    """Return a function that does on the host what the first layer does to rows of features.

    For a user's layer it returns the rows unchanged, since its formula is not known.
    """
    if replaced(first, ["forward_propagation"]) is not None or not isinstance(first, Normalization):
        return lambda rows: rows
    moments = to_host(first.mean), to_host(first.scale)
    return partial(_standardized, moments=moments, dtype=np.dtype(backend.dtype))


def _standardized(rows: np.ndarray, moments: tuple[Any, Any], dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):  # the callers refuse infinity with a message
        result: np.ndarray = ops.standardize(rows, *moments, dtype)
    return result


def beyond(backend: Backend) -> str:
    """Return words for messages about numbers that are too large for the network's type."""
    return f"beyond what {backend.dtype} holds ({float(np.finfo(backend.dtype).max):.3g})"
