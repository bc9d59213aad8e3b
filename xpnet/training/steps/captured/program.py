"""A training step for one batch size, as a list of calls of kernels and matrix products."""

from typing import Any

from ....activations import LogSoftmaxActivation
from ....backends import Array
from ....backends.cuda import formulas
from ....layers import LayerNormalization
from ....model import Model
from ..translation import (
    Unit,
    formulas_of,
    row_kernel,
    scale_of_loss,
    settings_of,
    slope_of_penalty,
)
from .backward import BackwardCalls
from .buffers import Buffers, UnitArrays
from .calls import MOST_BLOCKS, MOST_THREADS, THREADS
from .updating import fixed


class Program(BackwardCalls):
    """The calls of a step.

    Parameters
    ----------
    machine : CudaMachine
    model : Model
    units : list of Unit
    buffers : Buffers
    rows : int
        The number of samples in the batch.
    scaled : bool
        Whether the loss is scaled, for float16 products.
    """

    def __init__(
        self,
        machine: Any,
        model: Model,
        units: list[Unit],
        buffers: Buffers,
        state: Array,
        rows: int,
        scaled: bool,
    ) -> None:
        super().__init__(machine, model, buffers, state, rows, scaled)
        self._units, self._begun = units, set()
        self._begin()
        for k in range(len(units)):
            self._forward(k)
        self._loss()
        for k in reversed(range(len(units))):
            if units[k].reached:
                self._back(k)
        self._update()

    # ---- the step

    def _begin(self) -> None:
        buffers, state = self._buffers, self._state
        self._add("begin_step", (1, 1), 32, state, buffers.controls)
        if buffers.weights is not None:
            self._one_block("total_weight", buffers.weights, buffers.order, state, self._rows)
        if buffers.x is None:
            return
        n = self._units[0].n_inputs
        if buffers.sparse is not None:
            given = (*buffers.sparse, buffers.order, state, buffers.x, self._rows, n)
            self._add("csr_rows", (min(self._rows, MOST_BLOCKS), 1), THREADS, *given)
            return
        wide = buffers.standardizes_wide(self._model)
        self._add(
            f"gather_{buffers.X.dtype}",
            (-(-n // THREADS), min(self._rows, MOST_BLOCKS)),
            THREADS,
            buffers.X,
            buffers.order,
            state,
            buffers.x,
            self._rows,
            n,
            None if wide else buffers.split,
            buffers.wide if wide else None,
        )

    def _bias(self, k: int) -> Array | None:
        unit = self._units[k]
        return self._buffers.parameter(unit.layer, "biases") if unit.has_bias else None

    def _forward(self, k: int) -> None:
        unit, arrays = self._units[k], self._buffers.units[k]
        n, z, b = unit.n_units, arrays.output, self._bias(k)
        self._begin_output(k, z)
        if unit.norm is not None:
            self._normalize(unit, arrays, b)
            b = None
        if unit.row_norm is not None:
            b = self._normalize_rows(unit, arrays, b)
        self._activate(unit, arrays, b)
        if unit.dropout is not None:
            place = sum(each.dropout is not None for each in self._units[:k])
            total, rate = self._rows * n, float(unit.dropout.rate)
            given = (z, arrays.kept, self._state, place, unit.dropout.key, total, rate)
            self._over("dropout", -(-total // 8), *given)
        for source in unit.added:
            self._over("add_to", self._rows * n, z, self._output(source), self._rows * n)

    def _begin_output(self, k: int, z: Array) -> None:
        """Add the first call for an output: the layer's product or lookup, or a copy."""
        unit, buffers, n = self._units[k], self._buffers, self._units[k].n_units
        if unit.layer is None:
            self._over("copy_to", self._rows * n, z, self._output(unit.source), self._rows * n)
        elif (lookups := buffers.lookups) is not None and k == 0:
            rows, sizes = self._rows * lookups.per_sample, (lookups.n_inputs, lookups.n_units)
            given = (buffers.x, self._weights(k), lookups.columns, z, buffers.codes, rows, *sizes)
            self._over("embed", self._rows * n, *given, lookups.unknown)
        elif k == 0 and buffers.x is None:
            assert buffers.sparse is not None
            grid, block = self._sparse_grid(n)
            given = (*buffers.sparse, buffers.order, self._state, self._weights(k), z)
            self._add("csr_product", grid, block, *given, self._rows, n)
        else:
            self._product(self._output(unit.source), self._weights(k), self._of(z))

    def _activate(self, unit: Unit, arrays: UnitArrays, bias: Array | None) -> None:
        """Add the bias, if any, and apply the activation."""
        if bias is None and unit.forward.is_identity:
            return
        total = self._rows * unit.n_units
        kept = [arrays.kept] if unit.keeps_derivative else []
        given = (arrays.output, bias, *kept, self._rows, unit.n_units)
        numbers = fixed(unit.activation, unit.forward)
        self._over(formulas.activation(unit.forward), total, *given, *numbers)

    def _normalize(self, unit: Unit, arrays: UnitArrays, b: Array | None) -> None:
        norm: Any = unit.norm
        gamma, beta = (self._buffers.parameter(norm, name) for name in ("gamma", "beta"))
        running = [arrays.running[name] for name in ("running_mean", "running_variance")]
        if not unit.norm_trained:
            given = [arrays.output, b, gamma, beta, *running, self._rows, unit.n_units]
            total = self._rows * unit.n_units
            self._over("fixed_norm", total, *given, float(norm.epsilon))
            return
        given = [arrays.output, b, gamma, beta, arrays.normalized, arrays.deviation, *running]
        numbers = float(norm.momentum), float(norm.epsilon)
        given += [self._rows, unit.n_units, *numbers]
        self._over_columns("batch_norm", unit.n_units, *given, threads=MOST_THREADS)

    def _normalize_rows(self, unit: Unit, arrays: UnitArrays, b: Array | None) -> Array | None:
        """Normalise the rows of a unit's outputs; return the bias to add to them afterwards."""
        norm: Any = unit.row_norm
        gamma = self._buffers.parameter(norm, "gamma")
        given = (arrays.output, b, gamma, arrays.normalized, arrays.deviation)
        centres, epsilon = isinstance(norm, LayerNormalization), float(norm.epsilon)
        self._over_rows("row_norm", *given, self._rows, unit.n_units, centres, epsilon)
        return self._buffers.parameter(norm, "beta") if centres else None

    def _loss(self) -> None:
        model, buffers, n = self._model, self._buffers, self._units[-1].n_units
        z, e = buffers.units[-1].output, buffers.units[-1].error
        given = (z, e, buffers.y, buffers.order, buffers.weights, self._state, buffers.row_losses)
        loss, hits, logarithms = model.loss, None, False
        factor, max_reported = scale_of_loss(model)
        if (listing := self._formulas.loss) is not None:
            numbers = (factor, max_reported, *fixed(loss, listing))
            self._over_rows(formulas.loss(listing), *given, self._rows, n, *numbers)
        else:
            hits = buffers.row_hits
            logarithms = type(model.layers[-1]) is LogSoftmaxActivation
            logs = buffers.outputs if logarithms else None
            kind = "classes" if buffers.y.ndim == 1 else "rows"
            name = f"{row_kernel(loss)}_{kind}"
            self._over_rows(name, *given, hits, logs, self._rows, n, max_reported)
        if buffers.outputs is not None and not logarithms:
            total = self._rows * n
            self._over("keep_outputs", total, z, buffers.outputs, self._state, self._rows, n)
        totals = buffers.losses, buffers.totals
        weighted = buffers.weights is not None
        reported = (buffers.row_losses, hits, self._state, *totals, self._rows, weighted)
        self._one_block("reduce_losses", *reported)


def launched_settings(model: Model, units: list[Unit], buffers: Buffers) -> list[Any]:
    """Return the formulas and numbers in the launches that a user may change."""
    found = settings_of(model, units, formulas_of(model, slope_of_penalty))
    optimizer = model.optimizer
    return [
        *found, optimizer.clip_norm, optimizer.clip_value, buffers.standardizes_wide(model)
    ]  # fmt: skip
