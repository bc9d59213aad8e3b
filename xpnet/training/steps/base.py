"""Training steps: the common base classes, and the steps by formulas."""

import math
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...backends import Array
from ...layers.workspace import Workspace, takes_out
from ...model.penalties import counted_cost
from .. import memory
from ..feeding.arrays import Arrays
from ..feeding.placing import Placed
from ..sums import Sums
from .translation import Unit, UnsupportedError

if TYPE_CHECKING:
    from ...neuralnet import NeuralNetwork


class NotFiniteError(Exception):
    """A loss or a weight is not finite; ``step`` is counted from 0."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(what)
        self.step = step


class Steps(AbstractContextManager["Steps"], ABC):
    """The steps of one training, used in a ``with`` block; :func:`make_steps` chooses the kind.

    Parameters
    ----------
    network : NeuralNetwork
    plan : MemoryPlan

    Attributes
    ----------
    plan : MemoryPlan
        The memory that they need.
    """

    def __init__(self, network: "NeuralNetwork", plan: memory.MemoryPlan) -> None:
        self._network = network
        self.plan = plan

    @abstractmethod
    def run(self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int) -> Iterator[int]:
        """Train on all samples of ``arrays``.

        Parameters
        ----------
        arrays : Arrays
        order : int array of shape (n,)
            The order of the samples.
        sums : Sums
            Receives losses and metric.
        step : int
            The number of steps of this epoch that were taken before.

        Yields
        ------
        int
            The number of steps taken since the last value.

        Raises
        ------
        NotFiniteError
            A loss is NaN or infinite. On a GPU, this is only found at the end of the epoch.
        """

    def are_current(self) -> bool:
        """Whether the network is unchanged since the steps were made; formulas need no check."""
        return True

    def begin_epoch(self) -> None:
        """Prepare for the first step of an epoch."""

    def end_epoch(self) -> None:
        """Give the network the parameters that the steps have learned."""


class PreparedSteps(Steps):
    """Base of steps that hold the parameters from the beginning of an epoch to its end.

    Parameters
    ----------
    network : NeuralNetwork
    placed : Placed
    training : CompiledTraining or CapturedTraining
        Takes the steps.
    nbytes : int
        The memory that ``training`` needs.

    Raises
    ------
    UnsupportedError
        There is less memory than that.
    """

    SECONDS = 0.03
    """About how long steps run before Ctrl-C is checked and the progress bar is updated."""

    def __init__(
        self, network: "NeuralNetwork", placed: Placed, training: Any, nbytes: int
    ) -> None:
        super().__init__(network, memory.of_compiled(placed.plan, nbytes))
        self._training = training
        self._made_from = self._parts(training.units)
        if self.plan.total > placed.available:
            training.close()
            raise UnsupportedError("it needs more memory than is available")

    def __exit__(self, *exception: object) -> None:
        self._training.close()

    @abstractmethod
    def _units(self) -> list[Unit]:
        """Return the network's layers, translated for kernels.

        Raises
        ------
        UnsupportedError
            There are no kernels for the layers, the loss or the optimizer.
        """

    def _parts(self, units: list[Unit]) -> list[Any]:
        """Return the objects and settings from which the steps are made, ``units`` among them.

        Numbers that may change from epoch to epoch are left out, because :meth:`begin_epoch` reads
        them again.
        """
        net = self._network
        settings = {k: v for k, v in vars(net.loss).items() if k not in ("factor", "most")}
        return [net.optimizer, net.loss, pickle.dumps(settings), net.metric, units]

    def are_current(self) -> bool:
        """Whether the network still has the parts and methods from which the steps were made."""
        try:
            return self._parts(self._units()) == self._made_from
        except UnsupportedError:
            return False

    def begin_epoch(self) -> None:
        """Copy the parameters from the network."""
        self._training.load()


class FormulaSteps(Steps):
    """Steps that call the layers' own methods: forward, loss, backward, update.

    Arrays are reused from step to step.

    Parameters
    ----------
    network : NeuralNetwork
    placed : Placed
        The data and the memory plan.
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
        """Train one step at a time; see :meth:`Steps.run`."""
        for batch in self._batches(arrays, order):  # (1) mini-batches, (5) for all of them
            self._step(batch, sums, step)
            step += 1
            yield 1

    def _batches(self, arrays: Arrays, order: np.ndarray) -> Iterator[Iterator[Arrays]]:
        """Yield the batches, each as an iterator of pieces with at most ``plan.rows`` samples."""
        index = arrays.backend.asarray(order)
        for start in range(0, len(order), self.plan.batch_size):
            part = slice(start, min(start + self.plan.batch_size, len(order)))
            yield arrays.batches(self.plan.rows, order[part], self._workspace, index[part])

    @np.errstate(over="ignore", invalid="ignore")  # NotFiniteError reports what is not finite
    def _step(self, batch: Iterator[Arrays], sums: Sums, step: int) -> None:
        """Update the parameters with the gradient of a batch."""
        net = self._network
        if self.plan.rows == self.plan.batch_size:
            self._update(self._pass(next(batch), sums, step), sums)
            return
        total: Array = 0.0
        for piece in batch:
            weight = self._pass(piece, sums, step)
            net.parameters.accumulate(weight)
            total = total + weight
        net.parameters.take_accumulated(total)
        self._update(total, sums)

    def _update(self, weight: Array, sums: Sums) -> None:
        """Update the parameters with their gradients, from a batch with the total weight given."""
        net = self._network
        if not net.parameters.penalties.shared:
            net.update_parameters()
            return
        sums.add_penalty(counted_cost(net.parameters.penalties.cost(shared=True), weight))
        net.update_parameters(weight)

    def _pass(self, batch: Arrays, sums: Sums, step: int) -> Array:
        """Run a forward and a backward pass, which sets gradients; return the total weight."""
        net = self._network
        output = net.forward_propagation(batch.X, training=True)  # (2) forward
        out = None
        if self._workspace is not None and takes_out(net.loss.loss_and_derivative):
            out = self._workspace.array("error", output.shape)
        # (3) derivative of the loss, (4) backward
        done = net.propagate_loss(output, batch.y, batch.sample_weight, out)
        weight = sums.add(batch, output, done.loss, step)
        if not net.backend.lazy and not math.isfinite(done.loss):
            raise NotFiniteError(f"the loss {done.loss}", step)
        return weight
