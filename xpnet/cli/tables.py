"""Reading the tables that commands name: files, pipes and standard input."""

import os
import re
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import Dataset
from ..backends import UnknownNameError, to_host
from ..backends._warnings import warn

STANDARD_INPUT = "-"

Reader = Callable[..., Dataset]

_TEXT_FILE = re.compile(r"\.(csv|tsv|txt)(\.(gz|zip|bz2|xz|zst))?$", re.IGNORECASE)
_PARQUET_FILE = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)
_PARQUET_START = b"PAR1"

ENDINGS = ".csv, .tsv, .txt (also with .gz, .zip, .bz2, .xz or .zst) or .parquet"


def is_table(source: str) -> bool:
    """Whether a source is standard input, a pipe, or has the ending of a table."""
    return (
        source == STANDARD_INPUT
        or bool(_TEXT_FILE.search(source) or _PARQUET_FILE.search(source))
        or _is_pipe(source)
    )


def _is_pipe(source: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(source).st_mode)
    except (OSError, ValueError):
        return False


def read_table(
    source: str, options: SimpleNamespace, reader: Reader | None = None, **request: Any
) -> Dataset:
    """Read a table from a file, a pipe or standard input.

    Parameters
    ----------
    source : str
        A path, or "-" for standard input. Parquet files are recognised by their first bytes.
    options : SimpleNamespace
        ``delimiter``, ``decimal``, ``encoding``, ``no_header`` and ``memory_limit``.
    reader : function, optional
        Returns the table. It is called with the path, a function that reads it, the options and
        the request.
    **request
        ``label``, ``columns``, ``exclude``, ``id`` and ``missing`` of :meth:`Dataset.from_csv`.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        The file is not a table, or does not have what is requested.
    """
    with _regular_file(source) as path, _named(source, path):
        read = partial(Dataset.from_parquet, path, memory_limit=options.memory_limit)
        if _begins_with(path, _PARQUET_START):
            _refuse_text_options(source, options)
        else:
            read = partial(
                Dataset.from_csv,
                path,
                delimiter=options.delimiter,
                decimal=options.decimal or "infer",
                encoding=options.encoding or "utf-8",
                header=False if options.no_header else None,
                memory_limit=options.memory_limit,
            )
        return read(**request) if reader is None else reader(path, read, options, **request)


def _refuse_text_options(source: str, options: SimpleNamespace) -> None:
    given = {
        "--delimiter": options.delimiter is not None,
        "--decimal": options.decimal is not None,
        "--encoding": options.encoding is not None,
        "--no-header": options.no_header,
    }
    if wrong := [name for name, is_given in given.items() if is_given]:
        raise ValueError(
            f"{wrong[0]} is for text files, but {name_of(source)} is a Parquet file: leave it out"
        )


def _begins_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


@contextmanager
def _regular_file(source: str) -> Iterator[Path]:
    """Yield the path of a file; a pipe is first copied to a temporary file.

    Some tables are read twice, which a pipe does not allow.
    """
    if source != STANDARD_INPUT and not _is_pipe(source):
        if not os.path.isfile(source):
            what = "is a folder or a device: expected a file" if os.path.exists(source) else None
            raise FileNotFoundError(f"{source}: {what or 'there is no such file'}")
        yield Path(source)
        return
    if source == STANDARD_INPUT and (sys.stdin is None or sys.stdin.isatty()):
        raise ValueError("standard input: expected a table, e.g. cat FILE.csv | xpnet ...")
    with tempfile.TemporaryDirectory(prefix="xpnet-") as folder:
        path = Path(folder, "table")
        with path.open("wb") as copy:
            if source == STANDARD_INPUT:
                shutil.copyfileobj(sys.stdin.buffer, copy)
            else:
                with open(source, "rb") as pipe:
                    shutil.copyfileobj(pipe, copy)
        yield path


def name_of(source: str) -> str:
    """Return the name of a source in messages and reports."""
    return "standard input" if source == STANDARD_INPUT else source


@contextmanager
def _named(source: str, path: Path) -> Iterator[None]:
    """Name the source, not a temporary file, in messages and warnings."""
    shown = name_of(source)
    try:
        with warnings.catch_warnings(record=True) as found:
            yield
    except (OSError, TypeError, ValueError) as error:
        message = str(error).replace(str(path), shown)
        if isinstance(error, UnknownNameError):
            if near := _NEAR_WITH_COMMA.search(message):
                name = f"""'"{near[1]}"'"""
                message += f". In a list of columns, put this name in double quotes: {name}"
            raise UnknownNameError(f"{shown}: {message}") from error
        kind = type(error) if isinstance(error, OSError) else ValueError
        raise kind(message) from error
    for each in found:
        warn(str(each.message).replace(str(path), shown))


_NEAR_WITH_COMMA = re.compile(r"did you mean '([^']*,[^']*)'")
_ROW = re.compile(r"(, row | in row )(\d+)(?=[,:])")


def in_table(error: ValueError, source: str, rows: Sequence[int] | None) -> ValueError:
    """Return an error about rows that were read from a table, with the table and its row.

    Parameters
    ----------
    error : ValueError
        Its message may have the number of a row.
    source : str
    rows : sequence of int or None
        The number of each row in the table; with None, the message has no row number.
    """

    def place(found: re.Match[str]) -> str:
        return "" if rows is None else f"{found[1]}{rows[int(found[2])]} (from 0)"

    message = _ROW.sub(place, str(error), count=1)
    separator = ", " if message.startswith("X, ") else ": "
    return ValueError(f"{name_of(source)}{separator}{message.removeprefix('X, ')}")


def refuse_text(data: Dataset, source: str, categories: Mapping[str, Any]) -> None:
    """Refuse columns of text where the training table had numbers.

    Parameters
    ----------
    data : Dataset
    source : str
        The table, for the message.
    categories : mapping of str to list
        The categories in the training table, by the name of the column.
    """
    for name, found in data.categories.items():
        if name not in categories:
            raise ValueError(
                f"{name_of(source)}, column {name!r}: {found[0]!r} is not a number, as all cells "
                "of this column were in training"
            )


def check_finite(data: Dataset, source: str) -> None:
    """Refuse NaN and infinite features, naming the file."""
    try:
        data.check_finite()
    except ValueError as error:
        raise ValueError(f"{name_of(source)}: {error}") from error


_ROWS = 1 << 14
"""How many rows are checked at a time; they may be in a file."""


def refuse_infinite(data: Dataset, source: str) -> None:
    """Refuse infinite features and labels, but not missing ones, naming the file and the row."""
    for start in range(0, len(data), _ROWS):
        part = data[start : start + _ROWS]
        cells = np.column_stack([to_host(part.X), to_host(part.y)])
        if (infinite := np.isinf(cells)).any():
            row, column = np.argwhere(infinite)[0].tolist()
            name = [*(data.feature_names or []), data.label_name][column]
            raise ValueError(
                f"{name_of(source)}, row {start + row} (from 0), column {name!r}: "
                f"{cells[row, column]} is not a finite number: replace such cells or leave out "
                "their rows"
            )
