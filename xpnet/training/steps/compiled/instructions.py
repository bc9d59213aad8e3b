"""A compiled step's instructions, one list for each thread and for even and odd steps."""

from typing import Any

import numpy as np

from ....activations import LogSoftmaxActivation
from ....backends.cpu import formulas, kernels, losses, random, rows, sparse, updating
from ....backends.cpu.engine import Engine
from ....backends.cpu.program import ARRIVE, OF_UPDATE, ROWS_OF_BATCH, WAIT, Program
from ....layers import LayerNormalization
from ..translation import Unit, formulas_of, numbers_in, scale_of_loss, settings_of
from .layout import Layout

_BATCH = ROWS_OF_BATCH


class Builder(Layout):
    """Makes the instructions; has the same arguments as :class:`Layout`."""

    def engine(self) -> Engine:
        """Return the engine that runs the step."""
        self._formulas = formulas_of(self.model)
        programs = [
            (self._program(thread, 0), self._program(thread, 1))
            for thread in range(self.plan.threads)
        ]
        return Engine(self.memory, programs, self.data)

    def settings(self) -> list[Any]:
        """Return the numbers and the formulas in the instructions that a user may change."""
        found = settings_of(self.model, self.units, formulas_of(self.model))
        return [*found, self.standardizes_wide]

    def _program(self, thread: int, parity: int) -> Program:
        program = Program(self.memory, self.data.dtype.name)
        self._forward(program, thread, parity)
        self._loss(program, thread, parity)
        self._back(program, thread, parity)
        self._update(program, thread)
        return program

    def _input(self, thread: int, parity: int, k: int) -> tuple[int, int]:
        """Return offset and stride of a layer's input."""
        pad = self.memory.padded
        if k == 0:
            return self.arenas[thread]["x"], pad(self.units[0].n_inputs)
        return self.activations[thread][k - 1][parity], pad(self.units[k - 1].n_units)

    def _forward(self, program: Program, thread: int, parity: int) -> None:
        arena, pad = self.arenas[thread], self.memory.padded
        home = arena["arrays"][0]
        if self.sparse is None:
            x = (self.units[0].n_inputs, *self._input(thread, parity, 0))
            name, moments = self.gathering()
            program.add(getattr(kernels, name), *x, *moments)
        for k, unit in enumerate(self.units):
            first, n = self.places[thread][k]
            stride = pad(unit.n_units)
            z = self.activations[thread][k][parity] + first
            w, b = home + arena["weights"][k], home + arena["biases"][k]
            if k == 0 and self.sparse is not None:
                addresses = [array.ctypes.data for array in self.sparse]
                program.add(sparse.sparse_product, n, z, stride, w, *addresses)
            else:
                a = self._input(thread, parity, k)
                program.gemm((_BATCH, n, unit.n_inputs), a, (w, self._stride(k, n)), (z, stride))
            if unit.row_norm is not None:
                x, divisors = arena["rows"][k]
                given = (home + arena["gamma"][k], x, pad(n), divisors, _centres(unit))
                program.add(rows.row_norm, n, z, stride, b, *given, unit.row_norm.epsilon)
                b = home + arena["beta"][k]
            function = formulas.activation(unit.forward)
            numbers = numbers_in(unit.activation, unit.forward)
            program.add(function, n, z, stride, b, arena["kept"][k], pad(n), *numbers)
            if unit.dropout is not None:
                self._dropout(program, thread, k, (z, stride))
            for source in unit.added:
                program.add(rows.add_to, n, z, stride, *self._input(thread, parity, source + 1))
            if k < self.plan.shared:
                program.mark(ARRIVE | WAIT)

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
        arena, pad, shared = self.arenas[thread], self.memory.padded, self.plan.shared
        home, gradients = arena["arrays"][:2]
        last = len(self.units) - 1
        for k in range(last, -1, -1):
            unit, (first, n) = self.units[k], self.places[thread][k]
            if not unit.reached:
                break
            e, stride = arena["errors"][k], pad(n)
            if k == last:  # the loss writes the error of all columns
                e, stride = e + first, pad(unit.n_units)
            elif k + 1 < shared:  # each thread wrote a part of the error, from its columns above
                width = pad(unit.n_units)
                size = self.batch * width
                parts = self.parts[k + 1] + first
                n_parts = self.plan.threads
                program.add(kernels.add_parts, n, e, stride, parts, width, size, n_parts)
            for j, above in enumerate(self.units):
                if k in above.added:
                    skipped = arena["skipped"][j] + first, pad(above.n_units)
                    program.add(rows.add_to, n, e, stride, *skipped)
            if any(self.units[source].reached for source in unit.added):
                program.add(rows.copy_to, n, arena["skipped"][k], pad(n), e, stride)
            biases = gradients + arena["biases"][k]
            sums = biases if unit.row_norm is None else gradients + arena["beta"][k]
            needs_sums = unit.trained or unit.norm_trained
            if unit.back is not None and unit.back.is_one and not needs_sums:
                pass
            elif unit.back is None:
                kept = arena["kept"][k], pad(n)
                program.add(kernels.back_kept, n, e, stride, *kept, sums)
            else:
                a = self.activations[thread][k][parity] + first, pad(unit.n_units)
                numbers = numbers_in(unit.activation, unit.back)
                program.add(formulas.back(unit.back), n, e, stride, *a, sums, *numbers)
            if unit.row_norm is not None:
                x, divisors = arena["rows"][k]
                gamma = arena["gamma"][k]
                given = (x, pad(n), divisors, home + gamma, gradients + gamma, biases)
                program.add(rows.back_row_norm, n, e, stride, *given, _centres(unit))
            w, g = home + arena["weights"][k], gradients + arena["weights"][k]
            propagates = k > 0 and self.units[k - 1].reached
            if propagates:
                self._error_below(program, thread, k, (e, stride), (w, self._stride(k, n)))
            if not unit.trained:
                pass
            elif k == 0 and self.sparse is not None:
                addresses = [array.ctypes.data for array in self.sparse]
                program.add(sparse.sparse_gradient, n, e, stride, g, *addresses, unit.n_inputs)
            else:
                a = self._input(thread, parity, k)
                place = g, self._stride(k, n)
                program.gemm((unit.n_inputs, n, _BATCH), a, (e, stride), place, "TN")
            if propagates and k < shared:  # for the parts of the error below, written before this
                program.mark(WAIT)

    def _error_below(
        self, program: Program, thread: int, k: int, e: tuple[int, int], w: tuple[int, int]
    ) -> None:
        """Add the product that propagates the error to the layer below."""
        unit, n = self.units[k], self.places[thread][k][1]
        if k < self.plan.shared:
            width = self.memory.padded(unit.n_inputs)
            part = self.parts[k] + thread * self.batch * width
            program.gemm((_BATCH, unit.n_inputs, n), e, w, (part, width), "NT")
            program.mark(ARRIVE)
            return
        first, n_below = self.places[thread][k - 1]
        below = self.arenas[thread]["errors"][k - 1], self.memory.padded(n_below)
        rows = (w[0] + first * w[1], w[1])  # of the weights, for the thread's columns below
        program.gemm((_BATCH, n_below, n), e, rows, below, "NT")

    def _penalize(self, program: Program, thread: int) -> None:
        """Add the derivatives of penalties to a thread's own gradients; padding stays 0."""
        arena = self.arenas[thread]
        home, gradients = arena["arrays"][:2]
        terms = zip(self.model.parameters.penalties, self._formulas.penalties, strict=True)
        for (layer, name, regularizer), cost in terms:
            (k,) = (k for k, unit in enumerate(self.units) if unit.layer is layer)
            n = self.places[thread][k][1]
            size = n if name == "biases" else self.units[k].n_inputs * self._stride(k, n)
            place = arena[name][k]
            weights = 0 if self.weights is None else self.weights.ctypes.data
            # All threads have a copy of the layers that are not shared: only one reports them.
            reported = regularizer.per_sample and (thread == 0 or k < self.plan.shared)
            program.add(
                formulas.penalty(cost), size, gradients + place, home + place,
                regularizer.per_sample, self.accumulates, 0, weights, reported,
                *numbers_in(regularizer, cost),
            )  # fmt: skip
            program.mark(OF_UPDATE)

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
