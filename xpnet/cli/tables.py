"""Reading the tables that commands name: files, pipes and standard input."""

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .. import Dataset

STANDARD_INPUT = "-"

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


def read_table(source: str, options: SimpleNamespace, **request: Any) -> Dataset:
    """Read a table from a file, a pipe or standard input.

    Parameters
    ----------
    source : str
        A path, or "-" for standard input. Parquet files are recognised by their first bytes.
    options : SimpleNamespace
        ``delimiter``, ``decimal``, ``encoding``, ``no_header`` and ``memory_limit``.
    **request
        ``label``, ``columns``, ``exclude``, ``id`` and ``missing`` of :meth:`Dataset.from_csv`.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        The file is not a table, or does not have what is requested.
    """
    with _regular_file(source) as path, _named(source, path):
        if _begins_with(path, _PARQUET_START):
            _refuse_text_options(source, options)
            return Dataset.from_parquet(path, memory_limit=options.memory_limit, **request)
        return Dataset.from_csv(
            path,
            delimiter=options.delimiter,
            decimal=options.decimal or "infer",
            encoding=options.encoding,
            header=False if options.no_header else None,
            memory_limit=options.memory_limit,
            **request,
        )


def _refuse_text_options(source: str, options: SimpleNamespace) -> None:
    given = {
        "--delimiter": options.delimiter is not None,
        "--decimal": options.decimal is not None,
        "--no-header": options.no_header,
    }
    if wrong := [name for name, is_given in given.items() if is_given]:
        raise ValueError(
            f"{wrong[0]} is for text files, but {source} is a Parquet file: leave it out"
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
        raise ValueError("-: expected a table on standard input, e.g. cat FILE.csv | xpnet ...")
    with tempfile.TemporaryDirectory(prefix="xpnet-") as folder:
        path = Path(folder, "table")
        with path.open("wb") as copy:
            if source == STANDARD_INPUT:
                shutil.copyfileobj(sys.stdin.buffer, copy)
            else:
                with open(source, "rb") as pipe:
                    shutil.copyfileobj(pipe, copy)
        yield path


@contextmanager
def _named(source: str, path: Path) -> Iterator[None]:
    """Name the source, not a temporary file, in messages."""
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        shown = "standard input" if source == STANDARD_INPUT else source
        kind = type(error) if isinstance(error, OSError) else ValueError
        raise kind(str(error).replace(str(path), shown)) from error


def check_finite(data: Dataset, source: str) -> None:
    """Refuse NaN and infinite features, naming the file."""
    try:
        data.check_finite()
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
