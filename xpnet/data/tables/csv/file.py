"""Reading CSV files as tables."""

import codecs
import io
import itertools
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..cells import is_missing, number
from ..gathering import limit_of
from ..selection import Request, select
from ..table import Table
from .blocks import Lines, blocks, end_of_lines, n_line_ends
from .columns import ColumnError, Columns
from .dialect import Header, read_header
from .engines import engine_class
from .engines.base import Content, Engine, Layout
from .opening import opened
from .rows import LineError, UnexpectedText, contents_of, lines_of, rows_of

_BLOCK, _LARGEST_BLOCK, _SMALL_BLOCK = 1 << 22, 1 << 26, 1 << 16
"""Bytes of a block: usual, for very long lines, and for ``csv``.

A block is large enough for a library's threads, and small enough for the processor's cache.
"""

_SAMPLE_ROWS, _SAMPLE_CELLS = 100, 100_000
"""How much is read to find out which columns are numbers."""

_CELLS = 1 << 16
"""How many cells Python's ``csv`` reads before they become arrays."""


class Format(NamedTuple):
    """How a file is written; see :meth:`xpnet.Dataset.from_csv`."""

    delimiter: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    compression: str | None = "infer"
    max_bytes: int | None = None


def read_csv(
    path: Path,
    format: Format,
    request: Request,
    engine: str = "auto",
    memory_limit: int | None = None,
) -> Table:
    """Read a CSV file; see :meth:`xpnet.Dataset.from_csv`."""
    kind = engine_class(engine)
    limit = limit_of(memory_limit)
    try:
        return _read(path, format, request, kind, limit, False)
    except UnexpectedText:
        return _read(path, format, request, kind, limit, True)


def _read(
    path: Path,
    format: Format,
    request: Request,
    kind: type[Engine] | None,
    limit: float,
    label_is_text: bool,
) -> Table:
    """Read a file in one pass; ``label_is_text`` says that its label is text further down."""
    with opened(path, format.encoding, format.compression, format.max_bytes) as text:
        pieces = Lines(text, _BLOCK)
        start = next(pieces, b"")
        some = "".join(itertools.islice(lines_of([start]), _SAMPLE_ROWS + 20))
        header = read_header(path, some, format.delimiter)
        selection = select(str(path), header.names, request)
        texts = {selection.id, selection.label if label_is_text else None}
        layout = _layout(some, header, selection.used, texts, format, request.keeps_missing)
        body = start[end_of_lines(start, header.n_lines) :]
        pieces.size = _SMALL_BLOCK if kind is None else _block_size(body)
        contents = _contents(itertools.chain([body], pieces), header, layout, kind, selection.label)
        try:
            with Columns(selection, layout, limit) as columns:
                for content in contents:
                    columns.add(content, text.share)
                if not columns.n_rows:
                    raise ValueError(
                        f"{path} has a header but no rows: expected a row for each sample"
                    )
                return columns.table(request.label)
        except LineError as error:
            raise _named(path, header, error, request) from None
        except ColumnError as error:
            place, cell, reason = error.place, error.text, error.reason
    line = _line_of(path, format, layout, header, place, cell)
    raise _named(path, header, LineError(line, reason, place), request)


def _layout(
    start: str,
    header: Header,
    used: list[int],
    texts: Collection[int | None],
    format: Format,
    keeps_missing: bool,
) -> Layout:
    """Return which columns are numbers, judged by the first rows; those in ``texts`` are not."""
    layout = Layout(len(header.names), [], used, header.delimiter, format.decimal, keeps_missing)
    rows = []
    with suppress(LineError):  # reported when the file is read
        lines = itertools.islice(io.StringIO(start, newline=""), header.n_lines, None)
        most = min(_SAMPLE_ROWS, max(_SAMPLE_CELLS // layout.n_columns, 2))
        for _, row in itertools.islice(rows_of(lines, layout, 1), most):
            rows.append(row)
    numbers = [
        place
        for place in used
        if place not in texts and _are_numbers([row[place] for row in rows], format.decimal)
    ]
    others = set(used).difference(numbers)
    return layout._replace(numbers=numbers, texts=[place for place in used if place in others])


def _are_numbers(cells: list[str], decimal: str) -> bool:
    """Whether at least one cell is a number, and all others are numbers or missing."""
    some = False
    for cell in cells:
        if number(cell, decimal) is not None:
            some = True
        elif not is_missing(cell):
            return False
    return some


def _block_size(body: bytes) -> int:
    """Return the bytes of a block with enough rows for a library, judged by the first lines."""
    per_line = len(body) // max(n_line_ends(body), 1)
    return min(max(_BLOCK, 2 * Engine.LEAST_ROWS * per_line), _LARGEST_BLOCK)


def _contents(
    pieces: Iterator[bytes],
    header: Header,
    layout: Layout,
    kind: type[Engine] | None,
    unsure: int | None,
) -> Iterator[Content]:
    """Yield the rows, read by an engine, or by ``csv`` where the engine refuses a block."""
    most_rows = max(_CELLS // layout.n_columns, 1)
    if kind is None or layout.n_columns == 1:  # is a blank line a row? Libraries disagree
        yield from contents_of(lines_of(pieces), layout, header.n_lines + 1, most_rows, unsure)
        return
    engine = kind(layout)
    found = blocks(pieces, header.n_lines + 1, layout.delimiter)
    for block in found:
        if not block.regular:  # it may end within a cell, so the rest is read as one
            rest = itertools.chain([block.content], (each.content for each in found))
            yield from contents_of(lines_of(rest), layout, block.line, most_rows, unsure)
            return
        content = None
        # Libraries would skip a byte order mark in any block.
        marked = block.content.startswith(codecs.BOM_UTF8)
        if block.n_lines >= engine.LEAST_ROWS and not marked:
            content = engine.read(block.content)
        if content is not None:
            yield content
            continue
        lines = lines_of([block.content])
        yield from contents_of(lines, layout, block.line, most_rows, unsure)


def _line_of(
    path: Path, format: Format, layout: Layout, header: Header, place: int, cell: str
) -> int:
    """Return the line of the first row with this cell in that column, reading the file again."""
    with opened(path, format.encoding, format.compression, format.max_bytes) as text:
        lines = itertools.islice(lines_of(Lines(text, _BLOCK)), header.n_lines, None)
        rows = rows_of(lines, layout, header.n_lines + 1)
        return next(line for line, row in rows if row[place] == cell)


def _named(path: Path, header: Header, error: LineError, request: Request) -> ValueError:
    """Return an error that names the file, the line and the column."""
    where = f"{path}, line {error.line}"
    if error.place is None:
        guess = f" with the delimiter {header.delimiter!r} (a guess: delimiter= names another)"
        return ValueError(f"{where}: {error.reason}{guess if header.guessed else ''}")
    name = header.names[error.place]
    hint = ""
    if request.label is None and request.columns is None:
        hint = f". If it is the column to predict, give label={name!r}"
    return ValueError(f"{where}, column {name!r}: {error.reason}{hint}")
