"""Columns that name the rows."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Rules
from .categories import categories_of, is_categorical
from .objects import are_texts, missing_cells

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


class IdColumn:
    """The names of the rows: texts or integers.

    Parameters
    ----------
    name : str
    rules : Rules
    """

    def __init__(self, name: str, rules: Rules) -> None:
        self._what = f"{rules.where}, id={name!r}"
        self._blocks: list[np.ndarray] = []

    def read(self, series: "nw.Series[Any]", start: int) -> None:
        """Read the names of a block of rows."""
        cells = series.to_list()
        if is_categorical(series.dtype):
            codes, names, _ = categories_of(self._what, series)
            cells = [names[code] if code >= 0 else None for code in codes]
        missing = missing_cells(cells)
        if missing.any():
            raise ValueError(
                f"{self._what} has no name in row {start + int(np.argmax(missing))}: expected a "
                "text or an integer for each row"
            )
        are_texts(self._what, cells, start)
        if cells:
            self._blocks.append(self._checked(np.array(cells)))

    def _checked(self, names: np.ndarray) -> np.ndarray:
        if names.dtype.kind in "iuU":
            return names
        raise TypeError(
            f"{self._what} has {names[0]!r}, expected texts, or integers of at most 64 bits"
        )

    def ids(self) -> np.ndarray:
        """Return all names."""
        if not self._blocks:
            return np.zeros(0, np.int64)
        found: np.ndarray = np.concatenate(self._blocks)
        return self._checked(found)
