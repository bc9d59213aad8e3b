"""Features of wide types, which have more digits than the network's type.

They keep their type until the first layer, a Normalization, has subtracted the mean.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...backends import Backend, ops, to_host
from ...common.overrides import first_override
from ...data.features import Features
from ...layers import Layer, Normalization

Narrowing = Callable[[np.ndarray], np.ndarray]
"""Converts rows of features on the host to the numbers that the network computes with."""


def takes_wide(first: Layer, backend: Backend, overrides_pass: bool = False) -> bool:
    """Whether a network takes features of wide types; False on a device without float64.

    Parameters
    ----------
    first : Layer
        Its first layer.
    backend : Backend
    overrides_pass : bool, default False
        Whether a subclass of the network overrides the forward pass. It may then use the features
        before the first layer does, so it gets them in the network's type.
    """
    return first.takes_wide and not overrides_pass and backend.wide_dtype != backend.dtype


def check_limits(features: Features, narrowed: Narrowing, backend: Backend) -> None:
    """Refuse features that the first layer makes too large for the network's type."""
    if not len(features):
        return
    low, high = features.limits()
    wrong = np.flatnonzero(~np.isfinite(narrowed(np.stack([low, high]))).all(axis=0))
    if wrong.size:
        column = wrong[0]
        raise ValueError(
            f"X has numbers from {low[column]:.3g} to {high[column]:.3g} in column {column}, which "
            f"after Normalization are {beyond(backend)}: correct them, or give dtype='float64'"
        )


def narrowing(first: Layer, backend: Backend) -> Narrowing:
    """Return a function that applies the first layer to rows of features on the host.

    For a user's layer it returns the rows unchanged, since its formula is not known.
    """
    replaced = first_override(first, ["forward_propagation"]) is not None
    if replaced or not isinstance(first, Normalization):
        return lambda rows: rows
    moments = to_host(first.mean), to_host(first.scale)
    return partial(_standardized, moments=moments, dtype=np.dtype(backend.dtype))


def _standardized(rows: np.ndarray, moments: tuple[Any, Any], dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):  # the callers refuse infinity with a message
        result: np.ndarray = ops.standardize(rows, *moments, dtype)
    return result


def beyond(backend: Backend) -> str:
    """Describe, for messages, numbers that are too large for the network's type."""
    return f"beyond what {backend.dtype} holds ({float(np.finfo(backend.dtype).max):.3g})"
