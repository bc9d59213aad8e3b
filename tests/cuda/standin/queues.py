"""The order in which a device does its work, with one queue per stream.

CUDA guarantees little about the order of work: it follows earlier work on the same stream, and the
events that the stream waits for. Each policy is one of the permitted orders:

- ``prompt``: work is done as soon as it is queued.
- ``late``: new streams do nothing until something waits for them.
- ``overtaken``: the default stream does nothing until something waits for it, and the other streams
  overtake it.

If a wait is missing, one of the last two computes with numbers that do not exist yet, or no longer.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

Work = Callable[[], None]

POLICIES = ("prompt", "late", "overtaken")

MOST = 1000
"""The length of a queue, about that of a GPU's launch queue. The host waits if it is full."""

counts: Counter[str] = Counter()
"""The number of launches, allocations, waits and other requests to the device, by kind."""

errors: list[str] = []
"""Errors that may corrupt results on a GPU without a message; a test with any of them fails."""

_policy = "prompt"


def policy() -> str:
    """Return the current policy."""
    return _policy


def set_policy(name: str) -> None:
    """Set the policy for all work from now on."""
    global _policy
    if name not in POLICIES:
        raise ValueError(f"the order of work is one of {', '.join(POLICIES)}, not {name!r}")
    finish()
    _policy = name


class Queue:
    """The queued work of a stream.

    Parameters
    ----------
    device
        The number of the device.
    kind
        ``"default"``; ``"blocking"``, which the default stream waits for and which waits for it;
        or ``"own"``.
    """

    def __init__(self, device: int, kind: str) -> None:
        self.device, self.kind = device, kind
        self.issued = self.done = self.known = 0
        """The numbers of work items queued, done, and known to the host to be done."""
        self.graph: list[Work] | None = None
        self.dropped = False
        self._items: deque[Work] = deque()
        self._waits: deque[tuple[int, Queue, int]] = deque()
        _queues.append(self)

    @property
    def late(self) -> bool:
        """Whether work is only done when something waits for it."""
        return _policy == ("overtaken" if self.kind == "default" else "late")

    def launch(self, work: Work) -> None:
        """Queue work on the device, or add it to the graph that is being captured."""
        if self.graph is not None:
            self.graph.append(work)
            return
        counts["launches"] += 1
        self.put(work)

    def put(self, work: Work) -> None:
        """Queue work, after everything that this stream must wait for."""
        if self.kind == "default":
            for other in list(_queues):
                if other.kind == "blocking" and other.device == self.device:
                    self.wait_for(other, other.issued)
        elif self.kind == "blocking":
            default = default_queue(self.device)
            self.wait_for(default, default.issued)
        self._append(work)

    def wait_for(self, other: "Queue", position: int) -> None:
        """Make later work wait for the first ``position`` items of another queue."""
        if other is self or other.known >= position:
            return
        self._waits.append((self.issued + 1, other, position))
        self._append(lambda: other.run(position))

    def _append(self, work: Work) -> None:
        with _one_at_a_time:
            self._items.append(work)
            self.issued += 1
            self.run(self.issued - MOST if self.late else self.issued)

    def run(self, position: int) -> None:
        """Do the first ``position`` items of work, in order."""
        with _one_at_a_time:
            while self.done < position and self._items:
                work = self._items.popleft()
                try:
                    work()
                finally:
                    self.done += 1

    def host_waits(self, position: int | None = None) -> None:
        """Make the host wait for the first ``position`` items, by default for all of them."""
        position = self.issued if position is None else position
        self.run(position)
        self.known = max(self.known, position)
        while self._waits and self._waits[0][0] <= position:
            _, other, there = self._waits.popleft()
            other.host_waits(there)


_one_at_a_time = threading.RLock()
"""A lock, because the thread that reads data also queues work."""

_queues: list[Queue] = []
_defaults: dict[int, Queue] = {}
_current = threading.local()


def default_queue(device: int) -> Queue:
    """Return the queue of a device's default stream."""
    if device not in _defaults:
        _defaults[device] = Queue(device, "default")
    return _defaults[device]


def finish(device: int | None = None) -> None:
    """Make the host wait for all work of a device, or of all devices."""
    for queue in list(_queues):
        if device in (None, queue.device):
            queue.host_waits()
    _tidy()


def devices() -> list[int]:
    """Return the devices whose ``with`` blocks this thread is in, with the current one last."""
    if not hasattr(_current, "devices"):
        _current.devices, _current.queues = [0], {}
    found: list[int] = _current.devices
    return found


def queues_of(device: int) -> list[Any]:
    """Return the streams whose ``with`` blocks this thread is in on a device."""
    devices()
    found: list[Any] = _current.queues.setdefault(device, [])
    return found


def current_device() -> int:
    """Return the number of the current device."""
    return devices()[-1]


def current_queue() -> Queue:
    """Return the queue of the current stream."""
    device = current_device()
    streams = queues_of(device)
    return streams[-1].queue if streams else default_queue(device)


def refuse_while_capturing(what: str) -> None:
    """Raise like CUDA if a graph is being captured on any stream."""
    if any(queue.graph is not None for queue in _queues):
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what}")


def wait(queue: Queue, what: str, position: int | None = None) -> None:
    """Make the host wait for a stream, and count the wait."""
    refuse_while_capturing(what)
    counts["waits"] += 1
    queue.host_waits(position)


def forget(queue: Queue) -> None:
    """Mark a queue whose stream no longer exists; its pending work is still done."""
    queue.dropped = True
    _tidy()


def _tidy() -> None:
    _queues[:] = [queue for queue in _queues if not (queue.dropped and queue.done == queue.issued)]
