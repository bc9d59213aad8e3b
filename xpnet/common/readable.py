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
from .checked_settings import ChecksSettings

_MISSING = object()

_MAX_NUMBERS = 16
"""Longer lists, and larger arrays, are abbreviated."""


class Readable(ChecksSettings):
    """Base of objects whose ``repr`` is the call that makes them, without default values.

    An argument is shown if there is an attribute of the same name, with or without a leading
    underscore; for ``*arguments``, the attribute is a list or a tuple. If only one or two arguments
    have no defaults, they are shown without their names.
    """

    @recursive_repr("...")
    def __repr__(self) -> str:
        return call_text(type(self).__name__, arguments_of(self)) + self._further_call()

    def _further_call(self) -> str:
        """Return a method call to append, e.g. ``.named("f")``; "" for none."""
        return ""

    def _argument(self, name: str) -> Any:
        """Return the attribute that holds an argument of the constructor, or _MISSING."""
        kept = vars(self)
        return kept.get(name, kept.get(f"_{name}", _MISSING))


def arguments_of(thing: Readable) -> list[tuple[str, Any]]:
    """Return the names and values of the constructor's arguments that are not defaults.

    The name of an argument that is shown by position is "".
    """
    # A function and not a method, since users' classes may have attributes of any name.
    found: list[tuple[str, Any]] = []
    try:
        parameters = signature(type(thing)).parameters
    except (TypeError, ValueError):  # Python cannot read the constructor's signature
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
    except Exception:  # from an object whose constructor has not finished
        return _MISSING


def call_text(name: str, arguments: Iterable[tuple[str, Any]]) -> str:
    """Return a call as source text; arguments whose name is "" are positional."""
    texts = (f"{each}={text_of(value)}" if each else text_of(value) for each, value in arguments)
    return f"{name}({', '.join(texts)})"


def text_of(value: Any) -> str:
    """Return a value as it is written in a call, or a description in ``<>`` if it is too long.

    This never raises an error, even if the ``repr`` of a user's object does.

    Examples
    --------
    >>> import numpy as np
    >>> text_of([np.float64(0.5), round, np.zeros((4, 8), "float32"), list(range(40))])
    '[0.5, round, <float32 array of shape (4, 8)>, [0, 1, 2, ..., 39]]'
    """
    try:
        return _text_of(value)
    except Exception:  # from a user's __repr__, or from an array that was deleted
        return f"<{type(value).__name__}>"


def _text_of(value: Any) -> str:
    if isinstance(value, Readable):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, np.generic):
        return repr(value.item())
    if is_array(value):
        if prod(value.shape) > _MAX_NUMBERS:
            kind = str(value.dtype).rpartition(".")[2]  # torch.float32
            return f"<{kind} array of shape {tuple(value.shape)}>"
        return repr(to_host(value).tolist())  # parts of networks accept lists
    if type(value) in (list, tuple):
        shortens = len(value) > _MAX_NUMBERS
        shortens &= not any(isinstance(each, Readable) for each in value)
        texts = [text_of(each) for each in (value[:3] if shortens else value)]
        texts += ["...", text_of(value[-1])] if shortens else []
        comma = "," if len(value) == 1 else ""
        inner = ", ".join(texts)
        return f"[{inner}]" if type(value) is list else f"({inner}{comma})"
    if type(value) is dict:
        return f"{{{', '.join(f'{text_of(k)}: {text_of(v)}' for k, v in value.items())}}}"
    cls: Any = type(value)
    if cls.__repr__ is object.__repr__:  # it would show an address
        return f"<{cls.__name__}>"
    if callable(value) and isinstance(name := getattr(value, "__name__", None), str):
        return name
    return shown(value)


def _is_same(value: Any, default: Any) -> bool:
    """Whether an argument equals its default, or is what a default name or class stands for."""
    if value is default:
        return True
    if isinstance(value, Readable):
        if isinstance(default, str):
            return repr(value).lower() == f"{default.replace('_', '')}()"
        if isinstance(default, type):
            return type(value) is default and not arguments_of(value)
    try:
        return type(value) is type(default) and not is_array(value) and bool(value == default)
    except Exception:  # from a user's __eq__
        return False


def is_plain_function(given: Any) -> bool:
    """Whether an argument is callable, but neither a class nor a part of a network."""
    return callable(given) and not isinstance(given, (type, Readable))
