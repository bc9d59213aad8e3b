"""Quick versions of all studies: that they run, on real data, and say what they found."""

import re
import sys

import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from bench.studies.__main__ import STUDIES, main
from bench.studies.study import Row

FIRST_ROWS = {
    "mnist-ladder": "squared error, sigmoid",
    "mnist-optimizers": "SGD",
    "worksheet": "784-1000-100-10, test",
    "digits-lab": "one sigmoid layer, squared errors",
    "imdb": "baseline, 2 x 64",
    "search": "random search, 3 trials; the best, 1 epochs",
}


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


def test_rows_have_mean_and_spread_over_seeds():
    assert Row("a", "rate 1", "0.9", [0.5, 0.7]).cells() == [
        "a",
        "0.9",
        "0.6000 ± 0.1414",
        "rate 1",
    ]
    assert Row("a", "", "-", [0.5]).cells()[2] == "0.5000"
