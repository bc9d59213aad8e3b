"""Where each parameter of a network is in one flat array."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..backends import Array, array_namespace, backend_of, is_array, move
from ..backends._errors import shown
from ..layers import Layer
from ..layers.composite import all_layers


class Places(dict[tuple[Layer, str], slice]):
    """The place of each parameter, by its layer and its name, in the order of the layers.

    Attributes
    ----------
    slots : list of (Layer, str)
        The keys. The methods refer to a parameter by its index in this list.
    shapes : list of tuple of int
    size : int
        The total number of values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slots: list[tuple[Layer, str]] = []
        self.shapes: list[tuple[int, ...]] = []
        self.size = 0

    def append(self, layer: Layer) -> None:
        """Append the parameters of a layer and of the layers inside it."""
        for each in all_layers([layer]):
            for name in each.parameter_names:
                shape = tuple(getattr(each, name).shape)
                start, self.size = self.size, self.size + math.prod(shape)
                self[each, name] = slice(start, self.size)
                self.slots.append((each, name))
                self.shapes.append(shape)

    def split(self, flat: Array) -> list[Array]:
        """Return views of a flat array in the shapes of the parameters."""
        xp = array_namespace(flat)
        pairs = zip(self.values(), self.shapes, strict=True)
        return [xp.reshape(flat[place], shape) for place, shape in pairs]

    def fitting(self, k: int, value: Array, what: str = "") -> Array:
        """Return a value that a user set for a parameter or its gradient, on the layer's backend.

        Parameters
        ----------
        k : int
        value : array
        what : str, default ""
            What follows the parameter's name in messages: ``"_gradient"`` for a gradient.

        Raises
        ------
        TypeError, ValueError
            ``value`` is not an array, or does not have the parameter's shape.
        """
        self.check(k, value, what)
        backend = self.slots[k][0].backend
        return move(value, backend, backend.dtype)

    def check(self, k: int, value: Any, what: str = "") -> None:
        """Refuse a value of a parameter, or its gradient, that :meth:`fitting` would refuse."""
        layer, name = self.slots[k]
        if not (layer.backend.owns(value) or is_array(value)):  # the latter takes longer
            raise TypeError(
                f"{layer.layer_name()}.{name}{what} is {shown(value)}: expected an array of shape "
                f"{self.shapes[k]}"
            )
        if tuple(value.shape) != self.shapes[k]:
            raise ValueError(
                f"{layer.layer_name()}.{name}{what} has shape {tuple(value.shape)}: expected "
                f"{self.shapes[k]}"
            )

    def check_type(self, k: int, value: Array) -> None:
        """Refuse an array that is not of the library and dtype of the layer's backend."""
        layer, name = self.slots[k]
        backend = layer.backend
        if not backend.owns(value) or value.dtype != backend.float_dtype:
            raise TypeError(
                f"{layer.layer_name()}.{name} has the type {backend_of(value).name} {value.dtype}: "
                f"expected {backend.name} {backend.dtype} on {backend.device_name}. Convert it "
                f"with xpnet.backends.move(array, net.backend, {backend.dtype!r}), as fit does"
            )

    def check_names(self, layers: Iterable[Layer]) -> None:
        """Refuse layers whose ``parameter_names`` have changed, which would have no effect.

        Raises
        ------
        ValueError
            The message says how to freeze a layer.
        """
        names: dict[int, list[str]] = {}
        for layer, name in self.slots:
            names.setdefault(id(layer), []).append(name)
        for layer in all_layers(layers):
            then, now = names.get(id(layer), []), list(layer.parameter_names)
            if now != then:
                raise ValueError(
                    f"{layer.layer_name()}.parameter_names was {then} when the layer was added, "
                    f"and is {now} now: to freeze the layer, set its trainable to False"
                )


def joined(arrays: Sequence[Array]) -> Array:
    """Return the values of several arrays as one flat array."""
    xp = array_namespace(*arrays)
    return xp.concat([xp.reshape(array, (-1,)) for array in arrays])


def check_arrays(layer: Layer) -> None:
    """Refuse a layer if it, or a layer inside it, has not made one of its parameters."""
    for each in all_layers([layer]):
        for name in each.parameter_names:
            if not is_array(getattr(each, name, None)):
                raise ValueError(
                    f"{each.layer_name()} has no array {name!r}, which is in its parameter_names: "
                    "make it in initialize()"
                )
