"""Data sets from tables: CSV and Parquet files, Arrow data, data frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ..common.checks import check_path
from .csv import read_csv
from .from_frames import FromFrames
from .tables.table import Table


class FromTables(FromFrames):
    """The constructors of data sets that read tables."""

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        delimiter: str | None = None,
    ) -> Self:
        """Read a CSV file with a header row; every feature column holds numbers.

        Parameters
        ----------
        path : str or Path
            A file in UTF-8, not compressed. Empty and blank lines are skipped.
        label : str, optional
            The column that becomes ``y``. None of its cells may be missing (empty or "nan"). If all
            are whole numbers, ``y`` is ``int64``; if all are numbers, it is ``float64``. Otherwise
            the distinct texts, sorted, become the class indices 0, 1, ... (``int64``), and are kept
            in ``class_names``.
        columns : sequence of str, optional
            The columns that become ``X``, in this order; by default all but ``label``. Other
            columns may have any content.
        delimiter : str, optional
            One character. By default, a tab if the file's name ends in ``.tsv``; otherwise
            detected from the first lines, among ``, ; | tab``.

        Returns
        -------
        Dataset
            ``X`` is ``float64``.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        UnknownNameError
            The file does not have the column ``label``, or one of ``columns``.
        ValueError
            The file is empty or compressed, or has no header or a column without a name. Or a row
            has the wrong number of cells or a cell that is not a number; the message has the line.
        """
        names, X, y, class_names = read_csv(check_path("path", path), label, columns, delimiter)
        return cls._from_table(Table(names, X, y=y, label_name=label, class_names=class_names))
