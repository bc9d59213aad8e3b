"""The calls of a captured step that propagate the error back."""

from collections.abc import Sequence
from typing import Any

from ....backends import Array
from ....backends.cuda import formulas
from ....backends.cuda.kernels import Kernel
from ....layers import LayerNormalization
from ..translation import Unit
from .buffers import MOST_PARTS, UnitArrays
from .calls import MOST_THREADS, THREADS
from .updating import UpdateCalls, fixed


class BackwardCalls(UpdateCalls):
    """The calls of a step, with methods that add the calls of the backward pass."""

    _units: list[Unit]
    _begun: set[int]
    """The units whose error this pass has written: further contributions are added to it."""

    def _of(self, array: Array) -> Array:
        """Return the rows of an array that a batch of this size uses."""
        return array[: self._rows]

    def _output(self, k: int) -> Array:
        """Return the output of a unit, or the features for -1."""
        return self._of(self._buffers.units[k].output if k >= 0 else self._buffers.x)

    def _weights(self, k: int) -> Array:
        return self._buffers.parameter(self._units[k].layer, "weights")

    def _back(self, k: int) -> None:
        unit, arrays, buffers = self._units[k], self._buffers.units[k], self._buffers
        e, bias = arrays.error, None
        for source in unit.added:
            self._pass_on(k, source)
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
        if unit.source < 0 or not self._units[unit.source].reached:
            return
        if unit.is_dense:
            below = self._of(buffers.units[unit.source].error)
            adds = self._has_begun(unit.source)
            self._product(self._of(e), self._weights(k), below, "NT", adds)
        else:
            self._pass_on(k, unit.source)

    def _has_begun(self, k: int) -> bool:
        """Return whether a unit's error has been written; from now on it counts as written."""
        has_begun = k in self._begun
        self._begun.add(k)
        return has_begun

    def _pass_on(self, k: int, source: int) -> None:
        """Add a unit's error to that of an earlier unit, if the backward pass reaches that."""
        if self._units[source].reached:
            arrays, total = self._buffers.units, self._rows * self._units[k].n_units
            kernel = "add_to" if self._has_begun(source) else "copy_to"
            self._over(kernel, total, arrays[source].error, arrays[k].error, total)

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
        """Add the calls that compute the gradient of a unit's weights."""
        unit, buffers, e = self._units[k], self._buffers, self._buffers.units[k].error
        n, g = unit.n_units, buffers.gradient_of(unit.layer, "weights")
        if (lookups := buffers.lookups) is not None and k == 0:
            rows = self._rows * lookups.per_sample
            self._over("fill", g.size, g, g.size, 0.0)
            grid = rows * len(lookups.tables), 1
            given = (e, buffers.codes, lookups.tables, g, rows, lookups.n_units)
            self._add("embedding_gradient", grid, THREADS, *given)
        elif k == 0 and buffers.x is None:
            assert buffers.sparse is not None
            self._over("fill", g.size, g, g.size, 0.0)
            grid, block = self._sparse_grid(n)
            given = (*buffers.sparse, buffers.order, self._state, e, g, self._rows, n)
            self._add("csr_gradient", grid, block, *given)
        else:
            self._product(self._output(unit.source), self._of(e), g, "TN")

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
