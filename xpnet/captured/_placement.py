"""Where parameters are in the flat arrays of a captured step: each at a multiple of 16 bytes.

cuBLAS's fastest kernels, above all those for tensor cores, read and write 16 bytes at a time and
need matrices that begin at such addresses. In the network's own flat array parameters follow each
other without gaps.
"""

from collections.abc import Iterator, Mapping
from typing import Any

ALIGNMENT = 16


class Placement:
    """Parameters in the order of a network's flat array, with gaps where they are needed.

    A gap is 0 from the beginning and stays 0, because its gradient is 0.

    Parameters
    ----------
    places : mapping of slot to slice
        Where each parameter is in the network's flat array, in their order and without gaps.
    itemsize : int
        Bytes of a number.

    Attributes
    ----------
    size : int
        Numbers in a flat array.
    runs : list of (slice, slice)
        For each stretch of parameters without a gap, where it is in the network's flat array, and
        where it is in a flat array here.
    """

    def __init__(self, places: Mapping[Any, slice], itemsize: int) -> None:
        step = max(ALIGNMENT // itemsize, 1)
        self._places: dict[Any, slice] = {}
        self.runs: list[tuple[slice, slice]] = []
        self.size = 0
        for slot, place in places.items():
            start = -(-self.size // step) * step
            self.size = start + place.stop - place.start
            self._places[slot] = slice(start, self.size)
            first, here = place, self._places[slot]
            if self.runs and start == self.runs[-1][1].stop:
                before, before_here = self.runs.pop()
                first = slice(before.start, place.stop)
                here = slice(before_here.start, self.size)
            self.runs.append((first, here))

    def __getitem__(self, slot: Any) -> slice:
        """Return where a parameter is."""
        return self._places[slot]

    def pairs(self, here: Any, theirs: Any) -> Iterator[tuple[Any, Any]]:
        """Give the parts of a flat array here beside the same parts of the network's."""
        for place, place_here in self.runs:
            yield here[place_here], theirs[place]

    def parts(self, here: Any) -> list[Any]:
        """Return the parts of a flat array without the gaps: joined, they are the network's."""
        return [here[place_here] for _, place_here in self.runs]
