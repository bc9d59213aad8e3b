"""The column of ids."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Rules
from .categories import categories_of, is_categorical
from .objects import are_texts, missing_cells

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


class IdColumn:
    """Reads ids block by block: texts or integers.

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
            codes, names, _ = categories_of(self._what, series)
            cells = [names[code] if code >= 0 else None for code in codes]
        missing = missing_cells(cells)
        if missing.any():
            raise ValueError(
                f"{self._what} is missing in row {start + int(np.argmax(missing))}: expected a "
                "text or an integer for each row"
            )
        are_texts(self._what, cells, start)
        if cells:
            self._blocks.append(self._checked(np.array(cells)))

    def _checked(self, ids: np.ndarray) -> np.ndarray:
        if ids.dtype.kind in "iuU":
            return ids
        raise TypeError(
            f"{self._what} has {ids[0]!r}, expected texts, or integers of at most 64 bits"
        )

    def ids(self) -> np.ndarray:
        """Return the ids of all rows."""
        if not self._blocks:
            return np.zeros(0, np.int64)
        found: np.ndarray = np.concatenate(self._blocks)
        return self._checked(found)
