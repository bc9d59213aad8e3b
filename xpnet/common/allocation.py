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


class _Limit:
    """How many numbers may still be allocated, and whether initial weights are drawn."""

    def __init__(self, numbers: int, draws: bool) -> None:
        self.numbers, self.draws = numbers, draws


_LIMIT: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def array_limit(numbers: int, draws: bool) -> Iterator[None]:
    """Limit the arrays that are allocated in a ``with`` block, in this thread.

    Parameters
    ----------
    numbers : int
        The maximum number of elements of all arrays together.
    draws : bool
        Whether initial weights are drawn. Otherwise they are 0, since weights from the file replace
        them.
    """
    token = _LIMIT.set(_Limit(numbers, draws))
    try:
        yield
    finally:
        _LIMIT.reset(token)


def count_array(what: str, shape: tuple[int, ...]) -> None:
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
    limit = _LIMIT.get()
    if limit is None:
        return
    limit.numbers -= math.prod(shape)
    if limit.numbers < 0:
        raise TooLargeError(
            f"{what} has the shape {shape}, which is larger than all tensors of this layer in the "
            "file"
        )


def draws() -> bool:
    """Whether initial weights are drawn; True outside of :func:`array_limit`."""
    limit = _LIMIT.get()
    return limit is None or limit.draws
