"""The steps of training: as formulas, one after the other, or in compiled code."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import config, memory
from ._arrays import Arrays, take
from ._checks import check_count
from ._placing import Placed
from ._streaming import Stream
from ._sums import Sums, loss_arguments
from .backends import Array, array_namespace, unknown_name
from .workspace import Workspace, takes_out

if TYPE_CHECKING:
    from .compiled import CompiledTraining
    from .neuralnet import NeuralNetwork


class NotFiniteError(Exception):
    """A loss, or a weight, is not finite; ``step`` is counted from 0."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


class Steps(AbstractContextManager["Steps"], ABC):
    """The steps of a training, within a ``with`` block; :func:`make_steps` chooses which.

    Parameters
    ----------
    network : NeuralNetwork
    plan : MemoryPlan

    Attributes
    ----------
    plan : MemoryPlan
        What they take of the memory.
    """

    def __init__(self, network: "NeuralNetwork", plan: memory.MemoryPlan) -> None:
        self._network = network
        self.plan = plan

    @abstractmethod
    def run(self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int) -> Iterator[int]:
        """Train on samples in an order, from step ``step`` on; now and then, say how many it were.

        Raises
        ------
        NotFiniteError
            A loss is NaN or infinite; on a device that is only seen at the end of the epoch.
        """

    def begin_epoch(self) -> None:
        """Do what an epoch needs before its first step."""

    def end_epoch(self) -> None:
        """Let the network have what the steps learned."""


class FormulaSteps(Steps):
    """The steps as formulas: forward, loss, backward, update; arrays are used again.

    Parameters
    ----------
    network : NeuralNetwork
    placed : Placed
        The data, and the plan of how to go through them.
    """

    def __init__(self, network: "NeuralNetwork", placed: Placed) -> None:
        super().__init__(network, placed.plan)
        self._workspace: Workspace | None = None

    def __enter__(self) -> Self:
        net = self._network
        if net.backend.writes_out and net.parameters:
            self._workspace = Workspace(net.backend)
            net.parameters.attach_workspaces(net.backend)
        return self

    def __exit__(self, *exception: object) -> None:
        self._workspace = None
        if self._network.parameters:
            self._network.parameters.detach_workspaces()

    def run(self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int) -> Iterator[int]:
        """Train on samples in an order, one step at a time."""
        for batch in self._batches(arrays, order):  # (1) mini-batches, (5) for all of them
            self._step(batch, sums, step)
            step += 1
            yield 1

    def _batches(self, arrays: Arrays, order: np.ndarray) -> Iterator[Iterator[Arrays]]:
        """Give the batches, each in pieces of as many samples as go through the network at once."""
        index = arrays.backend.asarray(order)
        for start in range(0, len(order), self.plan.batch_size):
            part = slice(start, min(start + self.plan.batch_size, len(order)))
            yield arrays.batches(self.plan.rows, order[part], self._workspace, index[part])

    def _step(self, batch: Iterator[Arrays], sums: Sums, step: int) -> None:
        """Change the parameters by what a batch says."""
        net = self._network
        if self.plan.rows == self.plan.batch_size:
            self._pass(next(batch), sums, step)
            net.update_parameters()
            return
        total: Array = 0.0
        for piece in batch:
            weight = self._pass(piece, sums, step)
            net.parameters.accumulate(weight)
            total = total + weight
        net.parameters.take_accumulated(total)
        net.update_parameters()

    def _pass(self, batch: Arrays, sums: Sums, step: int) -> Array:
        """Go forward and back, which leaves the layers with gradients; return what it weighs."""
        net = self._network
        output = net.forward_propagation(batch.X, training=True)  # (2) forward
        # (3) derivative of the loss
        out = {}
        if self._workspace is not None and takes_out(type(net.loss).loss_and_derivative):
            out = {"out": self._workspace.array("error", output.shape)}
        loss, error = net.loss.loss_and_derivative(*loss_arguments(batch, output), **out)
        if error.dtype != output.dtype:  # a user's loss may have met targets of another type
            error = array_namespace(error).astype(error, output.dtype)
        if error.shape != output.shape:
            raise ValueError(
                f"{type(net.loss).__name__}.derivative returned shape {error.shape}: expected "
                f"{output.shape}, the shape of y_pred"
            )
        weight = sums.add(batch, output, loss, step)
        if not net.backend.lazy and not math.isfinite(loss):
            raise NotFiniteError(f"the loss {loss}", step)
        net.backward_propagation(error, update=False)  # (4) backward
        return weight


class CompiledSteps(Steps):
    """The same steps in compiled code, some at a time; the parameters are there meanwhile."""

    SECONDS = 0.03
    """About how long the steps take after which Ctrl-C and the progress bar have their turn."""

    def __init__(
        self, network: "NeuralNetwork", placed: Placed, training: "CompiledTraining", nbytes: int
    ) -> None:
        super().__init__(network, memory.of_compiled(placed.plan, nbytes))
        self._training = training
        # With a metric whole units, which its sums are taken of however long they took.
        self._unit = _steps_together(placed.plan) if training.keeps else 1
        self._at_a_time = self._unit

    def __exit__(self, *exception: object) -> None:
        self._training.close()

    def begin_epoch(self) -> None:
        """Bring the parameters in."""
        self._training.load()

    def end_epoch(self) -> None:
        """Bring the parameters out."""
        self._training.store()

    def run(self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int) -> Iterator[int]:
        """Train on samples in an order, some steps at a time."""
        net, size, start = self._network, self.plan.batch_size, 0
        self._training.use(arrays.X, arrays.y, arrays.sample_weight)
        while start < len(order):
            part = order[start : start + self._at_a_time * size]
            began = time.perf_counter()
            losses, weights = self._training.run(part, net.optimizer.learning_rate)
            seconds = time.perf_counter() - began
            sums.add_losses(losses, weights, step)
            wrong = np.flatnonzero(~np.isfinite(losses))
            if wrong.size:
                raise NotFiniteError(f"the loss {losses[wrong[0]]}", step + int(wrong[0]))
            self._add_outputs(arrays, part, sums)
            yield len(losses)
            step += len(losses)
            start += len(part)
            if len(part) == self._at_a_time * size:
                self._adapt(seconds)

    def _adapt(self, seconds: float) -> None:
        """Take twice as many steps at a time, or half as many, where they took too little or much.

        That is bounded by the outputs that are kept.
        """
        most = (self._training.keeps or math.inf) / self.plan.batch_size
        if seconds < self.SECONDS / 2 and 2 * self._at_a_time <= most:
            self._at_a_time *= 2
        elif seconds > 2 * self.SECONDS and self._at_a_time > self._unit:
            self._at_a_time //= 2

    def _add_outputs(self, arrays: Arrays, order: np.ndarray, sums: Sums) -> None:
        """Take outputs in for the metric, always as many together."""
        outputs, size = self._training.outputs, self._unit * self.plan.batch_size
        if outputs is None:
            return
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            y, weight = take(order[part], arrays.y, arrays.sample_weight)
            batch = Arrays(None, y, weight, self._network.backend)
            sums.add_outputs(*loss_arguments(batch, outputs[part]))


def _steps_together(plan: memory.MemoryPlan) -> int:
    """Return how many steps make up a batch of the evaluation, and one at the least."""
    return max(memory.EVALUATION_ROWS // plan.batch_size, 1)


_KEPT_BYTES = 1 << 20
"""Outputs that compiled steps keep for a metric."""


def _kept_rows(network: "NeuralNetwork", plan: memory.MemoryPlan) -> int:
    """Return how many samples' outputs compiled steps are to keep."""
    if network.metric is None:
        return 0
    row = network.layers[-1].output_shape()[0] * np.dtype(network.backend.dtype).itemsize
    least = _steps_together(plan) * plan.batch_size
    most = math.ceil(plan.n_samples / plan.batch_size) * plan.batch_size
    return min(max(_KEPT_BYTES // row, least), max(most, least))


FEW_STEPS = 16
"""Below so many steps in an epoch, going into compiled code and out of it is not worth it.

Making the instructions takes some milliseconds, as 16 steps of a small network do.
"""


def make_steps(network: "NeuralNetwork", placed: Placed) -> Steps:
    """Return the steps that :mod:`xpnet.config` asks for.

    Raises
    ------
    ValueError
        Compiled steps are asked for, and there are none for this network or these data.
    """
    if config.kernels not in config.KERNELS:
        raise unknown_name("xpnet.config.kernels", config.kernels, config.KERNELS)
    threads: Any = config.threads
    if threads is not None:
        threads = check_count("xpnet.config.threads", threads)
    plan, data = placed.plan, placed.training

    def refuse(reason: str) -> Steps:
        if config.kernels == "numba":
            raise ValueError(
                f"xpnet.config.kernels='numba', and there is no compiled step: {reason}"
            )
        return FormulaSteps(network, placed)

    if config.kernels == "numpy" or not network.parameters:
        return FormulaSteps(network, placed)
    if config.kernels == "auto" and plan.n_samples < FEW_STEPS * plan.batch_size:
        return FormulaSteps(network, placed)
    if plan.rows != plan.batch_size:
        return refuse("a batch that is split to fit into memory")
    from .compiled import compile_step, why_not

    sample: Any = data.first() if isinstance(data, Stream) else data
    arguments = (network, sample.X, sample.y, sample.sample_weight)
    kept = _kept_rows(network, plan)
    training = compile_step(*arguments, plan.batch_size, threads, keep_outputs=kept)
    if training is None:
        return refuse(why_not(*arguments) or "")
    held = 0
    if sample is not data:  # a chunk's targets, which are theirs from now on
        held = sum(each.nbytes for each in (sample.y, sample.sample_weight) if each is not None)
    compiled = CompiledSteps(network, placed, training, training.nbytes + held)
    if compiled.plan.total > placed.available:
        training.close()
        return refuse("it needs more memory than there is")
    return compiled
