"""Which parameters of a network are trained, and how fast: the others are frozen."""

import operator
from collections.abc import Sequence
from typing import Any

from ..common.checks import check_flag, check_non_negative
from ..layers import Layer
from ..layers.composite import all_layers, is_trained
from .places import Places
from .updating import Parts


class Freezing:
    """What the layers' ``trainable`` and ``learning_rate_factor`` mean for their parameters.

    Parameters
    ----------
    places : Places
        Of all parameters.

    Attributes
    ----------
    trained : list of int
        The parameters that are trained, as indices of ``places.slots``.
    parts : Parts
        Their places, in as few runs as possible, each with the factor of its learning rate.
    is_off : bool
        Whether all parameters are trained, at the optimizer's own rate.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self.trained: list[int] = []
        self.parts: Parts = []
        self.is_off = True
        self._seen: list[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without what was seen: a copy tells its layers again what it finds."""
        return self.__dict__ | {"_seen": None}

    @property
    def is_known(self) -> bool:
        """Whether the attributes are those of the present layers; their settings may change."""
        return self._seen is not None

    def forget(self) -> None:
        """Look at all layers again at the next :meth:`refresh`."""
        self._seen = None

    def refresh(self, layers: Sequence[Layer]) -> bool:
        """Take in the settings of all layers; return whether any has changed.

        Each layer is told whether its error with respect to its input is of use to those before it.

        Raises
        ------
        ValueError, TypeError
            A layer's ``trainable`` or ``learning_rate_factor`` is invalid.
        """
        every = list(all_layers(layers))
        now = list(map(_SETTINGS, every))
        if now == self._seen:
            return False
        for layer in every:
            check_training(layer)
        self._seen, above_trained = now, False
        for layer in layers:
            layer.needs_input_error = above_trained
            above_trained = above_trained or is_trained(layer)
        slots = self._places.slots
        self.trained = [k for k, (layer, _) in enumerate(slots) if layer.trainable]
        self.parts = self._runs()
        self.is_off = self.parts == [(slice(0, self._places.size), 1.0)]
        return True

    def _runs(self) -> Parts:
        """Return the places of parameters that are trained, in as few runs as possible."""
        runs: list[tuple[slice, float]] = []
        for k in self.trained:
            slot = self._places.slots[k]
            place, factor = self._places[slot], float(slot[0].learning_rate_factor)
            if runs and runs[-1][0].stop == place.start and runs[-1][1] == factor:
                place = slice(runs.pop()[0].start, place.stop)
            runs.append((place, factor))
        return runs


_SETTINGS = operator.attrgetter("trainable", "learning_rate_factor")
"""The attributes of a layer that say how it is trained; read at each step."""


def check_training(layer: Layer) -> None:
    """Refuse a layer whose ``trainable`` or ``learning_rate_factor`` is invalid."""
    check_flag(f"{layer.layer_name()}.trainable", layer.trainable)
    check_non_negative(f"{layer.layer_name()}.learning_rate_factor", layer.learning_rate_factor)
