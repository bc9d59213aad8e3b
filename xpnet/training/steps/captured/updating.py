"""The calls at the end of a step: penalties, clipping of the gradient, the optimizer's rule."""

from typing import Any

from ....backends import Array
from ....backends.cuda import formulas
from ....backends.formula import Listing
from ....model import Model
from ..translation import formulas_of, numbers_in, slope_of_penalty
from .buffers import SQUARES, Buffers
from .calls import THREADS, Calls


class UpdateCalls(Calls):
    """The calls of a step, with methods that add the calls of the update.

    Parameters
    ----------
    machine : CudaMachine
    model : Model
    buffers : Buffers
    state : array
        The state of training on the device.
    rows : int
        The number of samples in the batch.
    scaled : bool
        Whether the loss is scaled, for float16 products.
    """

    def __init__(
        self, machine: Any, model: Model, buffers: Buffers, state: Array, rows: int, scaled: bool
    ) -> None:
        super().__init__(machine, rows)
        self._model, self._buffers, self._state, self._scaled = model, buffers, state, scaled
        self._formulas = formulas_of(model, slope_of_penalty)

    def _update(self) -> None:
        buffers, optimizer, state = self._buffers, self._model.optimizer, self._state
        n = buffers.flat.size
        if buffers.accumulated is not None:
            self._add("count_batch", (1, 1), 32, state, self._rows, buffers.weights is not None)
            self._over("accumulate", n, buffers.gradient, buffers.accumulated, state, n)
        terms = zip(self._model.parameters.penalties, self._formulas.penalties, strict=True)
        for (layer, name, regularizer), slope in terms:
            w, g = buffers.parameter(layer, name), buffers.gradient_of(layer, name)
            # Without sample weights, a per_sample penalty is divided here, otherwise in the kernel.
            weighted = int(regularizer.per_sample and buffers.weights is not None)
            if regularizer.per_sample and buffers.accumulated is not None:
                weighted = 2
            share = 1.0 / self._rows if regularizer.per_sample and not weighted else 1.0
            given = (g, w, state, w.size, share, weighted, *fixed(regularizer, slope))
            self._over(formulas.penalty(slope), w.size, *given)
        if optimizer.clip_value is not None:
            most = float(optimizer.clip_value)
            self._over("clip_values", n, buffers.gradient, state, n, most, self._scaled)
        if optimizer.clip_norm is not None or self._scaled:
            self._add("square_sum", (SQUARES, 1), THREADS, buffers.gradient, buffers.squares, n)
            most = float(optimizer.clip_norm or 0.0)
            self._one_block("unscale_and_clip", buffers.squares, state, SQUARES, most, self._scaled)
        rule, numbers = self._formulas.rule, numbers_in(optimizer, self._formulas.rule)
        for part, factor, missed in self._model.parameters.parts_of(optimizer):
            place = buffers.placement.part(part)
            arrays = [each[place] for each in (buffers.flat, buffers.gradient, *buffers.states)]
            size = place.stop - place.start
            given = (*arrays, state, size, factor, float(missed), *numbers)
            self._over(formulas.update(rule), size, *given)
        if buffers.average is not None:
            self._over("average", n, buffers.flat, buffers.average, state, n)


def fixed(part: Any, listing: Listing) -> list[float]:
    """Return the trailing arguments of the kernel of a part's formula."""
    numbers = dict(zip(listing.numbers, numbers_in(part, listing), strict=True))
    return formulas.fixed(listing, numbers)
