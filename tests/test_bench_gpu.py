"""The GPU's report, with a machine on the CPU in the place of a GPU: that it runs as it stands."""

import argparse
import shutil

import numpy as np
import pytest

import xpnet.neuralnet
from bench import gpu
from xpnet import Dataset, resolve
from xpnet.backends._numpy import NumpyBackend

from .cuda.machine import EmulatedMachine

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

OPTIONS = argparse.Namespace(repeats=1, only=None, peers_minutes=0.1)


@pytest.fixture
def played(monkeypatch):
    """``device="cuda"`` as NumPy with emulated kernels, few data, and small networks."""

    class Played(NumpyBackend):
        has_kernels = True
        lazy = True

        def machine(self, precision):
            return EmulatedMachine(self.dtype, precision)

    def found(device=None, **more):
        backend = resolve(None if device == "cuda" else device, **more)
        if device != "cuda":
            return backend
        return Played("numpy", backend.xp, backend.device, backend.dtype)

    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (2100, 784), np.uint8)
    data = Dataset(X, (X[:, 0] // 26).astype(np.int64))
    monkeypatch.setattr(xpnet.neuralnet, "resolve", found)
    monkeypatch.setattr(gpu, "resolve", found)
    monkeypatch.setattr(gpu, "images", lambda: data)
    monkeypatch.setattr(gpu, "NETWORKS", ([784, 8, 10],))
    monkeypatch.setattr(gpu, "BATCHES", (60,))
    monkeypatch.setattr(gpu, "WIDE", [32, 32, 10])
    monkeypatch.setattr(gpu, "WIDE_BATCH", 16)
    monkeypatch.setattr(gpu, "WIDTHS", (8, 16))
    monkeypatch.setattr(gpu, "STREAMED", (20_000, 40))
    monkeypatch.setattr(gpu, "STREAMED_UNITS", (16,))
    monkeypatch.setattr(gpu, "HELD_OUT", 100)
    monkeypatch.setattr("xpnet.config.kernels", "numpy")


SECTIONS = ["curves", "epochs", "host_time", "wide", "precisions", "streaming", "crossover"]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_finds_something(name, played):
    found = getattr(gpu, name)(OPTIONS)
    assert found
    if name == "curves":
        assert found["apart"] < 1e-4
    if name == "wide":
        assert [row["precision"] for row in found] == ["float32", "float16", "bfloat16", "tf32"]
    result = {"machine": gpu.machine.describe(), "command": "none", "sections": {}}
    result["sections"][name] = {"found": found, "seconds": 1.0}
    text = gpu.report(result)
    assert f"## {name} (1 s)" in text
    assert "|" in text


def test_a_section_that_fails_says_how():
    result = {"machine": gpu.machine.describe(), "command": "none", "sections": {}}
    result["sections"]["tests"] = {"found": {"failed": "Traceback\nValueError: no"}, "seconds": 2}
    assert "ValueError: no" in gpu.report(result)


def test_without_a_gpu_it_says_so(capsys, monkeypatch):
    def none(device):
        raise gpu.DeviceUnavailableError("there is none")

    monkeypatch.setattr(gpu, "resolve", none)
    monkeypatch.setattr("sys.argv", ["gpu"])
    assert gpu.main() == 1
    assert "there is none" in capsys.readouterr().err


def test_a_command_that_takes_too_long_is_ended():
    import sys

    assert (
        "not done" in gpu.run([sys.executable, "-c", "import time; time.sleep(9)"], 0.2)["failed"]
    )
    assert gpu.run([sys.executable, "-c", "print(7)"], 60) == {"status": 0, "tail": "7\n"}
