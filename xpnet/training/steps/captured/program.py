"""A training step for one size of batch, as a list of calls of kernels and matrix products."""

from collections.abc import Sequence
from typing import Any

from ....activations import LogSoftmaxActivation
from ....backends import Array
from ....backends.cuda import formulas
from ....backends.cuda.kernels import Kernel
from ....model import Model
from ..translation import (
    Unit,
    formulas_of,
    row_kernel,
    scale_of_loss,
    settings_of,
    slope_of_penalty,
)
from .buffers import MOST_PARTS, Buffers, UnitArrays
from .calls import MOST_BLOCKS, MOST_THREADS, THREADS
from .updating import UpdateCalls, fixed


class Program(UpdateCalls):
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
        self._units = units
        self._begin()
        for k in range(len(units)):
            self._forward(k)
        self._loss()
        for k in reversed(range(len(units))):
            self._back(k)
        self._update()

    # ---- the step

    def _of(self, array: Array) -> Array:
        """Return the rows of an array that a batch of this size uses."""
        return array[: self._rows]

    def _begin(self) -> None:
        buffers, state = self._buffers, self._state
        self._add("tick", (1, 1), 32, state, buffers.controls)
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

    def _input(self, k: int) -> Array:
        return self._of(self._buffers.units[k - 1].output if k else self._buffers.x)

    def _parameter(self, k: int, name: str) -> Array:
        return self._buffers.parameter(self._units[k].layer, name)

    def _gradient(self, k: int, name: str) -> Array:
        return self._buffers.gradient_of(self._units[k].layer, name)

    def _forward(self, k: int) -> None:
        unit, arrays, buffers = self._units[k], self._buffers.units[k], self._buffers
        n, z, w, b = unit.n_units, arrays.output, *self._both(k)
        if k == 0 and buffers.x is None:
            assert buffers.sparse is not None
            grid, given = self._sparse_grid(n), (*buffers.sparse, buffers.order, self._state)
            self._add("csr_product", *grid, *given, w, z, self._rows, n)
        else:
            self._product(self._input(k), w, self._of(z))
        if unit.norm is not None:
            self._normalize(unit, arrays, b)
        self._activate(unit, arrays, b if unit.norm is None else None)
        if unit.dropout is not None:
            place = sum(each.dropout is not None for each in self._units[:k])
            total, rate = self._rows * n, float(unit.dropout.rate)
            given = (z, arrays.kept, self._state, place, unit.dropout.key, total, rate)
            self._over("dropout", -(-total // 8), *given)

    def _activate(self, unit: Unit, arrays: UnitArrays, bias: Array | None) -> None:
        """Add the bias, if any, and apply the activation."""
        if bias is None and unit.forward.is_identity:
            return
        total = self._rows * unit.n_units
        kept = [arrays.kept] if unit.keeps_derivative else []
        given = (arrays.output, bias, *kept, self._rows, unit.n_units)
        numbers = fixed(unit.activation, unit.forward)
        self._over(formulas.activation(unit.forward), total, *given, *numbers)

    def _both(self, k: int) -> tuple[Array, Array]:
        return self._parameter(k, "weights"), self._parameter(k, "biases")

    def _normalize(self, unit: Unit, arrays: UnitArrays, b: Array) -> None:
        norm: Any = unit.norm
        gamma, beta = (self._buffers.parameter(norm, name) for name in ("gamma", "beta"))
        given = [arrays.output, b, gamma, beta, arrays.normalized, arrays.deviation]
        given += [arrays.running[name] for name in ("running_mean", "running_variance")]
        numbers = float(norm.momentum), float(norm.epsilon)
        given += [self._rows, unit.n_units, *numbers]
        self._over_columns("batch_norm", unit.n_units, *given, threads=MOST_THREADS)

    def _loss(self) -> None:
        model, buffers, n = self._model, self._buffers, self._units[-1].n_units
        z, e = buffers.units[-1].output, buffers.units[-1].error
        given = (z, e, buffers.y, buffers.order, buffers.weights, self._state, buffers.row_losses)
        loss, hits, logarithms = model.loss, None, False
        factor, most = scale_of_loss(model)
        if (listing := self._formulas.loss) is not None:
            numbers = (factor, most, *fixed(loss, listing))
            self._over_rows(formulas.loss(listing), *given, self._rows, n, *numbers)
        else:
            hits = buffers.row_hits
            logarithms = type(model.layers[-1]) is LogSoftmaxActivation
            logs = buffers.outputs if logarithms else None
            kind = "classes" if buffers.y.ndim == 1 else "rows"
            name = f"{row_kernel(loss)}_{kind}"
            self._over_rows(name, *given, hits, logs, self._rows, n, most)
        if buffers.outputs is not None and not logarithms:
            total = self._rows * n
            self._over("keep_outputs", total, z, buffers.outputs, self._state, self._rows, n)
        totals = buffers.losses, buffers.totals
        weighted = buffers.weights is not None
        reported = (buffers.row_losses, hits, self._state, *totals, self._rows, weighted)
        self._one_block("report", *reported)

    def _back(self, k: int) -> None:
        unit, arrays, buffers = self._units[k], self._buffers.units[k], self._buffers
        n, e, bias = unit.n_units, arrays.error, self._gradient(k, "biases")
        if unit.norm is None:
            self._back_activation(unit, arrays, bias)
        else:
            if unit.back is None or not unit.back.is_one:
                self._back_activation(unit, arrays, None)
            norm: Any = unit.norm
            gradients = (buffers.gradient_of(norm, name) for name in ("gamma", "beta"))
            given = (e, arrays.normalized, arrays.deviation, buffers.parameter(norm, "gamma"))
            given = (*given, *gradients, self._rows, n)
            self._over_columns("back_batch_norm", n, *given, threads=MOST_THREADS)
            self._sum_columns("column_sums", e, (), n, (), bias)
        w, g = self._parameter(k, "weights"), self._gradient(k, "weights")
        if k == 0 and buffers.x is None:
            assert buffers.sparse is not None
            self._over("fill", g.size, g, g.size, 0.0)
            grid, given = self._sparse_grid(n), (*buffers.sparse, buffers.order, self._state)
            self._add("csr_gradient", *grid, *given, e, g, self._rows, n)
        else:
            self._product(self._input(k), self._of(e), g, "TN")
        if k > 0:
            self._product(self._of(e), w, self._of(buffers.units[k - 1].error), "NT")

    def _back_activation(self, unit: Unit, arrays: UnitArrays, out: Array | None) -> None:
        """Multiply the error by the activation's derivative; sum it over the batch."""
        e, n = arrays.error, unit.n_units
        if unit.back is None:
            self._sum_columns("back_kept", e, (arrays.kept,), n, (), out)
        elif unit.back.is_one:
            self._sum_columns("column_sums", e, (), n, (), out)
        else:
            numbers = fixed(unit.activation, unit.back)
            self._sum_columns(formulas.back(unit.back), e, (arrays.output,), n, numbers, out)

    def _sum_columns(
        self,
        kernel: str | Kernel,
        e: Array,
        by: tuple[Array, ...],
        n: int,
        numbers: Sequence[float],
        out: Array | None,
    ) -> None:
        """Add a kernel that sums the errors of each column, in parts if the batch is large."""
        parts = min(max(self._rows // 256, 1), MOST_PARTS)
        into = self._buffers.parts if parts > 1 or out is None else out
        self._over_columns(kernel, n, e, *by, into, self._rows, n, *numbers, parts=parts)
        if out is not None and parts > 1:
            self._over("sum_parts", n, into, out, parts, n)


def launched_settings(model: Model, units: list[Unit], buffers: Buffers) -> list[Any]:
    """Return the numbers and the formulas in the launches that a user may change."""
    found = settings_of(model, units, formulas_of(model, slope_of_penalty))
    optimizer = model.optimizer
    return [
        *found, optimizer.clip_norm, optimizer.clip_value, buffers.standardizes_wide(model)
    ]  # fmt: skip
