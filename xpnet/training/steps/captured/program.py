"""A training step for one size of batch, as a list of calls of kernels and matrix products."""

from typing import Any, cast

from ....activations import LogSoftmaxActivation
from ....backends import Array
from ....backends.cuda import kernels
from ....losses import BinaryCrossEntropy, MeanSquaredError
from ....model import Model
from ....optimizers import SGD, Adagrad, Adam, RMSProp
from ....regularizers import L1L2
from ..translation import Unit, factor_and_most
from .buffers import MOST_PARTS, SQUARES, Buffers, UnitArrays
from .calls import MOST_BLOCKS, MOST_THREADS, THREADS, Calls
from .supported import ACTIVATIONS


class Program(Calls):
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
        super().__init__(machine, rows)
        self._model, self._units, self._buffers = model, units, buffers
        self._state, self._scaled = state, scaled
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
        self._add("tick", (1, 1), 32, state)
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
        kind, number = _kind(unit)
        if unit.norm is not None:
            self._normalize(unit, arrays, b)
        if unit.norm is None or kind != kernels.LINEAR:
            bias = b if unit.norm is None else None
            kept = arrays.kept if kind == kernels.SIGMOID else None
            total = self._rows * n
            self._over("bias_activation", total, z, bias, kept, self._rows, n, kind, number)
        if unit.dropout is not None:
            place = sum(each.dropout is not None for each in self._units[:k])
            total, rate = self._rows * n, float(unit.dropout.rate)
            before = kernels.KEPT if kind == kernels.SIGMOID else kind
            given = (z, arrays.kept, self._state, place, unit.dropout.key, total, rate)
            self._over("dropout", -(-total // 8), *given, before, number)

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
        factor, most = factor_and_most(loss)
        if isinstance(loss, MeanSquaredError):
            self._over_rows("squares", *given, self._rows, n, factor)
        elif isinstance(loss, BinaryCrossEntropy) and loss.from_logits:
            self._over_rows("binary_logits", *given, self._rows, n, factor, most)
        elif isinstance(loss, BinaryCrossEntropy):
            epsilon = float(self._machine.epsilon)
            self._over_rows("binary_probabilities", *given, self._rows, n, factor, epsilon)
        else:
            hits = buffers.row_hits
            logarithms = type(model.layers[-1]) is LogSoftmaxActivation
            logs = buffers.outputs if logarithms else None
            name = "softmax_classes" if buffers.y.ndim == 1 else "softmax_rows"
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
        n, e, (kind, number) = unit.n_units, arrays.error, _kind(unit)
        a = arrays.output
        if unit.keeps_derivative:
            kind, a = kernels.KEPT, arrays.kept
        bias = self._gradient(k, "biases")
        if unit.norm is not None:
            if kind != kernels.LINEAR:
                self._back_activation(e, a, n, kind, number, None)
            norm: Any = unit.norm
            gradients = (buffers.gradient_of(norm, name) for name in ("gamma", "beta"))
            given = (e, arrays.normalized, arrays.deviation, buffers.parameter(norm, "gamma"))
            given = (*given, *gradients, self._rows, n)
            self._over_columns("back_batch_norm", n, *given, threads=MOST_THREADS)
            kind = kernels.LINEAR
        self._back_activation(e, a, n, kind, number, bias)
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

    def _back_activation(
        self, e: Array, a: Array, n: int, kind: int, number: float, out: Array | None
    ) -> None:
        """Multiply the error by the derivative; sum it over the batch, in parts if large."""
        parts = min(max(self._rows // 256, 1), MOST_PARTS)
        into = self._buffers.parts if parts > 1 or out is None else out
        given = (e, a, into, self._rows, n, kind, number)
        self._over_columns("back_activation", n, *given, parts=parts)
        if out is not None and parts > 1:
            self._over("sum_parts", n, into, out, parts, n)

    def _update(self) -> None:
        buffers, optimizer, state = self._buffers, self._model.optimizer, self._state
        n = buffers.flat.size
        for layer, name, regularizer in self._model.parameters.penalties:
            w, g = buffers.parameter(layer, name), buffers.gradient_of(layer, name)
            costs = cast(L1L2, regularizer)
            # Without sample weights, a per_sample penalty is divided here, else in the kernel.
            weighted = costs.per_sample and buffers.weights is not None
            among = self._rows if costs.per_sample and not weighted else 1
            l1, l2 = costs.l1 / among, costs.l2 / among
            self._over("penalize", w.size, g, w, state, w.size, l1, l2, weighted)
        if optimizer.clip_value is not None:
            most = float(optimizer.clip_value)
            self._over("clip_values", n, buffers.gradient, state, n, most, self._scaled)
        if optimizer.clip_norm is not None or self._scaled:
            self._add("square_sum", (SQUARES, 1), THREADS, buffers.gradient, buffers.squares, n)
            most = float(optimizer.clip_norm or 0.0)
            self._one_block("judge", buffers.squares, state, SQUARES, most, self._scaled)
        name, numbers = _update_of(optimizer)
        given = (buffers.flat, buffers.gradient, *buffers.states, state, n)
        self._over(name, n, *given, *numbers)


def _kind(unit: Unit) -> tuple[int, float]:
    """Return a unit's kind of activation, and its parameter."""
    kind, name = ACTIVATIONS[type(unit.activation)]
    return kind, 0.0 if name is None else float(getattr(unit.activation, name))


def _update_of(optimizer: Any) -> tuple[str, tuple[float, ...]]:
    """Return the name of an optimizer's kernel, and the numbers that it takes."""
    if isinstance(optimizer, SGD):
        return "sgd", (optimizer.momentum, 1.0 - optimizer.dampening, optimizer.nesterov)
    if isinstance(optimizer, RMSProp):
        return "rmsprop", (optimizer.rho, 1.0 - optimizer.rho, optimizer.epsilon)
    if isinstance(optimizer, Adagrad):
        return "adagrad", (optimizer.epsilon,)
    assert isinstance(optimizer, Adam)
    numbers = optimizer.beta_1, optimizer.beta_2, optimizer.epsilon, optimizer.weight_decay
    return "adam", (*numbers, optimizer.corrects_epsilon)
