"""The choice among the ways to take the steps of a training."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from . import config
from ._captured_steps import captured_steps
from ._compiled_steps import compiled_steps
from ._placing import Placed
from ._steps import FormulaSteps, Steps
from ._translation import UnsupportedError
from .backends import unknown_name

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork


def make_steps(network: "NeuralNetwork", placed: Placed) -> Steps:
    """Return the fastest steps that there are for a network, of those that are allowed.

    On NumPy :mod:`xpnet.config` says whether they may be, or must be, compiled; on CUDA the
    network's ``capture``.

    Raises
    ------
    ValueError
        Something is asked for that there is not for this network or these data.
    """
    if config.kernels not in config.KERNELS:
        raise unknown_name("xpnet.config.kernels", config.kernels, config.KERNELS)
    asked, make = "", cast(Callable[..., Steps] | None, None)
    if network.backend.has_kernels:
        make = captured_steps
        if network.capture is True:
            asked = "capture=True, and there is no captured step"
        if network.precision != "float32":
            asked = f"precision={network.precision!r} is for captured steps, and there is none"
    else:
        if network.precision != "float32":
            raise ValueError(
                f"precision={network.precision!r} is for products on CUDA, and this network is on "
                f"{network.backend.device_name}: give precision='float32'"
            )
        if network.backend.name == "numpy" and config.kernels != "numpy":
            make = compiled_steps
        if config.kernels == "numba":
            make = compiled_steps
            asked = "xpnet.config.kernels='numba', and there is no compiled step"
    if make is None or not network.parameters:
        return FormulaSteps(network, placed)
    try:
        return make(network, placed)
    except (UnsupportedError, MemoryError) as reason:
        if asked:
            raise ValueError(f"{asked}: {reason}") from None
        return FormulaSteps(network, placed)
