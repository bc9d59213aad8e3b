"""The fuzzing finds what it is there to find, and repeats it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import running
from fuzz.__main__ import TARGETS
from fuzz.measuring import input_of
from fuzz.reporting import as_data, as_page, as_table, findings
from fuzz.running import Worker, fuzz
from fuzz.saves import is_whole, network
from tests.bad_readers import Failing, Reader

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def worker():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(running, "MAX_WAIT", 10.0)
        worker = Worker(Reader(), 0)
        yield worker
        worker.stop()


@pytest.mark.parametrize("content", [b"nothing", b"refuse"])
def test_what_a_reader_may_do_is_no_finding(worker, content):
    outcome = worker.outcome(content)
    assert outcome.finding is None
    assert outcome.result == {b"nothing": "read", b"refuse": "refused"}[content]


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (b"message", "message", "does not name the file: damaged"),
        (b"exception", "exception", "KeyError: 'x'"),
        (b"accepted", "accepted", "AssertionError: a wrong result"),
        (b"time", "time", r"\d\.\d\d s for 4 bytes"),
        (b"memory", "memory", "80 MB for 6 bytes"),
        (b"exec", "forbidden", "exec of a text"),
        (b"write", "forbidden", "open .*other' for writing"),
        (b"process", "forbidden", "subprocess.Popen"),
        (b"remove", "forbidden", "os.remove"),
        (b"crash", "crash", "the process ended with 3"),
        (b"hang", "hang", "no answer for 10 s"),
        (b"import", "forbidden", "import idlelib"),
    ],
)
def test_what_a_reader_must_not_do_is_found(worker, content, kind, text):
    found = worker.outcome(content).finding
    assert found is not None
    assert found.kind == kind
    assert re.match(text, found.text), found.text


def test_the_worker_goes_on_after_a_crash(worker):
    assert worker.outcome(b"crash").finding.kind == "crash"
    assert worker.outcome(b"nothing").finding is None


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_seed_makes_the_same_files(name):
    target = TARGETS[name]()
    files = [input_of(target, 7, number) for number in range(5)]
    assert [input_of(target, 7, number) for number in range(5)] == files
    assert len(set(files)) > 1
    assert input_of(target, 8, 0) != files[0]


@pytest.mark.parametrize("words", ['"module": "antigravity"', '"predict": 1', '"n_units": 12000'])
def test_some_files_are_aimed_at_what_chance_hardly_finds(words):
    target = TARGETS["model-json"]()
    files = (input_of(target, 0, number).replace(b"\\", b"") for number in range(400))
    assert sum(words.encode() in content for content in files) > 1


def test_findings_are_counted_and_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    tally = fuzz(Failing(), 60.0, 0, tmp_path, most=20)
    assert tally.results.total() == 20
    assert 5 < tally.results["finding"] < 20
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 3
    assert {path.read_bytes() for path in kept} == {b"exception"}
    (line,) = findings([tally])
    assert re.match(
        r"bad: \d+ times exception.*KeyError: 'x' \(bad-exception-\w+-0-\d+\.bin\)", line
    )
    for text in (as_table([tally]), as_page([tally], "Title"), as_data([tally], seed=0)):
        assert "bad" in text
    figures = json.loads(as_data([tally], seed=0))["targets"]["bad"]
    assert figures["finding"] == tally.results["finding"]


def test_a_file_is_read_again(tmp_path):
    path = tmp_path / "idx-by-hand.bin"
    path.write_bytes(b"nonsense")
    command = [sys.executable, "-m", "fuzz", "--repeat", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout
    assert "expected '00 00'" in done.stdout


def test_any_file_is_read_if_its_target_is_given(tmp_path):
    path = tmp_path / "downloaded.safetensors"
    path.write_bytes(b"nonsense")
    command = [sys.executable, "-m", "fuzz", "--repeat", str(path)]
    run = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120}
    refused = subprocess.run(command, **run)
    assert refused.returncode == 2
    assert "--target model-raw for a model file" in " ".join(refused.stderr.split())
    done = subprocess.run([*command, "--target", "model-raw"], **run)
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout


def test_a_search_and_a_vocabulary_may_be_written_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("search", "words"):
        tally = fuzz(TARGETS[name](), 60.0, 0, tmp_path, most=3)
        assert tally.results["finding"] == 0, findings([tally])


def test_a_network_that_is_half_anothers_is_seen():
    net = network(2)
    assert is_whole(net)
    net.parameters.gather()[-1] = 3.0
    assert not is_whole(net)
