"""Checks of the values in a file's JSON, from which :mod:`.schema` is built.

A check takes a value and its place in the file, and raises a :class:`ModelFileError` that names the
place if the value does not belong there.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from ..backends._errors import DeviceUnavailableError, shown

Check = Callable[[Any, str], None]

MAX_MESSAGE = 1000
"""The maximum number of characters of what a message says about a file."""


class ModelFileError(ValueError):
    """The file is not a network that xpnet saved, or it was truncated or altered.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import xpnet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "net.safetensors")
    ...     size = path.write_bytes(b"no network")
    ...     try:
    ...         net = xpnet.load(path)
    ...     except xpnet.ModelFileError:  # the message says what is wrong
    ...         net = None
    """


def is_environment_error(error: Exception) -> bool:
    """Whether an error is not due to the file, e.g. full memory or a warning raised as an error."""
    libraries = ("cupy", "cupy_backends", "torch")
    is_from_library = type(error).__module__.partition(".")[0] in libraries
    return is_from_library or isinstance(error, (MemoryError, DeviceUnavailableError, Warning))


@contextmanager
def reporting(what: str) -> Iterator[None]:
    """Turn any error that a user's class raises in the block into a ModelFileError.

    Parameters
    ----------
    what : str
        What failed, for the message, e.g. "a Scale cannot be made".
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ModelFileError) or is_environment_error(error):
            raise
        raise ModelFileError(f"{what}: {type(error).__name__}: {error}") from error


def refuse(value: Any, place: str, expected: str) -> NoReturn:
    """Raise the error for a wrong value at a place in the file."""
    raise ModelFileError(f"{place} is {shown(value)}: expected {expected}")


def text(value: Any, place: str) -> None:
    """Accept a string that is not empty."""
    if type(value) is not str or not value:
        refuse(value, place, "a non-empty string")


def flag(value: Any, place: str) -> None:
    """Accept True or False."""
    if type(value) is not bool:
        refuse(value, place, "true or false")


def integer(least: int, most: float = math.inf) -> Check:
    """Return a check for an integer in a range."""
    limits = f"{least} or more" if most == math.inf else f"from {least} to {most}"

    def check(value: Any, place: str) -> None:
        if type(value) is not int or not least <= value <= most:
            refuse(value, place, f"an integer, {limits}")

    return check


def is_number(value: Any) -> bool:
    """Whether a value is an int or a float; NaN and infinity are, True is not."""
    return type(value) in (int, float)


def one_of(*values: str) -> Check:
    """Return a check for one of these strings."""

    def check(value: Any, place: str) -> None:
        if type(value) is not str or value not in values:
            refuse(value, place, f"one of {', '.join(map(repr, values))}")

    return check


def nothing(value: Any, place: str) -> None:
    """Accept None."""
    if value is not None:
        refuse(value, place, "null")


def either(first: Check, second: Check) -> Check:
    """Return a check that passes if either check does, and otherwise raises the second's error."""

    def check(value: Any, place: str) -> None:
        try:
            first(value, place)
        except ModelFileError:
            second(value, place)

    return check


def list_of(each: Check) -> Check:
    """Return a check for a list whose items all pass ``each``."""

    def check(value: Any, place: str) -> None:
        if type(value) is not list:
            refuse(value, place, "a list")
        for k, item in enumerate(value):
            each(item, f"{place}[{k}]")

    return check


def fields(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Return a check for an object with these fields and no others."""
    known = {**required, **(optional or {})}

    def check(value: Any, place: str) -> None:
        if type(value) is not dict:
            refuse(value, place, "an object")
        for name in required:
            if name not in value:
                raise ModelFileError(f"{place} has no {name!r}")
        for name, item in value.items():
            if name not in known:
                raise ModelFileError(
                    f"{place} has {shown(name)}: expected only {', '.join(map(repr, known))}"
                )
            known[name](item, f"{place}.{name}")

    return check


def named(each: Check) -> Check:
    """Return a check for an object with any fields, whose values all pass ``each``."""

    def check(value: Any, place: str) -> None:
        if type(value) is not dict:
            refuse(value, place, "an object")
        for name, item in value.items():
            each(item, f"{place}.{name}" if len(name) < 100 else f"{place}.{name[:100]}...")

    return check
