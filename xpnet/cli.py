"""The command line: ``xpnet train | predict | info``.

Arguments in, library calls, text out; everything it does is a few lines of the public API.
"""

import argparse
import csv
import os
import sys
from collections.abc import Sequence
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
from .backends import DeviceUnavailableError, available_backends, ops, resolve, to_host
from .optimizers import OPTIMIZERS
from .trainer import DivergedError


@dataclass(frozen=True)
class Task:
    """Data to learn from and to be tested on, and what to learn."""

    name: str
    training: Dataset
    test: Dataset
    classes: list[str] | None  # None: a regression
    per_feature: bool  # whether each column has a unit of its own

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

    Returns
    -------
    int
        The exit status: 0, or 2 where an argument or the file it names is wrong, or 1 where this
        machine lacks something or training failed.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except BrokenPipeError:  # the reader of our output, `head` say, has had enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is still buffered goes there at exit
        return 1
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except (FileNotFoundError, IsADirectoryError, ValueError) as error:
        return _fail(error, 2)
    except (DeviceUnavailableError, DivergedError, ImportError, OSError) as error:
        return _fail(error, 1)
    return 0


def _fail(error: object, status: int) -> int:
    """Say what is wrong in one line; returns the exit status."""
    print(f"xpnet: {' '.join(str(error).split())}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_fail(f"{message} (see {self.prog} --help)", 2))


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = _Parser(prog="xpnet", description="Feed-forward neural networks on CPU or GPU.")
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    train = commands.add_parser("train", help="train a network and report how good it is")
    train.set_defaults(command=run_train)
    train.add_argument("source", metavar="digits|mnist|FILE.csv", help="what to learn from")
    train.add_argument("--data", metavar="FOLDER", help="where MNIST's files are")
    train.add_argument("--target", metavar="COLUMN", help="of a CSV file: what to predict")
    train.add_argument("--task", choices=["auto", "classification", "regression"])
    train.add_argument("--test-size", type=_share, help="default: 0.25")
    train.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or auto (default: cpu)")
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
    """Train on the data asked for, report, plot and save."""
    backend = resolve(options.device)  # a device that is not there shall not cost reading the data
    check_files(options)  # nor shall a file that cannot be written
    task = load_task(options)
    defaults = DEFAULTS[task.name]
    training, test, unit = standardised_targets(task)
    network = build_network(task, options, defaults)
    if not options.quiet:
        network.summary()
        print(
            f"{len(training)} samples to learn from, {len(test)} to test on, {backend.name} "
            f"on {backend.device_name}"
        )
    network.fit(training, test)
    if task.classes is None:
        # Scored before the unit is folded in: float32 has too few digits for, say, years' seconds.
        report = {"rmse": network.score(test, "rmse") * unit[1], "r2": network.score(test, "r2")}
        fold_unit_into_output(network, *unit)
    else:
        report = {"accuracy": network.score(test)}
    if options.save:
        network.save(options.save)
    if options.plot:
        network.history.plot()[0].figure.savefig(options.plot)
    print(", ".join(f"test {name}: {value:.4f}" for name, value in report.items()))


def check_files(options: argparse.Namespace) -> None:
    """Refuse what could not be written or drawn when training is over."""
    for name in ("save", "plot"):
        path = getattr(options, name)
        folder = os.path.dirname(path or "") or "."
        if path and (not os.path.isdir(folder) or os.path.isdir(path)):
            raise ValueError(f"--{name} {path}: expected a file in a folder that exists")
    if options.plot:
        from .plots import pyplot

        known = pyplot().figure().canvas.get_supported_filetypes()
        pyplot().close()
        if os.path.splitext(options.plot)[1][1:] not in known:
            raise ValueError(f"--plot {options.plot}: expected a name in .{', .'.join(known)}")


def refuse_unused(options: argparse.Namespace, *used: str) -> None:
    """Refuse an option that the source of the data has no use for."""
    for name in ("data", "target", "task", "test_size"):
        if name not in used and getattr(options, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} does not go with {options.source}")


def load_task(options: argparse.Namespace) -> Task:
    """Read the data that the arguments name."""
    test_size = 0.25 if options.test_size is None else options.test_size
    if options.source == "digits":
        refuse_unused(options, "test_size")
        data = datasets.load_digits()
        split = train_test_split(data, test_size, stratify=True, seed=options.seed)
        return Task("digits", *split, data.class_names, per_feature=False)
    if options.source == "mnist":
        refuse_unused(options, "data")
        training, test = datasets.load_mnist(options.data)
        return Task("mnist", training, test, [str(k) for k in range(10)], per_feature=False)
    if not options.source.endswith(".csv"):
        raise ValueError(f"{options.source!r}: expected digits, mnist or a file that ends in .csv")
    if options.target is None:
        raise ValueError("a CSV file needs --target COLUMN, what to predict")
    refuse_unused(options, "target", "task", "test_size")
    data = Dataset.from_csv(options.source, label=options.target)
    kind = options.task if options.task not in (None, "auto") else _guess_task(data)
    if kind == "classification":
        data = _with_class_codes(data)
    elif data.class_names is not None:
        raise ValueError(f"--task regression: the column {options.target!r} has text in it")
    stratify = kind == "classification"
    split = train_test_split(data, test_size, stratify=stratify, seed=options.seed)
    return Task("csv", *split, data.class_names, per_feature=True)


def _guess_task(data: Dataset) -> str:
    """Say classification for text, and for whole numbers of which there are few."""
    y = to_host(data.y)
    few = data.class_names is not None or (y.dtype.kind == "i" and len(np.unique(y)) <= 20)
    return "classification" if few else "regression"


def _with_class_codes(data: Dataset) -> Dataset:
    """Return class codes from 0 in place of numbers, with the numbers as names."""
    if data.class_names is not None:
        return data
    names, codes = np.unique(to_host(data.y), return_inverse=True)
    return Dataset(
        data.X,
        codes,
        feature_names=data.feature_names,
        label_name=data.label_name,
        class_names=[str(name.item()) for name in names],
    )


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
        seed=options.seed,
        progress=not options.quiet,
    )
    network.add(Normalization.adapt(task.training.X, task.per_feature))
    dropout = defaults.dropout if options.dropout is None else options.dropout
    for n_units in options.hidden or defaults.hidden:
        network.add(DenseLayer(n_units, initializer="he_normal")).add(ReLUActivation())
        if dropout:
            network.add(Dropout(dropout))
    return network.add(DenseLayer(task.n_outputs))


def standardised_targets(task: Task) -> tuple[Dataset, Dataset, tuple[float, float]]:
    """Return the data to train with; a regression's targets in units of their own spread."""
    if task.classes is not None:
        return task.training, task.test, (0.0, 1.0)
    y = to_host(task.training.y)
    mean, scale = float(np.mean(y)), float(np.std(y)) or 1.0

    def standardised(data: Dataset) -> Dataset:
        return Dataset(
            data.X,
            (to_host(data.y) - mean) / scale,
            feature_names=data.feature_names,
            label_name=data.label_name,
        )

    return standardised(task.training), standardised(task.test), (mean, scale)


def fold_unit_into_output(network: NeuralNetwork, mean: float, scale: float) -> None:
    """Let the last dense layer put out the targets' own unit: (xW + b) s + m."""
    last: Any = network.layers[-1]
    last.weights, last.biases = last.weights * scale, last.biases * scale + mean


# ---- predict, info


def run_predict(options: argparse.Namespace) -> None:
    """Write one row of CSV for each sample: its class and probability, or its value."""
    network = load(options.model, device=options.device)
    data = Dataset.from_csv(options.source, columns=network.feature_names)
    output = to_host(network.predict(data))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    name = network.label_name or "prediction"
    if network.class_names is None:
        writer.writerow([name])
        writer.writerows([f"{value:.7g}" for value in row] for row in output)
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
    return rows


def _version(namespace: Any) -> str:
    """Return the version of the library behind an array API namespace."""
    library = namespace.__name__.removeprefix("array_api_compat.")
    return str(getattr(sys.modules.get(library), "__version__", ""))


# ---- arguments


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
    return int(text) if int(text) >= least else None


def _counts(text: str) -> tuple[int, ...] | None:
    sizes = tuple(int(part) for part in text.split(","))
    return sizes if min(sizes) >= 1 else None


def _between(text: str, low: float, high: float) -> float | None:
    return float(text) if low < float(text) < high else None


_count = _argument(lambda text: _least(text, 1), "a whole number, 1 or more")
_seed = _argument(lambda text: _least(text, 0), "a whole number, 0 or more")
_positive = _argument(lambda text: _between(text, 0.0, float("inf")), "a number above 0")
_share = _argument(lambda text: _between(text, 0.0, 1.0), "a number between 0 and 1")
_dropout = _argument(lambda text: _between(text, -1e-9, 1.0), "a number in [0, 1)")
_sizes = _argument(_counts, "numbers of units, e.g. 128,64")
