"""Operations that have a definition, and fast versions for some types of arrays."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Operation(Generic[P, R]):
    """A function that is another one for some types of its first argument.

    As :func:`functools.singledispatch`, at a third of its cost, which a step of a small network
    pays a dozen times. Used as a decorator of the definition.

    Attributes
    ----------
    registry : dict of type to function
        The fast versions, and the definition under ``object``.
    """

    def __init__(self, definition: Callable[P, R]) -> None:
        self.registry: dict[type, Callable[P, R]] = {object: definition}
        self._found: dict[type, Callable[P, R]] = {}
        update_wrapper(self, definition)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            version = self._found[type(args[0])]
        except KeyError:
            version = self.dispatch(type(args[0]))
        return version(*args, **kwargs)

    def dispatch(self, kind: type) -> Callable[P, R]:
        """Return the version for a type, or for the nearest of its bases."""
        version = next(self.registry[base] for base in kind.__mro__ if base in self.registry)
        self._found[kind] = version
        return version

    def register(self, *kinds: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a decorator that makes a function the version for types."""

        def add(version: Callable[..., Any]) -> Callable[..., Any]:
            self.registry |= dict.fromkeys(kinds, version)
            self._found.clear()
            return version

        return add
