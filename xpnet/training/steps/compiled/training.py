"""Training with compiled steps: loading parameters, taking steps, storing parameters."""

import math
import operator
from typing import Any, Self

import numpy as np

from ....data.features import SparseRows, kind_of
from ....model import Model
from ...averaging import Average
from ..translation import weights_of
from .failing import needing_numba
from .sharing import best_plan
from .supported import targets as targets_of
from .supported import translate


class CompiledTraining:
    """Trains a network on its data; holds the parameters from ``load`` to ``store``.

    The threads end with :meth:`close`, at the end of a ``with`` block, or on deletion.

    Parameters
    ----------
    model : Model
    X : NumPy array or SciPy CSR matrix of shape (n, n_features)
        It is not copied, so it must not change during training.
    y : array of shape (n,) or (n, n_outputs)
        In the form that the loss takes.
    sample_weight : array of shape (n,), optional
    batch_size : int
    threads : int, optional
        By default, the number that makes steps fastest, at most the number of cores.
    keep_outputs : int, default 0
        The number of samples of a run for which :attr:`outputs` is kept.
    accumulates : bool, default False
        Whether an update comes after several batches.
    average : Average, optional
        An average of the parameters after each update.

    Attributes
    ----------
    units : list of Unit
        The network's translated layers.
    threads : int
    keeps : int
        The number of samples of a run whose outputs are kept.
    outputs : array of shape (len(order), n_outputs) or None
        The network's outputs for the samples of the last :meth:`run`, valid until the next one;
        None if they are not kept.
    penalties : float64 array
        For each step of the last :meth:`run`, the ``per_sample`` penalties of the update that
        followed it, shared by its samples; 0 without an update.
    nbytes : int
        The size of all arrays in bytes, without the given data.

    Raises
    ------
    UnsupportedError
        Compiled steps do not support the model or the data.
    """

    def __init__(
        self,
        model: Model,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        batch_size: int,
        threads: int | None = None,
        keep_outputs: int = 0,
        accumulates: bool = False,
        average: Average | None = None,
    ) -> None:
        self.model, self.batch_size, self._average = model, batch_size, average
        self.units = units = translate(model, X, y, sample_weight)
        with needing_numba():
            from .instructions import Builder

        self.outputs: np.ndarray | None = None
        self.penalties = np.zeros(0)
        self.keeps = keep_outputs
        self._kept = np.empty((keep_outputs, units[-1].n_units), model.backend.dtype)
        self._n_samples = X.shape[0]
        targets = targets_of(model, y)
        weights = weights_of(model, y, sample_weight)
        features = kind_of(X)(X)
        filled = features.filled if isinstance(features, SparseRows) else None
        n_states = len(model.optimizer.state_names)
        steps = math.ceil(self._n_samples / batch_size) or 1
        plan = best_plan(units, batch_size, 1e-4 * (1 + n_states), threads, filled, steps)
        self.threads = plan.threads
        more = accumulates, average is not None
        self._builder = Builder(model, units, plan, X, targets, weights, batch_size, *more)
        # First, so that an error in a part's own attributes is not attributed to Numba.
        self._settings = self._builder.settings()
        with needing_numba():
            self._engine = self._builder.engine()
        parts = features.parts if isinstance(features, SparseRows) else (X,)
        given = [array for array in (*parts, y, sample_weight) if array is not None]
        self.nbytes = self._builder.nbytes(*given) + self._kept.nbytes
        self._dropouts = [unit.dropout for unit in units if unit.dropout is not None]
        self._n_updates = self._n_steps = 0
        self._used: tuple[Any, ...] = (X, y, sample_weight)
        self._places = _places(self._used)
        self._out: list[np.ndarray] | None = None

    def use(self, X: Any, y: Any, sample_weight: np.ndarray | None) -> None:
        """Train on other samples from now on, of the same kind and at most as many as the first.

        Dense features are not copied. Sparse features, targets and weights overwrite the first,
        whose arrays nothing else may use.
        """
        used = (X, y, sample_weight)
        if all(map(operator.is_, used, self._used)):
            if _places(used) != self._places:
                raise ValueError(
                    "the features, targets or weights were resized, or got another shape or type, "
                    "while a network is trained on them: leave them as they are, or train on copies"
                )
            return
        self._used, self._places = used, _places(used)
        targets = targets_of(self.model, y)
        weights = weights_of(self.model, y, sample_weight)
        self._n_samples = X.shape[0]
        self._builder.use(X, targets, weights)
        self._engine.data = self._builder.data

    def renew(self) -> None:
        """Make new instructions if settings that the instructions contain have changed.

        Raises
        ------
        UnsupportedError
            Numba cannot compile the kernels for the new settings.
        """
        if (settings := self._builder.settings()) != self._settings:
            with needing_numba():
                engine = self._builder.engine()
            self._engine.close()
            self._engine, self._settings = engine, settings

    def load(self) -> None:
        """Copy the parameters and the optimizer's state from the network."""
        optimizer = self.model.optimizer
        flats = [self.model.parameters.gather()]
        flats += [optimizer.state_like(name, flats[0]) for name in optimizer.state_names]
        if self._average is not None:
            flats.append(flats[0] if self._average.flat is None else self._average.flat)
        self.renew()
        self._builder.load_parameters(flats)
        self._n_updates, self._n_steps = optimizer.n_updates, 0
        self._engine.set_draws([each.n_masks for each in self._dropouts])

    def run(
        self,
        order: np.ndarray,
        learning_rate: float | np.ndarray,
        has_update: np.ndarray | bool = True,
        average_weights: np.ndarray | float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train on the samples of ``order`` in batches; the last batch may be smaller.

        The other parameters are as for :meth:`Engine.run`, with a value for each step.

        Returns
        -------
        tuple of float64 array
            The loss and the total weight of each step.
        """
        if len(order) and not 0 <= np.min(order) <= np.max(order) < self._n_samples:
            raise IndexError(f"order has indices out of range for {self._n_samples} samples")
        if self.keeps:
            if len(order) > self.keeps:
                raise ValueError(
                    f"order has {len(order)} samples: expected at most keep_outputs={self.keeps}"
                )
            self.outputs = self._kept[: len(order)]
        given = learning_rate, self._n_updates, self.outputs, has_update, average_weights
        losses, weights = self._engine.run(order, self.batch_size, *given)
        self._n_steps += len(losses)
        self._n_updates += int(np.count_nonzero(np.broadcast_to(has_update, losses.shape)))
        self.penalties = self._engine.penalties
        return losses, weights

    def store(self) -> None:
        """Copy the parameters and the optimizer's state to the network."""
        optimizer, parameters = self.model.optimizer, self.model.parameters
        if self._out is None:
            # In new arrays, made once, so that arrays held by the user do not change.
            n_arrays = 1 + len(optimizer.state_names) + (self._average is not None)
            self._out = [np.empty_like(parameters.gather()) for _ in range(n_arrays)]
        self._builder.store_parameters(self._out)
        parameters.scatter(self._out[0])
        if self._n_updates:
            for name, flat in zip(optimizer.state_names, self._out[1:], strict=False):
                setattr(optimizer, name, flat)
        parameters.count_updates(optimizer, self._n_updates)
        if self._average is not None and self._average.count:
            self._average.flat = self._out[-1]
        for each in self._dropouts:
            each.n_masks += self._n_steps
        for layer in self.model.layers:
            layer.forget_pass()  # left over from earlier passes
        self._n_steps = 0

    def close(self) -> None:
        """End the threads."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _places(data: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return the address, shape, strides and type of each array, which kernels rely on."""
    arrays: list[Any] = []
    for each in data:
        if each is not None:
            arrays += [each] if isinstance(each, np.ndarray) else SparseRows(each).parts
    return [
        (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)
        for array in arrays
    ]
