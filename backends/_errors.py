"""The errors of this package, and the one way to say that a name is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


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
    near = get_close_matches(str(given).lower(), names, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else "."
    return UnknownNameError(f"unknown {kind} {given!r}{hint} Known: {', '.join(names)}")
