"""``xpnet train``: train a network, save it, and print and plot its results."""

import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import (
    CategoricalEmbeddings,
    Checkpoint,
    CSVLogger,
    DenseLayer,
    Dropout,
    EarlyStopping,
    JSONLogger,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
)
from ..backends import resolve, to_host
from ..callbacks import Callback
from ..common.folder_lock import FolderLock
from ..model_files.checkpoints import OtherTrainingError, checkpoints_in
from ..optimizers import OPTIMIZERS
from ..training.errors import DivergedError
from ..training.interruption import TERMINATED
from .files import check_output_files, save_interrupted, write_outputs
from .interruption import INTERRUPTED, sigterm_as_exit
from .messages import print_message
from .progress import epoch_lines, has_terminal
from .report import make_report, write_report
from .same_data import SameData
from .tables import in_table, name_of
from .tasks import Task, load_task


@dataclass(frozen=True)
class Defaults:
    """The settings of a task that its options override."""

    epochs: int
    batch_size: int
    hidden: tuple[int, ...]
    dropout: float


DEFAULTS = {
    "digits": Defaults(epochs=60, batch_size=32, hidden=(256, 128), dropout=0.3),
    "mnist": Defaults(epochs=15, batch_size=128, hidden=(256, 128), dropout=0.3),
    "table": Defaults(epochs=100, batch_size=16, hidden=(64, 32), dropout=0.1),
}


def run_train(options: SimpleNamespace) -> None:
    """Train a network, save it, and print and plot its results."""
    # Checked first: reading the data and training take long.
    backend = resolve(options.device)
    check_output_files(options)
    _check_checkpoints(options)
    task = load_task(options)
    network = _build_network(task, options, DEFAULTS[task.name])
    if not options.quiet:
        _describe(network, task, f"{backend.name} on {backend.device_name}")
    report = partial(_report, network, task, options)
    try:
        _fit(network, task, options)
        if network.history.kept_epoch is not None and not options.quiet:
            print(f"kept the weights of epoch {network.history.kept_epoch}, the best by {_WATCHED}")
        with sigterm_as_exit():  # fit handles SIGTERM only while it runs
            _finish(network, task, options, report)
    except KeyboardInterrupt:
        save_interrupted(network, options, report, INTERRUPTED)
    except SystemExit:
        save_interrupted(network, options, report, TERMINATED)


def _describe(network: NeuralNetwork, task: Task, device: str) -> None:
    """Print the layers, the kind of task, and how many rows each part of the data has."""
    network.summary()
    if task.reason:
        kind = "regression" if task.classes is None else "classification"
        print(f"{kind}: {task.reason}")
    parts = {"to train on": task.training, "to validate on": task.validation}
    parts["to test on"] = task.test
    counts = [f"{len(part)} {what}" for what, part in parts.items() if part is not None]
    first, *others = counts
    print(", ".join([first.replace(" to", " samples to", 1), *others, device]))


# ---- training

_WATCHED = "val_loss"
"""The column of the history by which early stopping keeps an epoch."""


def _check_checkpoints(options: SimpleNamespace) -> None:
    """Refuse --every without a folder, and two different folders."""
    if options.every is not None and not (options.checkpoint or options.resume):
        raise ValueError("--every needs --checkpoint FOLDER or --resume FOLDER")
    if options.checkpoint and options.resume and options.checkpoint != options.resume:
        raise ValueError(
            f"--checkpoint {options.checkpoint} and --resume {options.resume}: expected one folder;"
            " --resume also writes checkpoints"
        )
    if folder := options.checkpoint or options.resume:
        _check_folder("--checkpoint" if options.checkpoint else "--resume", Path(folder))
        if os.path.isdir(folder):
            lock = FolderLock(Path(folder))
            lock.acquire(warns=False)  # only a check: fit warns, and locks the folder again
            lock.release()
    if options.checkpoint and not options.resume and checkpoints_in(Path(options.checkpoint)):
        raise ValueError(
            f"--checkpoint {options.checkpoint}: the folder has checkpoints of another run: give "
            f"another folder, or --resume {options.checkpoint} to continue it"
        )
    if options.patience is not None and not options.early_stopping:
        raise ValueError("--patience needs --early-stopping")


def _check_folder(option: str, folder: Path) -> None:
    """Refuse a folder that cannot be made, because its path or a parent of it is a file."""
    try:
        existing = next((each for each in (folder, *folder.parents) if each.exists()), None)
    except OSError as error:
        raise ValueError(f"{option} {folder}: {error.strerror}") from error
    if existing is not None and not existing.is_dir():
        raise ValueError(f"{option} {folder}: {existing} is a file: give a folder")


def _callbacks(task: Task, options: SimpleNamespace) -> list[Callback]:
    folder = options.checkpoint or options.resume
    # SameData is first: if it refuses to resume, no other callback has changed its file yet.
    callbacks: list[Callback] = [SameData(folder, task.training, task.watched)] if folder else []
    if options.early_stopping:
        callbacks.append(EarlyStopping(_WATCHED, patience=options.patience or 10))
    if options.log:
        is_csv = options.log.lower().endswith(".csv")
        callbacks.append(CSVLogger(options.log) if is_csv else JSONLogger(options.log))
    if folder:
        callbacks.append(Checkpoint(folder, every=options.every or 1))
    return callbacks


def _fit(network: NeuralNetwork, task: Task, options: SimpleNamespace) -> None:
    """Train a network; a message about divergence names an option."""
    before = max(checkpoints_in(Path(options.resume)), default=0) if options.resume else 0
    if before > network.epochs:
        raise ValueError(
            f"--resume {options.resume}: the newest checkpoint has {before} epochs, more than "
            f"--epochs {network.epochs}: give more --epochs, or another folder"
        )
    if options.resume and not before:
        print_message(f"{options.resume} has no checkpoints yet: training starts at epoch 1")
    try:
        with epoch_lines(not options.quiet and not network.progress):
            network.fit(
                task.training,
                validation=task.watched,
                callbacks=_callbacks(task, options),
                resume=options.resume,
            )
    except DivergedError as error:
        what_happened = str(error).partition(";")[0]
        raise DivergedError(f"{what_happened}: give a lower --learning-rate") from None
    except OtherTrainingError as error:
        raise ValueError(
            f"--resume {options.resume}: {error.path.name} is of another training run ("
            f"{_first_of(error.differences)}): give the data and options of the first run, or "
            "another folder"
        ) from None
    except ValueError as error:
        source = options.validation or options.test
        if source is None or not str(error).startswith("validation: "):
            raise
        rows = range(len(task.watched or ()))
        own = ValueError(str(error).removeprefix("validation: "))
        raise in_table(own, source, None if options.missing else rows) from error
    if before and before == max(checkpoints_in(Path(options.resume))):
        print_message(f"{options.resume} holds a complete training run: nothing was left to train")


def _first_of(differences: list[str]) -> str:
    """Return the first few differences, so that the message fits on a line."""
    told = list(dict.fromkeys(_in_options(each) for each in differences))
    more = len(told) - _MOST_DIFFERENCES
    return "; ".join(told[:_MOST_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")


_MOST_DIFFERENCES, _MOST_OF_A_DIFFERENCE = 3, 80

_CAUSES = {
    "training data": "other rows or columns to train on",
    "validation data": "other rows to evaluate after each epoch",
    "layers": "other layers: --hidden, --dropout, --categories or the columns",
    "network.target_unit": "other rows or columns to train on",
}
"""What the user has changed, by the start of the difference."""


def _in_options(difference: str) -> str:
    """Return a difference in terms of options, cut to a limited length."""
    for start, cause in _CAUSES.items():
        if difference.startswith(start):
            return cause
    name, _, values = difference.partition(": ")
    if name.startswith("callbacks"):
        kinds = {"EarlyStopping": "--early-stopping", "Logger": "--log"}
        changed = [option for kind, option in kinds.items() if difference.count(kind) % 2]
        return f"other options: {', '.join(changed or ['--log'])}"
    if "optimizer." in name:
        settings = {"class": "--optimizer", "initial": "--learning-rate"}
        option = settings.get(name.rpartition(".")[2])
        return f"{option}: {values}" if option else "other settings of --optimizer"
    name = name.removeprefix("network.").replace("_", "-")
    return f"--{name}: {values}"[:_MOST_OF_A_DIFFERENCE]


def _batch_size(n_samples: int, least: int) -> int:
    """Return about a hundredth of the samples: a power of two from ``least`` to 256."""
    return max(least, min(256, 1 << int(math.log2(max(n_samples / 100, 1)))))


def _build_network(task: Task, options: SimpleNamespace, defaults: Defaults) -> NeuralNetwork:
    """Build the network that the options describe."""
    regression, n_samples = task.classes is None, len(task.training)
    size = n_samples
    if not OPTIMIZERS[options.optimizer].takes_all_samples:
        is_table = task.name == "table"
        usual = _batch_size(n_samples, defaults.batch_size) if is_table else defaults.batch_size
        size = min(usual, n_samples)
    network = NeuralNetwork(
        epochs=options.epochs or defaults.epochs,
        batch_size=options.batch_size or size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        loss="mean_squared_error" if regression else "softmax_cross_entropy",
        metric="r2" if regression else "accuracy",
        device=options.device,
        dtype=options.dtype,
        seed=options.seed,
        progress=not options.quiet and has_terminal(),
        target_unit=task.unit,
        memory_limit=options.memory_limit,
    )
    if task.name == "table":  # whose columns have different units
        network.add(Normalization.adapt(task.training))
        if task.training.categories:
            network.add(CategoricalEmbeddings.adapt(task.training))
    else:  # all pixels of an image have the same unit
        network.add(Normalization.adapt(task.training.X, per_feature=False))
    dropout = defaults.dropout if options.dropout is None else options.dropout
    for n_units in options.hidden or defaults.hidden:
        network.add(DenseLayer(n_units, initializer="he_normal")).add(ReLUActivation())
        if dropout:
            network.add(Dropout(dropout))
    return network.add(DenseLayer(task.n_outputs))


# ---- results


def _finish(network: NeuralNetwork, task: Task, options: SimpleNamespace, report: Any) -> None:
    """Score a trained network, save it, and print and plot its results."""
    scores = _compute_scores(network, task)
    write_outputs(network, options, report, [])
    part = "training" if task.test is None else "test"
    formats = {"accuracy": ".4f", "rmse": ".6g", "r2": ".4f"}
    print(", ".join(f"{part} {name}: {score:{formats[name]}}" for name, score in scores.items()))
    _warn_of_a_useless_network(scores, task)


def _compute_scores(network: NeuralNetwork, task: Task) -> dict[str, float]:
    """Return metrics, by name, on the test data or, if there are none, on the training data.

    Raises
    ------
    DivergedError
        A score is not finite.
    """
    metrics = ["rmse", "r2"] if task.classes is None else ["accuracy"]
    data = task.training if task.test is None else task.test
    found = network.evaluate(data, metric=metrics)
    scores = {name: found[name] for name in metrics}
    for name, score in scores.items():
        if not math.isfinite(score):
            part = "training" if task.test is None else "test"
            raise DivergedError(
                f"the {part} {name} is {score}, so the network is of no use and was not saved: "
                "give a lower --learning-rate, or look for outliers in the data"
            )
    return scores


def _warn_of_a_useless_network(scores: dict[str, float], task: Task) -> None:
    """Warn of a network that predicts the test data no better than a constant would."""
    if task.test is None:
        return
    if task.classes is None:
        constant = "the mean of the targets"
        useless = scores["r2"] <= 0.0
    else:
        names = task.test.class_names or task.classes
        counts = np.bincount(to_host(task.test.y), minlength=len(names))
        constant = f"the most frequent class, {names[int(counts.argmax())]!r}"
        useless = round(scores["accuracy"] * counts.sum()) <= counts.max()
    if useless:
        print_message(
            f"warning: on the test data the network is no better than always predicting {constant}:"
            " give a lower --learning-rate or more --epochs, or check that the target depends on "
            "the other columns"
        )


def _report(
    network: NeuralNetwork, task: Task, options: SimpleNamespace, path: str, note: str = ""
) -> None:
    """Write the report of a training run; ``note`` says that it was interrupted."""
    parts = {"training": task.training, "validation": task.validation, "test": task.test}
    data = {name: part for name, part in parts.items() if part is not None}
    files = {
        name: name_of(getattr(options, option))
        for name, option in (("training", "source"), ("validation", "validation"), ("test", "test"))
        if getattr(options, option)
    }
    settings = {name: value for name, value in vars(options).items() if value is not None}
    command = "xpnet train" + (f", {note}" if note else "")
    write_report(path, make_report(network, data, settings, files, command, _WATCHED))
