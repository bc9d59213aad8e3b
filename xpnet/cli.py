"""The command line: ``xpnet train | predict | info``.

Arguments in, library calls, text out; everything it does is a few lines of the public API.
"""

import argparse
import csv
import math
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from . import (
    Dataset,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    __version__,
    datasets,
    load,
    train_test_split,
)
from ._reading import is_date
from ._target_unit import suggested_unit
from .backends import DeviceUnavailableError, available_backends, ops, resolve, to_host
from .memory import MemoryPlanError
from .optimizers import OPTIMIZERS
from .trainer import DivergedError


@dataclass(frozen=True)
class Task:
    """Data to learn from and to be tested on, and what to learn."""

    name: str
    training: Dataset
    test: Dataset
    classes: list[str] | None  # None: a regression
    reason: str = ""  # why it is a classification or a regression, where that is not clear
    unit: tuple[float, float] | None = None  # mean and scale of a regression's targets

    @property
    def n_outputs(self) -> int:
        """How many numbers the network puts out."""
        return 1 if self.classes is None else len(self.classes)


@dataclass(frozen=True)
class Defaults:
    """What a task trains with unless told otherwise."""

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

    Whatever goes wrong is one line on standard error. Set the environment variable
    ``XPNET_TRACEBACK`` to see where in the code an unexpected error came from.

    Returns
    -------
    int
        The exit status: 0; 2 if an argument or the file it names is wrong; 1 if this machine
        lacks something, training failed or the output could not be written; 130 after Ctrl-C.
    """
    # What overflows is said once, of the result.
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.showwarning = _show_warning
        try:
            options = make_parser().parse_args(arguments)
            options.command(options)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:  # the reader of our output, `head` say, has had enough
            _give_up_output()
            return 1
        except KeyboardInterrupt:
            return _fail("interrupted", 130)
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
                f"this is a defect of xpnet, please report it: {type(error).__name__}: {error} "
                "(with XPNET_TRACEBACK=1 it says where)",
                1,
            )
    return 0


def _fail(error: object, status: int) -> int:
    """Say what is wrong in one line; returns the exit status."""
    _say(str(error))
    return status


def _say(message: str) -> None:
    """Write a message to standard error in one line, in the words of the command line."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"xpnet: {' '.join(in_options(message).split())}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Write a warning as :func:`_say` does; replaces :func:`warnings.showwarning`."""
    _say(f"warning: {message}")


def _give_up_output() -> None:
    """Drop what standard output still holds if it cannot be written, or Python fails at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - is written to until Python ends


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
"""Options by the names of the library's arguments."""

_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS)})=('[^']*'|\"[^\"]*\"|[^\s,:;()]+)")


def in_options(message: str) -> str:
    """Return a message of the library with options in place of arguments.

    Examples
    --------
    >>> in_options("'red' is not a number: give label='colour of eyes'")
    "'red' is not a number: give --target 'colour of eyes'"
    """
    return _ARGUMENT.sub(
        lambda found: f"{_OPTIONS[found[1]]} {shlex.quote(found[2].strip(chr(34) + chr(39)))}",
        message,
    )


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        # What a command does not know gets here without the command's name.
        unknown = message.startswith("unrecognized arguments")
        program = f"{self.prog} COMMAND" if unknown else self.prog
        raise SystemExit(_fail(f"{message} (see {program} --help)", 2))


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = _Parser(prog="xpnet", description="Feed-forward neural networks on CPU or GPU.")
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    train = commands.add_parser("train", help="train a network and report how good it is")
    train.set_defaults(command=run_train)
    sources = "digits|mnist|FILE.csv|FILE.tsv"
    train.add_argument("source", metavar=sources, help="what to learn from")
    train.add_argument("--data", metavar="FOLDER", help="where MNIST's files are")
    train.add_argument("--target", metavar="COLUMN", help="of a CSV file: what to predict")
    train.add_argument(
        "--task",
        choices=["auto", "classification", "regression"],
        help="of a CSV file; auto (the default) classifies text and few whole numbers",
    )
    train.add_argument("--test-size", type=_share, help="default: 0.25")
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
    train.add_argument("--dropout", type=_dropout, help="part of hidden units to drop")
    train.add_argument("--seed", type=_seed, default=0, help="default: %(default)s")
    train.add_argument("--plot", metavar="curves.png", help="draw loss and metric by epoch")
    train.add_argument("--save", metavar="model.safetensors", help="write the network to a file")
    train.add_argument("--quiet", action="store_true", help="no progress bar, no table of layers")

    predict = commands.add_parser("predict", help="predict with a saved network, as CSV")
    predict.set_defaults(command=run_predict)
    predict.add_argument("model", metavar="MODEL.safetensors")
    predict.add_argument("source", metavar="FILE.csv")
    predict.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or auto (default: cpu)")

    info = commands.add_parser("info", help="tell which backends and devices this machine has")
    info.set_defaults(command=run_info)
    return parser


# ---- train


def run_train(options: argparse.Namespace) -> None:
    """Train on the data asked for, save, report and plot."""
    backend = resolve(options.device)  # a device that is not there shall not cost reading the data
    check_files(options)  # nor shall a file that cannot be written
    task = load_task(options)
    network = build_network(task, options, DEFAULTS[task.name])
    if not options.quiet:
        network.summary()
        if task.reason:
            kind = "regression" if task.classes is None else "classification"
            print(f"{kind}: {task.reason}")
        print(
            f"{len(task.training)} samples to learn from, {len(task.test)} to test on, "
            f"{backend.name} on {backend.device_name}"
        )
    try:
        network.fit(task.training, task.test)
    except DivergedError as error:
        came_to = str(error).partition(";")[0]
        raise DivergedError(f"{came_to}: give a lower --learning-rate") from None
    if options.save:
        network.save(options.save)
        # What is reported is how good the file is that others will predict with.
        network = load(options.save, device=options.device)
    print(report(network, task))
    if options.plot:
        network.history.plot()[0].figure.savefig(options.plot)


def report(network: NeuralNetwork, task: Task) -> str:
    """Return the scores on the test data in words.

    Raises
    ------
    DivergedError
        One of them is not finite.
    """
    metrics = {"accuracy": ".4f"} if task.classes is not None else {"rmse": ".6g", "r2": ".4f"}
    scores = {name: network.score(task.test, name) for name in metrics}
    for name, score in scores.items():
        if not math.isfinite(score):
            raise DivergedError(
                f"the test {name} is {score}: the network has learned nothing of use; look for "
                "numbers in the data that are far from all others"
            )
    return ", ".join(f"test {name}: {score:{metrics[name]}}" for name, score in scores.items())


def check_files(options: argparse.Namespace) -> None:
    """Refuse what could not be written or drawn when training is over."""
    for name in ("save", "plot"):
        path = getattr(options, name)
        folder = os.path.dirname(path or "") or "."
        if path and (not os.path.isdir(folder) or os.path.isdir(path)):
            raise ValueError(f"--{name} {path}: expected a file in a folder that exists")
    if options.plot:
        check_picture(options.plot)


def check_picture(path: str) -> None:
    """Refuse a kind of picture that cannot be drawn here, by drawing one."""
    from .plots import pyplot

    figure, _ = pyplot().subplots()
    try:
        known, ending = figure.canvas.get_supported_filetypes(), os.path.splitext(path)[1]
        if ending[1:].lower() not in known:
            raise ValueError(f"--plot {path}: expected a name in .{', .'.join(known)}")
        with tempfile.TemporaryDirectory() as folder:
            figure.savefig(os.path.join(folder, f"picture{ending}"))
    except ValueError:
        raise
    except Exception as error:  # each kind needs other programs, LaTeX say, and fails in its way
        raise ValueError(
            f"--plot {path}: pictures that end in {ending} cannot be drawn here ({error}): give a "
            "name that ends in .png"
        ) from error
    finally:
        pyplot().close(figure)


def refuse_unused(options: argparse.Namespace, *used: str) -> None:
    """Refuse an option that the source of the data has no use for."""
    for name in ("data", "target", "task", "test_size"):
        if name not in used and getattr(options, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} does not go with {options.source}")


def load_task(options: argparse.Namespace) -> Task:
    """Read the data that the arguments name."""
    if options.source == "digits":
        refuse_unused(options, "test_size")
        data = datasets.load_digits()
        return Task("digits", *split(data, options, "classification"), data.class_names)
    if options.source == "mnist":
        refuse_unused(options, "data")
        training, test = datasets.load_mnist(options.data)
        return Task("mnist", training, test, [str(k) for k in range(10)])
    ending = os.path.splitext(options.source)[1].lower()
    if ending in (".gz", ".zip", ".bz2", ".xz", ".zst"):
        raise ValueError(f"{options.source} is compressed: unpack it first")
    if ending not in (".csv", ".tsv"):
        raise ValueError(
            f"{options.source!r}: expected digits, mnist or a file that ends in .csv or .tsv"
        )
    if options.target is None:
        raise ValueError("a CSV file needs --target COLUMN, what to predict")
    refuse_unused(options, "target", "task", "test_size")
    data = Dataset.from_csv(options.source, label=options.target)
    data.check_finite()
    kind, reason = choose_kind(data, options)
    if kind == "regression":
        check_values(data, options.target)
        training, test = split(data, options, kind)
        return Task("csv", training, test, None, reason, suggested_unit(training.y))
    classes = with_class_codes(data)
    check_classes(classes, options.target, are_numbers=classes is not data)
    return Task("csv", *split(classes, options, kind), classes.class_names, reason)


def choose_kind(data: Dataset, options: argparse.Namespace) -> tuple[str, str]:
    """Return "classification" or "regression", and why."""
    column, named = f"the column {options.target!r}", options.task not in (None, "auto")
    if data.class_names is not None:
        text = f"{column} has text in it, {data.class_names[0]!r} for one"
        dates = all(map(is_date, data.class_names))
        advice = "write dates as numbers, e.g. seconds since the first one" if dates else ""
        if options.task == "regression":
            raise ValueError(f"--task regression: {text}: {advice or 'expected numbers alone'}")
        if dates and not named:
            raise ValueError(
                f"--target {shlex.quote(options.target)}: {text}: {advice}, or give "
                "--task classification to take each date for a class"
            )
    if named:
        return options.task, f"--task {options.task}"
    if data.class_names is not None:
        return "classification", text
    values = np.unique(to_host(data.y))
    if not np.array_equal(values, np.floor(values)):
        return "regression", f"{column} has numbers that are not whole"
    if len(values) > _FEW:
        return "regression", f"{column} has {len(values)} different numbers"
    return "classification", f"{column} has few numbers, all whole (else give --task regression)"


_FEW = 20
"""Up to so many different whole numbers are taken for classes."""


def with_class_codes(data: Dataset) -> Dataset:
    """Return class codes from 0 in place of numbers, with the numbers as names."""
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
    """Refuse classes that cannot be told apart, or be both learned and tested."""
    names, counts = data.class_names or [], np.bincount(to_host(data.y))
    option = f"--target {shlex.quote(target)}"
    advice = ", or give --task regression to predict numbers" if are_numbers else ""
    if len(names) == 1:
        raise ValueError(
            f"{option}: all {len(data)} rows are of the class {names[0]!r}: expected two classes "
            f"at least, there is nothing to tell apart{advice}"
        )
    rare = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if rare:
        subject, them = f"the class {rare[0]!r} has", "it"
        if len(rare) > 1:
            subject, them = f"{len(rare)} classes, {rare[0]!r} for one, have", "them"
        raise ValueError(
            f"{option}: {subject} one row, and one is needed to learn from and one to test on: "
            f"add rows of {them} or take {them} out{advice}"
        )


def check_values(data: Dataset, target: str) -> None:
    """Refuse targets of a regression if squares of their differences are too large for float64."""
    y = to_host(data.y).astype(np.float64)
    mean, scale = suggested_unit(y)
    with np.errstate(over="ignore"):
        furthest = float(np.max(np.abs(y - mean)))
    if furthest > _LARGEST or scale < 1 / _LARGEST:
        raise ValueError(
            f"--target {shlex.quote(target)}: the numbers go from {y.min():g} to {y.max():g}, too "
            "far or too little apart to be squared: multiply the column by a power of ten"
        )


_LARGEST = 1e145
"""What can be squared and summed over many rows, as the error is."""


def split(data: Dataset, options: argparse.Namespace, kind: str) -> tuple[Dataset, Dataset]:
    """Return the part to learn from and the part to test on."""
    size = 0.25 if options.test_size is None else options.test_size
    by_class = kind == "classification"
    try:
        return train_test_split(data, size, stratify=by_class, seed=options.seed)
    except ValueError:
        needed = "a row of each class" if by_class else "one row"
        raise ValueError(
            f"--test-size {size:g} does not split {len(data)} rows into two parts that have "
            f"{needed} at least: give another one, or more data"
        ) from None


def build_network(task: Task, options: argparse.Namespace, defaults: Defaults) -> NeuralNetwork:
    """Stack the layers that the arguments ask for."""
    regression = task.classes is None
    network = NeuralNetwork(
        epochs=options.epochs or defaults.epochs,
        batch_size=options.batch_size or min(defaults.batch_size, len(task.training)),
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
    # Each column of a file has a unit of its own, and all pixels of images have one.
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
    network = load(options.model, device=options.device)
    data = Dataset.from_csv(options.source, columns=network.feature_names)
    data.check_finite()
    output = to_host(network.predict(data))
    if not np.isfinite(output).all():
        row = int(np.argmin(np.isfinite(output).all(axis=1)))
        raise ValueError(
            f"{options.source}: for row {row} (from 0) the network puts out {output[row].tolist()}:"
            " are its numbers far from those that the network was trained on?"
        )
    if sys.stdout is None:
        raise OSError("there is no standard output to write predictions to")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    name = network.label_name or "prediction"
    if network.class_names is None:
        several = [f"{name}_{k}" for k in range(output.shape[1])]
        writer.writerow(several if len(several) > 1 else [name])
        # The fewest digits from which the same number is read again.
        writer.writerows([str(value) for value in row] for row in output)
        return
    probability = class_probabilities(network, output)
    if probability.shape[1] != len(network.class_names):
        raise ValueError(
            f"{options.model} has {len(network.class_names)} class names for "
            f"{probability.shape[1]} classes"
        )
    writer.writerow([name, "probability"])
    for k, p in zip(probability.argmax(axis=1), probability.max(axis=1), strict=True):
        writer.writerow([network.class_names[k], f"{p:.4f}"])


def class_probabilities(network: NeuralNetwork, output: np.ndarray) -> np.ndarray:
    """Return the probability of each class, shape (n, n_classes), from a network's output."""
    result: np.ndarray = output
    kind = network.layers[-1].output_kind
    if kind == "log-distribution":
        result = np.exp(output)
    elif kind == "real":
        result = ops.sigmoid(output) if output.shape[1] == 1 else ops.softmax(output)
    return np.hstack([1.0 - result, result]) if result.shape[1] == 1 else result


def run_info(options: argparse.Namespace) -> None:
    """Print each backend, whether it works here, its device and its memory."""
    from platform import platform, python_version

    from tabulate import tabulate

    print(f"xpnet {__version__}, Python {python_version()}, {platform()}")
    rows = [row for name in available_backends() for row in describe_backend(name)]
    headers = ["backend", "version", "device", "memory", "state"]
    print(tabulate(rows, headers=headers, maxcolwidths=[None, None, None, None, 60]))


def describe_backend(name: str) -> list[tuple[str, ...]]:
    """Return a row for each device of a backend, or one that says what it lacks."""
    rows: list[tuple[str, ...]] = []
    try:
        # CUDA devices are counted up until there is no next one; other libraries' default is told.
        while name == "cupy" or not rows:
            backend = resolve(f"cuda:{len(rows)}" if name == "cupy" else "auto", backend=name)
            memory = backend.memory()
            shown = memory and f"{memory.free / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
            version = _version(backend.xp)
            rows.append((name, version, backend.device_name, shown or "", "ready"))
    except DeviceUnavailableError as error:
        return rows or [(name, "", "", "", str(error).replace("cuda:0", "cuda"))]
    except Exception as error:  # a third party's backend shall not hide the others
        return [*rows, (name, "", "", "", f"fails: {type(error).__name__}: {error}")]
    return rows


def _version(namespace: Any) -> str:
    """Return the version of the library behind an array API namespace."""
    library = namespace.__name__.removeprefix("array_api_compat.")
    return str(getattr(sys.modules.get(library), "__version__", ""))


# ---- arguments


_MOST = 2**31 - 1
"""The largest whole number that an option takes."""


def _argument(check: Any, expected: str) -> Any:
    """Make an argument type from a function that returns a value, or raises or returns None."""

    def parse(text: str) -> Any:
        try:
            value = check(text)
        except ValueError:
            value = None
        if value is None:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
        return value

    return parse


def _least(text: str, least: int) -> int | None:
    return int(text) if least <= int(text) <= _MOST else None


def _counts(text: str) -> tuple[int, ...] | None:
    sizes = tuple(int(part) for part in text.split(","))
    return sizes if all(1 <= size <= _MOST for size in sizes) else None


def _between(text: str, low: float, high: float) -> float | None:
    return float(text) if low < float(text) < high else None


_count = _argument(lambda text: _least(text, 1), f"a whole number, 1 or more (up to {_MOST})")
_seed = _argument(lambda text: _least(text, 0), f"a whole number, 0 or more (up to {_MOST})")
_positive = _argument(lambda text: _between(text, 0.0, float("inf")), "a number above 0")
_share = _argument(lambda text: _between(text, 0.0, 1.0), "a number between 0 and 1")
_dropout = _argument(lambda text: _between(text, -1e-9, 1.0), "a number in [0, 1)")
_sizes = _argument(_counts, "numbers of units, e.g. 128,64")
