"""The settings of a model: each is checked whenever it is set, in the constructor or later."""

import copy
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any

from ..backends import Backend
from ..backends._errors import shown
from ..common.checks import check_count, check_flag, find
from ..common.overrides import is_builtin
from ..losses import Heads, LossFunction
from ..losses.names import find_loss
from ..optimizers import OPTIMIZERS, Optimizer
from ..regularizers import find_regularizer
from ..schedules import LearningRate

Check = Callable[[Any, Any], Any]
"""A function of the model and the value given, which returns the value to keep."""


def check_setting(model: Any, checks: dict[str, Check], name: str, value: Any) -> Any:
    """Return the value of a setting in the form that a model keeps, e.g. an instance for a name.

    Parameters
    ----------
    model : Model
        Its other settings are used too: for example, a target unit has to fit the loss.
    checks : dict of str to function
        The settings of its class.
    name : str
    value
        Returned unchanged if ``name`` is not a setting.

    Raises
    ------
    ValueError, TypeError
        The model's constructor would not accept the value.
    AttributeError
        The constructor takes an argument of this name, but the model does not keep it. Or the model
        has no such attribute, and a setting has nearly the same name.
    """
    if is_builtin(type(model)):
        _check_name(model, checks, name)
    if name == "layers" and not isinstance(value, list):
        raise TypeError(
            f"layers is {type(value).__name__}: expected a list. Remove the last layers with "
            "layers.pop(), and append others with add(layer)"
        )
    check = checks.get(name)
    return value if check is None else check(model, value)


def _check_name(model: Any, checks: dict[str, Check], name: str) -> None:
    """Refuse a name that would have no effect; a user's subclass may have any attributes."""
    is_known = name in checks or name.startswith("_") or name in vars(model)
    if name not in _NOT_KEPT and (is_known or hasattr(type(model), name)):
        return
    known = [*checks, *_ARGUMENTS, *(each for each in vars(model) if not each.startswith("_"))]
    near = [name] if name in _NOT_KEPT else get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    if not near:
        return
    if near[0] not in _NOT_KEPT:
        raise AttributeError(
            f"a {model._called[0]} has no setting {name!r}: did you mean {near[0]!r}? If not, give "
            "your own attribute a less similar name"
        )
    advice = re.sub(r"\bnet\b", model._called[1], _NOT_KEPT[near[0]])
    meant = "" if near[0] == name else f" ({near[0]}?)"
    raise AttributeError(
        f"a {model._called[0]} does not keep {name!r}{meant}, so setting it has no effect: {advice}"
    )


def make_optimizer(
    given: str | Optimizer | type[Optimizer],
    learning_rate: LearningRate | None = None,
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
        return copy.deepcopy(_initialised(given))

    def make(cls: type[Optimizer]) -> Optimizer:
        unknown = [name for name in arguments if name not in signature(cls).parameters]
        if unknown:
            raise ValueError(
                f"{cls.__name__} takes no {' and no '.join(unknown)}: expected "
                f"{', '.join(signature(cls).parameters)}"
            )
        return _initialised(cls(**arguments))

    return find("optimizer", given, Optimizer, OPTIMIZERS, make=make)


def _initialised(optimizer: Optimizer) -> Optimizer:
    """Return an optimizer; refuse one whose ``__init__`` has not called the base class's."""
    if "schedule" not in vars(optimizer):
        raise TypeError(
            f"{type(optimizer).__name__} has no learning rate: its __init__ must call "
            "super().__init__(learning_rate)"
        )
    return optimizer


def check_unused(optimizer: Optimizer) -> None:
    """Refuse an optimizer that has already updated other parameters."""
    if optimizer.n_updates:
        raise ValueError(
            f"this optimizer has already made {optimizer.n_updates} updates of other parameters: "
            f"give a new one, {optimizer!r}"
        )


def flag(name: str) -> Check:
    """Return a check for True or False."""
    return lambda model, given: check_flag(name, given)


def count(name: str, least: int = 1, or_none: bool = False) -> Check:
    """Return a check for an integer of at least ``least``."""
    return lambda model, given: (
        None if given is None and or_none else check_count(name, given, least)
    )


def _check_backend(model: Any, given: Any) -> Backend:
    if not isinstance(given, Backend):
        raise TypeError(
            f"backend={shown(given)}: expected a Backend. To move a {model._called[0]}, write "
            f"{model._called[1]}.to(xpnet.resolve('cuda'))"
        )
    return given


def _check_loss(model: Any, given: Any) -> LossFunction:
    return Heads(given) if isinstance(given, Mapping) else find_loss(given)


CHECKS: dict[str, Check] = {
    "backend": _check_backend,
    "loss": _check_loss,
    "optimizer": lambda model, given: make_optimizer(given),
    "regularizer": lambda model, given: find_regularizer(given),
    "seed": count("seed", least=0, or_none=True),
}
"""For each setting, the function that returns its checked value or raises an error."""

_ARGUMENTS = {
    "learning_rate": (
        "write net.optimizer.learning_rate = 0.1, or net.optimizer.schedule = a schedule"
    ),
    "momentum": "write net.optimizer = SGD(momentum=0.5), or an optimizer of another kind",
    "device": "write net.to(xpnet.resolve('cuda'))",
    "dtype": "write net.to(net.backend.with_dtype('float64'))",
    "trainable": "set it on the layers, as in: for layer in net: layer.trainable = False",
    "learning_rate_factor": (
        "set it on the layers, as in: for layer in net: layer.learning_rate_factor = 0.1"
    ),
}
"""Constructor arguments and layer settings that are not attributes, and what to write instead."""

_NOT_KEPT = {
    **_ARGUMENTS,
    "lr": "write net.optimizer.learning_rate = 0.1",
    **dict.fromkeys(["scheduler", "lr_scheduler"], "write net.optimizer.schedule = OneCycle(...)"),
    **dict.fromkeys(["loss_fn", "criterion"], "write net.loss = ..."),
    "optim": "write net.optimizer = ...",
    **dict.fromkeys(["callbacks", "validation_split"], "it is an argument of fit"),
    "training": "only fit trains; predict and evaluate do not use dropout",
    "class_weight": "it is an argument of the classification losses: net.loss = ...",
    **dict.fromkeys(["requires_grad", "frozen"], "write layer.trainable = False for each layer"),
}
"""``_ARGUMENTS``, and names from other libraries. A user's subclass may use these names."""
