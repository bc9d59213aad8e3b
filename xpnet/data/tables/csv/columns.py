"""Collecting the columns of a CSV file, and making a table from them."""

import math

import numpy as np

from ..gathering import RowCollector
from ..selection import Selection
from ..strings import (
    CellError,
    Meaning,
    StringCodes,
    feature_meaning,
    label_meaning,
)
from ..table import Table
from ..texts import TextCollector
from .engines.base import Content, Layout


class Columns:
    """Collects the rows of a file and makes a table from them; a context manager.

    Parameters
    ----------
    selection : Selection
    layout : Layout
    limit : float
        The maximum size in memory of the features, and of the ids; see :class:`RowCollector`.

    Attributes
    ----------
    doubts : list of (int, str, str)
        Every `Meaning.doubts` of all columns, after the position of the column; set by `table`.
    """

    def __init__(self, selection: Selection, layout: Layout, limit: float) -> None:
        self._selection, self._layout = selection, layout
        self._rows = RowCollector(len(selection.places), np.float64, limit)
        kind = np.float64 if selection.label in layout.numbers else np.int64
        self._label = RowCollector(1, kind, math.inf)  # codes, or numbers
        self._ids = TextCollector(limit)
        target = {place: k for k, place in enumerate(selection.places)}
        texts = [place for place in layout.texts if place != selection.id or place in target]
        self._texts = {place: StringCodes(of_file=True) for place in texts}
        self.doubts: list[tuple[int, str, str]] = []
        # The columns of numbers that are features, and their positions among the features.
        found = [(k, target[each]) for k, each in enumerate(layout.numbers) if each in target]
        self._from, self._to = [k for k, _ in found], [k for _, k in found]
        self._straight = self._from == self._to == list(range(len(layout.numbers)))
        self._straight &= len(self._to) == len(target)
        self._target = target

    def __enter__(self) -> "Columns":
        return self

    def __exit__(self, *exception: object) -> None:
        self._rows.__exit__(*exception)
        self._ids.__exit__(*exception)

    @property
    def n_rows(self) -> int:
        """How many rows have been added."""
        return self._rows.n_rows

    def add(self, content: Content, share: float) -> None:
        """Add rows; ``share`` is the fraction of the file that has been read, up to 1."""
        numbers, label = content.numbers, self._selection.label
        rows = numbers
        if not self._straight:
            rows = np.empty((len(numbers), len(self._target)))
            rows[:, self._to] = numbers[:, self._from]
        if label in self._layout.numbers:
            self._label.add(numbers[:, [self._layout.numbers.index(label)]], share)
        for place, cells in zip(self._layout.texts, content.texts, strict=True):
            if place == self._selection.id:
                self._ids.add(cells)
                if place not in self._texts:
                    continue
            codes = self._texts[place].codes(cells)
            if place == label:
                self._label.add(codes[:, None], share)
            else:
                rows[:, self._target[place]] = codes
        self._rows.add(rows, share)

    def table(self, label_name: str | None) -> Table:
        """Return the table, once all rows have been added.

        Raises
        ------
        CellError
            A cell is not valid in its column. The error has the column's ``place``.
        """
        selection, layout = self._selection, self._layout
        meanings: dict[int, Meaning] = {}
        for place, texts in self._texts.items():
            meaning_of = label_meaning if place == selection.label else feature_meaning
            try:
                meanings[place] = meaning_of(texts, layout.decimal, layout.keeps_missing)
            except CellError as error:
                error.place = place
                raise
            self.doubts += [(place, *doubt) for doubt in meanings[place].doubts]
        table = Table(selection.names, None, label_name=label_name)
        if selection.label is not None:
            table.y, table.class_names = self._finished_label(meanings.get(selection.label))
        if selection.id is not None:
            table.ids = self._ids.finish()
        mappings = {}
        for name, place in zip(selection.names, selection.places, strict=True):
            if (meaning := meanings.get(place)) is not None:
                mappings[self._target[place]] = meaning.values
                if meaning.names is not None:
                    table.categories[name] = meaning.names
        table.X = self._rows.finish(mappings)
        return table

    def _finished_label(self, meaning: Meaning | None) -> tuple[np.ndarray, list[str] | None]:
        y, names = self._label.finish({})[:, 0], None
        if meaning is not None:
            y, names = meaning.label(y)
        pieces = np.array_split(y, len(y) // _PIECE + 1)
        return (y.astype(np.int64, copy=False) if all(map(_are_whole, pieces)) else y), names


_PIECE = 1 << 16
"""About how many labels are compared at a time."""


def _are_whole(numbers: np.ndarray) -> bool:
    """Whether all numbers are whole, and small enough to be exact in float64."""
    if numbers.dtype.kind != "f":
        return True
    return bool((np.abs(numbers) < 2.0**53).all() and (numbers == np.floor(numbers)).all())
