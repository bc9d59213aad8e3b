"""The delimiter, the header and the decimal sign of a CSV file."""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..cells import is_missing, number

DELIMITERS = ",;\t|"
"""The delimiters that are tried, the most common first."""

NOT_UTF8 = "not UTF-8 (encoding= names another, e.g. encoding='cp1252')"

_MAY_BE_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}")

_SHORT = re.compile(r"[-+]?\d{1,3}")
"""Matches whole numbers that are too short for a thousands separator."""

_LINES = 50
"""How many lines after the header are used to guess the delimiter."""


class Header(NamedTuple):
    """The header of a CSV file.

    Attributes
    ----------
    names : list of str
    n_lines : int
        The number of lines up to the end of the header, with blank lines before it.
    delimiter : str
    guessed : bool
        Whether the delimiter was not given.
    """

    names: list[str]
    n_lines: int
    delimiter: str
    guessed: bool


def read_header(
    path: Path,
    start: str,
    delimiter: str | None,
    decimal: str = ".",
    has_header: bool | None = None,
) -> Header:
    """Return the header at the beginning of a file.

    Parameters
    ----------
    path : Path
    start : str
        The first lines of the file, all complete.
    delimiter : str, optional
        By default, a tab if the file's name ends in ``.tsv``; otherwise it is guessed.
    decimal : str, default "."
        The decimal sign, which cannot be the delimiter; "infer" if it is not known yet.
    has_header : bool, optional
        Whether the first line has names. If not, the names are "0", "1", ... By default it must
        have names, which may not all be numbers.

    Raises
    ------
    ValueError
        The file is empty, or its first line is not valid CSV, or has numbers only.
    """
    guessed = delimiter is None
    if delimiter is None:
        is_tsv = any(suffix.lower() == ".tsv" for suffix in path.suffixes[-2:])
        delimiter = "\t" if is_tsv else guess_delimiter(start, decimal)
    reader = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter)
    try:
        names = next((row for row in reader if not is_blank(row)), [])
    except csv.Error as error:
        raise ValueError(
            f"{path}: the header is not valid CSV ({error}): is a quote not closed?"
        ) from error
    names = [name.strip() for name in names]
    if not names:
        raise ValueError(f"{path} is empty: expected a header row and a row for each sample")
    if not is_utf8("".join(names)):
        raise ValueError(f"{path}: the header is {NOT_UTF8}")
    if has_header is False:
        return Header([str(k) for k in range(len(names))], 0, delimiter, guessed)
    for sign in signs_of(decimal) if has_header is None else ():
        if len(names) == len(numbers := numbers_among(names, sign)):
            raise begins_with_numbers(path, numbers)
    return Header(names, reader.line_num, delimiter, guessed)


def signs_of(decimal: str) -> tuple[str, ...]:
    """Return the decimal signs that are possible: both for "infer", otherwise the one given."""
    return (".", ",") if decimal == "infer" else (decimal,)


def numbers_among(names: Sequence[str], decimal: str) -> list[str]:
    """Return the names that are numbers; [] if they are 0, 1, 2, ..., as pandas names columns."""
    numbers = [name for name in names if number(name, decimal) is not None]
    counts = len(numbers) > 2 and numbers == [str(k) for k in range(len(numbers))]
    return [] if counts else numbers


def begins_with_numbers(path: Path, numbers: Sequence[str]) -> ValueError:
    """Return the error for a file whose first line seems to be a row of data, not of names."""
    return ValueError(
        f"{path} begins with numbers, such as {numbers[0]!r}, where the names of the columns are "
        "expected: put a header row of names first, or give header=False, which names the columns "
        "'0', '1', ... (header=True takes the first line as names)"
    )


def is_utf8(text: str) -> bool:
    """Whether text was UTF-8: other bytes were decoded to surrogates; see `rows.lines_of`."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


def is_blank(row: Sequence[str]) -> bool:
    """Whether a line is empty (no cells) or has only spaces."""
    return not row or (len(row) == 1 and row[0].isspace())


def guess_delimiter(start: str, decimal: str = ".") -> str:
    r"""Return the delimiter that splits the header and the next lines into equal numbers of cells.

    If several do, the result is the one that makes the most cells. If none does, it is the one with
    which the most lines have the same number of cells as the header. With the decimal sign "infer",
    it is not a comma if another delimiter leaves commas only where they may be decimal signs. With
    a decimal comma, it is a comma only if numbers are in quotes, and no other delimiter splits all
    lines into equal numbers of cells.

    Examples
    --------
    >>> guess_delimiter("name;price\nbread, white;1,5\nrolls, six;2,0\n")
    ';'
    >>> guess_delimiter("1,5;2,5\n3,5;4,5\n", "infer")
    ';'
    """
    if decimal == "infer":
        other = guess_delimiter(start, ",")
        rows = _rows(start, other)
        cells = [cell for row in rows[1:] or rows for cell in row if "," in cell]
        if cells and _score(start, other)[0] and all(map(_is_number, cells)):
            return other
    candidates = DELIMITERS.replace(decimal, "")
    scores = [(*_score(start, each), -k) for k, each in enumerate(candidates)]
    if decimal == "," and not max(scores)[0] and _has_quoted_commas(start):
        return ","
    return candidates[-max(scores)[-1]]


def _has_quoted_commas(start: str) -> bool:
    """Whether commas separate cells, and quoted numbers have decimal commas."""
    numbers = (cell for row in _rows(start, ",") for cell in row if "," in cell)
    return _score(start, ",")[0] and any(number(cell, ",") is not None for cell in numbers)


def best_delimiter(start: str, decimal: str) -> tuple[str, int]:
    r"""Return the delimiter of a file, and the number of cells into which it splits the first line.

    Examples
    --------
    >>> best_delimiter("name;price\nbread, white;1,5\n", "infer")
    (';', 2)
    """
    delimiter = guess_delimiter(start, decimal)
    return delimiter, _score(start, delimiter)[2]


def _rows(start: str, delimiter: str) -> list[list[str]]:
    """Return the first rows that are not blank; none if they are not valid CSV."""
    reader = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter)
    try:
        return list(itertools.islice((row for row in reader if not is_blank(row)), _LINES + 1))
    except csv.Error:
        return []


def _score(start: str, delimiter: str) -> tuple[bool, int, int]:
    """Return a sort key, larger for a better delimiter.

    Its parts: whether all lines have as many cells as the header, and more than one; the number of
    cells if so, otherwise the number of lines with as many cells as the header; the number of
    cells.
    """
    rows = [len(row) for row in _rows(start, delimiter)]
    if not rows or rows[0] < 2:
        return False, 0, 0
    alike = rows.count(rows[0])
    return alike == len(rows), (rows[0] if alike == len(rows) else alike), rows[0]


def infer_decimal(
    path: Path,
    delimiter: str,
    names: Sequence[str],
    columns: Iterable[int],
    rows: Sequence[tuple[int, Sequence[str]]],
) -> tuple[str, str]:
    r"""Return the decimal sign of the first rows of a file, and a warning about it.

    The sign is taken from numbers in which it cannot separate thousands, such as ``1,5``. Columns
    with other strings do not count. Without such a number, the sign is a point. If there are points
    that may separate thousands, as in ``1.034``, there is a warning in two cases: cells are
    separated by semicolons, because such files often have decimal commas; or other numbers of the
    column are like ``34``.

    Parameters
    ----------
    path : Path
        For messages.
    delimiter : str
    names : list of str
        The header.
    columns : iterable of int
        The positions of the columns that are features or the label.
    rows : list of tuple
        The number of a line, and its cells.

    Returns
    -------
    sign : {".", ","}
    doubt : str
        The text of a warning, or "".

    Raises
    ------
    ValueError
        There are both signs, or commas only where they may separate thousands.

    Examples
    --------
    >>> infer_decimal(Path("a.csv"), ";", ["size"], [0], [(2, ["4"]), (3, ["1,5"])])
    (',', '')
    """
    sure: dict[str, tuple[str, str]] = {}  # by sign, the first cell and where it is
    perhaps: dict[str, tuple[str, str]] = {}  # the same for signs that may separate thousands
    is_doubtful = delimiter == ";"
    for place in columns:
        cells = [(line, row[place].strip()) for line, row in rows]
        if not all(is_missing(cell) or _is_number(cell) for _, cell in cells):
            continue
        others = [cell for _, cell in cells if not _MAY_BE_THOUSANDS.fullmatch(cell)]
        shorts = [_SHORT.fullmatch(cell) for cell in others if not is_missing(cell)]
        is_doubtful |= len(others) < len(cells) and bool(shorts) and all(shorts)
        for line, cell in cells:
            for sign in ".,":
                if sign in cell and number(cell, sign) is not None:
                    found = perhaps if _MAY_BE_THOUSANDS.fullmatch(cell) else sure
                    found.setdefault(sign, (cell, f"line {line}, column {names[place]!r}"))
    choose = "give decimal=',' or decimal='.'"
    signs = sure or perhaps
    if len(signs) == 2:
        (comma, where), (point, other) = signs[","], signs["."]
        raise ValueError(
            f"{path}: the decimal sign is not clear, because {comma!r} ({where}) has a comma and "
            f"{point!r} ({other}) has a point: {choose}, and leave columns with the other sign out "
            "with exclude="
        )
    if sure or not perhaps:
        return next(iter(sure), "."), ""
    ((sign, (cell, where)),) = perhaps.items()
    if sign == ",":
        raise ValueError(
            f"{path}: the comma in {cell!r} ({where}) may be a decimal comma or separate "
            f"thousands, and no other cell shows which: {choose}. Separators of thousands have to "
            "be removed from the file"
        )
    if not is_doubtful:
        return ".", ""
    return ".", (
        f"{path}: the point in {cell!r} ({where}) is read as a decimal point, but may separate "
        "thousands, and no other cell shows which: give decimal='.' if it is a decimal point; "
        "otherwise remove it from all numbers, and give decimal=','"
    )


def _is_number(cell: str) -> bool:
    return number(cell, ".") is not None or number(cell, ",") is not None
