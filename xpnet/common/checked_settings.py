"""Settings that are checked when they are set; a misspelt name, which does nothing, is refused."""

from collections import ChainMap
from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from .keywords import ATTRIBUTES, hint_constructor, of_bases

Check = Callable[[str, Any], Any]
"""A function that takes the name and the value of a setting, and returns the checked value."""


class ChecksSettings:
    """Base of objects that check the name and the value of a setting when it is set.

    The settings are the arguments of the constructor and ``_set_later``. For a user's own class,
    only the latter are known, because its attributes may have any names.
    """

    _set_later: tuple[str, ...] = ()
    """Settings that are not arguments of the constructor."""

    _checks: ClassVar[dict[str, Check]] = {}
    """Checks of settings that can be set later, in addition to those of base classes."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Merge the checks of all base classes, and add hints for users of other libraries."""
        super().__init_subclass__(**kwargs)
        checks = dict(ChainMap(*(vars(each).get("_checks", {}) for each in cls.__mro__)))
        if checks != cls._checks:
            cls._checks = checks
        if is_of_this_package(cls):
            hint_constructor(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting is checked as in the constructor.

        Raises
        ------
        AttributeError
            There is no such attribute, but a setting with a similar name, or a hint for this name
            from another library.
        """
        if name in self._checks:
            value = self._checks[name](name, value)
        elif name not in self.__dict__:
            _check_name(type(self), name)
        super().__setattr__(name, value)


def _check_name(kind: type, name: str) -> None:
    if (advice := _advice(kind, name)) is not None:
        raise AttributeError(f"{kind.__name__} has no setting {name!r}: {advice}")


_KNOWN: WeakKeyDictionary[type, dict[str, str | None]] = WeakKeyDictionary()
"""The results of :func:`_advice` by class, with weak references because classes may be deleted."""


def _advice(kind: Any, name: str) -> str | None:
    """Return what to write instead of a name, or None if it may be set."""
    found = _KNOWN.setdefault(kind, {})
    if name not in found:
        found[name] = _new_advice(kind, name)
    return found[name]


def _new_advice(kind: Any, name: str) -> str | None:
    if name.startswith("_") or hasattr(kind, name):
        return None
    known, elsewhere = list(kind._set_later), {}
    if is_of_this_package(kind):
        known += signature(kind).parameters
        elsewhere = of_bases(ATTRIBUTES, kind)
    if name in known or name in elsewhere:
        return None if name in known else elsewhere[name]
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    if not near:
        return None
    return f"did you mean {near[0]!r}? If not, give your own attribute a less similar name"


def is_of_this_package(cls: type) -> bool:
    """Whether this package defines a class, rather than a user."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]
