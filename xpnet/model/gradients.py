"""The gradients of a network's parameters as one flat array."""

import operator
from collections.abc import Sequence
from typing import Any

from ..backends import Array, Backend, array_namespace, is_array, ops
from ..layers import Layer
from ..layers.composite import all_layers
from ..layers.workspace import Workspace
from .places import Places, joined


class Gradients:
    """The gradients that the layers hold, each as an attribute ``<parameter name>_gradient``.

    In training, the layers have workspaces and write their gradients into views of one flat array.

    Parameters
    ----------
    places : Places
        The places of all parameters.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._backend: Backend | None = None
        self._views: list[Array] = []
        self._flat: Array = None
        self._accumulated: Array = None
        self._pieces = 0

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the views: a copy of a view is not a view of the copy."""
        empty: dict[str, Any] = {"_backend": None, "_views": [], "_flat": None}
        return self.__dict__ | empty | {"_accumulated": None, "_pieces": 0}

    @property
    def are_in_place(self) -> bool:
        """Whether the layers have places to write their gradients into."""
        return bool(self._views)

    def is_place(self, gradient: Array) -> bool:
        """Whether an array is the one into which the layers write."""
        return gradient is self._flat

    def gather(self, trained: Sequence[int]) -> Array:
        """Return the gradients of the last backward pass, shape (n,).

        Parameters
        ----------
        trained : sequence of int
            The parameters that are trained; the gradients of the others are 0.

        Raises
        ------
        ValueError
            A layer has no gradient.
        """
        slots = [self._places.slots[k] for k in trained]
        gradients = [getattr(layer, f"{name}_gradient", None) for layer, name in slots]
        for (layer, name), gradient in zip(slots, gradients, strict=True):
            if gradient is None:
                raise _no_gradient(layer, name)
        if self._views and all(map(operator.is_, gradients, [self._views[k] for k in trained])):
            return self._flat  # every layer has written into its place
        fitting = {
            k: self._places.fitting(k, each, "_gradient")
            for k, each in zip(trained, gradients, strict=True)
        }
        pairs = zip(self._places.slots, self._places.shapes, strict=True)
        return joined(
            [
                fitting[k] if k in fitting else layer.backend.zeros(shape)
                for k, ((layer, _), shape) in enumerate(pairs)
            ]
        )

    def accumulate(self, gradient: Array, weight: Array) -> None:
        """Add the gradients of a micro-batch, times the total weight of its samples."""
        out = self._accumulated if self._views else None
        if self._pieces == 0:
            self._accumulated = ops.scale(gradient, weight, out=out)
        else:
            self._accumulated = ops.rowwise(
                self._accumulated,
                gradient,
                function=lambda total, new: total + weight * new,
                out=out,
            )
        self._pieces += 1

    def use_accumulated(self, total: Array, trained: Sequence[int]) -> None:
        """Set the layers' gradients to the mean of the accumulated ones, as after one pass."""
        accumulated, self._pieces = self._accumulated, 0
        xp = array_namespace(accumulated)
        divisor = xp.where(total > 0, total, 1.0) if is_array(total) else total or 1.0
        out = self._flat if self._views else None
        mean = ops.rowwise(accumulated, function=lambda sum: sum / divisor, out=out)
        views = self._views if mean is self._flat else self._places.split(mean)
        for k in trained:
            layer, name = self._places.slots[k]
            setattr(layer, f"{name}_gradient", views[k])

    def forget_accumulated(self) -> None:
        """Discard accumulated gradients that no update has used."""
        self._accumulated, self._pieces = None, 0

    def attach(
        self, layers: Sequence[Layer], trained: Sequence[int], flat: Array, backend: Backend
    ) -> None:
        """Give each layer a workspace with a place for each gradient of a trained parameter.

        ``flat`` holds the parameters; the gradients get its shape and dtype.
        """
        self._backend = backend
        self._flat = array_namespace(flat).zeros_like(flat)
        self._views = self._places.split(self._flat)
        places: dict[int, dict[str, Array]] = {}
        for k in trained:  # the gradients of frozen parameters stay 0
            layer, name = self._places.slots[k]
            places.setdefault(id(layer), {})[f"{name}_gradient"] = self._views[k]
        for layer in all_layers(layers):
            layer.workspace = Workspace(backend, **places.get(id(layer), {}))

    def renew(self, layers: Sequence[Layer], trained: Sequence[int], flat: Array) -> None:
        """Delete the gradients of frozen layers, and replace the workspaces if there are any."""
        for layer in all_layers(layers):
            if not layer.trainable:
                vars(layer).update({f"{name}_gradient": None for name in layer.parameter_names})
        if self._backend is not None:
            self.attach(layers, trained, flat, self._backend)

    def detach(self, layers: Sequence[Layer]) -> None:
        """Remove the workspaces, since results outside of training must not be overwritten."""
        for layer in all_layers(layers):
            layer.workspace = None
        self._backend, self._views, self._flat = None, [], None


def _no_gradient(layer: Layer, name: str) -> ValueError:
    return ValueError(
        f"{layer.layer_name()} has no {name}_gradient, so there is no gradient yet: call "
        "loss_and_gradient(X, y) first. Each layer's backward_propagation must set it"
    )
