"""What ``xpnet info`` says of a machine, whatever its parts are called and however they fail."""

import io
import json
import re
import sys
import tomllib
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import xpnet
from xpnet.backends import DeviceUnavailableError, Memory
from xpnet.cli import info

ROOT = Path(__file__).resolve().parent.parent
MEMORY = Memory(3_000_000_000, 8_000_000_000)


def shown(capsys, as_json=False):
    info.show(as_json)
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def columns(line):
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in line)


class Device:
    """A backend as ``resolve`` returns it."""

    xp = np

    def __init__(self, name, memory=MEMORY):
        self.device_name, self._memory = name, memory

    def memory(self):
        return self._memory


def test_it_tells_versions_devices_and_data(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))
    monkeypatch.setenv("XPNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(info, "available_backends", lambda: ["cupy", "numpy"])
    text = shown(capsys)
    assert text.startswith(f"xpnet {xpnet.__version__}, Python {sys.version.split()[0]}, ")
    assert re.search(rf"^  numpy +{re.escape(np.__version__)}, cpu, .*ready$", text, re.MULTILINE)
    assert re.search(r"^CPU .*cores: \d+", text, re.MULTILINE)
    assert re.search(r"^  mnist +not found$", text, re.MULTILINE)
    found = json.loads(shown(capsys, as_json=True))
    assert found["data"] == {
        "XPNET_DATA": str(tmp_path),
        "cache": str(tmp_path / "cache"),
        "mnist": None,
        "imdb": None,
    }
    assert found["versions"]["numpy"] == np.__version__
    assert {row["backend"] for row in found["backends"]} == {"cupy", "numpy"}


@pytest.mark.parametrize("variable", ["XPNET_DATA", "XPNET_CACHE"])
def test_known_data_sets_are_found_in_the_named_folder_or_in_the_cache(
    variable, monkeypatch, tmp_path
):
    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.setenv("XPNET_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv(variable, str(tmp_path))
    mnist = tmp_path / "mnist"
    mnist.mkdir()
    names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    for name in names[:3]:
        (mnist / f"{name}-ubyte.gz").touch()
    assert info.collect()["data"]["mnist"] is None  # one of four is missing
    (mnist / f"{names[3]}-ubyte").touch()
    (tmp_path / "imdb" / "aclImdb" / "train").mkdir(parents=True)
    found = info.collect()["data"]
    assert (found["mnist"], found["imdb"]) == (str(mnist), str(tmp_path / "imdb"))


def test_a_user_without_a_home_has_no_cache(monkeypatch, capsys):
    def fail():
        raise RuntimeError("no home")

    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.setattr(info, "cache_folder", fail)
    assert re.search(r"XPNET_DATA +not set\n +cache +none\n +mnist +not found", shown(capsys))


LONG = {
    "words": "a very long name of something " * 40,
    "one word": "x" * 700,
    "a path": "/some/folder" * 60,
    "hyphens": "a-b" * 300,
    "wide": "処理装置" * 90,
    "mixed": "a処b-" * 120,
    "control": "\x1b[2J\n\t\u202e" * 90,
    "combining": "e\u0301" * 300,
    "no UTF-8": "\udcff" * 200,
}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
def test_no_line_is_wider_than_80_columns(name, encoding, monkeypatch):
    def resolve(device, backend):
        if backend == "cupy" and device == "cuda:1":
            raise DeviceUnavailableError(name)
        if backend == name:
            raise ValueError(name)
        return Device(name)

    monkeypatch.setattr(info, "available_backends", lambda: ["numpy", "cupy", name])
    monkeypatch.setattr(info, "resolve", resolve)
    monkeypatch.setattr(info, "host_memory", lambda: MEMORY)
    monkeypatch.setattr(info, "_processor", lambda: name)
    monkeypatch.setattr(info, "_gpu_name", lambda device: name)
    monkeypatch.setattr(info, "_compiled_steps", lambda: {"work": False, "reason": name})
    monkeypatch.setattr(info.platform, "platform", lambda: name)
    folders = {"XPNET_DATA": name, "cache": name, "mnist": name, "imdb": None}
    monkeypatch.setattr(info, "_data", lambda: folders)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    info.show()
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert max(map(columns, text.splitlines())) <= 80
    assert text.isascii() or encoding == "utf-8"
    assert "\x1b" not in text
    assert len(text.splitlines()) < 150
    info.show(as_json=True)
    sys.stdout.flush()
    found = json.loads(written.getvalue().decode(encoding)[len(text) :])
    assert found == info.collect()
    assert found["cpu"]["name"] == name


def test_every_cuda_device_is_listed_with_its_name(monkeypatch, capsys):
    def resolve(device, backend):
        if device == "cuda:2":
            raise DeviceUnavailableError("this machine has 2 CUDA device(s)")
        return Device(device)

    properties = [{"name": b"NVIDIA A"}, {"name": "NVIDIA B"}]
    runtime = SimpleNamespace(getDeviceProperties=lambda index: properties[index])
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), __spec__=None)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(info, "resolve", resolve)
    monkeypatch.setattr(info, "available_backends", lambda: ["cupy"])
    rows = info.describe_backend("cupy")
    assert [row["device"] for row in rows] == ["cuda:0", "cuda:1"]
    assert rows[0] == {
        "backend": "cupy",
        "version": np.__version__,
        "device": "cuda:0",
        "free": 3_000_000_000,
        "total": 8_000_000_000,
        "state": "ready",
    }
    text = shown(capsys)
    assert re.search(r"^GPU +cuda:0: NVIDIA A\nGPU +cuda:1: NVIDIA B$", text, re.MULTILINE)
    assert f"{np.__version__}, cuda:1, 3.0 of 8.0 GB free, ready" in text


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no"), ImportError("no")])
def test_a_backend_that_fails_does_not_hide_the_others(error, monkeypatch, capsys):
    def resolve(device, backend):
        if backend == "broken":
            raise error
        return Device("cpu")

    monkeypatch.setattr(info, "available_backends", lambda: ["broken", "numpy"])
    monkeypatch.setattr(info, "resolve", resolve)
    text = shown(capsys)
    assert re.search(rf"^  broken +fails: {type(error).__name__}: no$", text, re.MULTILINE)
    assert re.search(r"^  numpy .*ready$", text, re.MULTILINE)


def test_memory_that_is_no_number_is_a_failure_of_that_backend(monkeypatch):
    monkeypatch.setattr(info, "resolve", lambda *_, **__: Device("cpu", Memory("much", "more")))
    (row,) = info.describe_backend("other")
    assert row["state"].startswith("fails: ValueError")
    assert (row["device"], row["free"]) == ("", None)


def test_damaged_metadata_of_other_packages_leave_the_own_backends(monkeypatch):
    def fail():
        raise OSError("damaged")

    monkeypatch.setattr(info, "available_backends", fail)
    monkeypatch.setattr(info, "describe_backend", lambda name: [{"backend": name, "device": ""}])
    found = info.collect()["backends"]
    assert [row["backend"] for row in found] == ["numpy", "cupy", "torch"]


def test_compiled_steps_are_tried(monkeypatch, capsys):
    pytest.importorskip("numba", reason="Numba is not installed")
    assert info.collect()["compiled_steps"] == {"work": True, "reason": None}
    monkeypatch.setattr("numba.config.DISABLE_JIT", True)
    text = shown(capsys)
    assert "not used: Numba is switched off: unset NUMBA_DISABLE_JIT" in text


def test_what_is_missing_is_named_with_a_command(monkeypatch, capsys):
    there = info.find_spec
    missing = ("numba", "cupy", "sklearn")
    monkeypatch.setattr(info, "find_spec", lambda name: None if name in missing else there(name))
    text = " ".join(shown(capsys).split())
    assert "numba missing: pip install numba scipy threadpoolctl" in text
    assert "cupy missing: pip install 'cupy-cuda13x[ctk]' (or 'cupy-cuda12x[ctk]'" in text
    assert "sklearn missing: pip install scikit-learn" in text
    extras = {each["name"]: each for each in info.collect()["extras"]}
    assert extras["numba"]["missing"] == ["numba"]


def test_the_extras_are_those_of_the_package():
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for name in ("all", "test", "dev"):
        del extras[name]
    assert {re.sub(r"\d+$", "", name) for name in extras} == set(info.EXTRAS)
    for name, needed in extras.items():
        command = info.EXTRAS[re.sub(r"\d+$", "", name)].install
        for requirement in needed:
            package = re.split("[<>=]", requirement)[0]
            assert re.search(rf"[ ']{re.escape(package)}(?![\w\[-])", command), package
        assert "xpnet[" not in command
