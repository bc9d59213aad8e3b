"""A limit on the arrays that layers make while a network is read from a file.

A small file can describe layers of any size. While :func:`xpnet.load` makes them, they get no more
room than the file's own tensors need.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TooLargeError(ValueError):
    """A layer needs larger arrays than the file has."""


class _Room:
    """How many numbers arrays may still have, and whether they are drawn or left 0."""

    def __init__(self, numbers: int, draws: bool) -> None:
        self.numbers, self.draws = numbers, draws


_ROOM: ContextVar[_Room | None] = ContextVar("room", default=None)


@contextmanager
def limited_room(numbers: int, draws: bool) -> Iterator[None]:
    """Limit the arrays that are made in a block of code, in this thread.

    Parameters
    ----------
    numbers : int
        The most numbers that all arrays may have together.
    draws : bool
        Whether initial weights are drawn. Otherwise they are 0, since others replace them.
    """
    token = _ROOM.set(_Room(numbers, draws))
    try:
        yield
    finally:
        _ROOM.reset(token)


def take_room(what: str, shape: tuple[int, ...]) -> None:
    """Refuse an array that exceeds the limit, if there is one.

    Raises
    ------
    TooLargeError
    """
    room = _ROOM.get()
    if room is None:
        return
    room.numbers -= math.prod(shape)
    if room.numbers < 0:
        raise TooLargeError(
            f"{what} has the shape {shape}, which is larger than all tensors of this layer in the "
            "file"
        )


def draws() -> bool:
    """Whether initial weights are to be drawn, as they are outside of :func:`limited_room`."""
    room = _ROOM.get()
    return room is None or room.draws
