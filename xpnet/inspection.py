"""Looking into a network: what its layers put out and how they would be changed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._sums import loss_arguments
from .backends import to_host
from .snapshot import Snapshot

if TYPE_CHECKING:
    from ._arrays import Arrays
    from .losses import LossFunction
    from .neuralnet import NeuralNetwork


@dataclass(frozen=True)
class LayerReport:
    """What one layer does with a batch.

    Attributes
    ----------
    layer : str
    mean, deviation : float
        Of its outputs.
    zeros : float
        The part of its outputs that is 0.
    dead : int
        Units that put out 0 for every sample of the batch.
    units : int
    weights, gradient : float
        Lengths, over all its parameters, of these and of the loss's derivative; 0 without any.
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
    """What all layers do with a batch, and its loss; prints as a table.

    Attributes
    ----------
    loss : float
    layers : list of LayerReport
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
    """Return what a network's layers do with a batch, in training; it stays as it is."""
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
