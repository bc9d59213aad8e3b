"""Run several steps with one call, as a CUDA graph if possible."""

from collections.abc import Callable
from typing import Any

from ....backends._warnings import warn

STEPS_IN_GRAPH = 16
"""The number of steps in a graph, which share the cost of launching it, about two kernels."""

ONE_BY_ONE = False
"""Whether kernels are launched one by one, without graphs; for tests and measurements."""


class Graphs:
    """Graphs of one step and of several steps for each batch size, made when first run.

    Parameters
    ----------
    machine : CudaMachine
    capture : bool or "auto"
        Whether to capture steps; see :class:`~.training.CapturedTraining`.

    Attributes
    ----------
    captured : bool
        Whether steps are replayed from graphs.
    """

    def __init__(self, machine: Any, capture: bool | str) -> None:
        self._machine = machine
        self.captured, self._must = capture is not False, capture is True
        self._made: dict[tuple[int, int], Callable[[], None]] = {}

    def forget(self) -> None:
        """Wait for the device, and drop all graphs; they are made again when needed."""
        self._machine.synchronize()  # a graph that still runs must not be destroyed
        self._made.clear()

    def run(self, rows: int, n_steps: int, program: Callable[[int], list[Any]]) -> None:
        """Take ``n_steps`` steps, each with a batch of ``rows`` samples.

        ``program`` returns the calls of a step for a number of rows. It is not stored: it is a
        method of the object that holds these graphs, and such a reference cycle would keep the
        device's arrays allocated until Python's cyclic garbage collector runs.
        """
        many, few = divmod(n_steps, STEPS_IN_GRAPH)
        for together in [STEPS_IN_GRAPH] * many + [1] * few:
            if (rows, together) not in self._made:
                self._made[rows, together] = self._make(program(rows) * together)
            self._made[rows, together]()

    def _make(self, calls: list[Any]) -> Callable[[], None]:
        """Return a function that makes all of the calls."""
        if self.captured:
            try:
                graph: Callable[[], None] = self._machine.record(calls)
                return graph
            except RuntimeError as error:
                if self._must:
                    raise
                self.captured = False
                warn(
                    f"the step cannot be captured in a CUDA graph ({error}): its kernels are "
                    "launched one by one, which gives the same results but takes longer",
                    RuntimeWarning,
                )
        run = self._machine.run  # without self, which holds this function: a reference cycle
        return lambda: run(calls)
