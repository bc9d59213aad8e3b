"""The weights of a data set's samples in a loss: balanced class weights, and checks.

Everything is computed in float64 on the host, from the weights that the user gave. So the same data
are refused with every library, on every device and with every kind of training step.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..backends import Array, to_host
from ..backends._errors import shown
from ..losses import ClassWeightedLoss, Heads, LossFunction
from ..losses.head_metrics import Head, HeadMetric
from .checks import naming_argument

_PIECE = 1 << 18
"""The most numbers that are processed at a time, to save memory with large data."""


def balanced_loss(
    loss: LossFunction,
    y: Array,
    sample_weight: Array | None,
    n_outputs: int,
    recompute: bool = True,
    class_names: Any = None,
) -> LossFunction:
    """Return a copy of a loss with class weights computed from the data, or the loss itself.

    Computed weights are balanced weights and weights by class name.

    Parameters
    ----------
    loss : LossFunction
        It is not changed.
    y : array of shape (n,) or (n, n_outputs)
        The training targets, in the form that the loss takes.
    sample_weight : array of shape (n,) or None
    n_outputs : int
    recompute : bool, default True
        Whether to replace weights that were computed from earlier data.
    class_names : list of str, or dict of str to list of str, optional
        The names of the classes; with several heads, a dict by head.

    Raises
    ------
    ValueError
        The data have no samples of a class, or a name in ``class_weight`` is not that of a class.
    """
    if isinstance(loss, Heads):
        return _balanced_heads(loss, y, sample_weight, recompute, class_names or {})
    if not isinstance(loss, ClassWeightedLoss) or not loss.fits_weights:
        return loss
    if loss.balanced_weight is not None and not recompute:
        return loss
    if loss.names_classes:
        return loss.named(class_names)
    counts = sum(loss.class_counts(*piece) for piece in _pieces(y, sample_weight, n_outputs))
    return loss.balanced(np.asarray(counts).tolist())


def _balanced_heads(
    loss: Heads, y: Array, sample_weight: Array | None, recompute: bool, class_names: Any
) -> Heads:
    """Return a loss with balanced weights for each head, from the samples with a target for it."""
    found: dict[str, Any] = {}
    for name, head in loss.parts.items():
        if not (isinstance(head.loss, ClassWeightedLoss) and head.loss.fits_weights):
            continue
        given, names = _samples_of(head, y, sample_weight), class_names.get(name)
        with naming_argument(f"the head {name!r}"):
            found[name] = balanced_loss(head.loss, *given, head.n_outputs, recompute, names)
    return loss.with_losses(found) if found else loss


def ordered_loss(loss: LossFunction, class_names: Any) -> LossFunction:
    """Return a loss whose class weights by name are in the order of a network's classes.

    The given loss is not changed: it may be used in another network, whose classes have another
    order. ``class_names`` are as for :func:`balanced_loss`.
    """
    if isinstance(loss, Heads):
        found: dict[str, Any] = {}
        for name, (each, *_) in loss.heads.items():
            with naming_argument(f"the head {name!r}"):
                found[name] = ordered_loss(each, (class_names or {}).get(name))
        return loss.with_losses(found)
    if not isinstance(loss, ClassWeightedLoss) or not loss.names_classes:
        return loss
    return loss.named(class_names)


def ordered_metric(metric: Any, loss: LossFunction, class_names: Any) -> Any:
    """Apply :func:`ordered_loss` to a metric that is a loss, or the loss of a head."""
    if isinstance(metric, LossFunction):
        return ordered_loss(metric, class_names)
    if isinstance(metric, HeadMetric) and isinstance(metric.metric, LossFunction):
        for name in heads_of([metric], loss):
            metric = copy.copy(metric)
            with naming_argument(f"the head {name!r}"):
                metric.metric = ordered_loss(metric.metric, (class_names or {}).get(name))
    return metric


def heads_of(metrics: Sequence[Any], loss: LossFunction) -> list[str]:
    """Return the names of the heads that metrics evaluate; a function evaluates all heads."""
    parts = loss.parts if isinstance(loss, Heads) else {}
    judged = [each.targets for each in metrics if isinstance(each, HeadMetric)]
    if len(judged) < len(metrics):
        return [*parts]
    return [name for name, head in parts.items() if head.targets in judged]


def _samples_of(head: Head, y: Array, sample_weight: Array | None) -> tuple[Array, Array | None]:
    """Return the targets and the weights of the samples that have a target for a head."""
    columns = to_host(y)
    known = ~np.isnan(columns[:, slice(*head.targets)]).any(axis=1)
    weight = None if sample_weight is None else to_host(sample_weight)[known]
    return head.targets_of(columns[known]), weight


def refuse_balanced(loss: LossFunction) -> None:
    """Refuse class weights computed from all data if batches are given."""
    losses = [each for each, *_ in loss.heads.values()] if isinstance(loss, Heads) else [loss]
    for each in losses:
        if isinstance(each, ClassWeightedLoss) and each.fits_weights:
            needs = "the class names" if each.names_classes else "all samples"
            raise ValueError(
                f"class_weight={shown(each.class_weight)} is computed from {needs} of the training "
                "data, which are not known in advance if batches are given: give the weight of "
                "each class, e.g. class_weight=[1.0, 3.0]"
            )


def check_total_weight(
    what: str,
    loss: LossFunction,
    y: Array,
    sample_weight: Array | None,
    n_outputs: int,
    dtype: str,
    *,
    for_metric: bool = False,
    may_be_zero: bool = False,
    one_of: Sequence[str] | None = None,
) -> bool:
    """Refuse data in which all weights are 0, or weights that the network's type cannot hold.

    With several heads, each head must have samples that count, or one of the heads in ``one_of``.

    Parameters
    ----------
    what : str
        The name of the data for the message, e.g. "training data".
    loss, y, sample_weight, n_outputs
        As for :func:`balanced_loss`.
    dtype : str
        The network's type.
    for_metric : bool, default False
        Whether to check the weights that metrics use, which leave out class weights.
    may_be_zero : bool, default False
        Whether all weights may be 0, as in one of many batches.
    one_of : sequence of str, optional
        Heads of which at least one must have samples that count; other heads need none.

    Returns
    -------
    bool
        Whether any sample counts.

    Raises
    ------
    ValueError
        All weights are 0, or some are too large or too small for ``dtype``.
    """
    if isinstance(loss, Heads):
        checks, counting = {}, set()
        for name, head in loss.parts.items():
            own = (*_samples_of(head, y, sample_weight), head.n_outputs, dtype)
            checks[name] = partial(check_total_weight, what, head.loss, *own, for_metric=for_metric)
            with naming_argument(f"the head {name!r}"):
                if checks[name](may_be_zero=may_be_zero or bool(one_of)):
                    counting.add(name)
        if one_of and counting.isdisjoint(one_of):
            with naming_argument(f"the head {one_of[0]!r}"):
                checks[one_of[0]]()
    if not y.shape[0]:  # of one of several heads
        if may_be_zero:
            return False
        raise ValueError(f"no sample of the {what} has a target")
    method = loss.metric_weight if for_metric else loss.sample_weight
    if method(*next(_pieces(y[:1, ...], None, n_outputs))) is None and sample_weight is None:
        return True
    with np.errstate(over="ignore"):  # infinity is refused below
        weights = np.concatenate([method(*p) for p in _pieces(y, sample_weight, n_outputs)])
    if not weights.any():
        if may_be_zero:
            return False
        raise ValueError(
            f"no sample of the {what} counts: {_reason(loss, y, sample_weight, for_metric)}"
        )
    limits = np.finfo(dtype)
    # With these limits, sums of weights times squared errors neither overflow nor underflow.
    most = math.sqrt(float(limits.max))
    total, largest = float(np.sum(weights)), float(np.max(weights))
    if not (total <= most and largest >= 1.0 / most):
        raise ValueError(
            f"the weights of the {what} sum to {total:.3g}, and the largest is {largest:.3g}: in "
            f"{dtype} expected a sum of at most {most:.1g} and a largest weight of at least "
            f"{1.0 / most:.1g}. Divide the weights by their mean"
        )
    lost = (weights > 0) & (weights < float(limits.smallest_normal))
    if lost.any():
        raise ValueError(
            f"{int(np.sum(lost))} sample(s) of the {what} have weights above 0 that are too small "
            f"for {dtype}, down to {float(np.min(weights[lost])):.3g}: set those to 0, or give "
            "dtype='float64'"
        )
    return True


def _pieces(y: Array, sample_weight: Array | None, n_outputs: int) -> Iterator[Any]:
    """Yield targets, outputs and weights on the host, a piece at a time.

    The outputs are zeros: the methods of losses only use their shape and type here.
    """
    y = to_host(y)
    weight = None if sample_weight is None else to_host(sample_weight).astype(np.float64)
    rows = max(_PIECE // n_outputs, 1)
    for start in range(0, max(len(y), 1), rows):
        part = y[start : start + rows]
        outputs = np.broadcast_to(np.float64(0.0), (len(part), n_outputs))
        yield part, outputs, None if weight is None else weight[start : start + rows]


def _reason(loss: LossFunction, y: Array, sample_weight: Array | None, for_metric: bool) -> str:
    """Return a sentence that explains why no sample counts."""
    if sample_weight is not None and not to_host(sample_weight).any():  # of one of several heads
        return "all samples that have a target have the sample weight 0"
    ignored = getattr(loss, "ignore_index", None)
    if ignored is not None and np.all(to_host(y) == ignored):
        return f"all have the label {ignored}, which ignore_index={ignored} leaves out"
    class_weight = getattr(loss, "class_weight", None)
    if class_weight is not None and not for_metric:
        return (
            f"each has a weight of 0 in class_weight={class_weight} or in the sample weights. Give "
            "a class in the data, and its samples, a weight above 0"
        )
    return f"{type(loss).__name__} gives each of them the weight 0"
