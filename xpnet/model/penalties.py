"""Penalties on a network's parameters, and their derivatives."""

from collections.abc import Iterator, Sequence
from itertools import chain

from ..backends import Array, array_namespace, is_array
from ..layers import Layer
from ..layers.composite import all_layers
from ..regularizers import Regularizer


class Penalties:
    """The penalties on a network's parameters, each as (layer, name, regularizer).

    Parameters
    ----------
    regularizer : Regularizer, optional
        The network's regularizer, for the weights of layers without one.
    """

    def __init__(self, regularizer: Regularizer | None = None) -> None:
        self.regularizer = regularizer
        self._terms: list[tuple[Layer, str, Regularizer]] = []

    def append(self, layer: Layer) -> None:
        """Add the penalties on one more layer's parameters, unless they are frozen."""
        self._terms += [each for each in self._of(layer) if each[0].trainable]

    def _of(self, layer: Layer) -> Iterator[tuple[Layer, str, Regularizer]]:
        """Yield the penalties on a layer's parameters, including frozen parameters."""
        for each in all_layers([layer]):
            own = each.regularizers()
            for name in each.parameter_names:
                of_network = self.regularizer if name in each.weight_names else None
                if (term := own.get(name, of_network)) is not None:
                    yield each, name, term

    def any_possible(self, layers: Sequence[Layer]) -> bool:
        """Whether a parameter has a penalty, or would have one if it were not frozen."""
        return any(True for layer in layers for _ in self._of(layer))

    def renewed(self, layers: Sequence[Layer], regularizer: Regularizer | None) -> "Penalties":
        """Return the current penalties on these layers: this object, if none has changed."""
        now = Penalties(regularizer)
        for layer in layers:
            now.append(layer)
        return now if [*map(id, chain(*now))] != [*map(id, chain(*self))] else self

    def __iter__(self) -> Iterator[tuple[Layer, str, Regularizer]]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    @property
    def shared(self) -> bool:
        """Whether any penalty is ``per_sample``, i.e. shared by the samples of a batch."""
        return any(regularizer.per_sample for _, _, regularizer in self)

    def total(self, shared: bool = False) -> Array:
        """Return the sum of the ``per_sample`` penalties if ``shared``, otherwise of the others."""
        costs = [
            regularizer.penalty(getattr(layer, name))
            for layer, name, regularizer in self
            if regularizer.per_sample == shared
        ]
        return sum(costs[1:], start=costs[0]) if costs else 0.0

    def add_to_gradients(self, share: Array | float, in_place: bool) -> None:
        """Add the derivatives of all penalties, those with ``per_sample`` times ``share``."""
        for layer, name, regularizer in self:
            gradient = getattr(layer, f"{name}_gradient")
            part = share if regularizer.per_sample else 1.0
            out = gradient if in_place else None
            added = regularizer.add_to(gradient, getattr(layer, name), part, out=out)
            setattr(layer, f"{name}_gradient", added)


def total_unless_empty(total: Array | float, weight: Array | float) -> Array | float:
    """Return the sum of ``per_sample`` penalties, or 0 if the total weight of the batch is 0."""
    if not is_array(weight):
        return total if weight else 0.0
    return array_namespace(weight).where(weight > 0, total, 0.0)


def inverse(weight: Array | float) -> Array | float:
    """Return 1 / weight, or 0 if the weight is 0."""
    if not is_array(weight):
        return 1.0 / weight if weight else 0.0
    xp = array_namespace(weight)
    return xp.where(weight > 0, 1.0 / xp.where(weight > 0, weight, 1.0), 0.0)
