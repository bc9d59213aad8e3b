"""Reading rows of a CSV file with Python's ``csv`` and ``float``: the reference for all engines."""

import csv
import io
import itertools
import math
import threading
from array import array
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import numpy as np

from ..cells import exceeds_float64, is_missing, number
from ..strings import CellError, missing_cell, not_a_number, not_in_float64
from .dialect import NOT_UTF8, is_blank, is_utf8
from .engines.base import Content, Layout


class LineError(ValueError):
    """A line that cannot be read; the message does not name the file.

    Parameters
    ----------
    line : int
    reason : str
    place : int, optional
        The position of the column.
    """

    def __init__(self, line: int, reason: str, place: int | None = None) -> None:
        super().__init__(reason)
        self.line, self.reason, self.place = line, reason, place


MAX_CELL = 1 << 24
"""Maximum characters of a cell. Python's default is far below the limits of libraries."""

_reading, _limits = threading.Lock(), [0, 0]
"""How many files are being read, and the previous limit of Python's ``csv``."""


@contextmanager
def long_cells() -> Iterator[None]:
    """Let Python's ``csv`` read cells of `MAX_CELL` characters; the limit is global."""
    with _reading:
        if not _limits[0]:
            _limits[1] = csv.field_size_limit()
            csv.field_size_limit(max(_limits[1], MAX_CELL))
        _limits[0] += 1
    try:
        yield
    finally:
        with _reading:
            _limits[0] -= 1
            if not _limits[0]:
                csv.field_size_limit(_limits[1])


class UnexpectedText(Exception):
    """Text in an unsure column, which was read as numbers."""


def lines_of(contents: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of blocks of complete lines, with their line ends.

    Bytes that are not UTF-8 become surrogates, which are refused later in columns that are used.
    """
    for content in contents:
        yield from io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")


def rows_of(lines: Iterable[str], layout: Layout, first: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not blank, after the number of its last line.

    Parameters
    ----------
    lines : iterable of str
    layout : Layout
    first : int
        The number of the first of these lines.
    """
    reader = csv.reader(lines, delimiter=layout.delimiter, strict=True)
    last = first - 1
    try:
        for row in reader:
            last = first - 1 + reader.line_num
            if len(row) != layout.n_columns:
                if is_blank(row):
                    continue
                cells = f"{len(row)} cells, but the header has {layout.n_columns}"
                raise LineError(last, cells)
            if not is_blank(row):  # of a single column
                yield last, row
    except csv.Error as error:
        what = f"not valid CSV ({error})"
        if "end of data" in str(error):
            what = "a quote is not closed"
        elif "field limit" in str(error):
            what = f"a cell has over {MAX_CELL:,} characters, perhaps because a quote is not closed"
        raise LineError(last + 1, what) from error


def contents_of(
    lines: Iterable[str], layout: Layout, first: int, max_rows: int, unsure: Collection[int] = ()
) -> Iterator[Content]:
    """Yield the cells of at most ``max_rows`` rows at a time.

    Parameters
    ----------
    unsure : collection of int
        The positions of columns that are read as numbers but may turn out to be text.

    Raises
    ------
    LineError
        A row or a cell cannot be read.
    UnexpectedText
        A cell of a column in ``unsure`` is neither a number nor missing.
    """
    rows = rows_of(lines, layout, first)
    later: LineError | None = None
    while later is None:
        some: list[tuple[int, list[str]]] = []
        try:
            some.extend(itertools.islice(rows, max_rows))
        except LineError as error:  # raised after the rows before it, which may have errors, too
            later = error
        if some:
            yield _content(some, layout, unsure)
        elif later is None:
            return
    raise later


def _content(rows: list[tuple[int, list[str]]], layout: Layout, unsure: Collection[int]) -> Content:
    """Return the cells of some rows, or raise the error of the first invalid cell."""
    texts = [[row[place] for _, row in rows] for place in layout.texts]
    errors = [
        _encoding_error(rows, place)
        for place, column in zip(layout.texts, texts, strict=True)
        if not is_utf8("".join(column))
    ]
    try:
        numbers = _numbers(rows, layout, unsure)
    except LineError as error:
        errors.append(error)
    if errors:
        raise min(errors, key=lambda error: error.line)
    return Content(numbers, texts)


def _numbers(
    rows: list[tuple[int, list[str]]], layout: Layout, unsure: Collection[int]
) -> np.ndarray:
    shape = len(rows), len(layout.numbers)
    if not layout.numbers:
        return np.empty(shape)
    pick: Any = itemgetter(*layout.numbers)
    numbers = array("d")
    try:
        if layout.decimal == "." and len(layout.numbers) > 1:
            for _, row in rows:
                numbers.extend(map(float, pick(row)))
            values = np.frombuffer(numbers).reshape(shape)
            doubtful = not np.max(np.abs(values)) < 2.0**53  # NaN, too
            if not doubtful and not any("_" in cell for _, row in rows for cell in row):
                return values
    except ValueError:
        pass
    values = np.empty(shape)
    for out, (line, row) in zip(values, rows, strict=True):
        for k, place in enumerate(layout.numbers):
            try:
                out[k] = _number(row[place], layout)
            except CellError as error:
                if place in unsure and not is_missing(row[place]):
                    raise UnexpectedText from None
                raise LineError(line, error.reason, place) from None
    return values


def _number(cell: str, layout: Layout) -> float:
    if is_missing(cell):
        if not layout.keeps_missing:
            raise missing_cell(cell)
        return math.nan
    value = number(cell, layout.decimal)
    if value is None:
        raise not_a_number(cell, layout.decimal)
    if exceeds_float64(cell, value):
        raise not_in_float64(cell)
    return value


def _encoding_error(rows: list[tuple[int, list[str]]], place: int) -> LineError:
    """Return the error for the first cell of a column that was not UTF-8."""
    return LineError(next(line for line, row in rows if not is_utf8(row[place])), NOT_UTF8, place)
