"""The evaluation of a model in batches: its outputs, its loss and metrics."""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from ..backends import Array
from ..metrics import Metric
from ..model import Model
from .feeding.arrays import Batch
from .feeding.placing import Data
from .memory import EVALUATION_ROWS
from .sums import Sums, accumulator, loss_arguments, metric_arguments
from .target_unit import Unit, in_own_unit


def evaluate(
    model: Model,
    data: Data,
    metric: Metric | Callable[..., Any] | None = None,
    target_unit: Unit | None = None,
) -> tuple[float, float | None]:
    """Return a model's loss and metric on data, without training.

    With a target unit, the loss is computed from the standardised targets.
    """
    sums = Sums(model.loss, metric, model.backend, target_unit)
    for batch, output in outputs(model, data):
        sums.add(batch, output, model.loss.loss(*loss_arguments(batch, output)))
    return sums.read()


def measure(
    model: Model,
    data: Data,
    y: Array,
    weight: Array | None,
    metric: Metric | Callable[..., Any],
    target_unit: Unit | None = None,
) -> float:
    """Return a metric of a model on data, in float64 and in the targets' own unit.

    Parameters
    ----------
    model : Model
    data : Data
        The features. Its targets and weights are not used.
    y : array
        The targets, not standardised, from :func:`in_float64`.
    weight : array of shape (n,) or None
        Sample weights, from :func:`in_float64`.
    metric : Metric or function
    target_unit : tuple of 2 floats, optional
        By which the model's outputs are standardised.
    """
    sums, start = accumulator(metric), 0
    for _, output in outputs(model, data):
        part = slice(start, start + output.shape[0])
        start = part.stop
        arguments = [y[part, ...], in_own_unit(output, target_unit)]
        if weight is not None:
            arguments.append(weight[part])
        sums.add(*metric_arguments(model.loss, *arguments))
    return sums.result()


def predict(model: Model, data: Data) -> Array:
    """Return a model's outputs for data, batch by batch, not yet in the targets' unit."""
    found = [output for _, output in outputs(model, data)]
    # Also for a single batch: concat copies, and the output may be the user's features themselves.
    return data.backend.xp.concat(found, axis=0)


def outputs(model: Model, data: Data) -> Generator[tuple[Batch, Array], None, None]:
    """Yield batches of data, and a model's outputs for each."""
    with closing(data.batches(EVALUATION_ROWS)) as batches:  # closing ends a stream's thread
        for batch in batches:
            yield batch, model.forward_propagation(batch.X, training=False)
