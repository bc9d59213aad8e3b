"""A machine for training steps: lists of instructions, run on threads without Python.

An :class:`Engine` has, for each thread, the list of a step's instructions. It goes through the
list once for each batch, any number of batches in one call. Threads wait for each other at marked
instructions only, and there without the operating system, since waking a thread takes as long as
a small network's step.
"""

import ctypes
import sys
import weakref
from functools import cache
from typing import Any

import numpy as np

from ._blas_threads import one_blas_thread
from ._numba_kernels import (
    DRAWS,
    LOSSES,
    ORDER,
    OUTPUTS,
    PENALTIES,
    RATE,
    STATE,
    UPDATE,
    WEIGHTS,
)
from ._numba_loop import WORDS, run_steps
from ._numba_program import Memory, Program, bits
from ._numba_team import Team


class Engine:
    """Runs programs, one for each thread; the calling thread is the first of them.

    Parameters
    ----------
    memory : Memory
    programs : list of (Program, Program)
        Each thread's instructions for even and for odd steps. Two, so that what a thread reads
        after a wait may lie elsewhere than what another already writes for the step after.
    data : array
        The features.

    Attributes
    ----------
    penalties : float64 array
        What parameters cost at each step of the last run, of those that each batch shares.
    """

    def __init__(
        self, memory: Memory, programs: list[tuple[Program, Program]], data: np.ndarray
    ) -> None:
        self.memory, self.data, self.programs = memory, data, programs
        self.threads = len(programs)
        self._tables = [
            np.stack([each.finished() for each in both]).astype(np.int64) for both in programs
        ]
        self._states = np.zeros((self.threads, STATE), np.int64)
        self._counters = _aligned_words(WORDS * (self.threads + 1))
        self._arrived = 0
        self.times = [np.zeros((0, 2), np.int64)] * self.threads
        self._team = Team(self.threads - 1)
        self._held: tuple[Any, ...] = ()
        self.penalties = np.zeros(0)
        self.close = weakref.finalize(self, self._team.close)

    def run(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rate: float,
        n_updates: int,
        outputs: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Go through the batches of an order; return each step's loss and its weight."""
        if self._counters[0] or not self.close.alive:
            raise RuntimeError(
                "the engine was closed, or interrupted inside a step: make a new one"
            )
        order = np.ascontiguousarray(order, np.int64)
        losses = np.zeros((2, -(-len(order) // batch_size)))
        penalties = np.zeros((self.threads, losses.shape[1]))
        state = self._states
        state[:, ORDER], state[:, UPDATE] = order.ctypes.data, n_updates
        state[:, RATE] = bits(learning_rate)
        state[:, LOSSES], state[:, WEIGHTS] = losses[0].ctypes.data, losses[1].ctypes.data
        state[:, OUTPUTS] = 0 if outputs is None else outputs.ctypes.data
        for k in range(self.threads):
            state[k, PENALTIES] = penalties[k].ctypes.data
        plan = (len(order), batch_size, self._arrived, _give_way())
        common = self.memory.array.ctypes.data, self.data.ctypes.data, plan
        start = self._counters.ctypes.data
        jobs: list[Any] = [
            (k, self.threads, start, self._tables[k], state[k], *common, self.times[k])
            for k in range(self.threads)
        ]
        self._held = order, losses, penalties, outputs, jobs  # as long as a thread may work on them
        with one_blas_thread():
            try:
                self._team.start(jobs[1:])
                self._arrived = run_steps(*jobs[0])
            except BaseException:
                self._counters[0] = 1  # ends the others' waiting
                raise
            finally:
                self._team.wait()
        self.penalties = penalties.sum(axis=0)
        return losses[0], losses[1]

    def set_draws(self, draws: list[int]) -> None:
        """Set what is added to the number of the update to count random draws."""
        self._states[:, DRAWS : DRAWS + len(draws)] = draws

    def measure(self, on: bool = True) -> None:
        """Count the cycles of each instruction, and of the wait after it, from now on."""
        self.times = [
            np.zeros((table.shape[1] if on else 0, 2), np.int64) for table in self._tables
        ]


def _aligned_words(n: int) -> np.ndarray:
    """Return so many 64-bit zeros that start at a cache line."""
    whole = np.zeros(n + WORDS, np.int64)
    start = -whole.ctypes.data % (8 * WORDS) // 8
    return whole[start : start + n]


@cache
def _give_way() -> int:
    """Return the address of the system's call that lets other threads run."""
    if sys.platform == "win32":
        function: Any = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0
