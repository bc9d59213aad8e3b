"""The errors of this package, and the one way to say that a name is not known."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class DeviceUnavailableError(RuntimeError):
    """A device or the library that drives it is not there; the message says what to install."""


class UnknownNameError(ValueError):
    """A name that nothing known answers to; the message says which are known."""


def unknown_name(kind: str, given: object, known: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that is not known, with the nearest known one.

    Parameters
    ----------
    kind : str
        What was looked for, e.g. ``"optimizer"``.
    given : object
        What the caller gave.
    known : iterable of str
        The names that would have been found.

    Examples
    --------
    >>> unknown_name("optimizer", "adm", ["sgd", "adam"])
    UnknownNameError("unknown optimizer 'adm': did you mean 'adam'? Known: adam, sgd")
    """
    names = sorted(known)
    near = get_close_matches(given.lower(), names, n=1, cutoff=0.5) if type(given) is str else []
    hint = f": did you mean {near[0]!r}?" if near else "."
    return UnknownNameError(f"unknown {kind} {shown(given)}{hint} Known: {', '.join(names)}")


def check_name(kind: str, given: Any, known: Iterable[str]) -> str:
    """Return a name if it is one of those known.

    Raises
    ------
    UnknownNameError
        It is another text; the message has the nearest known one.
    TypeError
        It is no text.
    """
    known = list(known)
    if not isinstance(given, str):
        raise TypeError(f"{kind}={shown(given)}: expected one of {', '.join(sorted(known))}")
    if given not in known:
        raise unknown_name(kind, given, known)
    return given


def shown(value: Any) -> str:
    """Return a value as text for a message, shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes down
        if not isinstance(value, int):
            return f"a {type(value).__name__} with a number of very many digits"
        return f"a whole number of {value.bit_length():,} bits"
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-50:]}"
