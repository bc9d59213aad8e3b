"""One ``fit`` from beginning to end: check the data, move them, train."""

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from typing import Any

from ..backends import Array
from ..backends._warnings import warn
from ..backends.cpu.blas_threads import computing
from ..common.checks import NotFittedError
from ..data import Dataset, as_dataset
from ..data.tables.typed.frame_types import column_names
from .callback import Callback
from .checks import (
    blaming,
    check_categories,
    check_features,
    check_fit,
    check_names,
    check_size,
    check_weights,
    warn_of_lost_targets,
)
from .feeding.batches import Batches
from .feeding.passes import Passes
from .feeding.training_data import TrainingData, place_training
from .full_batch import check_full_batch, check_not_resumed
from .purpose import objective_of, purpose_of
from .recording import Recorder
from .run import Run, conditions_of
from .steps.choice import Explanation, choose
from .target_unit import warn_of_size
from .trainable import TrainableModel
from .trainer import Trainer, trained_once
from .weighing import check_total_weight, refuse_balanced

_SET_FROM_DATA = ("loss", "feature_names", "label_name", "class_names")
"""Attributes that :func:`fit` sets from its data set before it trains."""

_CHANGED = ("layers", "parameters", "optimizer", "_new_optimizer", "loss", "regularizer")
"""Attributes whose objects :func:`prepare` may change; others may hold what cannot be copied."""

MIN_SAMPLES = 2
"""How many samples a data set must have to be trained on."""


def fit(
    model: TrainableModel,
    dataset: Any,
    validation: Any,
    epochs: int,
    restart: bool = False,
    callbacks: Sequence[Callback] = (),
    eval_every: int = 1,
    *,
    min_samples: int = MIN_SAMPLES,
    warns_of_targets: bool = True,
    resume: Callable[[TrainableModel, Run], None] | None = None,
) -> None:
    """Train a model; see :meth:`xpnet.NeuralNetwork.fit`.

    ``dataset`` may be :class:`Passes` over batches, which are closed at the end. ``resume`` gives
    the model and the run the state of a checkpoint, if there is one.
    ``warns_of_targets`` is whether to warn of targets that lose digits, or whose size prevents
    learning.
    """
    if model.optimizer.takes_all_samples:
        kept = ["fit(resume=...)"] if resume is not None else []
        kept += [type(each).__name__ for each in callbacks if isinstance(each, Recorder)]
        check_not_resumed(model, kept)
    before = {name: getattr(model, name) for name in _SET_FROM_DATA}
    ended = closing(dataset) if isinstance(dataset, Passes) else nullcontext()
    with trained_once(model), computing(), ended:
        placed = prepare(model, dataset, validation, restart, min_samples, warns_of_targets)
        done = model.history.epochs
        try:
            with model.backend.active():
                run = _run(model, placed, callbacks, eval_every, resume is not None)
                if resume is not None:
                    resume(model, run)
                if isinstance(placed.training, Batches):
                    placed.training.pass_over(model.history.epochs - run.first)
                Trainer(model, placed, callbacks, eval_every, run).run(epochs)
        finally:
            if model.history.epochs == done:  # no epoch is complete: the weights are unchanged
                for name, value in before.items():
                    setattr(model, name, value)
    data = placed.training
    if isinstance(data, Batches):  # one batch says little about the size of all targets
        return
    if warns_of_targets and model.target_unit is None and model.history.epochs > done:
        row = model.history.last
        reached = row["loss"] - row.get("penalty", 0.0)
        warn_of_size(data.y, data.sample_weight, model.loss, reached, model.backend.dtype)


def _run(
    model: TrainableModel,
    placed: TrainingData,
    callbacks: Sequence[Callback],
    eval_every: int,
    resumes: bool,
) -> Run:
    """Return a new run, with the conditions under which it may be resumed if that is asked for."""
    in_batches = isinstance(placed.training, Batches)
    others = [each for each in callbacks if not isinstance(each, Recorder)]
    if len(others) == len(callbacks) and not resumes:  # describing the data may wait for a device
        return Run(model.history.epochs, {}, others)
    size = placed.n_steps if in_batches else placed.plan.batch_size
    settings = {"steps of an epoch" if in_batches else "batch_size": size, "eval_every": eval_every}
    conditions = conditions_of(placed.summaries(), others, **settings)
    return Run(model.history.epochs, conditions, others)


def explain_steps(
    model: TrainableModel, dataset: Any, validation: Any = None, min_samples: int = MIN_SAMPLES
) -> Explanation:
    """Return which way :func:`fit` would take; see :meth:`xpnet.NeuralNetwork.explain_steps`."""
    trial = object.__new__(type(model))
    vars(trial).update(vars(model) | copy.deepcopy({k: vars(model)[k] for k in _CHANGED}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fit will warn
        placed = prepare(trial, dataset, validation, min_samples=min_samples)
        with trial.backend.active():
            steps, explanation = choose(trial, placed)
            steps.close()
    return explanation


def data_of(dataset: Any, batches: Any, steps_per_epoch: int | None) -> Any:
    """Return the data set, or passes over the batches, whichever is given.

    Raises
    ------
    TypeError
        Both are given, or neither; or ``steps_per_epoch`` is given without batches.
    """
    if (dataset is None) == (batches is None):
        given = "neither a data set nor batches" if batches is None else "a data set and batches"
        raise TypeError(f"fit() was given {given}: expected either (X, y) or batches=")
    if batches is not None:
        return Passes(batches, steps_per_epoch)
    if steps_per_epoch is not None:
        raise TypeError(
            "steps_per_epoch needs batches=: with a data set, an epoch has all of its samples"
        )
    return dataset


def joined(X: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return X alone, or a tuple of what is given, as :func:`fit` takes it.

    Raises
    ------
    TypeError
        ``sample_weight`` is given without ``y``.
    """
    if y is None and sample_weight is not None:
        raise TypeError(
            "sample_weight is given without y: give X, y and sample_weight as three arguments, or "
            "as one tuple"
        )
    return X if y is None else tuple(each for each in (X, y, sample_weight) if each is not None)


def prepare(
    model: TrainableModel,
    dataset: Any,
    validation: Any = None,
    restart: bool = False,
    min_samples: int = MIN_SAMPLES,
    warns_of_targets: bool = True,
) -> TrainingData:
    """Check everything that ``fit`` was given; then move data and model to their device."""
    check_built(model)
    model.check_layers()
    model.parameters.check_names()
    check_fit(model.layers, model.loss, model.metric)
    batches = None
    if isinstance(dataset, Passes) and model.optimizer.takes_all_samples:
        check_full_batch(model, None)
    if isinstance(dataset, Passes):
        refuse_balanced(model.loss)
        batches = Batches(dataset, BatchReader(model).read)
        training = batches.first
    else:
        training = check_data(model, dataset, least=min_samples)
        check_weights(training, model.loss, model.metric)
        if model.optimizer.takes_all_samples:
            check_full_batch(model, len(training))
    held_out = None
    if validation is not None:
        with blaming("validation"):
            held_out = check_data(model, validation, training.feature_names)
            check_weights(held_out, model.loss, model.metric)
    if warns_of_targets:
        warn_of_lost_targets(training, model.loss, model.backend.dtype, model.target_unit)
    backend = model.backend_for(training.X)
    with backend.active():
        purpose = purpose_of(model, backend)
        placed = place_training(training if batches is None else batches, held_out, purpose)
        if restart:
            model.reset()
        model.to(backend)
    model.loss = placed.loss
    model.feature_names = training.feature_names
    model.label_name, model.class_names = training.label_name, training.class_names
    return placed


class BatchReader:
    """Reads and checks the batches of one call of ``fit``.

    Parameters
    ----------
    model : TrainableModel
    """

    def __init__(self, model: TrainableModel) -> None:
        self._model = model
        self._first: Dataset | None = None
        self._warned = False

    def read(self, name: str, item: Any) -> tuple[Dataset, Array]:
        """Return a batch as a data set, and its targets in the form that the loss takes.

        Parameters
        ----------
        name : str
            The batch's name for messages.
        item : Dataset, (X, y) or (X, y, sample_weight)
            A list of 2 or 3 arrays, as PyTorch's DataLoader makes them, is taken as a tuple.

        Raises
        ------
        ValueError, TypeError
            It does not fit the model or the first batch; or the first batch has so few samples that
            a layer learns nothing from them.
        """
        model, first = self._model, self._first
        objective = objective_of(model)
        with blaming(name):
            if isinstance(item, list) and len(item) in (2, 3):
                item = tuple(item)
            data = check_data(model, item, None if first is None else first.feature_names)
            check_weights(data, model.loss, model.metric)
            y = objective.targets_of(data)
            weighed = (model.loss, y, data.sample_weight, objective.n_outputs, model.backend.dtype)
            check_total_weight("batch", *weighed, may_be_zero=True)
        self._check_size(name, len(data))
        self._first = data if first is None else first
        return data, y

    def _check_size(self, name: str, n: int) -> None:
        """Refuse a first batch from which a layer learns nothing; warn of another one."""
        layer = max(self._model.layers, key=lambda each: each.least_samples)
        if n >= layer.least_samples or self._warned:
            return
        message = (
            f"{name} has {n} sample(s), from which {layer.layer_name()} learns nothing: make "
            f"batches of at least {layer.least_samples}"
        )
        if self._first is None:
            raise ValueError(message)
        self._warned = True
        warn(message)


def check_data(
    model: TrainableModel,
    data: Any,
    names: list[str] | None = None,
    *,
    least: int = 0,
    finite: bool = True,
) -> Dataset:
    """Return data as a data set, or refuse them if they do not fit the model.

    Parameters
    ----------
    model : TrainableModel
    data : Dataset, tuple or array-like
    names : list of str, optional
        The expected names of the features.
    least : int, default 0
        How many samples there must be to train on them; 0 if they are not for training.
    finite : bool, default True
        Whether to refuse NaN and infinity, which takes a pass over the data.
    """
    # First, because Dataset would refuse an extra column of text with a less helpful message.
    if isinstance(data, tuple) and data:
        check_names(column_names(data[0]), names)
    dataset = as_dataset(data)
    # Before names, which differ from those of one_hot().
    check_categories(dataset, model.layers)
    if least:
        check_size(dataset, least)
    elif len(dataset) == 0 and dataset.y is not None:
        raise ValueError("the data set is empty: expected at least 1 sample")
    check_names(dataset.feature_names, names)
    check_features(dataset, model.layers)
    if finite:
        dataset.check_finite()
    return dataset


def check_built(model: TrainableModel) -> None:
    """Refuse a model without layers."""
    if not model.layers:
        raise ValueError("the network has no layers: add(DenseLayer(10, input_shape=(784,)))")


def check_fitted(model: TrainableModel, what: str) -> None:
    """Refuse a model that has not been trained; ``what`` is what the user wants to do with it."""
    check_built(model)
    if not model.is_fitted:
        raise NotFittedError(f"{what} before fit: train the network with fit(dataset) first")
