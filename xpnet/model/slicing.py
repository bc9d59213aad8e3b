"""A network as a sequence of layers: single layers, new networks of some of them, copies."""

import copy
from collections.abc import Iterator
from typing import Any, Self, SupportsIndex, overload

from ..layers import Layer
from ..layers.composite import all_layers
from .layered import Layered
from .parameters import Parameters


class Sliceable(Layered):
    """Base of models: ``model[1]``, ``model[:3]`` and ``model.copy()``."""

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def __bool__(self) -> bool:
        """Return True, also for a model without layers."""
        return True

    def __iter__(self) -> Iterator[Layer]:
        """Iterate over the layers."""
        return iter(self.layers)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Layer: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Layer | Self:
        """Return a layer, or a new model of some of them.

        Parameters
        ----------
        index : int or slice
            ``model[1]`` is the layer itself. ``model[:3]`` is a model with the same settings, a
            new optimizer, and copies of the first three layers with their parameters.

        Raises
        ------
        IndexError
            There is no such layer.
        ValueError
            The layers of the slice do not fit each other.
        """
        return self._part(index) if isinstance(index, slice) else self.layers[index]

    def _part(self, index: slice) -> Self:
        part = copy.deepcopy(self)
        layers = part.layers[index]
        part.layers, part.parameters = [], Parameters([], part.regularizer)
        for layer in layers:
            for each in all_layers([layer]):
                each.in_network = False
            part.add(layer)
        part.optimizer = part._new_optimizer
        return part

    def copy(self) -> Self:
        """Return a copy that shares nothing with the model, the same as ``copy.deepcopy(model)``.

        The copy has the parameters, the optimizer's state and, for a network, the history.
        """
        return copy.deepcopy(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy's attributes, and mark its layers as being in a network."""
        super().__setstate__(state)
        for layer in all_layers(self.layers):
            layer.in_network = True
        self.parameters.refresh()
