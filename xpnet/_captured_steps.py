"""The steps of training as graphs of kernels, on a GPU."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import memory
from ._arrays import Arrays, take
from ._placing import Placed
from ._steps import PreparedSteps
from ._streaming import Stream
from ._sums import Sums, loss_arguments
from ._translation import Unit, UnsupportedError
from .backends import is_sparse
from .losses import SoftmaxCrossEntropy
from .metrics import Accuracy

if TYPE_CHECKING:
    from .captured import CapturedTraining
    from .neuralnet import NeuralNetwork

_KEPT_BYTES = 1 << 28
"""Outputs of an epoch that are kept for a metric, at the most."""


class CapturedSteps(PreparedSteps):
    """The same steps as graphs on a GPU; the parameters are there meanwhile."""

    AHEAD = 2
    """Parts of so many steps that are asked for before the first of them is done: the device has
    always something to do, and Ctrl-C does not wait for a whole epoch."""

    def __init__(
        self, network: "NeuralNetwork", placed: Placed, training: "CapturedTraining", nbytes: int
    ) -> None:
        super().__init__(network, placed, training, nbytes)
        self._at_a_time = 16
        self._asked: deque[Any] = deque()
        self._sums: Sums | None = None

    def _units(self) -> list[Unit]:
        from .captured import units

        return units(self._network)

    def end_epoch(self) -> None:
        """Bring the parameters out, and what samples shared of their penalties into the sums."""
        self._asked.clear()
        sums, self._sums = self._sums, None
        self._training.store()
        parameters = self._network.parameters
        if sums is not None and parameters.penalties.shared:
            # As if each step had cost what one with the last weights would: an approximation of the
            # mean over the steps, which the CPU has exactly. Here that would take a sum over all
            # weights at every step, for a number of the history; the gradients are exact.
            sums.add_penalty(sums.n_counted * parameters.penalties.cost(shared=True))

    def run(self, arrays: Arrays, order: np.ndarray, sums: Sums, step: int) -> Iterator[int]:
        """Train on samples in an order, some steps at a time; nothing waits for the last ones."""
        size, start, first = self.plan.batch_size, 0, self._training.taken
        self._sums = sums  # the epoch's: its end has something to add
        self._training.use(arrays.X, arrays.y, arrays.sample_weight)
        while start < len(order):
            part = order[start : start + self._at_a_time * size]
            began = time.perf_counter()
            losses, weights = self._training.run(part)
            sums.add_losses(losses, weights, step)
            self._asked.append(self._training.mark())
            if len(self._asked) > self.AHEAD:
                self._asked.popleft().synchronize()
            start += len(part)
            try:
                yield len(losses)
            except GeneratorExit:  # Ctrl-C: the metric is that of the samples so far
                self._add_outputs(arrays, order[:start], sums, first * size)
                raise
            step += len(losses)
            if time.perf_counter() - began < self.SECONDS / 2:
                self._at_a_time *= 2
        self._add_outputs(arrays, order, sums, first * size)

    def _add_outputs(self, arrays: Arrays, order: np.ndarray, sums: Sums, first: int) -> None:
        """Take outputs, or hits, in for the metric."""
        training = self._training
        if training.counts_hits and sums.metric is not None:
            sums.set_statistics(training.hits())
            return
        if training.outputs is None:
            return
        training.wait()
        index = arrays.backend.asarray(order)
        rows = memory.EVALUATION_ROWS
        for start in range(0, len(order), rows):
            y, weight = take(index[start : start + rows], arrays.y, arrays.sample_weight)
            batch = Arrays(None, y, weight, arrays.backend)
            stop = min(start + rows, len(order))
            outputs = training.outputs[first + start : first + stop]
            sums.add_outputs(*loss_arguments(batch, outputs))


def captured_steps(network: "NeuralNetwork", placed: Placed) -> CapturedSteps:
    """Return a network's steps as graphs.

    Raises
    ------
    UnsupportedError
        There are none for it, or for these data.
    """
    from .captured import CapturedTraining, why_not

    plan, data = placed.plan, placed.training
    if plan.rows != plan.batch_size:
        raise UnsupportedError("a batch that is split to fit into memory")
    sample: Any = data
    if isinstance(data, Stream):  # whose buffers are read into meanwhile
        sample = data.first()
        sample = replace(sample, X=sample.backend.xp.asarray(sample.X, copy=True))
    if is_sparse(sample.X) and not sample.keeps_sparse:
        raise UnsupportedError("sparse features that the first layer does not take")
    reason = why_not(network, sample.X, sample.y, plan.batch_size)
    if reason is not None:
        raise UnsupportedError(reason)
    hits = _counts_hits(network, sample.y)
    kept = 0
    if network.metric is not None and not hits:
        n_outputs = network.layers[-1].output_shape()[0]
        kept = -(-plan.n_samples // plan.batch_size) * plan.batch_size
        if kept * n_outputs * sample.backend.zeros((0,)).itemsize > _KEPT_BYTES:
            raise UnsupportedError(f"a metric of {plan.n_samples} rows of {n_outputs} outputs")
    machine = sample.backend.machine(network.precision)
    try:
        training = CapturedTraining(
            network,
            sample.X,
            sample.y,
            sample.sample_weight,
            plan.batch_size,
            machine,
            plan.n_samples,
            kept,
            hits,
            network.capture,
        )
    except BaseException:
        machine.close()
        raise
    held = 0
    if sample is not data:  # a chunk, which is theirs from now on
        parts = (sample.X, sample.y, sample.sample_weight)
        held = sum(each.nbytes for each in parts if each is not None)
    return CapturedSteps(network, placed, training, training.nbytes + held)


def _counts_hits(network: "NeuralNetwork", y: Any) -> bool:
    """Whether the loss's kernel can count what the metric asks for."""
    several = network.layers[-1].output_shape()[0] > 1
    return (
        type(network.metric) is Accuracy
        and type(network.loss) is SoftmaxCrossEntropy
        and several
        and y.ndim == 1
    )
