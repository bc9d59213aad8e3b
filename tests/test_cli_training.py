"""``xpnet train``: early stopping, checkpoints, logs, reports, progress, reproducible files."""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import xpnet
from tests.cli import on_terminal, run

ROWS = 90
TRAIN = ["train", "t.csv", "--target", "y", "--hidden", "8", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Go to a folder with the table t.csv, whose target is a class."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [
        f"{k % 3 + rng.normal(0, 0.3):.3f},{rng.normal():.3f},{'xyz'[k % 3]}" for k in range(ROWS)
    ]
    Path("t.csv").write_text("\n".join(["a,b,y", *rows]))
    return tmp_path


def train(*arguments):
    """Train on the table; return the output and the errors."""
    status, output, errors = run(*TRAIN, *arguments)
    assert status == 0, errors
    return output, errors


# ---- early stopping


def test_early_stopping_holds_out_training_rows_and_keeps_the_best_epoch():
    train(
        "--early-stopping",
        "--patience",
        "3",
        "--epochs",
        "500",
        "--learning-rate",
        "0.05",
        "--save",
        "m.st",
    )
    net = xpnet.load("m.st")
    assert net.history.epochs < 500
    assert net.history.kept_epoch == int(np.argmin(net.history["val_loss"])) + 1
    _, output, _ = run(*TRAIN[:-1], "--early-stopping", "--epochs", "1")
    assert "to validate on" in output
    assert "23 to test on" in output
    numbers = [int(each) for each in re.findall(r"(\d+) (?:samples )?to", output)]
    assert sum(numbers) == ROWS


def test_patience_belongs_to_early_stopping():
    status, _, errors = run(*TRAIN, "--patience", "3")
    assert (status, errors) == (2, "xpnet: --patience needs --early-stopping\n")


# ---- the same again


@pytest.mark.parametrize("more", [[], ["--early-stopping"], ["--checkpoint", "ck"]])
def test_the_same_seed_gives_the_same_bytes(more, tmp_path, monkeypatch):
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("t.csv").write_bytes((tmp_path / "t.csv").read_bytes())
        train("--epochs", "5", "--save", "m.st", "--report", "r.json", "--seed", "3", *more)
        files.append([Path(each).read_bytes() for each in ("m.st", "r.json")])
    assert files[0] == files[1]


# ---- checkpoints


def test_a_resumed_training_gives_the_bytes_of_a_whole_one():
    train("--epochs", "9", "--save", "whole.st")
    train("--epochs", "4", "--checkpoint", "ck", "--every", "3")
    assert sorted(os.listdir("ck")) == [
        "checkpoint-000003.safetensors",
        "checkpoint-000004.safetensors",
    ]
    for _ in range(2):  # the second time, there is nothing left to train
        train("--epochs", "9", "--resume", "ck", "--save", "resumed.st")
        assert Path("resumed.st").read_bytes() == Path("whole.st").read_bytes()


def test_a_job_may_be_started_with_resume_before_there_is_a_checkpoint():
    _, errors = train("--epochs", "6", "--resume", "ck", "--save", "m.st")
    assert errors == "xpnet: ck has no checkpoints yet: training starts at epoch 1\n"
    _, errors = train("--epochs", "9", "--resume", "ck", "--save", "m.st")
    assert errors == ""
    assert xpnet.load("m.st").history.epochs == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--resume", "ck", "--batch-size", "7"], "--batch-size: 16, now 7"),
        (["--resume", "ck", "--seed", "5"], "give the data and options of the first run"),
        (["--checkpoint", "ck"], "--resume ck to continue it"),
        (["--checkpoint", "a", "--resume", "b"], "expected one folder"),
        (["--every", "3"], "--every needs --checkpoint FOLDER"),
        (["--checkpoint", "t.csv"], "--checkpoint t.csv: t.csv is a file: give a folder"),
    ],
)
def test_what_cannot_be_resumed_is_refused_in_one_line(options, said):
    train("--epochs", "2", "--checkpoint", "ck")
    status, output, errors = run(*TRAIN, "--epochs", "4", *options)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert said in errors
    assert len(errors) < 500


def test_a_training_is_not_resumed_with_other_rows():
    train("--epochs", "4", "--checkpoint", "ck", "--log", "l.csv")
    log = Path("l.csv").read_bytes()
    lines = Path("t.csv").read_text().splitlines()
    lines[50] = f"9{lines[50]}"
    Path("other.csv").write_text("\n".join(lines))
    again = ["--epochs", "6", "--resume", "ck", "--log", "l.csv"]
    status, _, errors = run("train", "other.csv", *TRAIN[2:], *again)
    assert status == 2
    assert errors.startswith("xpnet: --resume ck: the rows to train on")
    assert Path("l.csv").read_bytes() == log
    train(*again)


def test_a_checkpoint_with_more_epochs_than_asked_for_is_refused():
    train("--epochs", "6", "--checkpoint", "ck")
    status, _, errors = run(*TRAIN, "--epochs", "3", "--resume", "ck", "--save", "m.st")
    assert status == 2
    assert "the newest checkpoint has 6 epochs, more than --epochs 3" in errors
    assert not Path("m.st").exists()


def test_a_complete_training_that_is_resumed_says_so():
    train("--epochs", "3", "--checkpoint", "ck", "--save", "a.st")
    status, _, errors = run(*TRAIN, "--epochs", "3", "--resume", "ck", "--save", "b.st")
    assert status == 0
    assert errors == "xpnet: ck holds a complete training run: nothing was left to train\n"
    assert Path("a.st").read_bytes() == Path("b.st").read_bytes()


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--learning-rate", "0.5"], "(--learning-rate: 0.001, now 0.5)"),
        (["--optimizer", "sgd"], "(--optimizer: Adam, now SGD; "),
        (["--batch-size", "7"], "(--batch-size: "),
        (["--dtype", "float64"], "(--dtype: float32, now float64)"),
        (["--log", "l.csv"], "(other options: --log)"),
        (["--log", "l.csv", "--early-stopping"], "other options: --early-stopping, --log)"),
        (["--seed", "3"], "--seed: 0, now 3"),
    ],
)
def test_the_options_that_differ_from_the_first_run_are_named(options, difference):
    train("--epochs", "2", "--checkpoint", "ck")
    status, _, errors = run(*TRAIN, "--epochs", "3", "--resume", "ck", *options)
    assert (status, len(errors.splitlines())) == (2, 1)
    assert difference in errors or "and 1 more" in errors


# ---- logs


@pytest.mark.parametrize("path", ["log.csv", "log.jsonl"])
def test_a_log_has_a_row_for_each_epoch_also_of_a_resumed_training(path):
    train("--epochs", "6", "--checkpoint", "ck", "--log", path)
    train("--epochs", "8", "--resume", "ck", "--log", path, "--save", "m.st")
    lines = Path(path).read_text().splitlines()
    rows = (
        list(csv.DictReader(lines)) if path == "log.csv" else [json.loads(line) for line in lines]
    )
    history = xpnet.load("m.st").history
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    for name in ("loss", "val_accuracy"):
        assert [float(row[name]) for row in rows] == history[name]
    assert all(float(row["seconds"]) > 0 for row in rows)


def test_a_log_of_another_kind_is_refused():
    status, _, errors = run(*TRAIN, "--log", "log.txt")
    assert (status, errors) == (
        2, "xpnet: --log log.txt: expected a name that ends in .csv or .jsonl\n"
    )  # fmt: skip


# ---- reports


@pytest.mark.parametrize("path", ["r.json", "r.md", "r.html"])
def test_a_report_has_the_printed_score(path):
    output, _ = train("--epochs", "20", "--report", path, "--save", "m.st")
    report = Path(path).read_text()
    accuracy = float(output.split(": ")[1])
    if path == "r.json":
        content = json.loads(report)
        assert content["metrics"]["test"]["accuracy"] == pytest.approx(accuracy, abs=5e-5)
        assert content["settings"]["epochs"] == 20
        assert content["settings"]["seed"] == 0
    for part in ("accuracy", "t.csv", "numpy", "epochs"):
        assert part in report
    assert run("evaluate", "m.st", "t.csv", "--report", path)[0] == 0
    report = Path(path).read_text()
    for part in ("m.st", "t.csv"):
        assert part in report
    for part in ("val_accuracy", "Curves", "history"):
        assert part not in report


def test_a_report_says_by_what_early_stopping_kept_an_epoch():
    train("--epochs", "5", "--early-stopping", "--report", "r.json")
    history = json.loads(Path("r.json").read_text())["history"]
    assert history["kept_by"] == "val_loss"
    losses = history["columns"]["val_loss"]
    assert losses[history["kept_epoch"] - 1] == min(losses)


# ---- progress


def test_a_pipe_gets_a_line_for_each_epoch_and_no_bar():
    status, output, errors = run(*TRAIN[:-1], "--epochs", "3")
    assert status == 0
    assert "\r" not in output + errors
    lines = errors.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert all("val_accuracy: " in line for line in lines)
    assert train("--epochs", "3")[1] == ""  # --quiet


@pytest.mark.parametrize("columns", [80, 60])
def test_a_terminal_gets_a_bar_that_fits(columns):
    status, shown = on_terminal(*TRAIN[:-1], "--epochs", "40", columns=columns)
    assert status == 0
    states = shown.replace("\n", "\r").split("\r")
    assert max(map(len, states)) <= columns
    bars = [each for each in states if "%|" in each]
    assert re.match(r"epoch \d+/40 +\d+%\|", bars[-1])
    if columns == 80:
        assert "val_accuracy=" in bars[-1]
    assert any(each.startswith("test accuracy: ") for each in states)


def test_a_network_that_does_not_fit_in_memory_is_refused_in_a_short_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{k % 7},{k % 5}.5" for k in range(60))
    Path("t.csv").write_text(f"a,b\n{rows}\n")
    status, output, errors = run(
        "train", "t.csv", "--target", "b", "--hidden", "500,500", "--memory-limit", "1M", "--quiet"
    )
    assert (status, output, len(errors.splitlines())) == (1, "", 1)
    assert re.fullmatch(
        r"xpnet: training does not fit into 1\.0 MiB: it takes at least [\d.]+ MiB, of which "
        r"[\d.]+ MiB for [a-z ]+: use fewer or smaller --hidden layers, an --optimizer with less "
        r"state, such as sgd, or a larger --memory-limit\n",
        errors,
    )


def test_the_epoch_that_early_stopping_kept_is_printed():
    line = [*TRAIN[:-1], "--epochs", "40", "--early-stopping", "--patience", "2", "--save", "m.st"]
    status, output, errors = run(*line)  # without --quiet
    assert status == 0, errors
    kept = xpnet.load("m.st").history.kept_epoch
    assert kept is not None
    assert f"kept the weights of epoch {kept}, the best by val_loss\n" in output


@pytest.mark.parametrize("option", ["--report", "--save", "--log", "--plot"])
def test_files_are_not_written_to_standard_output(option):
    status, output, errors = run(*TRAIN, option, "-")
    assert (status, output) == (2, "")
    assert errors == f"xpnet: {option} -: expected the name of a file, not standard output\n"
