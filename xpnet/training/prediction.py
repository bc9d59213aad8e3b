"""Prediction and scores: check the data, move them, and compute in batches."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..backends import Array, Backend, backend_of, is_array, move, resolve
from ..backends._errors import shown
from ..backends.cpu.blas_threads import computing
from ..common.checks import as_float, check_count
from ..common.overrides import first_override, has_methods_of
from ..data import Dataset
from ..data.features import DenseRows, kind_of
from ..layers import Layer
from ..layers.composite import all_layers
from ..losses import Heads, LossFunction
from . import evaluation
from .checks import check_fit, check_weights, prepare_targets
from .classes import check_is_of_classes, classes_of, probabilities_of
from .feeding.arrays import DenseArrays
from .feeding.placing import Data, place, place_targets
from .fitting import check_data, check_fitted
from .heads import check_finite
from .known import Known
from .metric_settings import OneMetric, make_metric, make_metrics, name_of, scoring_metric, several
from .purpose import intake_of
from .target_unit import check_losses_as_metrics, in_float64, in_own_unit
from .trainable import TrainableModel, backend_for
from .trainer import is_being_trained
from .weighing import check_total_weight, heads_of, ordered_loss, ordered_metric


def predict(model: TrainableModel, dataset: Any, samples: int | None = None) -> Array:
    """Return a trained model's predictions; see :meth:`xpnet.NeuralNetwork.predict`."""
    check_fitted(model, "predict")
    if samples is not None:
        samples = check_count("samples", samples)
        _check_random(model)
    known = Known.of(model)
    data = check_data(model, known.read(dataset), known, finite=False, targets=False)
    if data.y is not None:  # checked like other targets, though not used
        check_finite(data, model.loss)
    backend = backend_for(model, data.X)
    if samples is None:
        output = outputs(model, data.X, backend, partial(check_finite, data, model.loss))
    else:
        output = _sampled(model, data, backend, samples)
    home = backend_of(data.X) if is_array(data.X) else resolve("cpu")
    output = move(output, home)
    if model._predicts_outputs:
        return output
    with home.active():
        if model.target_unit is None:
            return model.loss.predictions(output)
        return in_own_unit(output, model.target_unit, model.loss)


def predict_interval(model: TrainableModel, dataset: Any, coverage: float) -> tuple[Array, Array]:
    """Return an interval for each target; see :meth:`xpnet.NeuralNetwork.predict_interval`."""
    check_fitted(model, "predict_interval", reads_outputs=True)
    probability = as_float(coverage)
    if not 0 < probability < 1:
        raise ValueError(f"coverage={shown(coverage)}: expected a number between 0 and 1")
    n_outputs = model.layers[-1].output_shape()[0]
    model.loss.interval(np.zeros((1, n_outputs)), probability)  # refused before any work
    return model.loss.interval(predict(model, dataset), probability)


def _check_random(model: TrainableModel) -> None:
    """Refuse random predictions if the model is not random or overrides its forward pass."""
    if (name := first_override(model, ["forward_propagation"])) is not None:
        raise ValueError(
            f"samples does not work with a {type(model).__name__}, which overrides {name}"
        )
    random = [each for each in all_layers(model.layers) if each.is_random]
    for layer in all_layers(model.layers):
        if not has_methods_of(Layer, layer, "sample_propagation"):
            continue
        if layer.is_random:
            raise ValueError(
                f"{layer.layer_name()} is random, but does not define sample_propagation(input, "
                "rng), which samples needs"
            )
        if within := [each for each in all_layers(layer.inner_layers) if each.is_random]:
            raise ValueError(
                f"samples does not reach the {within[0].layer_name()} inside "
                f"{layer.layer_name()}, which does not define sample_propagation: derive "
                f"{layer.layer_name()} from Composite, or move {within[0].layer_name()} out of it"
            )
    if not random:
        raise ValueError(
            "samples needs a layer that is random in training, such as Dropout: without one, all "
            "samples would be equal. Omit samples, or train a network with Dropout"
        )


def _sampled(model: TrainableModel, data: Dataset, backend: Backend, samples: int) -> Array:
    """Move a model to ``backend``, and return random outputs there."""
    check_finite(data, model.loss)
    with computing(), backend.active():
        placed = place(Dataset(data.X), intake_of(model, backend))
        move_model(model, backend)
        return evaluation.sample(model, placed, samples, model.randomness)


def predict_classes(model: TrainableModel, dataset: Any) -> Any:
    """Return predicted classes; see :meth:`xpnet.NeuralNetwork.predict_classes`."""
    check_predicts_classes(model, "predict_classes")
    return classes_of(predict(model, dataset), model.loss, model.class_names)


def predict_proba(model: TrainableModel, dataset: Any) -> Any:
    """Return probabilities of classes; see :meth:`xpnet.NeuralNetwork.predict_proba`."""
    check_predicts_classes(model, "predict_proba")
    kind, names = model.layers[-1].output_kind, model.class_names
    return probabilities_of(predict(model, dataset), model.loss, kind, names)


def check_predicts_classes(model: TrainableModel, what: str) -> None:
    """Refuse a model whose outputs do not represent classes; ``what`` is the method called."""
    check_fitted(model, what, reads_outputs=True)
    check_fit(model.layers, model.loss, ())
    check_is_of_classes(model.loss, model.layers[-1].output_kind, model.class_names)


def outputs(
    model: TrainableModel, X: Any, backend: Backend, check: Callable[[], None] | None = None
) -> Array:
    """Move a model to ``backend``, and return its outputs there.

    Parameters
    ----------
    model : TrainableModel
    X : array, CSR matrix or stored rows of shape (n, n_features)
        Features whose number and type have been checked.
    backend : Backend
    check : callable, optional
        Raises an error if a feature is NaN or infinite. None if that has been checked.
    """
    data, on_not_finite = _placed(model, X, backend, check)
    with computing(), backend.active():
        move_model(model, backend)
        return evaluation.predict(model, data, on_not_finite)


def move_model(model: TrainableModel, backend: Backend) -> None:
    """Move a model to the backend of data, unless it is being trained on another one."""
    if backend != model.backend and is_being_trained(model):
        raise RuntimeError(
            f"this network is being trained on {model.backend.device_name}, and the data are on "
            f"{backend.device_name} with {backend.name}: move the data there, wait until training "
            "has ended, or use copy.deepcopy(net)"
        )
    model.to(backend)


def _placed(
    model: TrainableModel, X: Any, backend: Backend, check: Callable[[], None] | None
) -> tuple[Data, Callable[[], object] | None]:
    """Place features to predict from.

    Returns
    -------
    Data
    callable or None
        Raises an error; to be called if a batch is not finite. None if all features are checked.
    """
    intake, features = intake_of(model, backend), kind_of(X)(X)

    def placed() -> Data:
        if check is not None:
            check()
        dataset = Dataset(X)  # on the features' device, which may be another
        with backend.active():
            return place(dataset, intake)  # refuses numbers beyond the model's type

    on_host = isinstance(features, DenseRows) and isinstance(X, np.ndarray)
    if backend.name != "numpy" or not on_host or intake.keeps_type(features):
        return placed(), None
    # The batches are cast and checked one by one, while they are in the processor's cache.
    return DenseArrays(X, None, None, backend), placed


def score(model: TrainableModel, dataset: Any, metric: Any = None) -> float:
    """Return a metric of a trained model; see :meth:`xpnet.NeuralNetwork.score`."""
    check_fitted(model, "score", reads_outputs=True)
    chosen = scoring_metric(model.metric) if metric is None else _named(model, metric)
    if chosen is None:
        raise ValueError("the network has no metric: give score(X, y, metric='accuracy')")
    (found,) = _measured(model, dataset, (chosen,)).values()
    return found


def evaluate(model: TrainableModel, dataset: Any, metric: Any = None) -> dict[str, float]:
    """Return loss and metrics of a trained model; see :meth:`xpnet.NeuralNetwork.evaluate`."""
    check_fitted(model, "evaluate", reads_outputs=True)
    chosen = model.metrics
    if isinstance(metric, Mapping):
        chosen = several(make_metrics(metric, model.loss))
    elif metric is not None:
        given = metric if isinstance(metric, (list, tuple)) else [metric]
        chosen = several(make_metrics([_named(model, each) for each in given], model.loss))
    found = _measured(model, dataset, chosen, with_loss=True)
    # Renewed, since layers may have been frozen in the meantime.
    penalties = model.parameters.penalties.renewed(model.layers, model.regularizer)
    if penalties.any_possible(model.layers):
        found["penalty"] = float(model.backend.scalar(penalties.total()))
        found["loss"] += found["penalty"]
    return found


def _named(model: TrainableModel, metric: Any) -> OneMetric:
    """Return the network's metric of that name, or else the given metric."""
    own = {name_of(each): each for each in model.metrics}
    if isinstance(metric, str) and metric in own:
        return own[metric]
    return make_metric(metric, model.loss)


def _measured(
    model: TrainableModel, dataset: Any, metrics: Sequence[OneMetric], with_loss: bool = False
) -> dict[str, float]:
    """Return metrics of a trained model on data, and optionally the loss."""
    check_fit(model.layers, model.loss, metrics)
    names = model.class_names
    metrics = [ordered_metric(each, model.loss, names) for each in metrics]
    loss = ordered_loss(model.loss, names) if with_loss else model.loss
    check_losses_as_metrics(metrics, model.target_unit)
    data = check_data(model, dataset, Known.of(model))
    check_weights(data, model.loss, metrics)
    if data.y is None:
        raise ValueError("the data set has no targets: give Dataset(X, y)")
    n_outputs, unit = model.layers[-1].output_shape()[0], model.target_unit
    of_heads = isinstance(model.loss, Heads)
    y: Any = prepare_targets(
        data.y, model.loss, n_outputs, metrics, unit if of_heads else None, is_batch=True
    )
    backend, weight = backend_for(model, data.X), data.sample_weight
    given = (y, weight, n_outputs, model.backend.dtype)
    heads = heads_of([loss] if with_loss else metrics, loss)
    for metric in metrics:
        if isinstance(metric, LossFunction):
            check_total_weight("data set", metric, *given)
        else:
            check_total_weight("data set", loss, *given, for_metric=True, one_of=heads)
    if with_loss:
        check_total_weight("data set", loss, *given, one_of=heads)
    placed, on_not_finite = _placed(model, data.X, backend, None)
    with computing(), backend.active():
        move_model(model, backend)

        def of_loss(part: slice) -> tuple[Any, Any]:  # not for all rows at once
            own = y[part, ...]
            if unit is not None and not of_heads:
                given_y: Any = data.y
                own = prepare_targets(given_y[part, ...], model.loss, n_outputs, unit=unit)
            return place_targets(own, None if weight is None else weight[part], backend)

        targets = evaluation.Targets(
            in_float64(y, backend),
            None if weight is None else in_float64(weight, backend),
            of_loss if with_loss else None,
        )
        return evaluation.measure(model, placed, targets, metrics, unit, on_not_finite, loss)
