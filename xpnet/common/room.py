"""A limit on the arrays that layers allocate while a network is read from a file.

A small file can describe layers of any size. So :func:`xpnet.load` does not let them allocate much
larger arrays than the tensors in the file.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TooLargeError(ValueError):
    """A layer allocates larger arrays than the file has tensors."""


class _Room:
    """How many numbers may still be allocated, and whether initial weights are drawn."""

    def __init__(self, numbers: int, draws: bool) -> None:
        self.numbers, self.draws = numbers, draws


_ROOM: ContextVar[_Room | None] = ContextVar("room", default=None)


@contextmanager
def limited_room(numbers: int, draws: bool) -> Iterator[None]:
    """Limit the arrays that are allocated in a ``with`` block, in this thread.

    Parameters
    ----------
    numbers : int
        The maximum number of elements of all arrays together.
    draws : bool
        Whether initial weights are drawn. Otherwise they are 0, since weights from the file replace
        them.
    """
    token = _ROOM.set(_Room(numbers, draws))
    try:
        yield
    finally:
        _ROOM.reset(token)


def take_room(what: str, shape: tuple[int, ...]) -> None:
    """Count an array towards the limit, if there is one.

    Parameters
    ----------
    what : str
        The name of the array in the message.
    shape : tuple of int

    Raises
    ------
    TooLargeError
        The limit is exceeded.
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
    """Whether initial weights are drawn; True outside of :func:`limited_room`."""
    room = _ROOM.get()
    return room is None or room.draws
