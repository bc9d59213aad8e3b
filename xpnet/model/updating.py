"""Updates of parts of a network's parameters; parts may differ in learning rate."""

from collections.abc import Callable

from ..backends import Array, array_namespace, is_array
from ..common.overrides import has_methods_of
from ..optimizers import Optimizer

Parts = list[tuple[slice, float, int]]
"""Parts of a flat array of parameters: place, factor of the learning rate, updates missed so far.

A part misses the updates during which it is frozen. See :attr:`Optimizer.missed_updates`.
"""


class PartialUpdate:
    """Updates of parts of the parameters by an optimizer.

    Parameters
    ----------
    optimizer : Optimizer
    parts : Parts
    """

    def __init__(self, optimizer: Optimizer, parts: Parts) -> None:
        self._optimizer, self._parts = optimizer, parts

    def by_rule(self, w: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the parameters after a step; ``out`` may be overwritten with them."""
        return self._optimizer.update_parts(w, gradient, self._parts, out)

    def by_custom_update(self, w: Array, gradient: Array) -> Array:
        """Return the parameters after a step by an optimizer that overrides ``update``.

        It gets all parameters, with a gradient of 0 for those outside the parts. Its changes to
        these, and to their state, are undone. If it counts its updates, the count ignores that a
        part has missed some.
        """
        optimizer = self._optimizer
        before = {name: _copied(getattr(optimizer, name)) for name in optimizer.state_names}
        kept = _copied(w)
        w = self._mixed(optimizer.update(w, gradient), kept)
        for name, state in before.items():
            now = getattr(optimizer, name)
            if is_array(now) and now.shape == w.shape:
                zeros = array_namespace(now).zeros_like
                setattr(optimizer, name, self._mixed(now, zeros(now) if state is None else state))
        return w

    def _mixed(self, new: Array, old: Array) -> Array:
        """Return ``old``, with its parts overwritten by those of ``new``."""
        for part, _, _ in self._parts:
            old[part] = new[part]
        return old


def update_of(optimizer: Optimizer, parts: Parts, size: int) -> Callable[..., Array]:
    """Return the function that updates these parts of a flat array of ``size`` parameters."""
    if parts == [(slice(0, size), 1.0, 0)]:
        return optimizer.update
    partial = PartialUpdate(optimizer, parts)
    return partial.by_custom_update if overrides_update(optimizer) else partial.by_rule


def overrides_update(optimizer: Optimizer) -> bool:
    """Whether an optimizer overrides ``update`` instead of defining a rule."""
    return not has_methods_of(Optimizer, optimizer, "update", "update_parts", "_update")


def refusal_of_factors(optimizer: Optimizer) -> str | None:
    """Return why layers cannot have a learning rate factor, or None if they can."""
    if optimizer.no_factors is not None:
        return optimizer.no_factors
    return "overrides update instead of defining a rule" if overrides_update(optimizer) else None


def _copied(value: Array) -> Array:
    if not is_array(value):
        return value
    return array_namespace(value).asarray(value, copy=True)
