"""Passes over an iterable of batches, which is restarted for each pass."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from ...backends import is_array
from ...backends._errors import shown
from ...common.checks import check_count
from ...data import Dataset

Given = Iterable[Any] | Callable[[], Iterable[Any]]
"""An iterable of batches, or a function that returns one."""

_NOTHING = object()
"""Stands for the end of a pass, since a batch may be any object."""


class Passes:
    """The batches that a user's code makes during training, taken in order, one at a time.

    No batch is taken ahead of its step, except the first one, by :meth:`first`. Making the next
    batch in a thread would be faster, but the user's code may not be safe in threads.

    Parameters
    ----------
    given : iterable, or function that returns one
        A function is called again for each pass.
    steps_per_epoch : int, optional
        The number of batches in an epoch; by default, an epoch is one pass.

    Raises
    ------
    TypeError
        ``given`` is neither; or it is an array, a data set, a string or a mapping.
    """

    def __init__(self, given: Given, steps_per_epoch: int | None = None) -> None:
        whole = is_array(given) or isinstance(given, (str, bytes, Mapping, Dataset))
        if whole or not (hasattr(given, "__iter__") or callable(given)):
            raise TypeError(
                f"batches={shown(given)}: expected an iterable of batches (X, y), or a function "
                "that returns one. To train on a whole data set, give it as the first argument"
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
        except (TypeError, NotImplementedError):  # a PyTorch DataLoader may have no length
            return None

    def first(self) -> Any:
        """Return the first batch, with which the first epoch will begin.

        Raises
        ------
        ValueError
            There are no batches.
        """
        self._first = self._take()
        if self._first is _NOTHING:
            raise ValueError("batches is empty: expected at least one batch (X, y)")
        return self._first

    def epoch(self) -> Generator[tuple[str, Any], None, None]:
        """Yield the name, for messages, and the content of each batch of the next epoch.

        Raises
        ------
        ValueError
            The batches have ended, and a new pass yields none.
        """
        done = 0
        while done != self._steps:
            item, self._first = self._first, _NOTHING
            if item is _NOTHING:
                item = self._take()
            if item is _NOTHING:
                if self._steps is None and done:
                    return
                item = self._restarted()
            yield f"batches[{self._taken - 1}]", item
            done += 1

    def close(self) -> None:
        """End the current pass; if it is a generator, close it."""
        if isinstance(self._pass, Generator):
            self._pass.close()
        self._pass, self._first = None, _NOTHING

    def _take(self) -> Any:
        """Return the next batch of the current pass, or ``_NOTHING`` at its end."""
        if self._pass is None:
            self._pass, self._taken = self._start(), 0
        item = next(self._pass, _NOTHING)
        self._taken += item is not _NOTHING
        return item

    def _start(self) -> Iterator[Any]:
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

    def _restarted(self) -> Any:
        """Return the first batch of a new pass."""
        n = self._taken
        self.close()
        item = self._take()
        if item is _NOTHING:
            steps = "" if self._steps is None else " or a smaller steps_per_epoch"
            raise ValueError(
                f"batches ended after {n} batches, before training did, and yielded none when "
                "started again: give a function that returns a new iterable for each pass, or "
                f"fewer epochs{steps}"
            )
        return item
