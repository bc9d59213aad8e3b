"""Steps by formulas, which call the layers' own methods."""

import math
from collections.abc import Iterator
from typing import Self

import numpy as np

from ...backends import Array
from ...layers.workspace import Workspace, takes_out
from ...model.penalties import total_unless_empty
from ..errors import NotFiniteError
from ..feeding.arrays import Arrays, Batch
from ..feeding.training_data import TrainingData
from ..sums import Sums
from ..trainable import TrainableModel
from ..updates import Updates
from .base import Steps


class FormulaSteps(Steps):
    """Steps that call the layers' own methods: forward, loss, backward, update.

    Arrays are reused from step to step.

    Parameters
    ----------
    model : TrainableModel
    placed : TrainingData
        The data and the memory plan.
    keeps_passes : bool, default False
        Whether the layers keep the input, the output and the gradients of an epoch's last step.
    """

    def __init__(
        self, model: TrainableModel, placed: TrainingData, keeps_passes: bool = False
    ) -> None:
        super().__init__(model, placed.plan)
        self._workspace: Workspace | None = None
        self._keeps_passes, self._trains = keeps_passes, bool(model.parameters)

    def are_current(self) -> bool:
        """Whether the network has trained parameters if and only if it had some at the start.

        Networks without any always use formulas. If a callback unfreezes a layer, faster steps may
        be possible.
        """
        return self._trains == bool(self._model.parameters)

    def __enter__(self) -> Self:
        model = self._model
        if model.backend.writes_out and model.parameters:
            self._workspace = Workspace(model.backend)
            model.parameters.attach_workspaces(model.backend)
        return self

    def close(self) -> None:
        """Detach the workspaces from the layers."""
        self._workspace = None
        self._model.parameters.detach_workspaces()

    def end_epoch(self) -> None:
        """Release the arrays that passes leave in the layers: other kinds of steps leave none."""
        if not self._keeps_passes:
            for layer in self._model.layers:
                layer.forget_pass()

    def run(
        self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int, updates: Updates
    ) -> Iterator[int]:
        """Train one step at a time; see :meth:`Steps.run`."""
        for batch in self._batches(arrays, order):  # (1) mini-batches, (5) for all of them
            updates.set_rate(step)
            self._step(batch, sums, step, updates)
            step += 1
            yield 1

    def _batches(self, arrays: Arrays, order: np.ndarray) -> Iterator[Iterator[Batch]]:
        """Yield each batch as an iterator of micro-batches of at most ``plan.rows`` samples."""
        index = arrays.backend.asarray(order)
        for start in range(0, len(order), self.plan.batch_size):
            part = slice(start, min(start + self.plan.batch_size, len(order)))
            yield arrays.batches(self.plan.rows, order[part], self._workspace, index[part])

    @np.errstate(over="ignore", invalid="ignore")  # NotFiniteError reports what is not finite
    def _step(self, batch: Iterator[Batch], sums: Sums, step: int, updates: Updates) -> None:
        """Update the parameters with the gradient of a batch, or accumulate the gradient."""
        if self.plan.rows == self.plan.batch_size and updates.every == 1:
            self._update(self._counted(next(batch), sums, step), sums, updates)
            return
        for piece in batch:
            weight = self._counted(piece, sums, step)
            self._model.parameters.accumulate(weight)
            updates.weight = updates.weight + weight
        updates.pending += 1
        if updates.pending == updates.every:
            self.end_updates(sums, updates)

    @np.errstate(over="ignore", invalid="ignore")
    def end_updates(self, sums: Sums, updates: Updates) -> None:
        """Update the parameters with the mean gradient of the batches since the last update."""
        if updates.pending:
            total = updates.weight
            self._model.parameters.use_accumulated(total)
            self._update(total, sums, updates)
            updates.weight, updates.pending = 0.0, 0

    def _update(self, weight: Array, sums: Sums, updates: Updates) -> None:
        """Update the parameters with their gradients; ``weight`` is the samples' total weight."""
        model = self._model
        if not model.parameters.penalties.shared:
            model.update_parameters()
        else:
            penalty = model.parameters.penalties.total(shared=True)
            sums.add_penalty(total_unless_empty(penalty, weight))
            model.update_parameters(weight)
        updates.add_to_average()

    def _counted(self, batch: Batch, sums: Sums, step: int) -> Array:
        """Run a pass whose loss must be finite; return the total weight."""
        loss, weight = self._pass(batch, sums, step)
        if not self._model.backend.lazy and not math.isfinite(loss):
            raise NotFiniteError("the loss", loss, step)
        return weight

    def _pass(self, batch: Batch, sums: Sums, step: int) -> tuple[Array, Array]:
        """Run a forward and a backward pass, which sets gradients; return loss and total weight."""
        model = self._model
        output = model.forward_propagation(batch.X, training=True)  # (2) forward
        out = None
        if self._workspace is not None and takes_out(model.loss.loss_and_derivative):
            out = self._workspace.array("error", output.shape)
        # (3) derivative of the loss, (4) backward
        done = model.propagate_loss(output, batch.y, batch.sample_weight, out)
        return done.loss, sums.add(batch, output, done.loss, step)
