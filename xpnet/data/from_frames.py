"""Data sets from tables whose columns have types: data frames, Arrow data, Parquet files."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from ..common.keywords import FRAME, with_hints
from .tables.selection import Request, keeps_missing
from .tables.table import Table
from .tables.typed.frames import read_frame
from .tables.typed.streams import read_arrow, read_parquet


class FromFrames:
    """Constructors of :class:`xpnet.Dataset` that read tables whose columns have types."""

    @classmethod
    @abstractmethod
    def _from_table(cls, table: Table) -> Self:
        """Return a data set with the content of a table."""

    @classmethod
    @with_hints(**FRAME)
    def from_frame(
        cls,
        frame: Any,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        exclude: Sequence[str] = (),
        id: str | None = None,
        missing: str = "error",
    ) -> Self:
        """Make a data set from a data frame.

        Features of strings and of categorical types become categories: codes 0, 1, ... in ``X``,
        with their names in ``categories``. The names are the unchanged strings; two that differ
        only in spaces around them are refused. Names of string features are sorted. Categorical
        types keep their order, unless they have none (polars's Categorical, and Arrow dictionaries
        that change within a column): then the names are sorted.

        Parameters
        ----------
        frame : data frame
            A pandas or polars data frame, a pyarrow table or record batch, or another frame in
            memory that Narwhals supports, with columns of numbers, booleans, strings or categories.
            The index of a pandas frame is not read.
        label : str, optional
            The column that becomes ``y``. Integers become ``int64``, and so do floats if all are
            whole; other numbers become ``float64``. Strings, categories and booleans become the
            classes 0, 1, ... (``int64``), with their names in ``class_names``.
        columns : sequence of str, optional
            The features, in this order. By default all columns that are not named by ``label``,
            ``exclude`` or ``id``.
        exclude : sequence of str, default ()
            Columns to leave out.
        id : str, optional
            The column of strings or integers that identifies each row. It is kept in ``ids``, and
            is a feature only if ``columns`` also names it.
        missing : {"error", "keep"}, default "error"
            Whether missing cells are refused or kept. With "keep", a missing number or label is
            NaN, and a missing category has the last code, whose name is None. None, NaN, and
            strings such as "" and "null" count as missing, even in categorical types. Strings such
            as "NA" are names; in string columns, they cause a warning. See :meth:`fill_missing` and
            :meth:`drop_missing`.

        Returns
        -------
        Dataset
            ``X`` has the common dtype of all features, which is an integer type if all of them are
            integers or categories. With ``missing="keep"`` it is ``float64`` if integers or
            booleans have missing cells, or if any feature is a string column.

        Raises
        ------
        UnknownNameError
            The frame lacks a column that an argument names.
        TypeError
            ``frame`` is a lazy frame, or not a frame. Or a column has dates, durations, complex
            numbers, lists or other objects, both numbers and strings, or numbers written as text.
        ValueError
            A cell is missing, or an integer has more digits than the dtype of ``X`` can hold. Or
            the frame has no rows, or two columns of the same name.

        Examples
        --------
        >>> import pandas as pd
        >>> from xpnet import Dataset
        >>> frame = pd.DataFrame({"size": [1, 3], "hue": ["red", "blue"], "price": [2.5, 4.0]})
        >>> data = Dataset.from_frame(frame, label="price")
        >>> data.X, data.categories
        (array([[1, 1],
               [3, 0]]), {'hue': ['blue', 'red']})
        """
        request = Request(label, columns, exclude, id, keeps_missing(missing))
        return cls._from_table(read_frame(frame, "frame", request))

    @classmethod
    @with_hints(**FRAME)
    def from_arrow(
        cls,
        data: Any,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        exclude: Sequence[str] = (),
        id: str | None = None,
        missing: str = "error",
        memory_limit: int | None = None,
    ) -> Self:
        """Read Arrow data, such as the result of a query, batch by batch.

        Parameters
        ----------
        data : object with the method ``__arrow_c_stream__``
            E.g. a reader of record batches, a DuckDB result or a data frame. A pyarrow dataset or
            scanner is accepted, too. The data are read once.
        label, columns, exclude, id, missing
            See `from_frame`; but all category names are sorted, and names that occur in no row are
            left out. With ``missing="keep"``, integers and booleans become ``float64`` unless the
            schema says that they are never null, since a later batch may have missing values.
        memory_limit : int, optional
            The maximum size of the features in memory, in bytes; by default, half of the free
            memory. Larger features are written to a temporary file, and ``X`` is a memory map of
            this file. If the ids exceed the maximum, they are also kept in temporary files.

        Returns
        -------
        Dataset

        Raises
        ------
        TypeError, ValueError
            As for `from_frame`; or ``data`` is not Arrow data, or reading a batch fails.
        ImportError
            Neither pyarrow nor polars is installed. With polars alone, all batches are first read
            into memory.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from xpnet import Dataset
        >>> table = pa.table({"size": [1.0, 3.0], "price": [2, 4]})
        >>> Dataset.from_arrow(table.to_reader(), label="price")
        Dataset(2 samples, 1 features of float64 on cpu, labels of int64)
        """
        request = Request(label, columns, exclude, id, keeps_missing(missing))
        return cls._from_table(read_arrow(data, request, memory_limit))

    @classmethod
    @with_hints(**FRAME)
    def from_parquet(
        cls,
        path: str | Path | Sequence[str | Path],
        label: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        exclude: Sequence[str] = (),
        id: str | None = None,
        missing: str = "error",
        engine: str = "auto",
        memory_limit: int | None = None,
    ) -> Self:
        """Read one or more Parquet files, some rows at a time, and only the columns in use.

        Parameters
        ----------
        path : str, Path or list of them
            A file; or a folder, whose ``*.parquet`` files are read in the order of their names. The
            columns that are read must have the same types in all files.
        label, columns, exclude, id, missing
            See `from_frame`; but all category names are sorted, and names that occur in no row are
            left out. With ``missing="keep"``, integers and booleans become ``float64``, since later
            rows may have missing values. A pandas index without a name is a feature only if
            ``columns`` has it.
        engine : {"auto", "pyarrow", "polars"}, default "auto"
            The library that decodes the files; by default, pyarrow if it is installed. The result
            is the same. Polars decodes more rows at a time, which takes more memory.
        memory_limit : int, optional
            See `from_arrow`.

        Returns
        -------
        Dataset

        Raises
        ------
        FileNotFoundError
            There is no such file, or the folder has no ``*.parquet`` file.
        UnknownNameError
            There is no such column or engine.
        TypeError, ValueError
            As for `from_frame`; or a file is damaged, is not a Parquet file, or has columns of
            other types than the first file.
        ImportError
            The engine is not installed.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import pandas as pd
        >>> from xpnet import Dataset
        >>> frame = pd.DataFrame({"size": [1.0, 3.0], "price": [2, 4]})
        >>> with TemporaryDirectory() as folder:
        ...     frame.to_parquet(f"{folder}/prices.parquet")
        ...     Dataset.from_parquet(f"{folder}/prices.parquet", label="price")
        Dataset(2 samples, 1 features of float64 on cpu, labels of int64)
        """
        request = Request(label, columns, exclude, id, keeps_missing(missing))
        return cls._from_table(read_parquet(path, request, engine, memory_limit))
