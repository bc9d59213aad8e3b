"""The arrays that an optimizer remembers from update to update."""

from typing import Any, ClassVar

from ..backends import Array, array_namespace, to_host
from ..backends._errors import shown
from ..common.checks import check_count, check_non_negative
from ..common.overrides import is_defined_here
from .settings import Settings


class Remembering(Settings):
    """Base of what remembers arrays, under the names of ``state_names``."""

    learning_rate: float
    square_names: ClassVar[tuple[str, ...]] = ()

    def changing_names(self) -> tuple[str, ...]:
        """Return the names of all that training changes in it, arrays and numbers."""
        return (*self.state_names, "n_updates", "missed_updates", "learning_rate")

    def check_state(self) -> None:
        """Refuse what no training leaves in the optimizer, e.g. of a file.

        An optimizer of the library has either all arrays of ``state_names`` and some updates, or
        none of both, and its arrays are finite. A mean of squares may be infinite, since the square
        of a large gradient can be; it is never below 0.

        Raises
        ------
        ValueError
            The message names the attribute.
        """
        check_count("n_updates", self.n_updates, least=0)
        check_non_negative("learning_rate", self.learning_rate)
        missed: Any = self.missed_updates
        if type(missed) is not tuple:
            raise ValueError(f"missed_updates={shown(missed)}: expected a tuple of whole numbers")
        for each in missed:
            if check_count("missed_updates", each, least=0) > self.n_updates:
                raise ValueError(f"a parameter has missed {each} of {self.n_updates} updates")
        if not is_defined_here(type(self)):
            return
        for name in self.state_names:
            if ((array := getattr(self, name)) is None) != (self.n_updates == 0):
                there = "no" if array is None else "an array"
                raise ValueError(f"there is {there} {name} after {self.n_updates} updates")
            if array is None:
                continue
            numbers = to_host(array)
            isfinite = array_namespace(numbers).isfinite
            if not (numbers >= 0 if name in self.square_names else isfinite(numbers)).all():
                raise ValueError(f"{name} has numbers that no training leaves")

    def remembered(self, name: str, w: Array) -> Array:
        """Return the array kept under ``name``: zeros of the shape of ``w`` at the first update."""
        kept = getattr(self, name)
        if kept is None:
            return array_namespace(w).zeros_like(w)
        if kept.shape != w.shape:
            raise ValueError(
                f"{type(self).__name__} remembers weights of shape {kept.shape} and got some of "
                f"shape {w.shape}: give each array an optimizer of its own (copy.deepcopy)"
            )
        return kept
