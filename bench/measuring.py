"""Timing and statistics of repeated measurements."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """The median, minimum and maximum of some numbers."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        """Return the spread of one or more numbers."""
        return cls(statistics.median(numbers), min(numbers), max(numbers))

    def __format__(self, spec: str) -> str:
        """Return ``median [least, most]``, with each number formatted by ``spec``."""
        return f"{self.median:{spec}} [{self.least:{spec}}, {self.most:{spec}}]"


def ratios(numbers: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the spread of the ratios of pairs of measurements.

    The two measurements of a pair are consecutive, so a slow phase of the machine affects both and
    hardly changes their ratio, unlike the ratio of two medians.
    """
    return Spread.of([one / other for one, other in zip(numbers, others, strict=True)])


def geometric_mean(numbers: Iterable[float]) -> float:
    """Return the geometric mean, which is the right mean for ratios."""
    logarithms = [math.log(number) for number in numbers]
    return math.exp(statistics.fmean(logarithms))


def seconds(function: Callable[[], Any]) -> float:
    """Return the time that a call takes, in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
