"""The state of a part of a network: a layer, the loss, the optimizer, ..."""

from typing import Any, cast

import numpy as np

from ..backends import is_array
from ..common.overrides import is_defined_here
from ..data.stored import numpy_type
from ..layers import Layer
from ..model import Model
from ..optimizers import Optimizer


def names_of_state(part: Any) -> tuple[str, ...]:
    """Return the names of the attributes in which a part keeps its parameters and state."""
    if isinstance(part, Layer):
        return (*part.parameter_names, *part.state_names)
    if isinstance(part, Optimizer):
        return part.changing_names()
    return tuple(getattr(part, "state_names", ()))


def is_tensor(value: Any) -> bool:
    """Whether a value is an array of any library."""
    return is_array(value) and not isinstance(value, np.generic)


def misfit(value: Any, expected: Any, name: str, any_float: bool = False) -> str | None:
    """Return why a value cannot take the place of another, or None if it can.

    Parameters
    ----------
    value : array or other value
        The state of a part under the name ``name``.
    expected : array or other value
        The state of a new part under that name. If it is not an array, any value is accepted.
    name : str
    any_float : bool, default False
        Whether a floating-point type of another precision is accepted.
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
    """Return a new part's attribute, or an array of the shape and type that it must have."""
    if isinstance(part, Optimizer) and name in part.state_names and value is not None:
        n = sum(place.stop - place.start for place in model.parameters.places.values())
        return np.broadcast_to(np.zeros((), model.backend.dtype), (n,))
    return getattr(part, name)


def takes_any_float(part: Any) -> bool:
    """Whether a part may keep its state in another precision than the weights have."""
    return isinstance(part, Optimizer) and not is_defined_here(type(part))


def generator_state(layer: Layer) -> dict[str, Any] | None:
    """Return the state of a layer's random generator; None for a layer without one."""
    return None if layer.rng is None else cast(dict[str, Any], layer.rng.bit_generator.state)


def set_generator(layer: Layer, state: dict[str, Any] | None) -> None:
    """Set the state of a layer's random generator, which stays the same object."""
    if state is None or layer.rng is None:
        layer.rng = None
    else:
        layer.rng.bit_generator.state = state
