"""Checks of parameters and targets, made before anything is trained."""

import math
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from ..backends._errors import shown
from ..backends._warnings import warn
from ..common.checks import as_float, as_integer
from ..data.digits import precision_problem
from ..layers import BatchNormalization

_COUNTS = ("batch_size", "max_iter", "max_fun", "n_iter_no_change", "verbose")


def hidden_sizes(given: Any) -> list[int]:
    """Return the sizes of hidden layers as a list; a single number is one layer."""
    several = hasattr(given, "__iter__") and getattr(given, "ndim", True) != 0
    sizes = list(given) if several else [given]
    units = []
    for size in sizes:
        if (n := as_integer(size)) is None:
            raise TypeError(
                f"hidden_layer_sizes={shown(given)} has {shown(size)}: expected a whole number of "
                "units for each hidden layer"
            )
        units.append(n)
    if any(n <= 0 for n in units):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return units


def check_parameters(est: Any, validation_data: Any) -> list[int]:
    """Refuse parameters that scikit-learn's checks accept; return the sizes of hidden layers."""
    hidden = hidden_sizes(est.hidden_layer_sizes)
    check_numbers(est)
    if est.scoring is not None:
        check_scoring(est, est.scoring)
    if est.solver == "lbfgs":
        check_for_lbfgs(est, validation_data)
    return hidden


def check_numbers(est: Any) -> None:
    """Refuse integers that are too large for a float; scikit-learn's checks accept them."""
    for name, value in est.get_params(deep=False).items():
        if isinstance(value, int) and name not in _COUNTS and abs(value) > sys.float_info.max:
            raise ValueError(
                f"{name} is a whole number of {value.bit_length():,} bits: expected one that a "
                f"float can hold, up to {sys.float_info.max:.2g}"
            )


def check_for_lbfgs(est: Any, validation_data: Any) -> None:
    """Refuse parameters that "lbfgs" would ignore, since it has no epochs and no batches."""
    for name, value in (
        ("validation_data", validation_data),
        ("callbacks", est.callbacks),
        ("dropout", est.dropout or None),
    ):
        if value is not None:
            raise ValueError(
                f'{name} cannot be combined with solver="lbfgs", which has no mini-batches: use '
                'another solver, such as "adam"'
            )


def check_class_weight(given: Mapping[Any, Any], classes: np.ndarray) -> None:
    """Refuse class weights that are not finite numbers, 0 or more, or that are all 0.

    As in scikit-learn, a dict that has every class in ``classes`` may also name other classes.
    """
    known = list(classes)
    unknown = [shown(label) for label in given if label not in known]
    if unknown and not all(label in given for label in known):
        raise ValueError(
            f"class_weight names {', '.join(unknown[:3])}, not found in y: expected the classes "
            f"in y, {shown(classes.tolist())}"
        )
    for label, weight in given.items():
        if not 0 <= as_float(weight) < math.inf:
            raise ValueError(
                f"class_weight gives the class {shown(label)} the weight {shown(weight)}: expected "
                "a finite number, 0 or more"
            )
    if not any(given.get(label, 1.0) for label in known):
        raise ValueError("class_weight gives every class the weight 0: expected a weight above 0")


def warn_of_lost_targets(y: np.ndarray, dtype: str, may_be_scaled: bool) -> None:
    """Warn if differences between a regressor's targets are lost in the network's dtype.

    Parameters
    ----------
    y : array of shape (n,) or (n, n_outputs)
    dtype : {"float32", "float64"}
    may_be_scaled : bool
        Whether the loss allows targets to be standardised.
    """
    if (lost := precision_problem(y, dtype)) is None:
        return
    advice = "smaller numbers"
    if may_be_scaled:
        advice = "standardised targets, e.g. by sklearn.compose.TransformedTargetRegressor"
    if dtype == "float32":
        advice = f'dtype="float64", or {advice}'
    warn(f"{lost}: give {advice}")


def check_continuing(est: Any, sizes: Sequence[int]) -> None:
    """Refuse to continue training weights whose shapes do not match the parameters."""
    advice = "set warm_start=False and fit, or fit a clone"
    shapes, expected = [w.shape for w in est.coefs_], list(pairwise(sizes))
    if shapes != expected:
        raise ValueError(
            f"coefs_ has weights of the shapes {shapes}, but hidden_layer_sizes="
            f"{est.hidden_layer_sizes} and the data need {expected}: {advice}"
        )
    net = getattr(est, "network_", None)
    normalizes = net and any(isinstance(layer, BatchNormalization) for layer in net.layers)
    if net is not None and normalizes != est.batch_norm:
        raise ValueError(
            f"batch_norm={est.batch_norm}, but the network so far was trained with "
            f"batch_norm={normalizes}: {advice}"
        )
