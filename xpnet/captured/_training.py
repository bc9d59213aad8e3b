"""A captured training as an object: data and parameters in, steps, parameters out."""

import operator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from .._translation import factor_and_most, targets_of, weights_of
from ..backends import Array
from ..backends import _cuda_kernels as kernels
from ._buffers import Buffers
from ._graphs import Graphs
from ._program import Program
from ._supported import ACTIVATIONS, why_not
from ._supported import units as units_of

if TYPE_CHECKING:
    from ..neuralnet import NeuralNetwork


def capture_step(
    net: "NeuralNetwork",
    X: Any,
    y: Array,
    sample_weight: Array | None,
    batch_size: int,
    machine: Any,
    *,
    n_samples: int | None = None,
    keep_outputs: int = 0,
    counts_hits: bool = False,
    capture: bool | str = "auto",
) -> "CapturedTraining | None":
    """Return a network's training step as a fixed list of launches, or None where there is none.

    Parameters
    ----------
    net : NeuralNetwork
    X : array or CSR matrix of shape (n, n_features)
        On the machine's device; read where it is.
    y : array of shape (n,) or (n, n_outputs)
        As the loss takes it.
    sample_weight : array of shape (n,), optional
    batch_size : int
    machine : CudaMachine
    n_samples : int, optional
        Samples in an epoch, where they are more than ``X`` has at a time.
    keep_outputs : int, default 0
        For how many samples of an epoch :attr:`CapturedTraining.outputs` is wanted.
    counts_hits : bool, default False
        Whether :meth:`CapturedTraining.hits` is wanted; for softmax and cross-entropy.
    capture : bool or "auto", default "auto"
        Whether to capture it in graphs; else it is launched one by one. "auto" does so, with a
        warning, where capturing fails; True raises then.
    """
    if why_not(net, X, y, batch_size) is not None:
        return None
    return CapturedTraining(
        net,
        X,
        y,
        sample_weight,
        batch_size,
        machine,
        X.shape[0] if n_samples is None else n_samples,
        keep_outputs,
        counts_hits,
        capture,
    )


class CapturedTraining(AbstractContextManager["CapturedTraining"]):
    """The training step of a network on its data; parameters live here from load to store.

    Made by :func:`capture_step`, whose arguments it takes.

    Attributes
    ----------
    outputs : array of shape (n, n_outputs) or None
        The network's outputs for the samples of the epoch so far, where they are kept.
    counts_hits : bool
        Whether :meth:`hits` says something.
    taken : int
        Steps of this epoch so far.
    nbytes : int
        Bytes that it holds, without the data that were given.
    """

    def __init__(
        self,
        net: "NeuralNetwork",
        X: Any,
        y: Array,
        sample_weight: Array | None,
        batch_size: int,
        machine: Any,
        n_samples: int,
        keep_outputs: int,
        counts_hits: bool,
        capture: bool | str,
    ) -> None:
        self.net, self.batch_size, self._machine = net, batch_size, machine
        self._units = units_of(net)
        targets = targets_of(net, y)
        weights = weights_of(net, y, sample_weight)
        n_steps = -(-n_samples // batch_size)
        self._buffers = Buffers(
            machine, net, self._units, X, targets, weights, batch_size, n_steps, keep_outputs
        )
        self._state = machine.zeros((kernels.STATE_WORDS,), "int64")
        self.nbytes, self.counts_hits = self._buffers.nbytes + machine.nbytes, counts_hits
        self.outputs = self._buffers.outputs
        self._used: tuple[Any, ...] = (X, y, sample_weight)
        self._scale = float(1 << 16) if machine.scales_loss else 1.0
        self._good = 0
        self._dropouts = [unit.dropout for unit in self._units if unit.dropout is not None]
        self._programs: dict[int, list[Any]] = {}
        self._graphs = Graphs(machine, capture)
        self._settings: list[Any] = []
        self.taken = 0

    def use(self, X: Any, y: Array, sample_weight: Array | None) -> None:
        """Train on other samples from now on, of the same kind and no more of them than at first.

        They are copied over the first ones, which must be there for nobody else.
        """
        used, buffers = (X, y, sample_weight), self._buffers
        if all(map(operator.is_, used, self._used)):
            return
        self._used = used
        targets = targets_of(self.net, y)
        weights = weights_of(self.net, y, sample_weight)
        pairs = ((buffers.X, X), (buffers.y, targets), (buffers.weights, weights))
        with self._machine.turn():
            for place, values in pairs:
                if place is not None and values is not None:
                    self._machine.write(place[: values.shape[0]], values)

    # ---- an epoch

    def load(self) -> None:
        """Bring parameters and the optimizer's state in."""
        net, machine = self.net, self._machine
        optimizer = net.optimizer
        if self.taken:  # the last epoch was abandoned: its order may still be in transfer
            machine.synchronize()
        if (settings := self._current_settings()) != self._settings:
            # Launches have them in them, and somebody has changed them since.
            self._programs.clear()
            self._graphs.forget()
            self._settings = settings
        draws = [each.n_masks for each in self._dropouts]
        state = kernels.new_state(
            draws,
            step=-1,
            update=optimizer.n_updates,
            batch=self.batch_size,
            scale=self._scale,
            good=self._good,
            factor=1.0 / self._scale,
            rate=optimizer.learning_rate,
        )
        # All values are kept until the turn has ended. Were one freed earlier, the current stream
        # could reuse its memory while the machine's stream still reads it.
        pairs = [*self._buffers.filled_from(net), (self._state, state)]
        with machine.turn():
            for place, values in pairs:
                machine.write(place, values)
        self.taken = 0

    def run(self, order: np.ndarray) -> tuple[Array, Array]:
        """Train on the samples of ``order`` in batches, the last one short where they end.

        Nothing waits for it. A short batch is the last of the epoch.

        Returns
        -------
        tuple of float64 array
            Each step's loss, and the total weight that it is a mean over; until the next
            :meth:`load`.
        """
        buffers, size, first = self._buffers, self.batch_size, self.taken
        place = slice(first * size, first * size + len(order))
        buffers.order_on_host[place] = order
        self._machine.write(buffers.order[place], buffers.order_on_host[place])
        whole, rest = divmod(len(order), size)
        self._graphs.run(size, whole, self._program)
        if rest:
            self._graphs.run(rest, 1, self._program)
        self.taken += whole + bool(rest)
        part = slice(first, self.taken)
        return buffers.losses[part], buffers.totals[part]

    def hits(self) -> Array:
        """Return, for this epoch, the weight of the samples that were right, and of all."""
        self.wait()
        first = kernels.STATE.index("hits")
        return self._machine.copy(self._state[first : first + 2]).view("float64")

    def mark(self) -> Any:
        """Return what can be waited for: that all is done that was asked for so far."""
        return self._machine.mark()

    def wait(self) -> None:
        """Let what is asked of the library from now on wait for what was asked for here."""
        self._machine.end()

    def _program(self, rows: int) -> list[Any]:
        """Return the calls of a step with a batch of ``rows``."""
        if rows not in self._programs:
            given = (self._machine, self.net, self._units, self._buffers, self._state)
            self._programs[rows] = Program(*given, rows, self._machine.scales_loss).calls
        return self._programs[rows]

    def store(self) -> None:
        """Give parameters and the optimizer's state, as they are now, to the network; waits."""
        net, machine = self.net, self._machine
        state = machine.read(self._state)
        machine.end()
        optimizer, backend = net.optimizer, net.backend
        # New arrays: what somebody holds of the weights so far does not change.
        net.parameters.scatter(backend.asarray(self._joined(self._buffers.flat)))
        optimizer.n_updates = int(kernels.read_state(state, "update"))
        if optimizer.n_updates:
            for name, place in zip(optimizer.state_names, self._buffers.states, strict=True):
                setattr(optimizer, name, backend.asarray(self._joined(place)))
        for layer, name, place in self._buffers.running():
            setattr(layer, name, backend.asarray(machine.copy(place)))
        for each in self._dropouts:
            each.n_masks += self.taken
        self._scale = kernels.read_state(state, "scale")
        self._good = int(kernels.read_state(state, "good"))
        self.taken = 0
        for layer in net.layers:
            layer.forget_pass()  # what is there is of an earlier training

    def _joined(self, flat: Array) -> Array:
        """Return a copy of a flat array as the network has it, without gaps."""
        return self._machine.join(self._buffers.placement.parts(flat))

    def _current_settings(self) -> list[Any]:
        """Return what launches have in them of numbers that somebody may change."""
        optimizer = self.net.optimizer
        hidden = {"n_updates", "learning_rate", "schedule", "_clipped", *optimizer.state_names}
        numbers: list[Any] = [v for k, v in sorted(vars(optimizer).items()) if k not in hidden]
        for _, _, regularizer in self.net.parameters.penalties:
            numbers += vars(regularizer).values()
        numbers += factor_and_most(self.net.loss)
        numbers.append(self._buffers.standardizes_wide(self.net))
        for unit in self._units:
            name = ACTIVATIONS[type(unit.activation)][1]
            numbers.append(None if name is None else getattr(unit.activation, name))
            numbers.append(None if unit.dropout is None else unit.dropout.rate)
            if unit.norm is not None:
                numbers += [unit.norm.momentum, unit.norm.epsilon]
        return numbers

    def close(self) -> None:
        """Wait for what was asked for; let go of graphs and of the machine's stream."""
        self._graphs.forget()
        self._programs.clear()
        self._machine.close()

    def __exit__(self, *exception: object) -> None:
        self.close()
