"""The settings of a network: each is checked whenever it is set, in the constructor or later."""

import copy
from collections.abc import Callable
from inspect import signature
from typing import Any

from ..backends import PRECISIONS, Backend
from ..backends._errors import check_name, shown
from ..backends._warnings import warn
from ..common.checks import check_count, check_flag, find
from ..common.overrides import is_defined_here
from ..losses import LOSSES, LossFunction
from ..metrics import METRICS, Metric
from ..optimizers import OPTIMIZERS, Optimizer
from ..regularizers import find_regularizer
from ..schedules import Schedule
from .target_unit import check_target_unit

MetricFunction = Callable[[Any, Any], Any]


def check_setting(network: Any, name: str, value: Any) -> Any:
    """Return the value of a setting in the form that a network keeps, e.g. an instance for a name.

    Parameters
    ----------
    network : NeuralNetwork
        Its other settings are used too: for example, a target unit has to fit the loss.
    name : str
    value
        Returned unchanged if ``name`` is not a setting.

    Raises
    ------
    ValueError, TypeError
        The network's constructor would not accept the value.
    AttributeError
        The constructor takes an argument of this name, but the network does not keep it.
    """
    if name in _NOT_KEPT and is_defined_here(type(network)):
        raise AttributeError(
            f"a network does not keep {name!r}, so setting it has no effect: write "
            f"{_NOT_KEPT[name]}"
        )
    check = _CHECKS.get(name)
    return value if check is None else check(network, value)


def make_optimizer(
    given: str | Optimizer | type[Optimizer],
    learning_rate: float | Schedule | None = None,
    momentum: float | None = None,
) -> Optimizer:
    """Return a copy of an optimizer, or a new one from its class or name and the arguments."""
    both = {"learning_rate": learning_rate, "momentum": momentum}
    arguments: dict[str, Any] = {name: value for name, value in both.items() if value is not None}
    if isinstance(given, Optimizer):
        if arguments:
            raise ValueError(
                f"{' and '.join(arguments)} given together with an instance of an optimizer: "
                f"give {type(given).__name__}(...) the arguments instead"
            )
        return copy.deepcopy(given)

    def make(cls: type[Optimizer]) -> Optimizer:
        unknown = [name for name in arguments if name not in signature(cls).parameters]
        if unknown:
            raise ValueError(
                f"{cls.__name__} takes no {' and no '.join(unknown)}: expected "
                f"{', '.join(signature(cls).parameters)}"
            )
        return cls(**arguments)

    return find("optimizer", given, Optimizer, OPTIMIZERS, make=make)


def check_unused(optimizer: Optimizer) -> None:
    """Refuse an optimizer that remembers gradients of another network."""
    if optimizer.n_updates:
        raise ValueError(
            f"this optimizer has already made {optimizer.n_updates} updates of another network's "
            f"parameters: give a new one, {optimizer!r}"
        )


def find_metric(
    given: str | Metric | type[Metric] | MetricFunction | None,
) -> Metric | MetricFunction | None:
    """Return a metric by name or class, or a copy of it; return functions and None unchanged."""
    if given is None or (callable(given) and not isinstance(given, (type, Metric))):
        return given
    return copy.copy(find("metric", given, Metric, METRICS))


def make_metric(
    given: str | Metric | type[Metric] | MetricFunction | None, loss: LossFunction
) -> Metric | MetricFunction | None:
    """Return a metric; if it has no threshold, it gets the decision threshold of the loss."""
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


def _check_batch_size(network: Any, given: Any) -> int | str:
    if isinstance(given, str) and given == "auto":
        return "auto"
    return check_count("batch_size", given)


def _check_precision(network: Any, given: Any) -> str:
    precision = check_name("precision", given, PRECISIONS)
    if precision != "float32" and network.backend.dtype != "float32":
        raise ValueError(
            f"precision={precision!r} needs dtype='float32', but the network has "
            f"{network.backend.dtype!r}"
        )
    return precision


def _check_capture(network: Any, given: Any) -> bool | str:
    if not (isinstance(given, bool) or (isinstance(given, str) and given == "auto")):
        raise ValueError(f"capture={shown(given)}: expected True, False or 'auto'")
    return given


def _check_backend(network: Any, given: Any) -> Backend:
    if not isinstance(given, Backend):
        raise TypeError(
            f"backend={shown(given)}: expected a Backend. To move a network, write "
            "net.to(xpnet.resolve('cuda'))"
        )
    return given


def _check_loss(network: Any, given: Any) -> LossFunction:
    loss = find("loss", given, LossFunction, LOSSES)
    check_target_unit(vars(network).get("target_unit"), loss)
    return loss


def _flag(name: str) -> Callable[[Any, Any], bool]:
    return lambda network, given: check_flag(name, given)


def _count_or_none(name: str, least: int) -> Callable[[Any, Any], int | None]:
    return lambda network, given: None if given is None else check_count(name, given, least)


_CHECKS: dict[str, Callable[[Any, Any], Any]] = {
    "epochs": lambda network, given: check_count("epochs", given),
    "batch_size": _check_batch_size,
    "memory_limit": _count_or_none("memory_limit", least=1),
    "backend": _check_backend,
    "precision": _check_precision,
    "capture": _check_capture,
    "optimizer": lambda network, given: make_optimizer(given),
    "loss": _check_loss,
    "metric": lambda network, given: make_metric(given, network.loss),
    "target_unit": lambda network, given: check_target_unit(given, network.loss),
    "verbose": _flag("verbose"),
    "progress": _flag("progress"),
    "shuffle": _flag("shuffle"),
    "seed": _count_or_none("seed", least=0),
    "regularizer": lambda network, given: find_regularizer(given),
}
"""For each setting, the function that returns its checked value or raises an error."""

_NOT_KEPT = {
    "learning_rate": "net.optimizer.schedule = ConstantLearningRate(0.1), or another schedule",
    "momentum": "net.optimizer = SGD(momentum=0.5), or an optimizer of another kind",
    "device": "net.to(xpnet.resolve('cuda'))",
    "dtype": "net.to(net.backend.with_dtype('float64'))",
}
"""Constructor arguments that are not attributes, and what to write to change their effect.

A user's subclass may have attributes of these names.
"""
