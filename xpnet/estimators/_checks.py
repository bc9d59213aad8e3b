"""Parameters that do not fit each other, or the model so far: refused before anything is done."""

from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any

import numpy as np

from ..layers import BatchNormalization


def hidden_sizes(given: Any) -> list[int]:
    """Return the sizes of hidden layers, which may be one number, as a list."""
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if np.any(np.array(sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [index(size) for size in sizes]  # which refuses fractions


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
