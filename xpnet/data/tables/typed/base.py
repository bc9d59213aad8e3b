"""What all columns of typed tables have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


@dataclass(frozen=True)
class Rules:
    """What is said about a table that is read, and what may be in it.

    Attributes
    ----------
    where : str
        What the table is called in messages.
    keeps_missing : bool
        Whether cells may be missing.
    advice : str
        What to do about missing cells.
    is_whole : bool
        Whether the table comes as one frame. Then all missing cells of a column can be counted, and
        categorical types keep the order of their names, and those that no row has. Otherwise
        both depend on the library that reads a file or stream: the names of all rows are sorted.
    may_be_empty : bool, default False
        Whether it may have no rows.
    """

    where: str
    keeps_missing: bool
    advice: str
    is_whole: bool
    may_be_empty: bool = False

    def refuse_missing(self, what: str, missing: np.ndarray, start: int) -> None:
        """Refuse missing cells unless they may be; ``missing`` has a boolean for each row."""
        if self.keeps_missing or not missing.any():
            return
        has, first = "a missing value", "in"
        if self.is_whole:
            has, first = f"{np.count_nonzero(missing)} missing value(s)", "the first in"
        separator = ", " if self.is_whole else " "
        raise ValueError(
            f"{what} has {has} (NaN or None){separator}{first} row "
            f"{start + int(np.argmax(missing))}: {self.advice}"
        )


@dataclass(frozen=True)
class Result:
    """What the numbers stand for that a column has given.

    Attributes
    ----------
    values : array or None
        The number that replaces each of them, if they are codes 0, 1, ...
    names : list or None
        The names of the categories, if it has some.
    """

    values: np.ndarray | None = None
    names: list[str | None] | None = None


class Column(ABC):
    """A column of a table that comes in blocks of rows.

    Attributes
    ----------
    dtype : NumPy dtype
        A type that holds the numbers of all blocks, and those that replace them in the end.
    """

    is_code = False

    def __init__(self, name: str, rules: Rules, dtype: Any) -> None:
        self.what = f"{rules.where}, column {name!r}"
        self.rules, self.dtype = rules, np.dtype(dtype)

    @abstractmethod
    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the numbers of a block whose first row has the number ``start``."""

    def feature(self) -> Result:
        """Return what the numbers stand for if the column is a feature."""
        return Result()

    @abstractmethod
    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return all of the column's numbers as a label, and the names of its classes or None."""
