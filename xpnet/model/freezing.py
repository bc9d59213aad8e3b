"""Which parameters of a network are trained, and at which rate; the others are frozen."""

import operator
from collections.abc import Sequence
from typing import Any

from ..common.checks import check_flag, check_non_negative
from ..layers import Layer
from ..layers.composite import all_layers, is_trained
from ..optimizers import Optimizer
from .places import Places
from .updating import Parts


class Freezing:
    """The trained parameters, as the layers' ``trainable`` and ``learning_rate_factor`` say.

    Parameters
    ----------
    places : Places
        The places of all parameters.

    Attributes
    ----------
    trained : list of int
        The parameters that are trained, as indices of ``places.slots``.
    have_factors : bool
        Whether any of them is trained at another rate than the optimizer's.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self.trained: list[int] = []
        self.have_factors = False
        self._parts: Parts = []
        self._every: list[Layer] = []
        self._seen: list[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the cached settings, so that a copy reads its layers again."""
        return self.__dict__ | {"_every": [], "_seen": None}

    @property
    def is_known(self) -> bool:
        """Whether the layers were read after the last :meth:`forget`; settings may have changed."""
        return self._seen is not None

    def forget(self) -> None:
        """Make the next :meth:`refresh` read all layers again."""
        self._seen = None

    def refresh(self, layers: Sequence[Layer]) -> bool:
        """Read the settings of all layers; return whether any has changed.

        If so, set ``needs_input_error`` of each layer: whether an earlier layer is trained.

        Raises
        ------
        ValueError, TypeError
            A layer's ``trainable`` or ``learning_rate_factor`` is invalid.
        """
        if self._seen is None:
            self._every = list(all_layers(layers))
        now = list(map(_SETTINGS, self._every))
        if now == self._seen:
            return False
        for layer in self._every:
            check_training(layer)
        self._seen, above_trained = now, False
        for layer in layers:
            layer.needs_input_error = above_trained
            above_trained = above_trained or is_trained(layer)
        slots = self._places.slots
        self.trained = [k for k, (layer, _) in enumerate(slots) if layer.trainable]
        self._parts = self._runs(())
        self.have_factors = any(factor != 1.0 for _, factor, _ in self._parts)
        return True

    def parts(self, missed: Sequence[int] = ()) -> Parts:
        """Return the places of parameters that are trained, in as few runs as possible.

        Parameters
        ----------
        missed : sequence of int, default ()
            How many updates each parameter has missed; parameters beyond its end have missed none.
        """
        return self._runs(missed) if any(missed) else self._parts

    def note_missed(self, optimizer: Optimizer, n_new: int) -> None:
        """Add an optimizer's new updates to those that the frozen parameters have missed."""
        n_slots, trained = len(self._places.slots), set(self.trained)
        if n_new and len(trained) < n_slots:
            before = optimizer.missed_updates
            before += (0,) * (n_slots - len(before))
            optimizer.missed_updates = tuple(
                n if k in trained else n + n_new for k, n in enumerate(before)
            )

    def _runs(self, missed: Sequence[int]) -> Parts:
        runs: Parts = []
        for k in self.trained:
            slot = self._places.slots[k]
            place, n_missed = self._places[slot], missed[k] if k < len(missed) else 0
            how = float(slot[0].learning_rate_factor), n_missed
            if runs and runs[-1][0].stop == place.start and runs[-1][1:] == how:
                place = slice(runs.pop()[0].start, place.stop)
            runs.append((place, *how))
        return runs


_SETTINGS = operator.attrgetter("trainable", "learning_rate_factor")
"""The attributes of a layer that say how it is trained; read at each step."""


def check_training(layer: Layer) -> None:
    """Refuse a layer whose ``trainable`` or ``learning_rate_factor`` is invalid."""
    check_flag(f"{layer.layer_name()}.trainable", layer.trainable)
    check_non_negative(f"{layer.layer_name()}.learning_rate_factor", layer.learning_rate_factor)
