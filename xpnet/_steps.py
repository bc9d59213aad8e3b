"""The steps of training: what all kinds have, and those by formulas, one after the other."""

import math
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import memory
from ._arrays import Arrays
from ._penalties import paid
from ._placing import Placed
from ._sums import Sums, loss_arguments
from ._translation import Unit, UnsupportedError
from .backends import Array, array_namespace
from .workspace import Workspace, takes_out

if TYPE_CHECKING:
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

    def are_current(self) -> bool:
        """Whether they are the steps of the network as it is now; formulas always are."""
        return True

    def begin_epoch(self) -> None:
        """Do what an epoch needs before its first step."""

    def end_epoch(self) -> None:
        """Let the network have what the steps learned."""


class PreparedSteps(Steps):
    """Base of steps that hold the parameters themselves from an epoch's beginning to its end.

    Parameters
    ----------
    network : NeuralNetwork
    placed : Placed
    training : CompiledTraining or CapturedTraining
        What takes the steps.
    nbytes : int
        What it holds.

    Raises
    ------
    UnsupportedError
        That is more than there is.
    """

    SECONDS = 0.03
    """About how long the steps take after which Ctrl-C and the progress bar have their turn."""

    def __init__(
        self, network: "NeuralNetwork", placed: Placed, training: Any, nbytes: int
    ) -> None:
        super().__init__(network, memory.of_compiled(placed.plan, nbytes))
        self._training = training
        self._made_from = self._parts()
        if self.plan.total > placed.available:
            training.close()
            raise UnsupportedError("it needs more memory than there is")

    def __exit__(self, *exception: object) -> None:
        self._training.close()

    @abstractmethod
    def _units(self) -> list[Unit]:
        """Return the network's layers as the kernels are told of them.

        Raises
        ------
        UnsupportedError
            The kernels cannot do what the layers, the loss or the optimizer do.
        """

    def _parts(self) -> list[Any]:
        """Return what the steps are made from.

        Numbers that may change from epoch to epoch are not part of it: :meth:`begin_epoch` reads
        them again.
        """
        net = self._network
        units = self._units()
        settings = {k: v for k, v in vars(net.loss).items() if k not in ("factor", "most")}
        return [net.optimizer, net.loss, pickle.dumps(settings), net.metric, units]

    def are_current(self) -> bool:
        """Whether the network still has the parts, and the methods, that they were made from."""
        try:
            return self._parts() == self._made_from
        except UnsupportedError:
            return False

    def begin_epoch(self) -> None:
        """Bring the parameters in."""
        self._training.load()


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

    @np.errstate(over="ignore", invalid="ignore")  # NotFiniteError reports what is not finite
    def _step(self, batch: Iterator[Arrays], sums: Sums, step: int) -> None:
        """Change the parameters by what a batch says."""
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
        """Change the parameters by their gradients, which are of a batch of that weight."""
        net = self._network
        if not net.parameters.penalties.shared:
            net.update_parameters()
            return
        sums.add_penalty(paid(net.parameters.penalties.cost(shared=True), weight))
        net.update_parameters(weight)

    def _pass(self, batch: Arrays, sums: Sums, step: int) -> Array:
        """Go forward and back, which leaves the layers with gradients; return what it weighs."""
        net = self._network
        output = net.forward_propagation(batch.X, training=True)  # (2) forward
        # (3) derivative of the loss
        out = {}
        if self._workspace is not None and takes_out(net.loss.loss_and_derivative):
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
