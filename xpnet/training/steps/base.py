"""The base classes of all kinds of steps."""

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
    """The steps of a training run, used in a ``with`` block.

    :func:`xpnet.training.steps.choice.make_steps` chooses their kind.

    Parameters
    ----------
    model : TrainableModel
    plan : MemoryPlan

    Attributes
    ----------
    plan : MemoryPlan
        The memory that the steps need.
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
            When the epoch's updates follow, and their learning rates.

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

    def needs_restart(self) -> bool:
        """Whether :meth:`end_epoch` and :meth:`begin_epoch` must come before further steps."""
        return False

    def begin_epoch(self) -> None:
        """Prepare for the first step of an epoch."""

    def end_updates(self, sums: Sums, updates: Updates) -> None:
        """Apply the gradients of batches without an update yet, at the end of a complete epoch.

        Only formula steps need it, since they may run without knowing the number of steps.
        """

    def end_epoch(self) -> None:
        """Store the trained parameters in the network."""


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
        Less memory than that is available.
    """

    SECONDS = 0.03
    """Roughly how long steps run between checks for Ctrl-C and updates of the progress bar."""

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
            name: _fingerprint(value)
            for name, value in vars(model.loss).items()
            if name not in ("factor", "max_reported")
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


def _fingerprint(value: Any) -> Any:
    """Return a fingerprint of a value, which differs after the value was replaced or changed.

    If a value cannot be pickled, e.g. a lambda, only replacement is detected. Formulas that call
    such functions are traced again in each epoch anyway.
    """
    try:
        return pickle.dumps(value)
    except Exception:  # an object's own methods may raise anything
        return _Identity(value)


class _Identity:
    """Wraps an object so that it equals only itself, even if it defines ``==``."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other._value is self._value

    __hash__ = None  # type: ignore[assignment]
