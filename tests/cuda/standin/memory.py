"""Memory of the device: allocations, the pool with its limits, and hooks."""

import weakref
from typing import Any

import numpy as np

from . import queues

UNIT = 512
"""The alignment in bytes of sizes and addresses of blocks in CuPy's pool."""

DEVICE_BYTES = 8 << 30
"""The simulated memory of each device."""


class OutOfMemoryError(MemoryError):
    """The device's memory, or the pool's limit, is exhausted."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        more = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{more})."
        )


class Pool:
    """The state of CuPy's memory pool for one device."""

    def __init__(self) -> None:
        self.used = self.total = self.limit = 0

    def take(self, size: int) -> None:
        """Count bytes as used, or raise like CuPy's pool."""
        most = min(self.limit or DEVICE_BYTES, DEVICE_BYTES)
        if self.used + size > most:
            raise OutOfMemoryError(size, self.total, self.limit)
        self.used += size
        self.total = max(self.total, self.used)


class DefaultPool:
    """The pool of the current device, with the methods of CuPy's pool."""

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
    """The pool of pinned host memory, which does nothing here."""

    def free_all_blocks(self) -> None:
        pass

    def n_free_blocks(self) -> int:
        return 0


class MemoryHook:
    """Base of the hooks that are called before and after allocations and frees."""

    name = "MemoryHook"

    def __enter__(self) -> "MemoryHook":
        if self.name in _hooks:
            raise KeyError(f"memory hook {self.name} already exists")
        _hooks[self.name] = self
        return self

    def __exit__(self, *exception: object) -> None:
        del _hooks[self.name]

    def alloc_preprocess(self, **arguments: Any) -> None:
        """Run before an allocation from the device."""

    def alloc_postprocess(self, **arguments: Any) -> None:
        """Run after an allocation from the device."""

    def malloc_preprocess(self, **arguments: Any) -> None:
        """Run before an allocation from the pool."""

    def malloc_postprocess(self, **arguments: Any) -> None:
        """Run after an allocation from the pool."""

    def free_preprocess(self, **arguments: Any) -> None:
        """Run before memory is returned to the pool."""

    def free_postprocess(self, **arguments: Any) -> None:
        """Run after memory is returned to the pool."""


class Memory:
    """A block of memory on the current device, which one or more arrays use.

    Pending work keeps only the buffer alive, never this object. So the memory is freed with its
    last array, even if a stream has yet to read it.
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
        # Integers are -1 and floats are NaN, which reveals reads of uninitialized memory.
        buffer = self.buffer
        buffer.fill(0xFF)
        if self.queue.late:  # pending work on this stream may still use the memory
            self.queue.put(lambda: buffer.fill(0xFF))
        _live[self.address] = self
        for hook in list(_hooks.values()):
            hook.malloc_postprocess(**about, mem_ptr=self.address, pmem_id=id(self))

    def __del__(self) -> None:
        buffer = getattr(self, "buffer", None)
        if buffer is None:  # the allocation failed
            return
        about = {"device_id": self.device, "mem_size": self.size, "mem_ptr": self.address}
        for hook in list(_hooks.values()):
            hook.free_preprocess(**about, pmem_id=id(self))
        _pool(self.device).used -= self.size
        # The pool may reuse the memory for the next allocation on the same stream, whose writes
        # would change what other streams have yet to read.
        self.queue.put(lambda: buffer.fill(0xFF))
        for hook in list(_hooks.values()):
            hook.free_postprocess(**about, pmem_id=id(self))


class Pointer:
    """An address, and the block of memory that contains it."""

    def __init__(self, memory: Memory, ptr: int) -> None:
        self.mem, self.ptr = memory, ptr


def buffer_at(address: int, nbytes: int) -> tuple[np.ndarray, int]:
    """Return the buffer that contains the bytes at an address, and their offset in it.

    If no array has that memory (any more), return a new buffer and record an error.
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
    """Return the free and the total bytes of the current device."""
    return DEVICE_BYTES - _pool().total, DEVICE_BYTES
