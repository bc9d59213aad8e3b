"""Reading Arrow streams and Parquet files, some rows at a time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ....backends import unknown_name
from ....common.checks import check_path, check_string
from ..gathering import feature_memory_limit
from ..selection import Request
from ..table import Table
from .frame_types import column_names
from .frames import check_same, read_batches, read_frame, used_columns

_BUFFER = 1 << 16
"""How many bytes of each column pyarrow reads at a time; it also holds a page of each column."""

_NUMBERS, _MIN_ROWS, _MAX_ROWS = 1 << 18, 1 << 12, 1 << 16
"""About how many numbers pyarrow decodes at a time, and the minimum and maximum of rows.

Each column of a piece has a fixed cost, which equals that of decoding a few thousand numbers.
"""

_POLARS_NUMBERS, _POLARS_MIN_ROWS = 1 << 20, 1 << 14
"""The same for polars, whose fixed cost is higher."""


def read_arrow(data: Any, request: Request, memory_limit: int | None) -> Table:
    """Read Arrow data; see :meth:`xpnet.Dataset.from_arrow`."""
    limit = feature_memory_limit(memory_limit)
    if column_names(data) is not None:
        return read_frame(data, "data", request, limit=limit)
    if hasattr(data, "scanner"):  # a pyarrow dataset
        data = data.scanner()
    if not hasattr(data, "__arrow_c_stream__") and not hasattr(data, "to_reader"):
        raise TypeError(
            f"data is a {type(data).__name__}: expected an Arrow table or stream, which has "
            "the method __arrow_c_stream__"
        )
    if _engine("auto", "from_arrow") == "polars":
        import polars as pl

        with _errors_naming("data"):
            frame = pl.DataFrame(data)
        return read_frame(frame, "data", request, limit=limit)
    import pyarrow as pa

    with _errors_naming("data"):
        if hasattr(data, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(data)
        else:
            reader = data.to_reader()
    schema = reader.schema
    return read_batches(
        schema.empty_table(),
        _with_errors_naming("data", reader),
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
    limit = feature_memory_limit(memory_limit)
    source = _Arrow if _engine(engine, "from_parquet") == "pyarrow" else _Polars
    files = [source(each) for each in paths]
    first = files[0]
    used = used_columns(where, first.header, request)
    for file in files[1:]:
        check_same(used, first.empty(), str(first.path), file.empty(), str(file.path))
    return read_batches(
        first.empty(),
        (batch for file in files for batch in _with_errors_naming(file.path, file.batches(used))),
        where,
        request,
        limit=limit,
    )


class _Arrow:
    """A Parquet file read with pyarrow."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        with _errors_naming(path), pq.ParquetFile(path) as file:
            self._schema = file.schema_arrow
        self.header: list[str] = self._schema.names

    def empty(self) -> Any:
        """Return a table without rows."""
        return self._schema.empty_table()

    def batches(self, used: Sequence[str]) -> Iterator[Any]:
        """Yield tables of some rows at a time, with the columns that are used."""
        import pyarrow.parquet as pq

        # By default, pyarrow reads ahead whole row groups, which may be as large as the file.
        with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=_BUFFER) as file:
            rows = min(max(_NUMBERS // max(len(used), 1), _MIN_ROWS), _MAX_ROWS)
            yield from file.iter_batches(rows, columns=list(used))


class _Polars:
    """A Parquet file read with polars."""

    def __init__(self, path: Path) -> None:
        import polars as pl

        self.path = path
        with _errors_naming(path):
            self._scanned = pl.scan_parquet(path, glob=False)
            self._schema = self._scanned.collect_schema()
        self.header: list[str] = self._schema.names()

    def empty(self) -> Any:
        """Return a frame without rows."""
        import polars as pl

        return pl.DataFrame(schema=self._schema)

    def batches(self, used: Sequence[str]) -> Iterator[Any]:
        """Yield frames of some rows at a time, with the columns that are used."""
        import polars as pl

        n = self._scanned.select(pl.len()).collect().item()
        step = max(_POLARS_NUMBERS // max(len(used), 1), _POLARS_MIN_ROWS)
        for start in range(0, n, step):
            yield self._scanned.select(used).slice(start, step).collect()


def _files(path: Any) -> list[Path]:
    """Return the files at a path or a list of paths."""
    if isinstance(path, list | tuple):
        if not path:
            raise ValueError("path is an empty list: expected at least one file")
        return [file for each in path for file in _files(each)]
    path = check_path("path", path)
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        if not files:
            raise FileNotFoundError(f"{path} is a folder without *.parquet files")
        return files
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    return [path]


def _engine(engine: str, reader: str) -> str:
    """Return the name of the library to read with, after checking that it is installed."""
    if check_string("engine", engine) not in ("auto", "pyarrow", "polars"):
        raise unknown_name("engine", engine, ["auto", "pyarrow", "polars"])
    wanted = ("pyarrow", "polars") if engine == "auto" else (engine,)
    for name in wanted:
        if find_spec(name) is not None:
            return name
    raise ImportError(f"Dataset.{reader} needs {' or '.join(wanted)}: pip install {wanted[0]}")


@contextmanager
def _errors_naming(where: str | Path) -> Iterator[None]:
    """Convert a library's errors about unreadable data to a ValueError that names the data.

    Errors about permissions, missing libraries and memory are not converted.
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
            f"{where} cannot be read ({type(error).__name__}: {reason}): expected undamaged "
            "Parquet or Arrow data"
        ) from error


def _with_errors_naming(where: str | Path, batches: Iterable[Any]) -> Iterator[Any]:
    """Yield batches; only errors in reading them, not in the code that uses them, are converted."""
    with _errors_naming(where):
        iterator = iter(batches)
    while True:
        with _errors_naming(where):
            try:
                batch = next(iterator)
            except StopIteration:
                return
        yield batch
