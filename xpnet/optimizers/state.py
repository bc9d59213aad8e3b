"""The state of an optimizer: the arrays that it keeps from update to update."""

from typing import Any, ClassVar

from ..backends import Array, array_namespace, to_host
from ..backends._errors import shown
from ..common.checks import check_count, check_non_negative
from ..common.overrides import is_builtin
from .settings import Settings


class Stateful(Settings):
    """Base of optimizers: state arrays, under the names in ``state_names``."""

    learning_rate: float
    square_names: ClassVar[tuple[str, ...]] = ()

    def training_state_names(self) -> tuple[str, ...]:
        """Return the names of all arrays and numbers that training changes."""
        return (*self.state_names, "n_updates", "missed_updates", "learning_rate")

    def check_state(self) -> None:
        """Refuse a state that training cannot produce, e.g. from a damaged file.

        An optimizer of the library has no arrays before its first update, and all arrays of
        ``state_names`` from then on. They are finite. Only the arrays in ``square_names`` may be
        infinite, since the square of a large gradient can be; they are never negative.

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
                raise ValueError(
                    f"missed_updates has {each}: expected at most n_updates={self.n_updates}"
                )
        if not is_builtin(type(self)):
            return
        for name in self.state_names:
            if ((array := getattr(self, name)) is None) != (self.n_updates == 0):
                found = "missing" if array is None else "an array"
                raise ValueError(f"{name} is {found} after {self.n_updates} updates")
            if array is None:
                continue
            numbers = to_host(array)
            isfinite = array_namespace(numbers).isfinite
            if not (numbers >= 0 if name in self.square_names else isfinite(numbers)).all():
                raise ValueError(f"{name} has numbers that training cannot produce")

    def state_like(self, name: str, w: Array) -> Array:
        """Return the state array ``name``; before the first update, zeros like ``w``."""
        kept = getattr(self, name)
        if kept is None:
            return array_namespace(w).zeros_like(w)
        if kept.shape != w.shape:
            raise ValueError(
                f"{type(self).__name__} has state for weights of shape {kept.shape}, but got "
                f"weights of shape {w.shape}: give each array its own optimizer (copy.deepcopy)"
            )
        return kept
