"""Describe the machine and the library versions of a measurement."""

import platform
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xpnet.backends import Backend
from xpnet.training.steps.compiled import cores

LIBRARIES = ("xpnet", "numpy", "array-api-compat", "cupy-cuda12x", "cupy-cuda13x", "torch")


def describe(libraries: Iterable[str] = LIBRARIES) -> dict[str, Any]:
    """Return the date, processor, cores, GPU, and versions of Python and installed libraries."""
    about = {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: found for name in libraries if (found := _version(name))},
    }
    gpu = _gpu()
    return about | {"gpu": gpu} if gpu else about


def sentence(about: dict[str, Any]) -> str:
    """Return the result of :func:`describe` as one sentence."""
    versions = (f"{name} {number}" for name, number in about["versions"].items())
    where = f"{about['processor']}, {about['cores']} cores"
    if "gpu" in about:
        where += f", {about['gpu']}"
    return f"{about['date']}, {where}, Python {about['python']}, {', '.join(versions)}."


def peak_memory(backend: Backend, run: Callable[[], Any]) -> int:
    """Return the peak memory of a call in bytes: of Python and NumPy, or of the GPU."""
    if backend.name == "cupy":
        import cupy

        pool = cupy.get_default_memory_pool()
        pool.free_all_blocks()
        run()
        return int(pool.total_bytes())
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu() -> str | None:
    """Return the name of the first NVIDIA GPU, or None if nvidia-smi does not work."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].strip() or None if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
