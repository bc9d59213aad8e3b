"""The state of a part of a network: a layer, the loss, the optimizer, ..."""

import math
from typing import Any, cast

import numpy as np

from ..backends import is_array, to_host
from ..backends._errors import shown
from ..common.checks import as_float
from ..common.overrides import is_builtin
from ..data.stored import numpy_type
from ..layers import Layer
from ..losses import LossFunction
from ..model import Model
from ..optimizers import Optimizer
from ..schedules import Schedule
from .forms import ModelFileError
from .kinds import is_of_library


def names_of_state(part: Any) -> tuple[str, ...]:
    """Return the names of the attributes in which a part keeps its parameters and state."""
    if isinstance(part, Layer):
        return (*part.parameter_names, *part.state_names)
    if isinstance(part, Optimizer):
        return part.training_state_names()
    return tuple(getattr(part, "state_names", ()))


def missing_state(part: Any) -> dict[str, Any]:
    """Return the values that files leave out, as they are those of a new part."""
    return {"missed_updates": ()} if isinstance(part, Optimizer) else {}


def is_tensor(value: Any) -> bool:
    """Whether a value is an array of any library."""
    return is_array(value) and not isinstance(value, np.generic)


def misfit(value: Any, expected: Any, name: str, any_float: bool = False) -> str | None:
    """Return why a value cannot replace another, or None if it can.

    Parameters
    ----------
    value : array or other value
        A part's state named ``name``.
    expected : array or other value
        The same state of a new part. If it is not an array, any value is accepted.
    name : str
    any_float : bool, default False
        Whether another floating-point dtype is accepted.
    """
    if not is_tensor(expected):
        return None
    if not is_tensor(value):
        return f"{name!r} is not a tensor: expected one of shape {tuple(expected.shape)}"
    if tuple(value.shape) != tuple(expected.shape):
        return f"{name!r} has shape {tuple(value.shape)}: expected {tuple(expected.shape)}"
    types = numpy_type(value), numpy_type(expected)
    if types[0] == types[1] or (any_float and types[0].kind == types[1].kind == "f"):
        return None
    return f"{name!r} has the type {types[0]}: expected {types[1]}"


def expected_value(part: Any, name: str, value: Any, model: Model) -> Any:
    """Return a new part's attribute, or an array with the shape and dtype that it must have."""
    if isinstance(part, Optimizer) and name in part.state_names and value is not None:
        n = sum(place.stop - place.start for place in model.parameters.places.values())
        return np.broadcast_to(np.zeros((), model.backend.dtype), (n,))
    return getattr(part, name)


_SET_BY_NETWORK = frozenset([
    "backend", "in_network", "needs_input_error", "parameter_names", "passing_names", "rng",
    "state_names", "weight_names", "wide_names", "workspace",
])  # fmt: skip
"""Attributes that a network sets, or that determine which attributes are saved."""


def check_attribute(part: Any, name: str, value: Any) -> None:
    """Refuse an attribute from a file that the part's class does not let users set.

    Parameters
    ----------
    part : object
        A part as its constructor made it, or a network.
    name : str
    value : object

    Raises
    ------
    ModelFileError
        The attribute is a method, a parameter or a state, is set by the network, or belongs to
        Python. Or the part is one of the library's, and its value is of another type.
    """
    place = f"the attribute {shown(name)} of {type(part).__name__}"
    of_class = getattr(type(part), name, None)
    if name in _SET_BY_NETWORK or name.startswith("__") or name in names_of_state(part):
        raise ModelFileError(f"{place} cannot be set by a file")
    if callable(of_class):
        raise ModelFileError(f"{place} is a method, and the file has {shown(value)}")
    if not is_of_library(type(part)):
        return
    if isinstance(of_class, property) or (name.startswith("_") and isinstance(part, Layer)):
        raise ModelFileError(f"{place} cannot be set by a file")
    if hasattr(part, name) and not _is_alike(value, getattr(part, name)):
        raise ModelFileError(
            f"{place} is {shown(value)}: expected a value like {shown(getattr(part, name))}"
        )


def _is_alike(value: Any, current: Any) -> bool:
    """Whether two values have the same type; integers and finite floats count as the same."""
    if type(current) in (int, float):
        return type(value) is not bool and math.isfinite(as_float(value))
    return type(value) is type(current)


def check_numbers(part: Any) -> None:
    """Refuse parameters that are not finite, and other values that training cannot produce.

    Raises
    ------
    ValueError
        The message names the attribute.
    """
    for name in getattr(part, "parameter_names", ()) if isinstance(part, Layer) else ():
        if not np.isfinite(to_host(getattr(part, name))).all():
            raise ValueError(f"{name} has numbers that are not finite")
    if isinstance(part, (Layer, LossFunction, Optimizer, Schedule)):
        part.check_state()


def takes_any_float(part: Any) -> bool:
    """Whether a part may keep its state in another precision than the weights."""
    return isinstance(part, Optimizer) and not is_builtin(type(part))


def generator_state(layer: Layer) -> dict[str, Any] | None:
    """Return the state of a layer's random generator; None for a layer without one."""
    return None if layer.rng is None else cast(dict[str, Any], layer.rng.bit_generator.state)


def set_generator(layer: Layer, state: dict[str, Any] | None) -> None:
    """Set the state of a layer's random generator, which stays the same object."""
    if state is None or layer.rng is None:
        layer.rng = None
    else:
        layer.rng.bit_generator.state = state
