"""The strings of a column, such as ids: in memory or, beyond a limit, in temporary files."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..chunks import rows_of
from ..stored import RowsOnDemand, read_rows
from .gathering import RowCollector
from .strings import bytes_of, string_array


class StoredTexts(RowsOnDemand):
    """Strings in temporary files; ``texts[rows]`` reads the selected strings into an array.

    Parameters
    ----------
    content : uint8 array or memory map
        All strings, in UTF-8.
    borders : int64 array or memory map of shape (n + 1,)
        The position in ``content`` where each string begins, and where the last string ends.
    """

    dtype = np.dtype(object)

    def __init__(self, content: np.ndarray, borders: np.ndarray) -> None:
        self._content, self._borders = content, borders
        self.shape = (len(borders) - 1,)

    def tolist(self) -> list[str]:
        """Return all strings."""
        found: list[str] = self[:].tolist()
        return found

    def _places(self, rows: Any) -> np.ndarray:
        n = len(self)
        if isinstance(rows, slice):
            return np.arange(*rows.indices(n))
        places = np.asarray(rows)
        if places.dtype.kind == "b":
            places = np.arange(n)[places]
        places = np.asarray(np.where(places < 0, places + n, places), np.int64)
        if ((places < 0) | (places >= n)).any():
            raise IndexError(f"index {rows} is out of range: there are {n} strings")
        return places

    def _read(self, places: np.ndarray) -> np.ndarray:
        ranges = np.stack([read_rows(self._borders, places + k) for k in (0, 1)], axis=1)
        content = read_rows(self._content, rows_of(ranges)).tobytes()
        ends = np.cumsum(ranges[:, 1] - ranges[:, 0]).tolist()
        return string_array(
            [
                content[start:end].decode("utf-8", "surrogatepass")
                for start, end in zip([0, *ends], ends, strict=False)
            ]
        )


class TextCollector:
    """Collects the strings of a column block by block; a context manager like `RowCollector`.

    Parameters
    ----------
    limit : float
        The maximum number of bytes in memory, where the strings are counted as Python objects.
    """

    def __init__(self, limit: float) -> None:
        self._limit, self._size = limit, 0
        self._blocks: list[np.ndarray] = []
        self._content, self._borders = RowCollector(1, np.uint8, 0), RowCollector(1, np.int64, 0)

    def __enter__(self) -> "TextCollector":
        return self

    def __exit__(self, *exception: object) -> None:
        self._content.__exit__(*exception)
        self._borders.__exit__(*exception)

    def add(self, texts: Sequence[str]) -> None:
        """Add one or more strings."""
        self._size += bytes_of(texts)
        self._blocks.append(string_array(texts))
        if self._size <= self._limit:
            return
        if not self._borders.n_rows:
            self._borders.add(np.zeros((1, 1), np.int64))
        for block in self._blocks:
            encoded = [text.encode("utf-8", "surrogatepass") for text in block.tolist()]
            ends = self._content.n_rows + np.cumsum([*map(len, encoded)])
            self._content.add(np.frombuffer(b"".join(encoded), np.uint8)[:, None])
            self._borders.add(ends[:, None])
        self._blocks.clear()

    def finish(self) -> Any:
        """Return all strings: an array of strings or of objects, or `StoredTexts`."""
        if self._borders.n_rows:
            return StoredTexts(self._content.finish({})[:, 0], self._borders.finish({})[:, 0])
        blocks = self._blocks
        if {block.dtype.kind for block in blocks} == {"U"}:
            widest = max(block.dtype.itemsize for block in blocks)
            if widest * sum(map(len, blocks)) > 2 * sum(block.nbytes for block in blocks):
                blocks[0] = blocks[0].astype(object)  # so that all become objects
        return np.concatenate(blocks)
