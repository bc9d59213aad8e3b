"""Numba, its compiler and its cache: whatever is wrong with them, training goes on."""

import copy
import json
import os
import shutil
import subprocess
import sys
import warnings
from importlib.util import find_spec

import numpy as np
import pytest

from xpnet import SGD, DenseLayer, NeuralNetwork, TanhActivation
from xpnet.callbacks import LambdaCallback

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("numba", "scipy", "threadpoolctl")),
    reason="compiled steps need the extra numba",
)

TRAIN = """
import json, sys, warnings
import numpy as np

def trained(steps):
    from xpnet import DenseLayer, NeuralNetwork, TanhActivation
    rng = np.random.default_rng(0)
    X = rng.standard_normal((64, 3))
    net = NeuralNetwork(epochs=3, batch_size=8, seed=0, steps=steps)
    net.add(DenseLayer(4, (3,))).add(TanhActivation()).add(DenseLayer(1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            net.fit((X, X[:, :1]))
    chosen = net.explain_steps(X, X[:, :1]).chosen
    return chosen, net.parameters.copy().tobytes().hex(), [str(each.message) for each in caught]
"""
SHOW = "\nprint(json.dumps([trained('auto'), trained('formulas')]))"


def run(code, **more):
    """Return what the code prints, in a process of its own with this environment besides."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XPNET_"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=kept | more, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with a cache, and what steps compiled from it give."""
    folder = tmp_path_factory.mktemp("kept")
    (chosen, weights, told), _ = run(TRAIN + SHOW, NUMBA_CACHE_DIR=str(folder))
    assert chosen == "compiled"
    assert not told
    assert len(list(folder.rglob("*.nbc"))) > 5
    return folder, weights


@pytest.fixture
def cache(kept, tmp_path):
    """A copy of that folder to damage, and what steps compiled without damage give."""
    return shutil.copytree(kept[0], tmp_path / "cache"), kept[1]


def write(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def flipped(content):
    """Change some bytes all over a file."""
    changed = bytearray(content)
    for place in range(len(changed) // 7, len(changed), max(len(changed) // 5, 1)):
        changed[place] ^= 0x10
    return bytes(changed)


def make_unreadable(path):
    """Put a folder in the file's place: root may read any file."""
    path.unlink()
    path.mkdir()


DAMAGE = {
    "empty": write(lambda content: b""),
    "cut": write(lambda content: content[: len(content) // 2]),
    "one byte short": write(lambda content: content[:-1]),
    "changed": write(flipped),
    "other": write(lambda content: b"not a pickle" * 9),
    "unreadable": make_unreadable,
    "missing": lambda path: path.unlink(),
}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_cache_is_built_again(ending, cache):
    """Each file in another way, in one process, since each way takes seconds to compile."""
    from xpnet.backends.cpu.compiling import intact_content

    folder, expected = cache
    files, names = sorted(folder.rglob(f"*.{ending}")), list(DAMAGE)
    assert len(files) >= len(names)
    for k, path in enumerate(files):
        DAMAGE[names[k % len(names)]](path)
        assert intact_content(path) is None
    (chosen, weights, told), _ = run(TRAIN + SHOW, NUMBA_CACHE_DIR=str(folder))
    assert (chosen, weights, told) == ("compiled", expected, [])
    assert all(intact_content(path) is not None or path.is_dir() for path in folder.rglob("*.nb?"))


@pytest.mark.slow
def test_machine_code_of_another_function_is_not_run(cache):
    """As if two processes had written under one name."""
    folder, expected = cache
    data = sorted(folder.rglob("*.nbc"))
    contents = [path.read_bytes() for path in data]
    for path, content in zip(data, [*contents[1:], contents[0]], strict=True):
        path.write_bytes(content)
    (chosen, weights, told), _ = run(TRAIN + SHOW, NUMBA_CACHE_DIR=str(folder))
    assert (chosen, weights, told) == ("compiled", expected, [])


def test_a_folder_that_cannot_be_written_is_done_without(kept, tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    (chosen, weights, told), _ = run(TRAIN + SHOW, NUMBA_CACHE_DIR=str(tmp_path / "file" / "x"))
    assert (chosen, weights, told) == ("compiled", kept[1], [])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for a file's size")
def test_a_full_disk_is_done_without(kept, tmp_path):
    full = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    (chosen, weights, told), _ = run(full + TRAIN + SHOW, NUMBA_CACHE_DIR=str(tmp_path))
    assert (chosen, weights, told) == ("compiled", kept[1], [])
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


COMPILE = "import numba.core.ccallback as c\ndef fail(*_): raise {}\nc.CFunc.compile = fail\n"
BROKEN = {
    "compiler": COMPILE.format("RuntimeError('no such target')"),
    "one kernel": (
        "import xpnet.backends.cpu.compiling as c\n"
        "make = c.compiled_callback\n"
        "def some(function, *a, **k):\n"
        "    if function.__name__.startswith('update'): raise TypeError('cannot be lowered')\n"
        "    return make(function, *a, **k)\n"
        "c.compiled_callback = some\n"
    ),
    "loop": (
        "import xpnet.backends.cpu.compiling as c\n"
        "def fail(*a, **k): raise KeyError('avx9')\n"
        "c.compiled_function = fail\n"
    ),
}
PACKAGES = {
    "llvmlite": ("llvmlite", "raise OSError('libllvmlite.so: cannot open shared object file')"),
    "numpy too new": ("numba", "raise ImportError('Numba needs NumPy 1.21 or less')"),
    "numba": ("numba", "raise SystemError('initialization failed')"),
    "old numba": ("numba", "config = __import__('types').SimpleNamespace(DISABLE_JIT=0)"),
}


def assert_trained_by_formulas(found, *words):
    (chosen, weights, told), formulas = found
    assert chosen == "formulas"
    assert weights == formulas[1]
    assert not formulas[2]
    assert len(set(told)) == 1
    for word in ("Compiled steps do not work here", *words):
        assert word in told[0]


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_compiled_is_trained_by_formulas(what, cache):
    found = run(BROKEN[what] + TRAIN + SHOW, NUMBA_CACHE_DIR=str(cache[0]))
    assert_trained_by_formulas(found, "Numba fails", "pip install --upgrade numba")


@pytest.mark.parametrize("what", PACKAGES)
def test_numba_that_cannot_be_imported_is_done_without(what, tmp_path):
    name, content = PACKAGES[what]
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(content, encoding="utf-8")
    first = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    found = run(first + TRAIN + SHOW)
    assert_trained_by_formulas(found, "Numba fails", f"NumPy {np.__version__}" * (name == "numba"))


def test_numba_that_is_switched_off_is_done_without():
    found = run(TRAIN + SHOW, NUMBA_DISABLE_JIT="1")
    assert_trained_by_formulas(found, "unset NUMBA_DISABLE_JIT")


# ---- in this process

X = np.random.default_rng(0).standard_normal((64, 3))
Y = X[:, :1]


@pytest.fixture
def forgotten(monkeypatch):
    """Let Numba's failures in a test be forgotten after it."""
    from xpnet.training.steps.compiled import failing

    monkeypatch.setattr(failing, "_reasons", [])


def network(**settings):
    net = NeuralNetwork(**{"epochs": 4, "batch_size": 8, "seed": 0} | settings)
    return net.add(DenseLayer(4, (3,))).add(TanhActivation()).add(DenseLayer(1))


def fail_from_now_on(monkeypatch):
    from xpnet.backends.cpu import program

    def fail(*_):
        raise RuntimeError("LLVM is gone")

    monkeypatch.setattr(program, "_kernel", fail)


def test_who_asks_for_compiled_steps_gets_the_reason(monkeypatch, forgotten):
    fail_from_now_on(monkeypatch)
    net = network(steps="compiled")
    before = copy.deepcopy(net)
    with pytest.raises(ValueError, match=r"cannot be compiled: Numba fails \(.*LLVM is gone"):
        net.fit((X, Y))
    assert net.history.epochs == 0
    net.steps = before.steps = "formulas"
    np.testing.assert_array_equal(
        net.fit((X, Y)).parameters.copy(), before.fit((X, Y)).parameters.copy()
    )


def test_what_fails_in_the_middle_of_training_goes_on_by_formulas(monkeypatch, forgotten):
    """A callback changes a setting, for which another kernel is needed."""

    def change(net, row):
        if row["epoch"] == 2:
            net.optimizer.nesterov = True
            if net.steps != "formulas":
                fail_from_now_on(monkeypatch)

    nets = [
        network(steps=steps, optimizer=SGD(0.01, momentum=0.9)) for steps in ("auto", "formulas")
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for net in nets:
            net.fit((X, Y), callbacks=LambdaCallback(on_epoch_end=change))
    assert ["LLVM is gone" in str(each.message) for each in caught] == [True]
    for net in nets:
        assert net.history["epoch"] == [1, 2, 3, 4]
    ours, theirs = (net.parameters.copy() for net in nets)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_no_memory_for_the_compiler_is_no_failure_of_it(monkeypatch, forgotten):
    from xpnet.backends.cpu import program

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(program, "_kernel", fail)
        assert network().explain_steps(X, Y).reasons["compiled"] == "memory has run out"
    assert network().explain_steps(X, Y).chosen == "compiled"
