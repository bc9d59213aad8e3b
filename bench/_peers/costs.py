"""The costs of a peer before it trains: its import time and its size on disk."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from . import Entry

_IMPORT = """
import time
start = time.perf_counter()
import {modules}
print(time.perf_counter() - start)
"""


def import_seconds(entry: Entry, env: dict[str, str], repeats: int = 3) -> float:
    """Return the median time that a new Python process takes to import a peer's modules."""
    command = [sys.executable, "-P", "-c", _IMPORT.format(modules=entry.imports)]
    times = []
    for _ in range(repeats):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        times.append(float(done.stdout.split()[-1]))
    return statistics.median(times)


def installed_mb(entry: Entry) -> float:
    """Return the size of a peer's distributions and their requirements, without extras."""
    found: dict[str, int] = {}
    waiting = [*entry.distributions, *entry.may_use]
    while waiting:
        name = _canonical(waiting.pop())
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:  # an optional distribution
            continue
        found[name] = sum(path.stat().st_size for path in _files(package))
        waiting += _requirements(package)
    return sum(found.values()) / 1e6


def _requirements(package: Distribution) -> Iterator[str]:
    """Yield the names of a distribution's requirements on this system."""
    from packaging.requirements import Requirement

    for line in package.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _files(package: Distribution) -> Iterator[Path]:
    """Yield the files of a distribution; for an editable install, those of its packages."""
    listed = package.files or []
    for file in listed:
        path = Path(str(file.locate()))
        if path.is_file():
            yield path
    tops = (package.read_text("top_level.txt") or "").split()
    for top in tops:
        if any(file.parts[0] in (top, f"{top}.py") for file in listed):
            continue
        spec = find_spec(top)
        for folder in (spec and spec.submodule_search_locations) or ():
            for place, _, names in os.walk(folder, followlinks=True):
                yield from (Path(place) / name for name in names)


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
