"""The devices, libraries, optional packages and data sets of this machine."""

import json
import os
import platform
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from .. import DenseLayer, NeuralNetwork
from ..backends import DeviceUnavailableError, available_backends, resolve
from ..backends._cache_folder import cache_folder
from ..backends._errors import printable
from ..backends._host_memory import host_memory
from ..backends.cpu.blas_threads import blas_threads
from ..common.version import VERSION
from ..datasets.files import named_folder
from ..datasets.imdb import find_reviews
from ..datasets.layouts import find_files
from ..training.steps.compiled import cores
from .messages import with_option_names

WIDTH = 80
"""The most columns of a line."""

_MOST_LINES = 8
"""The most lines of an entry; longer ones are cut."""

_LABEL = 20
"""The columns of labels."""


class Extra(NamedTuple):
    """Optional packages.

    Attributes
    ----------
    brings : str
        What the packages are for.
    modules : tuple of str
        The names under which they are imported.
    install : str
        A command that installs them.
    """

    brings: str
    modules: tuple[str, ...]
    install: str


EXTRAS = {
    "numba": Extra(
        "training on the CPU in compiled steps, several times as fast",
        ("numba", "scipy", "threadpoolctl"),
        "pip install numba scipy threadpoolctl",
    ),
    "cuda": Extra(
        "training on NVIDIA GPUs",
        ("cupy",),
        "pip install 'cupy-cuda13x[ctk]' (or 'cupy-cuda12x[ctk]' for a CUDA 12 driver)",
    ),
    "data": Extra(
        "downloads of MNIST and IMDb, sparse features",
        ("scipy", "pooch"),
        "pip install scipy 'pooch[progress]'",
    ),
    "tables": Extra("Parquet files, fast reading of CSV", ("pyarrow",), "pip install pyarrow"),
    "plot": Extra("plots, and curves in HTML reports", ("matplotlib",), "pip install matplotlib"),
    "sklearn": Extra("estimators, the digits", ("sklearn",), "pip install scikit-learn"),
    "optuna": Extra("searches by Optuna", ("optuna",), "pip install optuna"),
    "tensorboard": Extra("logs for TensorBoard", ("tensorboardX",), "pip install tensorboardX"),
}
"""What may be installed besides, by name."""

LIBRARIES = ("array-api-compat", "cupy", "numba", "numpy", "scipy")


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of this package, of Python and of those libraries that are installed."""
    found = {"xpnet": VERSION, "Python": platform.python_version()}
    for library in libraries:
        for package in (
            ("cupy-cuda13x", "cupy-cuda12x", "cupy") if library == "cupy" else (library,)
        ):
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
    return found


def collect() -> dict[str, Any]:
    """Return what :func:`show` shows, as JSON can hold it.

    A small network tries out compiled steps; Numba compiles them once on each machine.
    """
    memory = host_memory()
    backends = [row for name in _backend_names() for row in describe_backend(name)]
    return {
        "versions": versions(LIBRARIES),
        "platform": platform.platform(),
        "cpu": {"name": _processor(), "cores": cores(), "blas_threads": blas_threads()},
        "memory": None if memory is None else memory._asdict(),
        "backends": backends,
        "gpus": [
            {"device": row["device"], "name": _gpu_name(row["device"])}
            for row in backends
            if row["backend"] == "cupy" and row["device"]
        ],
        "compiled_steps": _compiled_steps(),
        "extras": [_extra(name, *extra) for name, extra in EXTRAS.items()],
        "data": _data(),
    }


def show(as_json: bool = False) -> None:
    """Print what this machine has, in lines of at most 80 columns, or as JSON."""
    found = collect()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    plain = "utf" not in encoding.lower()
    for label, text in _lines(found):
        print("\n".join(_wrapped(label, text, plain)))


def describe_backend(name: str) -> list[dict[str, Any]]:
    """Return a row for each device of a backend, or one row that says what is missing."""
    rows: list[dict[str, Any]] = []
    nothing = {"backend": name, "version": "", "device": "", "free": None, "total": None}
    try:
        # All CUDA devices are listed, and the default device of other libraries.
        while name == "cupy" or not rows:
            backend = resolve(f"cuda:{len(rows)}" if name == "cupy" else "auto", backend=name)
            memory = backend.memory()
            size = {} if memory is None else {"free": int(memory.free), "total": int(memory.total)}
            about = {"version": _version(backend.xp), "device": str(backend.device_name), **size}
            rows.append({**nothing, **about, "state": "ready"})
    except DeviceUnavailableError as error:
        reason = with_option_names(str(error).replace("cuda:0", "cuda").replace("backend=", ""))
        return rows or [{**nothing, "state": reason}]
    except (Exception, SystemExit) as error:  # of a third party, whose backend may raise anything
        return [*rows, {**nothing, "state": f"fails: {_said(error)}"}]
    return rows


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _backend_names() -> list[str]:
    """Return the names of all backends; those of this package, if others cannot be listed."""
    try:
        return available_backends()
    except Exception:  # damaged metadata of any installed package
        return ["numpy", "cupy", "torch"]


def _version(namespace: Any) -> str:
    """Return the version of the library behind an array API namespace."""
    library = namespace.__name__.removeprefix("array_api_compat.")
    return str(getattr(sys.modules.get(library), "__version__", ""))


def _processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def _gpu_name(device: str) -> str:
    """Return the name of a CUDA device, "" if CuPy does not report it."""
    try:
        import cupy

        found = cupy.cuda.runtime.getDeviceProperties(int(device.partition(":")[2] or 0))["name"]
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    except Exception:  # CuPy's errors have many types
        return ""


def _compiled_steps() -> dict[str, Any]:
    """Return whether a small network is trained in compiled steps and, if not, why."""
    try:
        network = NeuralNetwork(device="cpu").add(DenseLayer(1, input_shape=(1,)))
        explanation = network.explain_steps([[0.0], [1.0]], [0.0, 1.0])
    except Exception as error:
        return {"work": False, "reason": _said(error)}
    works = explanation.chosen == "compiled"
    return {"work": works, "reason": None if works else explanation.reasons.get("compiled")}


def _extra(name: str, brings: str, modules: tuple[str, ...], install: str) -> dict[str, Any]:
    missing = [module for module in modules if not _is_there(module)]
    return {"name": name, "brings": brings, "missing": missing, "install": install}


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # e.g. a module that was put into sys.modules by hand
        return module in sys.modules


def _data() -> dict[str, Any]:
    """Return the folders of data, and where the known data sets are in them, None if nowhere."""
    named = os.environ.get("XPNET_DATA") or None
    try:
        cache: Path | None = cache_folder()
    except RuntimeError:  # the user has no home
        cache = None
    found = {
        name: _place_of(name, cache, look)
        for name, look in (
            ("mnist", lambda folder: find_files(folder, None, "")),
            ("imdb", find_reviews),
        )
    }
    return {"XPNET_DATA": named, "cache": None if cache is None else str(cache), **found}


def _place_of(name: str, cache: Path | None, look: Callable[[Path], Any]) -> str | None:
    folder = named_folder(None, name) or (None if cache is None else cache / name)
    try:
        return str(folder) if folder is not None and look(folder) else None
    except (OSError, ValueError):
        return None


# ---- text


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of each entry; headings have no text."""
    numbers = dict(found["versions"])
    yield "", f"xpnet {numbers.pop('xpnet')}, Python {numbers.pop('Python')}, {found['platform']}"
    yield "libraries", ", ".join(f"{name} {number}" for name, number in numbers.items())
    cpu = found["cpu"]
    yield "CPU", f"{cpu['name']}, cores: {cpu['cores']}, BLAS threads: {cpu['blas_threads']}"
    yield "memory", _size(found["memory"]) or "unknown"
    for gpu in found["gpus"]:
        yield "GPU", f"{gpu['device']}: {gpu['name'] or 'unknown'}"
    steps = found["compiled_steps"]
    yield "compiled steps", "ready" if steps["work"] else f"not used: {steps['reason']}"
    yield "\nBackends:", ""
    for row in found["backends"]:
        about = [row["version"], row["device"], _size(row), row["state"]]
        yield f"  {row['backend']}", ", ".join(each for each in about if each)
    yield "\nExtras:", ""
    for extra in found["extras"]:
        state = "installed"
        if extra["missing"]:
            state = f"{', '.join(extra['missing'])} missing: {extra['install']}"
        yield f"  {extra['name']}", f"{extra['brings']}; {state}"
    yield "\nData:", ""
    for name, place in found["data"].items():
        absent = "not set" if name == "XPNET_DATA" else "none" if name == "cache" else "not found"
        yield f"  {name}", place or absent


def _size(memory: Mapping[str, Any] | None) -> str:
    if not memory or memory["total"] is None:
        return ""
    return f"{memory['free'] / 1e9:.1f} of {memory['total'] / 1e9:.1f} GB free"


def _wrapped(label: str, text: str, plain: bool) -> list[str]:
    """Return a label and a text as lines, with the text in a column; ASCII if ``plain``."""
    start = "\n" * label.startswith("\n")
    label = "  " * label.startswith("  ") + printable(label, 50)
    whole = f"{label.ljust(_LABEL - 1)} {printable(text)}" if label and text else label
    whole = whole or printable(text)
    if plain:
        whole = whole.encode("ascii", "backslashreplace").decode("ascii")
    # A filler after each character that takes two columns, and room for one cut off from it.
    counted = "".join(c + "\0" * (unicodedata.east_asian_width(c) in "WF") for c in whole)
    below = " " * (_LABEL if label and text else 2)
    width = WIDTH - ("\0" in counted)
    lines = textwrap.wrap(
        counted,
        width,
        subsequent_indent=below,
        break_on_hyphens=False,
        max_lines=_MOST_LINES,
        placeholder=" ...",
    )
    return [start + lines[0].replace("\0", ""), *(line.replace("\0", "") for line in lines[1:])]
