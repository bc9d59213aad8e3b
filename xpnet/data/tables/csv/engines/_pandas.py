"""CSV by pandas."""

import io
import warnings
from typing import Any

import numpy as np
import pandas as pd

from .base import Content, Engine, Layout


class Pandas(Engine):
    """Reads blocks by :func:`pandas.read_csv`."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        numbers = set(layout.numbers)
        self._options: dict[str, Any] = {
            "header": None,
            "names": range(layout.n_columns),
            "index_col": False,
            "dtype": {
                place: np.float64 if place in numbers else str for place in range(layout.n_columns)
            },
            "sep": layout.delimiter,
            "decimal": layout.decimal,
            "keep_default_na": False,
            "na_filter": layout.keeps_missing,  # without it, empty cells are refused
            "na_values": {place: list(self.MISSING) for place in layout.numbers},
            "encoding_errors": "strict",
        }
        if int(pd.__version__.partition(".")[0]) < 3:  # its default may be wrong in the last digit
            self._options["float_precision"] = "round_trip"

    def read(self, block: bytes) -> Content | None:
        """Return the cells of some rows, or None."""
        if b"\r" + self.layout.delimiter.encode() in block:  # it may lose the empty cell between
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # e.g. about rows that were cut
                table = pd.read_csv(io.BytesIO(block), **self._options)
        except (ValueError, Warning):  # its own errors are ValueErrors
            return None
        # A row with too few cells has been padded, so its last cell is missing.
        last = table[self.layout.n_columns - 1]
        if last.isna().any() or (last.dtype.kind != "f" and (last == "").any()):
            return None
        columns = [table[place].to_numpy() for place in self.layout.numbers]
        if _may_be_true_or_false(columns, block):
            return None
        n_missing = int(sum(np.isnan(column).sum() for column in columns))
        if n_missing and not self.layout.keeps_missing:
            return None
        texts = [table[place].tolist() for place in self.layout.texts]
        if not all(isinstance(cell, str) for column in texts for cell in column):
            return None
        return self.content(columns, n_missing, texts)


def _may_be_true_or_false(columns: list[np.ndarray], block: bytes) -> bool:
    """Whether a column may have the texts true and false, which pandas reads as 1 and 0."""
    flags = (0.0, 1.0)
    if not any(np.all(np.isin(column, flags) | np.isnan(column)) for column in columns):
        return False
    small = block.lower()
    return b"true" in small or b"false" in small
