"""The instructions of a compiled step: lists for each thread, for even and for odd steps."""

from typing import Any

import numpy as np

from ....activations import LinearActivation, LogSoftmaxActivation
from ....backends.cpu import formulas, kernels, lookups, losses, random, rows, sparse, updating
from ....backends.cpu.engine import Engine
from ....backends.cpu.program import ARRIVE, OF_UPDATE, ROWS_OF_BATCH, WAIT, Program
from ....layers import LayerNormalization
from ..translation import Unit, formulas_of, numbers_in, scale_of_loss, settings_of
from .layout import Layout

_BATCH = ROWS_OF_BATCH


class Builder(Layout):
    """Builds the instructions; has the same parameters as :class:`Layout`."""

    def engine(self) -> Engine:
        """Return the engine that runs the step."""
        self._formulas = formulas_of(self.model)
        programs = [
            (self._program(thread, 0), self._program(thread, 1))
            for thread in range(self.plan.threads)
        ]
        return Engine(self.memory, programs, self.data)

    def settings(self) -> list[Any]:
        """Return the formulas and numbers in the instructions that a user may change."""
        found = settings_of(self.model, self.units, formulas_of(self.model))
        return [*found, self.standardizes_wide]

    def _program(self, thread: int, parity: int) -> Program:
        program = Program(self.memory, self.data.dtype.name)
        self._forward(program, thread, parity)
        self._loss(program, thread, parity)
        self._back(program, thread, parity)
        self._update(program, thread)
        return program

    def _output(self, thread: int, parity: int, k: int) -> tuple[int, int]:
        """Return the offset and stride of a unit's output, or of the features for -1."""
        pad = self.memory.padded
        if k < 0:
            return self.arenas[thread]["x"], pad(self.units[0].n_inputs)
        return self.activations[thread][k][parity], pad(self.units[k].n_units)

    def _forward(self, program: Program, thread: int, parity: int) -> None:
        arena, pad = self.arenas[thread], self.memory.padded
        home = arena["arrays"][0]
        if self.sparse is None:
            into = 0 if self.units[0].layer is None else -1
            name, moments = self.gathering()
            x = self._output(thread, parity, into)
            program.add(getattr(kernels, name), self.units[0].n_inputs, *x, *moments)
        for k, unit in enumerate(self.units):
            first, n = self.places[thread][k]
            stride = pad(unit.n_units)
            z = self.activations[thread][k][parity] + first
            b = home + arena["biases"][k]
            begun = self._begin(program, thread, parity, k)
            if unit.row_norm is not None:
                x, divisors = arena["rows"][k]
                given = (home + arena["gamma"][k], x, pad(n), divisors, _centres(unit))
                program.add(rows.row_norm, n, z, stride, b, *given, unit.row_norm.epsilon, *begun)
                b = home + arena["beta"][k]
            if _has_activation(unit):
                function = formulas.activation(unit.forward)
                numbers = numbers_in(unit.activation, unit.forward)
                program.add(function, n, z, stride, b, arena["kept"][k], pad(n), *numbers)
            if unit.dropout is not None:
                self._dropout(program, thread, k, (z, stride))
            for source in unit.added:
                program.add(rows.add_to, n, z, stride, *self._output(thread, parity, source))
            if k < self.plan.shared:
                program.mark(ARRIVE | WAIT)

    def _begin(self, program: Program, thread: int, parity: int, k: int) -> tuple[int, int]:
        """Compute a unit's product, lookup or copy; return the place and stride of the result."""
        unit, (first, n), arena = self.units[k], self.places[thread][k], self.arenas[thread]
        given = self._output(thread, parity, unit.source)
        start, stride = self._output(thread, parity, k)
        z = start + first, stride
        if unit.layer is None:
            if k == 0:  # the features were gathered there
                return z
            if unit.row_norm is not None:  # it reads its source directly
                return given
            program.add(rows.copy_to, n, *z, *given)
            return z
        w = arena["arrays"][0] + arena["weights"][k]
        if not unit.is_dense:
            program.add(lookups.lookup, len(self.runs), *z, *given, w, *self._lookup(unit))
        elif k == 0 and self.sparse is not None:
            program.add(sparse.sparse_product, n, *z, w, *_addresses(self.sparse))
        else:
            program.gemm((_BATCH, n, unit.n_inputs), given, (w, self._stride(k, n)), z)
        return z

    def _lookup(self, unit: Unit) -> tuple[int, bool]:
        """Return the arguments that both instructions of an embedding share."""
        layer: Any = unit.layer
        return self.runs.ctypes.data, layer.unknown

    def _dropout(self, program: Program, thread: int, k: int, z: tuple[int, int]) -> None:
        """Drop some outputs of a layer, and keep the derivatives of the others."""
        arena, unit, (first, n) = self.arenas[thread], self.units[k], self.places[thread][k]
        d = arena["kept"][k], self.memory.padded(n)
        layer: Any = unit.dropout
        number = sum(each.dropout is not None for each in self.units[:k])
        key = int(np.uint64(layer.key).astype(np.int64))
        program.add(
            random.dropout, n, *z, *d, unit.n_units, first, key, float(layer.rate), number,
            arena["drawn"],
        )  # fmt: skip

    def _loss(self, program: Program, thread: int, parity: int) -> None:
        arena, pad = self.arenas[thread], self.memory.padded
        n = self.units[-1].n_units
        z, e = self.activations[thread][-1][parity], arena["errors"][-1]
        loss, numbers = self.model.loss, list[float]()
        if (listing := self._formulas.loss) is not None:
            function, numbers = formulas.loss(listing), numbers_in(loss, listing)
        else:
            function = losses.softmax_classes if self.y.ndim == 1 else losses.softmax_rows
        logarithms = type(self.model.layers[-1]) is LogSoftmaxActivation
        weights = 0 if self.weights is None else self.weights.ctypes.data
        program.add(
            function, n, z, pad(n), e, pad(n), self.y.ctypes.data, weights, thread == 0,
            logarithms, *scale_of_loss(self.model), *numbers,
        )  # fmt: skip
        if thread == 0 and not logarithms:
            program.add(kernels.keep_outputs, n, z, pad(n))

    def _back(self, program: Program, thread: int, parity: int) -> None:
        arena, gradients = self.arenas[thread], self.arenas[thread]["arrays"][1]
        written = {len(self.units) - 1}  # the units whose errors have been written
        for k in range(len(self.units) - 1, -1, -1):
            unit, (_, n) = self.units[k], self.places[thread][k]
            if not unit.reached:
                continue
            e = self._error(program, thread, k, written)
            self._back_to_begin(program, thread, parity, k, e)
            propagates = unit.source >= 0 and self.units[unit.source].reached
            if propagates:
                self._error_below(program, thread, k, e, written)
            g = gradients + arena["weights"][k] if unit.trained else 0
            given = self._output(thread, parity, unit.source)
            if not unit.trained:
                pass
            elif not unit.is_dense:
                size = self.size_of(k, n)
                places = (*given, g, *self._lookup(unit))
                program.add(lookups.back_lookup, len(self.runs), *e, *places, size)
            elif k == 0 and self.sparse is not None:
                addresses = _addresses(self.sparse)
                program.add(sparse.sparse_gradient, n, *e, g, *addresses, unit.n_inputs)
            else:
                place = g, self._stride(k, n)
                program.gemm((unit.n_inputs, n, _BATCH), given, e, place, "TN")
            if propagates and k < self.plan.shared:  # for the parts of the error below
                program.mark(WAIT)

    def _error(self, program: Program, thread: int, k: int, written: set[int]) -> tuple[int, int]:
        """Complete the error of a unit's output; return its place and its stride.

        The units above have already added their contributions through products and copies.
        """
        arena, pad = self.arenas[thread], self.memory.padded
        unit, (first, n) = self.units[k], self.places[thread][k]
        e = arena["errors"][k], pad(n)
        if k == len(self.units) - 1:  # the loss writes the error of all columns
            e = e[0] + first, pad(unit.n_units)
        elif k + 1 < self.plan.shared:
            # Each thread wrote a part of the error, from its columns above.
            width = pad(unit.n_units)
            parts = self.parts[k + 1] + first, width, self.batch * width
            program.add(kernels.add_parts, n, *e, *parts, self.plan.threads)
            written.add(k)
        for j, above in enumerate(self.units):
            for _ in range(above.added.count(k)):  # twice if two blocks begin and end together
                function = rows.add_to if k in written else rows.copy_to
                skipped = arena["skipped"][j] + first, pad(above.n_units)
                program.add(function, n, *e, *skipped)
                written.add(k)
        return e

    def _back_to_begin(
        self, program: Program, thread: int, parity: int, k: int, e: tuple[int, int]
    ) -> None:
        """Propagate the error of a unit's output to its product, lookup or copy."""
        arena, pad = self.arenas[thread], self.memory.padded
        home, gradients = arena["arrays"][:2]
        unit, (first, n) = self.units[k], self.places[thread][k]
        if arena["skipped"][k] != arena["errors"][k]:
            program.add(rows.copy_to, n, arena["skipped"][k], pad(n), *e)
        biases = gradients + arena["biases"][k]
        sums = biases if unit.row_norm is None else gradients + arena["beta"][k]
        needs_sums = unit.norm_trained or (unit.trained and unit.has_bias)
        if unit.back is None:
            kept = arena["kept"][k], pad(n)
            program.add(kernels.back_kept, n, *e, *kept, sums)
        elif needs_sums or not unit.back.is_one:
            a = self.activations[thread][k][parity] + first, pad(unit.n_units)
            numbers = numbers_in(unit.activation, unit.back)
            program.add(formulas.back(unit.back), n, *e, *a, sums, *numbers)
        if unit.row_norm is not None:
            x, divisors = arena["rows"][k]
            gamma = arena["gamma"][k]
            given = (x, pad(n), divisors, home + gamma, gradients + gamma, biases)
            program.add(rows.back_row_norm, n, *e, *given, _centres(unit))

    def _error_below(
        self, program: Program, thread: int, k: int, e: tuple[int, int], written: set[int]
    ) -> None:
        """Propagate the error of a unit's product or copy to its source."""
        arena, pad = self.arenas[thread], self.memory.padded
        unit, n = self.units[k], self.places[thread][k][1]
        first, n_below = self.places[thread][unit.source]
        below = arena["errors"][unit.source], pad(n_below)
        if unit.layer is None:
            function = rows.add_to if unit.source in written else rows.copy_to
            program.add(function, n_below, *below, e[0] + first, e[1])
            written.add(unit.source)
            return
        w, stride = arena["arrays"][0] + arena["weights"][k], self._stride(k, n)
        if k < self.plan.shared:
            width = pad(unit.n_inputs)
            part = self.parts[k] + thread * self.batch * width
            program.gemm((_BATCH, unit.n_inputs, n), e, (w, stride), (part, width), "NT")
            program.mark(ARRIVE)
            return
        w += first * stride  # the weights for the thread's columns below
        adds = unit.source in written
        program.gemm((_BATCH, n_below, n), e, (w, stride), below, "NT", adds)
        written.add(unit.source)

    def _penalize(self, program: Program, thread: int) -> None:
        """Add the derivatives of penalties to a thread's own gradients; padding stays 0."""
        arena = self.arenas[thread]
        home, gradients = arena["arrays"][:2]
        terms = zip(self.model.parameters.penalties, self._formulas.penalties, strict=True)
        for (layer, name, regularizer), cost in terms:
            (k,) = (k for k, unit in enumerate(self.units) if unit.layer is layer)
            n = self.places[thread][k][1]
            size, columns, stride = self._sizes(k, n, name)
            place = arena[name][k]
            weights = 0 if self.weights is None else self.weights.ctypes.data
            # All threads have a copy of the layers that are not shared: only one reports penalties.
            reported = regularizer.per_sample and (thread == 0 or k < self.plan.shared)
            program.add(
                formulas.penalty(cost), size, gradients + place, home + place,
                regularizer.per_sample, self.accumulates, columns, weights, reported * stride,
                *numbers_in(regularizer, cost),
            )  # fmt: skip
            program.mark(OF_UPDATE)

    def _sizes(self, k: int, n: int, name: str) -> tuple[int, int, int]:
        """Return the size of a parameter, its columns and the stride of its rows."""
        if name != "weights":
            return n, n, n
        size = self.size_of(k, n)
        return (size, n, self._stride(k, n)) if self.units[k].is_dense else (size, size, size)

    def _update(self, program: Program, thread: int) -> None:
        arena, optimizer = self.arenas[thread], self.model.optimizer
        home, gradients = arena["arrays"][:2]
        if self.accumulates:
            weights = 0 if self.weights is None else self.weights.ctypes.data
            places = gradients, arena["accumulated"]
            program.add(updating.accumulate, arena["size"], *places, 0, 0, 0, weights)
        self._penalize(program, thread)
        rule = self._formulas.rule
        for part, factor, missed in self.model.parameters.parts_of(optimizer):
            place = self.place_of(thread, part)
            arrays = [array + place.start for array in arena["arrays"]]
            numbers = [factor, missed, *numbers_in(optimizer, rule)]
            program.add(formulas.update(rule), place.stop - place.start, *arrays, *numbers)
            program.mark(OF_UPDATE)
        if self.averages:
            program.add(updating.average, arena["size"], home, arena["average"])
            program.mark(OF_UPDATE)


def _centres(unit: Unit) -> bool:
    """Whether the normalization of rows subtracts their mean."""
    return isinstance(unit.row_norm, LayerNormalization)


def _has_activation(unit: Unit) -> bool:
    """Whether an activation instruction must follow, to add a bias or apply the activation."""
    is_plain = type(unit.activation) is LinearActivation and not unit.keeps_derivative
    return unit.is_dense or unit.row_norm is not None or not is_plain


def _addresses(arrays: tuple[np.ndarray, ...]) -> list[int]:
    return [array.ctypes.data for array in arrays]
