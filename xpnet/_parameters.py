"""All parameters of a network as one flat array, of which the layers hold views.

So an optimizer's step is one update of one array, whatever the number of layers, and clipping by
norm sees the whole gradient.
"""

import math
from collections.abc import Sequence
from inspect import signature
from typing import Any

from .backends import Array, array_namespace
from .layers import Layer
from .optimizers import Optimizer


class Parameters:
    """The parameters of some layers, in the order of the layers.

    Parameters
    ----------
    layers : sequence of Layer
        Initialised ones.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._slots = [(layer, name) for layer in layers for name in layer.parameter_names]
        self._views: list[Array] = []
        self._flat: Array = None

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the views: a copy of a view is no view of the copy."""
        return {**self.__dict__, "_views": [], "_flat": None}

    def __bool__(self) -> bool:
        """Whether there is anything to train."""
        return bool(self._slots)

    def gather(self) -> Array:
        """Return all parameters, shape (n,); one that somebody has replaced counts as replaced."""
        current = [getattr(layer, name) for layer, name in self._slots]
        replaced = len(current) != len(self._views) or any(
            now is not view for now, view in zip(current, self._views, strict=False)
        )
        if replaced:
            self.scatter(_flat(current))
        return self._flat

    def copy(self) -> Array:
        """Return all parameters as they are now; later updates do not change it."""
        flat = self.gather()
        return array_namespace(flat).asarray(flat, copy=True)

    def gradient(self) -> Array:
        """Return the gradients of the last backward pass, in the order of :meth:`gather`."""
        return _flat([getattr(layer, f"{name}_gradient") for layer, name in self._slots])

    def update(self, optimizer: Optimizer) -> None:
        """Let an optimizer change the parameters, in place where it can."""
        flat = self.gather()
        if "out" in signature(optimizer.update).parameters:
            self.scatter(optimizer.update(flat, self.gradient(), out=flat))
        else:
            self.scatter(optimizer.update(flat, self.gradient()))

    def scatter(self, flat: Array) -> None:
        """Give the layers views of ``flat``, shape (n,)."""
        if flat is self._flat:
            return  # changed in place: the views show it
        xp = array_namespace(flat)
        start, views = 0, []
        for layer, name in self._slots:
            shape = getattr(layer, name).shape
            stop = start + math.prod(shape)
            views.append(xp.reshape(flat[start:stop], shape))
            setattr(layer, name, views[-1])
            start = stop
        self._flat, self._views = flat, views


def _flat(arrays: Sequence[Array]) -> Array:
    xp = array_namespace(*arrays)
    return xp.concat([xp.reshape(array, (-1,)) for array in arrays])
