"""Time a network's captured step and its parts, each in a separate CUDA graph.

The parts are the matrix products alone, and each call repeated many times. All use the step's
arrays after training has filled them, since a GPU multiplies zeros faster. They are replayed from
graphs, since Python may take longer to launch a call than the device takes to run it.
"""

import inspect
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np

from xpnet import NeuralNetwork
from xpnet.backends.cuda.kernels import Kernel
from xpnet.training.errors import UnsupportedError
from xpnet.training.steps.captured import CapturedTraining, graphs

STEPS = 16
"""Steps per graph, as in training."""

CHAIN = 40
"""Repetitions of a single call in its graph."""


@contextmanager
def one_by_one(active: bool = True) -> Iterator[None]:
    """If ``active``, make captured steps launch their kernels one by one instead of as graphs."""
    before, graphs.ONE_BY_ONE = graphs.ONE_BY_ONE, active
    try:
        yield
    finally:
        graphs.ONE_BY_ONE = before


class Call(NamedTuple):
    """A named call of a step: the launch of a kernel or a matrix product."""

    name: str
    is_product: bool
    launch: Callable[[], None]

    def __call__(self) -> None:
        """Launch the call."""
        self.launch()


class NamingMachine:
    """A wrapper of a machine that names its calls."""

    def __init__(self, machine: Any) -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def kernel(self, kernel: str | Kernel, *arguments: Any) -> Call:
        """Return the launch of a kernel, named after the kernel or the kind of its formula."""
        name = kernel if isinstance(kernel, str) else kernel.name.rpartition("_")[0]
        return Call(name, False, self._machine.kernel(kernel, *arguments))

    def product(self, a: Any, b: Any, out: Any, transposed: str = "NN", adds: bool = False) -> Call:
        """Return the call of a product, named by its rows, columns and terms per sum."""
        rows, columns = out.shape
        summed = a.shape[0] if transposed[0] == "T" else a.shape[1]
        name = f"product {rows}x{columns}x{summed} {transposed}{' +=' if adds else ''}"
        return Call(name, True, self._machine.product(a, b, out, transposed, adds))


class Time(NamedTuple):
    """Microseconds that the device takes to run a step, and the host to launch it."""

    device_us: float
    host_us: float


class Replay:
    """Steps or calls that can be repeated and timed.

    Parameters
    ----------
    machine : CudaMachine
        Or a machine on the CPU with the same methods but synchronous calls.
    launch : callable
        Launches all steps or calls.
    prepare : callable
        Called before each launch, and not timed.
    n : int
        The number of steps or calls.
    """

    def __init__(
        self, machine: Any, launch: Callable[[], None], prepare: Callable[[], None], n: int
    ) -> None:
        self.launch, self._machine, self._prepare, self._n = launch, machine, prepare, n

    def time(self) -> Time:
        """Return the time per step or call.

        All are launched twice, and the second run is timed. The host launches it while the device
        is still busy with the first, so that the device does not wait for the host.
        """
        self._prepare()
        self.launch()
        self._prepare()
        first, start = self._mark(), time.perf_counter()
        self.launch()
        host = time.perf_counter() - start
        return Time(_microseconds(first, self._mark()) / self._n, 1e6 * host / self._n)

    def median(self, repeats: int) -> Time:
        """Return the medians of several measurements, after one that is discarded."""
        times = [self.time() for _ in range(repeats + 1)][1:]
        return Time(*map(statistics.median, zip(*times, strict=True)))

    def nodes(self) -> float | None:
        """Return the number of graph nodes per step or call, or None without a graph."""
        # The graph is only accessible in the closure of the function that launches it.
        graph = inspect.getclosurevars(self.launch).nonlocals.get("graph")
        if graph is None:
            return None
        return len(set(re.findall(r'"(graph_\d+_node_\d+)"', graph.debug_dot_str()))) / self._n

    def _mark(self) -> Any:
        """Return an event, or the time, at which the device has done all past work."""
        on_gpu = hasattr(self._machine, "stream")
        return self._machine.stream.record() if on_gpu else time.perf_counter()


def _microseconds(first: Any, last: Any) -> float:
    """Return the time between two marks, after waiting for the last one."""
    if isinstance(first, float):
        return 1e6 * (last - first)
    import cupy

    last.synchronize()
    return 1e3 * cupy.cuda.get_elapsed_time(first, last)


class StepParts(AbstractContextManager["StepParts"]):
    """The captured step of a network, as a whole and in parts.

    Parameters
    ----------
    net : NeuralNetwork
    X : array of shape (n, n_features)
        Samples to train on; the first ones are used, repeatedly if there are too few.
    y : array of shape (n,)
        The classes of the samples.

    Attributes
    ----------
    calls : list of Call
        The calls of a step.

    Raises
    ------
    ValueError
        The network's steps cannot be captured.
    """

    def __init__(self, net: NeuralNetwork, X: Any, y: Any) -> None:
        backend, size = net.backend, net.batch_size
        n = STEPS * size
        X, y = backend.asarray(X[:n]), backend.asarray(np.asarray(y[:n], np.int64))
        machine = self._machine = NamingMachine(backend.machine(net.precision))
        try:
            training = CapturedTraining(net, X, y, None, size, machine, n_samples=n, capture=True)
        except UnsupportedError as reason:
            machine.close()
            raise ValueError(f"the steps cannot be captured: {reason}") from None
        self._training = training
        training.load()
        self._first = machine.copy(training._state)
        with machine.ordered_with_current_stream():  # the machine's stream waits for the copy
            pass
        training.run(np.resize(np.random.default_rng(0).permutation(len(X)), n))
        self.calls: list[Call] = training._program(size)

    def whole(self) -> Replay:
        """Return complete steps."""
        return self._captured(self.calls * STEPS, self._reset, STEPS)

    def products(self, steps: int = STEPS) -> Replay:
        """Return the matrix products of the steps, with nothing between them."""
        products = [call for call in self.calls if call.is_product]
        return self._captured(products * steps, self._reset, steps)

    def chain(self, call: Call) -> Replay:
        """Return many repetitions of one call of the step."""
        return self._captured([call] * CHAIN, self._begin, CHAIN)

    def one_by_one(self) -> Replay:
        """Return steps whose calls Python launches one by one."""
        launches = [call.launch for call in self.calls] * STEPS
        return Replay(self._machine, lambda: self._machine.run(launches), self._reset, STEPS)

    def wait(self) -> None:
        """Wait for the device."""
        self._training.record_event().synchronize()

    def close(self) -> None:
        """Free the graphs and the machine's stream."""
        self._training.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _captured(self, calls: list[Call], prepare: Callable[[], None], n: int) -> Replay:
        return Replay(self._machine, self._machine.record(calls), prepare, n)

    def _reset(self) -> None:
        """Restore the state before the first step, so that the steps do not run past the order."""
        self._machine.write(self._training._state, self._first)

    def _begin(self) -> None:
        """Begin the first step, so that all calls have a batch to read."""
        self._reset()
        self._machine.run(self.calls[:1])
