"""The command line: ``xpnet train | predict | info``.

Each command parses its arguments, calls the public API and prints the result.
"""

import argparse
import csv
import math
import os
import re
import shlex
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from .. import (
    Dataset,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    __version__,
    _starting,
    datasets,
    load,
    train_test_split,
)
from ..backends import DeviceUnavailableError, resolve, to_host
from ..backends._errors import printable
from ..optimizers import OPTIMIZERS
from ..training.classes import probabilities_of
from ..training.errors import DivergedError
from ..training.interruption import TERMINATED
from ..training.memory import MemoryPlanError
from ..training.target_unit import suggested_unit
from .files import (
    INTERRUPTED,
    StoppedError,
    check_output_files,
    plot,
    save_interrupted,
    sigterm_as_exit,
)
from .info import show


@dataclass(frozen=True)
class Task:
    """The data to train and to test on, and the kind of targets."""

    name: str
    training: Dataset
    test: Dataset
    classes: list[str] | None  # None: a regression
    reason: str = ""  # why the task is a classification or a regression, if it was guessed
    unit: tuple[float, float] | None = None  # mean and scale of a regression's targets

    @property
    def n_outputs(self) -> int:
        """The number of outputs that the network needs."""
        return 1 if self.classes is None else len(self.classes)


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
    "csv": Defaults(epochs=100, batch_size=16, hidden=(64, 32), dropout=0.1),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Errors are reported in one line on standard error. Set the environment variable
    ``XPNET_TRACEBACK`` to get the traceback of an unexpected error.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit status: 0 for success; 2 if an argument or the file that it names is wrong; 1 if
        this machine lacks something, training diverged or the output could not be written; 130
        after Ctrl-C and 143 after SIGTERM. Both end training after the current step, and the
        requested files are still written.
    """
    # Overflow is reported once, for the result.
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.showwarning = _show_warning
        try:
            _starting.started()
            options = make_parser().parse_args(arguments)
            options.command(options)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:  # the program that reads our output, e.g. head, has ended
            _give_up_output()
            return 1
        except KeyboardInterrupt:
            return _fail("interrupted", INTERRUPTED)
        except StoppedError as error:
            return _fail(error, error.status)
        except (FileNotFoundError, IsADirectoryError, ValueError) as error:
            return _fail(error, 2)
        except (DeviceUnavailableError, DivergedError, ImportError, MemoryPlanError) as error:
            return _fail(error, 1)
        except OSError as error:
            _give_up_output()
            return _fail(error, 1)
        except MemoryError as error:
            reason = f" ({error})" if str(error) else ""
            return _fail(f"out of memory{reason}: give a smaller --hidden or --batch-size", 1)
        except Exception as error:
            if os.environ.get("XPNET_TRACEBACK"):
                raise
            return _fail(
                f"this is a bug in xpnet, please report it: {type(error).__name__}: {error} "
                "(set XPNET_TRACEBACK=1 for the traceback)",
                1,
            )
    return 0


def _fail(error: object, status: int) -> int:
    """Report an error in one line; return the exit status."""
    _print_message(str(error))
    return status


def _print_message(message: str) -> None:
    """Print a message in one line on standard error, with options in place of arguments."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"xpnet: {printable(with_option_names(message))}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning in one line; replaces :func:`warnings.showwarning`."""
    _print_message(f"warning: {message}")


def _give_up_output() -> None:
    """Discard buffered output that cannot be written; Python would fail at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open until Python exits


_OPTIONS = {
    "label": "--target",
    "n_units": "--hidden",
    "rate": "--dropout",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "batch_size", "device", "dropout", "dtype", "epochs", "learning_rate", "optimizer",
            "seed", "test_size",
        )
    },
}  # fmt: skip
"""Maps the names of the library's arguments to options."""

_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS)})=('[^']*'|\"[^\"]*\"|[^\s,:;()]+)")

_HINT = re.compile(r" \([^()]*\b(?:decimal|delimiter|encoding|exclude|id|missing)=[^()]*\)")


_FRAME = "give Dataset.from_frame(frame)"


def with_option_names(message: str) -> str:
    """Replace the arguments that a message of the library names by options.

    A remark in parentheses is left out if it names an argument that has no option.

    Examples
    --------
    >>> with_option_names("'red' is not a number: give label='colour of eyes'")
    "'red' is not a number: give --target 'colour of eyes'"
    """
    message = _HINT.sub("", message).replace(_FRAME, "save it as a new CSV file")
    return _ARGUMENT.sub(
        lambda found: f"{_OPTIONS[found[1]]} {shlex.quote(found[2].strip(chr(34) + chr(39)))}",
        message,
    )


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        # For arguments that no command knows, argparse leaves out the name of the command.
        unknown = message.startswith("unrecognized arguments")
        program = f"{self.prog} COMMAND" if unknown else self.prog
        raise SystemExit(_fail(f"{message} (see {program} --help)", 2))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(prog="xpnet", description="Feed-forward neural networks on CPU or GPU.")
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    train = commands.add_parser("train", help="train a network and report its test score")
    train.set_defaults(command=run_train)
    sources = "digits|mnist|FILE.csv|FILE.tsv"
    train.add_argument("source", metavar=sources, help="the data to train on")
    train.add_argument(
        "--data", type=_text, metavar="FOLDER", help="the folder with the files of MNIST"
    )
    train.add_argument(
        "--target", type=_text, metavar="COLUMN", help="the column of a CSV file to predict"
    )
    train.add_argument(
        "--task",
        choices=["auto", "classification", "regression"],
        help="the task for a CSV file; auto (the default) takes text, and up to "
        f"{_MOST_NUMBERED_CLASSES} different whole numbers, for classes",
    )
    train.add_argument(
        "--test-size", type=_share, help="the share of rows to test on (default: 0.25)"
    )
    train.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or auto (default: cpu)")
    train.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="type to compute in (default: %(default)s)",
    )
    train.add_argument("--epochs", type=_count)
    train.add_argument("--batch-size", type=_count)
    train.add_argument("--optimizer", choices=sorted(OPTIMIZERS), default="adam")
    train.add_argument("--learning-rate", type=_positive)
    train.add_argument("--hidden", type=_sizes, metavar="128,64", help="units of hidden layers")
    train.add_argument("--dropout", type=_dropout, help="share of hidden units to drop")
    train.add_argument("--seed", type=_seed, default=0, help="default: %(default)s")
    train.add_argument(
        "--plot", type=_text, metavar="curves.png", help="plot loss and metrics by epoch"
    )
    train.add_argument(
        "--save", type=_text, metavar="model.safetensors", help="write the network to a file"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bar, no table of layers")

    predict = commands.add_parser("predict", help="predict with a saved network, as CSV")
    predict.set_defaults(command=run_predict)
    predict.add_argument("model", metavar="MODEL.safetensors")
    predict.add_argument("source", metavar="FILE.csv")
    predict.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or auto (default: cpu)")

    info = commands.add_parser("info", help="list the backends and devices of this machine")
    info.set_defaults(command=run_info)
    return parser


# ---- train


def run_train(options: argparse.Namespace) -> None:
    """Train a network, save it, and print and plot its results."""
    # Checked first: reading the data and training take long.
    backend = resolve(options.device)
    check_output_files(options)
    task = load_task(options)
    network = build_network(task, options, DEFAULTS[task.name])
    if not options.quiet:
        network.summary()
        if task.reason:
            kind = "regression" if task.classes is None else "classification"
            print(f"{kind}: {task.reason}")
        print(
            f"{len(task.training)} samples to train on, {len(task.test)} to test on, "
            f"{backend.name} on {backend.device_name}"
        )
    try:
        fit(network, task)
        with sigterm_as_exit():  # fit handles SIGTERM only while it runs
            finish(network, task, options)
    except KeyboardInterrupt:
        save_interrupted(network, options, INTERRUPTED)
    except SystemExit:
        save_interrupted(network, options, TERMINATED)


def fit(network: NeuralNetwork, task: Task) -> None:
    """Train a network; a message about divergence names an option."""
    try:
        network.fit(task.training, validation=task.test)
    except DivergedError as error:
        what_happened = str(error).partition(";")[0]
        raise DivergedError(f"{what_happened}: give a lower --learning-rate") from None


def finish(network: NeuralNetwork, task: Task, options: argparse.Namespace) -> None:
    """Score a trained network, save it, and print and plot its results."""
    scores = compute_scores(network, task)
    if options.save:
        network.save(options.save)
    formats = {"accuracy": ".4f", "rmse": ".6g", "r2": ".4f"}
    print(", ".join(f"test {name}: {score:{formats[name]}}" for name, score in scores.items()))
    warn_of_a_useless_network(scores, task)
    if options.plot:
        plot(network, options.plot)


def compute_scores(network: NeuralNetwork, task: Task) -> dict[str, float]:
    """Return the scores on the test data by the names of the metrics.

    Raises
    ------
    DivergedError
        A score is not finite.
    """
    metrics = ["rmse", "r2"] if task.classes is None else ["accuracy"]
    scores = {name: network.score(task.test, metric=name) for name in metrics}
    for name, score in scores.items():
        if not math.isfinite(score):
            raise DivergedError(
                f"the test {name} is {score}, so the network is of no use and was not saved: give "
                "a lower --learning-rate, or look for outliers in the data"
            )
    return scores


def warn_of_a_useless_network(scores: dict[str, float], task: Task) -> None:
    """Warn of a network that predicts the test data no better than a constant would."""
    if task.classes is None:
        constant = "the mean of the targets"
        useless = scores["r2"] <= 0.0
    else:
        counts = np.bincount(to_host(task.test.y), minlength=len(task.classes))
        constant = f"the most frequent class, {task.classes[int(counts.argmax())]!r}"
        useless = round(scores["accuracy"] * counts.sum()) <= counts.max()
    if useless:
        _print_message(
            f"warning: on the test data the network is no better than always predicting {constant}:"
            " give a lower --learning-rate or more --epochs, or check that the other columns tell "
            "the target"
        )


def refuse_unused(options: argparse.Namespace, *used: str) -> None:
    """Refuse options that do not apply to the source of the data."""
    for name in ("data", "target", "task", "test_size"):
        if name not in used and getattr(options, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} does not go with {options.source}")


def load_task(options: argparse.Namespace) -> Task:
    """Read the data and choose the task."""
    if options.source == "digits":
        refuse_unused(options, "test_size")
        parts = split(datasets.load_digits(), options, "classification")
        return Task("digits", *with_digits(*parts), DIGITS)
    if options.source == "mnist":
        refuse_unused(options, "data")
        return Task("mnist", *with_digits(*datasets.load_mnist(options.data)), DIGITS)
    if not re.search(r"\.[ct]sv(\.(gz|zip|bz2|xz|zst))?$", options.source, re.IGNORECASE):
        raise ValueError(
            f"{options.source!r}: expected digits, mnist or a file that ends in .csv or .tsv, or "
            "these with .gz, .zip, .bz2, .xz or .zst"
        )
    if options.target is None:
        raise ValueError("a CSV file needs --target COLUMN, the column to predict")
    refuse_unused(options, "target", "task", "test_size")
    data = Dataset.from_csv(options.source, label=options.target)
    refuse_text(
        data,
        options.source,
        " or remove the column. If it is the column to predict, give label={!r}",
    )
    data.check_finite()
    kind, reason = choose_kind(data, options)
    if kind == "regression":
        check_values(data, options.target)
        training, test = split(data, options, kind)
        return Task("csv", training, test, None, reason, suggested_unit(training.y))
    classes = with_class_codes(data)
    check_classes(classes, options.target, are_numbers=classes is not data)
    return Task("csv", *split(classes, options, kind), classes.class_names, reason)


DIGITS = [str(digit) for digit in range(10)]


def with_digits(training: Dataset, test: Dataset) -> tuple[Dataset, Dataset]:
    """Name the classes of images of digits; a network predicts them by these names."""
    training.class_names = test.class_names = DIGITS
    return training, test


def refuse_text(data: Dataset, path: str, alternative: str = "") -> None:
    """Refuse features of text, which the command line cannot encode.

    Parameters
    ----------
    data : Dataset
    path : str
        The file, for the message.
    alternative : str, default ""
        What else to do, with ``{!r}`` in place of the column's name.
    """
    if data.categories:
        name, texts = next(iter(data.categories.items()))
        raise ValueError(
            f"{path}, column {name!r}: {texts[0]!r} is not a number: encode categories as numbers"
            + alternative.format(name)
        )


def choose_kind(data: Dataset, options: argparse.Namespace) -> tuple[str, str]:
    """Return "classification" or "regression", and why."""
    column, named = f"the column {options.target!r}", options.task not in (None, "auto")
    text = None
    if data.class_names is not None:
        text = f"{column} has text, e.g. {data.class_names[0]!r}"
        if options.task == "regression":
            raise ValueError(f"--task regression: {text}: expected only numbers")
    if named:
        return options.task, f"--task {options.task}"
    if text is not None:
        return "classification", text
    values = np.unique(to_host(data.y))
    if not np.array_equal(values, np.floor(values)):
        return "regression", f"{column} has numbers with decimals"
    if len(values) > _MOST_NUMBERED_CLASSES:
        return "regression", f"{column} has {len(values)} different numbers"
    return "classification", (
        f"{column} has only {len(values)} different numbers, all of them whole; to predict "
        "numbers, give --task regression"
    )


_MOST_NUMBERED_CLASSES = 20
"""A column with more different whole numbers than this is a regression."""


def with_class_codes(data: Dataset) -> Dataset:
    """Replace numbers by class codes from 0, with the numbers as class names."""
    if data.class_names is not None:
        return data
    numbers, codes = np.unique(to_host(data.y), return_inverse=True)
    whole = np.array_equal(numbers, np.floor(numbers))
    return Dataset(
        data.X,
        codes,
        feature_names=data.feature_names,
        label_name=data.label_name,
        class_names=[str(int(number) if whole else number) for number in numbers],
    )


def check_classes(data: Dataset, target: str, are_numbers: bool) -> None:
    """Refuse a single class, and classes with too few rows for both training and testing."""
    names, counts = data.class_names or [], np.bincount(to_host(data.y))
    option = f"--target {shlex.quote(target)}"
    advice = ", or give --task regression to predict numbers" if are_numbers else ""
    if len(names) == 1:
        raise ValueError(
            f"{option}: all {len(data)} rows are of the class {names[0]!r}: expected at least two "
            f"classes{advice}"
        )
    rare = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if rare:
        subject, them = f"the class {rare[0]!r} has", "it"
        if len(rare) > 1:
            subject, them = f"{len(rare)} classes, e.g. {rare[0]!r}, have", "them"
        raise ValueError(
            f"{option}: {subject} only one row: expected at least two, one to train on and one to "
            f"test on; add rows of {them} or remove {them}{advice}"
        )


def check_values(data: Dataset, target: str) -> None:
    """Refuse targets of a regression whose squared differences overflow or underflow float64."""
    y = to_host(data.y).astype(np.float64)
    mean, scale = suggested_unit(y)
    with np.errstate(over="ignore"):
        furthest = float(np.max(np.abs(y - mean)))
    if furthest > _LARGEST_DIFFERENCE or scale < 1 / _LARGEST_DIFFERENCE:
        too = "large" if furthest > _LARGEST_DIFFERENCE else "small"
        raise ValueError(
            f"--target {shlex.quote(target)}: the numbers go from {y.min():g} to {y.max():g}, and "
            f"the squares of their differences are too {too} for float64: multiply the column by a "
            "power of ten"
        )


_LARGEST_DIFFERENCE = 1e145
"""The squares of differences up to this can be summed over many rows without overflow."""


def split(data: Dataset, options: argparse.Namespace, kind: str) -> tuple[Dataset, Dataset]:
    """Split the data into a part to train on and a part to test on."""
    size = 0.25 if options.test_size is None else options.test_size
    by_class = kind == "classification"
    how = {"test_size": size, "stratify": by_class, "random_state": options.seed}
    try:
        training, test = train_test_split(data, **how)
        return training, test
    except ValueError:
        needed = "at least one row of each class" if by_class else "at least one row"
        raise ValueError(
            f"--test-size {size:g} does not split {len(data)} rows into two parts with {needed}: "
            "give another size, or more data"
        ) from None


def build_network(task: Task, options: argparse.Namespace, defaults: Defaults) -> NeuralNetwork:
    """Build the network that the options describe."""
    regression = task.classes is None
    size = len(task.training)
    if not OPTIMIZERS[options.optimizer].takes_all_samples:
        size = min(defaults.batch_size, size)
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
        progress=not options.quiet and sys.stderr is not None,
        target_unit=task.unit,
    )
    # The columns of a file have different units; the pixels of an image have the same.
    network.add(Normalization.adapt(task.training.X, task.name == "csv"))
    dropout = defaults.dropout if options.dropout is None else options.dropout
    for n_units in options.hidden or defaults.hidden:
        network.add(DenseLayer(n_units, initializer="he_normal")).add(ReLUActivation())
        if dropout:
            network.add(Dropout(dropout))
    return network.add(DenseLayer(task.n_outputs))


# ---- predict, info


def run_predict(options: argparse.Namespace) -> None:
    """Write one row of CSV for each sample: its class and probability, or its value."""
    if is_network_file(options.source) and not is_network_file(options.model):
        raise ValueError(
            f"{options.source} is a network and {options.model} is not: expected the network "
            f"first, xpnet predict {shlex.quote(options.source)} {shlex.quote(options.model)}"
        )
    network = load(options.model, device=options.device)
    data = Dataset.from_csv(options.source, columns=network.feature_names)
    refuse_text(data, options.source)
    data.check_finite()
    output = to_host(network.predict(data))
    if not np.isfinite(output).all():
        row = int(np.argmin(np.isfinite(output).all(axis=1)))
        raise ValueError(
            f"{options.source}: the network's output for row {row} (from 0) is "
            f"{output[row].tolist()}: check whether its numbers are far from the training data"
        )
    if sys.stdout is None:
        raise OSError("there is no standard output to write predictions to")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    given = network.label_name or "prediction"
    name = "prediction" if isinstance(given, list) else given
    if not isinstance(network.class_names, list):  # a dict of several heads, or None
        named = isinstance(given, list) and len(given) == output.shape[1]
        several = given if named else [f"{name}_{k}" for k in range(output.shape[1])]
        writer.writerow(several if len(several) > 1 else [name])
        # As few digits as possible that still give the same number when read back.
        writer.writerows([str(value) for value in row] for row in output)
        return
    probability = probabilities_of(output, network.loss, network.layers[-1].output_kind)
    if probability.shape[1] != len(network.class_names):
        raise ValueError(
            f"{options.model} has {len(network.class_names)} class names for "
            f"{probability.shape[1]} classes"
        )
    writer.writerow([name, "probability"])
    for k, p in zip(probability.argmax(axis=1), probability.max(axis=1), strict=True):
        writer.writerow([network.class_names[k], f"{p:.4f}"])


def is_network_file(path: str) -> bool:
    """Whether a file begins as safetensors files do: the length of a JSON header, then its "{"."""
    with suppress(OSError, ValueError), open(path, "rb") as file:
        return file.read(9)[8:] == b"{"
    return False


def run_info(options: argparse.Namespace) -> None:
    """Print what this machine has for xpnet."""
    show()


# ---- arguments


_LARGEST_INTEGER = 2**31 - 1
"""The largest whole number that an option takes."""


def _argument(check: Any, expected: str) -> Any:
    """Make an argument type of a function that returns None or raises ValueError for bad text."""

    def parse(text: str) -> Any:
        try:
            value = check(text)
        except ValueError:
            value = None
        if value is None:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
        return value

    return parse


def _integer(text: str, least: int) -> int | None:
    return int(text) if least <= int(text) <= _LARGEST_INTEGER else None


def _integers(text: str) -> tuple[int, ...] | None:
    sizes = [_integer(part, 1) for part in text.split(",")]
    return None if None in sizes else tuple(size for size in sizes if size)


def _between(text: str, low: float, high: float) -> float | None:
    return float(text) if low < float(text) < high else None


def _fraction(text: str) -> float | None:
    return float(text) if 0.0 <= float(text) < 1.0 else None


_RANGE = f"or more (up to {_LARGEST_INTEGER})"
_text = _argument(lambda text: text or None, "a name")
_count = _argument(lambda text: _integer(text, 1), f"a whole number, 1 {_RANGE}")
_seed = _argument(lambda text: _integer(text, 0), f"a whole number, 0 {_RANGE}")
_positive = _argument(lambda text: _between(text, 0.0, float("inf")), "a finite number above 0")
_share = _argument(lambda text: _between(text, 0.0, 1.0), "a number between 0 and 1")
_dropout = _argument(_fraction, "a number in [0, 1)")
_sizes = _argument(_integers, "numbers of units, e.g. 128,64")
