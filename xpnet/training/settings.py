"""The settings of training: each is checked whenever it is set, in the constructor or later."""

import os
from collections.abc import Mapping
from typing import Any

from ..backends import PRECISIONS, unknown_name
from ..backends._errors import check_name
from ..common.checks import check_count, check_distinct, check_strings
from ..layers import Layer
from ..losses import LossFunction
from ..model.settings import CHECKS as MODEL
from ..model.settings import Check, count, flag
from .metric_settings import make_metrics
from .target_unit import check_target_unit, unit_for

STEPS = ("auto", "formulas", "compiled", "captured")
"""The values of the setting ``steps``."""

VARIABLE = "XPNET_STEPS"


def asked_steps(given: str | None) -> str:
    """Return the setting ``steps``; for None, the value of the environment variable XPNET_STEPS.

    Raises
    ------
    UnknownNameError
        The variable is not a kind of steps.
    """
    if given is not None:
        return given
    wanted = os.environ.get(VARIABLE, "").strip() or "auto"
    if wanted not in STEPS:
        raise unknown_name(f"value of the environment variable {VARIABLE}:", wanted, STEPS)
    return wanted


def _check_epochs(model: Any, given: Any) -> int:
    several = given if isinstance(given, (list, tuple)) else [given]
    if any(isinstance(each, Layer) for each in several):
        raise TypeError(
            f"{type(model).__name__} takes settings, not layers: add them one by one, as in "
            "NeuralNetwork().add(DenseLayer(10, input_shape=(4,)))"
        )
    return check_count("epochs", given)


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
    held = vars(model)
    unit_for(held.get("target_unit"), held.get("loss", loss), loss)
    return loss


def _names(what: str, given: Any) -> list[str]:
    names = check_strings(what, given)
    check_distinct(f"{what} has", names)
    return names


def _check_class_names(model: Any, given: Any) -> list[str] | dict[str, list[str]] | None:
    if not isinstance(given, Mapping):
        return None if given is None else _names("class_names", given)
    return {name: _names(f"class_names[{name!r}]", each) for name, each in given.items()}


CHECKS: dict[str, Check] = {
    **MODEL,
    "loss": _check_loss,  # with the target unit
    "epochs": _check_epochs,
    "batch_size": _check_batch_size,
    "memory_limit": count("memory_limit", or_none=True),
    "accumulate": count("accumulate"),
    "precision": _check_precision,
    "steps": _check_steps,
    "metric": lambda model, given: make_metrics(given, model.loss),
    "feature_names": lambda model, given: None if given is None else _names("feature_names", given),
    "class_names": _check_class_names,
    "target_unit": lambda model, given: check_target_unit(given, model.loss),
    "verbose": flag("verbose"),
    "progress": flag("progress"),
    "shuffle": flag("shuffle"),
}
"""For each setting, the function that returns its checked value or raises an error."""
