"""The file of a random search: its content, damage to it, and the search it belongs to."""

import copy
import functools
import json
import math
import operator
import os
import stat
import string
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.damage import changes
from xpnet import SGD, Adam, DenseLayer, ReLUActivation, StepDecay
from xpnet.search.file import SearchFile, described

DRAWN = [
    {"n_units": n, "shape": (n, 2), "rate": np.float32(0.1) / n, "activation": math.tanh}
    for n in range(1, 7)
]
SCORES = [0.5, math.nan, 0.25, math.inf, -math.inf, 1e-300]

KINDS = {
    "function": math.tanh,
    "method": str.upper,
    "class": ReLUActivation,
    "ufunc": np.tanh,
    "tuple": (1, (2.0, "three")),
    "NumPy scalars": [np.float32(0.1), np.int64(3), np.bool_(True), np.float64("nan")],
    "array": np.arange(3.0),
    "object": Adam(StepDecay(0.1), clip_norm=1.0),
    "partial": functools.partial(SGD, momentum=0.9),
    "dict": {"a": {1: (2,)}, "b": frozenset({"x", "y", "z"})},
    "path": Path("a/b"),
    "bytes": b"\x00\xff",
    "complex": 1 + 2j,
    "none": None,
}
"""Settings that JSON cannot express."""

OTHERS = {
    "function": math.sin,
    "method": str.lower,
    "class": DenseLayer,
    "ufunc": np.sin,
    "tuple": (1, (2.0, "four")),
    "NumPy scalars": [np.float32(0.2), np.int64(3), np.bool_(True), np.float64("nan")],
    "array": np.arange(3),
    "object": Adam(StepDecay(0.1, 0.4), clip_norm=1.0),
    "partial": functools.partial(SGD, momentum=0.8),
    "dict": {"a": {"1": (2,)}, "b": frozenset({"x", "y", "z"})},
    "path": Path("a/c"),
    "bytes": b"\x00\xfe",
    "complex": 1 + 3j,
    "none": 0,
}
drawn = settings(max_examples=100, deadline=None, derandomize=True)


def row(number, error=None):
    result = {"score": SCORES[number], "seconds": 0.5, "error": error}
    return {"trial": number, **DRAWN[number], **result}


def make(path, numbers=range(6), metric="rmse"):
    path.unlink(missing_ok=True)
    file = SearchFile(path, DRAWN, metric)
    for number in numbers:
        file.append(row(number, "RuntimeError: too \n wide\u2028" if number == 1 else None))
    return path


def same(found, expected):
    return str(found) == str(expected)  # NaN is not equal to itself


# ---- what is kept


def test_a_file_has_all_that_was_written(tmp_path):
    path = make(tmp_path / "file", [3, 1, 0])
    before = path.stat()
    again = SearchFile(path, DRAWN, "rmse")
    expected = {k: row(k) for k in (3, 0)} | {1: row(1, "RuntimeError: too \n wide\u2028")}
    assert same(again.rows, {k: expected[k] for k in (3, 1, 0)})
    assert again.rows[0]["shape"] == (1, 2)  # not the list that JSON makes of it
    assert again.damaged == []
    # Nothing changed, so nothing was written.
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["trial"] for line in lines] == [3, 1, 0]
    assert [line["metric_name"] for line in lines] == ["rmse"] * 3


def test_a_first_line_that_is_cut_short_is_no_trial(tmp_path):
    path = make(tmp_path / "file", [0])
    content = path.read_bytes()
    for cut in [*range(0, len(content), 5), len(content) - 1]:
        path.write_bytes(content[:cut])
        file = SearchFile(path, DRAWN, "rmse")
        assert list(file.rows) == ([0] if cut == len(content) - 1 else [])
        assert file.damaged == []
        file.append(row(2))
        assert 2 in SearchFile(path, DRAWN, "rmse").rows
    assert not file.aside.exists()


def test_a_file_that_is_replaced_keeps_its_mode_and_its_links(tmp_path):
    real, link = make(tmp_path / "real"), tmp_path / "link"
    os.chmod(real, 0o664)
    link.symlink_to(real)
    real.write_bytes(real.read_bytes()[:-5])
    assert len(SearchFile(link, DRAWN, "rmse").rows) == 5
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o664
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "real"]


def test_a_replacement_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = make(tmp_path / "file")
    path.write_bytes(path.read_bytes()[:-5])
    before = path.read_bytes()

    def full(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        SearchFile(path, DRAWN, "rmse")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---- damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make(tmp_path_factory.mktemp("search") / "file")


@drawn
@given(st.data())
def test_damage_costs_no_line_but_its_own(whole, tmp_path_factory, data):
    originals = whole.read_bytes().split(b"\n")[:-1]
    damaged = data.draw(changes(whole.read_bytes(), 9, 3))
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_bytes(damaged)
    intact = {k for k, line in enumerate(originals) if line in damaged.split(b"\n")}
    start, lines = b'{"trial": ', [line for line in damaged.split(b"\n") if line]
    if damaged and not any(line.startswith(start) or start.startswith(line) for line in lines):
        assert not intact
        with pytest.raises(ValueError, match="not the file of a random search"):
            SearchFile(path, DRAWN, "rmse")
        assert path.read_bytes() == damaged
        return
    file = SearchFile(path, DRAWN, "rmse")
    assert intact <= set(file.rows)
    expected = SearchFile(whole, DRAWN, "rmse").rows
    assert all(same(file.rows[k], expected[k]) for k in file.rows)  # and no wrong ones
    aside = file.aside.read_bytes() if file.aside.exists() else b""
    assert len(aside.splitlines()) >= (1 if file.damaged else 0)
    for number in set(range(6)) - set(file.rows):
        file.append(row(number))
    again = SearchFile(path, DRAWN, "rmse")
    assert set(again.rows) == set(range(6))
    assert again.damaged == []


@pytest.mark.parametrize(
    "line",
    [
        b"3",
        b"[]",
        b"null",
        b"{}",
        b'{"trial": 0}',
        b'{"trial": "0", "crc32": 0}',
        b'{"trial": 0, "crc32": 1234567890}',
        b'{"trial": 0, "score": 0.5, "seconds": 1.0, "error": null}',
        b"\xff\xfe",
        b'{"trial": ' + b"9" * 5000 + b"}",
        b'{"trial": ' + b"[" * 100_000,
    ],
    ids=range(11),
)
def test_a_line_of_something_else_is_put_aside(tmp_path, line):
    path = make(tmp_path / "file", [0, 2])
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line + b"\n" + second)
    file = SearchFile(path, DRAWN, "rmse")
    assert (list(file.rows), file.damaged) == ([0, 2], [2])
    assert path.read_bytes() == first + second
    assert file.aside.read_bytes() == line + b"\n"


@pytest.mark.parametrize("content", [b"my notes\n", b"\n\n", b"PK\x03\x04" * 100, b"{}", b"\xff"])
def test_another_kind_of_file_is_left_alone(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not the file of a random search: give another path"):
        SearchFile(path, DRAWN, "rmse")
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/file'.*its folder does not exist"):
        SearchFile(tmp_path / "none" / "file", DRAWN, "rmse")
    with pytest.raises(ValueError, match="is a folder"):
        SearchFile(tmp_path, DRAWN, "rmse")


@pytest.mark.skipif(os.name != "posix", reason="a test of POSIX systems")
def test_what_is_no_file_is_refused_and_not_read_without_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, said in [
        (tmp_path / "pipe", "it is a pipe"),
        (Path("/dev/null"), "it is a device"),
        (tmp_path / "loop", "leads back to itself"),
        (tmp_path / ("x" * 300), "its name is too long"),
    ]:
        with pytest.raises(OSError, match=f"{path} could not be written: .*{said}"):
            SearchFile(path, DRAWN, "rmse")


def test_an_empty_file_is_there_before_the_first_trial(tmp_path):
    SearchFile(tmp_path / "file", DRAWN, "rmse")
    assert (tmp_path / "file").read_bytes() == b""
    assert SearchFile(tmp_path / "file", DRAWN, "rmse").rows == {}


# ---- whose it is


def test_another_search_is_refused_with_what_differs(tmp_path):
    path = make(tmp_path / "file", [0, 2])
    before = path.read_bytes()
    other = copy.deepcopy(DRAWN)
    other[2] |= {"n_units": 9, "activation": operator.neg}
    for drawn, metric, message in (
        (other, "rmse", "line 2 has trial 2 with activation=.*tanh.* instead of .*neg.*, n_units"),
        (DRAWN, "mae", 'line 1 has trial 0 with metric_name="rmse" instead of "mae"'),
        (DRAWN[:2], "rmse", "line 2 is trial 2, but this search has trials 0 to 1"),
        ([{**d, "more": 1} for d in DRAWN], "rmse", "line 1 .* more=nothing instead of 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"belongs to another search: {message}"):
            SearchFile(path, drawn, metric)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_every_kind_are_compared(tmp_path, kind):
    path = tmp_path / "file"
    SearchFile(path, [{"x": KINDS[kind]}], "mse").append(
        {"trial": 0, "score": 1.0, "seconds": 1.0, "error": None}
    )
    found = SearchFile(path, [{"x": copy.deepcopy(KINDS[kind])}], "mse").rows[0]["x"]
    assert type(found) is type(KINDS[kind])
    with pytest.raises(ValueError, match=r"x=.* instead of"):
        SearchFile(path, [{"x": OTHERS[kind]}], "mse")


def test_settings_are_described_alike_in_another_process():
    code = (
        "import json, tests.test_search_file as t\n"
        "from xpnet.search.file import described\n"
        "print(json.dumps({k: described(v, k) for k, v in t.KINDS.items()}))"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": "5"},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == json.dumps({k: described(v, k) for k, v in KINDS.items()})


def local():
    return lambda: 1


@pytest.mark.parametrize("value", [lambda: 1, local(), (n for n in "ab"), [[lambda: 1]]])
def test_settings_that_cannot_be_identified_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"the setting x=.* cannot be written .* omit path"):
        SearchFile(tmp_path / "file", [{"x": value}], "mse")
    assert not (tmp_path / "file").exists()


def test_an_object_that_holds_itself_is_refused(tmp_path):
    value = SGD(0.1)
    value.me = value
    with pytest.raises(ValueError, match="cannot be written"):
        SearchFile(tmp_path / "file", [{"x": value}], "mse")


words = st.text(string.printable + "é\u2028\x00", max_size=5)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words),
    lambda part: st.one_of(st.lists(part, max_size=3), st.dictionaries(words, part, max_size=3)),
    max_leaves=6,
)


@drawn
@given(json_values, json_values)
def test_descriptions_are_equal_for_equal_settings_alone(a, b):
    first, second = (json.dumps(described(each, "x"), sort_keys=True) for each in (a, b))
    assert first == json.dumps(described(copy.deepcopy(a), "x"), sort_keys=True)
    assert (first == second) == (repr_of(a) == repr_of(b))


def repr_of(value):
    """Return a text that differs if values differ; 1, 1.0 and True are different values."""
    if isinstance(value, dict):
        return "dict" + repr(sorted((key, repr_of(part)) for key, part in value.items()))
    return repr(list(map(repr_of, value))) if isinstance(value, list) else repr(value)


def with_another_row(path, change):
    """Write the file of a search with one trial, whose checksum is right after a change."""
    trial = {"trial": 1, "score": 0.5, "seconds": 1.0, "error": "no"}
    SearchFile(path, DRAWN, "rmse").append(trial)
    row = json.loads(path.read_text())
    del row["crc32"]
    change(row)
    row["crc32"] = zlib.crc32(json.dumps(row).encode())
    path.write_text('{"trial": 0}\n' + json.dumps(row) + "\n")


@pytest.mark.parametrize("name", ["trial", "score", "seconds", "error"])
def test_a_line_that_lacks_a_column_is_damaged_whatever_its_checksum(tmp_path, name):
    with_another_row(tmp_path / "search", lambda row: row.pop(name))
    file = SearchFile(tmp_path / "search", DRAWN, "rmse")
    assert (file.rows, file.damaged) == ({}, [1, 2])


def test_a_trial_that_is_a_truth_value_is_damaged(tmp_path):
    with_another_row(tmp_path / "search", lambda row: row.update(trial=True))
    assert SearchFile(tmp_path / "search", DRAWN, "rmse").rows == {}
