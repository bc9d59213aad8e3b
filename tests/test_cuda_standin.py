"""All tests of ``device="cuda"`` on the stand-in for CuPy, and the stand-in by itself."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from xpnet.backends.cuda import cublas as _cublas
from xpnet.backends.cuda import machine as cuda_machine
from xpnet.backends.cuda import upload as cuda_upload

from .cuda import standin
from .cuda.standin.plugin import ELSEWHERE

ROOT = Path(__file__).parent.parent

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")


# ---- the tests that need a GPU


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("order", ["late", "overtaken"])
def test_what_is_for_a_gpu_passes_on_the_stand_in(order, tmp_path):
    report = tmp_path / "report.xml"
    command = [sys.executable, "-P", "-m", "pytest", "-m", "cuda", f"--junitxml={report}", "tests"]
    done = subprocess.run(
        [*command, "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=os.environ | {"XPNET_STANDIN": order},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    cases = list(ET.parse(report).getroot().iter("testcase"))
    skipped = [each for case in cases if (each := case.find("skipped")) is not None]
    # Of a module that is skipped as a whole, the text has the reason.
    reasons = {
        each.text if each.get("message") == "collection skipped" else each.get("message")
        for each in skipped
    }
    expected = ("not installed", "could not import", *ELSEWHERE.values())
    assert [reason for reason in reasons if not any(some in reason for some in expected)] == []
    assert len(cases) - len(skipped) >= 300


def on_the_stand_in(code, order="late", *arguments):
    """Run a program whose CuPy is the stand-in; return what it prints."""
    start = f"import sys; sys.path.append({str(ROOT)!r})\n"
    start += f"from tests.cuda.standin import install\ninstall({order!r})\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", start + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("script", ["smoke", "steps"])
def test_what_is_run_first_on_a_gpu_runs_on_the_stand_in(script, tmp_path):
    code = f"from bench.on_gpu import {script}; sys.exit({script}.main(sys.argv[1:]))"
    on_the_stand_in(code, "late", tmp_path / "lines.jsonl", "--quick")
    rows = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert len(rows) >= (30 if script == "smoke" else 6)
    assert [row for row in rows if "why" in row or "failed" in row] == []


# Trains by formulas on 3 and on 9 batches an epoch; prints how often each training waited.
BY_FORMULAS = """
import json
import numpy as np
from tests.cuda.standin import counts
import xpnet

ACTIVATIONS = [getattr(xpnet, name) for name in dir(xpnet) if name.endswith("Activation")]

class Own(xpnet.SGD):
    def update(self, w, grad_loss_w, out=None):
        return super().update(w, grad_loss_w, out=out)

def waits(make, clip, batches):
    X = np.random.default_rng(0).random((8 * batches, 5))
    y = (X[:, 0] > 0.5).astype(np.int64)
    net = xpnet.NeuralNetwork(
        epochs=2, batch_size=8, loss="softmax_cross_entropy", metric="accuracy", seed=0,
        optimizer=Own(0.01, **clip), device="cuda",
    )
    net.add(xpnet.DenseLayer(6, (5,))).add(make()).add(xpnet.DenseLayer(2))
    counts.clear()
    net.fit((X, y))
    return counts["waits"]

found = {}
for make in ACTIVATIONS:
    found[make.__name__] = [waits(make, {}, batches) for batches in (3, 9)]
for clip in ({"clip_value": 0.1}, {"clip_norm": 0.1}):
    found[str(clip)] = [waits(xpnet.ReLUActivation, clip, batches) for batches in (3, 9)]
print(json.dumps(found))
"""


def test_steps_by_formulas_do_not_wait_for_the_device():
    found = json.loads(on_the_stand_in(BY_FORMULAS, "prompt"))
    assert len(found) >= 9
    assert {name: waits for name, waits in found.items() if waits[0] != waits[1]} == {}


# ---- arrays


@pytest.fixture
def cupy(monkeypatch):
    """The stand-in as ``cupy``, which does work when it is asked for."""
    made = standin.make_cupy(standin.ndarray, standin.RawModule)
    monkeypatch.setitem(sys.modules, "cupy", made)
    monkeypatch.setitem(sys.modules, "cupyx", standin.make_cupyx())
    with ordered("prompt"):
        yield made


@contextmanager
def ordered(order):
    """Have work done in an order, and forget what was counted and found wrong."""
    before = standin.policy()
    standin.set_policy(order)
    standin.counts.clear()
    try:
        yield
    finally:
        standin.set_policy(before)
        standin.errors.clear()


@pytest.mark.parametrize(
    "look",
    [np.asarray, np.sum, np.exp, lambda x: np.ones(3) + x, lambda x: x + np.ones(3)],
    ids=["asarray", "sum", "exp", "left", "right"],
)
def test_numpy_gets_no_array_of_the_device(look, cupy):
    with pytest.raises(TypeError):
        look(cupy.ones(3))


def test_an_array_is_asked_for_its_numbers_by_name(cupy):
    x = cupy.ones(3)
    assert not isinstance(x, np.ndarray)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy\.ndarray'>"):
        cupy.add(x, np.ones(3))
    with pytest.raises(ValueError, match=r"non-scalar numpy\.ndarray"):
        x[:] = np.ones(3)
    np.testing.assert_array_equal(x.get(), np.ones(3))
    assert type(x.sum()) is cupy.ndarray


@pytest.mark.parametrize(
    "look",
    [
        lambda x: float(x[0]),
        lambda x: int(x[0]),
        bool,
        lambda x: x.item(),
        lambda x: x.get(),
        lambda x: x[x > 0],
        lambda x: repr(x),
        lambda x: x.nonzero(),
    ],
    ids=["float", "int", "bool", "item", "get", "mask", "repr", "nonzero"],
)
def test_to_look_at_numbers_is_to_wait(look, cupy):
    x = cupy.ones(1)
    standin.counts.clear()
    look(x)
    assert standin.counts["waits"] == 1
    stream = cupy.cuda.Stream(non_blocking=True)
    stream.begin_capture()
    try:
        with pytest.raises(RuntimeError, match="CaptureUnsupported"):
            look(x)
    finally:
        stream.end_capture()


@pytest.mark.parametrize(
    "make",
    [
        lambda cupy: cupy.zeros(3),
        lambda cupy: cupy.empty(3),
        lambda cupy: cupy.asarray([1.0]),
        lambda cupy: cupy.cuda.Stream.null.synchronize(),
    ],
    ids=["zeros", "empty", "asarray", "synchronize"],
)
def test_what_a_capture_refuses(make, cupy):
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            with pytest.raises(RuntimeError, match="CaptureUnsupported"):
                make(cupy)
        finally:
            stream.end_capture()


def test_what_is_captured_is_not_done_until_it_is_launched(cupy):
    x, y = cupy.ones(3), cupy.zeros(3)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        cupy.add(x, y, out=y)
        graph = stream.end_capture()
    np.testing.assert_array_equal(y.get(), 0.0)
    for _ in range(3):
        graph.launch(stream)
    np.testing.assert_array_equal(y.get(stream), 3.0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_every_bit_of_fresh_memory_is_set(dtype, cupy):
    x = cupy.empty((2, 3), dtype)
    for made in (x, cupy.empty_like(x)):
        assert made.get().tobytes() == b"\xff" * made.nbytes
    if dtype.startswith("float"):
        assert np.isnan(x.get()).all()


def test_an_index_goes_round_the_ends(cupy):
    x, index = cupy.arange(5), cupy.asarray([4, 5, -1])
    np.testing.assert_array_equal(x[index].get(), [4, 0, 4])
    np.testing.assert_array_equal(cupy.take(x, index).get(), [4, 0, 4])


def test_a_part_is_the_same_memory(cupy):
    x = cupy.zeros((3, 4))
    x[1:, :2].reshape(2, 2)[...] = 7.0
    x.T[0] = 1.0
    expected = np.zeros((3, 4))
    expected[1:, :2], expected[:, 0] = 7.0, 1.0
    np.testing.assert_array_equal(x.get(), expected)
    assert x[1:].data.ptr == x.data.ptr + 32
    assert pickle.loads(pickle.dumps(x)).shape == (3, 4)


def test_devices_are_compared_and_not_hashed(cupy):
    assert cupy.ones(1).device == cupy.cuda.Device(0)
    with pytest.raises(TypeError, match="unhashable"):
        hash(cupy.cuda.Device(0))
    with cupy.cuda.Device(1):
        x = cupy.ones(2)
        assert float(cupy.asarray(x).sum()) == 2.0
    with pytest.raises(ValueError, match="Array device must be same as the current device"):
        x + 1.0
    assert (cupy.asarray(x) + 1.0).device.id == 0


def test_memory_is_counted_and_ends(cupy):
    pool = cupy.get_default_memory_pool()
    before = pool.used_bytes()
    x = cupy.zeros(1000)
    y = x[2:]
    assert pool.used_bytes() == before + 8192  # in units of 512
    del x
    assert pool.used_bytes() == before + 8192
    pool.set_limit(size=pool.used_bytes() + 512)
    try:
        with pytest.raises(cupy.cuda.memory.OutOfMemoryError, match="Out of memory allocating"):
            cupy.zeros(65)
    finally:
        pool.set_limit(size=0)
    del y
    assert pool.used_bytes() == before
    assert pool.free_bytes() >= 8192
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)


def test_a_hook_is_told_of_memory(cupy):
    told = []

    class Hook(cupy.cuda.MemoryHook):
        name = "told"

        def malloc_preprocess(self, **about):
            told.append(about["size"])

    with Hook():
        cupy.zeros(3)
    cupy.zeros(4)
    assert told == [24]


def test_rows_of_a_sparse_matrix_are_scipys(cupy, rng):
    sparse = pytest.importorskip("scipy.sparse")
    from tests.cuda.standin.sparse import csr_matrix, issparse

    host = sparse.random_array((6, 5), density=0.4, rng=rng, format="csr")
    rows, w = csr_matrix(host), cupy.asarray(rng.standard_normal((5, 3)))
    assert issparse(rows)
    assert not issparse(host)
    np.testing.assert_allclose((rows @ w).get(), host @ w.get())
    np.testing.assert_allclose((rows.T @ (rows @ w)).get(), host.T @ (host @ w.get()))
    np.testing.assert_array_equal(
        rows[cupy.asarray([4, 1])].get().toarray(), host.toarray()[[4, 1]]
    )
    np.testing.assert_array_equal(rows[1:3].toarray().get(), host.toarray()[1:3])
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(rows)


# ---- work that is late


@pytest.mark.parametrize(("order", "there"), [("prompt", True), ("late", False)])
def test_a_stream_of_ones_own_may_be_late(order, there, cupy):
    x, stream = cupy.zeros(2), cupy.cuda.Stream(non_blocking=True)
    with ordered(order):
        with stream:
            x += 1.0
        assert (float(x.sum()) == 2.0) is there
        cupy.cuda.get_current_stream().wait_event(stream.record())
        assert float(x.sum()) == 2.0


def test_the_default_stream_may_be_overtaken(cupy):
    x, stream = cupy.zeros(2), cupy.cuda.Stream(non_blocking=True)
    stream.synchronize()
    cupy.cuda.Device().synchronize()
    with ordered("overtaken"):
        x += 1.0
        assert x.get(stream)[0] == 0.0
        stream.wait_event(cupy.cuda.get_current_stream().record())
        assert x.get(stream)[0] == 1.0


@pytest.mark.parametrize("order", standin.POLICIES)
def test_a_stream_that_blocks_waits_by_itself(order, cupy):
    x, stream = cupy.zeros(2), cupy.cuda.Stream()
    with ordered(order):
        for _ in range(3):
            x += 1.0
            with stream:
                x *= 2.0
        assert float(x[0]) == 14.0


def test_values_of_the_host_are_read_when_they_are_copied(cupy):
    x, stream = cupy.zeros(2), cupy.cuda.Stream(non_blocking=True)
    values = np.ones(2)
    with ordered("late"):
        x.set(values, stream=stream)
        values[:] = 5.0
        np.testing.assert_array_equal(x.get(stream), 5.0)
        x.set(np.ones(2), stream=stream)  # which is gone
        assert np.isnan(x.get(stream)).all()
        assert standin.errors == ["an array of the host was gone before it was copied"]


def test_memory_that_is_given_back_too_early_is_another_arrays(cupy):
    x, stream = cupy.zeros(2), cupy.cuda.Stream(non_blocking=True)
    with ordered("late"):
        for waits in (False, True):
            values = cupy.ones(2)
            with stream:
                cupy.copyto(x, values)
            if waits:
                cupy.cuda.get_current_stream().wait_event(stream.record())
            del values
            assert (x.get(stream)[0] == 1.0) == waits


@pytest.mark.parametrize("waits", [True, False])
def test_a_graph_is_not_dropped_while_it_runs(waits, cupy):
    stream = cupy.cuda.Stream(non_blocking=True)
    with ordered("late"):
        stream.begin_capture()
        graph = stream.end_capture()
        graph.launch(stream)
        if waits:
            stream.record().synchronize()
        del graph
        assert len(standin.errors) == (not waits)


# ---- waits that are missing in the package


@pytest.fixture
def machine(cupy, monkeypatch):
    """A machine on the stand-in."""
    library = standin.Cublas()
    monkeypatch.setattr(_cublas, "_library", lambda: library)
    cuda_machine.kernels_of.cache_clear()
    made = cuda_machine.CudaMachine("float64")
    yield made
    cuda_machine.kernels_of.cache_clear()


def without(monkeypatch, name, instead):
    monkeypatch.setattr(cuda_machine.CudaMachine, name, instead)


@needs_compiler
@pytest.mark.parametrize("taken", [False, True])
def test_a_machine_that_does_not_wait_at_the_end_shows(taken, machine, cupy, monkeypatch):
    place = machine.zeros((3,))
    if taken:
        without(monkeypatch, "current_stream_waits", lambda self: None)
    with ordered("late"):
        with machine.ordered_with_current_stream():
            machine.write(place, np.ones(3))
        assert (float(place.sum()) == 3.0) is not taken


@needs_compiler
@pytest.mark.parametrize("taken", [False, True])
def test_a_machine_that_does_not_wait_at_the_beginning_shows(taken, machine, cupy, monkeypatch):
    place = machine.zeros((3,))
    if taken:
        without(monkeypatch, "ordered_with_current_stream", contextmanager(lambda self: (yield)))
    with ordered("overtaken"):
        values = cupy.ones(3)
        with machine.ordered_with_current_stream():
            machine.write(place, values)
        assert (machine.read(place).sum() == 3.0) is not taken


@needs_compiler
@pytest.mark.parametrize("taken", [False, True])
def test_a_machine_that_lets_go_of_what_it_sends_shows(taken, machine, monkeypatch):
    place = machine.zeros((3,))
    with ordered("late"):
        machine.write(place, np.arange(3))
        if taken:
            machine._sent.clear()
        assert np.isnan(machine.read(place)).all() == taken
        assert bool(standin.errors) == taken


@pytest.mark.parametrize(
    ("wait", "instead"),
    [("", ""), ("events[turn].synchronize()", "pass"), ("    stream.synchronize()\n", "")],
    ids=["as it is", "for a buffer", "at the end"],
)
def test_an_upload_that_does_not_wait_shows(wait, instead, cupy):
    source = Path(cuda_upload.__file__).read_text(encoding="utf-8")
    assert wait in source
    module = {"__name__": "upload"}
    exec(source.replace(wait, instead) if wait else source, module)
    module["CHUNK_BYTES"] = 64
    x = np.arange(100.0)
    with ordered("late"):
        assert np.array_equal(module["upload"](x).get(), x) == (wait == "")
