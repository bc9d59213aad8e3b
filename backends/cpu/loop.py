"""The compiled loop over steps and instructions, in which threads wait for each other."""

from numba import int64, njit, types

from .compiling import compiled_function
from .intrinsics import (
    INLINED,
    call,
    call_plain,
    cycles,
    observe,
    pointer_to_int64,
    publish,
    relax,
)
from .kernels import (
    AVERAGE_WEIGHT,
    AVERAGE_WEIGHTS,
    HAS_UPDATE,
    HAVE_UPDATES,
    PASS,
    RATE,
    RATES,
    ROWS,
    START,
    STEP,
    UPDATE,
)
from .program import ARRIVE, OF_UPDATE, WAIT

_SPINS = 2_000
"""How often a waiting thread looks before it yields the processor: about 50 microseconds."""

WORDS = 16
"""64-bit words between two threads' counters: two cache lines, so that they share none."""


@njit(**INLINED)
def _wait(counters, threads, target, yield_address):
    """Wait until all threads have arrived ``target`` times; return False if stopped."""
    for other in range(threads):
        looks = 0
        while observe(counters + 8 * WORDS * (other + 1)) < target:
            looks += 1
            if looks < _SPINS:
                relax()
            elif observe(counters) != 0:
                return False
            else:
                call_plain(yield_address)
    return True


def _run_steps(thread, threads, counters, programs, state, memory, data, plan, times):
    """Run the steps of one thread; return how often it has arrived, or -1 if it was stopped."""
    samples, batch, arrived, yield_address = plan
    mine = counters + 8 * WORDS * (thread + 1)
    # The bits of the rates and weights are copied as integers.
    rates, weights = pointer_to_int64(state[RATES]), pointer_to_int64(state[AVERAGE_WEIGHTS])
    have_updates = pointer_to_int64(state[HAVE_UPDATES])
    for step in range((samples + batch - 1) // batch):
        state[START] = step * batch
        state[ROWS] = min(batch, samples - step * batch)
        state[STEP] = step
        state[RATE], state[AVERAGE_WEIGHT] = rates[step], weights[step]
        state[HAS_UPDATE] = have_updates[step]
        state[UPDATE] += have_updates[step]
        state[PASS] += 1
        program = programs[state[PASS] & 1]
        for k in range(program.shape[0]):
            if program[k, 2] & OF_UPDATE and have_updates[step] == 0:
                continue
            before = cycles() if times.size else 0
            call(program[k, 0], program[k, 1], state.ctypes.data, memory, data)
            if times.size:
                times[k, 0] += cycles() - before
            mark = program[k, 2]
            if mark and threads > 1:
                before = cycles() if times.size else 0
                if mark & ARRIVE:
                    arrived += 1
                    publish(mine, arrived)
                if mark & WAIT and not _wait(counters, threads, arrived, yield_address):
                    return -1
                if times.size:
                    times[k, 1] += cycles() - before
    return arrived


_SIGNATURE = int64(
    int64,  # thread
    int64,  # threads
    int64,  # counters
    int64[:, :, ::1],  # programs
    int64[::1],  # state
    int64,  # memory
    int64,  # data
    types.UniTuple(int64, 4),  # plan
    int64[:, ::1],  # times
)

# Compiled on import, before training begins.
run_steps = compiled_function(_run_steps, _SIGNATURE, nogil=True)
"""The compiled loop, which releases the GIL."""
