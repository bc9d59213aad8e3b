"""Objects whose ``repr`` shows how they were made."""

import os
from collections.abc import Iterable
from inspect import Parameter, signature
from math import prod
from reprlib import recursive_repr
from typing import Any

import numpy as np

from ..backends import is_array, to_host
from ..backends._errors import shown
from .misspelt import ChecksSettings

_MISSING = object()

_MOST_NUMBERS = 16
"""Longer lists, and larger arrays, are abbreviated."""


class Readable(ChecksSettings):
    """Base of objects whose ``repr`` is the call that makes them, without defaults.

    An argument is shown if it is an attribute of the same name, with or without an underscore in
    front; for ``*arguments``, the attribute is a list or a tuple. One or two arguments without
    defaults are shown without their names.
    """

    @recursive_repr("...")
    def __repr__(self) -> str:
        return call_text(type(self).__name__, arguments_of(self)) + self._further_call()

    def _further_call(self) -> str:
        """Return the text of a method call on the new object, e.g. ``.named("f")``; "" for none."""
        return ""

    def _argument(self, name: str) -> Any:
        """Return an argument of the constructor from its attribute, or _MISSING without one."""
        kept = vars(self)
        return kept.get(name, kept.get(f"_{name}", _MISSING))


def arguments_of(thing: Readable) -> list[tuple[str, Any]]:
    """Return the names and values of the constructor's arguments that are not defaults.

    The name of an argument that may be given by its position is "".
    """
    # Functions, since users' classes may have attributes of any name.
    found: list[tuple[str, Any]] = []
    try:
        parameters = signature(type(thing)).parameters
    except (TypeError, ValueError):  # the constructor has no signature that Python can read
        return found
    values = {name: _kept(thing, name) for name in parameters}
    required = [
        name
        for name, each in parameters.items()
        if each.default is Parameter.empty and each.kind is Parameter.POSITIONAL_OR_KEYWORD
    ]
    positional = len(required) <= 2 and all(values[name] is not _MISSING for name in required)
    for name, parameter in parameters.items():
        if parameter.kind is Parameter.VAR_POSITIONAL:
            if positional and type(values[name]) in (list, tuple):
                found += [("", each) for each in values[name]]
            continue
        if parameter.kind is Parameter.VAR_KEYWORD:
            continue
        positional &= name in required
        if values[name] is not _MISSING and not _is_same(values[name], parameter.default):
            found.append(("" if positional else name, values[name]))
    return found


def _kept(thing: Readable, name: str) -> Any:
    try:
        return thing._argument(name)
    except Exception:  # of an object whose constructor has not ended
        return _MISSING


def call_text(name: str, arguments: Iterable[tuple[str, Any]]) -> str:
    """Return the text of a call; an argument whose name is "" is given by its position."""
    texts = (f"{each}={text_of(value)}" if each else text_of(value) for each, value in arguments)
    return f"{name}({', '.join(texts)})"


def text_of(value: Any) -> str:
    """Return a value as it is written in a call, or a description in ``<>`` if it is too long.

    It never raises an error, though the ``repr`` of a user's object may.

    Examples
    --------
    >>> import numpy as np
    >>> text_of([np.float64(0.5), round, np.zeros((4, 8), "float32"), list(range(40))])
    '[0.5, round, <float32 array of shape (4, 8)>, [0, 1, 2, ..., 39]]'
    """
    try:
        return _text_of(value)
    except Exception:  # of a user's __repr__, or of an array that is gone
        return f"<{type(value).__name__}>"


def _text_of(value: Any) -> str:
    if isinstance(value, Readable):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, np.generic):
        return repr(value.item())
    if is_array(value):
        if prod(value.shape) > _MOST_NUMBERS:
            kind = str(value.dtype).rpartition(".")[2]  # torch.float32
            return f"<{kind} array of shape {tuple(value.shape)}>"
        return repr(to_host(value).tolist())  # parts of networks take lists too
    if type(value) in (list, tuple):
        shortens = len(value) > _MOST_NUMBERS
        shortens &= not any(isinstance(each, Readable) for each in value)
        texts = [text_of(each) for each in (value[:3] if shortens else value)]
        texts += ["...", text_of(value[-1])] if shortens else []
        comma = "," if len(value) == 1 else ""
        inner = ", ".join(texts)
        return f"[{inner}]" if type(value) is list else f"({inner}{comma})"
    if type(value) is dict:
        return f"{{{', '.join(f'{text_of(k)}: {text_of(v)}' for k, v in value.items())}}}"
    cls: Any = type(value)
    if cls.__repr__ is object.__repr__:  # whose text has an address
        return f"<{cls.__name__}>"
    if callable(value) and isinstance(name := getattr(value, "__name__", None), str):
        return name
    return shown(value)


def _is_same(value: Any, default: Any) -> bool:
    """Whether an argument equals its default, or is an object that the default names."""
    if value is default:
        return True
    if isinstance(value, Readable):
        if isinstance(default, str):
            return repr(value).lower() == f"{default.replace('_', '')}()"
        if isinstance(default, type):
            return type(value) is default and not arguments_of(value)
    try:
        return type(value) is type(default) and not is_array(value) and bool(value == default)
    except Exception:  # of a user's __eq__
        return False


def is_plain_function(given: Any) -> bool:
    """Whether an argument is a function, and not a class or a part of a network."""
    return callable(given) and not isinstance(given, (type, Readable))
