"""Inspecting a network: statistics of each layer's outputs, weights and gradients."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .backends import to_host
from .model.snapshot import Snapshot
from .training.sums import loss_arguments

if TYPE_CHECKING:
    from .losses import LossFunction
    from .neuralnet import NeuralNetwork
    from .training.feeding.arrays import Arrays


@dataclass(frozen=True)
class LayerReport:
    """Statistics of one layer for a batch.

    Attributes
    ----------
    layer : str
        The layer's name.
    mean, deviation : float
        Mean and standard deviation of its outputs.
    zeros : float
        Share of its outputs that are 0.
    dead : int
        Number of units whose output is 0 for every sample of the batch.
    units : int
        Number of units.
    weights, gradient : float
        Norm of all its parameters, and of their gradients; 0 for a layer without parameters.
    """

    layer: str
    mean: float
    deviation: float
    zeros: float
    dead: int
    units: int
    weights: float
    gradient: float


@dataclass(frozen=True)
class Inspection:
    """The loss of a batch and statistics of all layers; ``print`` shows them as a table.

    Attributes
    ----------
    loss : float
    layers : list of LayerReport
        One for each layer, in their order.
    """

    loss: float
    layers: list[LayerReport]

    def __str__(self) -> str:
        from tabulate import tabulate

        rows = [
            (
                each.layer,
                f"{each.mean:.3g} ± {each.deviation:.3g}",
                f"{each.zeros:.0%}",
                f"{each.dead} of {each.units}",
                f"{each.weights:.3g}" if each.weights else "",
                f"{each.gradient:.3g}" if each.weights else "",
            )
            for each in self.layers
        ]
        headers = ["layer", "output", "zeros", "dead units", "|weights|", "|gradient|"]
        return f"{tabulate(rows, headers, disable_numparse=True)}\nloss {self.loss:.6g}"


def inspect(network: "NeuralNetwork", batch: "Arrays", loss_function: "LossFunction") -> Inspection:
    """Return statistics of a training pass with a batch, and leave the network unchanged."""
    before, x, outputs = Snapshot(network), batch.X, []
    try:
        for layer in network.layers:
            x = layer.forward_propagation(x, training=True)
            outputs.append(to_host(x))
        loss, error = loss_function.loss_and_derivative(*loss_arguments(batch, x))
        network.backward_propagation(error, update=False)
        reports = [
            _report(layer, output) for layer, output in zip(network.layers, outputs, strict=True)
        ]
    finally:
        before.restore()
        for layer in network.layers:
            layer.forget_pass()
    return Inspection(network.backend.scalar(loss), reports)


def _report(layer: Any, output: np.ndarray) -> LayerReport:
    is_zero = output.reshape(len(output), -1) == 0
    lengths = [
        np.sqrt(sum(float(np.sum(to_host(each).astype(float) ** 2)) for each in arrays))
        for arrays in (
            [getattr(layer, name) for name in layer.parameter_names],
            [getattr(layer, f"{name}_gradient") for name in layer.parameter_names],
        )
    ]
    return LayerReport(
        layer.layer_name(),
        float(output.mean()),
        float(output.std()),
        float(is_zero.mean()),
        int(is_zero.all(axis=0).sum()),
        is_zero.shape[1],
        *map(float, lengths),
    )
