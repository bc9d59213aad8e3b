"""Builds the parts of a network from a file and sets their state, for `load` and for resuming."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import move
from ..common.allocation import array_limit
from ..data.stored import numpy_type
from ..layers import Layer
from ..layers.composite import all_layers
from ..model import Model
from ..optimizers import Optimizer
from ..training.history import History
from .describing import Tensors, build, decode
from .forms import ModelFileError, reporting
from .kinds import KINDS, is_of_library
from .names import NAMES, check_names
from .parts import (
    check_attribute,
    check_numbers,
    expected_value,
    is_tensor,
    misfit,
    missing_state,
    names_of_state,
    set_generator,
    takes_any_float,
)

TRAINING = "training"
"""The field that only checkpoints have, and the prefix of the names of its tensors."""

_SPARE = 1_000_000
"""How many values a layer may allocate beyond the size of its tensors, e.g. for temporary arrays.

With this margin, a small layer with a wrong tensor is refused with the actual and expected shapes.
"""


class PartLoader:
    """Builds the parts that a file describes, and sets their state.

    Parameters
    ----------
    tensors : Tensors
        The tensors of the file.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._sizes: Counter[str] = Counter()
        for name, array in tensors.arrays.items():
            self._sizes[_holder(name)] += array.size

    def _decoded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the decoded values of arguments or attributes."""
        return {name: decode(value, self._tensors) for name, value in values.items()}

    def _part(self, content: Any) -> Any:
        """Return a new part, or the None or function in its place; for a list, a tuple of them."""
        if isinstance(content, list):
            return tuple(map(self._part, content))
        if isinstance(content, dict) and "kind" in content:
            return build(content, self._tensors)
        return decode(content, self._tensors)

    def _add_layer(self, content: dict[str, Any], index: int, model: Model) -> None:
        """Build a layer, add it to a model and set its state.

        The layer may not allocate much larger arrays than its tensors.
        """
        layer: Layer = build(content, self._tensors)
        layer.set_input_shape(tuple(content["input_shape"]))
        # The later random numbers of a user's layer may depend on the first ones.
        draws = not is_of_library(type(layer))
        size = self._sizes[f"layers.{index}"] * (2 if draws else 1)
        what = f"layers.{index}, a {type(layer).__name__}, cannot be added"
        with reporting(what), array_limit(size + _SPARE, draws):
            model.add(layer)
        self._set_state(layer, content, f"layers.{index}", model)
        self._set_generator(layer, content, f"layers.{index}")

    def _set_generator(self, layer: Layer, content: dict[str, Any], prefix: str) -> None:
        """Set the state of a layer's random generator."""
        try:
            set_generator(layer, decode(content["rng"], self._tensors))
        except (ValueError, TypeError) as error:
            raise ModelFileError(f"{prefix}.rng does not fit: {error}") from error

    def _set_part_state(self, part: Any, content: Any, prefix: str, model: Model) -> None:
        """Set the state of one or several parts, and of an optimizer's schedule; skip None."""
        if isinstance(part, tuple):
            for k, (each, its_content) in enumerate(zip(part, content, strict=True)):
                self._set_part_state(each, its_content, f"{prefix}.{k}", model)
            return
        if not isinstance(content, dict) or "kind" not in content or not isinstance(part, KINDS):
            return
        schedule: Any = getattr(part, "schedule", None)
        self._set_state(part, content, prefix, model)
        if isinstance(part, Optimizer):
            part.schedule = schedule  # setting the learning rate has replaced it
            self._set_state(part.schedule, content["schedule"], f"{prefix}.schedule", model)

    def _set_state(self, part: Any, content: dict[str, Any], prefix: str, model: Model) -> None:
        """Set a part's attributes and state, each after a check.

        Parameters
        ----------
        part : object
            A new part, or a layer that has been added to the model.
        content : dict
            With the fields "attributes", "state" and, for a layer made of layers, "inner".
        prefix : str
            The prefix of the names of the part's tensors.
        model : Model

        Raises
        ------
        ModelFileError
            Something is missing, is left over, or cannot be a state of this part.
        """
        inner, contents = getattr(part, "inner_layers", ()), content.get("inner", [])
        if len(inner) != len(contents):
            raise ModelFileError(
                f"{prefix} has the state of {len(contents)} inner layers: expected {len(inner)}"
            )
        for k, (layer, each) in enumerate(zip(inner, contents, strict=True)):
            self._set_state(layer, each, f"{prefix}.{k}", model)
            self._set_generator(layer, each, f"{prefix}.{k}")
        for name, value in self._decoded(content["attributes"]).items():
            check_attribute(part, name, value)
            setattr(part, name, value)
        state = {**missing_state(part), **content["state"]}
        for name in names_of_state(part):
            full = f"{prefix}.{name}"
            if name in state:
                value = decode(state.pop(name), self._tensors)
            else:
                value = self._tensors.take(full)
            setattr(part, name, self._fitting(part, name, value, full, model))
        if state:
            raise ModelFileError(f"{prefix} has the state {sorted(state)}, which its class lacks")
        try:
            check_numbers(part)
        except ValueError as error:
            raise ModelFileError(f"{prefix}, a {type(part).__name__}: {error}") from error

    def _set_history(self, history: History, content: Mapping[str, Any]) -> None:
        """Replace a history's columns and metrics by those of a file."""
        history.clear()
        history.update(decode(content["history"], self._tensors))
        history.metrics = dict(content["history_metrics"])
        history.incomplete = tuple(content.get("history_incomplete", ()))
        history.kept_epoch = content.get("history_kept_epoch")
        history.saved_epoch = content.get("history_saved_epoch")

    def _set_attributes(self, network: Model, attributes: Mapping[str, Any]) -> None:
        """Set a network's attributes: names of features and classes, and a user's attributes."""
        self._tensors.layers = list(all_layers(network.layers))
        given = self._decoded(attributes)
        check_names(given, (math.prod(network.layers[0].input_shape()),))
        for name, value in given.items():
            if name not in NAMES:
                check_attribute(network, name, value)
            setattr(network, name, value)

    def _fitting(self, part: Any, name: str, value: Any, full: str, model: Model) -> Any:
        """Return a value of a part's state on the model's device and in its dtype."""
        backend = self._tensors.backend
        without_float64 = backend.wide_dtype != "float64"
        wide = name in getattr(part, "wide_names", ())
        any_float = without_float64 or takes_any_float(part)
        # A device without float64 keeps wide states in the network's dtype.
        any_float |= wide and is_tensor(value) and numpy_type(value) == backend.dtype
        reason = misfit(value, expected_value(part, name, value, model), full, any_float)
        if reason is not None:
            raise ModelFileError(f"the tensor {reason}")
        if not is_tensor(value):
            return value
        narrow = without_float64 and value.dtype == np.float64
        dtype = backend.wide_dtype if wide else backend.dtype if narrow else None
        return move(value, backend, dtype)


def _holder(name: str) -> str:
    """Return the part that a tensor belongs to, e.g. "layers.3" of "layers.3.weights"."""
    return ".".join(name.split(".", 2)[:2])
