"""Data sets from tables: CSV files, and the tables of :mod:`xpnet.data.from_frames`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ..backends._errors import shown
from ..common.checks import check_count, check_path, check_string
from ..common.keywords import FRAME, with_hints
from .from_frames import FromFrames
from .tables.csv.file import Format, read_csv
from .tables.selection import Request, keeps_missing


class FromTables(FromFrames):
    """Constructors that read tables; a base of :class:`xpnet.Dataset`."""

    @classmethod
    @with_hints(**FRAME)
    def from_csv(
        cls,
        path: str | Path,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        exclude: Sequence[str] = (),
        id: str | None = None,
        header: bool | None = None,
        delimiter: str | None = None,
        decimal: str = ".",
        missing: str = "error",
        encoding: str = "utf-8",
        compression: str | None = "infer",
        engine: str = "auto",
        memory_limit: int | None = None,
        max_bytes: int | None = None,
    ) -> Self:
        r"""Read a CSV file.

        A feature is numeric if all its cells are numbers, such as ``1``, ``-1.5``, ``1e-3`` or
        ``inf``. ``true`` and ``false`` become 1 and 0. Other text becomes categories: integer codes
        in ``X``, with their names in ``categories``. Spaces around cells are ignored. Columns that
        mix numbers and other text are refused, and so are columns of dates, times, or numbers with
        thousands separators, currencies, units, words or signs such as ``<``. A column in which
        every cell is a number with the same suffix, such as ``3.5k``, causes a warning.

        Parameters
        ----------
        path : str or Path
            A text file. Blank lines are skipped.
        label : str, optional
            The column that becomes ``y``. Numbers become ``int64`` if all are whole, otherwise
            ``float64``. Other text, including ``true`` and ``false``, becomes the classes 0, 1, ...
            (``int64``) in sorted order, with their names in ``class_names``. In a column that
            is mostly numbers, other text is refused.
        columns : sequence of str, optional
            The features, in this order. By default all columns that are not named by ``label``,
            ``exclude`` or ``id``.
        exclude : sequence of str, default ()
            Columns to leave out. Cells of unused columns are not checked.
        id : str, optional
            The column that identifies each row. It is kept in ``ids`` as strings, and is a feature
            only if ``columns`` also names it.
        header : bool, optional
            Whether the first line has the names of the columns. With False, the names are ``"0"``,
            ``"1"`` and so on. By default it has names, and is refused as a row of data if it has
            only numbers (other than 0, 1, 2, ...), or a number above a column of numbers, unless
            ``label``, ``columns``, ``exclude`` or ``id`` names that column.
        delimiter : str, optional
            One character. By default, a tab if the file's name ends in ``.tsv``; otherwise the
            character among ``, ; | tab`` that splits each of the first lines into the same number
            of cells.
        decimal : {".", ",", "infer"}, default "."
            The decimal sign. With "infer", it is a comma if the first rows of the columns in use
            have numbers such as ``1,5`` (in quotes, if commas separate cells) and none such as
            ``1.5``. A file that has both is refused, and so is one in which all commas may separate
            thousands, as in ``1,234``. If all points may separate thousands, as in ``1.034``, they
            are read as decimal points, with a warning if semicolons separate cells, or if other
            numbers of the column are like ``34``.
        missing : {"error", "keep"}, default "error"
            Whether missing cells are refused or kept. With "keep", a missing number or label is
            NaN, and a missing category has the last code, whose name is None. In a column of
            numbers, empty cells and ``NA``, ``N/A``, ``NaN``, ``null``, ``None``, ``?``, ``-`` and
            ``.`` count as missing, in upper or lower case. In a column of text, only empty cells,
            ``NaN``, ``null``, ``<NA>`` and ``#N/A`` do, since ``NA`` may be a name; the others
            become categories, with a warning.
            Networks refuse NaN: see :meth:`fill_missing` and :meth:`drop_missing`.
        encoding : str, default "utf-8"
            The file's encoding. A byte order mark of UTF-16 or UTF-32 overrides "utf-8".
        compression : {"infer", "gzip", "bz2", "xz", "zip", "zstd"} or None, default "infer"
            How the file is compressed; by default, this is detected from its first bytes.
        engine : {"auto", "pyarrow", "polars", "pandas", "csv"}, default "auto"
            The library that reads the file; by default, the first of these that is installed. The
            result is the same. "csv" is Python's own module, which is about ten times slower, but
            as fast as the others for few rows of many columns.
        memory_limit : int, optional
            The maximum size of the features in memory, in bytes; by default, half of the free
            memory. Larger features are written to a temporary file, in the folder that the
            environment variable ``TMPDIR`` names. ``X`` is then a memory map of that file, from
            which training, scoring and prediction are streamed. Ids that would take more are also
            kept in temporary files; labels stay in memory. The limit does not apply to the results
            of :meth:`rows` and :meth:`one_hot`.
        max_bytes : int, optional
            The maximum decompressed size of a compressed file; by default 1 GiB, or a hundred times
            the size of the file if that is more.

        Returns
        -------
        Dataset
            ``X`` is ``float64``.

        Raises
        ------
        FileNotFoundError
            There is no such file, or it is a folder, a pipe or a device.
        UnknownNameError
            The file lacks a column that an argument names, or the engine is not known.
        ImportError
            The engine, or a library that decompresses Zstandard, is not installed.
        TypeError
            An argument has the wrong type.
        ValueError
            The file is empty, damaged or too large, has no header, or is not in the encoding. Or a
            row has the wrong number of cells, or a cell is not valid in its column; the message
            states the line, the column and the cell. Or an argument has an invalid value.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from xpnet import Dataset
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "fruit.csv")
        ...     _ = path.write_text("name,colour,weight\nfig,green,40\nplum,red,55\n")
        ...     data = Dataset.from_csv(path, label="weight", id="name")
        >>> data.X.tolist(), data.y.tolist(), data.categories
        ([[0.0], [1.0]], [40, 55], {'colour': ['green', 'red']})
        """
        most = None if max_bytes is None else check_count("max_bytes", max_bytes)
        delimiter = _check_delimiter(delimiter, decimal)
        if not isinstance(header, bool | None):  # for pandas, 0 is a line with names
            raise TypeError(f"header={shown(header)}: expected True, False or None")
        encoding = check_string("encoding", encoding)
        written = Format(delimiter, decimal, encoding, compression, most, header)
        request = Request(label, columns, exclude, id, keeps_missing(missing))
        path = check_path("path", path)
        return cls._from_table(read_csv(path, written, request, engine, memory_limit))


def _check_delimiter(delimiter: str | None, decimal: str) -> str | None:
    if not isinstance(decimal, str) or decimal not in (".", ",", "infer"):
        raise ValueError(f"decimal={shown(decimal)}: expected '.', ',' or 'infer'")
    if delimiter is None:
        return None
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ValueError(f"delimiter={shown(delimiter)}: expected one character, e.g. ';'")
    if delimiter == decimal:
        raise ValueError(
            f"delimiter={delimiter!r} is also the decimal sign: leave one of them out"
            + (", and decimal='infer' finds commas in quotes" if delimiter == "," else "")
        )
    return delimiter
