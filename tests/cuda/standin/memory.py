"""Memory of the device: where arrays lie, how much of it there is, and who watches it."""

import weakref
from typing import Any

import numpy as np

from . import queues

UNIT = 512
"""Bytes: the sizes and addresses of the blocks in CuPy's pool are multiples of this."""

DEVICE_BYTES = 8 << 30
"""What each device pretends to have."""


class OutOfMemoryError(MemoryError):
    """There is no more memory, or no more than the pool's limit allows."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        more = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{more})."
        )


class Pool:
    """What CuPy's memory pool says of itself, for one device."""

    def __init__(self) -> None:
        self.used = self.total = self.limit = 0

    def take(self, size: int) -> None:
        """Count bytes as used, or raise as CuPy's pool does."""
        most = min(self.limit or DEVICE_BYTES, DEVICE_BYTES)
        if self.used + size > most:
            raise OutOfMemoryError(size, self.total, self.limit)
        self.used += size
        self.total = max(self.total, self.used)


class DefaultPool:
    """The pool of the current device, with CuPy's methods."""

    def used_bytes(self) -> int:
        return _pool().used

    def free_bytes(self) -> int:
        return _pool().total - _pool().used

    def total_bytes(self) -> int:
        return _pool().total

    def get_limit(self) -> int:
        return _pool().limit

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        _pool().limit = int(fraction * DEVICE_BYTES) if fraction is not None else size or 0

    def free_all_blocks(self, stream: Any = None) -> None:
        queues.counts["freed"] += 1
        _pool().total = _pool().used

    def n_free_blocks(self) -> int:
        return int(self.free_bytes() > 0)


class PinnedPool:
    """The pool of host memory that may not be moved; here any memory will do."""

    def free_all_blocks(self) -> None:
        pass

    def n_free_blocks(self) -> int:
        return 0


class MemoryHook:
    """Base of what is called before and after memory is taken and given back."""

    name = "MemoryHook"

    def __enter__(self) -> "MemoryHook":
        if self.name in _hooks:
            raise KeyError(f"memory hook {self.name} already exists")
        _hooks[self.name] = self
        return self

    def __exit__(self, *exception: object) -> None:
        del _hooks[self.name]

    def alloc_preprocess(self, **arguments: Any) -> None:
        """Called before memory is asked of the device."""

    def alloc_postprocess(self, **arguments: Any) -> None:
        """Called after memory was asked of the device."""

    def malloc_preprocess(self, **arguments: Any) -> None:
        """Called before memory is asked of the pool."""

    def malloc_postprocess(self, **arguments: Any) -> None:
        """Called after memory was asked of the pool."""

    def free_preprocess(self, **arguments: Any) -> None:
        """Called before memory is given back to the pool."""

    def free_postprocess(self, **arguments: Any) -> None:
        """Called after memory was given back to the pool."""


class Memory:
    """Bytes of the current device that one or more arrays are in.

    Work that is not done yet holds the buffer alone, never this object. So the memory is given back
    with its last array, even if a stream has yet to read it.
    """

    def __init__(self, nbytes: int) -> None:
        queues.refuse_while_capturing("an allocation")
        queues.counts["allocations"] += 1
        self.device, self.queue = queues.current_device(), queues.current_queue()
        self.size = -(-nbytes // UNIT) * UNIT
        about = {"device_id": self.device, "size": nbytes, "mem_size": self.size}
        for hook in list(_hooks.values()):
            hook.malloc_preprocess(**about)
        _pool(self.device).take(self.size)
        self.buffer = np.empty(self.size + UNIT, np.uint8)
        self.offset = -self.buffer.ctypes.data % UNIT
        self.address = self.buffer.ctypes.data + self.offset
        # Whole numbers are -1, and floating ones NaN: who reads what nobody has written sees it.
        buffer = self.buffer
        buffer.fill(0xFF)
        if self.queue.late:  # the memory may be another array's until this stream is done with that
            self.queue.put(lambda: buffer.fill(0xFF))
        _live[self.address] = self
        for hook in list(_hooks.values()):
            hook.malloc_postprocess(**about, mem_ptr=self.address, pmem_id=id(self))

    def __del__(self) -> None:
        buffer = getattr(self, "buffer", None)
        if buffer is None:  # there was no memory
            return
        about = {"device_id": self.device, "mem_size": self.size, "mem_ptr": self.address}
        for hook in list(_hooks.values()):
            hook.free_preprocess(**about, pmem_id=id(self))
        _pool(self.device).used -= self.size
        # The pool may give the memory to the next one who asks on the same stream, who will write
        # there: a stream that has not read it by then reads something else.
        self.queue.put(lambda: buffer.fill(0xFF))
        for hook in list(_hooks.values()):
            hook.free_postprocess(**about, pmem_id=id(self))


class Pointer:
    """An address, and the memory that it is in."""

    def __init__(self, memory: Memory, ptr: int) -> None:
        self.mem, self.ptr = memory, ptr


def buffer_at(address: int, nbytes: int) -> tuple[np.ndarray, int]:
    """Return the buffer that bytes at an address lie in, and where in it.

    Where no array is, or no longer, it is a buffer of nobody's, and an error is recorded.
    """
    memory = _live.get(address)
    if memory is None:
        memory = _live.get(max((start for start in _live if start <= address), default=0))
    if memory is not None and address + nbytes <= memory.address + memory.size:
        return memory.buffer, address - memory.buffer.ctypes.data
    queues.errors.append("work was asked for on memory that no array is in")
    return np.full(nbytes, 0xFF, np.uint8), 0


_live: "weakref.WeakValueDictionary[int, Memory]" = weakref.WeakValueDictionary()
_hooks: dict[str, MemoryHook] = {}
_pools: dict[int, Pool] = {}


def _pool(device: int | None = None) -> Pool:
    return _pools.setdefault(queues.current_device() if device is None else device, Pool())


def mem_get_info() -> tuple[int, int]:
    """Return how many bytes of the current device are free, and how many it has."""
    return DEVICE_BYTES - _pool().total, DEVICE_BYTES
