"""Training with captured steps: loading parameters, taking steps, storing parameters."""

import operator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ....backends import Array
from ....backends.cuda import kernels
from ....model import Model
from ...averaging import Average
from ..translation import Unit, targets_of, weights_of
from .buffers import Buffers
from .graphs import Graphs
from .program import Program, launched_settings
from .supported import translate


class CapturedTraining(AbstractContextManager["CapturedTraining"]):
    """Trains a network on its data; holds the parameters from ``load`` to ``store``.

    The first five parameters are as for :class:`~xpnet.training.steps.compiled.CompiledTraining`,
    with arrays on the machine's device.

    Parameters
    ----------
    machine : CudaMachine
    n_samples : int, optional
        The number of samples in an epoch, if ``X`` is only a chunk of the data.
    keep_outputs : int, default 0
        The number of samples of an epoch for which :attr:`outputs` is kept.
    counts_hits : bool, default False
        Whether :meth:`hits` will be called; only for softmax and cross-entropy.
    capture : bool or "auto", default "auto"
        Whether to capture steps in graphs. If that fails, "auto" launches kernels one by one, with
        a warning, and True raises an error.
    units : list of Unit, optional
        The translated layers, if they have been translated already.
    accumulates : bool, default False
        Whether an update comes after several batches.
    average : Average, optional
        An average of the parameters after each update.

    Attributes
    ----------
    units : list of Unit
        The network's translated layers.
    outputs : array of shape (n, n_outputs) or None
        The network's outputs for the samples of the epoch so far; None if they are not kept.
    counts_hits : bool
        Whether :meth:`hits` may be called.
    taken : int
        The number of steps of this epoch so far.
    nbytes : int
        The size of all arrays in bytes, without the given data.
    """

    def __init__(
        self,
        model: Model,
        X: Any,
        y: Array,
        sample_weight: Array | None,
        batch_size: int,
        machine: Any,
        n_samples: int | None = None,
        keep_outputs: int = 0,
        counts_hits: bool = False,
        capture: bool | str = "auto",
        units: list[Unit] | None = None,
        accumulates: bool = False,
        average: Average | None = None,
    ) -> None:
        self._average = average
        self.model, self.batch_size, self._machine = model, batch_size, machine
        self.units = translate(model, X, y, batch_size) if units is None else units
        targets = targets_of(model, y)
        weights = weights_of(model, y, sample_weight)
        n_steps = -(-(X.shape[0] if n_samples is None else n_samples) // batch_size)
        more = keep_outputs, accumulates, average is not None
        self._buffers = Buffers(
            machine, model, self.units, X, targets, weights, batch_size, n_steps, *more
        )
        self._state = machine.zeros((kernels.STATE_WORDS,), "int64")
        self.nbytes, self.counts_hits = self._buffers.nbytes + machine.nbytes, counts_hits
        self.outputs = self._buffers.outputs
        self._used: tuple[Any, ...] = (X, y, sample_weight)
        self._scale = float(1 << 16) if machine.scales_loss else 1.0
        self._good = 0
        self._dropouts = [unit.dropout for unit in self.units if unit.dropout is not None]
        self._programs: dict[int, list[Any]] = {}
        self._graphs = Graphs(machine, capture)
        self._settings: list[Any] = []
        self.taken = 0

    def use(self, X: Any, y: Array, sample_weight: Array | None) -> None:
        """Train on other samples from now on, of the same kind and at most as many as the first.

        They overwrite the first samples, whose arrays nothing else may use.
        """
        used, model = (X, y, sample_weight), self.model
        if not all(map(operator.is_, used, self._used)):
            self._used = used
            self._buffers.use(X, targets_of(model, y), weights_of(model, y, sample_weight))

    # ---- an epoch

    def load(self) -> None:
        """Copy the parameters and the optimizer's state from the network."""
        model, machine = self.model, self._machine
        optimizer = model.optimizer
        if self.taken:  # the last epoch was not completed: its order may still be in transfer
            machine.synchronize()
        if (settings := launched_settings(self.model, self.units, self._buffers)) != self._settings:
            # The recorded launches contain the old settings.
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
        )
        # The list keeps all values until the block ends. If one were freed earlier, the current
        # stream could reuse its memory while the machine's stream still reads it.
        pairs = [*self._buffers.filled_from(model, self._average), (self._state, state)]
        with machine.ordered_with_current_stream():
            for place, values in pairs:
                machine.write(place, values)
        self.taken = 0

    def run(self, order: np.ndarray, controls: np.ndarray | None = None) -> tuple[Array, Array]:
        """Train on the samples of ``order`` in batches, without waiting for the device.

        The last batch may be smaller, but only at the end of an epoch. ``controls`` come from
        :meth:`Updates.controls`; by default an update with the optimizer's rate follows each step.

        Returns
        -------
        tuple of float64 array
            The loss and the total weight of each step; valid until the next :meth:`load`.
        """
        buffers, size, first = self._buffers, self.batch_size, self.taken
        place = slice(first * size, first * size + len(order))
        buffers.order_on_host[place] = order
        self._machine.write(buffers.order[place], buffers.order_on_host[place])
        whole, rest = divmod(len(order), size)
        steps = slice(first, first + whole + bool(rest))
        given = (self.model.optimizer.learning_rate, 0.0, 1.0) if controls is None else controls
        buffers.controls_on_host[steps] = given
        self._machine.write(buffers.controls[steps], buffers.controls_on_host[steps])
        self._graphs.run(size, whole, self._program)
        if rest:
            self._graphs.run(rest, 1, self._program)
        self.taken = steps.stop
        return buffers.losses[steps], buffers.totals[steps]

    def hits(self) -> Array:
        """Return the total weight of this epoch's correct predictions, and of all samples."""
        self.wait()
        first = kernels.STATE.index("hits")
        return self._machine.copy(self._state[first : first + 2]).view("float64")

    def record_event(self) -> Any:
        """Return an event that occurs when all work queued so far is done."""
        return self._machine.record_event()

    def wait(self) -> None:
        """Make later work on the current stream wait for the work queued here."""
        self._machine.current_stream_waits()

    def _program(self, rows: int) -> list[Any]:
        """Return the calls of a step with a batch of ``rows`` samples."""
        if rows not in self._programs:
            given = (self._machine, self.model, self.units, self._buffers, self._state)
            self._programs[rows] = Program(*given, rows, self._machine.scales_loss).calls
        return self._programs[rows]

    def store(self) -> None:
        """Wait for the device, and copy the parameters and the optimizer's state to the network."""
        model, machine = self.model, self._machine
        state = machine.read(self._state)
        machine.current_stream_waits()
        optimizer, backend = model.optimizer, model.backend
        # In new arrays, so that arrays held by the user do not change.
        model.parameters.scatter(backend.asarray(self._joined(self._buffers.flat)))
        model.parameters.count_updates(optimizer, int(kernels.read_state(state, "update")))
        if optimizer.n_updates:
            for name, place in zip(optimizer.state_names, self._buffers.states, strict=True):
                setattr(optimizer, name, backend.asarray(self._joined(place)))
        if self._average is not None and self._average.count:
            self._average.flat = backend.asarray(self._joined(self._buffers.average))
        for layer, name, place in self._buffers.running():
            setattr(layer, name, backend.asarray(machine.copy(place)))
        for each in self._dropouts:
            each.n_masks += self.taken
        self._scale = kernels.read_state(state, "scale")
        self._good = int(kernels.read_state(state, "good"))
        self.taken = 0
        for layer in model.layers:
            layer.forget_pass()  # left over from earlier passes

    def _joined(self, flat: Array) -> Array:
        """Return a copy of a flat array, without gaps as in the network."""
        return self._machine.join(self._buffers.placement.parts(flat))

    def close(self) -> None:
        """Wait for the queued work, and release the graphs and the machine's stream."""
        self._graphs.forget()
        self._programs.clear()
        self._machine.close()

    def __exit__(self, *exception: object) -> None:
        self.close()
