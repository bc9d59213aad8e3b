"""Read damaged files one after another, in a separate process, and report findings."""

import resource
import sys
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

from .damage import MODULES
from .target import Target

MAX_SECONDS = 1.0
MAX_BYTES, MAX_RATIO = 50_000_000, 20
_MAX_ADDRESS_SPACE = 6 << 30

_FORBIDDEN = (
    "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.", "ctypes.dlopen",
    "pickle.find_class", "shutil.rmtree", "shutil.move", "shutil.unpack", "urllib.",
)  # fmt: skip
_WRITING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod")


class Finding(NamedTuple):
    """Something that reading a file must not do."""

    kind: str
    text: str
    where: str = ""


class Outcome(NamedTuple):
    """The outcome of reading a file: "read", "refused" or "finding"."""

    result: str
    finding: Finding | None
    seconds: float
    peak: int
    details: str = ""


def input_of(target: Target, seed: int, number: int) -> bytes:
    """Return the content of a numbered file, which is the same on every machine."""
    return target.content(Random(f"{seed}/{target.name}/{number}"))


def work(target: Target, folder: Path, seed: int, pipe: Connection) -> None:
    """Read the files that come through the pipe; send the outcome of each.

    The first message is sent when the worker is ready.
    """
    watch = Watch(target, folder)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, hard))
    for number in range(-20, 0):  # warm up imports and caches
        watch.outcome(input_of(target, seed, number))
    watch.begin()
    pipe.send(None)
    with suppress(EOFError):
        while True:
            pipe.send(watch.outcome(pipe.recv_bytes()))


class Watch:
    """Read files of one kind, and watch the side effects.

    Parameters
    ----------
    target : Target
    folder : Path
        The folder for the files.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._folder = target, folder
        self._path = folder / target.file
        self._events: list[str] | None = None
        self._begun = False

    def begin(self) -> None:
        """Start watching imports, writes and the like."""
        self._begun = True
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._events is None:
            return
        if event == "os.chmod" and isinstance(arguments[0], int):  # a descriptor, opened by name
            return
        if event == "import":
            if str(arguments[0]).partition(".")[0] in MODULES:
                self._events.append(f"import {arguments[0]}")
        elif event == "exec":
            if getattr(arguments[0], "co_filename", "") == "<string>" and not _importing():
                self._events.append("exec of a text")
        elif event.startswith(_FORBIDDEN):
            self._events.append(f"{event} {arguments!r:.200}")
        elif event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):  # a descriptor, opened by name
                return
            writes = bool(isinstance(flags, int) and flags & 3) or any(
                c in str(mode) for c in "wax+"
            )
            if writes and not self._own(path):
                self._events.append(f"open {path!r} for writing")
        elif event in _WRITING and not self._own(arguments[0]):
            self._events.append(f"{event} {arguments!r:.200}")

    def _own(self, path: Any) -> bool:
        return self._target.writes and str(path).startswith(str(self._folder))

    @contextmanager
    def _watched(self) -> Iterator[list[str]]:
        events: list[str] = []
        self._events = events if self._begun else None
        try:
            yield events
        finally:
            self._events = None

    def outcome(self, content: bytes) -> Outcome:
        """Write the file, read it, and return the outcome.

        After a finding of time or memory, the file is read again, since the first time may have
        imported a library.
        """
        found = self._outcome(content)
        if found.finding is not None and found.finding.kind in ("time", "memory"):
            return self._outcome(content)
        return found

    def _outcome(self, content: bytes) -> Outcome:
        for each in self._folder.iterdir():
            if each.is_file():
                each.unlink()
        self._path.write_bytes(content)
        tracemalloc.start()
        start = time.process_time()
        found: Finding | None = None
        error: BaseException | None = None
        result = "read"
        with self._watched() as events:
            try:
                made = self._target.read(self._path)
            except self._target.refusals as caught:
                error, result = caught, "refused"
            except BaseException as caught:
                error, result = caught, "finding"
                found = Finding("exception", f"{type(caught).__name__}: {caught}"[:300])
        seconds = time.process_time() - start
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        if result == "refused" and not isinstance(error, self._target.nameless):
            found = self._wrong_message(str(error))
        if result == "read":
            try:
                self._target.check(made)
            except Exception as caught:
                error = caught
                found = Finding("accepted", f"{type(caught).__name__}: {caught}"[:300])
        found = found or self._excess(len(content), seconds, peak, events)
        details = "".join(traceback.format_exception(error)) if error else ""
        if found is not None:
            found = found._replace(where=_place(error))
        return Outcome("finding" if found else result, found, seconds, peak, details[-4000:])

    def _wrong_message(self, message: str) -> Finding | None:
        if self._target.begins_with_path:
            good = message.startswith(str(self._path))
        else:
            good = self._path.name in message
        if not good:
            return Finding("message", f"does not name the file: {message[:200]}")
        return None

    def _excess(self, size: int, seconds: float, peak: int, events: list[str]) -> Finding | None:
        if events:
            return Finding("forbidden", events[0])
        if seconds > MAX_SECONDS:
            return Finding("time", f"{seconds:.2f} s for {size:,} bytes")
        if peak > MAX_BYTES + MAX_RATIO * size:
            return Finding("memory", f"{peak / 1e6:,.0f} MB for {size:,} bytes")
        return None


def _importing() -> bool:
    """Return whether an import is running, which may exec strings, e.g. for named tuples."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _place(error: BaseException | None) -> str:
    """Return the innermost line of xpnet in an error's traceback."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    own = [each for each in frames if "xpnet" in each.filename or "backends" in each.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def bucket(target: str, finding: Finding) -> str:
    """Return a key that is equal for findings of the same cause."""
    cause = f"{finding.kind}/{finding.text.partition(':')[0][:40]}/{finding.where}"
    if finding.kind in ("time", "memory", "hang"):
        cause = finding.kind
    return f"{target}-{finding.kind}-{zlib.crc32(cause.encode()):08x}"
