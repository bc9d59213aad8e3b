"""Prediction and scores: check the data, move them, and compute in batches."""

from typing import Any

from ..backends import Array, backend_of, is_array, move, resolve
from ..data import Dataset, as_dataset
from ..losses import LossFunction
from . import evaluation
from .checks import check_fit, check_names, check_weights, frame_columns, prepare_targets
from .feeding.placing import place
from .fitting import check_data, check_fitted
from .purpose import intake_of
from .settings import make_metric
from .target_unit import in_float64, in_own_unit
from .trainable import TrainableModel
from .weighing import check_total_weight


def predict(model: TrainableModel, dataset: Any) -> Array:
    """Return a trained model's outputs; see :meth:`xpnet.NeuralNetwork.predict`."""
    check_fitted(model, "predict")
    check_names(frame_columns(dataset), model.feature_names)
    data = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    data = check_data(model, data, model.feature_names)
    backend = model.backend_for(data.X)
    model.to(backend)
    with backend.active():
        output = evaluation.predict(model, place(data, intake_of(model, backend)))
    home = backend_of(data.X) if is_array(data.X) else resolve("cpu")
    output = move(output, home)
    if model.target_unit is None:
        return output
    with home.active():
        return in_own_unit(output, model.target_unit)


def score(model: TrainableModel, dataset: Any, metric: Any = None) -> float:
    """Return a metric of a trained model; see :meth:`xpnet.NeuralNetwork.score`."""
    check_fitted(model, "score")
    if not isinstance(dataset, (Dataset, tuple)):
        as_dataset(dataset)  # raises: in score(X, y), y would be the metric
    chosen = model.metric if metric is None else make_metric(metric, model.loss)
    if chosen is None:
        raise ValueError("the network has no metric: give score(dataset, metric='accuracy')")
    check_fit(model.layers, model.loss, chosen)
    data = check_data(model, dataset, model.feature_names)
    check_weights(data, model.loss, chosen)
    if data.y is None:
        raise ValueError("the data set has no targets: give Dataset(X, y)")
    n_outputs = model.layers[-1].output_shape()[0]
    y = prepare_targets(data.y, model.loss, n_outputs, chosen)
    loss = chosen if isinstance(chosen, LossFunction) else model.loss
    given = (loss, y, data.sample_weight, n_outputs, model.backend.dtype)
    check_total_weight("data set", *given, for_metric=chosen is not loss)
    backend, weight = model.backend_for(data.X), data.sample_weight
    model.to(backend)
    with backend.active():
        placed = place(data, intake_of(model, backend))
        y = in_float64(y, backend)
        weight = None if weight is None else in_float64(weight, backend)
        return evaluation.measure(model, placed, y, weight, chosen, model.target_unit)
