"""Reading CSV files as tables."""

import codecs
import io
import itertools
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ....backends._warnings import warn
from ....common.checks import check_strings
from ..cells import is_missing, number
from ..gathering import feature_memory_limit
from ..selection import Request, Selection, check_name, select
from ..strings import CellError
from ..table import Table
from .blocks import Block, Lines, blocks, end_of_lines, n_line_ends
from .columns import Columns
from .dialect import (
    Header,
    begins_with_numbers,
    best_delimiter,
    infer_decimal,
    numbers_among,
    read_header,
    signs_of,
)
from .engines import engine_class
from .engines.base import Content, Engine, Layout
from .opening import opened
from .rows import LineError, UnexpectedText, contents_of, lines_of, long_cells, rows_of

_BLOCK, _LARGEST_BLOCK, _SMALL_BLOCK = 1 << 21, 1 << 26, 1 << 16
"""Bytes of a block: normally, for very long lines, and for Python's ``csv``.

The usual block is large enough for a library's threads, and small enough for the CPU cache.
"""

_SAMPLE_ROWS, _SAMPLE_CELLS = 100, 100_000
"""How many rows, or cells, are read to find the columns of numbers."""

_MAX_COLUMNS = 10_000
"""Files with more columns are read by ``csv``: libraries are slower, with up to 20 KB a column."""

_CELLS = 1 << 16
"""How many cells Python's ``csv`` reads before they are converted to arrays."""


class Format(NamedTuple):
    """The format of a file; see :meth:`xpnet.Dataset.from_csv`."""

    delimiter: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    compression: str | None = "infer"
    max_bytes: int | None = None
    header: bool | None = None


def read_csv(
    path: Path,
    format: Format,
    request: Request,
    engine: str = "auto",
    memory_limit: int | None = None,
) -> Table:
    """Read a CSV file; see :meth:`xpnet.Dataset.from_csv`."""
    kind = engine_class(engine)
    limit = feature_memory_limit(memory_limit)
    with long_cells():
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
    unsure_as_text: bool,
) -> Table:
    """Read a file in one pass; with ``unsure_as_text``, unsure columns are read as text."""
    with opened(path, format.encoding, format.compression, format.max_bytes) as text:
        pieces = Lines(text, _BLOCK)
        start = next(pieces, b"")
        some = start.decode("utf-8", "surrogateescape")
        header = read_header(path, some, format.delimiter, format.decimal, format.header)
        numbered = _first_rows(some, header)
        rows = [row for _, row in numbered]
        for decimal in signs_of(format.decimal) if format.header is None else ():
            _check_header(path, header, rows, request, decimal)
        try:
            selection = select(str(path), header.names, request)
        except ValueError as error:
            raise type(error)(f"{error}{_other_delimiter(some, header, format.decimal)}") from None
        decimal, doubt = format.decimal, ""
        if decimal == "infer":
            only_id = {selection.id}.difference(selection.places)
            judged = [place for place in selection.used if place not in only_id]
            decimal, doubt = infer_decimal(path, header.delimiter, header.names, judged, numbered)
        layout, unsure = _layout(rows, header, selection, decimal, request.keeps_missing)
        if unsure_as_text:
            layout = _with_text(layout, unsure)
        body = start[end_of_lines(start, header.n_lines) :]
        pieces.size = _SMALL_BLOCK if kind is None else _block_size(body)
        contents = _contents(itertools.chain([body], pieces), header, layout, kind, unsure)
        try:
            with Columns(selection, layout, limit) as columns:
                for content in contents:
                    columns.add(content, text.share)
                if not columns.n_rows:
                    raise ValueError(
                        f"{path} has a header but no rows: expected a row for each sample"
                    )
                table = columns.table(request.label)
            if doubt:
                warn(doubt)
            for place, cell, doubt in columns.doubts:
                line = _line_of(path, format, layout, header, place, cell)
                where = str(path) if line is None else f"{path}, line {line}"
                warn(f"{where}, column {header.names[place]!r}: {doubt}")
            return table
        except LineError as error:
            hint = "" if error.place is not None else _other_delimiter(some, header, format.decimal)
            raise _named(path, header, error, request, hint) from None
        except CellError as error:
            place, cell, reason = error.place, error.text, error.reason
    line = _line_of(path, format, layout, header, place, cell)
    if line is None:
        raise ValueError(
            f"{path}, column {header.names[place]!r}: {reason}. The file has changed while it was "
            "read: read it again"
        )
    raise _named(path, header, LineError(line, reason, place), request)


def _first_rows(start: str, header: Header) -> list[tuple[int, list[str]]]:
    """Return the first rows of the file, without the header, and the lines that they are in."""
    layout = Layout(len(header.names), [], [], header.delimiter, ".", False)
    lines = itertools.islice(io.StringIO(start, newline=""), header.n_lines, None)
    most = min(_SAMPLE_ROWS, max(_SAMPLE_CELLS // layout.n_columns, 2))
    rows: list[tuple[int, list[str]]] = []
    with suppress(LineError):  # reported when the file is read
        rows.extend(itertools.islice(rows_of(lines, layout, header.n_lines + 1), most))
    return rows


def _check_header(
    path: Path, header: Header, rows: list[list[str]], request: Request, decimal: str
) -> None:
    """Refuse names that are numbers above columns of numbers, unless the user has named them."""
    named: set[str | None] = {check_name("label", request.label), check_name("id", request.id)}
    named.update(check_strings("exclude", request.exclude))
    named.update(check_strings("columns", request.columns or ()))
    numbers = {name for name in numbers_among(header.names, decimal) if name not in named}
    found = [
        name
        for place, name in enumerate(header.names)
        if name in numbers and _are_numbers([row[place] for row in rows], decimal)
    ]
    if found:
        raise begins_with_numbers(path, found)


def _layout(
    rows: list[list[str]], header: Header, selection: Selection, decimal: str, keeps_missing: bool
) -> tuple[Layout, set[int]]:
    """Return which columns are read as numbers, judged by the first rows, and the unsure columns.

    Unsure columns may turn out to be text: the label, and columns without any value so far. They
    are read as numbers first, since they are in most files and text takes far more memory.
    """
    used = selection.used
    layout = Layout(len(header.names), [], [], header.delimiter, decimal, keeps_missing)
    numbers: set[int] = set()
    unsure = set() if selection.label is None else {selection.label}
    for place in used:
        cells = [row[place] for row in rows]
        if place == selection.id:
            continue
        if keeps_missing and rows and all(map(is_missing, cells)):
            unsure.add(place)
            numbers.add(place)
        elif _are_numbers(cells, decimal):
            numbers.add(place)
    return _with_text(layout._replace(numbers=used), set(used) - numbers), unsure


def _are_numbers(cells: list[str], decimal: str) -> bool:
    """Whether at least one cell is a number, and all others are numbers or missing."""
    some = False
    for cell in cells:
        if number(cell, decimal) is not None:
            some = True
        elif not is_missing(cell):
            return False
    return some


def _with_text(layout: Layout, places: Collection[int]) -> Layout:
    """Return a layout in which the columns at ``places`` are read as text, too."""
    texts = {*layout.texts, *places}
    return layout._replace(
        numbers=[each for each in layout.numbers if each not in texts], texts=sorted(texts)
    )


def _block_size(body: bytes) -> int:
    """Return the size of a block with enough rows for a library, judged by the first lines."""
    per_line = len(body) // max(n_line_ends(body), 1)
    return min(max(_BLOCK, 2 * Engine.MIN_ROWS * per_line), _LARGEST_BLOCK)


def _contents(
    pieces: Iterator[bytes],
    header: Header,
    layout: Layout,
    kind: type[Engine] | None,
    unsure: Collection[int],
) -> Iterator[Content]:
    """Yield the rows, read by an engine, or by ``csv`` where the engine refuses a block."""
    max_rows = max(_CELLS // layout.n_columns, 1)
    # With one column, libraries disagree about blank lines. All need a one-byte delimiter, and some
    # refuse a delimiter that is also the decimal sign.
    suited = 1 < layout.n_columns <= _MAX_COLUMNS and layout.delimiter.isascii()
    suited &= layout.delimiter != layout.decimal
    if kind is None or not suited:
        yield from contents_of(lines_of(pieces), layout, header.n_lines + 1, max_rows, unsure)
        return
    engine = kind(layout)
    found = blocks(pieces, header.n_lines + 1, layout.delimiter)
    for block, content in _read_ahead(engine, found):
        if content is not None:
            yield content
            continue
        lines = lines_of([block.content])
        if not block.regular:  # it may end within a cell, so csv reads the rest of the file
            lines = lines_of(itertools.chain([block.content], (each.content for each in found)))
        yield from contents_of(lines, layout, block.line, max_rows, unsure)


def _read_ahead(engine: Engine, found: Iterator[Block]) -> Iterator[tuple[Block, Content | None]]:
    """Yield each block with its cells, while the library reads the next blocks.

    The first block that is not regular is the last one.
    """
    waiting: deque[tuple[Block, Future[Content | None]]] = deque()
    with ThreadPoolExecutor(engine.BLOCKS, thread_name_prefix="xpnet-csv") as pool:
        for block in found:
            waiting.append((block, pool.submit(_read_block, engine, block)))
            if not block.regular:
                break
            if len(waiting) > engine.BLOCKS:
                first, content = waiting.popleft()
                yield first, content.result()
        for block, content in waiting:
            yield block, content.result()


def _read_block(engine: Engine, block: Block) -> Content | None:
    # Libraries skip a byte order mark at the start of a block, where it is part of a cell.
    marked = block.content.startswith(codecs.BOM_UTF8)
    if not block.regular or block.n_lines < engine.MIN_ROWS or marked:
        return None
    return engine.read(block.content)


def _line_of(
    path: Path, format: Format, layout: Layout, header: Header, place: int, cell: str
) -> int | None:
    """Read the file again and return the line of the first row with this cell in the column.

    None means that the file has no such row any more.
    """
    with opened(path, format.encoding, format.compression, format.max_bytes) as text:
        lines = itertools.islice(lines_of(Lines(text, _BLOCK)), header.n_lines, None)
        rows = rows_of(lines, layout, header.n_lines + 1)
        try:
            return next((line for line, row in rows if row[place] == cell), None)
        except LineError:
            return None


def _other_delimiter(start: str, header: Header, decimal: str) -> str:
    """Return advice if another delimiter splits the header into more cells; "" if none does."""
    other, n = best_delimiter(start, decimal)
    if n <= len(header.names):
        return ""
    cells = "is one cell" if len(header.names) == 1 else f"has {len(header.names)} cells"
    return (
        f". With the delimiter {header.delimiter!r} the first line {cells}; it suggests "
        f"delimiter={other!r}"
    )


def _named(
    path: Path, header: Header, error: LineError, request: Request, advice: str = ""
) -> ValueError:
    """Return an error that names the file, the line and the column."""
    where = f"{path}, line {error.line}"
    if error.place is None:
        guess = f" with the delimiter {header.delimiter!r} (a guess: delimiter= names another)"
        return ValueError(f"{where}: {error.reason}{advice or (guess if header.guessed else '')}")
    name = header.names[error.place]
    hint = (
        ". To change cells or leave out rows, read the file with pandas or polars, and give "
        "Dataset.from_frame(frame)"
    )
    if request.label is None and request.columns is None:
        hint += f". If this is the column to predict, give label={name!r}"
    return ValueError(f"{where}, column {name!r}: {error.reason}{hint}")
