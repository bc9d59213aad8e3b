"""The data that ``xpnet train`` trains on, the kind of targets, and the held-out rows."""

import copy
import shlex
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import Dataset, datasets, train_test_split
from ..backends import to_host
from ..training.target_unit import suggested_unit
from .messages import print_message
from .obstacles import read_for_training
from .tables import (
    ENDINGS,
    STANDARD_INPUT,
    check_finite,
    is_table,
    name_of,
    read_table,
    refuse_infinite,
    refuse_text,
)

_VALIDATION_SHARE = 0.1
"""The share of the training rows that is held out for early stopping without --validation."""

_TEST_SHARE = 0.25
_MOST_NUMBERED_CLASSES = 20
"""A column with more different whole numbers than this is a regression."""


@dataclass(frozen=True)
class Task:
    """The data, and the kind of targets.

    Attributes
    ----------
    name : {"digits", "mnist", "table"}
    training : Dataset
        As the network takes them: without missing cells, with categories encoded.
    test, validation : Dataset or None
        As they were read; the network encodes them like the training data.
    classes : list of str or None
        The names of the classes; None for a regression.
    reason : str
        Why the task is a classification or a regression.
    unit : (float, float), optional
        The mean and the scale of a regression's targets.
    """

    name: str
    training: Dataset
    test: Dataset | None
    validation: Dataset | None
    classes: list[str] | None
    reason: str = ""
    unit: tuple[float, float] | None = None

    @property
    def n_outputs(self) -> int:
        """The number of outputs that the network needs."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def watched(self) -> Dataset | None:
        """The data that are evaluated after each epoch."""
        return self.test if self.validation is None else self.validation


def load_task(options: SimpleNamespace) -> Task:
    """Read the data and choose the task."""
    if options.source in ("digits", "mnist"):
        return _load_images(options)
    if not is_table(options.source):
        raise ValueError(
            f"{options.source!r}: expected digits, mnist, - for standard input, or a file that "
            f"ends in {ENDINGS}"
        )
    if options.target is None:
        raise ValueError("a table needs --target COLUMN, the column to predict")
    _refuse_unused(options, *_TABLE_OPTIONS)
    return _load_table(options)


_TABLE_OPTIONS = (
    "target", "task", "test_size", "test", "validation", "features", "exclude", "id", "categories",
    "missing", "delimiter", "decimal", "encoding", "no_header", "memory_limit",
)  # fmt: skip


def _refuse_unused(options: SimpleNamespace, *used: str) -> None:
    """Refuse options that do not apply to the source of the data."""
    for name in ("data", *_TABLE_OPTIONS):
        if name not in used and getattr(options, name):
            raise ValueError(f"--{name.replace('_', '-')} does not apply to {options.source}")


# ---- images


def _load_images(options: SimpleNamespace) -> Task:
    if options.source == "digits":
        _refuse_unused(options, "test_size")
        rest, test = _split(datasets.load_digits(), _test_share(options), options)
    else:
        _refuse_unused(options, "data")
        rest, test = datasets.load_mnist(options.data)
    training, validation = _hold_out(rest, options, is_classification=True)
    classes = [str(digit) for digit in range(10)]
    for part in (training, test, validation):
        if part is not None:
            part.class_names = classes
    return Task(options.source, training, test, validation, classes)


# ---- tables


def _load_table(options: SimpleNamespace) -> Task:
    given = {"label": options.target, "exclude": options.exclude or (), "id": options.id}
    if options.test and options.test_size is not None:
        raise ValueError("--test-size and --test: expected one of them")
    if options.id and options.id in (options.features or ()):
        raise ValueError(f"--features and --id both name {options.id!r}: expected only one of them")
    if [options.source, options.test, options.validation].count(STANDARD_INPUT) > 1:
        raise ValueError("standard input (-) can be read only once: give files for the others")
    given |= {"columns": options.features, "reader": read_for_training}
    data = _read(options.source, options, **given)
    kind, reason = _choose_kind(data, options)
    others = {"label": options.target, "columns": data.feature_names}
    test, validation = (
        None if source is None else _read(source, options, **others)
        for source in (options.test, options.validation)
    )
    for part, source in ((test, options.test), (validation, options.validation)):
        if part is not None:
            refuse_text(part, source, data.categories)
    unit = None
    if kind == "regression":
        for part in filter(None, (data, test, validation)):
            _check_numbers(part, options.target)
    else:
        is_text = data.class_names is not None
        data = with_class_codes(data)
        test, validation = (each and with_class_codes(each) for each in (test, validation))
        _check_classes(data, options.target, are_numbers=not is_text, is_split=test is None)
    training: Dataset = data
    if test is None and (share := _test_share(options)):
        training, test = _split(data, share, options, kind == "classification")
    if validation is None:
        training, validation = _hold_out(training, options, kind == "classification")
    if kind == "regression":
        unit = suggested_unit(training.y)
    classes = data.class_names if kind == "classification" else None
    return Task("table", _prepared(training, options), test, validation, classes, reason, unit)


def _read(source: str, options: SimpleNamespace, **request: Any) -> Dataset:
    """Read a table and leave out rows as --missing says."""
    keeps = options.missing in ("median", "drop")
    data = read_table(source, options, missing="keep" if keeps else "error", **request)
    data.ids = None  # of no use in training: --id only excludes the column from the features
    if keeps:
        refuse_infinite(data, source)
        return leave_out(data, source, options.missing, options.target)
    check_finite(data, source)
    return data


def leave_out(data: Dataset, source: str, missing: str, target: str) -> Dataset:
    """Return the rows that --missing drop or median leaves, and warn of the others."""
    try:
        left = data.drop_missing() if missing == "drop" else _without_missing_labels(data)
    except ValueError as error:  # no row is left
        raise ValueError(f"{name_of(source)}: {error}") from error
    if n_dropped := len(data) - len(left):
        reason = "have missing cells" if missing == "drop" else f"lack {target!r}"
        rows = f"{n_dropped} of {len(data)} rows are left out because they {reason}"
        print_message(f"warning: {name_of(source)}: {rows}")
    return left


def _without_missing_labels(data: Dataset) -> Dataset:
    """Return the rows whose target is known, which are the only ones to train and test on."""
    y = to_host(data.y)
    missing = np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), bool)
    if not missing.any():
        return data
    if missing.all():
        raise ValueError("the target is missing in all rows: name another column with --target")
    known = data.rows(np.flatnonzero(~missing), keep_stored=True)
    if known.class_names is None:
        return known
    return _with_labels(known, y[~missing].astype(np.int64), known.class_names)


def _with_labels(data: Dataset, y: np.ndarray, class_names: list[str]) -> Dataset:
    """Return the samples with other labels."""
    labelled = copy.copy(data)
    labelled.y, labelled.class_names = y, class_names
    return labelled


def _prepared(training: Dataset, options: SimpleNamespace) -> Dataset:
    """Return the training data without missing cells, and with one-hot categories if asked for."""
    if options.missing == "median":
        training = training.fill_missing()
    return training if options.categories == "embedding" else training.one_hot()


def _choose_kind(data: Dataset, options: SimpleNamespace) -> tuple[str, str]:
    """Return "classification" or "regression", and why."""
    column = f"the column {options.target!r}"
    text = None
    if data.class_names is not None:
        text = f"{column} has text, e.g. {data.class_names[0]!r}"
        if options.task == "regression":
            raise ValueError(f"--task regression: {text}: expected only numbers")
    if options.task not in (None, "auto"):
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


def with_class_codes(data: Dataset) -> Dataset:
    """Replace numbers by class codes from 0, with the numbers as class names."""
    if data.class_names is not None:
        return data
    numbers, codes = np.unique(to_host(data.y), return_inverse=True)
    whole = np.array_equal(numbers, np.floor(numbers))
    names = [str(int(number) if whole else number) for number in numbers]
    return _with_labels(data, codes, names)


def _check_classes(data: Dataset, target: str, are_numbers: bool, is_split: bool) -> None:
    """Refuse a single class and, if the rows are split, classes that have only one row."""
    names, counts = data.class_names or [], np.bincount(to_host(data.y))
    option = f"--target {shlex.quote(target)}"
    advice = ", or give --task regression to predict numbers" if are_numbers else ""
    if len(names) == 1:
        raise ValueError(
            f"{option}: all {len(data)} rows are of the class {names[0]!r}: expected at least two "
            f"classes{advice}"
        )
    rare = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if rare and is_split:
        subject, them = f"the class {rare[0]!r} has", "it"
        if len(rare) > 1:
            subject, them = f"{len(rare)} classes, e.g. {rare[0]!r}, have", "them"
        raise ValueError(
            f"{option}: {subject} only one row: expected at least two, one to train on and one to "
            f"test on; add rows of {them} or remove {them}{advice}"
        )


def _check_numbers(data: Dataset, target: str) -> None:
    """Refuse targets whose squared differences overflow or underflow float64, and text."""
    option = f"--target {shlex.quote(target)}"
    if data.class_names is not None:
        raise ValueError(f"{option}: {data.class_names[0]!r} is not a number, as in training")
    y = to_host(data.y).astype(np.float64)
    mean, scale = suggested_unit(y)
    with np.errstate(over="ignore"):
        furthest = float(np.max(np.abs(y - mean)))
    if furthest > _LARGEST_DIFFERENCE or scale < 1 / _LARGEST_DIFFERENCE:
        too = "large" if furthest > _LARGEST_DIFFERENCE else "small"
        raise ValueError(
            f"{option}: the numbers go from {y.min():g} to {y.max():g}, and the squares of their "
            f"differences are too {too} for float64: multiply the column by a power of ten"
        )


_LARGEST_DIFFERENCE = 1e145
"""The squares of differences up to this can be summed over many rows without overflow."""


# ---- held-out rows


def _test_share(options: SimpleNamespace) -> float:
    return _TEST_SHARE if options.test_size is None else float(options.test_size)


def _hold_out(
    rest: Dataset, options: SimpleNamespace, is_classification: bool
) -> tuple[Dataset, Dataset | None]:
    """Hold out validation rows for early stopping, which must not depend on the test rows."""
    if not options.early_stopping:
        return rest, None
    return _split(rest, _VALIDATION_SHARE, options, is_classification, "--early-stopping")


def _split(
    data: Dataset,
    share: float,
    options: SimpleNamespace,
    is_classification: bool = True,
    option: str = "--test-size",
) -> tuple[Dataset, Dataset]:
    """Split the data into a part to train on and a part to test or validate on."""
    try:
        training, held_out = train_test_split(
            data, test_size=share, stratify=is_classification, random_state=options.seed
        )
        return training, held_out
    except ValueError:
        needed = "at least one row of each class" if is_classification else "at least one row"
        raise ValueError(
            f"{option} {share:g} does not split {len(data)} rows into two parts with {needed}: "
            "give another size, or more data"
        ) from None
