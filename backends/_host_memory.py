"""How much memory the host can still give to this process."""

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
"""The limit, the use and the cached files of a control group, by its controllers in version 1.

Version 2 has no name for them. The source is the kernel's documentation of cgroup-v2 and cgroup-v1.
"""

_NO_LIMIT = 1 << 60
"""Version 1 writes a number beyond that where there is no limit."""


def host_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Memory | None:
    """Return free and total bytes of the host's memory, or None where the system does not tell.

    Files that the system keeps in memory count as free. A container's limit counts, too.
    """
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        free, total = (os.sysconf(name) * page for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # neither Windows nor macOS tell all of these
        return None
    free = _available(proc) or free
    for folder, kind, limit in _limited_groups(proc, groups):
        left = _left(folder, kind, limit)
        if left is not None:
            free, total = min(free, left), min(total, limit)
    return Memory(free, total)


def _available(proc: Path) -> int | None:
    """Return what Linux could give, which counts files kept in memory as free."""
    try:
        return 1024 * _entries(proc / "meminfo")["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return None


def _left(folder: Path, kind: str, limit: int) -> int | None:
    """Return how many more bytes a control group may take, or None where it does not tell."""
    _, used, cached = _FILES[kind]
    try:
        held = int((folder / used).read_text(encoding="ascii"))
        of = _entries(folder / "memory.stat")
    except (OSError, ValueError):
        return None
    return max(limit - held + sum(of.get(name, 0) for name in cached), 0)


@cache
def _limited_groups(proc: Path, groups: Path) -> tuple[tuple[Path, str, int], ...]:
    """Return the folders of the control groups with a limit that this process is in."""
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
            except (OSError, ValueError):  # not there, or "max"
                limit = _NO_LIMIT
            if limit < _NO_LIMIT:
                yield each, kind, limit
            if each == root:
                break


def _entries(path: Path) -> dict[str, int]:
    """Return the numbers of a file that has a name and a number in each line."""
    words = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in words if len(line) > 1}
