"""The memory that the host has available for this process."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ._backend import Memory

_FILES = {
    "": ("memory.max", "memory.current", ("active_file", "inactive_file")),
    "memory": (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_active_file", "total_inactive_file"),
    ),
}
"""The files of a control group with its memory limit, its usage and its cached files.

The key is the controller's name in cgroup version 1, and empty for version 2. The Linux kernel's
documentation of cgroup-v1 and cgroup-v2 defines the file names.
"""

_NO_LIMIT = 1 << 60
"""In version 1, a larger number means that there is no limit."""


def host_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Memory | None:
    """Return free and total bytes of the host's memory, or None if the system does not say.

    The file cache counts as free. The limit of a container is taken into account.
    """
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        free, total = (os.sysconf(name) * page for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # Windows and macOS lack some of these
        return None
    free = _available(proc) or free
    for folder, kind, limit in _limited_groups(proc, groups):
        left = _left(folder, kind, limit)
        if left is not None:
            free, total = min(free, left), min(total, limit)
    return Memory(free, total)


def _available(proc: Path) -> int | None:
    """Return the bytes that Linux estimates to be available, including the file cache."""
    try:
        return 1024 * _entries(proc / "meminfo")["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return None


def _left(folder: Path, kind: str, limit: int) -> int | None:
    """Return the number of bytes that a control group may still use, or None if unknown."""
    _, usage_file, cached = _FILES[kind]
    try:
        usage = int((folder / usage_file).read_text(encoding="ascii"))
        statistics = _entries(folder / "memory.stat")
    except (OSError, ValueError):
        return None
    return max(limit - usage + sum(statistics.get(name, 0) for name in cached), 0)


@cache
def _limited_groups(proc: Path, groups: Path) -> tuple[tuple[Path, str, int], ...]:
    """Return folder, kind and limit of each of this process's control groups with a limit."""
    return tuple(_find_limits(proc, groups))


def _find_limits(proc: Path, groups: Path) -> Iterator[tuple[Path, str, int]]:
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        kind = "memory" if "memory" in controllers.split(",") else controllers
        if kind not in _FILES:
            continue
        root = groups / kind
        folder = root / path.lstrip("/")
        for each in [folder, *folder.parents]:
            try:
                limit = int((each / _FILES[kind][0]).read_text(encoding="ascii"))
            except (OSError, ValueError):  # the file is missing, or says "max"
                limit = _NO_LIMIT
            if limit < _NO_LIMIT:
                yield each, kind, limit
            if each == root:
                break


def _entries(path: Path) -> dict[str, int]:
    """Read a file with a name and a number on each line."""
    words = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in words if len(line) > 1}
