"""A compiled training step as an object: data and parameters in, steps, parameters out."""

import math
import operator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .._translation import weights_of
from ..backends import is_sparse
from ._sharing import best_plan
from ._supported import targets as targets_of
from ._supported import units as units_of
from ._supported import why_not

if TYPE_CHECKING:
    from ..neuralnet import NeuralNetwork


def compile_step(
    net: "NeuralNetwork",
    X: Any,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    batch_size: int,
    threads: int | None = None,
    keep_outputs: int = 0,
) -> "CompiledTraining | None":
    """Return a network's training step in compiled code, or None where there is none.

    Parameters
    ----------
    net : NeuralNetwork
    X : NumPy array or SciPy CSR matrix of shape (n, n_features)
        Read where it is, not copied; it must not change or go away while there is training.
    y : array of shape (n,) or (n, n_outputs)
        As the loss takes it.
    sample_weight : array of shape (n,), optional
    batch_size : int
    threads : int, optional
        By default as many as make the step fastest, and at most the processor's cores.
    keep_outputs : int, default 0
        For how many samples of a run :attr:`CompiledTraining.outputs` is wanted.
    """
    if why_not(net, X, y, sample_weight) is not None:
        return None
    return CompiledTraining(net, X, y, sample_weight, batch_size, threads, keep_outputs)


class CompiledTraining:
    """The training step of a network on its data; parameters live here from load to store.

    Made by :func:`compile_step`, whose arguments it takes. Its threads end with :meth:`close`, at
    the end of a ``with`` block, or when nobody has it any more.

    Attributes
    ----------
    threads : int
    keeps : int
        Of how many samples of a run the outputs are kept.
    outputs : array of shape (len(order), n_outputs) or None
        The network's outputs for the samples of the last :meth:`run`, where they are kept. They
        last until the next one.
    penalties : float64 array
        What each sample of each step of the last :meth:`run` paid of the penalties they share.
    nbytes : int
        Bytes that it holds, without the data that were given.
    """

    def __init__(
        self,
        net: "NeuralNetwork",
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        batch_size: int,
        threads: int | None = None,
        keep_outputs: int = 0,
    ) -> None:
        from ._instructions import Builder  # needs Numba

        self.net, self.batch_size = net, batch_size
        units = units_of(net)
        self.outputs: np.ndarray | None = None
        self.penalties = np.zeros(0)
        self.keeps = keep_outputs
        self._kept = np.empty((keep_outputs, units[-1].n_units), net.backend.dtype)
        self._n_samples = X.shape[0]
        targets = targets_of(net, y)
        weights = weights_of(net, y, sample_weight)
        filled = X.nnz / max(math.prod(X.shape), 1) if is_sparse(X) else None
        n_states = len(net.optimizer.state_names)
        steps = math.ceil(self._n_samples / batch_size) or 1
        plan = best_plan(units, batch_size, 1e-4 * (1 + n_states), threads, filled, steps)
        self.threads = plan.threads
        self._builder = Builder(net, units, plan, X, targets, weights, batch_size)
        self._engine = self._builder.engine()
        self._settings = self._builder.settings()
        parts = (X.data, X.indices, X.indptr) if is_sparse(X) else (X,)
        given = [array for array in (*parts, y, sample_weight) if array is not None]
        self.nbytes = self._builder.nbytes(*given) + self._kept.nbytes
        self._dropouts = [unit.dropout for unit in units if unit.dropout is not None]
        self._n_updates = self._loaded_updates = 0
        self._used: tuple[Any, ...] = (X, y, sample_weight)
        self._out: list[np.ndarray] | None = None

    def use(self, X: Any, y: Any, sample_weight: np.ndarray | None) -> None:
        """Train on other samples from now on, of the same kind and no more of them than at first.

        Features, which must be dense, are read where they are; targets and weights are copied over
        the first ones, which must be there for nobody else.
        """
        used = (X, y, sample_weight)
        if all(map(operator.is_, used, self._used)):
            return
        self._used = used
        targets = targets_of(self.net, y)
        weights = weights_of(self.net, y, sample_weight)
        self._n_samples = X.shape[0]
        self._builder.use(X, targets, weights)
        self._engine.data = self._builder.data

    def load(self) -> None:
        """Bring parameters and the optimizer's state in."""
        optimizer = self.net.optimizer
        flats = [self.net.parameters.gather()]
        flats += [optimizer.remembered(name, flats[0]) for name in optimizer.state_names]
        if (settings := self._builder.settings()) != self._settings:
            # Somebody has changed them since the last epoch, and instructions have them in them.
            self._engine.close()
            self._engine, self._settings = self._builder.engine(), settings
        self._builder.bring_in(flats)
        self._n_updates = self._loaded_updates = optimizer.n_updates
        # Each step draws once, so what counts the updates counts the draws.
        self._engine.set_draws([each.n_masks - self._n_updates for each in self._dropouts])

    def run(self, order: np.ndarray, learning_rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Train on the samples of ``order`` in batches, the last one short where they end.

        Returns
        -------
        tuple of float64 array
            Each step's loss, and the total weight that it is a mean over.
        """
        if len(order) and not 0 <= np.min(order) <= np.max(order) < self._n_samples:
            raise IndexError(f"order goes beyond the {self._n_samples} samples")
        if self.keeps:
            if len(order) > self.keeps:
                raise ValueError(f"outputs are kept of {self.keeps} samples, not of {len(order)}")
            self.outputs = self._kept[: len(order)]
        losses, weights = self._engine.run(
            order, self.batch_size, learning_rate, self._n_updates, self.outputs
        )
        self._n_updates += len(losses)
        self.penalties = self._engine.penalties
        return losses, weights

    def store(self) -> None:
        """Give parameters and the optimizer's state, as they are now, to the network."""
        optimizer, parameters = self.net.optimizer, self.net.parameters
        if self._out is None:
            # New arrays, once: what somebody holds of the weights so far does not change.
            n_arrays = 1 + len(optimizer.state_names)
            self._out = [np.empty_like(parameters.gather()) for _ in range(n_arrays)]
        self._builder.bring_out(self._out)
        parameters.scatter(self._out[0])
        if self._n_updates:
            for name, flat in zip(optimizer.state_names, self._out[1:], strict=True):
                setattr(optimizer, name, flat)
        optimizer.n_updates = self._n_updates
        for each in self._dropouts:
            each.n_masks += self._n_updates - self._loaded_updates
        for layer in self.net.layers:
            layer.forget_pass()  # what is there is of an earlier training
        self._loaded_updates = self._n_updates

    def close(self) -> None:
        """End the threads."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
