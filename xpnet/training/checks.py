"""Checks of data against a network, and the targets in the form that the loss takes.

All checks are made before the network is changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np

from ..backends import Array, Backend, to_host
from ..backends._warnings import warn
from ..common.checks import class_indices
from ..data import Dataset
from ..data.digits import precision_problem
from ..data.reading import has_more_digits
from ..layers import Flatten, Layer
from ..losses import Heads, LossFunction
from ..losses.head_metrics import HeadMetric
from ..metrics import MSE, R2, ExplainedVariance, MaxError, Metric, ProbabilityMetric
from .metric_settings import OneMetric, name_of
from .target_unit import (
    Unit,
    check_columns,
    check_losses_as_metrics,
    standardised,
    units_of_heads,
)


def check_features(dataset: Dataset, layers: Sequence[Layer]) -> None:
    """Refuse data whose number of features is not what the first layer takes.

    Only :class:`~xpnet.Flatten` may have an input shape other than that of a row.
    """
    first = layers[0]
    expected = first.output_shape() if isinstance(first, Flatten) else first.input_shape()
    if len(expected) != 1:
        raise ValueError(
            f"the input shape of the first layer, {first.layer_name()}, is {expected}, but the "
            "samples of a data set are rows: begin the network with "
            f"Flatten(input_shape={expected})"
        )
    if (dataset.n_features,) != expected:
        shape = f" for samples of shape {first.input_shape()}" if isinstance(first, Flatten) else ""
        raise ValueError(
            f"X has {dataset.n_features} features: expected {expected[0]}{shape}, the input shape "
            f"of the first layer, {first.layer_name()}"
        )


@contextmanager
def naming_argument(argument: str) -> Iterator[None]:
    """Begin the message of each ValueError and TypeError with the name of the wrong argument."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if type(error) not in (ValueError, TypeError):
            raise
        raise type(error)(f"{argument}: {error}") from error


def warn_of_lost_digits(dataset: Dataset, first: Layer, backend: Backend) -> None:
    """Warn if the network's type has too few digits for a column of features.

    Too few means that the spacing of numbers in the type is more than a thousandth of the column's
    deviation, estimated as a quarter of its range. Features of types that the network's type holds
    exactly are not checked. If features are stored in a file, only some rows are checked.
    """
    features, dtype = dataset.features, np.dtype(backend.dtype)
    if not has_more_digits(features.dtype, dtype.itemsize):
        return
    sample = features.sample()
    if (
        sample is not features and not np.isfinite(sample.X).all()
    ):  # refused where all rows are read
        return
    low, high = sample.limits()
    # Larger numbers than the type can hold are refused elsewhere.
    most = np.maximum(abs(low), abs(high)).clip(max=np.finfo(dtype).max / 2)
    spacing = np.spacing(most.astype(dtype)).astype(float)
    columns = np.flatnonzero((low < high) & (spacing > 1e-3 * (high / 4 - low / 4)))
    if not columns.size:
        return
    column = int(columns[0])
    name = f"column {column}"
    if dataset.feature_names:
        name += f" ({dataset.feature_names[column]!r})"
    advice = "begin the network with Normalization.adapt(X), or give dtype='float64'"
    if backend.wide_dtype == backend.dtype:
        advice = f"standardise them first, because {backend.device_name} has no float64"
    elif first.takes_wide:  # not used, because the network's forward pass is overridden
        advice = "standardise them first, or give dtype='float64'"
    warn(
        f"X has {len(columns)} column(s) for which {dtype} has too few digits. The first is "
        f"{name}: it goes from {low[column]:.10g} to {high[column]:.10g}, where numbers of {dtype} "
        f"are {spacing[column]:.3g} apart. To keep the digits, {advice}"
    )


def warn_of_lost_targets(
    dataset: Dataset, loss: LossFunction, dtype: str, unit: Unit | None
) -> None:
    """Warn if the type of the predictions has too few digits to tell the targets apart."""
    if dataset.y is None:
        return
    if not isinstance(loss, Heads):
        _warn_of_lost_digits(dataset.y, loss, dtype if unit is None else "float64")
        return
    units = units_of_heads(unit, loss)
    for name, head in loss.parts.items():
        y = head.known_targets(to_host(dataset.y))
        _warn_of_lost_digits(y, head.loss, "float64" if name in units else dtype, name)


def _warn_of_lost_digits(y: Array, loss: LossFunction, dtype: str, head: str | None = None) -> None:
    """Warn if the targets of a network, or of one of its heads, lose digits."""
    counted = ("classes", "probabilities", "binary", "distributions")
    if loss.targets in counted or (lost := precision_problem(y, dtype)) is None:
        return
    advice = "subtract a fixed number from them first"
    if dtype == "float32":
        advice = "give dtype='float64'"
        if loss.targets == "values":
            unit = "(y.mean(), y.std())"
            unit = unit if head is None else f"{{{head!r}: {unit}}}"
            advice = f"give target_unit={unit}, or {advice[5:]}"
    warn(f"{'' if head is None else f'the head {head!r}: '}{lost}: {advice}")


def check_weights(dataset: Dataset, loss: LossFunction, metrics: Sequence[OneMetric]) -> None:
    """Refuse sample weights if the loss or a metric has no argument for them."""
    functions: list[tuple[str, Any]] = []
    if dataset.sample_weight is not None:
        functions += [(type(loss).__name__, loss.loss), (type(loss).__name__, loss.derivative)]
    elif not loss.makes_weights:
        return
    functions += [(name_of(each), each) for each in metrics if not isinstance(each, Metric)]
    for each in metrics:
        weighs = dataset.sample_weight is not None
        if weighs and isinstance(each, Metric) and not each.takes_weights:
            raise ValueError(f"samples have weights, which the metric {each.name!r} cannot take")
    for name, function in functions:
        try:
            signature(function).bind(None, None, None)
        except TypeError:
            raise ValueError(
                f"samples have weights (in the data, or from {type(loss).__name__}), but {name} "
                "has no third argument for them: add sample_weight=None"
            ) from None


def check_size(dataset: Dataset, least: int) -> None:
    """Refuse a data set that is too small to train on."""
    n = len(dataset)
    if n < least:
        raise ValueError(f"the data set has {n} samples: expected at least {least} to train on")


def check_fit(layers: Sequence[Layer], loss: LossFunction, metrics: Sequence[OneMetric]) -> None:
    """Refuse a loss that does not fit the last layer, or a metric that does not fit the loss."""
    last = layers[-1]
    for name, own in losses_of(loss).items():
        got = last.output_kind
        if own.accepts is None or got is None or got in own.accepts:
            continue
        advice = own.advice
        if name is not None and got == "real":
            advice = _REAL.get(next(iter(own.accepts)), "")
        elif name is not None:
            advice = "End with DenseLayer, and give all heads losses that take its outputs."
        raise ValueError(
            f"{'' if name is None else f'the head {name!r}: '}{type(own).__name__} does not fit an "
            f"output of {last.layer_name()}: got {_KINDS[got]}, expected "
            + " or ".join(_KINDS[kind] for kind in own.accepts)
            + (f". {advice}" if advice else "")
        )
    loss.check_outputs(last.output_shape()[0])
    for metric in metrics:
        if isinstance(metric, Metric):
            _check_metric(metric, loss, last)


def losses_of(loss: LossFunction) -> dict[str | None, LossFunction]:
    """Return the loss of each head by name; a loss without heads has the name None."""
    if not isinstance(loss, Heads):
        return {None: loss}
    return {name: head.loss for name, head in loss.parts.items()}


def _check_metric(metric: Metric, loss: LossFunction, last: Layer) -> None:
    """Refuse a metric that does not fit the loss, or the number or the kind of outputs."""
    n_outputs = last.output_shape()[0]
    if isinstance(metric, HeadMetric):
        first, behind = metric.outputs
        loss, n_outputs = metric.loss or loss, behind - first
        if isinstance(metric.metric, LossFunction):  # the loss of the head
            return
        metric = metric.metric
    loss.compared_column(metric)
    apart = loss.targets in ("probabilities", "binary") and n_outputs > 1
    if metric.one_class_per_sample and apart:
        raise ValueError(
            f"metric {metric.name!r} expects one class for each sample, but {type(loss).__name__} "
            f"treats the {n_outputs} outputs as separate yes-or-no answers: use "
            "metric='binary_accuracy', 'log_loss', 'roc_auc' or 'average_precision'"
        )
    metric.check_outputs(n_outputs)
    needs = isinstance(metric, ProbabilityMetric) or getattr(metric, "needs_probabilities", False)
    if not needs or getattr(metric, "output_kind", None) is not None:
        return
    if last.output_kind != ("probability" if n_outputs == 1 else "distribution"):
        end = "SigmoidActivation" if n_outputs == 1 else "SoftmaxActivation"
        raise ValueError(
            f"metric {metric.name!r} needs probabilities, but {type(loss).__name__} does not say "
            f"what the outputs of {last.layer_name()} are: end the network with {end}, use a loss "
            "such as BinaryCrossEntropy or SoftmaxCrossEntropy, or give the metric's argument, "
            "e.g. LogLoss(output_kind='logits')"
        )


def check_classes(y: np.ndarray, metrics: Sequence[OneMetric]) -> None:
    """Refuse classification metrics for targets that are values."""
    for metric in metrics:
        takes_classes = isinstance(metric, Metric) and (
            metric.one_class_per_sample or metric.of_classes
        )
        if takes_classes and not np.all((y >= 0) & (y <= 1)):
            raise ValueError(
                f"metric {name_of(metric)!r} is for classes, but y goes from {y.min()} to "
                f"{y.max()}: use 'r2', 'rmse' or 'mae' for values"
            )


def _check_takes_classes(metrics: Sequence[OneMetric], loss: LossFunction, n_outputs: int) -> None:
    """Refuse regression metrics for class labels if there is an output for each class."""
    for metric in metrics:
        values = getattr(metric, "targets", None) in ("values", "counts", "positive")
        if n_outputs > 1 and (
            isinstance(metric, _OF_NUMBERS) or (isinstance(metric, LossFunction) and values)
        ):
            raise ValueError(
                f"metric {name_of(metric)!r} compares each output with a number, but y has class "
                f"labels, and {type(loss).__name__} takes an output for each of {n_outputs} "
                "classes: use 'accuracy', 'f1', 'log_loss' or 'roc_auc', or give y as rows of 0 "
                "and 1"
            )


_OF_NUMBERS = (MSE, MaxError, R2, ExplainedVariance)
"""Regression metrics: all others are derived from these."""


def prepare_targets(
    y: Array,
    loss: LossFunction,
    n_outputs: int,
    metrics: Sequence[OneMetric] = (),
    unit: Unit | None = None,
    *,
    is_batch: bool = False,
) -> Array:
    """Return the targets in the form that the loss takes.

    Parameters
    ----------
    y : array of shape (n, ...)
    loss : LossFunction
    n_outputs : int
    metrics : sequence of Metric or function, default ()
        Classification metrics are refused for targets that are values.
    unit : tuple of 2 floats, optional
        With it, the targets are standardised, as the network's outputs are.
    is_batch : bool, default False
        Whether ``y`` is one of many batches, in which a head may lack all targets.

    Returns
    -------
    array of shape (n,) or (n, n_outputs)
        On the host, unless the targets are returned unchanged.

    Raises
    ------
    ValueError
        Shape or values of ``y`` do not fit the loss, the metric or the number of outputs.
    """
    if isinstance(loss, Heads):
        return _targets_of_heads(to_host(y), loss, metrics, unit, is_batch)
    host, given, n_outputs = to_host(y), n_outputs, loss.n_targets(n_outputs)
    n, name = host.shape[0], type(loss).__name__
    check_columns(unit, n_outputs)
    check_losses_as_metrics(metrics, unit)
    column = host.ndim == 1 or host.shape[1:] == (1,)
    if loss.targets is None:  # a user's loss; (n,) would broadcast with (n, 1) to (n, n)
        return host.reshape(n, 1) if host.ndim == 1 and n_outputs == 1 else y
    if loss.targets == "classes" and column:
        _check_takes_classes(metrics, loss, n_outputs)
        return class_indices(host.reshape(-1), n_outputs, getattr(loss, "ignore_index", None))
    if loss.repeats_targets and not column:
        raise ValueError(
            f"y has shape {tuple(y.shape)}: {name} expects one column of targets, which all "
            f"{n_outputs} outputs share. For several targets, give each a head, such as "
            f"loss={{'a': ({loss!r}, {given}), ...}}"
        )
    if column and (n_outputs == 1 or loss.repeats_targets):
        host = host.reshape(n, 1)
        if n_outputs > 1:
            host = np.repeat(host, n_outputs, axis=1)
    if host.shape != (n, n_outputs):
        hint = ""
        if column:
            hint = ". For one target, the network needs one output"
            if host.dtype.kind in "iu" and not (np.min(host) < 0 or np.max(host) >= n_outputs):
                hint = ". To make such rows from class indices, write one_hot(y)"
        raise ValueError(
            f"y has shape {tuple(y.shape)}, but the network has {given} outputs: {name} "
            f"expects shape ({n}, {n_outputs}){hint}"
        )
    _check_range(host, loss)
    if loss.targets in ("values", "counts", "positive"):
        check_classes(host, metrics)
    if unit is not None:
        return standardised(host, unit)
    return host.astype(np.float64) if host.dtype.kind in "biu" else host


def _targets_of_heads(
    y: np.ndarray,
    loss: Heads,
    metrics: Sequence[OneMetric],
    unit: Unit | None,
    is_batch: bool,
) -> np.ndarray:
    """Return the targets of all heads, checked, and standardised if there is a unit."""
    y = y[:, None] if y.ndim == 1 else y
    n_targets = loss.n_targets(0)
    if y.shape != (len(y), n_targets):
        raise ValueError(
            f"y has shape {y.shape}: expected ({len(y)}, {n_targets}), the columns of "
            f"{', '.join(loss.heads)}, or a dict with an array for each"
        )
    of_heads = [each for each in metrics if isinstance(each, HeadMetric)]
    functions = [each for each in metrics if not isinstance(each, (Metric, LossFunction))]
    if unit is not None and functions:
        raise ValueError(
            f"the metric {name_of(functions[0])} is a function of all heads, which does not work "
            "with target_unit: give metrics by head"
        )
    for name, head in loss.parts.items():
        with naming_argument(f"the head {name!r}"):
            column = head.known_targets(y)
            if not len(column) and is_batch and loss.ignore_missing:
                continue
            if not len(column):
                raise ValueError("no sample has a target")
            own = [each.metric for each in of_heads if each.outputs == head.outputs]
            own = [each for each in own if isinstance(each, Metric)]
            prepare_targets(column, head.loss, head.n_outputs, own)
    return y.astype(np.float64) if unit is None else standardised(y, unit)


def _check_range(y: np.ndarray, loss: LossFunction) -> None:
    """Refuse targets outside the range of the loss; ``y`` has a column for each output."""
    name, kind = type(loss).__name__, loss.targets
    shares = kind in ("classes", "distributions")
    if (shares or kind == "probabilities") and not np.all((y >= 0) & (y <= 1)):
        raise ValueError(f"y goes from {y.min()} to {y.max()}: {name} expects numbers from 0 to 1")
    if shares and not np.allclose(y.sum(axis=1), 1.0, atol=1e-4):
        rows = "one-hot rows" if kind == "classes" else "distributions"
        raise ValueError(f"y has rows that do not sum to 1: {name} expects {rows}")
    if kind == "binary" and (other := y[(y != 0) & (y != 1)]).size:
        hint = ". To make these of -1 and 1, write (y + 1) / 2" if np.all(abs(y) == 1) else ""
        raise ValueError(f"y has the number {other[0]}: {name} expects 0 (no) and 1 (yes){hint}")
    if kind == "counts" and np.any(y < 0):
        raise ValueError(f"y has the number {y.min()}: {name} expects counts, 0 or more")
    if kind == "positive" and not np.all(y > 0):
        raise ValueError(f"y has the number {y.min()}: {name} expects numbers above 0")


_REAL = {
    "probability": "Give the head BinaryCrossEntropy(from_logits=True), which takes real numbers.",
    "distribution": "Give the head SoftmaxCrossEntropy, which takes real numbers.",
    "log-distribution": "Give the head SoftmaxCrossEntropy, which takes real numbers.",
}
"""For each kind of outputs that a head's loss takes, which loss to use after a dense layer."""

_KINDS = {
    "real": "real numbers",
    "probability": "probabilities",
    "distribution": "a distribution over classes",
    "log-distribution": "log-probabilities",
}
