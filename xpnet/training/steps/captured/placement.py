"""Place parameters in the flat arrays of captured steps, at multiples of 16 bytes.

cuBLAS's fastest kernels, especially those for tensor cores, read and write 16 bytes at a time, and
need matrices that begin at such addresses. The network's own flat array has no gaps between
parameters.
"""

from collections.abc import Iterator, Mapping
from typing import Any

ALIGNMENT = 16


class Placement:
    """Parameters in the order of a network's flat array, with gaps for alignment.

    Gaps are filled with 0, and stay 0 because their gradient is 0.

    Parameters
    ----------
    places : mapping of slot to slice
        The places of the parameters in the network's flat array, in order and without gaps.
    itemsize : int
        The size of a number in bytes.

    Attributes
    ----------
    size : int
        The number of elements of a flat array.
    runs : list of (slice, slice)
        The place of each run of parameters without a gap, in the network's flat array and in a flat
        array with gaps.
    """

    def __init__(self, places: Mapping[Any, slice], itemsize: int) -> None:
        step = max(ALIGNMENT // itemsize, 1)
        self._places, self._theirs = dict[Any, slice](), places
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
        """Return the place of a parameter."""
        return self._places[slot]

    def part(self, theirs: slice) -> slice:
        """Return the place of the parameters in a part of the network's flat array."""
        (first,) = (slot for slot, each in self._theirs.items() if each.start == theirs.start)
        (last,) = (slot for slot, each in self._theirs.items() if each.stop == theirs.stop)
        return slice(self._places[first].start, self._places[last].stop)

    def pairs(self, here: Any, theirs: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the parts of an array with gaps, each with the same part of the network's array."""
        for place, place_here in self.runs:
            yield here[place_here], theirs[place]

    def parts(self, here: Any) -> list[Any]:
        """Return the parts between the gaps; joined, they make a flat array without gaps."""
        return [here[place_here] for _, place_here in self.runs]
