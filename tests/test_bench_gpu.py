"""The GPU's report and captured steps' times, run on the CPU with emulated kernels."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import xpnet.neuralnet
from bench import gpu, peers
from bench.captured_steps import StepParts
from bench.floor import products_alone
from bench.on_gpu import steps
from bench.sections import Command, Measurement, run
from xpnet import Dataset, resolve
from xpnet.backends._numpy import NumpyBackend
from xpnet.backends.cuda import cublas as _cublas
from xpnet.backends.cuda import machine as cuda_machine
from xpnet.backends.cuda.kernels import read_state
from xpnet.training.steps import choice

from .cuda import standin
from .cuda.machine import EmulatedMachine
from .test_bench import comes_to

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here"),
]

ROOT = Path(__file__).parent.parent
OPTIONS = argparse.Namespace(repeats=1, only=None, out=Path("results"))


@pytest.fixture
def played(monkeypatch, tmp_path):
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
    monkeypatch.setattr(xpnet.model.model, "resolve", found)
    monkeypatch.setattr(gpu, "resolve", found)
    monkeypatch.setattr(gpu, "images", lambda: data)
    monkeypatch.setattr(gpu, "NETWORKS", ([784, 8, 10],))
    monkeypatch.setattr(gpu, "BATCHES", (60,))
    monkeypatch.setattr(gpu, "WIDE", [32, 32, 10])
    monkeypatch.setattr(gpu, "WIDE_BATCH", 16)
    monkeypatch.setattr(gpu, "WIDTHS", (8, 16))
    monkeypatch.setattr(gpu, "STREAMED", (20_000, 40))
    monkeypatch.setattr(gpu, "STREAMED_UNITS", (16,))
    monkeypatch.setattr(gpu, "EPOCHS", {"digits": 4})
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))  # where there is no MNIST
    monkeypatch.delitem(choice._FASTER, "compiled")  # compiling would take long


MEASURED = ["curves", "epochs", "host_time", "wide", "precisions", "streaming", "crossover"]


def report_of(name, found):
    result = {"machine": gpu.machine.describe(), "command": "none", "sections": {}}
    result["sections"][name] = {"found": found, "seconds": 1.0}
    return gpu.report(result)


@pytest.mark.parametrize("name", MEASURED)
def test_a_section_finds_something(name, played):
    found = list(getattr(gpu, name)(OPTIONS))
    assert found
    if name == "curves":
        assert found[-1]["apart"] < 1e-4
    if name == "wide":
        assert [row["precision"] for row in found] == ["float32", "float16", "bfloat16", "tf32"]
    if name in ("curves", "precisions"):
        assert {row["data"] for row in found} == {"digits"}
    if name == "precisions":
        assert found[0]["accuracy"] > 0.5  # the labels are true ones
    text = report_of(name, found)
    assert f"## {name} (1 s)" in text
    assert "|" in text


def test_a_section_that_fails_says_how():
    found = [{"batch": 60, "s": 1.5}, {"failed": "Traceback\nValueError: no"}]
    text = report_of("epochs", found)
    assert "ValueError: no" in text
    assert "| 60      | 1.5 |" in text  # what was measured before stays a table


def test_without_a_gpu_it_says_so(capsys, monkeypatch):
    def none(device):
        raise gpu.DeviceUnavailableError("there is none")

    monkeypatch.setattr(gpu, "resolve", none)
    monkeypatch.setattr("sys.argv", ["gpu"])
    assert gpu.main() == 1
    assert "there is none" in capsys.readouterr().err


# ---- sections run by themselves


def test_a_command_that_takes_too_long_is_ended():
    code = "import time; print('begun', flush=True); time.sleep(9)"
    late = run([sys.executable, "-c", code], 1)
    assert late == {"failed": "not done after 1 s", "tail": "begun\n"}
    assert run([sys.executable, "-c", "print(7)"], 60) == {"status": 0, "tail": "7\n"}


SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def hangs(options):
    """Yield a process that was started, and come to no end."""
    with subprocess.Popen(SLEEPER) as child:
        yield {"pid": child.pid}
        time.sleep(60)


def fails(options):
    yield {"one": 1}
    raise ValueError("no")


def crashes(options):
    yield {"one": 1}
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves_a_child(options):
    yield {"pid": subprocess.Popen(SLEEPER).pid}


def says_seven(options):
    return [sys.executable, "-c", "print(7)"]


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@needs_linux
def test_a_section_is_ended_at_its_limit_with_its_children():
    first, last = Measurement(hangs, 5).rows(None, 5)
    assert last == {"failed": "not done after 5 s"}
    assert comes_to("Z", first["pid"])


@needs_linux
def test_a_section_that_is_done_leaves_no_child_running():
    (row,) = Measurement(leaves_a_child, 60).rows(None, 60)
    assert comes_to("Z", row["pid"])


@pytest.mark.parametrize(("section", "how"), [(fails, "ValueError: no"), (crashes, "code -11")])
def test_a_section_that_ends_early_keeps_its_rows(section, how):
    first, last = Measurement(section, 60).rows(None, 60)
    assert first == {"one": 1}
    assert how in last["failed"]


PARENT = """
from bench.sections import Measurement
from tests.test_bench_gpu import hangs
if __name__ == "__main__":
    for row in Measurement(hangs, 60).rows(None, 60):
        print(row["pid"], flush=True)
"""


@needs_linux
def test_a_killed_parent_leaves_no_section_running(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=env, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        section = parent_of(child)
        parent.kill()
    assert comes_to("Z", section)
    os.kill(child, signal.SIGKILL)


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_every_row_is_in_the_file_as_soon_as_it_is_measured(monkeypatch, played, tmp_path):
    seen, save = [], gpu.output.save

    def saves(name, result, text, folder):
        save(name, result, text, folder)
        read = json.loads((tmp_path / f"{name}.json").read_text())["sections"]
        seen.append({title: len(section["found"]) for title, section in read.items()})

    monkeypatch.setattr(gpu.output, "save", saves)
    sections = {"fails": Measurement(fails, 60), "seven": Command(says_seven, 60)}
    monkeypatch.setattr(gpu, "SECTIONS", sections)
    assert gpu.main(["--out", str(tmp_path)]) == 0
    assert seen == [{"fails": 1}, {"fails": 2}, {"fails": 2, "seven": 1}]
    (text,) = (path.read_text() for path in tmp_path.glob("*.md"))
    assert "ValueError: no" in text


def test_sections_without_time_left_are_named(monkeypatch, played, tmp_path):
    monkeypatch.setattr(gpu, "SECTIONS", {"seven": Command(says_seven, 60)})
    assert gpu.main(["--out", str(tmp_path), "--minutes", "0"]) == 0
    (text,) = (path.read_text() for path in tmp_path.glob("*.md"))
    assert "there was no time left of 0 minutes" in text


def test_the_peers_are_few_and_within_their_limit():
    _, _, module, *arguments = gpu.peers(OPTIONS)
    assert module == "bench.peers"
    options = peers.parse_arguments(arguments)
    cells = len(options.sizes) * len(options.batch_sizes) * len(options.optimizers)
    assert (cells, options.device) == (4, "cuda")
    assert options.peers == ["xpnet", "torch", "torch-fused", "torch-graph", "jax-scan"]
    assert 60 * options.minutes + options.patience < gpu.SECTIONS["peers"].limit


def test_the_sanitizer_watches_the_smoke_test(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/{name}")
    tool, *_, module, file = gpu.sanitizer(OPTIONS)
    assert (tool, module, file) == ("/opt/compute-sanitizer", "bench.on_gpu.smoke", "/dev/null")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert gpu.sanitizer(OPTIONS) == {"left out": "compute-sanitizer is not installed"}


# ---- a captured step and its parts


@pytest.fixture
def step(played):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (50, 20), np.uint8), rng.integers(0, 10, 50)
    net = gpu.network([20, 9, 10], 30, optimizer="adam")
    with StepParts(net, X, y) as parts:
        yield parts


def arrays_of(step):
    units = step._training._buffers.units
    return [array for unit in units for array in (unit.output, unit.error)]


def test_products_are_known_by_name_and_work_on_data(step):
    products = [call.name for call in step.calls if call.is_product]
    assert products == [
        "product 30x9x20 NN", "product 30x10x9 NN", "product 9x10x30 TN", "product 30x9x10 NT",
        "product 20x9x30 TN",
    ]  # fmt: skip
    assert [call.name for call in step.calls if not call.is_product] == [
        "begin_step", "gather_uint8", "activation", "activation", "softmax_classes",
        "reduce_losses", "column_sums", "back", "update",
    ]  # fmt: skip
    for array in [step._training._buffers.x, *arrays_of(step)]:
        assert np.count_nonzero(array) > array.size / 10


def test_products_alone_are_those_of_the_steps_that_are_asked_for(step):
    counts = step._machine.counts
    before = counts["product"], counts["kernel"]
    step.products().launch()
    step.products(3).launch()
    assert (counts["product"] - before[0], counts["kernel"] - before[1]) == (5 * 19, 0)


def test_steps_stay_within_the_order_however_often_they_are_timed(step):
    for replay in (step.whole(), step.one_by_one(), *map(step.chain, step.calls)):
        time_taken = replay.median(2)
        assert time_taken.device_us >= time_taken.host_us > 0
        assert replay.nodes() is None  # there are no graphs on the CPU
    step.whole().time()
    state = step._training._state
    assert read_state(state, "start") == 15 * 30
    assert read_state(state, "update") == 16


def test_on_a_gpu_times_are_those_of_events_and_nodes_those_of_graphs(played, monkeypatch):
    """With what stands in for CuPy; its time is how much was asked for before an event."""
    cupy, library = standin.make_cupy(), standin.Cublas()

    def elapsed(first, last):
        return 0.008 * (last.position - first.position)

    monkeypatch.setattr(cupy.cuda, "get_elapsed_time", elapsed)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", standin.make_cupyx())
    monkeypatch.setattr(_cublas, "_library", lambda: library)
    cuda_machine.kernels_of.cache_clear()
    net = gpu.network([20, 9, 10], 30, optimizer="adam")
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (50, 20), np.uint8), rng.integers(0, 10, 50)
    monkeypatch.setattr(net.backend, "machine", lambda p: cuda_machine.CudaMachine("float32", p))
    with StepParts(net, X, y) as step:
        assert step.whole().nodes() == len(step.calls) == 14
        assert step.products().nodes() == 5
        assert step.one_by_one().nodes() is None
        standin.counts.clear()
        time_taken = step.whole().time()
        assert time_taken.device_us == 1  # 16 µs for a graph and an event, of 16 steps
        assert time_taken.host_us > 0
        assert standin.counts["graphs"] == 2
        assert standin.counts["waits"] == 1  # when both have been asked for
        assert step.chain(step.calls[0]).time().device_us == 16 / 40
    cuda_machine.kernels_of.cache_clear()


def test_a_network_without_a_captured_step_is_refused(played):
    net = gpu.network([20, 9, 10], 30)
    with pytest.raises(ValueError, match="features of shape"):
        StepParts(net, np.zeros((50, 21), np.uint8), np.zeros(50, np.int64))


def test_the_floor_of_an_epoch_on_a_gpu_is_replayed(played):
    rng = np.random.default_rng(0)
    net = gpu.network([20, 9, 10], 30)
    made = []
    machine = net.backend.machine
    net.backend.machine = lambda precision: made.append(machine(precision)) or made[-1]
    X, y = rng.integers(0, 256, (1000, 20), np.uint8), rng.integers(0, 10, 1000)
    products = products_alone(net, [20, 9, 10], X, y)
    counts = made[0].counts
    before = counts["product"], counts["kernel"]
    products()
    assert (counts["product"] - before[0], counts["kernel"] - before[1]) == (5 * 34, 0)


def test_steps_are_written_line_by_line_and_go_on_after_a_failure(monkeypatch, played, tmp_path):
    file, measure = tmp_path / "steps.jsonl", steps.measure

    def fails_at_float16(case):
        assert len(file.read_text().splitlines()) == done
        if case.precision == "float16":
            raise RuntimeError("no")
        return measure(case)

    done = 0
    write = steps.write

    def counted(*line):
        nonlocal done
        write(*line)
        done += 1

    monkeypatch.setattr(steps, "measure", fails_at_float16)
    monkeypatch.setattr(steps, "write", counted)
    monkeypatch.setattr(steps, "REPEATS", 1)
    monkeypatch.setattr(steps, "WIDE_REPEATS", 1)
    monkeypatch.setattr(steps, "CHAIN_REPEATS", 1)
    assert steps.main([str(file), "--quick"]) == 1
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 6  # of the first network there are two
    assert set(lines[1]["call_us"]) >= {"begin_step", "update", "product 60x9x20 NN"}
    failed = [line for line in lines if "failed" in line]
    assert [line["precision"] for line in failed] == ["float16"]
    assert "RuntimeError: no" in failed[0]["failed"]
    for line in lines:
        if "step_us" in line:
            assert line["ratio"] == line["step_us"] / line["products_us"]
            assert (line["calls"], line["products"]) == (14, 5)


def test_all_networks_are_measured_where_there_is_time():
    cases = steps.cases(is_quick=False)
    assert len(cases) == 4 * 3 + 4
    assert {case.batch for case in cases if case.each_call} == {60, 512}
