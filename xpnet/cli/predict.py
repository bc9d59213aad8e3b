"""``xpnet predict`` and ``xpnet evaluate``: a saved network on a table, some rows at a time."""

import csv
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from types import SimpleNamespace
from typing import IO, Any

import numpy as np

from .. import Dataset, Heads, NeuralNetwork, load
from ..backends import UnknownNameError, to_host
from ..common.replacing import replacing
from ..training.classes import check_is_of_classes, classes_of, probabilities_of
from ..training.target_unit import units_of_heads
from .files import check_output_file
from .messages import print_message
from .number_texts import number_texts
from .tables import STANDARD_INPUT, check_finite, in_table, name_of, read_table, refuse_text

_ROWS = 1 << 15
"""How many rows are predicted at a time."""


def load_network(options: SimpleNamespace) -> NeuralNetwork:
    """Return the network of --model; refuse arguments in the wrong order."""
    if _is_network_file(options.source) and not _is_network_file(options.model):
        command = shlex.join(["xpnet", options.command, options.source, options.model])
        raise ValueError(
            f"{options.source} is a network and {options.model} is not: expected the network "
            f"first, {command}"
        )
    if _is_network_file(options.source):
        raise ValueError(f"{options.source} is a network: expected a table after the network")
    return load(options.model, device=options.device)


def _is_network_file(path: str) -> bool:
    """Whether a file begins as safetensors files do: the length of a JSON header, then its "{"."""
    if not os.path.isfile(path):  # a pipe can be read only once
        return False
    with suppress(OSError, ValueError), open(path, "rb") as file:
        return file.read(9)[8:] == b"{"
    return False


def read_rows(
    network: NeuralNetwork, options: SimpleNamespace, label: str | None = None
) -> Dataset:
    """Read the columns that a network was trained on.

    Missing cells are kept if the network fills them or drops their rows, or has a category for
    them; otherwise they are refused.
    """
    takes_missing = (
        network.fill_values
        or network.drops_missing
        or any(None in names for names in network.categories.values())
    )
    with warnings.catch_warnings():
        # Such a category is one of training, where there was a warning, or refused later.
        warnings.filterwarnings("ignore", ".* often stands for a missing value")
        columns, missing = network.column_names, "keep" if takes_missing else "error"
        try:
            data = read_table(
                options.source,
                options,
                label=label,
                columns=columns,
                id=options.id,
                missing=missing,
            )
        except UnknownNameError as error:
            if f"unknown column {label!r}" in str(error):
                raise ValueError(
                    f"{name_of(options.source)} has no column {label!r}, the target: expected a "
                    "table with the true values"
                ) from error
            needed = "" if columns is None else f". The network needs {', '.join(columns)}"
            raise ValueError(f"{error}{needed}") from error
    refuse_text(data, options.source, network.categories)
    if not takes_missing:
        check_finite(data, options.source)
    return data


def run_predict(options: SimpleNamespace) -> None:
    """Write one row of CSV for each row of a table: its class and probability, or its value."""
    network = load_network(options)
    if options.output:
        taken = {os.path.realpath(options.model): "the network"}
        if options.source != STANDARD_INPUT:
            taken[os.path.realpath(options.source)] = "the table"
        check_output_file("--output", options.output, taken)
    data = read_rows(network, options)
    skipped = 0
    with _opened(options.output) as file:
        writer = csv.writer(file, lineterminator="\n")
        for start in range(0, len(data), _ROWS):
            part = data[start : start + _ROWS]
            columns, n_skipped = _predictions(network, part, start, options)
            skipped += n_skipped
            if start == 0:
                writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    if skipped:
        print_message(
            f"warning: {skipped} of {len(data)} rows have missing cells and no prediction, since "
            "the network was trained with --missing drop"
        )


@contextmanager
def _opened(path: str | None) -> Iterator[IO[str]]:
    """Yield a text file to write to: a new file that replaces the old one, or standard output."""
    if path:
        with replacing(path) as binary:
            file = TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
            yield file
            file.detach()
        return
    if sys.stdout is None:
        raise OSError("there is no standard output to write predictions to: give --output FILE")
    try:
        yield sys.stdout
    except UnicodeEncodeError as error:
        raise ValueError(
            f"standard output is in {error.encoding}, which has no "
            f"{error.object[error.start]!r}: give --output FILE, which is in UTF-8, or set "
            "PYTHONIOENCODING=utf-8"
        ) from error


def _predictions(
    network: NeuralNetwork, part: Dataset, first_row: int, options: SimpleNamespace
) -> tuple[dict[str, Sequence[Any]], int]:
    """Return the columns to write for some rows, and how many of them have no prediction."""
    known = part.is_complete() if network.drops_missing else np.ones(len(part), bool)
    columns: dict[str, Sequence[Any]] = {}
    if options.id:
        columns[options.id] = [] if part.ids is None else part.ids.tolist()
    rows = part if known.all() else part.rows(np.flatnonzero(known))
    places = first_row + np.flatnonzero(known)
    try:
        output = to_host(network.predict(rows))
    except ValueError as error:  # such as a category that training did not have
        raise in_table(error, options.source, places.tolist()) from error
    if not np.isfinite(output).all():
        wrong = int(np.argmin(np.isfinite(output).all(axis=1)))
        row = int(places[wrong])
        raise ValueError(
            f"{name_of(options.source)}: the network's output for row {row} (from 0) is "
            f"{output[wrong].tolist()}: check whether its numbers are far from the training data"
        )
    found = _columns(network, output, options.proba)
    if options.id in found:
        raise ValueError(
            f"--id {shlex.quote(options.id)}: the output has a column of predictions with this "
            "name: rename the column in the table"
        )
    for name, values in found.items():
        column = np.full(len(part), "", object)
        column[known] = values
        columns[name] = column.tolist()
    return columns, int(len(part) - known.sum())


def _columns(network: NeuralNetwork, output: np.ndarray, proba: bool) -> dict[str, list[Any]]:
    """Return columns of predictions, by name, from a network's outputs."""
    loss, names, dtype = network.loss, network.class_names, network.backend.dtype
    kind = network.layers[-1].output_kind
    if not isinstance(loss, Heads):
        label = network.label_name
        # A column is called "probability" already.
        name = label if isinstance(label, str) and label != "probability" else "prediction"
        several = label if isinstance(label, list) else None
        classes, chances = _classes(output, loss, kind, names)
        if classes is not None:
            own = several or names if classes.ndim == 2 else names
            return _classes_and_chances(name, classes, chances, own, proba, dtype)
        if proba:
            raise ValueError(f"--proba: {name!r} is a number, and has no probabilities")
        return _numbers(several or [name], output, loss, network.target_unit, dtype)
    by_head = loss.split(output)
    classes = classes_of(output, loss, names)
    if proba and not classes:
        first = next(iter(loss.heads))
        raise ValueError(f"--proba: {first!r} is a number, and has no probabilities")
    chances = probabilities_of(output, loss, kind, names)
    units = units_of_heads(network.target_unit, loss)
    columns: dict[str, list[Any]] = {}
    for head, (own_loss, *_) in loss.heads.items():
        if head in classes:
            own, found = (names or {}).get(head), classes[head]
            more = _classes_and_chances(
                head, found, chances.get(head), own, proba, dtype, f"{head}_"
            )
        else:
            more = _numbers([head], by_head[head], own_loss, units.get(head), dtype)
        columns = _joined(columns, more)
    return columns


def _joined(columns: dict[str, list[Any]], more: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns of both dicts; refuse two of the same name, since one would be lost."""
    if twice := columns.keys() & more.keys():
        raise ValueError(
            f"the output would have two columns {min(twice)!r}: train on a target with another "
            "name, or predict in Python, net.predict(data)"
        )
    return columns | more


def _classes(output: np.ndarray, loss: Any, kind: str | None, names: Any) -> tuple[Any, Any]:
    """Return classes and probabilities; None for each that the loss does not define."""
    try:
        check_is_of_classes(loss, kind, names)
    except ValueError:  # a loss for numbers
        return None, None
    classes = classes_of(output, loss, names)
    try:
        return classes, probabilities_of(output, loss, kind)
    except ValueError:  # such as the hinge loss
        return classes, None


def _numbers(
    targets: list[str], output: np.ndarray, loss: Any, unit: Any, dtype: str
) -> dict[str, list[Any]]:
    """Return a column for each number that the network predicts, by name."""
    n = output.shape[1]
    mean, scale = (np.resize(np.asarray(each, float), n) for each in unit or (0.0, 1.0))
    mean[loss.n_targets(n) :] = 0.0  # such as standard deviations
    return {
        name: number_texts(output[:, k], dtype, float(mean[k]), float(scale[k]))
        for k, name in enumerate(loss.prediction_names(targets, n))
    }


def _classes_and_chances(
    name: str,
    classes: Any,
    chances: Any,
    class_names: Sequence[Any] | None,
    proba: bool,
    dtype: str,
    prefix: str = "",
) -> dict[str, list[Any]]:
    """Return columns of class predictions, one or several per sample, and of probabilities."""
    if proba and chances is None:
        raise ValueError("--proba: the network's loss gives no probabilities")
    classes = to_host(classes)
    columns: dict[str, list[Any]] = {name: classes.tolist()}
    if classes.ndim == 2:  # a sample can have several classes
        class_names = class_names or [f"{name}_{k}" for k in range(classes.shape[1])]
        columns = {each: classes[:, k].tolist() for k, each in enumerate(class_names)}
        prefix = ""
    if chances is None:
        return columns
    chances = to_host(chances)
    more = {}
    if proba:
        more = {
            f"{prefix}probability_{each}": number_texts(chances[:, k], dtype)
            for k, each in enumerate(class_names or range(chances.shape[1]))
        }
    elif classes.ndim == 1:
        more = {f"{prefix}probability": number_texts(chances.max(axis=1), dtype)}
    return _joined(columns, more)
