"""Reading CSV with pandas."""

import io
from typing import Any

import numpy as np
import pandas as pd

from .base import Content, Engine, Layout


class Pandas(Engine):
    """Reads blocks with :func:`pandas.read_csv`, which uses one thread for each block."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        numbers = set(layout.numbers)
        self._options: dict[str, Any] = {
            "header": None,
            "names": range(layout.n_columns),
            "dtype": {
                place: np.float64 if place in numbers else str for place in range(layout.n_columns)
            },
            "sep": layout.delimiter,
            "decimal": layout.decimal,
            "keep_default_na": False,
            "na_filter": layout.keeps_missing,  # without it, empty cells are refused
            "na_values": {place: list(self.MISSING) for place in layout.numbers},
            "encoding_errors": "strict",
            "low_memory": False,  # blocks are small enough
        }
        if int(pd.__version__.partition(".")[0]) < 3:  # the default may be wrong in the last digit
            self._options["float_precision"] = "round_trip"

    def read(self, block: bytes) -> Content | None:
        """Return the cells of some rows, or None."""
        # pandas may lose an empty cell after \r. Looking for one byte first is much faster.
        if b"\r" in block and b"\r" + self.layout.delimiter.encode() in block:
            return None
        try:
            table = pd.read_csv(io.BytesIO(block), **self._options)
        except ValueError:  # the errors of pandas's parser are ValueErrors
            return None
        # If the first row has too many cells, pandas takes the first for an index.
        if not len(table) or not isinstance(table.index, pd.RangeIndex):
            return None
        # A row with too few cells has been padded, so its last cell is missing.
        last = table[self.layout.n_columns - 1]
        if last.isna().any() or (last.dtype.kind != "f" and (last == "").any()):
            return None
        columns = [table[place].to_numpy() for place in self.layout.numbers]
        if _may_be_true_or_false(columns, block):
            return None
        n_missing = 0
        if self.layout.keeps_missing:
            n_missing = int(sum(np.isnan(column).sum() for column in columns))
        texts = [table[place].tolist() for place in self.layout.texts]
        if not all(isinstance(cell, str) for column in texts for cell in column):
            return None
        return self.content(columns, n_missing, texts)


def _may_be_true_or_false(columns: list[np.ndarray], block: bytes) -> bool:
    """Whether a column may have cells true and false, which pandas reads as 1 and 0."""
    flags = (0.0, 1.0)
    if not any(
        (column[0] in flags or np.isnan(column[0]))
        and np.all(np.isin(column, flags) | np.isnan(column))
        for column in columns
    ):
        return False
    small = block.lower()
    return b"true" in small or b"false" in small
