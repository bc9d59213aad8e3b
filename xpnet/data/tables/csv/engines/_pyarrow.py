"""Reading CSV with pyarrow, which refuses rows with too few cells and cells of another type."""

import pyarrow as pa
import pyarrow.csv

from .base import Content, Engine, Layout


class PyArrow(Engine):
    """Reads blocks with :func:`pyarrow.csv.read_csv`."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        names = [str(place) for place in range(layout.n_columns)]
        types = {str(place): pa.float64() for place in layout.numbers}
        types |= {str(place): pa.string() for place in layout.texts}
        # In one piece and one thread, since other blocks are read in parallel.
        self._read = pa.csv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 30)
        self._parse = pa.csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True)
        self._convert = pa.csv.ConvertOptions(
            column_types=types,
            include_columns=list(map(str, layout.used)),
            null_values=list(self.MISSING),
            strings_can_be_null=False,
            decimal_point=layout.decimal,
        )

    def read(self, block: bytes) -> Content | None:
        """Return the cells of some rows, or None."""
        source = pa.BufferReader(block)
        try:
            table = pa.csv.read_csv(source, self._read, self._parse, self._convert)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        numbers = [table[str(place)] for place in self.layout.numbers]
        n_missing = sum(column.null_count for column in numbers)
        if n_missing and not self.layout.keeps_missing:
            return None
        texts = [table[str(place)].to_pylist() for place in self.layout.texts]
        return self.content([column.to_numpy() for column in numbers], n_missing, texts)
