"""The base class of the readers of typed columns, and the rules for a table."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..strings import Meaning

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


@dataclass(frozen=True)
class Rules:
    """The name of a table in messages, and what it may contain.

    Attributes
    ----------
    where : str
        The name of the table in messages.
    keeps_missing : bool
        Whether cells may be missing.
    advice : str
        What to do about missing cells.
    is_whole : bool
        Whether the table is a single frame. Then all missing cells of a column can be counted, and
        categorical types keep all names, in their order. In a file or stream, the order and the
        names that occur in no row depend on the library: only names that occur are kept, sorted.
    may_be_empty : bool, default False
        Whether it may have no rows.
    """

    where: str
    keeps_missing: bool
    advice: str
    is_whole: bool
    may_be_empty: bool = False

    def refuse_missing(self, what: str, missing: np.ndarray, start: int) -> None:
        """Refuse missing cells unless they are to be kept.

        Parameters
        ----------
        what : str
            The name of the column in messages.
        missing : bool array of shape (k,)
            Whether each cell of a block is missing.
        start : int
            The number of the block's first row.
        """
        if self.keeps_missing or not missing.any():
            return
        has = "a missing value (NaN or None) in"
        if self.is_whole:
            has = f"{np.count_nonzero(missing)} missing value(s) (NaN or None), the first in"
        raise ValueError(f"{what} has {has} row {start + int(np.argmax(missing))}: {self.advice}")


class Column(ABC):
    """Reads a column block by block.

    Attributes
    ----------
    dtype : NumPy dtype
        A dtype that holds the result of :meth:`read` for every block, and the numbers that replace
        codes in the end.
    is_code : bool
        Whether :meth:`read` returns codes, whose meaning is known only after the last block.
    """

    is_code = False

    def __init__(self, name: str, rules: Rules, dtype: Any) -> None:
        self.what = f"{rules.where}, column {name!r}"
        self.rules, self.dtype = rules, np.dtype(dtype)

    @abstractmethod
    def read(self, series: "nw.Series[Any]", start: int) -> np.ndarray:
        """Return the numbers or codes of a block whose first row has the number ``start``."""

    def feature(self) -> Meaning | None:
        """Return what the codes of a feature stand for; None if :meth:`read` returns numbers."""
        return None

    @abstractmethod
    def label(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
        """Return the label, and the names of its classes or None.

        Parameters
        ----------
        numbers : array of shape (n,)
            The results of :meth:`read` for all blocks.
        """
