"""The column of ids."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..strings import string_array
from .base import Rules
from .categories import categories_of, is_categorical
from .objects import are_strings, missing_cells

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

_LARGEST = int(np.iinfo(np.int64).max)


class IdColumn:
    """Reads ids, which are strings or integers, block by block.

    Parameters
    ----------
    name : str
    rules : Rules
    """

    def __init__(self, name: str, rules: Rules) -> None:
        self._what = f"{rules.where}, id={name!r}"
        self._blocks: list[np.ndarray] = []

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
        is_text = are_strings(self._what, cells, start)
        self._blocks.append(string_array(cells) if is_text else self._integers(cells, start))

    def _integers(self, cells: list[Any], start: int) -> np.ndarray:
        """Return integers as int64, or as uint64 if some are too large."""
        for row, cell in enumerate(cells, start):
            whole = isinstance(cell, (int, np.integer)) and not isinstance(cell, bool)
            if not whole or not -_LARGEST - 1 <= cell <= 2 * _LARGEST + 1:
                raise TypeError(
                    f"{self._what} has {cell!s} ({type(cell).__name__}) in row {row}: expected "
                    "strings, or integers of at most 64 bits"
                )
        kind = np.uint64 if max(cells) > _LARGEST else np.int64
        if kind is np.uint64 and min(cells) < 0:
            raise self._mixed()
        return np.array(cells, kind)

    def _mixed(self) -> TypeError:
        return TypeError(
            f"{self._what} has negative integers, and others above {_LARGEST}, which no type can "
            "hold together: give the ids as strings"
        )

    def ids(self) -> np.ndarray:
        """Return the ids of all rows."""
        blocks = self._blocks or [np.zeros(0, np.int64)]
        kinds = {block.dtype.kind for block in blocks}
        if len(kinds) > 1 and kinds not in ({"i", "u"}, {"O", "U"}):  # of Python objects
            raise TypeError(
                f"{self._what} has strings and integers: give the column only one of them"
            )
        if kinds == {"i", "u"}:
            if any(block.min() < 0 for block in blocks):
                raise self._mixed()
            blocks = [block.astype(np.uint64) for block in blocks]
        if kinds == {"U"}:
            lengths = [len(block) for block in blocks]
            widest = max(block.dtype.itemsize for block in blocks)
            if widest * sum(lengths) > 2 * sum(block.nbytes for block in blocks):
                blocks[0] = blocks[0].astype(object)  # so that all become objects
        found: np.ndarray = np.concatenate(blocks)
        return found
