"""Copies of large arrays from the host to a GPU, through two small buffers that do not move.

CuPy copies an array that may be moved in memory by way of one of its size that may not, and keeps
that: 60 GB of data would take 60 GB more. Here one buffer is filled while the other is on its way.
"""

from typing import Any

import numpy as np

CHUNK_BYTES = 1 << 25


def upload(x: np.ndarray) -> Any:
    """Return a copy of an array on the current device; waits for it."""
    import cupy
    import cupyx

    if x.nbytes <= CHUNK_BYTES:
        return cupy.asarray(x, order="C")
    x = np.ascontiguousarray(x)
    out = cupy.empty(x.shape, x.dtype)
    given, taken = x.reshape(-1).view(np.uint8), out.reshape(-1).view(cupy.uint8)
    buffers = [cupyx.empty_pinned((CHUNK_BYTES,), np.uint8) for _ in range(2)]
    stream = cupy.cuda.Stream(non_blocking=True)
    events: list[Any] = [None, None]
    # The memory may have been another array's a moment ago, on the current stream.
    stream.wait_event(cupy.cuda.get_current_stream().record())
    for k, start in enumerate(range(0, given.size, CHUNK_BYTES)):
        turn = k % 2
        if events[turn] is not None:
            events[turn].synchronize()
        part = given[start : start + CHUNK_BYTES]
        buffer = buffers[turn][: part.size]
        buffer[:] = part
        taken[start : start + part.size].set(buffer, stream=stream)
        events[turn] = stream.record()
    stream.synchronize()
    return out
