"""Copy large arrays from the host to a GPU, through two small pinned buffers.

CuPy copies an array through a pinned buffer of the same size, and keeps the buffer: 60 GB of data
would take another 60 GB. Here, one small buffer is filled while the other is copied to the device.
"""

from typing import Any

import numpy as np

CHUNK_BYTES = 1 << 25


def upload(x: np.ndarray) -> Any:
    """Return a copy of an array on the current device, after waiting for its completion."""
    import cupy
    import cupyx

    if x.nbytes <= CHUNK_BYTES:
        return cupy.asarray(x, order="C")
    x = np.ascontiguousarray(x)
    out = cupy.empty(x.shape, x.dtype)
    source, target = x.reshape(-1).view(np.uint8), out.reshape(-1).view(cupy.uint8)
    buffers = [cupyx.empty_pinned((CHUNK_BYTES,), np.uint8) for _ in range(2)]
    stream = cupy.cuda.Stream(non_blocking=True)
    events: list[Any] = [None, None]
    # Pending work on the current stream may still use this memory, for an array freed earlier.
    stream.wait_event(cupy.cuda.get_current_stream().record())
    for k, start in enumerate(range(0, source.size, CHUNK_BYTES)):
        turn = k % 2
        if events[turn] is not None:
            events[turn].synchronize()
        part = source[start : start + CHUNK_BYTES]
        buffer = buffers[turn][: part.size]
        buffer[:] = part
        target[start : start + part.size].set(buffer, stream=stream)
        events[turn] = stream.record()
    stream.synchronize()
    return out
