"""Passes over an iterable of batches, which is begun anew for each."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from ...backends import is_array
from ...backends._errors import shown
from ...common.checks import check_count

Given = Iterable[Any] | Callable[[], Iterable[Any]]
"""An iterable of batches, or a function that returns one."""

_NOTHING = object()
"""Stands for the end of a pass, since a batch may be any object."""


class Passes:
    """The batches that a user makes as training goes on, taken in order and one at a time.

    Nothing is taken ahead of its step, except the first batch, which :meth:`first` shows. A thread
    that makes the next batch would be faster, but the user's code may not be made for threads.

    Parameters
    ----------
    given : iterable, or function that returns one
        A function is called anew for each pass.
    steps_per_epoch : int, optional
        The number of batches in an epoch; by default, an epoch is one pass.

    Raises
    ------
    TypeError
        ``given`` is neither, or holds data as a whole.
    """

    def __init__(self, given: Given, steps_per_epoch: int | None = None) -> None:
        whole = is_array(given) or isinstance(given, (str, bytes, Mapping))
        if whole or not (hasattr(given, "__iter__") or callable(given)):
            raise TypeError(
                f"batches={shown(given)}: expected an iterable of batches (X, y), or a function "
                "that returns one. Data as a whole are given as the first argument, (X, y)"
            )
        self._given: Any = given
        self._steps: int | None = None
        if steps_per_epoch is not None:
            self._steps = check_count("steps_per_epoch", steps_per_epoch)
        self._pass: Iterator[Any] | None = None
        self._taken = 0
        self._first: Any = _NOTHING

    @property
    def n_steps(self) -> int | None:
        """The number of batches in an epoch, or None if it is not known in advance."""
        if self._steps is not None:
            return self._steps
        try:
            return len(self._given) or None
        except (TypeError, NotImplementedError):  # a PyTorch DataLoader may be without a length
            return None

    def first(self) -> Any:
        """Return the first batch, which the first epoch begins with.

        Raises
        ------
        ValueError
            There is none.
        """
        self._first = self._take()
        if self._first is _NOTHING:
            raise ValueError("batches is empty: expected at least one batch (X, y)")
        return self._first

    def epoch(self) -> Generator[tuple[str, Any], None, None]:
        """Yield the batches of the next epoch, each after its name for messages.

        Raises
        ------
        ValueError
            The batches have ended, and cannot be begun anew.
        """
        done = 0
        while done != self._steps:
            item, self._first = self._first, _NOTHING
            if item is _NOTHING:
                item = self._take()
            if item is _NOTHING:
                if self._steps is None and done:
                    return
                item = self._of_new_pass()
            yield f"batches[{self._taken - 1}]", item
            done += 1

    def close(self) -> None:
        """Close the generator that makes the batches, if it is one."""
        if isinstance(self._pass, Generator):
            self._pass.close()
        self._pass, self._first = None, _NOTHING

    def _take(self) -> Any:
        """Return the next batch of the present pass."""
        if self._pass is None:
            self._pass, self._taken = self._begun(), 0
        item = next(self._pass, _NOTHING)
        self._taken += item is not _NOTHING
        return item

    def _begun(self) -> Iterator[Any]:
        """Return the iterator of a new pass."""
        given = self._given
        if hasattr(given, "__iter__") and not isinstance(given, type):
            return iter(given)
        made = given()
        if not hasattr(made, "__iter__"):
            raise TypeError(
                f"the function given as batches returned {shown(made)}: expected an iterable of "
                "batches (X, y)"
            )
        return iter(made)

    def _of_new_pass(self) -> Any:
        """Return the first batch of a new pass."""
        n = self._taken
        self.close()
        item = self._take()
        if item is _NOTHING:
            steps = "" if self._steps is None else " or a smaller steps_per_epoch"
            raise ValueError(
                f"batches ended after {n} batches, before training did, and cannot be begun anew: "
                "give a function that returns a new iterable for each pass, or give fewer epochs"
                f"{steps}"
            )
        return item
