"""Data sets from tables whose columns have types: data frames, Arrow data, Parquet files."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from .tables.selection import Request, keeps_missing
from .tables.table import Table
from .tables.typed.frames import read_frame
from .tables.typed.streams import read_arrow, read_parquet


class FromFrames:
    """The constructors of data sets that read tables whose columns have types."""

    @classmethod
    @abstractmethod
    def _from_table(cls, table: Table) -> Self:
        """Return the data set of a table."""

    @classmethod
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
        """Make a data set of a data frame whose columns are features, a label and others.

        Texts and categories become whole numbers 0, 1, ..., and their names are kept in
        ``categories``. The names of texts are sorted. Categorical types keep their own order; those
        without one (the type Categorical of polars, and Arrow dictionaries that change within a
        column) are sorted.

        Parameters
        ----------
        frame : data frame
            Of pandas or polars, a table or a record batch of pyarrow, or another that Narwhals
            knows and that is in memory. Numbers, booleans, texts and categories. The index of
            pandas is not read.
        label : str, optional
            The column that becomes ``y``. Whole numbers become ``int64``, other numbers
            ``float64``. Texts, categories and booleans become the classes 0, 1, ... (``int64``),
            and their names are kept in ``class_names``.
        columns : sequence of str, optional
            The features, in this order; by default all columns that are not named otherwise.
        exclude : sequence of str, default ()
            Columns that are left out.
        id : str, optional
            A column of texts or integers that names the rows. It is kept in ``ids``, as an array of
            shape (n_samples,).
        missing : "error" or "keep", default "error"
            Whether missing cells are refused or kept. A missing number or label is kept as NaN. A
            missing category is a category of its own, the last one, whose name is None. Missing are
            None, NaN, and texts that say so, such as "" and "null".

        Returns
        -------
        Dataset
            ``X`` has a type that holds all columns exactly: integers if all columns are integers or
            categories. With ``missing="keep"`` it is ``float64`` where a column of whole numbers
            or booleans has missing cells, or a feature is text.

        Raises
        ------
        UnknownNameError
            The frame does not have a column.
        TypeError
            It is a lazy frame. Or a column has dates, durations, complex numbers, lists or other
            objects, numbers and texts, or numbers written as text.
        ValueError
            A cell is missing. Or an integer has more digits than ``X`` can hold.

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
        """Read Arrow data, such as the result of a query, one batch after another.

        Parameters
        ----------
        data : object with the method ``__arrow_c_stream__``
            A reader of record batches, a result of DuckDB, a data frame; also a data set or a
            scanner of pyarrow. It is read once.
        label, columns, exclude, id, missing
            See `from_frame`; but the names of all categories are sorted, without those that no row
            has. With ``missing="keep"``, whole numbers and booleans that the stream allows to be
            missing become ``float64``, since later batches may lack some.
        memory_limit : int, optional
            The most bytes of numbers to keep in memory; by default half of the free memory. If
            there are more, ``X`` is a memory map of a temporary file.

        Returns
        -------
        Dataset

        Raises
        ------
        TypeError, ValueError
            As in `from_frame`; or ``data`` is something else, or fails to give its batches.
        ImportError
            Neither pyarrow nor polars is installed. Without pyarrow, polars reads all batches into
            memory first.

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
        """Read a Parquet file, or several, some rows at a time and only the columns in use.

        Parameters
        ----------
        path : str, Path or list of them
            A file; or a folder, whose files ``*.parquet`` are read in the order of their names. All
            files must have the same types in the columns that are read.
        label, columns, exclude, id, missing
            See `from_frame`; but the names of all categories are sorted, without those that no row
            has. With ``missing="keep"``, whole numbers and booleans become ``float64``, since later
            rows may lack some. An index of pandas without a name is a feature only if ``columns``
            has it.
        engine : "auto", "pyarrow" or "polars", default "auto"
            The library that decodes the file: pyarrow if it is installed. Both give the same data
            set. Polars decodes more rows at a time.
        memory_limit : int, optional
            See `from_arrow`.

        Returns
        -------
        Dataset

        Raises
        ------
        FileNotFoundError
            There is no such file, or no file in the folder.
        UnknownNameError
            There is no such column or engine.
        TypeError, ValueError
            As in `from_frame`; or a file is damaged, or not a Parquet file.
        ImportError
            The library is not installed.

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
