"""The networks and data that compiled steps support."""

import math
from importlib.util import find_spec
from typing import Any

import numpy as np

from ....backends import check_structure
from ....backends._feature_types import FEATURE_TYPES
from ....data.features import SparseRows, kind_of
from ....layers import DenseLayer
from ....model import Model
from ...errors import UnsupportedError
from ..translation import Unit, check_parts, formulas_of, targets_of, units_of

_MOST_DROPOUTS = 16
"""The largest number of Dropout layers: ``STATE - DRAWS`` of ``kernels.py``."""


def translate(model: Model, X: Any, y: Any, sample_weight: Any = None) -> list[Unit]:
    """Return the units of a model whose training compiled steps support.

    Raises
    ------
    UnsupportedError
        Compiled steps do not support the model or its data, or their libraries are not installed.
    """
    check_libraries()
    found = units(model)
    check_features(model, X)
    targets(model, y)
    for what, array in (("targets", y), ("weights", sample_weight)):
        if array is not None and array.shape[0] != X.shape[0]:
            raise UnsupportedError(f"{array.shape[0]} {what} for {X.shape[0]} samples")
    return found


def check_libraries() -> None:
    """Refuse steps whose libraries are not installed."""
    for name in ("numba", "scipy", "threadpoolctl"):
        if find_spec(name) is None:
            raise UnsupportedError(f"{name} is not installed: pip install {name}")


def units(model: Model) -> list[Unit]:
    """Return a network's layers as units."""
    if model.backend.name != "numpy":
        raise UnsupportedError(f"the backend {model.backend.name}: compiled steps are for NumPy")
    optimizer = model.optimizer
    if optimizer.clip_norm is not None or optimizer.clip_value is not None:
        raise UnsupportedError("clipping of the gradient")
    check_parts(model)
    found = units_of(model, _MOST_DROPOUTS)
    formulas_of(model)
    if any(unit.norm is not None for unit in found):
        raise UnsupportedError("BatchNormalization")
    return found


def check_features(model: Model, X: Any) -> None:
    """Refuse features that the kernels do not read."""
    if kind_of(X) is SparseRows:
        if X.format != "csr":
            raise UnsupportedError(f"sparse features in the format {X.format} instead of CSR")
        if type(model.layers[0]) is not DenseLayer:
            raise UnsupportedError(f"sparse features before {model.layers[0].layer_name()}")
        check_structure(X)
    elif not isinstance(X, np.ndarray) or X.ndim != 2:
        raise UnsupportedError("features that are not a NumPy matrix")
    elif X.dtype.name not in FEATURE_TYPES or not X.dtype.isnative:
        raise UnsupportedError(f"features of the type {X.dtype}")
    elif not X.flags.c_contiguous:
        raise UnsupportedError("features that are not contiguous in row order")
    if X.shape[1:] != (math.prod(model.layers[0].input_shape()),):
        raise UnsupportedError(f"features of shape {X.shape}")


def targets(model: Model, y: Any) -> np.ndarray:
    """Return targets in the form for kernels: int64 classes, or rows of the network's type."""
    if not isinstance(y, np.ndarray):
        raise UnsupportedError("targets that are not a NumPy array")
    return np.ascontiguousarray(targets_of(model, y))
