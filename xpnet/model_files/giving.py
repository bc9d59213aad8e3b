"""Gives a network what a file has: the state of a new network, or of one that is resumed."""

from typing import Any

import numpy as np

from ..backends import move
from ..data.stored import numpy_type
from ..layers import Layer
from ..optimizers import Optimizer
from .describing import KINDS, ModelFileError, Tensors, build, decode
from .parts import expected_value, is_tensor, misfit, names_of_state, takes_any_float

TRAINING = "training"
"""The part of a checkpoint that a model file does not have, and the prefix of its tensors."""


class Giver:
    """Builds parts of a network from a file, and gives parts their state.

    Parameters
    ----------
    tensors : Tensors
        Those of the file.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def _decoded(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: decode(value, self._tensors) for name, value in values.items()}

    def _part(self, content: Any) -> Any:
        """Return a part as its constructor makes it, or the None or function in its place."""
        if isinstance(content, dict) and "kind" in content:
            return build(content, self._tensors)
        return decode(content, self._tensors)

    def _give_part(self, part: Any, content: Any, prefix: str, network: Any) -> None:
        """Restore a part, and an optimizer's schedule; do nothing to None or a function."""
        if not isinstance(content, dict) or "kind" not in content or not isinstance(part, KINDS):
            return
        self._give(part, content, prefix, network)
        if isinstance(part, Optimizer):
            self._give(part.schedule, content["schedule"], f"{prefix}.schedule", network)

    def _give(self, part: Any, content: dict[str, Any], prefix: str, network: Any) -> None:
        """Set a part's attributes and its state, after checking each."""
        for name, value in self._decoded(content["attributes"]).items():
            setattr(part, name, value)
        backend, state, names = self._tensors.backend, dict(content["state"]), names_of_state(part)
        without_float64 = backend.wide_dtype != "float64"
        for name in names:
            full = f"{prefix}.{name}"
            if name in state:
                value = decode(state.pop(name), self._tensors)
            else:
                value = self._tensors.take(full)
            wide = name in getattr(part, "wide_names", ())
            any_float = without_float64 or takes_any_float(part)
            # A device without float64 had the network's type for these.
            any_float |= wide and is_tensor(value) and numpy_type(value) == backend.dtype
            reason = misfit(value, expected_value(part, name, value, network), full, any_float)
            if reason is not None:
                raise ModelFileError(f"the tensor {reason}")
            if is_tensor(value):
                narrow = without_float64 and value.dtype == np.float64
                dtype = backend.wide_dtype if wide else backend.dtype if narrow else None
                value = move(value, backend, dtype)
            setattr(part, name, value)
        if state:
            raise ModelFileError(f"{prefix} has a state {sorted(state)} that its class does not")
        if isinstance(part, (Layer, Optimizer)):
            part.check_state()
