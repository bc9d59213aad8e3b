"""Derivatives of predictions with respect to the features."""

import copy
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from array_api_compat import device

from ..backends import Array, array_namespace, backend_of, is_array, move, resolve
from ..backends._errors import shown, unknown_name
from ..backends.cpu.blas_threads import computing
from ..common.checks import as_integer
from ..common.overrides import first_override
from ..data import Dataset
from ..losses import LossFunction
from ..model import Model
from .checks import check_fit, check_weights
from .evaluation import read_only_model
from .feeding.placing import Data, place
from .fitting import check_data, check_fitted
from .heads import read_dataset
from .known import Known
from .lookups import check_made_codes, makes_codes
from .memory import EVALUATION_ROWS
from .prediction import move_model
from .purpose import intake_of, objective_of
from .sums import loss_arguments
from .target_unit import in_float64
from .trainable import TrainableModel, backend_for
from .weighing import check_total_weight, ordered_loss

_PASSES = ("__getattribute__", "forward_propagation", "backward_propagation")


def input_gradient(
    model: TrainableModel, X: Any, output: int | str | None, y: Any, sample_weight: Any
) -> Array:
    """Return derivatives with respect to features; see :meth:`NeuralNetwork.input_gradient`."""
    check_fitted(model, "input_gradient", reads_outputs=y is not None)
    model._check_layers()
    if (name := first_override(model, _PASSES)) is not None:
        raise ValueError(
            f"{type(model).__name__} overrides {name}, so the derivatives of its layers are not "
            "those of its predictions"
        )
    data = _read(model, X, y, sample_weight)
    of_loss = data.y is not None
    n_outputs = model.layers[-1].output_shape()[0]
    k = None if of_loss else _checked_output(output, n_outputs, model.class_names)
    if of_loss and output is not None:
        raise ValueError(
            f"output={shown(output)} is given together with y: give y for the derivative of the "
            "loss, or output for the derivative of that output"
        )
    targets, loss = _targets(model, data) if of_loss else (None, model.loss)
    backend = backend_for(model, data.X)
    home = backend_of(data.X) if is_array(data.X) else resolve("cpu")
    with computing(), backend.active():
        placed = place(data, intake_of(model, backend), targets)
        move_model(model, backend)
        read = read_only_model(model)
        if of_loss:
            gradients = _of_loss(loss, read, placed)
        else:
            gradients = _of_output(model, read, placed, k or 0)
        gradient = move(backend.xp.concat(list(gradients), axis=0), home)
    if of_loss or model.target_unit is None:
        return gradient
    with home.active():
        return in_float64(gradient)


def _read(model: TrainableModel, X: Any, y: Any, sample_weight: Any) -> Dataset:
    """Return the features, and the targets if there are any, as a checked data set."""
    known = Known.of(model)
    if isinstance(X, tuple):
        raise TypeError("input_gradient was given a tuple: give X and y as two arguments")
    if isinstance(X, Dataset):  # its own targets are not used
        features = copy.copy(X)
        features.y = features.sample_weight = None
    else:
        features = known.read(X)
    if y is not None:
        target = read_dataset((features.X, y, sample_weight), model.loss, known)
        features = copy.copy(features)
        features.y, features.sample_weight = target.y, target.sample_weight
        features.label_name, features.class_names = target.label_name, target.class_names
        features.has_text_labels = target.has_text_labels
    elif sample_weight is not None:
        raise TypeError("sample_weight is given without y: give both for the loss, or neither")
    return check_data(model, features, known)


def _targets(model: TrainableModel, data: Dataset) -> tuple[Array, LossFunction]:
    """Check the targets; return them in the form that the loss takes, and the loss."""
    check_fit(model.layers, model.loss, ())
    check_weights(data, model.loss, ())
    objective = objective_of(model)
    y = objective.targets_of(data)
    loss = ordered_loss(model.loss, model.class_names)
    given = (y, data.sample_weight, objective.n_outputs, model.backend.dtype)
    check_total_weight("data set", loss, *given)
    return y, loss


def _checked_output(output: Any, n_outputs: int, class_names: Any) -> int:
    """Return the index of an output, given as an index or as the name of a class."""
    if output is None and n_outputs == 1:
        return 0
    if isinstance(output, str) and isinstance(class_names, list):
        known = class_names[1:] if n_outputs == 1 else class_names  # a single output is for class 1
        if output not in known:
            raise unknown_name("output", output, known)
        return known.index(output)
    k = None if output is None else as_integer(output)
    if k is None or not 0 <= k < n_outputs:
        raise ValueError(
            f"output={shown(output)}: expected the index of one of the network's {n_outputs} "
            f"outputs, 0 to {n_outputs - 1}, or y for the derivative of the loss"
        )
    return k


def _of_output(model: TrainableModel, read: Model, data: Data, k: int) -> Iterator[Array]:
    """Yield the derivatives of prediction ``k`` for each batch."""
    with closing(data.batches(EVALUATION_ROWS)) as batches:
        for number, batch in enumerate(batches):
            inputs, output = _forward(read, batch.X, number * EVALUATION_ROWS)
            xp, scale, slopes = array_namespace(output), 1.0, None
            if model.target_unit is not None:
                scale = xp.asarray(model.target_unit[1], dtype=output.dtype, device=device(output))
            if model._predicts_outputs:
                slopes = xp.ones_like(output)
            else:
                slopes = model.loss.predictions_derivative(output, scale)
            columns = xp.arange(output.shape[1], device=device(output))
            yield _back(read, inputs, xp.where(columns == k, slopes, xp.zeros_like(slopes)))


def _of_loss(loss: LossFunction, read: Model, data: Data) -> Iterator[Array]:
    """Yield the derivatives of the loss, which is a mean over the samples of all batches."""
    found, weights = [], []
    with closing(data.batches(EVALUATION_ROWS)) as batches:
        for number, batch in enumerate(batches):
            inputs, output = _forward(read, batch.X, number * EVALUATION_ROWS)
            arguments = loss_arguments(batch, output)
            error = loss.derivative(*arguments)
            found.append(_back(read, inputs, array_namespace(output).astype(error, output.dtype)))
            weights.append(loss.total_weight(*arguments))
    total = sum(weights[1:], start=weights[0])
    for gradient, weight in zip(found, weights, strict=True):
        yield gradient * (weight / total)


def _forward(model: Model, X: Any, first: int) -> tuple[list[Any], Array]:
    """Return the input of each layer in prediction, and the last output.

    ``first`` is the number of the first sample in messages.
    """
    if makes_codes(model.layers):
        check_made_codes(model.layers, X, first)
    inputs = []
    for layer in model.layers:
        inputs.append(X)
        X = layer.forward_propagation(X, training=False)
    return inputs, X


def _back(model: Model, inputs: list[Any], error: Array) -> Array:
    """Return the derivative with respect to the first input."""
    for layer, input in zip(reversed(model.layers), reversed(inputs), strict=True):
        error = layer.input_derivative(input, error)
    return error
