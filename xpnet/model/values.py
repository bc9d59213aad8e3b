"""The values of a network's parameters: one flat array, of which the layers hold views."""

import operator
from typing import Any

from ..backends import Array, array_namespace, backend_of, ops
from .places import Places, joined


class Values:
    """The values that the layers hold, as attributes with the names of the parameters.

    Parameters
    ----------
    places : Places
        The places of all parameters.

    Attributes
    ----------
    flat : array of shape (n,) or None
        The array whose views the layers held at the last :meth:`gather`; None before.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._views: list[Array] = []
        self.flat: Array = None

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the views: a copy of a view is not a view of the copy."""
        return self.__dict__ | {"_views": [], "flat": None}

    def gather(self) -> Array:
        """Return all values, shape (n,), including arrays that a user has set on a layer."""
        if (current := self._replaced()) is not None:
            self.scatter(joined([self._places.fitting(k, each) for k, each in enumerate(current)]))
        return self.flat

    def _replaced(self) -> list[Array] | None:
        """Return the layers' arrays, or None if they are still the views of the flat array."""
        views, current = self._views, [getattr(layer, name) for layer, name in self._places.slots]
        kept = len(current) == len(views) and all(map(operator.is_, current, views))
        return None if kept else current

    def check(self, types: bool = False) -> None:
        """Refuse values that a user has set and that cannot be parameters of these layers.

        Nothing is changed, since other threads may use the layers. With ``types``, arrays of
        another library or dtype, which :meth:`gather` would convert, are refused too.

        Raises
        ------
        TypeError, ValueError
            The message names the layer, the parameter and what is expected.
        """
        for k, value in enumerate(self._replaced() or ()):
            self._places.check(k, value)
            if types:
                self._places.check_type(k, value)

    def scatter(self, flat: Array) -> None:
        """Give the layers views of ``flat``, shape (n,)."""
        if flat is self.flat:
            return  # changed in place: the views show it
        self.flat, self._views = flat, self._places.split(flat)
        for (layer, name), view in zip(self._places.slots, self._views, strict=True):
            setattr(layer, name, view)

    def copy(self) -> Array:
        """Return all values as they are now; later updates do not change it."""
        flat = self.gather()
        return array_namespace(flat).asarray(flat, copy=True)

    def all_finite(self) -> bool:
        """Whether no value is NaN or infinite; waits for the device."""
        if not self._places:
            return True
        flat = self.gather()
        return bool(backend_of(flat).scalar(ops.all_finite(flat)))
