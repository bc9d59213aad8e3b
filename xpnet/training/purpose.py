"""The properties of a model that checking, planning for and placing its data needs."""

import sys
from dataclasses import replace

from ..backends import Backend
from ..common.overrides import first_override
from .feeding.intake import Intake
from .feeding.training_data import Purpose
from .memory import NetworkSizes, Request
from .objective import Objective
from .trainable import TrainableModel


def intake_of(model: TrainableModel, backend: Backend) -> Intake:
    """Return the form in which a model takes features on a backend."""
    overrides_pass = first_override(model, ["forward_propagation"]) is not None
    intake = Intake.of(model.layers[0], backend, overrides_pass)
    return replace(intake, layers=model.layers)


def objective_of(model: TrainableModel) -> Objective:
    """Return the loss and the metrics of a model."""
    n_outputs = model.layers[-1].output_shape()[0]
    return Objective(model.loss, n_outputs, model.metrics, model.target_unit)


def sizes_of(model: TrainableModel) -> NetworkSizes:
    """Return the sizes of a model for a memory plan."""
    return NetworkSizes.of(
        model.layers,
        model.optimizer,
        model.metrics,
        model.backend,
        accumulates=model.accumulate > 1,
        averages=model.average is not None,
    )


def request_of(model: TrainableModel) -> Request:
    """Return the request for a memory plan to train a model."""
    size = sys.maxsize if model.optimizer.takes_all_samples else model.batch_size
    return Request(sizes_of(model), size, model.memory_limit)


def purpose_of(model: TrainableModel, backend: Backend) -> Purpose:
    """Return the properties of a model that placing its training data needs."""
    intake = intake_of(model, backend)
    return Purpose(model.layers, intake, objective_of(model), request_of(model))
