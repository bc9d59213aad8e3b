"""Inspecting a network: statistics of each layer's outputs, weights and gradients."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backends import to_host
from .layers import Layer
from .layers.composite import all_layers
from .layers.rewiring import rewired
from .losses import LossFunction
from .model import Model
from .training.checks import check_fit, check_weights
from .training.feeding.arrays import Batch
from .training.feeding.placing import place
from .training.fitting import MIN_SAMPLES, check_built, check_data
from .training.known import Known
from .training.lookups import check_categories
from .training.memory import EVALUATION_ROWS
from .training.purpose import intake_of, objective_of
from .training.trainable import TrainableModel, backend_for
from .training.weighing import balanced_loss, check_total_weight

__all__ = ["Inspection", "LayerReport", "inspect"]


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
        Fraction of its outputs that are 0.
    dead : int
        Number of units whose output is 0 for every sample of the batch.
    units : int
        Number of units.
    weights, gradient : float
        Norm of all its parameters, and of their gradients; 0 for a layer without parameters.
    inner : tuple of LayerReport
        The reports of the layers inside it, in order.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(4, (2,))).add(ReLUActivation())
    >>> net.layers[0].biases[:] = -10.0
    >>> report = net.add(DenseLayer(1)).inspect(([[1.0, 2.0], [2.0, 1.0]], [1.0, 2.0])).layers[1]
    >>> report.zeros, report.dead, report.units
    (1.0, 4, 4)
    """

    layer: str
    mean: float
    deviation: float
    zeros: float
    dead: int
    units: int
    weights: float
    gradient: float
    inner: tuple["LayerReport", ...] = ()


@dataclass(frozen=True)
class Inspection:
    """The loss of a batch and statistics of all layers; ``print`` shows them as a table.

    Attributes
    ----------
    loss : float
    layers : list of LayerReport
        One per layer, in order. The report of a composite has the reports of its inner layers in
        ``inner``.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(4, (2,))).add(ReLUActivation())
    >>> found = net.add(DenseLayer(1)).inspect(([[1.0, 2.0], [2.0, 1.0]], [1.0, 2.0]))
    >>> [each.layer for each in found.layers]
    ['DenseLayer', 'ReLUActivation', 'DenseLayer']
    >>> found.layers[1].units
    4
    """

    loss: float
    layers: list[LayerReport]

    def __str__(self) -> str:
        from tabulate import tabulate

        rows = [
            (
                "- " * depth + each.layer,
                f"{each.mean:.3g} ± {each.deviation:.3g}",
                f"{each.zeros:.0%}",
                f"{each.dead} of {each.units}",
                f"{each.weights:.3g}" if each.weights else "",
                f"{each.gradient:.3g}" if each.weights else "",
            )
            for depth, each in _with_inner(self.layers)
        ]
        headers = ["layer", "output", "zeros", "dead units", "|weights|", "|gradient|"]
        return f"{tabulate(rows, headers, disable_numparse=True)}\nloss {self.loss:.6g}"


def _with_inner(
    reports: Iterable[LayerReport], depth: int = 0
) -> Iterator[tuple[int, LayerReport]]:
    """Yield each report with its depth, followed by the reports of the layers inside it."""
    for each in reports:
        yield depth, each
        yield from _with_inner(each.inner, depth + 1)


def inspect(model: TrainableModel, dataset: Any) -> Inspection:
    """Return statistics of each layer for some samples; see :meth:`xpnet.NeuralNetwork.inspect`.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.inspection import inspect
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(1, input_shape=(2,)))
    >>> len(inspect(net, ([[1.0, 2.0], [2.0, 1.0]], [1.0, 2.0])).layers)
    1
    """
    check_built(model)
    check_fit(model.layers, model.loss, model.metrics)
    known = Known.before(model)
    data = check_data(model, dataset, known, least=MIN_SAMPLES)
    check_weights(data, model.loss, model.metrics)
    n_outputs = model.layers[-1].output_shape()[0]
    y = objective_of(model).targets_of(data)
    given = (y, data.sample_weight, n_outputs)
    names = Known.of(data).merged_with(known).class_names
    loss = balanced_loss(model.loss, *given, recompute=False, class_names=names)
    data = data.rows(np.arange(min(len(data), EVALUATION_ROWS)))
    check_categories(data, model.layers)  # stored data are in memory only now
    y = y[: len(data), ...]
    check_total_weight("data set", loss, y, data.sample_weight, n_outputs, model.backend.dtype)
    backend = backend_for(model, data.X)
    model.to(backend)
    with backend.active():
        placed = place(data, intake_of(model, backend), y, read=True)
        return _inspect_batch(model, next(placed.batches(len(data))), loss)


def _inspect_batch(model: Model, batch: Batch, loss: LossFunction) -> Inspection:
    """Return statistics of a training pass with a batch, and leave the model unchanged."""
    before, x = model.snapshot(), batch.X
    outputs: dict[int, np.ndarray] = {}
    try:
        for layer in model.layers:
            outputs |= _inner_outputs(layer, x)
            x = layer.forward_propagation(x, training=True)
            outputs[id(layer)] = to_host(x)
        done = model.propagate_loss(x, batch.y, batch.sample_weight, loss=loss)
        reports = [_report(layer, outputs) for layer in model.layers]
    finally:
        before.restore()
        for layer in model.layers:
            layer.forget_pass()
    return Inspection(model.backend.scalar(done.loss), reports)


def _inner_outputs(outer: Layer, x: Any) -> dict[int, np.ndarray]:
    """Return the outputs of the layers inside ``outer``, by id, in a training pass with ``x``.

    They are computed by copies of the layers, with the random numbers of the pass that follows.
    """
    outputs: dict[int, np.ndarray] = {}

    def copied(layer: Layer) -> Layer:
        with suppress(ValueError):  # a user's layer whose inner layers cannot be replaced
            twin: Layer = rewired(layer, noted)
            return twin
        return copy.copy(layer)

    def noted(layer: Layer, x: Any) -> Any:
        twin = copied(layer)
        output = twin.forward_propagation(x, training=True)
        outputs[id(layer)] = to_host(output)
        return output

    if outer.inner_layers:
        copied(outer).forward_propagation(x, training=True)
    return outputs


def _report(layer: Any, outputs: Mapping[int, np.ndarray]) -> LayerReport:
    output = outputs[id(layer)]
    is_zero = output.reshape(len(output), -1) == 0
    named = [(each, name) for each in all_layers([layer]) for name in each.parameter_names]
    norms = [
        np.sqrt(sum(float(np.sum(to_host(each).astype(float) ** 2)) for each in arrays))
        for arrays in (
            [getattr(each, name) for each, name in named],
            [getattr(each, f"{name}_gradient") for each, name in named if each.trainable],
        )
    ]
    return LayerReport(
        layer.layer_name(),
        float(output.mean()),
        float(output.std()),
        float(is_zero.mean()),
        int(is_zero.all(axis=0).sum()),
        is_zero.shape[1],
        float(norms[0]),
        float(norms[1]),
        tuple(_report(each, outputs) for each in layer.inner_layers if id(each) in outputs),
    )


def __dir__() -> list[str]:
    return sorted(__all__)
