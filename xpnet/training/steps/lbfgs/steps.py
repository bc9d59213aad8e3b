"""Steps of L-BFGS: each is an iteration, with all samples."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....backends import Array
from ....backends._warnings import warn
from ....common.traceable import Traceable, formula_numbers
from ....layers.composite import all_layers
from ....model.penalties import inverse, total_unless_empty
from ...errors import NotFiniteError
from ...feeding.arrays import Arrays
from ...feeding.training_data import TrainingData
from ...sums import Sums
from ...trainable import TrainableModel
from ...updates import Updates
from ..formulas import FormulaSteps
from .objective import FlatObjective
from .solver import Solver

_MOST_ITERATIONS = 2**31 - 1
"""The trainer counts the iterations, not SciPy."""


class LBFGSSteps(FormulaSteps):
    """Iterations of L-BFGS, one in each epoch.

    Parameters
    ----------
    model : TrainableModel
        Its optimizer is an :class:`~xpnet.LBFGS`.
    placed : TrainingData

    Raises
    ------
    ValueError
        The data are streamed.
    """

    def __init__(self, model: TrainableModel, placed: TrainingData) -> None:
        super().__init__(model, placed)
        if placed.plan.chunk is not None:
            raise ValueError(
                "LBFGS needs all samples in memory at each step, and these are streamed: give a "
                "larger memory_limit, load the data into memory, or use another optimizer"
            )
        self._made_from = self._parts()
        self._running: _Running | None = None
        self._settings_at_start: list[Any] = []

    @property
    def model(self) -> TrainableModel:
        """The model that is trained."""
        return self._model

    def _parts(self) -> list[Any]:
        model = self._model
        penalties = [each for term in model.parameters.penalties for each in term]
        return [model.optimizer, model.loss, *model.metrics, *penalties]

    def are_current(self) -> bool:
        """Whether the network still has the parts with which the solver began."""
        now, then = self._parts(), self._made_from
        return len(now) == len(then) and all(a is b for a, b in zip(now, then, strict=True))

    def _settings(self) -> list[Any]:
        """Return the numbers other than weights that the loss depends on."""
        model = self._model
        penalties = [penalty for _, _, penalty in model.parameters.penalties]
        found: list[Any] = [
            formula_numbers(part)
            for part in (model.loss, *all_layers(model.layers), *penalties)
            if isinstance(part, Traceable)
        ]
        shared = [getattr(each, "per_sample", None) for each in penalties]
        return [*found, shared, getattr(model.loss, "factor", None)]

    def close(self) -> None:
        """End the solver, and detach the workspaces from the layers."""
        self._close_solver()
        super().close()

    def _close_solver(self) -> None:
        if self._running is not None:
            self._running.solver.close()
        self._running = None

    def run(
        self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int, updates: Updates
    ) -> Iterator[int]:
        """Run one iteration; the order of the samples makes no difference."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                self._iterate(arrays, sums)
        except BaseException:
            self._close_solver()
            raise
        yield 1

    def _iterate(self, arrays: Arrays, sums: Sums) -> None:
        """Run an iteration unless the solver has ended; record the loss at the weights reached."""
        model, running = self._model, self._running
        settings = self._settings()
        if running is None or settings != self._settings_at_start or not running.matches_model():
            # The first iteration, or the weights or the loss were changed since the last.
            self._close_solver()
            self._settings_at_start = settings
            running = self._running = _Running(_AllSamples(self, arrays), model.optimizer)
        moved = running.iterate()
        sums.replace_with(running.objective.sums)
        if moved:
            model.optimizer.n_updates += 1
        if running.solver.result is not None:
            model.stop_training = True
            _warn_of_an_early_end(running.solver.result)

    def pass_over(self, arrays: Arrays, sums: Sums) -> tuple[Array, Array]:
        """Run all samples through the network and back; return their loss and their weight."""
        parameters, rows = self._model.parameters, self.plan.rows
        pieces = arrays.batches(rows, workspace=self._workspace)
        if rows >= len(arrays):
            loss, total = self._pass(next(pieces), sums, 0)
        else:
            loss, total = 0.0, 0.0
            for piece in pieces:
                of_piece, weight = self._pass(piece, sums, 0)
                parameters.accumulate(weight)
                loss, total = loss + of_piece * weight, total + weight
            parameters.use_accumulated(total)
            loss = loss * inverse(total)
        if parameters.penalties.shared:
            sums.add_penalty(total_unless_empty(parameters.penalties.total(shared=True), total))
        return loss, total


class _AllSamples(FlatObjective):
    """The loss of all samples, computed by an :class:`LBFGSSteps`.

    Attributes
    ----------
    at : array or None
        The point of the last call.
    sums : Sums
        Losses and metrics at that point.
    """

    def __init__(self, steps: LBFGSSteps, arrays: Arrays) -> None:
        super().__init__(steps.model)
        self._steps, self._arrays = steps, arrays
        self.at: np.ndarray | None = None
        self.sums: Any = None

    def __call__(self, packed: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient."""
        first, self.at = self.at is None, packed
        value, gradient = super().__call__(packed)
        if first and not math.isfinite(value):
            raise NotFiniteError("the loss", value, 0)
        return value, gradient

    def _evaluate(self) -> tuple[Array, Array]:
        model = self._steps.model
        self.sums = Sums(model.loss, model.metrics, model.backend, model.target_unit)
        return self._steps.pass_over(self._arrays, self.sums)


class _Running:
    """A solver that has begun, its objective, and the weights that it has reached."""

    def __init__(self, objective: _AllSamples, optimizer: Any) -> None:
        self.objective = objective
        self._reached = objective.start()
        self.solver = Solver(
            objective,
            self._reached,
            maxcor=optimizer.history,
            gtol=optimizer.tolerance,
            maxfun=optimizer.max_evaluations,
            maxiter=_MOST_ITERATIONS,
        )

    def iterate(self) -> bool:
        """Run an iteration and set the model's weights; return False if the solver has ended."""
        point = self.solver.iterate()
        reached = self.solver.result.x if point is None else point
        if self.objective.at is None or not np.array_equal(reached, self.objective.at):
            self.objective(reached)
        self._reached = self.objective.start()
        return point is not None

    def matches_model(self) -> bool:
        """Whether the model's weights are those that the solver has reached."""
        return np.array_equal(self.objective.start(), self._reached)


def _warn_of_an_early_end(result: Any) -> None:
    if result.status == 0:
        return
    warn(
        f"LBFGS ended without having converged, after {result.nit} iteration(s) and {result.nfev} "
        f"evaluations of the loss: {result.message}. Standardise the features and the targets, or "
        "give LBFGS a larger tolerance or max_evaluations"
    )
