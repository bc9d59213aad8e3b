"""Fixtures, above all ``backend``: every backend that can be tested on this machine.

- ``numpy``: the reference.
- ``strict``: array-api-strict on a second device, where mixing devices, silent host copies and
  data-dependent shapes raise, and so do ``float()``, ``int()`` and ``bool()`` of a device array,
  since on a GPU each would silently wait for the device.
- ``no_float64``: the same on a device without double precision; its dtype is float32. Both are
  skipped if array-api-strict is not installed.
- ``torch``: PyTorch's tensors on the CPU; skipped if PyTorch is not installed.
- ``cupy``: marked ``cuda``. Without a GPU it is skipped or, if XPNET_REQUIRE_CUDA is set, fails. If
  XPNET_STANDIN is set, CuPy is replaced by a stand-in on the CPU: see ``tests/cuda/standin``.
"""

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from xpnet.backends import Backend, DeviceUnavailableError, resolve

from .thinned import EVERY

if find_spec("torch") is not None:
    # For small tensors, waking a second thread costs more than it saves.
    import torch

    torch.set_num_threads(1)

# For bench/, which is not installed; at the end, so that an installed xpnet comes first.
sys.path.append(str(Path(__file__).parent.parent))

if os.environ.get("XPNET_STANDIN"):  # before anything imports CuPy
    from tests.cuda.standin.plugin import standin_is_content, start  # noqa: F401 - a fixture

    if os.environ.get("XPNET_REQUIRE_CUDA"):
        raise pytest.UsageError(
            "XPNET_REQUIRE_CUDA needs a GPU and XPNET_STANDIN replaces it: unset one"
        )
    start()

BACKENDS = [
    "numpy",
    "strict",
    "no_float64",
    "torch",
    pytest.param("cupy", marks=pytest.mark.cuda),
]


def pytest_report_header() -> str | None:
    """Report if CuPy is replaced by the stand-in."""
    order = os.environ.get("XPNET_STANDIN")
    return f"CuPy: replaced by tests/cuda/standin, order {order}" if order else None


@pytest.hookimpl(tryfirst=True)  # before tests are selected by -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark most cases of the tests in `thinned.EVERY` as slow."""
    for item in items:
        test = f"{item.path.name}::{item.name.partition('[')[0]}"
        if crc32(item.name.encode()) % EVERY.get(test, 1):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the number of skipped tests for each reason."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Restore Python's handler of Ctrl-C, which background processes of a shell ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def no_hidden_waits() -> Iterator[None]:
    """Make array-api-strict refuse operations for which a GPU library would silently wait."""
    import array_api_strict as xps

    array_class = type(xps.zeros(1))
    names = ("__float__", "__int__", "__bool__", "__index__", "__complex__")
    allowed = {name: getattr(array_class, name) for name in names}

    def refuse(name):
        def method(self, *arguments):
            if self.device != xps.Device("CPU_DEVICE"):
                raise AssertionError(f"hidden wait for the device: Array.{name}")
            return allowed[name](self, *arguments)

        return method

    flags = xps.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False)
    try:
        for name in names:
            setattr(array_class, name, refuse(name))
        with flags:
            yield
    finally:
        for name, method in allowed.items():
            setattr(array_class, name, method)


def cuda_or_skip(dtype: str) -> Backend:
    """Return the backend of the current GPU; without a GPU, skip the test or fail if required."""
    try:
        return resolve("cuda", dtype=dtype)
    except DeviceUnavailableError as error:
        if os.environ.get("XPNET_REQUIRE_CUDA"):
            raise
        pytest.skip(str(error))


@contextmanager
def opened(kind: str) -> Iterator[Backend]:
    """Yield the backend of a name in ``BACKENDS``, in float64 if it supports that."""
    if kind == "torch":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    if kind == "cupy":
        yield cuda_or_skip("float64")
    elif kind not in ("strict", "no_float64"):
        yield resolve("cpu", backend=kind, dtype="float64")
    else:
        pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
        device, dtype = ("device1", "float64") if kind == "strict" else ("no_float64", "float32")
        with no_hidden_waits():
            yield resolve(device, backend="array-api-strict", dtype=dtype)


@pytest.fixture(params=BACKENDS)
def backend(request) -> Iterator[Backend]:
    """Yield each backend in turn."""
    with opened(request.param) as found:
        yield found


@pytest.fixture(params=[kind for kind in BACKENDS if kind != "no_float64"])
def float64_backend(request) -> Iterator[Backend]:
    """Yield each backend with float64, for finite differences and exact comparisons."""
    with opened(request.param) as found:
        yield found


@pytest.fixture
def cuda() -> Backend:
    """Return the backend of the current GPU, in float32; see :func:`cuda_or_skip`."""
    return cuda_or_skip("float32")


@pytest.fixture
def emulated(monkeypatch) -> list[Any]:
    """Make NumPy's backend capture steps like CUDA's; return the list of machines it creates."""
    if shutil.which("g++") is None:
        pytest.skip("the emulator of CUDA kernels needs g++")
    from xpnet.backends._numpy import NumpyBackend

    from .cuda.machine import EmulatedMachine

    machines = []

    def machine(self, precision):
        machines.append(EmulatedMachine(self.dtype, precision))
        return machines[-1]

    monkeypatch.setattr(NumpyBackend, "has_kernels", True)
    monkeypatch.setattr(NumpyBackend, "machine", machine)
    monkeypatch.setattr(NumpyBackend, "lazy", True)
    return machines


@pytest.fixture(params=["formulas", "compiled", "captured"])
def steps(request) -> str:
    """Return each kind of steps in turn; captured steps run on the emulator."""
    if request.param == "compiled":
        pytest.importorskip("numba", reason="compiled steps need the extra numba")
    if request.param == "captured":
        request.getfixturevalue("emulated")
    return str(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed."""
    return np.random.default_rng(20261121)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder with ``mnist/`` and ``imdb/`` that XPNET_DATA names."""
    folder = os.environ.get("XPNET_DATA")
    if not folder:
        pytest.skip("real data: set XPNET_DATA to a folder with mnist/ and imdb/")
    return Path(folder)
