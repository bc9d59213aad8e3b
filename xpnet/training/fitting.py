"""One ``fit`` from beginning to end: check the data, move them, train."""

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from functools import partial
from typing import Any, Protocol

from ..backends import Array
from ..backends._errors import shown
from ..backends._warnings import warn
from ..backends.cpu.blas_threads import computing
from ..common.checks import NotFittedError
from ..data import Dataset
from ..data.dataset import as_dataset
from ..data.features import DenseRows
from ..data.tables.typed.frame_types import column_names
from ..losses import Heads
from ..model.randomness import Randomness
from .averaged import check_average
from .averaging import averaging_of
from .callback import Callback
from .checks import (
    check_features,
    check_fit,
    check_size,
    check_weights,
    naming_argument,
    warn_of_lost_targets,
)
from .classes import check_class_names
from .feeding.batches import Batches
from .feeding.passes import Passes
from .feeding.training_data import TrainingData, place_training
from .full_batch import check_full_batch, check_not_resumed
from .heads import check_finite, read_dataset
from .held_out import HeldOut
from .interruption import NotedInterrupt
from .known import Known
from .last_activation import warn_of_last_activation
from .lookups import check_categories
from .purpose import objective_of, purpose_of
from .recording import Recorder
from .run import Run, conditions_of
from .steps.choice import Explanation, choose
from .target_unit import units_of_heads, warn_of_size
from .trainable import TrainableModel, backend_for
from .trainer import Trainer, trained_once
from .updates import rate_after_end
from .weighing import check_total_weight, refuse_balanced

_SET_FROM_DATA = (
    "loss", "_ends_as_trained", "feature_names", "label_name", "class_names", "has_text_labels",
    "categories", "drops_missing", "fill_values",
)  # fmt: skip
"""Attributes that :func:`fit` sets from its data set before it trains."""

_COPIED = ("layers", "parameters", "optimizer", "_new_optimizer", "loss", "regularizer")
"""Attributes that :func:`explain_steps` copies, since :func:`prepare` may change their objects."""

MIN_SAMPLES = 2
"""The fewest samples that a data set must have for training."""


class Resuming(Protocol):
    """Restores the state of a checkpoint, if there is one, into a model and a run."""

    def __call__(self, network: TrainableModel, run: Run) -> None:
        """Restore the state."""

    def randomness(self, network: TrainableModel) -> Randomness:
        """Return the random streams of the run to resume."""


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
    warns_of_span: bool = False,
    resume: Resuming | None = None,
    held_out: HeldOut | None = None,
) -> None:
    """Train a model; see :meth:`xpnet.NeuralNetwork.fit`.

    ``dataset`` may be :class:`Passes` over batches, which are closed at the end. ``held_out``
    splits the validation data off the data set. ``warns_of_targets`` is whether to warn of targets
    that lose digits, or whose size prevents learning. ``warns_of_span`` is whether to warn if the
    schedule spans more or fewer epochs than will have been trained.
    """
    if model.optimizer.takes_all_samples:
        kept = ["fit(resume=...)"] if resume is not None else []
        kept += [type(each).__name__ for each in callbacks if isinstance(each, Recorder)]
        check_not_resumed(model, kept)
    averaging = averaging_of(callbacks)
    if averaging is not None:
        check_average(model, dataset)
    ended = closing(dataset) if isinstance(dataset, Passes) else nullcontext()
    with trained_once(model), NotedInterrupt(), computing(), ended:
        model._check_layers()
        before = {name: getattr(model, name) for name in _SET_FROM_DATA}
        split = None
        if held_out is not None:
            streams = model.randomness if resume is None else resume.randomness(model)
            split = partial(held_out.split, model, randomness=streams)
        model.average = None if averaging is None else averaging.average
        done = model.history.epochs
        try:
            placed = prepare(
                model, dataset, validation, restart, min_samples, warns_of_targets, split
            )
            done = model.history.epochs
            with model.backend.active():
                run = _run(model, placed, callbacks, eval_every, resume is not None, held_out)
                if resume is not None:
                    resume(model, run)
                if warns_of_span:
                    _warn_of_span(model, run.first, epochs)
                if isinstance(placed.training, Batches):
                    placed.training.pass_over(model.history.epochs - run.first)
                Trainer(model, placed, callbacks, eval_every, run).run(epochs)
        finally:
            model.average = None
            model.parameters.forget_accumulated()
            if model.history.epochs == done:  # no epoch is complete: the weights are unchanged
                for name, value in before.items():
                    setattr(model, name, value)
    data = placed.training
    if isinstance(data, Batches):  # one batch says little about the size of all targets
        return
    if warns_of_targets and model.history.epochs > done:
        _warn_of_size(model, data.y, data.sample_weight)


def _warn_of_size(model: TrainableModel, y: Array, weight: Array | None) -> None:
    """Warn of targets without a unit that are hard to learn; see :func:`warn_of_size`."""
    row, loss, dtype = model.history.last, model.loss, model.backend.dtype
    if isinstance(loss, Heads):
        units = units_of_heads(model.target_unit, loss)
        for name, head in loss.parts.items():
            if name not in units and not loss.ignore_missing:  # the loss is not of all samples
                own = y[:, slice(*head.targets)]
                warn_of_size(own, weight, head.loss, row[f"{name}_loss"], dtype, name)
    elif model.target_unit is None:
        warn_of_size(y, weight, loss, row["loss"] - row.get("penalty", 0.0), dtype)


def _warn_of_span(model: TrainableModel, first: int, epochs: int) -> None:
    """Warn of a schedule that will not have ended after this fit, or that ends too early.

    Training may be split over several calls of ``fit``, so only the first call warns of a schedule
    that will not have ended.
    """
    schedule, in_all = model.optimizer.schedule, first + epochs
    if not schedule.spans_training or in_all == model.epochs:
        return
    if model.history.epochs == first and rate_after_end(model) is not None:
        return  # the trainer warns
    if in_all > model.epochs or not first:
        warn(
            f"{schedule!r} spans the network's epochs={model.epochs}, but after this fit "
            f"{in_all} epochs will have been trained: give NeuralNetwork(epochs={in_all}) or, if "
            "another fit follows, give the schedule its own epochs"
        )


def _run(
    model: TrainableModel,
    placed: TrainingData,
    callbacks: Sequence[Callback],
    eval_every: int,
    resumes: bool,
    held_out: HeldOut | None,
) -> Run:
    """Return a new run; if it is saved or resumed, with the conditions of resuming it."""
    in_batches = isinstance(placed.training, Batches)
    others = [each for each in callbacks if not isinstance(each, Recorder)]
    if len(others) == len(callbacks) and not resumes:  # describing the data may wait for a device
        return Run(model.history.epochs, {}, others)
    size = placed.n_steps if in_batches else placed.plan.batch_size
    what = "steps of an epoch" if in_batches else "batch_size"
    settings: dict[str, Any] = {what: size, "eval_every": eval_every}
    if held_out is not None:
        settings["validation_split"] = held_out.share
    conditions = conditions_of(placed.summaries(), others, **settings)
    return Run(model.history.epochs, conditions, others)


def explain_steps(
    model: TrainableModel,
    dataset: Any,
    validation: Any = None,
    min_samples: int = MIN_SAMPLES,
    callbacks: Sequence[Callback] = (),
) -> Explanation:
    """Explain which steps :func:`fit` would take; see :meth:`xpnet.NeuralNetwork.explain_steps`."""
    trial = object.__new__(type(model))
    vars(trial).update(vars(model) | copy.deepcopy({k: vars(model)[k] for k in _COPIED}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fit will warn
        placed = prepare(trial, dataset, validation, min_samples=min_samples)
        with trial.backend.active():
            steps, explanation = choose(trial, placed, callbacks)
            steps.close()
    return explanation


def data_of(dataset: Any, batches: Any, steps_per_epoch: int | None) -> Any:
    """Return the data set or, if batches are given, passes over them.

    Raises
    ------
    TypeError
        Both are given, or neither; or ``steps_per_epoch`` is given without batches.
    """
    if (dataset is None) == (batches is None):
        given = "neither a data set nor batches" if batches is None else "a data set and batches"
        raise TypeError(f"fit() was given {given}: expected either X and y or batches=")
    if batches is not None:
        return Passes(batches, steps_per_epoch)
    if steps_per_epoch is not None:
        raise TypeError(
            "steps_per_epoch needs batches=: with a data set, an epoch has all of its samples"
        )
    return dataset


def joined(X: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return ``X``, or a tuple of the given arguments, in the form that :func:`fit` takes.

    With ``y``, ``X`` holds only features, so the items of a tuple are rows. Without ``y``, a tuple
    is ``(X, y)`` or ``(X, y, sample_weight)``.

    Raises
    ------
    TypeError
        ``sample_weight`` is given without ``y``, or ``y`` without ``X``; or ``y`` is given together
        with a data set, which has its own targets.
    """
    if y is None and sample_weight is not None:
        raise TypeError(
            "sample_weight is given without y: give X, y and sample_weight as three arguments, or "
            "as one tuple"
        )
    if y is None:
        return X
    if X is None:
        raise TypeError("y is given without X: expected both, or a Dataset")
    if isinstance(X, Dataset) and X.y is None and not isinstance(y, Dataset):
        raise TypeError(
            "y is given with a Dataset that has no targets: give only a Dataset with both, "
            "such as Dataset(X, y)"
        )
    if isinstance(X, Dataset) or isinstance(y, Dataset) or _is_pair(X):
        raise TypeError(
            "X and y are given, but one of them is a data set, which has its own targets: expected "
            "X and y, or one data set. To give fit its validation data, write validation=..."
        )
    return (X, y) if sample_weight is None else (X, y, sample_weight)


def _is_pair(data: Any) -> bool:
    """Whether data are a tuple of a table and its targets, rather than a tuple of rows."""
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        return False
    table = data[0]
    if isinstance(table, (list, tuple)):
        return bool(table) and (isinstance(table[0], (list, tuple)) or hasattr(table[0], "shape"))
    return column_names(table) is not None or len(getattr(table, "shape", ())) > 1


def prepare(
    model: TrainableModel,
    dataset: Any,
    validation: Any = None,
    restart: bool = False,
    min_samples: int = MIN_SAMPLES,
    warns_of_targets: bool = True,
    split: Callable[[Dataset], tuple[Dataset, Dataset]] | None = None,
) -> TrainingData:
    """Check everything that ``fit`` was given; then move data and model to their device."""
    check_built(model)
    model._check_layers()
    model.parameters.check_names()
    model.parameters.values.check()
    check_fit(model.layers, model.loss, model.metrics)
    batches = held_out = None
    own = None if restart else Known.before(model)
    if isinstance(dataset, Passes) and model.optimizer.takes_all_samples:
        check_full_batch(model, None)
    if isinstance(dataset, Passes):
        refuse_balanced(model.loss)
        batches = Batches(dataset, BatchReader(model, own).read)
        training = batches.first
    else:
        training = check_data(model, dataset, own, least=min_samples)
        if split is not None:
            whole = training
            training, held_out = split(whole)
            check_size(training, min_samples)
            _check_loaded(whole, training, held_out, model)
        check_weights(training, model.loss, model.metrics)
        if model.optimizer.takes_all_samples:
            check_full_batch(model, len(training))
    known = Known.of(training).merged_with(own)
    if validation is not None:
        with naming_argument("validation"):
            held_out = check_data(model, validation, known)
            check_weights(held_out, model.loss, model.metrics)
    warn_of_last_activation(
        model.layers, model.loss, training.y, model.target_unit, training.sample_weight
    )
    if warns_of_targets:
        warn_of_lost_targets(training, model.loss, model.backend.dtype, model.target_unit)
    backend = backend_for(model, training.X)
    with backend.active():
        purpose = purpose_of(model, backend)
        names = Known.of(training).merged_with(own).class_names
        placed = place_training(training if batches is None else batches, held_out, purpose, names)
        if restart:
            model.reset()
        model.to(backend)
    model.loss, model.label_name = placed.loss, known.label_name
    model.feature_names, model.categories = known.feature_names, dict(known.categories)
    model.fill_values, model.drops_missing = dict(known.fill_values), known.drops_missing
    model.class_names, model.has_text_labels = known.class_names, known.has_text_labels
    return placed


def _check_loaded(
    whole: Dataset, training: Dataset, held_out: Dataset, model: TrainableModel
) -> None:
    """Check stored features that a split has read into memory, as streaming would do."""
    if isinstance(whole.features, DenseRows):
        return
    for what, part in (("train", training), ("validate", held_out)):
        if isinstance(part.features, DenseRows):
            with naming_argument(f"the samples to {what} on"):
                part.check_finite()
            check_categories(part, model.layers)


class BatchReader:
    """Reads and checks the batches of one call of ``fit``.

    Parameters
    ----------
    model : TrainableModel
    known : Known, optional
        The names in earlier training data.
    """

    def __init__(self, model: TrainableModel, known: Known | None = None) -> None:
        self._model, self._known = model, known
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
            The batch does not fit the model or the first batch, or it is the first and has too few
            samples for a layer to learn from.
        """
        model, known = self._model, self._known
        objective = objective_of(model)
        with naming_argument(name):
            if isinstance(item, list) and len(item) in (2, 3):
                item = tuple(item)
            data = check_data(model, item, known)
            check_weights(data, model.loss, model.metrics)
            y = objective.targets_of(data, is_batch=True)
            weighed = (model.loss, y, data.sample_weight, objective.n_outputs, model.backend.dtype)
            check_total_weight("batch", *weighed, may_be_zero=True)
        self._check_size(name, len(data))
        if self._first is None:
            self._first, self._known = data, Known.of(data).merged_with(known)
        return data, y

    def _check_size(self, name: str, n: int) -> None:
        """Refuse a first batch too small for a layer to learn from; warn once of a later batch."""
        layer = max(self._model.layers, key=lambda each: each.min_samples)
        if n >= layer.min_samples or self._warned:
            return
        message = (
            f"{name} has {n} sample(s), from which {layer.layer_name()} learns nothing: make "
            f"batches of at least {layer.min_samples}"
        )
        if self._first is None:
            raise ValueError(message)
        self._warned = True
        warn(message)


def check_data(
    model: TrainableModel,
    data: Any,
    known: Known | None = None,
    *,
    least: int = 0,
    finite: bool = True,
    targets: bool = True,
) -> Dataset:
    """Return data as a data set; refuse data that do not fit the model.

    Parameters
    ----------
    model : TrainableModel
    data : Dataset, tuple or array-like
    known : Known, optional
        The names in the training data. Named categories and classes get the codes that they have
        there.
    least : int, default 0
        The fewest samples required for training; 0 if the data are not for training.
    finite : bool, default True
        Whether to refuse NaN and infinity, which takes a pass over the data.
    targets : bool, default True
        Whether the targets are used.
    """
    if known is not None:
        if isinstance(data, Dataset):
            data = known.matched(data)
        elif isinstance(data, tuple) and data:
            data = (known.matched(data[0]), *data[1:])
    dataset = read_dataset(data, model.loss, known) if targets else as_dataset(data)
    if known is not None:
        dataset = known.encoded(dataset)
    check_categories(dataset, model.layers, None if known is None else known.categories)
    if least:
        check_size(dataset, least)
    elif len(dataset) == 0 and dataset.y is not None:
        raise ValueError("the data set is empty: expected at least 1 sample")
    check_features(dataset, model.layers)
    _check_adapted(dataset, model)
    if finite:
        check_finite(dataset, model.loss)
    if not targets:
        return dataset
    if known is not None:
        known.check_targets(dataset)
        dataset = known.with_known_classes(dataset)
    are_new = known is None or known.class_names is None
    check_class_names(dataset, model.loss, model.layers[-1].output_shape()[0], are_new)
    return dataset


def _check_adapted(dataset: Dataset, model: TrainableModel) -> None:
    """Refuse features other than those whose means, scales or categories the layers have."""
    for layer in model.layers:
        names = layer._adapted_to
        if names not in (None, dataset.feature_names) and dataset.feature_names is not None:
            raise ValueError(
                f"{layer.layer_name()}.adapt was given the columns {shown(names)}, but X has "
                f"{shown(dataset.feature_names)}: give both the same columns in the same order"
            )


def check_built(model: TrainableModel) -> None:
    """Refuse a model without layers."""
    if not model.layers:
        raise ValueError("the network has no layers: add(DenseLayer(10, input_shape=(784,)))")


def check_fitted(model: TrainableModel, what: str, reads_outputs: bool = False) -> None:
    """Refuse a model that has not been trained; ``what`` is what the user wants to do with it.

    ``reads_outputs`` is whether that requires outputs of the kind that the loss expects.
    """
    check_built(model)
    model.parameters.values.check(types=True)
    if model.is_fitted and (model._outputs_match_loss or not reads_outputs):
        return
    if model._is_fitted:
        if model.is_fitted:
            advice = "Only predict works with them. Set net.loss to a loss that fits them, or"
        elif model.target_unit is None:
            advice = "To predict the outputs as they are, set net.loss = 'mse', or"
        else:
            advice = "For the outputs of a hidden layer, use net[:-1], not net.layers.pop(), or"
        raise NotFittedError(
            f"{what}: the layers or the loss have changed, and {type(model.loss).__name__} was not "
            f"trained on the network's present outputs. {advice} train the network with fit(X, y)"
        )
    if model.history.epochs:
        raise NotFittedError(
            f"{what} needs a trained network, but layers, loss or target_unit have changed since "
            "the last fit: call fit(X, y) again"
        )
    raise NotFittedError(
        f"{what} needs a trained network: call fit(X, y) first or, after training by hand, "
        "mark_fitted()"
    )
