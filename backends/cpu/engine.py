"""Run training steps as lists of instructions, on several threads and without Python.

An :class:`Engine` has one list of instructions per thread. Each thread executes its list once per
batch, for any number of batches per call. Threads wait for each other only at marked instructions,
where they spin instead of sleeping, since waking a thread takes as long as a step of a small
network.
"""

import ctypes
import sys
import weakref
from functools import cache
from typing import Any

import numpy as np

from .blas_threads import one_blas_thread
from .kernels import (
    AVERAGE_WEIGHTS,
    DRAWS,
    HAVE_UPDATES,
    LOSSES,
    ORDER,
    OUTPUTS,
    PASS,
    PENALTIES,
    RATES,
    STATE,
    TOTAL,
    UPDATE,
    WAITING,
    WEIGHTS,
)
from .loop import WORDS, run_steps
from .program import Memory, Program
from .team import Team


class Engine:
    """Run programs, one per thread; the calling thread runs the first.

    Parameters
    ----------
    memory : Memory
    programs : list of (Program, Program)
        Each thread's instructions for even and for odd steps. The two may use different memory, so
        that one thread can begin the next step while another still reads results of the current
        step.
    data : array
        The features.

    Attributes
    ----------
    penalties : float64 array
        The penalty per step of the last run, from parameters that report a penalty shared by the
        samples of an update. It is at the last batch of each update.
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
        self._totals = np.zeros((self.threads, WORDS))
        for k in range(self.threads):
            self._states[k, TOTAL] = self._totals[k].ctypes.data
        self.close = weakref.finalize(self, self._team.close)

    def run(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rate: float | np.ndarray,
        n_updates: int,
        outputs: np.ndarray | None = None,
        has_update: np.ndarray | bool = True,
        average_weights: np.ndarray | float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train on the samples in the given order; return the loss and the weight of each step.

        Parameters
        ----------
        order : int array of shape (n,)
        batch_size : int
        learning_rate : float, or array of shape (n_steps,)
        n_updates : int
            The number of earlier updates.
        outputs : array, optional
            An array for the outputs.
        has_update : bool, or array of shape (n_steps,), default True
            Whether an update follows each step. Without an update, the gradient is accumulated.
        average_weights : float, or array of shape (n_steps,), default 0.0
            The weight of the parameters after each step in their running average.
        """
        if self._counters[0] or not self.close.alive:
            raise RuntimeError(
                "the engine was closed, or interrupted in the middle of a step: create a new one"
            )
        order = np.ascontiguousarray(order, np.int64)
        losses = np.zeros((2, -(-len(order) // batch_size)))
        penalties = np.zeros((self.threads, losses.shape[1]))
        state = self._states
        state[:, ORDER], state[:, UPDATE] = order.ctypes.data, n_updates
        given = [(learning_rate, np.float64), (average_weights, np.float64), (has_update, np.int64)]
        n = losses.shape[1]
        of_steps = [
            np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype), n))
            for values, dtype in given
        ]
        for place, values in zip((RATES, AVERAGE_WEIGHTS, HAVE_UPDATES), of_steps, strict=True):
            state[:, place] = values.ctypes.data
        state[:, LOSSES], state[:, WEIGHTS] = losses[0].ctypes.data, losses[1].ctypes.data
        state[:, OUTPUTS] = 0 if outputs is None else outputs.ctypes.data
        for k in range(self.threads):
            state[k, PENALTIES] = penalties[k].ctypes.data
        plan = (len(order), batch_size, self._arrived, _yield_address())
        common = self.memory.array.ctypes.data, self.data.ctypes.data, plan
        start = self._counters.ctypes.data
        jobs: list[Any] = [
            (k, self.threads, start, self._tables[k], state[k], *common, self.times[k])
            for k in range(self.threads)
        ]
        # The threads use these arrays by address, so they must stay alive.
        self._held = (order, losses, penalties, outputs, of_steps, jobs)
        with one_blas_thread():
            try:
                self._team.start(jobs[1:])
                self._arrived = run_steps(*jobs[0])
            except BaseException:
                self._counters[0] = 1  # stops the waiting of the other threads
                raise
            finally:
                self._team.wait()
        self.penalties = penalties.sum(axis=0)
        return losses[0], losses[1]

    def set_draws(self, draws: list[int]) -> None:
        """Reset the batch counts, and set the number of earlier draws of each dropout."""
        self._states[:, [PASS, WAITING]] = 0
        self._states[:, DRAWS : DRAWS + len(draws)] = draws

    def measure(self, on: bool = True) -> None:
        """Start or stop measuring the cycles of each instruction and of the wait after it."""
        self.times = [
            np.zeros((table.shape[1] if on else 0, 2), np.int64) for table in self._tables
        ]


def _aligned_words(n: int) -> np.ndarray:
    """Return ``n`` 64-bit zeros, aligned to a cache line."""
    whole = np.zeros(n + WORDS, np.int64)
    start = -whole.ctypes.data % (8 * WORDS) // 8
    return whole[start : start + n]


@cache
def _yield_address() -> int:
    """Return the address of the system function that yields the processor to other threads."""
    if sys.platform == "win32":
        function: Any = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0
