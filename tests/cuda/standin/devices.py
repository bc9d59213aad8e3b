"""Devices, streams, events and graphs, like those of ``cupy.cuda``."""

import itertools
import time
import weakref
from typing import Any

from . import memory, queues
from .queues import Queue, Work, counts, refuse_while_capturing, wait

DEVICES = 2


class CUDARuntimeError(RuntimeError):
    """A call of the CUDA runtime failed."""


class Device:
    """A device, by default the current one; a ``with`` block makes it current.

    Like CuPy's, it can be compared but not hashed.
    """

    __hash__ = None

    def __init__(self, device: "int | Device | None" = None) -> None:
        if isinstance(device, Device):
            device = device.id
        self.id: int = queues.current_device() if device is None else int(device)
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __enter__(self) -> "Device":
        queues.devices().append(self.id)
        return self

    def __exit__(self, *exception: object) -> None:
        queues.devices().pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __int__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        queues.devices()[-1] = self.id

    def synchronize(self) -> None:
        refuse_while_capturing("synchronize")
        counts["waits"] += 1
        queues.finish(self.id)

    @property
    def mem_info(self) -> tuple[int, int]:
        with self:
            return memory.mem_get_info()


class Event:
    """A point in a stream's work, and the time at which it was reached."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.queue: Queue | None = None
        self.position = 0
        self.seconds: float | None = None
        self._is_timed = not disable_timing

    def record(self, stream: "Stream | None" = None) -> None:
        self.queue = queues.current_queue() if stream is None else stream.queue
        if self._is_timed:
            self.queue.put(self._reach)
        self.position = self.queue.issued

    def _reach(self) -> None:
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        if self.queue is not None:
            wait(self.queue, "synchronize", self.position)

    @property
    def done(self) -> bool:
        return self.queue is None or self.queue.done >= self.position


def get_elapsed_time(start: Event, end: Event) -> float:
    """Return the milliseconds between two events, both of which must have been reached."""
    if start.seconds is None or end.seconds is None:
        raise CUDARuntimeError("cudaErrorNotReady: an event has not been reached")
    return 1e3 * (end.seconds - start.seconds)


class Graph:
    """Captured work, to launch as a whole."""

    def __init__(self, work: list[Work]) -> None:
        self._work = work
        self._launched: dict[int, tuple[Queue, int]] = {}

    def upload(self, stream: "Stream | None" = None) -> None:
        refuse_while_capturing("a graph that is uploaded")

    def debug_dot_str(self, flags: int = 0) -> str:
        nodes = (f'"graph_1_node_{k}"[label="{k}"];' for k in range(len(self._work)))
        return "\n".join(["digraph dot {", *nodes, '"graph_1_node_0" -> "graph_1_node_1";', "}"])

    def launch(self, stream: "Stream | None" = None) -> None:
        refuse_while_capturing("a graph in a graph")
        queue = queues.current_queue() if stream is None else stream.queue
        counts["graphs"] += 1
        counts["launches in graphs"] += len(self._work)
        work = self._work

        def replay() -> None:
            for each in work:
                each()

        queue.put(replay)
        self._launched[id(queue)] = queue, queue.issued

    def __del__(self) -> None:
        if any(queue.known < position for queue, position in self._launched.values()):
            queues.errors.append("a graph was dropped before the host had waited for its launches")


class Stream:
    """A stream of the current device: a new stream or, if ``null``, the default stream.

    Only a stream made with ``non_blocking=True`` may capture.
    """

    capturing: list[Work] | None = None

    null: "Stream"
    """The default stream of the first device."""

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        device = queues.current_device()
        if null:
            self.queue = queues.default_queue(device)
        else:
            self.queue = Queue(device, "own" if non_blocking else "blocking")
            weakref.finalize(self, queues.forget, self.queue)
        self._name(self.queue)

    def _name(self, queue: Queue) -> None:
        self.queue = queue
        self.ptr = 0 if queue.kind == "default" else next(_addresses)
        _by_address[self.ptr, queue.device] = queue

    @classmethod
    def of(cls, queue: Queue) -> "Stream":
        """Return a stream that puts its work into an existing queue."""
        stream = cls.__new__(cls)
        stream._name(queue)
        return stream

    def __enter__(self) -> "Stream":
        queues.queues_of(self.queue.device).append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        queues.queues_of(self.queue.device).pop()

    def use(self) -> "Stream":
        streams = queues.queues_of(self.queue.device)
        streams[-1:] = [self]
        return self

    def begin_capture(self, mode: int | None = None) -> None:
        if self.queue.kind != "own":
            raise RuntimeError("cudaErrorStreamCaptureImplicit: it waits for the default stream")
        refuse_while_capturing("a graph in a graph")
        Stream.capturing = self.queue.graph = []

    def end_capture(self) -> Graph:
        work, self.queue.graph = self.queue.graph, None
        Stream.capturing = None
        if work is None:
            raise RuntimeError("cudaErrorIllegalState: nothing is being captured")
        return Graph(work)

    def is_capturing(self) -> bool:
        return self.queue.graph is not None

    def synchronize(self) -> None:
        wait(self.queue, "synchronize")

    @property
    def done(self) -> bool:
        return self.queue.done == self.queue.issued

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        refuse_while_capturing("a wait for an event from without")
        if event.queue is not None:
            self.queue.wait_for(event.queue, event.position)


_addresses = itertools.count(0x1000, 0x10)
_by_address: dict[tuple[int, int], Any] = {}


def queue_at(address: int) -> Queue:
    """Return the queue of the stream at an address; 0 is the current device's default stream."""
    if not address:
        return queues.default_queue(queues.current_device())
    found: Queue = next(queue for (ptr, _), queue in _by_address.items() if ptr == address)
    return found


def get_current_stream(device_id: int | None = None) -> Stream:
    """Return the current stream of a device, by default the current device."""
    device = queues.current_device() if device_id is None else device_id
    streams: list[Stream] = queues.queues_of(device)
    return streams[-1] if streams else Stream.of(queues.default_queue(device))


Stream.null = Stream(null=True)
