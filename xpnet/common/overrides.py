"""Detection of methods of this package that a user has overridden.

Compiled and captured steps do the work of the package's methods without calling them, and some
formulas do the work of two methods at once. Neither is correct for an object with an overridden
method, whether it is in a subclass, on the object, or patched into the package's own class.

The attributes of each class are recorded when the package is imported. An object's attributes are
compared with the recorded attributes by identity. Names of files, modules and functions prove
nothing: they can agree by chance, and decorators copy them.

Functions that are not methods, such as those of ``xpnet.backends.ops``, are not compared.
"""

import operator
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

_DEFINED: dict[type, dict[str, Any]] = {}
"""The attributes of each recorded class, as the package defines them."""

_DECLARED = frozenset(
    ["accepts", "parameter_names", "passing_names", "state_names", "targets", "weight_names"]
)
"""Class attributes that are data; an object that has its own has overridden them."""


def register_builtin(*kinds: type) -> None:
    """Record the current attributes of classes and of all their bases."""
    for kind in kinds:
        for each in kind.__mro__:
            _DEFINED.setdefault(each, dict(vars(each)))


def is_builtin(kind: type) -> bool:
    """Whether a class is one of this package, and not a user's class of the same name."""
    return kind in _DEFINED


@cache
def _original(base: type, name: str) -> Any:
    """Return the recorded attribute of a class, defined or inherited."""
    return next(_DEFINED[each][name] for each in base.__mro__ if name in _DEFINED[each])


def has_methods_of(base: type, thing: object, *names: str) -> bool:
    """Whether an object has the methods that ``base`` defines; fast enough for every step."""
    kind, own = type(thing), vars(thing)
    return all(getattr(kind, name) is _original(base, name) and name not in own for name in names)


def first_override(thing: object, names: Iterable[str] | None = None) -> str | None:
    """Return the name of the first attribute that differs from the package's, or None.

    Parameters
    ----------
    thing : object
    names : iterable of str, optional
        The attributes to compare; by default all attributes of the object's class.
    """
    classes = type(thing).__mro__
    own = getattr(thing, "__dict__", {})
    if names is None and all(_is_untouched(each) for each in classes):
        # The usual case: only attributes of the object itself can override a method.
        kind = type(thing)
        names = [each for each in own if each in _DECLARED or _is_method(getattr(kind, each, 0))]
    if names is None:
        names = {name for each in classes for name in (*vars(each), *_DEFINED.get(each, ()))}
    for name in sorted(names):
        for each in classes:
            now, then = (held.get(name, _NOTHING) for held in (vars(each), _DEFINED.get(each, {})))
            if now is not then and not (_set_by_python(name, now) and _set_by_python(name, then)):
                return name
            if now is not _NOTHING:
                break
        if name in own and (_is_method(now) or name in _DECLARED):
            return name
    return None


def first_override_of(base: type, thing: object, allowed: Collection[str]) -> str | None:
    """Return the name of the first attribute that differs from that of a recorded base class.

    Parameters
    ----------
    base : type
        A class of the package, and a base of the class of ``thing``.
    thing : object
    allowed : collection of str
        Attributes that may differ. Attributes that the base does not have are not compared.
    """
    kind, own = type(thing), getattr(thing, "__dict__", {})
    for name in _attributes(base):
        if name in allowed:
            continue
        original = _original(base, name)
        if _defined(kind, name) is not original or (name in own and _is_method(original)):
            return name
    return None


def _defined(kind: type, name: str) -> Any:
    """Return a class attribute as it is defined: a function, a property, or a plain value."""
    for each in kind.__mro__:  # some 20 times as fast as inspect.getattr_static
        if name in each.__dict__:
            return each.__dict__[name]
    return _NOTHING


@cache
def _attributes(base: type) -> list[str]:
    """Return the names of the attributes of a recorded class that a subclass may override."""
    names = {name for each in base.__mro__ for name in _DEFINED[each]}
    special = {"__getattribute__", "__getattr__", "__setattr__"}
    return sorted(name for name in names if not name.startswith(("__", "_abc_")) or name in special)


def _is_untouched(kind: type) -> bool:
    """Whether a class has exactly its recorded attributes; a fast test for the usual case."""
    if (then := _DEFINED.get(kind)) is None:
        return False
    now = vars(kind).copy()
    if "__slotnames__" not in then:
        now.pop("__slotnames__", None)  # Python adds it when it copies an object
    return (
        len(now) == len(then)
        and all(map(operator.is_, now, then))
        and all(map(operator.is_, now.values(), then.values()))
    )


def _set_by_python(name: str, value: Any) -> bool:
    """Whether Python itself may set an attribute of a class, e.g. when it copies an object.

    Examples are ``__slotnames__`` and ``__annotations__``, but no special methods.
    """
    special = name == "_abc_impl" or (name.startswith("__") and name.endswith("__"))
    return special and (name.startswith("__annot") or not _is_method(value))


def _is_method(value: Any) -> bool:
    return callable(value) or hasattr(value, "__get__")


_NOTHING = object()
