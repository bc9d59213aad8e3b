"""A peer's process, which reads commands from standard input, one line of JSON each.

========================================  ===================================================
command                                   answer
========================================  ===================================================
``{"do": "build", "case": {...}}``        ``{"seconds", "note", "has_optimizer"}``, or
                                          ``{"left_out": why}``
``{"do": "train"}``                       ``{"loss", "seconds", "call_seconds"}``
``{"do": "memory"}``                      ``{"peak_mb"}``
========================================  ===================================================

It ends at the end of its input or, with the traceback on standard error, at an error.
"""

import gc
import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from . import PEERS
from .case import Case, load_data
from .peer import LeftOutError, Peer


def main(name: str, threads: int) -> None:
    """Run commands until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keeps libraries' output apart from answers
    _keep_to_cores(threads)
    worker = Worker(name)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")
    worker.close()


class Worker:
    """The peer of the current case; its methods are the commands.

    Parameters
    ----------
    name : str
        A key of :data:`PEERS`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.peer: Peer | None = None
        self.restarts = False
        self.data: dict[str, Any] = {}

    def build(self, case: dict[str, Any]) -> dict[str, Any]:
        """Build the peer; read its data when their folder is first named."""
        read = Case.read(case)
        start = time.perf_counter()
        module, _, attribute = PEERS[self.name].place.partition(":")
        kind: type[Peer] = getattr(import_module(f".{module}", __package__), attribute)
        imported = time.perf_counter() - start
        if read.folder not in self.data:
            self.data = {read.folder: load_data(read.folder, kind.takes_sparse)}
        self.close()
        self.restarts = read.epochs > 1
        gc.collect()
        start = time.perf_counter()
        try:
            self.peer = kind(read, *self.data[read.folder])
        except LeftOutError as error:
            return {"left_out": str(error)}
        return {
            "seconds": imported + time.perf_counter() - start,
            "note": self.peer.note,
            "has_optimizer": self.peer.has_optimizer,
        }

    def train(self) -> dict[str, Any]:
        """Train for the case's epochs."""
        assert self.peer is not None
        if self.restarts:
            self.peer.restart()
        gc.collect()  # so that earlier garbage is not collected while this peer is timed
        start = time.perf_counter()
        loss = self.peer.epoch()
        seconds = time.perf_counter() - start
        loop = self.peer.loop_seconds
        return {
            "loss": loss,
            "seconds": seconds if loop is None else loop,
            "call_seconds": seconds,
        }

    def close(self) -> None:
        """Close the peer."""
        if self.peer is not None:
            self.peer.close()
        self.peer = None

    def memory(self) -> dict[str, float]:
        """Return the process's peak memory."""
        return {"peak_mb": _peak() / 1e6}


def _keep_to_cores(threads: int) -> None:
    """Limit the process to one core per thread, because libraries such as JAX count cores."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if threads < len(cores):
            os.sched_setaffinity(0, cores[:threads])


def _peak() -> int:
    """Return the peak memory in bytes, without the parent's memory when this process began.

    Linux includes that in the ``ru_maxrss`` of a new program, but not in ``VmHWM``.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
