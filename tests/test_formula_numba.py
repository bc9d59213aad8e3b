"""Kernels that Numba compiles from formulas: numbers, random formulas, the files of the cache."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="compiled steps need the extra numba")
pytest.importorskip("scipy", reason="compiled steps need the extra numba")
pytest.importorskip("threadpoolctl", reason="compiled steps need the extra numba")

from xpnet import LeakyReLUActivation
from xpnet.backends import _numpy_formulas as on_numpy
from xpnet.backends import array_namespace
from xpnet.backends.cpu import formulas, program
from xpnet.backends.formula import listing, trace, trace_part
from xpnet.common import traceable
from xpnet.training.steps import translation

from . import formula_kernels as on_numba
from .programs import random_program, with_special
from .test_formula import EVERY, NUMBERS, numbers_alone
from .test_formula_random import Part, assert_values

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def compilations():
    return sum(not each.cache_hits for each in program._alive)


# ---- numbers


def test_a_changed_number_compiles_nothing():
    x = np.array([[-2.0], [-0.5], [3.0]])
    found, made = [], []
    for alpha in (0.1, 0.2, 0.0, 3.0):
        part = LeakyReLUActivation(alpha)
        formula = translation.traced(part, translation._of_activation, ("x", "a"), "float64")
        of = traceable.listing_of(formula, 0)
        (value,) = on_numba.activation(of, x, translation.numbers_in(part, of))
        np.testing.assert_array_equal(value, np.where(x > 0, x, alpha * x))
        found.append(formulas.activation(of))
        made.append(len(program._alive))
    assert len(set(found)) == 1
    assert len(set(made)) == 1


def rule_of(functions):
    """Return a function of a rule whose states are what functions of the inputs give."""

    def rule(part, w, g, *state, **numbers):
        return (w, *(each(w, g, **numbers) for each in functions))

    return rule


def listing_of_rule(functions, numbers, dtype="float64"):
    names = ["w", "g", *(f"s{k}" for k in range(len(functions)))]
    return listing(trace_part(Part(), rule_of(functions), names, dtype, arguments=numbers))


def test_numbers_that_have_no_result_give_what_arrays_give():
    """All operations in one kernel."""

    def of(name):
        called, _ = numbers_alone(name)
        return lambda w, g, a, b: called(
            None, w, **({"a": a, "b": b} if EVERY[name] == 2 else {"a": a})
        )[0]

    found = listing_of_rule([of(name) for name in EVERY], ("a", "b"))
    assert not {each.operation for each in found.inside} - {"add", "multiply"}
    zeros = [np.zeros(1) for _ in range(2 + len(EVERY))]
    for a in NUMBERS:
        for b in NUMBERS:
            values = [{"a": a, "b": b}[name] for name in found.numbers]
            got = on_numba.update(found, zeros, values)[1:]
            for name, (value,) in zip(EVERY, got, strict=True):
                operands = [np.array([each]) for each in (a, b)[: EVERY[name]]]
                expected = numbers_alone(name)[1](*operands) + 0.0
                np.testing.assert_allclose(
                    value, expected[0], rtol=1e-13, err_msg=f"{name} {a} {b}"
                )


def test_a_truth_value_of_numbers_alone():
    def choose(w, g, a, b):
        xp = array_namespace(w)
        both = xp.logical_and(a > b, w > 0)
        return xp.where(both, w, xp.where(a > b, g, 0.0))

    w, g = np.array([-1.0, 2.0]), np.array([5.0, 6.0])
    found = listing_of_rule([choose], ("a", "b"))
    for a, expected in ((2.0, [5.0, 2.0]), (0.0, [0.0, 0.0])):
        values = [{"a": a, "b": 1.0}[name] for name in found.numbers]
        assert on_numba.update(found, [w, g, w], values)[1].tolist() == expected
        formula = trace_part(
            Part(), lambda part, w, g, **n: choose(w, g, **n), ["w", "g"], arguments=("a", "b")
        )
        (value,) = on_numpy.compute_formula(w, g, formula=formula, numbers={"a": a, "b": 1.0})
        assert value.tolist() == expected


def test_the_maximum_and_the_minimum_with_nan_are_nan():
    def of(name, *operands):
        def function(w, g, a):
            given = {"w": w, "a": a, "nan": float("nan"), "1": 1.0}
            return getattr(array_namespace(w), name)(*(given[each] for each in operands))

        return function

    cases = [("w", "1"), ("1", "w"), ("w", "nan"), ("nan", "w"), ("w", "a"), ("a", "w")]
    cases = [(name, *each) for name in ("maximum", "minimum") for each in cases]
    found = listing_of_rule([of(*each) for each in cases], ("a",))
    w = np.array([0.5, 2.0, np.nan])
    for a in (1.0, np.nan):
        got = on_numba.update(found, [w, w, *[w] * len(cases)], [a])[1:]
        for (name, *operands), value in zip(cases, got, strict=True):
            given = {"w": w, "a": a, "nan": np.nan, "1": 1.0}
            expected = getattr(np, name)(*(given[each] for each in operands))
            np.testing.assert_array_equal(value, expected, err_msg=f"{name} {operands} {a}")


# ---- random formulas, many in one kernel


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(3))
def test_random_formulas(dtype, seed):
    rng = np.random.default_rng(seed)
    programs = [random_program(rng) for _ in range(40)]
    functions = [lambda w, g, each=each, **numbers: each(w, g, **numbers)[0] for each in programs]
    found = listing_of_rule(functions, ("a0", "a1"), dtype)
    if dtype == "float64":
        w, g = (with_special(rng, 300, dtype) for _ in range(2))
    else:  # the exponential of compiled code has no subnormal numbers
        w, g = (rng.uniform(-3, 3, 300).astype(dtype) for _ in range(2))
    values = [{"a0": 0.5, "a1": -1.5}[name] for name in found.numbers]
    got = on_numba.update(found, [w, g, *[np.zeros_like(w)] * len(programs)], values)[1:]
    count = Counter()
    for each, value in zip(programs, got, strict=True):
        assert_values([value], each, (w, g), count)
    print(dict(count))
    assert count["unstable"] < 0.02 * count["values"]


# ---- the files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for the cache, and none of what was made before."""
    monkeypatch.setenv("XPNET_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


def forget():
    formulas._function.cache_clear()
    formulas.activation.cache_clear()


X = np.array([[-2.0], [0.5], [3.0]])


def compiled(constant=0.125):
    """Return the kernel's function, after a check of what it computes."""
    found = listing(trace(lambda x: x / (constant + abs(x)), ["x"]))
    (value,) = on_numba.activation(found, X)
    np.testing.assert_allclose(value, X / (constant + abs(X)), rtol=1e-15)
    return formulas.activation(found)


def file_of(function):
    return Path(function.__code__.co_filename)


def test_a_kernel_is_kept_in_a_folder_of_the_user(folder):
    function = compiled()
    path = file_of(function)
    assert path.parent == folder / "formulas"
    assert path.stem == function.__name__
    assert path.parent.stat().st_mode & 0o777 == 0o700 or os.name == "nt"
    assert [each for each in path.parent.iterdir() if each.suffix == ".part"] == []
    before, stamp = compilations(), path.stat().st_mtime_ns
    forget()
    assert file_of(compiled()) == path
    assert compilations() == before  # Numba's cache had it
    assert path.stat().st_mtime_ns == stamp


def make_truncated(path):
    path.write_bytes(path.read_bytes()[:100])


def make_foreign(path):
    path.write_text(path.read_text().replace("0.125", "99.0"))


def make_binary(path):
    path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize("damage", [make_truncated, make_foreign, make_binary])
def test_a_damaged_file_is_written_again(damage, folder):
    path = file_of(compiled())
    text = path.read_text()
    damage(path)
    forget()
    assert file_of(compiled()) == path
    assert path.read_text() == text


def test_a_folder_in_the_files_place_is_done_without(folder):
    path = file_of(compiled())
    path.unlink()
    path.mkdir()
    forget()
    assert not file_of(compiled()).exists()
    assert list(path.parent.glob("*.part")) == []


def no_home(folder, monkeypatch):
    def fail():
        raise RuntimeError("no home folder")

    monkeypatch.setattr(formulas, "cache_folder", fail)


def a_file(folder, monkeypatch):
    folder.write_text("")


def a_file_inside(folder, monkeypatch):
    folder.mkdir()
    (folder / "formulas").write_text("")


def shared(folder, monkeypatch):
    (folder / "formulas").mkdir(parents=True)
    (folder / "formulas").chmod(0o777)


def in_a_shared_one(folder, monkeypatch):
    (folder / "formulas").mkdir(parents=True, mode=0o700)
    folder.chmod(0o777)


def of_somebody_else(folder, monkeypatch):
    (folder / "formulas").mkdir(parents=True)
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)


def full(folder, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formulas.tempfile, "mkstemp", fail)


def read_only(folder, monkeypatch):
    (folder / "formulas").mkdir(parents=True)
    (folder / "formulas").chmod(0o500)
    if os.access(folder / "formulas", os.W_OK):  # for root, permissions are none
        full(folder, monkeypatch)


def impossible(folder, monkeypatch):
    monkeypatch.setenv("XPNET_CACHE", "/proc/xpnet/none" if os.name != "nt" else "?:\\none")


BAD = [no_home, a_file, a_file_inside, shared, in_a_shared_one, of_somebody_else, full, read_only]


@pytest.mark.parametrize("make", [*BAD, impossible])
def test_without_a_safe_folder_there_is_no_file(make, folder, monkeypatch):
    if os.name == "nt" and make in (shared, in_a_shared_one, of_somebody_else, read_only):
        return  # there, a user's folders are their own
    make(folder, monkeypatch)
    assert not file_of(compiled()).exists()
    assert list(folder.rglob("*.py")) == [] if folder.is_dir() else True


def test_a_change_of_a_helper_changes_the_name(folder, monkeypatch):
    first = compiled()
    forget()
    monkeypatch.setattr(formulas, "_helpers", lambda: b"other")
    assert compiled().__name__ != first.__name__


def test_names_of_kernels_depend_on_the_text_of_helpers(monkeypatch):
    first = formulas._helpers()
    read = Path.read_bytes

    def changed(path):
        return read(path) + b"# changed" * (path.name == "intrinsics.py")

    monkeypatch.setattr(Path, "read_bytes", changed)
    assert formulas._helpers.__wrapped__() != first


def test_threads_compile_the_same_formula_at_once(folder):
    errors = []

    def work():
        try:
            compiled(0.375)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


RUN = """
import json, sys
sys.path.append({root!r})
import numpy as np
from tests import formula_kernels as on_numba
from xpnet.backends.cpu import program
from xpnet.backends.formula import listing, trace

x = np.array([[-2.0], [0.5], [3.0]])
found = []
for constant in (0.25, 0.75):
    for dtype in ("float32", "float64"):
        made = listing(trace(lambda x: x / (constant + abs(x)), ["x"], dtype))
        (value,) = on_numba.activation(made, x.astype(dtype))
        found += value.ravel().tolist()
kernels = [each for each in program._alive]
print(json.dumps([found, len(kernels), sum(bool(each.cache_hits) for each in kernels)]))
"""


def started(folder):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XPNET_"))}
    code = RUN.format(root=str(Path(__file__).parent.parent))
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=kept | {"XPNET_CACHE": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process):
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    return json.loads(out.splitlines()[-1])


def test_processes_at_once_share_an_empty_cache(tmp_path):
    expected = [x / (c + abs(x)) for c in (0.25, 0.75) for _ in range(2) for x in (-2, 0.5, 3)]
    for values, _, _ in map(result, [started(tmp_path / "cache") for _ in range(4)]):
        np.testing.assert_allclose(values, expected, rtol=1e-6)
    files = list((tmp_path / "cache" / "formulas").iterdir())
    assert len([each for each in files if each.suffix == ".py"]) == 2
    assert [each for each in files if each.suffix == ".part"] == []
    # Of two that write their index at once, one may lose; the next one has written all.
    result(started(tmp_path / "cache"))
    values, kernels, hits = result(started(tmp_path / "cache"))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert hits == kernels == 4
