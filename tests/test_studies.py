"""Quick versions of all studies: that they run, on real data, and say what they found."""

import re
import sys
import types
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from bench.studies import __main__ as studies
from bench.studies.__main__ import STUDIES, main
from bench.studies.study import Row, Study

FIRST_ROWS = {
    "mnist-ladder": "squared error, sigmoid",
    "mnist-optimizers": "SGD",
    "worksheet": "784-1000-100-10, test",
    "digits-lab": "one sigmoid layer, squared errors",
    "imdb": "baseline, 2 x 64",
    "search": "random search, 3 trials; the best, 1 epochs",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_quick_study_writes_table_numbers_and_picture(
    name, request, tmp_path, monkeypatch, capsys
):
    if name == "search":
        pytest.importorskip("optuna", reason="Optuna is not installed")
    arguments = [name, "--quick", "--out", str(tmp_path)]
    if name != "digits-lab":
        arguments += ["--data", str(request.getfixturevalue("data_folder"))]
    monkeypatch.setattr(sys, "argv", ["studies", *arguments])
    main()
    text = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    assert text.strip() == capsys.readouterr().out.strip()
    assert FIRST_ROWS[name] in text
    assert f"python -m bench.studies {name} --data FOLDER --device cpu" in text
    assert str(tmp_path) not in text
    found = [float(number) for number in re.findall(r"\| (0\.\d{4}) ", text)]
    assert found
    assert max(found) > 0.7  # even two epochs of few samples are better than to guess
    assert (tmp_path / f"{name}.json").exists()
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


@pytest.fixture
def nothing_to_do(monkeypatch, tmp_path):
    """Studies that find nothing, and a record in a temporary folder."""
    monkeypatch.setattr(studies, "STUDIES", ("nothing",))
    monkeypatch.setattr(studies, "RESULTS", tmp_path / "record")
    found = Study("Nothing", [Row("a", "", "-", [0.5])])
    module = types.SimpleNamespace(run=lambda options: found)
    monkeypatch.setattr(studies, "import_module", lambda *name: module)
    monkeypatch.delenv("OUT", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["studies", "nothing", "--device", "cpu", *arguments])
        main()

    return run


def test_results_go_to_a_temporary_folder_that_is_printed(nothing_to_do, tmp_path, capsys):
    for arguments in ((), ("--quick",)):
        nothing_to_do(*arguments)
        printed = capsys.readouterr().err
        (folder,) = re.findall("^results go to (.*)$", printed, re.MULTILINE)
        assert Path(folder).parent == tmp_path
        assert {path.name for path in Path(folder).iterdir()} == {"nothing.json", "nothing.md"}
        assert f"written: {folder}/nothing.json and .md" in printed
    assert not (tmp_path / "record").exists()


def test_the_record_is_written_where_it_is_asked_for(nothing_to_do, tmp_path, monkeypatch, capsys):
    nothing_to_do("--save")
    assert (tmp_path / "record" / "nothing.md").exists()
    assert f"results go to {tmp_path / 'record'}" in capsys.readouterr().err
    nothing_to_do("--out", str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "nothing.md").exists()
    monkeypatch.setenv("OUT", str(tmp_path / "of the environment"))
    nothing_to_do()
    assert (tmp_path / "of the environment" / "nothing.md").exists()


@pytest.mark.parametrize("out", [["--save"], ["--out", "{record}"], ["--save", "--out", "x"]])
def test_a_quick_run_is_not_for_the_record(nothing_to_do, tmp_path, out, capsys):
    with pytest.raises(SystemExit):
        nothing_to_do("--quick", *(each.format(record=tmp_path / "record") for each in out))
    assert "--quick cannot write to" in (error := capsys.readouterr().err) or "not allowed" in error
    assert list(tmp_path.iterdir()) == []


def test_the_repository_has_the_results_of_all_studies():
    assert Path(studies.__file__).parents[1] / "results" / "studies" == studies.RESULTS
    assert all((studies.RESULTS / f"{name}.md").exists() for name in STUDIES)


def test_rows_have_mean_and_spread_over_seeds():
    assert Row("a", "rate 1", "0.9", [0.5, 0.7]).cells() == [
        "a",
        "0.9",
        "0.6000 ± 0.1414",
        "rate 1",
    ]
    assert Row("a", "", "-", [0.5]).cells()[2] == "0.5000"
