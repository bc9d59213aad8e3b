"""A compiled step's instructions, one list for each thread and for even and odd steps."""

from typing import Any, cast

import numpy as np

from ....activations import LinearActivation, LogSoftmaxActivation, SigmoidActivation
from ....backends.cpu import kernels, losses, random, sparse, updates
from ....backends.cpu.engine import Engine
from ....backends.cpu.program import ARRIVE, ROWS_OF_BATCH, WAIT, Program
from ....losses import BinaryCrossEntropy, MeanSquaredError
from ....optimizers import SGD
from ....regularizers import L1L2
from ..translation import factor_and_most
from .layout import Layout
from .supported import OPTIMIZERS
from .supported import kernels as kernels_of
from .supported import number as number_of

_BATCH = ROWS_OF_BATCH


class Builder(Layout):
    """Makes the instructions; has the same arguments as :class:`Layout`."""

    def engine(self) -> Engine:
        """Return the engine that runs the step."""
        programs = [
            (self._program(thread, 0), self._program(thread, 1))
            for thread in range(self.plan.threads)
        ]
        return Engine(self.memory, programs, self.data)

    def settings(self) -> list[float]:
        """Return the numbers in the instructions that a user may change."""
        numbers = [*self._hyperparameters(), *factor_and_most(self.model.loss)]
        numbers.append(float(self.standardizes_wide))
        for _, _, regularizer in self.model.parameters.penalties:
            costs = cast(L1L2, regularizer)
            numbers += [costs.l1, costs.l2, float(costs.per_sample)]
        if isinstance(self.model.optimizer, SGD):
            numbers.append(float(self.model.optimizer.nesterov))
        for unit in self.units:
            numbers += [number_of(unit), 0.0 if unit.dropout is None else unit.dropout.rate]
        return numbers

    def _hyperparameters(self) -> list[float]:
        optimizer = self.model.optimizer
        return [float(getattr(optimizer, name)) for name in OPTIMIZERS[type(optimizer)][1]]

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
            function = getattr(kernels, kernels_of(unit)[0])
            program.add(function, n, z, stride, b, number_of(unit), arena["kept"][k], pad(n))
            if unit.dropout is not None:
                self._dropout(program, thread, k, (z, stride))
            if k < self.plan.shared:
                program.mark(ARRIVE | WAIT)

    def _dropout(self, program: Program, thread: int, k: int, z: tuple[int, int]) -> None:
        """Drop some outputs of a layer, and keep the derivatives of the others."""
        arena, unit, (first, n) = self.arenas[thread], self.units[k], self.places[thread][k]
        d = arena["kept"][k], self.memory.padded(n)
        if type(unit.activation) is not SigmoidActivation:  # its kernel keeps the derivative
            program.add(random.ones, n, *d)
            back = getattr(kernels, kernels_of(unit)[1])
            # The kernel also writes column sums; the gradient of the biases is not in use yet.
            spare = arena["arrays"][1] + arena["biases"][k]
            program.add(back, n, *d, *z, spare, number_of(unit))
        layer: Any = unit.dropout
        number = sum(each.dropout is not None for each in self.units[:k])
        key = int(np.uint64(layer.key).astype(np.int64))
        program.add(
            random.dropout,
            n,
            *z,
            *d,
            unit.n_units,
            first,
            key,
            float(layer.rate),
            number,
            arena["drawn"],
        )

    def _loss(self, program: Program, thread: int, parity: int) -> None:
        arena, pad = self.arenas[thread], self.memory.padded
        n = self.units[-1].n_units
        z, e = self.activations[thread][-1][parity], arena["errors"][-1]
        loss = self.model.loss
        if isinstance(loss, MeanSquaredError):
            function = losses.squares
        elif isinstance(loss, BinaryCrossEntropy):
            logits = loss.from_logits
            function = losses.binary_logits if logits else losses.binary_probabilities
        else:
            function = losses.softmax_classes if self.y.ndim == 1 else losses.softmax_rows
        logarithms = type(self.model.layers[-1]) is LogSoftmaxActivation
        weights = 0 if self.weights is None else self.weights.ctypes.data
        epsilon = float(np.finfo(self.memory.dtype).eps)
        program.add(
            function, n, z, pad(n), e, pad(n), self.y.ctypes.data, weights, thread == 0,
            logarithms, epsilon, *factor_and_most(loss),
        )  # fmt: skip
        if thread == 0 and not logarithms:
            program.add(kernels.keep_outputs, n, z, pad(n))

    def _back(self, program: Program, thread: int, parity: int) -> None:
        arena, pad, shared = self.arenas[thread], self.memory.padded, self.plan.shared
        home, gradients = arena["arrays"][:2]
        last = len(self.units) - 1
        for k in range(last, -1, -1):
            unit, (first, n) = self.units[k], self.places[thread][k]
            e, stride = arena["errors"][k], pad(n)
            if k == last:  # the loss writes the error of all columns
                e, stride = e + first, pad(unit.n_units)
            elif k + 1 < shared:  # each thread wrote a part of the error, from its columns above
                width = pad(unit.n_units)
                size = self.batch * width
                parts = self.parts[k + 1] + first
                n_parts = self.plan.threads
                program.add(kernels.add_parts, n, e, stride, parts, width, size, n_parts)
            slope = self._slope(thread, parity, k)
            name = "back_kept" if unit.keeps_derivative else kernels_of(unit)[1]
            function = getattr(kernels, name)
            program.add(
                function, n, e, stride, *slope, gradients + arena["biases"][k], number_of(unit)
            )
            w, g = home + arena["weights"][k], gradients + arena["weights"][k]
            if k > 0:
                self._error_below(program, thread, k, (e, stride), (w, self._stride(k, n)))
            if k == 0 and self.sparse is not None:
                addresses = [array.ctypes.data for array in self.sparse]
                program.add(sparse.sparse_gradient, n, e, stride, g, *addresses, unit.n_inputs)
            else:
                a = self._input(thread, parity, k)
                place = g, self._stride(k, n)
                program.gemm((unit.n_inputs, n, _BATCH), a, (e, stride), place, "TN")
            if k > 0 and k < shared:  # for the parts of the error below, written before this
                program.mark(WAIT)

    def _slope(self, thread: int, parity: int, k: int) -> tuple[int, int]:
        """Return offset and stride of the array that determines an activation's derivative."""
        unit, (first, n) = self.units[k], self.places[thread][k]
        if unit.keeps_derivative:
            return self.arenas[thread]["kept"][k], self.memory.padded(n)
        if type(unit.activation) is LinearActivation:
            return 0, 0
        return self.activations[thread][k][parity] + first, self.memory.padded(unit.n_units)

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
        for layer, name, regularizer in self.model.parameters.penalties:
            (k,) = (k for k, unit in enumerate(self.units) if unit.layer is layer)
            n = self.places[thread][k][1]
            size = n if name == "biases" else self.units[k].n_inputs * self._stride(k, n)
            costs = cast(L1L2, regularizer)
            place = arena[name][k]
            numbers = gradients + place, home + place, float(costs.l1), float(costs.l2)
            weights = 0 if self.weights is None else self.weights.ctypes.data
            # All threads have a copy of the layers that are not shared: only one reports them.
            reported = costs.per_sample and (thread == 0 or k < self.plan.shared)
            program.add(updates.penalize, size, *numbers, costs.per_sample, weights, reported)

    def _update(self, program: Program, thread: int) -> None:
        arena, optimizer = self.arenas[thread], self.model.optimizer
        name, numbers = OPTIMIZERS[type(optimizer)][0], self._hyperparameters()
        if isinstance(optimizer, SGD):
            numbers[1] = 1.0 - numbers[1]  # the kernel takes 1 - dampening
            name = "sgd_nesterov" if optimizer.nesterov else name
        self._penalize(program, thread)
        arrays = (arena["arrays"] + [0])[:4]
        program.add(getattr(updates, name), arena["size"], *arrays, *numbers)
