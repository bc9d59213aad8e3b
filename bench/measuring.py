"""Clocks, and what is said of several measurements of one thing."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """The median of some numbers, and the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        """Return the spread of numbers, of which there is one at least."""
        return cls(statistics.median(numbers), min(numbers), max(numbers))

    def __format__(self, spec: str) -> str:
        """Write ``median [least, most]``, each number by ``spec``."""
        return f"{self.median:{spec}} [{self.least:{spec}}, {self.most:{spec}}]"


def ratios(numbers: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the spread of the ratios pair by pair.

    What was measured one right after the other met the same machine; a slow spell is in both and
    leaves their ratio as it is, which is not so for a ratio of two medians.
    """
    return Spread.of([one / other for one, other in zip(numbers, others, strict=True)])


def geometric_mean(numbers: Iterable[float]) -> float:
    """Return the mean that ratios have: that of a ratio and of its inverse is 1."""
    logarithms = [math.log(number) for number in numbers]
    return math.exp(statistics.fmean(logarithms))


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
