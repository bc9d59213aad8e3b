"""Docstrings that list the names an argument accepts, taken from the tables of these names."""

import textwrap
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

PLACE = "{names}"
"""The line in a docstring that the list of names replaces."""


def listing(**tables: Mapping[str, type]) -> Callable[[type[T]], type[T]]:
    """Return a decorator that lists the accepted names of arguments in the docstring of a class.

    Parameters
    ----------
    **tables : mapping of str to type
        For each argument, the table of the names that it accepts.

    Examples
    --------
    >>> @listing(kind={"int": int, "float": float})
    ... class Number:
    ...     '''A number.
    ...
    ...     {names}
    ...     '''
    >>> print(Number.__doc__)
    A number.
    <BLANKLINE>
        - ``kind``: float, int.
    <BLANKLINE>
    """

    def fill(cls: type[T]) -> type[T]:
        before, place, after = (cls.__doc__ or "").partition(PLACE)  # python -OO removes docstrings
        if place:
            indent = before[len(before.rstrip(" ")) :]
            lines = "\n".join(_line(name, table, indent) for name, table in tables.items())
            cls.__doc__ = before + lines.lstrip(" ") + after
        return cls

    return fill


def _line(name: str, table: Mapping[str, type], indent: str) -> str:
    text = f"- ``{name}``: {', '.join(sorted(table))}."
    return textwrap.fill(
        text, 100, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )
