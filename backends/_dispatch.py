"""Operations: functions with a definition for all arrays and fast versions for some types."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Operation(Protocol[P, R]):
    """A function with versions for some types of its first argument.

    Attributes
    ----------
    registry : dict of type to function
        The fast versions by type, and the definition under ``object``.
    """

    registry: dict[type, Callable[..., Any]]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def dispatch(self, kind: type) -> Callable[..., Any]:
        """Return the version for a type, or else for its nearest base."""

    def register(self, *kinds: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a decorator that registers a function as the version for these types."""


class _Versions(dict[type, Callable[..., Any]]):
    """A cache of the version for each type; a missing type is looked up by its bases."""

    def __init__(self, definition: Callable[..., Any]) -> None:
        self.registry: dict[type, Callable[..., Any]] = {object: definition}

    def __missing__(self, kind: type) -> Callable[..., Any]:
        bases = (base for base in kind.__mro__ if base in self.registry)
        self[kind] = self.registry[next(bases)]
        return self[kind]

    def register(self, *kinds: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def add(version: Callable[..., Any]) -> Callable[..., Any]:
            self.registry.update({kind: version for kind in kinds})
            self.clear()
            return version

        return add


def operation(definition: Callable[P, R]) -> Operation[P, R]:
    """Turn a definition into an operation; a decorator.

    It works like :func:`functools.singledispatch`, with a third of the overhead. This matters
    because a training step of a small network calls a dozen operations.
    """
    versions = _Versions(definition)

    def call(*args: Any, **kwargs: Any) -> Any:
        return versions[type(args[0])](*args, **kwargs)

    update_wrapper(call, definition)
    result = cast(Any, call)
    result.registry, result.register = versions.registry, versions.register
    result.dispatch = versions.__getitem__
    return cast(Operation[P, R], result)
