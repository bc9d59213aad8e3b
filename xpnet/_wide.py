"""Features of a type with more digits than the network's: kept until a first Normalization."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _moments
from ._overrides import replaced
from ._reading import is_wide
from ._stored import numpy_type
from .backends import Array, Backend, ops, to_host
from .layers import Layer, Normalization

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

Narrowing = Callable[[np.ndarray], np.ndarray]
"""Turns rows of features on the host into the numbers that the network computes with."""


def takes_wide(network: "NeuralNetwork", backend: Backend) -> Layer | None:
    """Return the first layer if it takes features with more digits than the network's type has.

    A network with a forward pass of its own may do anything with features before, so it gets them
    in its own type; and there are no such features on a device without float64.
    """
    first = network.layers[0]
    own_pass = replaced(network, ["forward_propagation"]) is not None
    if not first.takes_wide or own_pass or backend.wide_dtype == backend.dtype:
        return None
    return first


def keeps_type(X: Any, first: Layer | None, backend: Backend) -> bool:
    """Whether features stay in their own type until the first layer has them."""
    if first is None:
        return False
    return is_wide(numpy_type(X), np.dtype(backend.dtype).itemsize)


def check_limits(X: Array, narrowed: Narrowing, backend: Backend) -> None:
    """Refuse features that the first layer makes larger than the network's type holds."""
    if not X.shape[0]:
        return
    low, high = _moments.limits(X)
    wrong = np.flatnonzero(~np.isfinite(narrowed(np.stack([low, high]))).all(axis=0))
    if wrong.size:
        column = wrong[0]
        raise ValueError(
            f"X has numbers from {low[column]:.3g} to {high[column]:.3g} in column {column}, which "
            f"become {beyond(backend)} by Normalization: correct them, or give dtype='float64'"
        )


def narrowing(first: Layer | None, backend: Backend) -> Narrowing:
    """Return a function of rows on the host: the network's numbers that the first layer makes.

    Of a user's layer all that is known is that it takes what is finite.
    """
    if replaced(first, ["forward_propagation"]) is not None or not isinstance(first, Normalization):
        return lambda rows: rows
    moments = to_host(first.mean), to_host(first.scale)
    return partial(_standardized, moments=moments, dtype=np.dtype(backend.dtype))


def _standardized(rows: np.ndarray, moments: tuple[Any, Any], dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):  # refused by who asks, in words
        result: np.ndarray = ops.standardize(rows, *moments, dtype)
    return result


def beyond(backend: Backend) -> str:
    """Return what to say of numbers that are too large for the network's type."""
    return f"beyond what {backend.dtype} holds ({float(np.finfo(backend.dtype).max):.3g})"
