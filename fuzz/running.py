"""Run the worker of a target, and stop it if it does not answer."""

import multiprocessing
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from .measuring import Finding, Outcome, bucket, input_of, work
from .target import Target

MAX_WAIT = 20.0
"""Seconds to wait for an answer before a worker is stopped."""

_KEPT = 3


@dataclass
class Tally:
    """The outcomes of one target's files."""

    target: str
    results: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[tuple[Finding, Path | None]]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    largest: int = 0

    def add(self, outcome: Outcome, kept: Path | None) -> None:
        """Count one file's outcome."""
        self.results[outcome.result] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        self.largest = max(self.largest, outcome.peak)
        if outcome.finding is not None:
            key = bucket(self.target, outcome.finding)
            self.counts[key] += 1
            self.findings.setdefault(key, []).append((outcome.finding, kept))


class Worker:
    """A child process that reads files of one kind.

    Parameters
    ----------
    target : Target
    seed : int
    """

    def __init__(self, target: Target, seed: int) -> None:
        self._target, self._seed = target, seed
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None

    def outcome(self, content: bytes) -> Outcome:
        """Return the outcome of reading a file."""
        if self._process is None:
            self._start()
        try:
            self._pipe.send_bytes(content)
            if self._pipe.poll(MAX_WAIT):
                answer: Outcome = self._pipe.recv()
                return answer
            finding = Finding("hang", f"no answer for {MAX_WAIT:g} s")
        except (EOFError, ConnectionError):
            finding = Finding("crash", f"the process ended with {self._exit_status()}")
        self.stop()
        return Outcome("finding", finding, MAX_WAIT if finding.kind == "hang" else 0.0, 0)

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xpnet-fuzz-")
        self._pipe, other = self._context.Pipe()
        arguments = (self._target, Path(self._folder.name), self._seed, other)
        self._process = self._context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(120):
            raise RuntimeError(f"the worker for {self._target.name} does not start")
        self._pipe.recv()

    def _exit_status(self) -> int | None:
        assert self._process is not None
        self._process.join(5)
        return self._process.exitcode

    def stop(self) -> None:
        """Stop the process; the next file starts a new one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._folder.cleanup()
            self._process = None


def fuzz(target: Target, seconds: float, seed: int, keep: Path, most: int | None = None) -> Tally:
    """Read a target's files for some seconds; keep a few of each kind of finding.

    Parameters
    ----------
    target : Target
    seconds : float
    seed : int
    keep : Path
        The folder for the findings' files.
    most : int, optional
        The maximum number of files.
    """
    tally, worker = Tally(target.name), Worker(target, seed)
    worker.outcome(input_of(target, seed, -1))  # starts the process before the clock
    start = time.monotonic()
    try:
        for number in count():
            if number == most or time.monotonic() - start >= seconds:
                break
            content = input_of(target, seed, number)
            outcome = worker.outcome(content)
            kept = None
            if outcome.finding is not None:
                key = bucket(target.name, outcome.finding)
                if tally.counts[key] < _KEPT:
                    keep.mkdir(parents=True, exist_ok=True)
                    kept = keep / f"{key}-{seed}-{number}.bin"
                    kept.write_bytes(content)
            tally.add(outcome, kept)
    finally:
        worker.stop()
    tally.seconds = time.monotonic() - start
    return tally
