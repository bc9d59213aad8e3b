"""The base class of the engines, with the layout and the content of blocks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """The columns of a CSV file, and how its cells are written.

    Attributes
    ----------
    n_columns : int
        The number of cells in each row.
    numbers, texts : list of int
        The positions of the columns that are read as numbers, and as text.
    delimiter, decimal : str
    keeps_missing : bool
        Whether numbers may be missing.
    """

    n_columns: int
    numbers: list[int]
    texts: list[int]
    delimiter: str
    decimal: str
    keeps_missing: bool

    @property
    def used(self) -> list[int]:
        """The positions of all columns that are read, in the order of the file."""
        return sorted([*self.numbers, *self.texts])


class Content(NamedTuple):
    """The cells of some rows.

    Attributes
    ----------
    numbers : float64 array of shape (k, n)
        The columns of numbers, in the layout's order, with NaN for missing numbers.
    texts : list of list of str
        The columns of text.
    """

    numbers: np.ndarray
    texts: list[list[str]]


class Engine(ABC):
    """Reads blocks of a CSV file with a library.

    The result must be the same as with Python's ``csv`` and ``float``. So an engine refuses every
    block that it might read differently, and ``csv`` reads that block instead.

    Parameters
    ----------
    layout : Layout
    """

    MISSING = (
        "", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "?", "-", "<NA>", "#N/A",
    )  # fmt: skip
    """The usual text for missing numbers; blocks with other such text are left to ``csv``."""

    MIN_ROWS = 40
    """With fewer rows, a library's overhead for each column costs more than it saves."""

    BLOCKS = 2
    """How many blocks are read in parallel, while others become rows of the table."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @abstractmethod
    def read(self, block: bytes) -> Content | None:
        """Return the cells of some complete rows, or None if they may not be what ``csv`` reads.

        Parameters
        ----------
        block : bytes
            Lines in UTF-8, whose quotes begin or end cells or are doubled within them.
        """

    def content(
        self, columns: Sequence[np.ndarray], n_missing: int, texts: list[list[str]]
    ) -> Content | None:
        """Return the cells, or None if a number is in doubt.

        Infinite and very large numbers are in doubt, because integers may have lost digits; and so
        is NaN, unless the library reports the cell as missing.
        """
        numbers = np.stack(columns, axis=1) if columns else np.empty((len(texts[0]), 0))
        if not numbers.size:
            return Content(numbers, texts)
        largest = max(np.max(numbers), -np.min(numbers))
        if np.isnan(largest) and self.layout.keeps_missing:
            missing = np.isnan(numbers)
            if np.sum(missing) != n_missing or missing.all():
                return None
            largest = max(np.nanmax(numbers), -np.nanmin(numbers))
        return Content(numbers, texts) if largest < 2.0**53 else None
