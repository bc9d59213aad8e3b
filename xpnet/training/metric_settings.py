"""Find the metrics of a network by name, fit them to its loss, and check that names differ."""

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from ..backends import UnknownNameError
from ..backends._errors import shown
from ..backends._warnings import warn
from ..common.checks import find
from ..losses import Heads, LossFunction
from ..losses.head_metrics import Head, HeadMetric
from ..metrics import METRICS, CollectedMetric, Metric
from .scorers import ScikitLearnScorer, scorer_names

MetricFunction = Callable[[Any, Any], Any]
"""A user's metric: a function of targets and outputs, and of sample weights if there are any."""

OneMetric = Metric | MetricFunction
"""A metric that has been checked."""

GivenMetric = str | Metric | type[Metric] | MetricFunction
"""One metric, as a user may give it."""

RESERVED = ("epoch", "loss", "penalty", "learning_rate", "seconds")
"""Names of other columns of the history."""

_FROM_LOSS = {
    "threshold": "decision_threshold", "output_kind": "output_kind", "targets": "targets",
}  # fmt: skip
"""For each attribute of a metric that may be None, the attribute of the loss that replaces None."""


def find_metric(given: GivenMetric) -> OneMetric:
    """Return a metric by name or class, or a copy of it; return a function unchanged.

    Raises
    ------
    UnknownNameError
        Neither this library nor scikit-learn, if it is installed, has a metric of that name.
    TypeError
        ``given`` is something else.
    """
    if callable(given) and not isinstance(given, (type, Metric)):
        return given
    try:
        return copy.copy(find("metric", given, Metric, METRICS))
    except UnknownNameError as error:
        if given in scorer_names():
            return ScikitLearnScorer(str(given))
        if find_spec("sklearn") is None:
            raise UnknownNameError(
                f"{error}. The names of scikit-learn's scorers need scikit-learn: "
                "pip install scikit-learn"
            ) from None
        raise UnknownNameError(
            f"{error}; and the names in sklearn.metrics.get_scorer_names()"
        ) from None


def make_metric(given: GivenMetric | Mapping[str, Any], loss: LossFunction) -> OneMetric:
    """Return a metric; settings that are None, such as its threshold, come from the loss."""
    if isinstance(given, Mapping):
        own = _of_heads(given, loss)
        if len(own) != 1:
            raise ValueError(f"metric={shown(given)} has {len(own)} metrics: expected one")
        return own[0]
    if isinstance(given, HeadMetric):
        return given
    if isinstance(loss, Heads) and isinstance(given, (str, type, Metric)):
        raise ValueError(
            f"metric={shown(given)} is for one target, but the loss has the heads "
            f"{', '.join(loss.heads)}: expected a dict such as "
            f"{{{next(iter(loss.heads))!r}: {shown(given)}}}"
        )
    metric = find_metric(given)
    for name, of_loss in _FROM_LOSS.items():
        if isinstance(metric, Metric) and getattr(metric, name, ...) is None:
            setattr(metric, name, getattr(loss, of_loss))
    return metric


def make_metrics(
    given: GivenMetric | Sequence[GivenMetric] | Mapping[str, Any] | None, loss: LossFunction
) -> OneMetric | tuple[OneMetric, ...] | None:
    """Return one metric, a tuple of several, or None. A dict has metrics of the loss's heads.

    Raises
    ------
    ValueError
        Two metrics have the same name, or one has the name of another column of the history.
    """
    if isinstance(given, Mapping):
        given = _of_heads(given, loss)
    if isinstance(given, (list, tuple)):
        metrics = tuple(make_metric(each, loss) for each in given)
        _check_columns(metrics, loss)
        return metrics or None
    if given is None:
        return None
    one: Any = given  # not a sequence
    metric = make_metric(one, loss)
    _check_columns((metric,), loss)
    return metric


def _check_columns(metrics: Sequence[OneMetric], loss: LossFunction) -> None:
    """Refuse metrics that would share a column of the history with each other or a head's loss.

    The losses of heads may be among the metrics: ``evaluate`` accepts them by name.
    """
    losses = {name_of(each) for each in metrics if isinstance(alone(each), LossFunction)}
    _check_names([*(each for each in loss.metrics() if name_of(each) not in losses), *metrics])


def _of_heads(given: Mapping[str, Any], loss: LossFunction) -> tuple[HeadMetric, ...]:
    """Return the metrics of single heads, each named by its head, ``_`` and its own name.

    Parameters
    ----------
    given : dict of str to metric, or to a list of these
        By head.
    loss : LossFunction

    Raises
    ------
    TypeError, ValueError
        The loss has no heads, there is no such head, or a metric does not fit its loss.
    """
    if not isinstance(loss, Heads):
        raise TypeError(
            f"metric={shown(given)}: expected one metric, since {type(loss).__name__} has no "
            "heads. A dict is for a network whose loss is a dict"
        )
    found = []
    for name, values in given.items():
        if name not in loss.parts:
            raise ValueError(
                f"metric has the head {shown(name)}: expected one of {', '.join(loss.parts)}"
            )
        head = loss.parts[name]
        for each in values if isinstance(values, (list, tuple)) else [values]:
            metric = make_metric(each, head.loss)
            if not isinstance(metric, Metric):
                raise TypeError(
                    f"metric of the head {name!r} is {shown(each)}: expected a Metric or its name"
                )
            _check_fits(name, metric, head)
            own = f"{name}_{metric.name}"
            place = (head.targets, head.outputs, head.loss, head.ignore_missing)
            found.append(HeadMetric(own, metric, *place, own_name=metric.name))
    return tuple(found)


def by_head(metric: Any, loss: LossFunction) -> Any:
    """Return metrics of heads as the dict that a user would give; others unchanged.

    In a tuple with other metrics, each metric of a head becomes a separate dict.
    """
    if not isinstance(loss, Heads) or not metric or not isinstance(metric, tuple):
        return metric
    if not all(isinstance(each, HeadMetric) for each in metric):
        return tuple(
            by_head((each,), loss) if isinstance(each, HeadMetric) else each for each in metric
        )
    names = {head.outputs: name for name, head in loss.parts.items()}
    found: dict[str, list[Any]] = {}
    for each in metric:
        found.setdefault(names[each.outputs], []).append(each.metric)
    return {name: own[0] if len(own) == 1 else own for name, own in found.items()}


def _check_fits(name: str, metric: Metric, head: Head) -> None:
    """Refuse a metric for exclusive classes if the head has values or several labels."""
    kind, n_outputs = head.loss.targets, head.outputs[1] - head.outputs[0]
    is_several = kind in ("binary", "probabilities") and n_outputs > 1
    values = kind in ("values", "counts", "positive")
    if metric.one_class_per_sample and (is_several or values):
        expected = "'binary_accuracy'" if is_several else "'r2', 'rmse' or 'mae'"
        raise ValueError(
            f"metric {metric.name!r} is for classes that exclude each other, and "
            f"{type(head.loss).__name__} of the head {name!r} is not: use {expected}"
        )


def several(metric: OneMetric | tuple[OneMetric, ...] | None) -> tuple[OneMetric, ...]:
    """Return what :func:`make_metrics` returned as a tuple."""
    if metric is None:
        return ()
    return metric if isinstance(metric, tuple) else (metric,)


def scoring_metric(metric: OneMetric | tuple[OneMetric, ...] | None) -> OneMetric | None:
    """Return the metric by which a network is scored: the first one given, or None."""
    return next(iter(several(metric)), None)


def name_of(metric: OneMetric) -> str:
    """Return the name of a metric in progress lines and in columns of the history."""
    if isinstance(metric, partial):
        return name_of(metric.func)
    return str(getattr(metric, "name", getattr(metric, "__name__", type(metric).__name__)))


def metrics_in(columns: Iterable[str]) -> list[str]:
    """Return the names of the metrics among the columns of a history."""
    return [name for name in columns if name not in RESERVED and not name.startswith("val_")]


def needs_all_samples(metric: OneMetric) -> bool:
    """Whether a metric needs all outputs of an epoch at once, as functions do."""
    return isinstance(alone(metric), CollectedMetric) or not isinstance(metric, Metric)


def alone(metric: OneMetric) -> Any:
    """Return the metric or the loss that a metric of one head computes; others unchanged."""
    return metric.metric if isinstance(metric, HeadMetric) else metric


def _check_names(metrics: Sequence[OneMetric]) -> None:
    """Refuse a name that two metrics share, or that another column of the history has."""
    names = [name_of(each) for each in metrics]
    for metric, name in zip(metrics, names, strict=True):
        if name in RESERVED or name.startswith("val_") or not name:
            is_metric = isinstance(metric, Metric)
            advice = "give metric.named('...')" if is_metric else "give the function another name"
            raise ValueError(
                f"metric has the name {shown(name)}, which is reserved for another column of the "
                f"history (val_... and {', '.join(RESERVED)}): {advice}"
            )
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(
                f"metric has {count} metrics named {shown(name)}, which would share a column "
                "of the history: rename the others, e.g. F1('macro').named('f1_macro')"
            )


def metric_for(metric: OneMetric, old: LossFunction, new: LossFunction) -> OneMetric:
    """Return the metric for a network whose loss is replaced.

    If its threshold is that of the old loss (e.g. 0.5 for probabilities), it gets the threshold of
    the new loss (e.g. 0 for logits). The other attributes that come from the loss are replaced
    likewise.
    """
    for name, of_loss in _FROM_LOSS.items():
        before, after = getattr(old, of_loss), getattr(new, of_loss)
        if isinstance(metric, Metric) and before != after and getattr(metric, name, ...) == before:
            metric = copy.copy(metric)
            setattr(metric, name, after)
    return metric


def metrics_for(
    metric: OneMetric | tuple[OneMetric, ...] | None, old: LossFunction, new: LossFunction
) -> OneMetric | tuple[OneMetric, ...] | None:
    """Return one metric or several for a network whose loss is replaced.

    Raises
    ------
    ValueError, TypeError
        The metrics are for heads that the new loss does not have, or for one target while it has
        heads.
    """
    if metric is None or old is new:
        return metric
    if isinstance(old, Heads) or isinstance(new, Heads):
        return _metrics_of_other_heads(metric, old, new)
    if isinstance(metric, tuple):
        return tuple(metric_for(each, old, new) for each in metric)
    return metric_for(metric, old, new)


def _metrics_of_other_heads(
    metric: OneMetric | tuple[OneMetric, ...], old: LossFunction, new: LossFunction
) -> OneMetric | tuple[OneMetric, ...] | None:
    """Return metrics for the places of their heads in another loss."""
    given = by_head(metric, old)
    if isinstance(given, dict) and isinstance(old, Heads) and isinstance(new, Heads):
        shared = old.heads.keys() & new.heads.keys()
        for name in given.keys() & shared:
            each = given[name] if isinstance(given[name], list) else [given[name]]
            losses = old.heads[name][0], new.heads[name][0]
            given[name] = [metric_for(one, *losses) for one in each]
    return make_metrics(given, new)


def warn_of_same_name(
    old: OneMetric | tuple[OneMetric, ...] | None, new: OneMetric | tuple[OneMetric, ...] | None
) -> None:
    """Warn of a new metric whose values would go into the column of a different one."""
    before = {name_of(each): each for each in several(old)}
    for each in several(new):
        name = name_of(each)
        if name in before and not _are_same(before[name], each):
            warn(
                f"the history has values of another metric with the name {name!r}, and new "
                "values are added to the same column: give one of the metrics another name"
            )


def _are_same(a: OneMetric, b: OneMetric) -> bool:
    a, b = alone(a), alone(b)  # the head is in the name, which is the same
    alike = type(a) is type(b) and isinstance(a, Metric)
    return a is b or (alike and getattr(a, "__dict__", None) == getattr(b, "__dict__", None))
