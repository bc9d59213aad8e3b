"""The settings of training: each is checked whenever it is set, in the constructor or later."""

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..backends import PRECISIONS, unknown_name
from ..backends._errors import check_name, shown
from ..backends._warnings import warn
from ..common.checks import check_count, find
from ..losses import HeadMetric, Heads, LossFunction, metrics_of_heads
from ..metrics import METRICS, Metric
from ..model.settings import CHECKS as MODEL
from ..model.settings import Check, count, flag
from .target_unit import check_target_unit

MetricFunction = Callable[[Any, Any], Any]


STEPS = ("auto", "formulas", "compiled", "captured")
"""The values of the setting ``steps``."""

VARIABLE = "XPNET_STEPS"


def asked_steps(given: str | None) -> str:
    """Return the setting ``steps``, or for None that of the environment variable XPNET_STEPS.

    Raises
    ------
    UnknownNameError
        The variable has another value.
    """
    if given is not None:
        return given
    wanted = os.environ.get(VARIABLE, "").strip() or "auto"
    if wanted not in STEPS:
        raise unknown_name(f"value of the environment variable {VARIABLE}:", wanted, STEPS)
    return wanted


def find_metric(
    given: str | Metric | type[Metric] | MetricFunction | None,
) -> Metric | MetricFunction | None:
    """Return a metric by name or class, or a copy of it; return functions and None unchanged."""
    if given is None or (callable(given) and not isinstance(given, (type, Metric))):
        return given
    return copy.copy(find("metric", given, Metric, METRICS))


def make_metric(given: Any, loss: LossFunction) -> Any:
    """Return a metric; if it has no threshold, it gets the decision threshold of the loss.

    Metrics of several heads are a tuple.
    """
    if isinstance(given, Mapping):
        if not isinstance(loss, Heads):
            raise TypeError(
                f"metric={shown(given)}: expected one metric, since {type(loss).__name__} has no "
                "heads. A dict is for a network whose loss is a dict"
            )
        return metrics_of_heads(given, loss.parts)
    if isinstance(given, tuple) and all(isinstance(each, HeadMetric) for each in given):
        return given
    if given is not None and isinstance(loss, Heads) and isinstance(given, (str, type, Metric)):
        raise ValueError(
            f"metric={shown(given)} is for one target, but there are the heads "
            f"{', '.join(loss.heads)}: expected a dict such as "
            f"{{{next(iter(loss.heads))!r}: {shown(given)}}}"
        )
    metric = find_metric(given)
    if getattr(metric, "threshold", ...) is None:
        metric.threshold = loss.decision_threshold  # type: ignore[union-attr]
    return metric


def name_of(metric: Metric | MetricFunction | None) -> str:
    """Return the name of a metric in progress lines and in columns of the history."""
    return str(getattr(metric, "name", getattr(metric, "__name__", "metric")))


def warn_of_same_name(
    old: Metric | MetricFunction | None, new: Metric | MetricFunction | None
) -> None:
    """Warn of another metric that the history cannot tell from the old one."""
    if old is None or new is None:
        return
    is_same = old is new or (type(old) is type(new) and isinstance(old, Metric))
    if is_same and getattr(old, "__dict__", None) == getattr(new, "__dict__", None):
        return
    if name_of(old) == name_of(new):
        warn(
            f"the history has values of another metric with the name {name_of(new)!r}, and the "
            "next ones are added to the same column: give one of the metrics another name"
        )


def metric_for(
    metric: Metric | MetricFunction | None, old: LossFunction, new: LossFunction
) -> Metric | MetricFunction | None:
    """Return the metric for a network whose loss is replaced.

    If its threshold is that of the old loss (e.g. 0.5 for probabilities), it gets that of the new
    one (e.g. 0 for logits).
    """
    changes = old.decision_threshold != new.decision_threshold
    if changes and getattr(metric, "threshold", None) == old.decision_threshold:
        metric = copy.copy(metric)
        metric.threshold = new.decision_threshold  # type: ignore[union-attr]
    return metric


def _check_batch_size(model: Any, given: Any) -> int | str:
    if isinstance(given, str) and given == "auto":
        return "auto"
    return check_count("batch_size", given)


def _check_precision(model: Any, given: Any) -> str:
    precision = check_name("precision", given, PRECISIONS)
    if precision != "float32" and model.backend.dtype != "float32":
        raise ValueError(
            f"precision={precision!r} needs dtype='float32', but the network has "
            f"{model.backend.dtype!r}"
        )
    return precision


def _check_steps(model: Any, given: Any) -> str | None:
    if given is None:
        asked_steps(None)
        return None
    return check_name("steps", given, STEPS)


def _check_loss(model: Any, given: Any) -> LossFunction:
    loss: LossFunction = MODEL["loss"](model, given)
    check_target_unit(vars(model).get("target_unit"), loss)
    return loss


CHECKS: dict[str, Check] = {
    **MODEL,
    "loss": _check_loss,  # with the target unit
    "epochs": count("epochs"),
    "batch_size": _check_batch_size,
    "memory_limit": count("memory_limit", or_none=True),
    "precision": _check_precision,
    "steps": _check_steps,
    "metric": lambda model, given: make_metric(given, model.loss),
    "target_unit": lambda model, given: check_target_unit(given, model.loss),
    "verbose": flag("verbose"),
    "progress": flag("progress"),
    "shuffle": flag("shuffle"),
}
"""For each setting, the function that returns its checked value or raises an error."""
