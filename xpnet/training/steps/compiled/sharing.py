"""Share work among threads: how many threads, and which columns of a layer each computes."""

import math
import os
from collections import Counter
from dataclasses import dataclass

from ..translation import Unit


@dataclass(frozen=True)
class Plan:
    """The number of threads, and the number of layers, from the first, that they share."""

    threads: int
    shared: int
    sparse: bool = False

    def step(self, index: int) -> int:
        """Return the granularity of sharing in columns: whole cache lines and registers.

        With sparse features the first layer is often narrow, and its product allows any width.
        """
        return 8 if index == 0 and self.sparse else 16

    def fits(self, units: list[Unit]) -> bool:
        """Whether every thread has columns in each shared layer."""
        return all(
            unit.n_units > self.step(k) * (self.threads - 1)
            for k, unit in enumerate(units[: self.shared])
        )

    def columns(self, index: int, unit: Unit, thread: int) -> tuple[int, int]:
        """Return the first column of a layer that a thread computes, and their number."""
        if index >= self.shared:
            return 0, unit.n_units
        step = self.step(index)
        pieces = -(-unit.n_units // step)
        start, stop = (
            min(step * -(-pieces * k // self.threads), unit.n_units) for k in (thread, thread + 1)
        )
        return start, stop - start


def _cost(
    plan: Plan, units: list[Unit], batch: int, per_parameter: float, filled: float, steps: int
) -> float:
    """Return an estimate of the microseconds that a step takes.

    The constants were measured on a processor of 2023. A wrong choice costs a few percent.
    """

    def product(*sizes: int) -> float:
        return 0.4 + 2.0 * math.prod(sizes) / 90e3

    def travel(columns: int) -> float:
        """Return the time to read the other threads' columns, 20 nanoseconds a cache line."""
        return 0.02 * batch * columns / 16.0

    total = 2.0
    if plan.threads > 1:
        total += _WAKING / steps
    for index, unit in enumerate(units):
        own = plan.columns(index, unit, 0)[1]
        inputs = max(int(unit.n_inputs * filled), 1) if index == 0 else unit.n_inputs
        wide = -(-own // 16) * 16
        propagates = unit.source >= 0 and units[unit.source].reached
        total += 1.0 + 3e-4 * batch * wide
        if unit.is_dense:
            total += (1 + unit.trained + propagates) * product(batch, inputs, wide)
            total += per_parameter * own * unit.n_inputs * unit.trained
        if index == 0:
            total += 2e-4 * batch * inputs
        if index < plan.shared and plan.threads > 1:
            total += 1.5 + travel(unit.n_units - own)
            if index > 0:
                total += 1.5 + travel(plan.columns(index - 1, units[index - 1], 0)[1])
    return total


def _most_shared(units: list[Unit]) -> int:
    """Return how many layers, from the first, threads may share.

    These are consecutive dense layers. A thread has only some columns of a shared layer.
    Normalizations of rows need all columns, and so do residual connections, whose ends may be
    divided differently. The error of a shared layer comes from the next layer alone. A network that
    begins with embeddings, or with a copy of its features, uses one thread: such networks are
    narrow.
    """
    used = Counter(unit.source for unit in units)
    for k, unit in enumerate(units):
        is_next = k == 0 or (unit.source == k - 1 and used[k - 1] == 1)
        if not (unit.is_dense and is_next) or unit.row_norm is not None or unit.added:
            return k
    return len(units)


_WAKING = 250.0
"""Microseconds per epoch to wake the other threads, and to wait for them at its end."""


def best_plan(
    units: list[Unit],
    batch: int,
    per_parameter: float,
    threads: int | None,
    filled: float | None,
    steps: int,
) -> Plan:
    """Return the plan that takes the least time.

    Parameters
    ----------
    units : list of Unit
    batch : int
        The number of samples in a batch.
    per_parameter : float
        The microseconds that the update of a parameter takes.
    threads : int or None
        The number of threads; None to choose it.
    filled : float or None
        The proportion of stored entries in sparse features; None for dense features.
    steps : int
        The number of steps in an epoch.
    """
    sparse = filled is not None
    least, most = (1, min(cores(), 8)) if threads is None else (threads, threads)
    plans = [
        Plan(t, shared, sparse)
        for t in range(least, most + 1)
        for shared in (range(1, len(units) + 1) if t > 1 else [0])
    ]
    most_shared = _most_shared(units)
    usable = [plan for plan in plans if plan.shared <= most_shared and plan.fits(units)]
    usable = usable or [Plan(1, 0, sparse)]
    # An entry of a sparse row takes about as long as eight entries of a dense row.
    share = 1.0 if filled is None else min(8.0 * filled, 1.0)
    return min(usable, key=lambda plan: _cost(plan, units, batch, per_parameter, share, steps))


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
