"""Reading Arrow streams and Parquet files, some rows at a time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ....backends import unknown_name
from ....common.checks import check_path, check_text
from ..gathering import limit_of
from ..selection import Request
from ..table import Table
from .frame_types import column_names
from .frames import check_same, read_batches, read_frame, used_columns

_BUFFER = 1 << 16
"""How many bytes of each column pyarrow reads at a time; it holds a page of each besides."""

_NUMBERS, _LEAST_ROWS, _MOST_ROWS = 1 << 18, 1 << 12, 1 << 16
"""About how many numbers pyarrow decodes at a time, and the least and the most rows.

To decode a column of a piece, however short, takes as long as a few thousand numbers.
"""

_POLARS_NUMBERS, _POLARS_LEAST_ROWS = 1 << 20, 1 << 14
"""The same for polars, which takes longer for each slice of a group of rows."""


def read_arrow(data: Any, request: Request, memory_limit: int | None) -> Table:
    """Read Arrow data; see :meth:`xpnet.Dataset.from_arrow`."""
    limit = limit_of(memory_limit)
    if column_names(data) is not None:
        return read_frame(data, "data", request, limit=limit)
    if hasattr(data, "scanner"):  # a data set of pyarrow
        data = data.scanner()
    if not hasattr(data, "__arrow_c_stream__") and not hasattr(data, "to_reader"):
        raise TypeError(
            f"data is a {type(data).__name__}: expected an Arrow table or stream, which has "
            "the method __arrow_c_stream__"
        )
    if _engine("auto", "from_arrow") == "polars":
        import polars as pl

        with _blaming("data"):
            frame = pl.DataFrame(data)
        return read_frame(frame, "data", request, limit=limit)
    import pyarrow as pa

    with _blaming("data"):
        if hasattr(data, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(data)
        else:
            reader = data.to_reader()
    schema = reader.schema
    return read_batches(
        schema.empty_table(),
        _guarded(reader, "data"),
        "data",
        request,
        limit=limit,
        never_missing=[field.name for field in schema if not field.nullable],
    )


def read_parquet(path: Any, request: Request, engine: str, memory_limit: int | None) -> Table:
    """Read Parquet files; see :meth:`xpnet.Dataset.from_parquet`."""
    paths = _files(path)
    where = str(path if isinstance(path, str | Path) else paths[0])
    if len(paths) > 1:
        where += f" ({len(paths)} files)"
    limit = limit_of(memory_limit)
    source = _Arrow if _engine(engine, "from_parquet") == "pyarrow" else _Polars
    files = [source(each) for each in paths]
    first = files[0]
    used = used_columns(where, first.header, request)
    for file in files[1:]:
        check_same(used, first.empty(), str(first.path), file.empty(), str(file.path))
    return read_batches(
        first.empty(),
        (batch for file in files for batch in _guarded(file.batches(used), str(file.path))),
        where,
        request,
        limit=limit,
    )


class _Arrow:
    """A Parquet file that pyarrow reads."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        with _blaming(str(path)), pq.ParquetFile(path) as file:
            self._schema = file.schema_arrow
        self.header: list[str] = self._schema.names

    def empty(self) -> Any:
        """Return a table without rows."""
        return self._schema.empty_table()

    def batches(self, used: Sequence[str]) -> Iterator[Any]:
        """Yield the columns that are used of some rows at a time."""
        import pyarrow.parquet as pq

        # By default, whole groups of rows are read ahead, which may be as large as the file.
        with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=_BUFFER) as file:
            rows = min(max(_NUMBERS // max(len(used), 1), _LEAST_ROWS), _MOST_ROWS)
            yield from file.iter_batches(rows, columns=list(used))


class _Polars:
    """A Parquet file that polars reads."""

    def __init__(self, path: Path) -> None:
        import polars as pl

        self.path = path
        with _blaming(str(path)):
            self._scanned = pl.scan_parquet(path, glob=False)
            self._schema = self._scanned.collect_schema()
        self.header: list[str] = self._schema.names()

    def empty(self) -> Any:
        """Return a frame without rows."""
        import polars as pl

        return pl.DataFrame(schema=self._schema)

    def batches(self, used: Sequence[str]) -> Iterator[Any]:
        """Yield the columns that are used of some rows at a time."""
        import polars as pl

        n = self._scanned.select(pl.len()).collect().item()
        step = max(_POLARS_NUMBERS // max(len(used), 1), _POLARS_LEAST_ROWS)
        for start in range(0, n, step):
            yield self._scanned.select(used).slice(start, step).collect()


def _files(path: Any) -> list[Path]:
    """Return the files that a path, or a list of paths, names."""
    if isinstance(path, list | tuple):
        if not path:
            raise ValueError("path is an empty list: expected at least one file")
        return [file for each in path for file in _files(each)]
    path = check_path("path", path)
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        if not files:
            raise FileNotFoundError(f"{path} is a folder without files *.parquet")
        return files
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    return [path]


def _engine(engine: str, reader: str) -> str:
    """Return the name of the library that is to read, which is installed."""
    if check_text("engine", engine) not in ("auto", "pyarrow", "polars"):
        raise unknown_name("engine", engine, ["auto", "pyarrow", "polars"])
    wanted = ("pyarrow", "polars") if engine == "auto" else (engine,)
    for name in wanted:
        if find_spec(name) is not None:
            return name
    raise ImportError(f"Dataset.{reader} needs {' or '.join(wanted)}: pip install 'xpnet[tables]'")


@contextmanager
def _blaming(where: str) -> Iterator[None]:
    """Turn a library's error about data that it cannot read into a ValueError that names them.

    Missing rights, libraries and memory are not the data's fault.
    """
    try:
        yield
    except (ImportError, MemoryError, PermissionError):
        raise
    except BaseException as error:
        # A PanicException of polars is not an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{where} cannot be read ({type(error).__name__}: {reason}): expected Parquet or "
            "Arrow data that are not damaged"
        ) from error


def _guarded(batches: Iterable[Any], where: str) -> Iterator[Any]:
    """Yield the batches; errors in the code that uses them are not turned into others."""
    with _blaming(where):
        iterator = iter(batches)
    while True:
        with _blaming(where):
            try:
                batch = next(iterator)
            except StopIteration:
                return
        yield batch
