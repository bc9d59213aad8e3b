"""The networks and data that captured steps support."""

import math
from typing import Any

from ....backends._feature_types import FEATURE_TYPES
from ....backends.cuda import kernels
from ....data.features import SparseRows, kind_of
from ....layers import CategoricalEmbeddings, DenseLayer, Embedding
from ....model import Model
from ...errors import UnsupportedError
from ..translation import Unit, check_parts, formulas_of, lookups_of, targets_of, units_of

MOST_NUMBERS = 2**31 - 1
"""The largest number of elements of an array: kernels compute indices in 32 bits."""


def translate(model: Model, X: Any, y: Any, batch_size: int = 1) -> list[Unit]:
    """Return the units of a model whose training captured steps support.

    Raises
    ------
    UnsupportedError
        Captured steps do not support the model or its data.
    """
    needed = units(model)
    _check_features(model, X)
    targets_of(model, y)
    widest = max(max(unit.n_inputs, unit.n_units) for unit in needed)
    if batch_size * widest > MOST_NUMBERS:
        raise UnsupportedError(
            f"a batch of {batch_size} rows of {widest} numbers, more than 32-bit indices can count"
        )
    for layer in (unit.layer for unit in needed):
        if isinstance(layer, (Embedding, CategoricalEmbeddings)):
            most = max(lookup.n_categories for lookup in lookups_of(layer))
            if most >= MOST_NUMBERS:
                raise UnsupportedError(f"{most:,} categories, more than 32-bit indices can count")
    return needed


def units(model: Model) -> list[Unit]:
    """Return a network's layers as units."""
    check_parts(model)
    found = units_of(model, kernels.MOST_DROPOUTS)
    formulas_of(model)
    return found


def _check_features(model: Model, X: Any) -> None:
    if kind_of(X) is SparseRows:
        if X.format != "csr":
            raise UnsupportedError(f"sparse features in the format {X.format} instead of CSR")
        if type(model.layers[0]) is not DenseLayer:
            raise UnsupportedError(f"sparse features before {model.layers[0].layer_name()}")
    elif X.ndim != 2 or X.shape[1:] != (math.prod(model.layers[0].input_shape()),):
        raise UnsupportedError(f"features of shape {tuple(X.shape)}")
    elif str(X.dtype) not in FEATURE_TYPES:
        raise UnsupportedError(f"features of the type {X.dtype}")
