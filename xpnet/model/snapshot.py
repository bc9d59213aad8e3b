"""A copy of what a model has learned, which is restored if an epoch fails."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from ..backends import array_namespace, is_array
from .parameters import Parameters


class Snapshot:
    """A copy of all that training changes: parameters, running statistics, optimizer, schedule.

    Parameters
    ----------
    parameters : Parameters
    holders : iterable of (object, sequence of str)
        Objects, and the attributes of each that are copied.
    kept : iterable of (object, sequence of str)
        The same, for attributes whose values are kept without copying.

    Attributes
    ----------
    flat : array or None
        All parameters.
    states, kept : list of (object, str, value)
        What :meth:`restore` sets.
    """

    def __init__(
        self,
        parameters: Parameters,
        holders: Iterable[tuple[object, Sequence[str]]],
        kept: Iterable[tuple[object, Sequence[str]]] = (),
    ) -> None:
        self._parameters = parameters
        self.flat = parameters.copy() if parameters else None
        self.states = [
            (holder, name, _copy(getattr(holder, name)))
            for holder, names in holders
            for name in names
        ]
        self.kept = [
            (holder, name, getattr(holder, name)) for holder, names in kept for name in names
        ]

    def add(self, holder: object, names: Sequence[str]) -> None:
        """Copy the attributes of one more object."""
        self.states += [(holder, name, _copy(getattr(holder, name))) for name in names]

    def restore(self) -> None:
        """Set everything back to the state of the snapshot."""
        if self.flat is not None:
            self._parameters.scatter(self.flat)
        for holder, name, value in self.kept:
            object.__setattr__(holder, name, value)  # setattr of a model would copy an optimizer
        for holder, name, value in self.states:
            setattr(holder, name, value)


def _copy(value: Any) -> Any:
    if is_array(value):
        return array_namespace(value).asarray(value, copy=True)
    return copy.deepcopy(value)
