"""Comparison of objects with their reconstructions, to check that saving loses nothing."""

import copy
import functools
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from ..backends import Backend, is_array, to_host
from ..layers import Layer
from .describing import UnsavedFunction

_SET_BY_NETWORK = (
    "backend", "rng", "workspace", "in_network", "needs_input_error", "_is_adapted",
    "_adapted_to", "_ready",
)  # fmt: skip
"""Attributes of layers that a network sets, or reads only when they are added."""


def attributes(thing: Any) -> dict[str, Any]:
    """Return the state of an object by attribute name, as Python's ``copy`` would copy it.

    A layer's attributes that its network or a training pass sets are omitted.
    """
    state = thing.__getstate__()
    if isinstance(state, tuple) and len(state) == 2:  # the class has __slots__
        state = {**(state[0] or {}), **(state[1] or {})}
    if not isinstance(state, dict):
        return {} if state is None else {"__getstate__": state}
    state = dict(state)
    if isinstance(thing, Layer):
        gradients = (f"{name}_gradient" for name in thing.parameter_names)
        for name in (*_SET_BY_NETWORK, *thing.passing_names, *gradients):
            state.pop(name, None)
    return state


class Comparison:
    """Compares objects with their reconstructions.

    Use one instance for all parts of a network, to check also that a layer that occurs in two
    places was reconstructed as one layer.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._layers: dict[int, tuple[Layer, Any]] = {}

    def difference(self, a: Any, b: Any, path: str) -> str | None:
        """Return the path to the first difference between two objects, or None.

        Parameters
        ----------
        a : object
            The original.
        b : object
            Its reconstruction.
        path : str
            The path of the two objects; the returned path begins with it.
        """
        if isinstance(a, Layer):
            seen = self._layers.setdefault(id(a), (a, b))
            if seen[1] is not b:
                return f"{path} (a layer that occurs more than once)"
        if a is b or (id(a), id(b)) in self._seen:
            return None
        if isinstance(b, UnsavedFunction) and callable(a):
            return None if getattr(a, "__qualname__", repr(a)) == b.name else path
        if type(a) is not type(b):
            return path
        n_seen = len(self._seen)
        self._seen[id(a), id(b)] = a, b  # keeps them alive, so that their ids stay unique
        found = self._difference_of_one_type(a, b, path)
        while found is not None and len(self._seen) > n_seen:
            self._seen.popitem()  # they differ, or are equal only if these two are
        return found

    def accept(self, a: Any, b: Any) -> None:
        """Treat two objects as equal from now on, since they were compared in another way."""
        self._seen[id(a), id(b)] = a, b

    def _difference_of_one_type(self, a: Any, b: Any, path: str) -> str | None:
        if isinstance(a, (np.generic, np.ndarray)) or is_array(a):
            return self._arrays(to_host(a), to_host(b), path)
        if isinstance(a, float):
            return None if a == b or (a != a and b != b) else path
        if isinstance(a, (list, tuple)):
            return self._mappings(dict(enumerate(a)), dict(enumerate(b)), path + "[{}]")
        if isinstance(a, dict):
            return self._mappings(a, b, path + "[{!r}]")
        if isinstance(a, np.random.Generator):
            return self.difference(a.bit_generator.state, b.bit_generator.state, path)
        if isinstance(a, FunctionType):
            parts = ("__code__", "__defaults__", "__kwdefaults__", "__dict__")
            first, second = ([*(getattr(f, part) for part in parts), *_closure(f)] for f in (a, b))
            return self.difference(first, second, path) and path
        if isinstance(a, MethodType):
            first, second = ([method.__func__, method.__self__] for method in (a, b))
            return self.difference(first, second, path) and path
        if isinstance(a, functools.partial):
            first, second = ([each.func, each.args, each.keywords] for each in (a, b))
            return self.difference(first, second, path) and path
        if isinstance(a, (Backend, type)) or not hasattr(a, "__dict__"):
            return None if _equal(a, b) else path
        try:
            mine, theirs = attributes(a), attributes(b)
        except Exception:  # the object cannot be copied
            return path
        return self._mappings(mine, theirs, path + ".{}")

    def _mappings(self, a: Mapping[Any, Any], b: Mapping[Any, Any], path: str) -> str | None:
        for name in {**a, **b}:
            if name not in a or name not in b:
                return path.format(name)
            if (found := self.difference(a[name], b[name], path.format(name))) is not None:
                return found
        return None

    def _arrays(self, a: np.ndarray, b: np.ndarray, path: str) -> str | None:
        if a.dtype != b.dtype or a.shape != b.shape:
            return path
        if a.dtype.hasobject:
            return self.difference(a.tolist(), b.tolist(), path)
        return None if np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") else path


def _closure(function: FunctionType) -> list[Any]:
    return [cell.cell_contents for cell in function.__closure__ or ()]


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:  # a user's class may raise anything
        return False


def passes_are_equal(layer: Layer, again: Layer) -> bool:
    """Whether two layers return bitwise the same results in forward and backward passes.

    If so, attributes that only one of the layers has need not be saved: a pass sets them, and the
    next pass sets them again. The passes run on copies of the layers.
    """
    x = np.random.default_rng(0).standard_normal((3, *layer.input_shape()))
    results = []
    for each in (layer, again):
        try:
            copied = copy.deepcopy(each)
            with copied.backend.active():
                results.append(_passes(copied, copied.backend.asarray(x, copied.backend.dtype)))
        except Exception:  # the layer takes other inputs, or needs a missing attribute
            return False
    return Comparison().difference(results[0], results[1], "") is None


def _passes(layer: Layer, x: Any) -> list[Any]:
    """Return a layer's outputs in prediction and in training, its gradients and its state."""
    predicted = layer.forward_propagation(x, training=False)
    output = layer.forward_propagation(x, training=True)
    results = [predicted, output, layer.backward_propagation(output)]
    results += [getattr(layer, f"{name}_gradient", None) for name in layer.parameter_names]
    return results + [getattr(layer, name) for name in layer.state_names]
