"""What the three ways to take steps have in common."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from .. import memory
from ..errors import UnsupportedError
from ..feeding.arrays import Arrays
from ..feeding.training_data import TrainingData
from ..sums import Sums
from ..trainable import TrainableModel
from ..updates import Updates
from .translation import Unit


class Steps(AbstractContextManager["Steps"], ABC):
    """The steps of one training, used in a ``with`` block.

    :func:`xpnet.training.steps.choice.make_steps` chooses their kind.

    Parameters
    ----------
    model : TrainableModel
    plan : MemoryPlan

    Attributes
    ----------
    plan : MemoryPlan
        The memory that they need.
    """

    def __init__(self, model: TrainableModel, plan: memory.MemoryPlan) -> None:
        self._model = model
        self.plan = plan

    @abstractmethod
    def run(
        self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int, updates: Updates
    ) -> Iterator[int]:
        """Train on all samples of ``arrays``.

        Parameters
        ----------
        arrays : Arrays
        order : int array of shape (n,)
            The order of the samples.
        sums : Sums
            Receives losses and metrics.
        step : int
            The number of steps of this epoch that were taken before.
        updates : Updates
            When the epoch's updates come, and with which learning rates.

        Yields
        ------
        int
            The number of steps taken since the last value.

        Raises
        ------
        NotFiniteError
            A loss is NaN or infinite. On a GPU, this is only found at the end of the epoch.
        """

    def close(self) -> None:
        """Release what the steps hold; called at the end of a ``with`` block."""

    def __exit__(self, *exception: object) -> None:
        self.close()

    def are_current(self) -> bool:
        """Whether the network is unchanged since the steps were made; formulas need no check."""
        return True

    def is_full(self) -> bool:
        """Whether :meth:`end_epoch` and :meth:`begin_epoch` must come before further steps."""
        return False

    def begin_epoch(self) -> None:
        """Prepare for the first step of an epoch."""

    def end_updates(self, sums: Sums, updates: Updates) -> None:
        """Update the parameters by batches that wait for it, at the end of a complete epoch.

        Only needed where the number of steps may be unknown, i.e. by formulas.
        """

    def end_epoch(self) -> None:
        """Give the network the parameters that the steps have learned."""


class PreparedSteps(Steps):
    """Base of steps that hold the parameters from the beginning of an epoch to its end.

    Parameters
    ----------
    model : TrainableModel
    placed : TrainingData
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
        self, model: TrainableModel, placed: TrainingData, training: Any, nbytes: int
    ) -> None:
        super().__init__(model, memory.with_compiled_steps(placed.plan, nbytes))
        self._training = training
        self._made_from = self._parts(training.units)
        if self.plan.total > placed.available:
            training.close()
            raise UnsupportedError("these steps need more memory than is available")

    def close(self) -> None:
        """End the threads, or wait for the device, and release the memory."""
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
        model = self._model
        settings = {
            name: _now(value)
            for name, value in vars(model.loss).items()
            if name not in ("factor", "most")
        }
        return [model.optimizer, model.loss, settings, *model.metrics, units]

    def are_current(self) -> bool:
        """Whether the network still has the parts and methods from which the steps were made."""
        try:
            return self._parts(self._units()) == self._made_from
        except UnsupportedError:
            return False

    def begin_epoch(self) -> None:
        """Copy the parameters from the network."""
        self._training.load()


def _now(value: Any) -> Any:
    """Return what equals the same of a value later, unless it was replaced or changed.

    Of what cannot be pickled, e.g. a lambda, only replacement is noticed. The formulas that call
    such functions are traced again in each epoch anyway.
    """
    try:
        return pickle.dumps(value)
    except Exception:  # what an object's own methods raise may be anything
        return _Itself(value)


class _Itself:
    """An object that equals only itself, whatever its own ``==`` says."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._value is self._value

    __hash__ = None  # type: ignore[assignment]
