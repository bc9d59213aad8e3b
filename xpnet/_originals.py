"""Whether an object still has the methods that this package defines for it.

Compiled and captured steps do what the methods of this package do, without calling them, and some
formulas compute two methods in one. Neither may be used for an object whose methods somebody has
replaced: in a subclass, in the object itself, or in the package's own class.

The contents of each class are remembered when the package is imported, and what an object has is
compared with them by identity. Names of files, modules and functions do not count: they can be
alike by chance, and decorators copy them.

Functions that are not methods, such as those of ``xpnet.backends.ops``, are not compared.
"""

import operator
from collections.abc import Iterable
from functools import cache
from typing import Any

_DEFINED: dict[type, dict[str, Any]] = {}
"""For each class remembered, its attributes as they were."""

_DECLARED = frozenset(
    ["accepts", "parameter_names", "passing_names", "state_names", "targets", "weight_names"]
)
"""Class attributes that are data, and that an object is not expected to have of its own."""


def remember(*kinds: type) -> None:
    """Remember the attributes of classes, and of all their bases, as they are now."""
    for kind in kinds:
        for each in kind.__mro__:
            _DEFINED.setdefault(each, dict(vars(each)))


def is_defined_here(kind: type) -> bool:
    """Whether a class is one of those remembered, and none of a user's that looks like it."""
    return kind in _DEFINED


@cache
def _original(base: type, name: str) -> Any:
    """Return what a class had under a name when it was remembered, its own or inherited."""
    return next(_DEFINED[each][name] for each in base.__mro__ if name in _DEFINED[each])


def has_methods_of(base: type, thing: object, *names: str) -> bool:
    """Whether an object has methods as ``base`` was defined with; quick enough for every step."""
    kind, own = type(thing), vars(thing)
    return all(getattr(kind, name) is _original(base, name) and name not in own for name in names)


def replaced(thing: object, names: Iterable[str] | None = None) -> str | None:
    """Return the name of an attribute that is not as this package defines it, or None.

    Parameters
    ----------
    thing : object
    names : iterable of str, optional
        Which attributes to compare; by default all that the object's class has.
    """
    classes = type(thing).__mro__
    own = getattr(thing, "__dict__", {})
    if names is None and all(_is_untouched(each) for each in classes):
        # The usual case: only what the object has in the place of a method can differ.
        kind = type(thing)
        names = [each for each in own if each in _DECLARED or _is_method(getattr(kind, each, 0))]
    if names is None:
        names = {name for each in classes for name in (*vars(each), *_DEFINED.get(each, ()))}
    for name in sorted(names):
        for each in classes:
            now, then = (held.get(name, _NOTHING) for held in (vars(each), _DEFINED.get(each, {})))
            if now is not then and not (_is_pythons(name, now) and _is_pythons(name, then)):
                return name
            if now is not _NOTHING:
                break
        if name in own and (_is_method(now) or name in _DECLARED):
            return name
    return None


def _is_untouched(kind: type) -> bool:
    """Whether a class has all that it was remembered with, and nothing else; quick."""
    if (then := _DEFINED.get(kind)) is None:
        return False
    now = vars(kind).copy()
    if "__slotnames__" not in then:
        now.pop("__slotnames__", None)  # which Python adds when it copies an object
    return (
        len(now) == len(then)
        and all(map(operator.is_, now, then))
        and all(map(operator.is_, now.values(), then.values()))
    )


def _is_pythons(name: str, value: Any) -> bool:
    """Whether Python itself adds or changes an attribute of a class, e.g. when it copies objects.

    Those are ``__slotnames__``, ``__annotations__`` and the like, but no special methods.
    """
    special = name == "_abc_impl" or (name.startswith("__") and name.endswith("__"))
    return special and (name.startswith("__annot") or not _is_method(value))


def _is_method(value: Any) -> bool:
    return callable(value) or hasattr(value, "__get__")


_NOTHING = object()
