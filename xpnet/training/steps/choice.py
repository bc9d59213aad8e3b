"""The choice between formulas, compiled steps and captured steps."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from ... import config
from ...backends import unknown_name
from ..feeding.training_data import TrainingData
from .base import FormulaSteps, Steps
from .captured.steps import captured_steps
from .compiled.steps import compiled_steps
from .translation import UnsupportedError

if TYPE_CHECKING:
    from ...neuralnet import NeuralNetwork


def make_steps(network: "NeuralNetwork", placed: TrainingData) -> Steps:
    """Return the fastest kind of steps that the network supports and its user allows.

    On NumPy, ``xpnet.config.kernels`` allows, forbids or requires compiled steps. On CUDA, the
    network's ``capture`` does so for captured steps.

    Raises
    ------
    ValueError
        The required kind of steps, or the precision, does not work for this network or these data.
    """
    if config.kernels not in config.KERNELS:
        raise unknown_name("xpnet.config.kernels", config.kernels, config.KERNELS)
    asked, make = "", cast(Callable[..., Steps] | None, None)
    if network.backend.has_kernels:
        make = captured_steps
        if network.capture is True:
            asked = "capture=True, but these steps cannot be captured"
        if network.precision != "float32":
            asked = (
                f"precision={network.precision!r} needs captured steps, but these steps cannot be "
                "captured"
            )
    else:
        if network.precision != "float32":
            raise ValueError(
                f"precision={network.precision!r} is for products on CUDA, but this network is on "
                f"{network.backend.device_name}: give precision='float32'"
            )
        if network.backend.name == "numpy" and config.kernels != "numpy":
            make = compiled_steps
        if config.kernels == "numba":
            make = compiled_steps
            asked = "xpnet.config.kernels='numba', but these steps cannot be compiled"
    if make is None or not network.parameters:
        return FormulaSteps(network, placed)
    try:
        return make(network, placed)
    except (UnsupportedError, MemoryError) as reason:
        if asked:
            raise ValueError(f"{asked}: {reason}") from None
        return FormulaSteps(network, placed)
