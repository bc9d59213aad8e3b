"""Settings that are checked when they are set. A misspelt one is refused: it would do nothing."""

from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from .keywords import hint_constructor

Check = Callable[[str, Any], Any]
"""A function of a setting's name and value that returns the checked value, or raises an error."""


class ChecksSettings:
    """Base of objects that check a setting, and the name of an attribute, when it is set.

    The settings are the arguments of the constructor and ``_set_later``. For a user's own class,
    only the latter count, because its other attributes may have any names.
    """

    _set_later: tuple[str, ...] = ()
    """Settings that are not arguments of the constructor."""

    _checks: ClassVar[dict[str, Check]] = {}
    """The checks of settings that may be set later."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let the constructor say what to write instead of other libraries' arguments."""
        super().__init_subclass__(**kwargs)
        if is_of_this_package(cls):
            hint_constructor(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting is checked as in the constructor.

        Raises
        ------
        AttributeError
            There is no such attribute, and a setting has nearly the same name.
        """
        if name in self._checks:
            value = self._checks[name](name, value)
        elif name not in self.__dict__:
            _check_name(type(self), name)
        super().__setattr__(name, value)


def _check_name(kind: type, name: str) -> None:
    if (near := _meant(kind, name)) is not None:
        raise AttributeError(
            f"{kind.__name__} has no setting {name!r}: did you mean {near!r}? An "
            "attribute of your own needs a name that is less similar"
        )


_KNOWN: WeakKeyDictionary[type, dict[str, str | None]] = WeakKeyDictionary()
"""The results of :func:`_meant` by class. References are weak, because classes may be deleted."""


def _meant(kind: Any, name: str) -> str | None:
    """Return the setting whose name is nearly this one; None if none is, or the name is known."""
    found = _KNOWN.setdefault(kind, {})
    if name not in found:
        found[name] = _nearly(kind, name)
    return found[name]


def _nearly(kind: Any, name: str) -> str | None:
    if name.startswith("_") or hasattr(kind, name):
        return None
    known = list(kind._set_later)
    if is_of_this_package(kind):
        known += signature(kind).parameters
    if name in known:
        return None
    return next(iter(get_close_matches(name.lower(), known, n=1, cutoff=0.8)), None)


def is_of_this_package(cls: type) -> bool:
    """Whether the package itself defines a class, and not a user."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]
