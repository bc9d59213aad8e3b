"""The settings of a network: each is checked whenever it is set, in the constructor or later."""

import copy
from collections.abc import Callable
from inspect import signature
from typing import Any

from ._checks import check_count, check_flag, find
from ._target_unit import check_target_unit
from .backends import PRECISIONS, Backend
from .backends._errors import check_name, shown
from .losses import LOSSES, LossFunction
from .metrics import METRICS, Metric
from .optimizers import OPTIMIZERS, Optimizer
from .regularizers import find_regularizer
from .schedules import Schedule

MetricFunction = Callable[[Any, Any], Any]


def check_setting(network: Any, name: str, value: Any) -> Any:
    """Return the value of an attribute as a network keeps it.

    Parameters
    ----------
    network : NeuralNetwork
        Some settings depend on others: a target unit is for losses of values, say.
    name : str
    value
        Anything, where ``name`` is no setting.

    Raises
    ------
    ValueError, TypeError
        The value is not what the network's constructor would take.
    """
    check = _CHECKS.get(name)
    return value if check is None else check(network, value)


def make_optimizer(
    given: str | Optimizer | type[Optimizer],
    learning_rate: float | Schedule | None = None,
    momentum: float | None = None,
) -> Optimizer:
    """Return a copy of an optimizer, or a new one from its class and two common arguments."""
    both = {"learning_rate": learning_rate, "momentum": momentum}
    arguments: dict[str, Any] = {name: value for name, value in both.items() if value is not None}
    if isinstance(given, Optimizer):
        if arguments:
            raise ValueError(
                f"{' and '.join(arguments)} given beside an optimizer that has its own: give them "
                f"to {type(given).__name__}(...)"
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


def find_metric(
    given: str | Metric | type[Metric] | MetricFunction | None,
) -> Metric | MetricFunction | None:
    """Return a copy of the metric that is named or given; functions and None as they are."""
    if given is None or (callable(given) and not isinstance(given, (type, Metric))):
        return given
    return copy.copy(find("metric", given, Metric, METRICS))


def make_metric(
    given: str | Metric | type[Metric] | MetricFunction | None, loss: LossFunction
) -> Metric | MetricFunction | None:
    """Return the metric, with the threshold that the loss means where it has none."""
    metric = find_metric(given)
    if getattr(metric, "threshold", ...) is None:
        metric.threshold = loss.decision_threshold  # type: ignore[union-attr]
    return metric


def metric_for(
    metric: Metric | MetricFunction | None, old: LossFunction, new: LossFunction
) -> Metric | MetricFunction | None:
    """Return the metric for a network that gets another loss.

    A threshold that is the old loss's becomes the new one's: 0.5 for probabilities is 0 for logits.
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
            f"precision={precision!r} is for dtype='float32', not {network.backend.dtype!r}"
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


def _refuse(name: str, instead: str) -> Callable[[Any, Any], Any]:
    def check(network: Any, given: Any) -> Any:
        raise AttributeError(f"a network has no attribute {name!r} to set: write {instead}")

    return check


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
    "learning_rate": _refuse(
        "learning_rate", "net.optimizer.schedule = ConstantLearningRate(...), or another schedule"
    ),
    "momentum": _refuse("momentum", "net.optimizer = SGD(momentum=...)"),
    "device": _refuse("device", "net.to(xpnet.resolve('cuda'))"),
    "dtype": _refuse("dtype", "NeuralNetwork(dtype=...)"),
}
"""For each setting, what returns it checked, or refuses it."""
