"""Parameters that do not fit each other, or the model so far: refused before anything is done."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .._checks import check_integer
from ..backends._errors import shown
from ..layers import BatchNormalization

_COUNTS = ("batch_size", "max_iter", "max_fun", "n_iter_no_change", "verbose")


def hidden_sizes(given: Any) -> list[int]:
    """Return the sizes of hidden layers, which may be one number, as a list."""
    several = hasattr(given, "__iter__") and getattr(given, "ndim", True) != 0
    sizes = list(given) if several else [given]
    try:
        units = [check_integer(size) for size in sizes]
    except TypeError as error:
        raise TypeError(
            f"hidden_layer_sizes={shown(given)} has {error} of units for each hidden layer"
        ) from None
    if any(n <= 0 for n in units):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return units


def check_numbers(est: Any) -> None:
    """Refuse whole numbers that are too large for a float, which scikit-learn lets pass."""
    for name, value in est.get_params(deep=False).items():
        if isinstance(value, int) and name not in _COUNTS and abs(value) > sys.float_info.max:
            raise ValueError(
                f"{name} is a whole number of {value.bit_length():,} bits: expected one that a "
                f"float can hold, up to {sys.float_info.max:.2g}"
            )


def check_for_lbfgs(est: Any, validation_data: Any) -> None:
    """Refuse what the solver "lbfgs", which has no epochs and no batches, would leave out."""
    for name, value in (
        ("validation_data", validation_data),
        ("callbacks", est.callbacks),
        ("dropout", est.dropout or None),
    ):
        if value is not None:
            raise ValueError(
                f'{name} is for solvers that go in mini-batches, as "adam" does: solver="lbfgs" '
                "does not"
            )


def check_going_on(est: Any, sizes: Sequence[int]) -> None:
    """Refuse to go on with the weights of another network than the parameters ask for."""
    advice = "set warm_start=False and fit, or fit a clone"
    shapes, expected = [w.shape for w in est.coefs_], list(pairwise(sizes))
    if shapes != expected:
        raise ValueError(
            f"coefs_ has weights of the shapes {shapes}, where hidden_layer_sizes="
            f"{est.hidden_layer_sizes} and the data make {expected}: {advice}"
        )
    net = getattr(est, "network_", None)
    normalizes = net and any(isinstance(layer, BatchNormalization) for layer in net.layers)
    if net is not None and normalizes != est.batch_norm:
        raise ValueError(
            f"batch_norm={est.batch_norm}, but the network so far was trained with "
            f"batch_norm={normalizes}: {advice}"
        )
