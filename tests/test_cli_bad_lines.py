"""A thousand wrong command lines: each ends with status 2 and one line, in the user's words."""

import random
import re
from pathlib import Path

import pytest

from tests.cli import run

N_LINES, N_PARTS = 1000, 20

TRAIN = ["train", "t.csv", "--target", "y", "--epochs", "1"]
VALID = {
    "train": TRAIN,
    "evaluate": ["evaluate", "m.st", "t.csv"],
    "predict": ["predict", "m.st", "t.csv"],
}

NUMBERS = ["0", "-1", "x", "", "1.5", "1e400", "nan", "99999999999", "1,", "0x10", "--", "٣x"]
FRACTIONS = ["1", "-0.1", "2", "nan", "inf", "x", "", "50%"]
WRONG_VALUES = {
    "--epochs": NUMBERS,
    "--batch-size": NUMBERS,
    "--patience": NUMBERS,
    "--every": NUMBERS,
    "--seed": [each for each in NUMBERS if each != "0"],
    "--learning-rate": ["0", "-1", "nan", "inf", "x", "", "1e999"],
    "--dropout": FRACTIONS,
    "--test-size": FRACTIONS,
    "--hidden": ["0", "8,x", "8,", ",", "", "8;8", "-8", "1e3", "8,,8"],
    "--optimizer": ["adm", "", "Adam ", "sgd,adam", "1"],
    "--dtype": ["float16", "double", "", "int8"],
    "--device": ["gpu", "cuda:x", "", "cud", "tpu"],
    "--task": ["classify", "", "reg", "1"],
    "--categories": ["onehot", "", "embed"],
    "--missing": ["mean", "", "keep", "dropp"],
    "--decimal": ["", ";", "..", "point"],
    "--delimiter": ["", "ab", ";;", "\n"],
    "--encoding": ["utf-9", "", "latino", "base64"],
    "--memory-limit": ["0", "-1", "x", "", "1X", "nan", "inf", "1e999", "G", "1KK"],
    "--features": ["", "a,", ",a", "nope", "a,nope", '"a', "y"],
    "--exclude": ["", "nope", "a,nope", "y"],
    "--id": ["", "nope", "y"],
    "--target": ["", "nope", "Y", "a "],
    "--test": ["", "none.csv", "m.st", ".", "none.parquet"],
    "--validation": ["", "none.csv", "m.st", "."],
    "--save": ["", "none/m.st", ".", "t.csv"],
    "--plot": ["", "none/c.png", "c.xyz", ".", "t.csv"],
    "--report": ["", "none/r.md", "r.txt", ".", "r"],
    "--log": ["", "none/l.csv", "l.txt", ".", "t.csv"],
    "--checkpoint": ["", "t.csv", "t.csv/ck"],
    "--resume": ["", "t.csv/ck"],
    "--data": ["", "."],
}  # fmt: skip
OF_OTHERS = {
    "--device", "--delimiter", "--decimal", "--encoding", "--memory-limit"
}  # fmt: skip
WORDS = [
    "trian",
    "tset",
    "predic",
    "eval",
    "infos",
    "help",
    "Train",
    "run",
    "x" * 300,
    "\x1b[2J",
    "é",
]
PYTHON = re.compile(
    r"\b(label|columns|missing|decimal|delimiter|header|encoding|n_units|batch_size|learning_rate|"
    r"device|dtype|seed|epochs|resume|folder|path|exclude|id|memory_limit|test_size)="
    r"|Dataset\b|from_csv|from_frame|NeuralNetwork|\bnet\.|Traceback|\bfit\b|\(\)"
)


def misspelt(rng, word):
    """Return a word with one letter too many, missing or changed."""
    k = rng.randrange(2, len(word))
    return rng.choice(
        [word[:k] + word[k + 1 :], word[:k] + "q" + word[k:], word[:k] + "q" + word[k + 1 :]]
    )


def wrong_line(rng):
    """Return a wrong command line, made from one that is right."""
    kind = rng.choice(
        ["value", "value", "value", "value", "option", "command", "file", "cut", "more", "data"]
    )
    command = rng.choice(list(VALID))
    line = list(VALID[command])
    options = list(WRONG_VALUES) if command == "train" else sorted(OF_OTHERS)
    option = rng.choice(options)
    if kind == "value":
        return [*line, option, rng.choice(WRONG_VALUES[option])]
    if kind == "option":
        return [*line, misspelt(rng, option), "1"]
    if kind == "command":
        return [rng.choice(WORDS), *line[1:]]
    if kind == "file":
        line[1] = rng.choice(
            ["none.csv", "none.st", ".", "none/t.csv", "", "a\0b", "x" * 300 + ".csv", "t.xlsx"]
        )
        return line
    if kind == "cut":
        return rng.choice([line[:1], [*line, option], [], [""]])
    if kind == "more":
        return [*line, rng.choice(["t.csv", "extra", "--", "-x", "-1"]), "more"]
    given = rng.choice(
        ["--target", "--task", "--features", "--test", "--missing", "--id", "--decimal"]
    )
    value = {"--task": "regression", "--missing": "drop", "--decimal": ","}.get(given, "t.csv")
    return ["train", rng.choice(["digits", "mnist"]), given, value]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Return the content of a saved network."""
    folder = tmp_path_factory.mktemp("network")
    (folder / "t.csv").write_text(TABLE)
    status, _, errors = run(
        "train",
        folder / "t.csv",
        "--target",
        "y",
        "--epochs",
        1,
        "--quiet",
        "--save",
        folder / "m.st",
    )
    assert status == 0, errors
    return (folder / "m.st").read_bytes()


TABLE = "\n".join(["a,b,y", *[f"{k}.5,{k % 7},{'xz'[k % 2]}" for k in range(20)]])


@pytest.mark.parametrize("part", range(N_PARTS))
def test_a_wrong_line_is_answered_in_one_line(part, network, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))  # nothing is downloaded
    Path("t.csv").write_text(TABLE)
    Path("m.st").write_bytes(network)
    before = sorted(each.name for each in tmp_path.iterdir())
    rng = random.Random(part)
    for _ in range(N_LINES // N_PARTS):
        line = wrong_line(rng)
        status, output, errors = run(*line)
        assert status == 2, (line, output, errors)
        assert output == "", line
        assert len(errors.splitlines()) == 1, (line, errors)
        assert errors.startswith("xpnet: "), (line, errors)
        assert errors[:-1].isprintable(), line
        assert len(errors) < 700, (line, errors)
        found = PYTHON.search(errors.replace(" ".join(line), ""))
        assert not found, (line, found, errors)
    assert sorted(each.name for each in tmp_path.iterdir()) == before
