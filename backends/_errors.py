"""Exceptions, and helpers for their messages."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class DeviceUnavailableError(RuntimeError):
    """A device or its library is not available; the message says what to install.

    Examples
    --------
    >>> from xpnet import DeviceUnavailableError, resolve
    >>> try:
    ...     backend = resolve("cuda:99")
    ... except DeviceUnavailableError:  # the message says why
    ...     backend = resolve("cpu")
    >>> backend.name
    'numpy'
    """


class UnknownNameError(ValueError):
    """A name is unknown; the message lists the known names.

    Examples
    --------
    >>> from xpnet import NeuralNetwork, UnknownNameError
    >>> try:
    ...     NeuralNetwork(optimizer="adm")
    ... except UnknownNameError as error:
    ...     print(str(error).partition(" Known")[0])
    unknown optimizer 'adm': did you mean 'adam'?
    """


def unknown_name(
    kind: str, given: object, known: Iterable[str], advice: str | None = None
) -> UnknownNameError:
    """Return the error for an unknown name; its message suggests the most similar known name.

    Parameters
    ----------
    kind : str
        The kind of thing that is named, e.g. ``"optimizer"``.
    given : object
        The unknown name.
    known : iterable of str
        All known names.
    advice : str, optional
        What to write instead; by default the most similar name.

    Examples
    --------
    >>> from xpnet.backends import unknown_name
    >>> unknown_name("optimizer", "adm", ["sgd", "adam"])
    UnknownNameError("unknown optimizer 'adm': did you mean 'adam'? Known: adam, sgd")
    """
    names = sorted(known)
    near = get_close_matches(given.lower(), names, n=1, cutoff=0.5) if type(given) is str else []
    hint = f": did you mean {near[0]!r}?" if near else "."
    if advice is not None:
        hint = f": write {advice}."
    return UnknownNameError(f"unknown {kind} {shown(given)}{hint} Known: {', '.join(names)}")


def check_name(kind: str, given: Any, known: Iterable[str]) -> str:
    """Return the name, or raise if it is not known.

    Raises
    ------
    UnknownNameError
        The name is not known.
    TypeError
        The name is not a string.
    """
    known = list(known)
    if not isinstance(given, str):
        raise TypeError(f"{kind}={shown(given)}: expected one of {', '.join(sorted(known))}")
    if given not in known:
        raise unknown_name(kind, given, known)
    return given


def shown(value: Any) -> str:
    """Return the ``repr`` of a value for a message, on one line and shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # an int with more digits than Python converts to a string
        if not isinstance(value, int):
            return f"a {type(value).__name__} with a very long number"
        return f"a whole number of {value.bit_length():,} bits"
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-50:]}"


def printable(message: object, longest: int | None = None) -> str:
    r"""Return a message on one line, with control characters escaped.

    A message may contain names from an untrusted file, and must not control the terminal.

    Parameters
    ----------
    message : object
    longest : int, optional
        The number of characters to keep.

    Examples
    --------
    >>> printable("no\x07 column")
    'no\\x07 column'
    """
    line = " ".join(str(message).split())
    if longest is not None and len(line) > longest:
        line = f"{line[:longest]} ..."
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)
