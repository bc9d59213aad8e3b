"""The types of options, and the options that several commands share."""

import csv
from collections.abc import Callable
from typing import Any

import click

LARGEST_INTEGER = 2**31 - 1
"""The largest integer that an option takes."""


def checked(name: str, check: Callable[[str], Any], expected: str) -> Callable[[Any], Any]:
    """Return the type of an option whose text a function checks and converts.

    Parameters
    ----------
    name : str
        The placeholder of the value in the help.
    check : function of a str
        Returns the value, or None or raises ValueError for an invalid text.
    expected : str
        What the message says was expected.
    """

    def convert(text: Any) -> Any:
        """Return the checked value; defaults that are not strings are valid."""
        if not isinstance(text, str):
            return text
        try:
            value = check(text)
        except (ValueError, csv.Error):
            value = None
        if value is None:
            raise click.BadParameter(f"{text!r}: expected {expected}")
        return value

    convert.__name__ = name  # Click shows it in the help.
    return convert


def _integer(text: str, least: int) -> int | None:
    return int(text) if least <= int(text) <= LARGEST_INTEGER else None


def _integers(text: str) -> tuple[int, ...] | None:
    sizes = [_integer(part, 1) for part in text.split(",")]
    return None if None in sizes else tuple(size for size in sizes if size)


def _between(text: str, low: float, high: float) -> float | None:
    return float(text) if low < float(text) < high else None


def _fraction(text: str) -> float | None:
    return float(text) if 0.0 <= float(text) < 1.0 else None


def _names(text: str) -> list[str] | None:
    """Split names at commas; a name that contains a comma must be in double quotes."""
    (names,) = csv.reader([text], skipinitialspace=True, strict=True)
    return names if names and all(names) else None


_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _size(text: str) -> int | None:
    whole = text.upper().removesuffix("B")
    number = whole.rstrip("KMGT")
    if (unit := _UNITS.get(whole[len(number) :])) is None:
        return None
    return int(float(number) * unit) if 1 <= float(number) * unit < 2**62 else None


_RANGE = f"or more (up to {LARGEST_INTEGER})"
TEXT, FILE, FOLDER, COLUMN = (
    checked(name, lambda text: text or None, expected)
    for name, expected in {
        "TEXT": "a name",
        "FILE": "the name of a file",
        "FOLDER": "the name of a folder",
        "COLUMN": "the name of a column",
    }.items()
)
COLUMNS = checked("COLUMNS", _names, "names of columns with commas between them, e.g. age,height")
COUNT = checked("N", lambda text: _integer(text, 1), f"a whole number, 1 {_RANGE}")
SEED = checked("N", lambda text: _integer(text, 0), f"a whole number, 0 {_RANGE}")
POSITIVE = checked(
    "NUMBER", lambda text: _between(text, 0.0, float("inf")), "a finite number above 0"
)
SHARE_OR_0 = checked("SHARE", _fraction, "a number in [0, 1)")
SIZES = checked("128,64", _integers, "numbers of units, e.g. 128,64")
BYTES = checked("SIZE", _size, "a number of bytes, e.g. 500M or 4G")
DELIMITER = checked(
    "CHARACTER",
    lambda text: {"tab": "\t", "\\t": "\t"}.get(text, text if len(text) == 1 else None),
    "one character, or tab",
)


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how tables are written and how much memory they may take."""
    for option in reversed(
        [
            click.option(
                "--delimiter",
                type=DELIMITER,
                help="The character between cells.  [default: guessed]",
            ),
            click.option(
                "--decimal",
                type=click.Choice([".", ","]),
                help="Decimal sign of numbers.  [default: guessed]",
            ),
            click.option("--encoding", type=TEXT, help="Encoding of text files.  [default: utf-8]"),
            click.option(
                "--no-header",
                is_flag=True,
                help="The first line has no names: columns are called 0, 1, ...",
            ),
            click.option(
                "--memory-limit",
                type=BYTES,
                help="Memory for a table; a larger table goes to a temporary file.  "
                "[default: half of the free memory]",
            ),
        ]
    ):
        command = option(command)
    return command


DEVICE = click.option(
    "--device", default="cpu", metavar="DEVICE", help="cpu, cuda, cuda:N or auto."
)
QUIET = click.option("--quiet", is_flag=True, help="Print only the results.")
