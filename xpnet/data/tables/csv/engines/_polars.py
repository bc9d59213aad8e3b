"""Reading CSV with polars, for which only an empty cell is a missing number."""

import inspect
from typing import Any

import polars as pl

from .base import Content, Engine, Layout


class Polars(Engine):
    """Reads blocks with :func:`polars.read_csv`."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        types = {place: pl.Float64 for place in layout.numbers}
        self._options: dict[str, Any] = {
            "has_header": False,
            "schema": {
                str(place): types.get(place, pl.String) for place in range(layout.n_columns)
            },
            "separator": layout.delimiter,
            "decimal_comma": layout.decimal == ",",
        }
        # The option has different names in polars 2 and polars 1.
        named = inspect.signature(pl.read_csv).parameters
        two = "empty_string_is_null" in named
        self._options |= (
            {"empty_string_is_null": False} if two else {"missing_utf8_is_empty_string": True}
        )

    def read(self, block: bytes) -> Content | None:
        """Return the cells of some rows, or None."""
        if self.layout.decimal != "." and b"." in block:  # polars would read both as decimal signs
            return None
        if b"\r" in block:
            if b'"' in block:
                return None
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        try:
            table = pl.read_csv(block, **self._options)
        except (pl.exceptions.PolarsError, UnicodeError):
            return None
        # A row with too few cells has been padded, so its last cell is missing.
        last = table[table.columns[-1]]
        if last.null_count() or (last.dtype == pl.String and (last == "").any()):
            return None
        numbers = [table[str(place)] for place in self.layout.numbers]
        n_missing = sum(column.null_count() for column in numbers)
        if n_missing and not self.layout.keeps_missing:
            return None
        texts = [table[str(place)].to_list() for place in self.layout.texts]
        if any(None in column for column in texts):
            return None
        return self.content([column.to_numpy() for column in numbers], n_missing, texts)
