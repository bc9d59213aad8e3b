"""The calls of a captured step that propagate the error back."""

from collections.abc import Sequence
from typing import Any

from ....backends import Array
from ....backends.cuda import formulas
from ....backends.cuda.kernels import Kernel
from ....layers import LayerNormalization
from ..translation import Unit
from .buffers import MOST_PARTS, UnitArrays
from .calls import MOST_THREADS
from .updating import UpdateCalls, fixed


class BackwardCalls(UpdateCalls):
    """The calls of a step, with methods that add those of the backward pass."""

    _units: list[Unit]

    def _of(self, array: Array) -> Array:
        """Return the rows of an array that a batch of this size uses."""
        return array[: self._rows]

    def _input(self, k: int) -> Array:
        return self._of(self._buffers.units[k - 1].output if k else self._buffers.x)

    def _weights(self, k: int) -> Array:
        return self._buffers.parameter(self._units[k].layer, "weights")

    def _back(self, k: int) -> None:
        unit, arrays, buffers = self._units[k], self._buffers.units[k], self._buffers
        e, bias = arrays.error, None
        self._skip(k)
        if unit.trained and unit.has_bias:
            bias = buffers.gradient_of(unit.layer, "biases")
        if unit.norm is None and unit.row_norm is None:
            self._back_activation(unit, arrays, bias)
        elif unit.row_norm is not None:
            self._back_row_norm(unit, arrays)
            if bias is not None:
                self._sum_columns("column_sums", e, (), unit.n_units, (), bias)
        else:
            self._back_activation(unit, arrays, None)
            self._back_norm(unit, arrays)
            if bias is not None:
                self._sum_columns("column_sums", e, (), unit.n_units, (), bias)
        if unit.trained:
            self._back_weights(k)
        if k > 0 and self._units[k - 1].reached:
            below = self._of(buffers.units[k - 1].error)
            self._product(self._of(e), self._weights(k), below, "NT")

    def _skip(self, k: int) -> None:
        """Add the errors of sums with a unit's output to its own, and keep that of its own sum."""
        unit, arrays, total = (
            self._units[k],
            self._buffers.units,
            self._rows * self._units[k].n_units,
        )
        for above, other in zip(self._units, arrays, strict=True):
            if k in above.added:
                self._over("add_to", total, arrays[k].error, other.skipped, total)
        if any(self._units[source].reached for source in unit.added):
            self._over("copy_to", total, arrays[k].skipped, arrays[k].error, total)

    def _back_row_norm(self, unit: Unit, arrays: UnitArrays) -> None:
        """Propagate the error back through the activation and the normalization of rows."""
        norm: Any = unit.row_norm
        centres, n = isinstance(norm, LayerNormalization), unit.n_units
        buffers, x, e = self._buffers, arrays.normalized, arrays.error
        trains_beta = centres and unit.norm_trained
        beta = buffers.gradient_of(norm, "beta") if trains_beta else None
        self._back_activation(unit, arrays, beta)
        if unit.norm_trained:
            gamma = buffers.gradient_of(norm, "gamma")
            self._sum_columns("product_sums", e, (x,), n, (), gamma)
        given = (e, x, arrays.deviation, buffers.parameter(norm, "gamma"))
        self._over_rows("back_row_norm", *given, self._rows, n, centres)

    def _back_norm(self, unit: Unit, arrays: UnitArrays) -> None:
        norm, n, e, buffers = unit.norm, unit.n_units, arrays.error, self._buffers
        gamma = buffers.parameter(norm, "gamma")
        if not unit.norm_trained:
            given = (e, gamma, arrays.running["running_variance"], self._rows, n)
            epsilon = float(norm.epsilon)  # type: ignore[union-attr]
            self._over("back_fixed_norm", self._rows * n, *given, epsilon)
            return
        gradients = (buffers.gradient_of(norm, name) for name in ("gamma", "beta"))
        given = (e, arrays.normalized, arrays.deviation, gamma, *gradients, self._rows, n)
        self._over_columns("back_batch_norm", n, *given, threads=MOST_THREADS)

    def _back_weights(self, k: int) -> None:
        """Add the product that gives the gradient of a unit's weights."""
        unit, buffers, e = self._units[k], self._buffers, self._buffers.units[k].error
        n, g = unit.n_units, buffers.gradient_of(unit.layer, "weights")
        if k == 0 and buffers.x is None:
            assert buffers.sparse is not None
            self._over("fill", g.size, g, g.size, 0.0)
            grid, given = self._sparse_grid(n), (*buffers.sparse, buffers.order, self._state)
            self._add("csr_gradient", *grid, *given, e, g, self._rows, n)
        else:
            self._product(self._input(k), self._of(e), g, "TN")

    def _back_activation(self, unit: Unit, arrays: UnitArrays, out: Array | None) -> None:
        """Multiply the error by the activation's derivative; sum it over the batch into ``out``."""
        e, n = arrays.error, unit.n_units
        if out is None and unit.back is not None and unit.back.is_one:
            return
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
