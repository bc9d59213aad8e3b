"""The column of ids."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..gathering import RowCollector
from ..texts import TextCollector
from .base import Rules
from .categories import categories_of, is_categorical
from .objects import are_strings, missing_cells

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

_LARGEST = int(np.iinfo(np.int64).max)


class IdColumn:
    """Reads ids, which are strings or integers, block by block; a context manager.

    Parameters
    ----------
    name : str
    rules : Rules
    limit : float
        The maximum size of the ids in memory, in bytes; see :class:`RowCollector`.
    """

    def __init__(self, name: str, rules: Rules, limit: float) -> None:
        self._what = f"{rules.where}, id={name!r}"
        self._texts, self._numbers = TextCollector(limit), RowCollector(1, np.int64, limit)
        self._least = self._largest = 0
        self._has_texts = False

    def __enter__(self) -> "IdColumn":
        return self

    def __exit__(self, *exception: object) -> None:
        self._texts.__exit__(*exception)
        self._numbers.__exit__(*exception)

    def read(self, series: "nw.Series[Any]", start: int) -> None:
        """Read the ids of a block whose first row has the number ``start``."""
        cells = series.to_list()
        if is_categorical(series.dtype):
            codes, names, _ = categories_of(self._what, series, only_used=True)
            cells = [names[code] if code >= 0 else None for code in codes]
        missing = missing_cells(cells)
        if missing.any():
            raise ValueError(
                f"{self._what} is missing in row {start + int(np.argmax(missing))}: expected a "
                "string or an integer for each row"
            )
        if are_strings(self._what, cells, start):
            self._texts.add(cells)
            self._has_texts = True
        else:
            self._add_integers(cells, start)
        if self._has_texts and self._numbers.n_rows:  # of Python objects
            raise TypeError(
                f"{self._what} has strings and integers: make all ids strings, or all integers"
            )

    def _add_integers(self, cells: list[Any], start: int) -> None:
        """Add integers as int64; if some exceed int64, as int64 with the bytes of uint64."""
        for row, cell in enumerate(cells, start):
            whole = isinstance(cell, (int, np.integer)) and not isinstance(cell, bool)
            if not whole or not -_LARGEST - 1 <= cell <= 2 * _LARGEST + 1:
                raise TypeError(
                    f"{self._what} has {cell!s} ({type(cell).__name__}) in row {row}: expected "
                    "strings, or integers of at most 64 bits"
                )
        self._least, self._largest = min(self._least, *cells), max(self._largest, *cells)
        if self._least < 0 and self._largest > _LARGEST:
            raise TypeError(
                f"{self._what} has negative integers and integers above {_LARGEST}, and no "
                "64-bit type holds both: give the ids as strings"
            )
        kind = np.uint64 if self._largest > _LARGEST else np.int64
        self._numbers.add(np.array(cells, kind).view(np.int64)[:, None])

    def finish(self) -> Any:
        """Return the ids of all rows: an array, a memory map, or `StoredTexts`."""
        if self._has_texts:
            return self._texts.finish()
        kind = np.uint64 if self._largest > _LARGEST else np.int64
        return self._numbers.finish({})[:, 0].view(kind)
