"""The command line: the main job, and every way to misuse it in one line."""

import csv
import gzip
import os
import re
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xpnet
from tests.cli import run
from xpnet.cli import main
from xpnet.cli.commands import cli
from xpnet.cli.messages import with_option_names

pytest.importorskip("sklearn", reason="scikit-learn, which brings the digits, is not installed")

QUICK = ["--epochs", "3", "--hidden", "16", "--quiet"]


def accuracy(output):
    return float(output.strip().splitlines()[-1].removeprefix("test accuracy: "))


@pytest.fixture
def flowers(tmp_path, rng):
    """A CSV file with text classes, of which the petal tells."""
    path = tmp_path / "flowers.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["petal", "leaf", "kind"])
        for k in range(120):
            kind = k % 3
            numbers = rng.normal([3.0 * kind, 100.0], [0.3, 30.0])
            writer.writerow([*numbers.round(3), ["aster", "bellis", "crocus"][kind]])
    return path


@pytest.fixture
def prices(tmp_path, rng):
    """A CSV file with a number to predict, far from 0."""
    path = tmp_path / "prices.csv"
    X = rng.uniform(0, 10, (200, 2))
    y = 250_000 + 10_000 * X[:, 0] - 5_000 * X[:, 1]
    lines = [f"{a:.4f},{b:.4f},{price:.1f}" for (a, b), price in zip(X, y, strict=True)]
    path.write_text("\n".join(["size,age,price", *lines]))
    return path


# ---- the main job


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits_are_learned_to_97_percent(seed):
    status, output, _ = run("train", "digits", "--quiet", "--seed", str(seed))
    assert status == 0
    assert accuracy(output) >= 0.97


def test_python_m_xpnet_shows_layers_progress_and_result():
    arguments = ["train", "digits", "--epochs", "2", "--device", "cpu", "--hidden", "32,16"]
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", *arguments], capture_output=True, text=True, check=True
    )
    assert "DenseLayer" in done.stdout
    assert "1348 samples to train on, 449 to test on, numpy on cpu" in done.stdout
    assert "test accuracy: 0." in done.stdout
    assert re.fullmatch(r"(Epoch \d/2 - loss: .* s\n){2}", done.stderr)  # there is no terminal
    assert "Warning" not in done.stderr


def test_the_same_seed_gives_the_same_network(tmp_path):
    files = [tmp_path / f"{k}.safetensors" for k in range(2)]
    for file in files:
        run("train", "digits", *QUICK, "--save", str(file))
    first, second = (xpnet.load(file) for file in files)
    np.testing.assert_array_equal(first.layers[1].weights, second.layers[1].weights)


def test_every_option_arrives(tmp_path):
    model = tmp_path / "m.safetensors"
    options = {
        "--epochs": "4",
        "--batch-size": "50",
        "--optimizer": "rmsprop",
        "--learning-rate": "0.003",
        "--hidden": "20,10",
        "--dropout": "0.25",
        "--seed": "7",
        "--save": str(model),
    }
    flat = [text for pair in options.items() for text in pair]
    status, _, _ = run("train", "digits", "--quiet", *flat)
    net = xpnet.load(model)
    assert status == 0
    assert (net.epochs, net.batch_size, net.seed) == (4, 50, 7)
    assert type(net.optimizer).__name__ == "RMSProp"
    assert net.optimizer.learning_rate == 0.003
    assert [layer.n_units for layer in net.layers if hasattr(layer, "n_units")] == [20, 10, 10]
    assert [layer.rate for layer in net.layers if hasattr(layer, "rate")] == [0.25, 0.25]


def test_a_picture_of_the_curves(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    picture = tmp_path / "curves.png"
    status, _, _ = run("train", "digits", *QUICK, "--plot", str(picture))
    assert status == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_mnist_from_a_folder(data_folder):
    arguments = ["train", "mnist", "--data", str(data_folder / "mnist"), "--epochs", "1", "--quiet"]
    status, output, _ = run(*arguments)
    assert status == 0
    assert accuracy(output) > 0.93


# ---- CSV


def test_a_classification_from_csv_and_back(flowers, tmp_path):
    model = str(tmp_path / "m.safetensors")
    arguments = ["train", str(flowers), "--target", "kind", "--quiet"]
    status, output, _ = run(*arguments, "--save", model)
    assert status == 0
    assert accuracy(output) > 0.9
    status, output, _ = run("predict", model, str(flowers))
    rows = list(csv.DictReader(output.splitlines()))
    truth = list(csv.DictReader(flowers.read_text().splitlines()))
    assert status == 0
    assert [row["kind"] for row in rows[:30]] == [row["kind"] for row in truth[:30]]
    assert all(0.5 < float(row["probability"]) <= 1 for row in rows)


def test_columns_are_found_by_name(flowers, tmp_path):
    model, other = str(tmp_path / "m.safetensors"), tmp_path / "other.csv"
    run("train", str(flowers), "--target", "kind", "--quiet", "--save", model)
    other.write_text("note,leaf,petal\nhello,100,6.0\nworld,100,0.0\n")
    _, output, _ = run("predict", model, str(other))
    assert [row["kind"] for row in csv.DictReader(output.splitlines())] == ["crocus", "aster"]


def test_a_regression_in_the_units_of_the_data(prices, tmp_path):
    model = str(tmp_path / "m.safetensors")
    arguments = ["train", str(prices), "--target", "price", "--quiet", "--save", model]
    status, output, _ = run(*arguments)
    rmse, r2 = (float(part.split(": ")[1]) for part in output.strip().split(", "))
    assert status == 0
    assert r2 > 0.98
    assert 100 < rmse < 6000
    _, output, _ = run("predict", model, str(prices))
    predicted = np.array([float(row["price"]) for row in csv.DictReader(output.splitlines())])
    truth = np.array(
        [float(row["price"]) for row in csv.DictReader(prices.read_text().splitlines())]
    )
    assert np.sqrt(np.mean((predicted - truth) ** 2)) < 6000


@pytest.mark.parametrize(("task", "expected"), [("auto", "accuracy"), ("regression", "rmse")])
def test_few_whole_numbers_are_classes_unless_told_otherwise(task, expected, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(f"{k % 7},{10 + k % 2}" for k in range(40)))
    arguments = ["train", str(path), "--target", "b", "--task", task, "--quiet", "--epochs", "2"]
    status, output, _ = run(*arguments)
    assert status == 0
    assert output.startswith(f"test {expected}")


def test_version():
    assert run("--version")[:2] == (0, f"xpnet {xpnet.__version__}\n")


# ---- misuse

BAD = {
    "no command": ([], "Missing command (see xpnet --help)"),
    "unknown command": (["trian"], "unknown command 'trian': did you mean 'train'?"),
    "unknown data": (
        ["train", "digit"],
        "a file that ends in .csv, .tsv, .txt",
    ),
    "no such file": (["train", "none.csv", "--target", "y"], "none.csv: there is no such file"),
    "no target": (["train", "none.csv"], "a table needs --target COLUMN"),
    "epochs 0": (["train", "digits", "--epochs", "0"], "'0': expected a whole number, 1 or more"),
    "epochs x": (["train", "digits", "--epochs", "x"], "'x': expected a whole number, 1 or more"),
    "rate -1": (
        ["train", "digits", "--learning-rate", "-1"],
        "'-1': expected a finite number above 0",
    ),
    "hidden": (["train", "digits", "--hidden", "8,x"], "numbers of units, e.g. 128,64"),
    "dropout": (["train", "digits", "--dropout", "1"], r"'1': expected a number in [0, 1)"),
    "seed": (["train", "digits", "--seed", "-1"], "'-1': expected a whole number, 0 or more"),
    "test size": (["train", "digits", "--test-size", "2"], "expected a number in [0, 1)"),
    "optimizer": (["train", "digits", "--optimizer", "adm"], "'adm' is not one of"),
    "device": (
        ["train", "digits", "--device", "gpu"],
        "unknown device 'gpu': did you mean 'cuda'?",
    ),
    "no model": (["predict", "none.safetensors", "x.csv"], "there is no such file"),
    "unknown option": (["info", "--fast"], "No such option"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_one_line_and_status_2(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    status, output, errors = run(*arguments)
    assert status == 2
    assert output == "" or case == "batch"
    assert len(errors.splitlines()) == 1
    assert errors.startswith("xpnet: ")
    assert message in errors


def test_bad_files_are_one_line_and_status_2(flowers, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    cases = [
        (
            ["train", str(flowers), "--target", "kimd"],
            "unknown column 'kimd': did you mean 'kind'?",
        ),
        (
            ["train", str(flowers), "--target", "kind", "--task", "regression"],
            "the column 'kind' has text",
        ),
        (["predict", str(broken), str(flowers)], "not a complete safetensors file"),
        (["train", "mnist", "--data", str(tmp_path)], "lacks train-images-idx3-ubyte"),
    ]
    for arguments, message in cases:
        status, output, errors = run(*arguments)
        assert (status, output, len(errors.splitlines())) == (2, "", 1)
        assert message in errors


def test_messages_leave_the_terminal_alone(flowers, tmp_path):
    path = tmp_path / "hostile.csv"
    path.write_text("a\x1b[2J,b\u202e\n1,2\n", encoding="utf-8")
    status, _, error = run("train", str(path), "--target", "c")
    assert status == 2
    assert "a\\x1b[2J" in error
    assert error.rstrip("\n").isprintable()


def test_a_machine_without_the_device_is_one_line_and_status_1(monkeypatch):
    monkeypatch.setattr("xpnet.backends._cupy.find_spec", lambda name: None)
    status, output, errors = run("train", "digits", "--device", "cuda")
    assert (status, output) == (1, "")
    assert errors.startswith("xpnet: --device cuda needs CuPy, which is not installed")


@pytest.mark.parametrize("end", ["sigmoid", "logit", "softmax", "log-softmax", "logits"])
def test_predict_reads_any_kind_of_output(end, tmp_path):
    X, y = np.array([[0.0], [1.0]] * 20), np.array([0, 1] * 20)
    n_outputs, layer, loss = {
        "sigmoid": (1, xpnet.SigmoidActivation(), "binary_cross_entropy"),
        "logit": (1, xpnet.LinearActivation(), xpnet.BinaryCrossEntropy(from_logits=True)),
        "softmax": (2, xpnet.SoftmaxActivation(), "categorical_cross_entropy"),
        "log-softmax": (2, xpnet.LogSoftmaxActivation(), "nll"),
        "logits": (2, xpnet.LinearActivation(), "softmax_cross_entropy"),
    }[end]
    net = xpnet.NeuralNetwork(300, 40, "adam", 0.1, loss=loss, seed=0)
    net.add(xpnet.DenseLayer(n_outputs, input_shape=(1,))).add(layer)
    net.fit(xpnet.Dataset(X, y, ["x"], "answer", class_names=["no", "yes"]))
    net.save(tmp_path / "m.safetensors")
    (tmp_path / "x.csv").write_text("x\n0\n1\n")
    arguments = ["predict", str(tmp_path / "m.safetensors"), str(tmp_path / "x.csv")]
    _, output, _ = run(*arguments)
    rows = list(csv.DictReader(output.splitlines()))
    assert [row["answer"] for row in rows] == ["no", "yes"]
    assert all(0.9 < float(row["probability"]) <= 1.0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--save", "none/m.safetensors"],
            "--save none/m.safetensors could not be written: there is no folder none: make it",
        ),
        (["--plot", "none/c.png"], "--plot none/c.png could not be written: there is no folder"),
        (["--save", "."], "--save . could not be written: it is a folder: give the path of a file"),
        (["--save", "x" * 300], "could not be written: its name is too long for this disk"),
        (["--plot", "x" * 300 + ".png"], "could not be written: its name is too long"),
        (["--save", "/dev/null"], "--save /dev/null could not be written: it is a device"),
        (["--plot", "c.xyz"], "--plot c.xyz: expected a name that ends in ."),
        (["--target", "y"], "--target does not apply to digits"),
        (["--data", "."], "--data does not apply to digits"),
        (["--task", "regression"], "--task does not apply to digits"),
    ],
)
def test_what_would_fail_or_do_nothing_is_refused_before_training(
    arguments, message, tmp_path, monkeypatch
):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    status, output, errors = run("train", "digits", *arguments)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert message in errors


# ---- a regression keeps its digits


def write_values(path, mean, scale, n=80):
    """Write a CSV file whose target has this mean and scale; return the target as written."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, 2))
    y = mean + scale * (X[:, 0] - 0.3 * X[:, 1])
    rows = [f"{a!r},{b!r},{v!r}" for a, b, v in zip(*X.T.tolist(), y.tolist(), strict=True)]
    path.write_text("\n".join(["a,b,value", *rows]))
    return y


@settings(derandomize=True, deadline=None, max_examples=12)
@given(
    exponent=st.integers(-12, 12),
    far=st.sampled_from([0.0, 1.0, -1e3, 6e6, -1e8]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_train_prints_the_score_of_the_predictions_that_predict_writes(exponent, far, dtype):
    scale = 10.0**exponent
    with tempfile.TemporaryDirectory() as folder:
        data, model, held_out = (Path(folder) / name for name in ("d.csv", "m.xpnet", "t.csv"))
        write_values(data, far * scale, scale)
        arguments = ["train", data, "--target", "value", "--quiet", "--epochs", 12]
        arguments += ["--task", "regression", "--dtype", dtype]
        status, printed, errors = run(*arguments, "--save", model)
        assert (status, errors) == (0, "")
        assert run(*arguments)[1] == printed  # not saving is no other number
        table = xpnet.Dataset.from_csv(data, "value")
        test = xpnet.train_test_split(table, test_size=0.25, random_state=0)[1]
        rows = [f"{a!r},{b!r}" for a, b in test.X.tolist()]
        held_out.write_text("\n".join(["a,b", *rows]))
        _, predicted, _ = run("predict", model, held_out)
    answers = np.array(predicted.split()[1:], dtype=float)
    error = np.sum((answers - test.y) ** 2)
    r2 = 1.0 - error / np.sum((test.y - test.y.mean()) ** 2)
    rmse, printed_r2 = (float(part.split(": ")[1]) for part in printed.split(", "))
    assert printed_r2 == pytest.approx(r2, abs=5.1e-5)
    assert rmse == pytest.approx(np.sqrt(error / len(answers)), rel=2e-6, abs=1e-300)
    assert r2 > 0.3


def test_predictions_are_read_again_as_they_were(tmp_path):
    y = write_values(tmp_path / "d.csv", 1.7e9, 300.0)
    model, table = tmp_path / "m.xpnet", xpnet.Dataset.from_csv(tmp_path / "d.csv", "value")
    run("train", tmp_path / "d.csv", "--target", "value", "--quiet", "--save", model)
    _, output, _ = run("predict", model, tmp_path / "d.csv")
    network = xpnet.load(model)
    mean, scale = network.target_unit
    answers, written = network.predict(table)[:, 0], output.split()[1:]
    step = scale * np.spacing(np.maximum(np.abs((answers - mean) / scale), 1).astype(np.float32))
    assert (np.abs(np.array(written, float) - answers) < step / 2).all()
    assert max(map(len, written)) <= len("1700000000.") + 6
    assert np.sqrt(np.mean((answers - y) ** 2)) < 200.0


@pytest.mark.parametrize("unit", [None, (0.0, 80.0), (200.0, 80.0), (-3e-9, 1e-9)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_have_the_digits_that_identify_the_output(dtype, unit, tmp_path):
    X = np.random.default_rng(0).normal(size=(400, 1))
    mean, scale = unit or (0.0, 1.0)
    net = xpnet.NeuralNetwork(60, 400, "adam", 0.1, dtype=dtype, target_unit=unit, seed=0)
    net.add(xpnet.DenseLayer(1, (1,))).fit(xpnet.Dataset(X, mean + scale * X[:, 0], ["x"], "y"))
    net.save(tmp_path / "m.xpnet")
    (tmp_path / "x.csv").write_text("\n".join(["x", *map(repr, X[:, 0].tolist())]))
    _, output, _ = run("predict", tmp_path / "m.xpnet", tmp_path / "x.csv")
    written, answers = output.split()[1:], net.predict(X)[:, 0]
    read = np.array(written, float)
    if dtype == "float64":
        np.testing.assert_array_equal(read, answers)
        return
    digits = [len(each.partition("e")[0].replace("-", "").replace(".", "").lstrip("0"))
              for each in written]  # fmt: skip
    assert max(digits) <= 9
    outputs, again = ((each.astype(float) - mean) / scale for each in (answers, read))
    far = np.abs(outputs) >= (1.0 if mean else 0.0)
    assert far.sum() > 20
    np.testing.assert_array_equal(outputs[far].astype(dtype), again[far].astype(dtype))


def test_probabilities_have_the_digits_of_their_type(tmp_path):
    X, y = np.linspace(-3, 3, 50)[:, None], np.arange(50) // 25
    net = xpnet.NeuralNetwork(50, 10, "adam", 0.1, loss="softmax_cross_entropy", seed=0)
    net.add(xpnet.DenseLayer(2, (1,))).fit(xpnet.Dataset(X, y, ["x"], "y"))
    net.save(tmp_path / "m.xpnet")
    (tmp_path / "x.csv").write_text("\n".join(["x", *map(repr, X[:, 0].tolist())]))
    _, output, _ = run("predict", tmp_path / "m.xpnet", tmp_path / "x.csv", "--proba")
    rows = list(csv.reader(output.splitlines()))[1:]
    read = np.array([row[1:] for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(read, net.predict_proba(X))
    assert max(len(row[1].partition("e")[0].partition(".")[2].lstrip("0")) for row in rows) <= 9


GAUSSIAN = xpnet.GaussianNLL()


@pytest.mark.parametrize(
    ("loss", "y", "label", "columns"),
    [
        (GAUSSIAN, 1, "price", ["price_mean", "price_standard_deviation"]),
        (
            GAUSSIAN, 2, ["a", "b"],
            ["a_mean", "b_mean", "a_standard_deviation", "b_standard_deviation"],
        ),
        (
            GAUSSIAN, 2, None,
            [f"prediction_{k}_{what}" for what in ("mean", "standard_deviation") for k in (0, 1)],
        ),
        (xpnet.QuantileLoss([0.1, 0.5]), 1, "price", ["price_quantile_0.1", "price_quantile_0.5"]),
        (xpnet.QuantileLoss(0.9), 1, "price", ["price"]),
        ({"size": (GAUSSIAN, 2)}, 1, "size", ["size_mean", "size_standard_deviation"]),
    ],
)  # fmt: skip
def test_outputs_are_named_by_what_they_are(loss, y, label, columns, tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 1))
    heads = isinstance(loss, dict)
    targets = 50.0 + 20.0 * np.hstack([X, -X])[:, :y]
    targets = {label: targets[:, 0]} if heads else targets[:, 0] if y == 1 else targets
    unit = {"size": (50.0, 20.0)} if heads else (50.0, 20.0)
    net = xpnet.NeuralNetwork(30, 20, "adam", 0.05, loss=loss, seed=0, target_unit=unit)
    net.add(xpnet.DenseLayer(len(columns), (1,)))
    data = xpnet.Dataset(X, targets, ["x"], **({} if heads else {"label_name": label}))
    net.fit(data).save(tmp_path / "m.xpnet")
    (tmp_path / "x.csv").write_text("\n".join(["x", *map(repr, X[:, 0].tolist())]))
    _, output, _ = run("predict", tmp_path / "m.xpnet", tmp_path / "x.csv")
    header, *rows = csv.reader(output.splitlines())
    assert header == columns
    np.testing.assert_allclose(np.array(rows, float), net.predict(X), rtol=2e-7)
    assert max(len(each) for row in rows for each in row) <= 12


def test_several_outputs_have_a_column_each(tmp_path):
    net = xpnet.NeuralNetwork(1, 2).add(xpnet.DenseLayer(2, (1,)))
    net.fit(xpnet.Dataset([[0.0], [1.0]], [[0.0, 1.0], [1.0, 0.0]], ["x"]))
    net.save(tmp_path / "m.xpnet")
    (tmp_path / "x.csv").write_text("x\n0.5\n")
    _, output, _ = run("predict", tmp_path / "m.xpnet", tmp_path / "x.csv")
    header, row = csv.reader(output.splitlines())
    assert header == ["prediction_0", "prediction_1"]
    answers = net.predict([[0.5]])[0]
    np.testing.assert_array_equal(np.array(row, np.float32), answers)


@pytest.mark.parametrize("magnitude", [1e-300, 1e160, 1e300, 1.7e308])
def test_values_that_cannot_be_squared_are_refused_before_training(magnitude, tmp_path):
    write_values(tmp_path / "d.csv", 0.0, magnitude / 3)
    arguments = ["train", tmp_path / "d.csv", "--target", "value", "--epochs", 1]
    status, output, errors = run(*arguments)
    assert (status, output) == (2, "")
    assert "for float64: multiply the column by a power of ten" in errors


def replace_scores(monkeypatch, score):
    found = dict.fromkeys(["accuracy", "rmse", "r2"], score)
    monkeypatch.setattr(xpnet.NeuralNetwork, "evaluate", lambda *_, **__: found)


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_a_failure(score, tmp_path, monkeypatch):
    write_values(tmp_path / "d.csv", 0.0, 1.0)
    replace_scores(monkeypatch, score)
    arguments = ["train", tmp_path / "d.csv", "--target", "value", "--epochs", 1, "--quiet"]
    status, output, errors = run(*arguments)
    assert (status, output) == (1, "")
    assert f"the test rmse is {score}" in errors


@pytest.mark.parametrize("cells", [["x", "z"] * 20, [f"{k}.5" for k in range(40)]])
def test_a_network_whose_score_is_not_finite_is_not_saved(cells, tmp_path, monkeypatch):
    path, model = write_column(tmp_path / "d.csv", cells), tmp_path / "m.xpnet"
    replace_scores(monkeypatch, np.nan)
    status, output, errors = run(
        "train", path, "--target", "y", "--epochs", 1, "--quiet", "--save", model
    )
    assert (status, output, len(errors.splitlines())) == (1, "", 1)
    assert "is nan, so the network is of no use and was not saved" in errors
    assert not model.exists()


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize(
    "options", [["--learning-rate", 1e3], ["--learning-rate", 1e-9], ["--optimizer", "sgd"]]
)
def test_a_network_that_is_no_better_than_a_constant_is_warned_of(options, task, tmp_path):
    classes, model = ["x"] * 30 + ["z"] * 30, tmp_path / "m.xpnet"
    cells = classes if task == "classification" else [f"{k % 7}.{k % 3}" for k in range(60)]
    path = write_column(tmp_path / "d.csv", cells)
    arguments = ["--target", "y", "--quiet", "--save", model, "--epochs", 20, *options]
    status, output, errors = run("train", path, *arguments)
    most_frequent = 0.5333  # 8 of 15 rows
    score = float(output.split(": ")[-1])
    useless = score <= (most_frequent if task == "classification" else 0.0)
    said = "is no better than always predicting the "
    assert useless == (said in errors)
    assert useless or options[0] == "--optimizer" or task == "classification"
    assert len(errors.splitlines()) == useless
    assert status == 0
    assert model.exists()
    if useless:
        assert errors.startswith("xpnet: warning: on the test data the network")
        assert "give a lower --learning-rate or more --epochs" in errors


@pytest.mark.parametrize(
    ("score", "task", "warned"),
    [
        (-2e15, "regression", True), (-0.1, "regression", True), (0.0, "regression", True),
        (0.01, "regression", False), (1.0, "regression", False), (0.0, "classification", True),
        (0.7, "classification", True), (0.9, "classification", False),
    ],
)  # fmt: skip
def test_scores_no_better_than_a_constants_give_a_warning(
    score, task, warned, tmp_path, monkeypatch
):
    cells = ["x", "x", "x", "z"] * 10 if task == "classification" else [f"{k}" for k in range(40)]
    path = write_column(tmp_path / "d.csv", cells)
    replace_scores(monkeypatch, score)
    arguments = ["--target", "y", "--epochs", 1, "--quiet", "--test-size", 0.25]
    status, _, errors = run("train", path, *arguments)
    constant = "mean of the targets" if task == "regression" else "most frequent class, 'x'"
    assert status == 0
    assert warned == bool(errors)
    assert not warned or f"no better than always predicting the {constant}: " in errors


def test_the_network_and_the_data_in_the_wrong_order_are_named(tmp_path):
    data, model = write_column(tmp_path / "d.csv", ["x", "z"] * 20), tmp_path / "model"
    run("train", data, "--target", "y", "--epochs", 1, "--quiet", "--save", model)
    status, output, errors = run("predict", data, model)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert f"{model} is a network and {data} is not: expected the network first" in errors
    assert f"xpnet predict {model} {data}" in errors
    assert run("predict", model, data)[0] == 0
    assert run("predict", model, model)[0] == run("predict", data, data)[0] == 2


def test_predictions_that_are_not_finite_are_a_failure(tmp_path):
    data, model = tmp_path / "d.csv", tmp_path / "m.xpnet"
    write_values(data, 0.0, 1.0)
    run("train", data, "--target", "value", "--epochs", 1, "--quiet", "--save", model)
    data.write_text("a,b\n0,0\n3e38,3e38\n")
    status, output, errors = run("predict", model, data)
    assert (status, output) == (2, "")
    assert "the network's output for row 1 (from 0) is" in errors


# ---- what is learned, and why


def write_column(path, cells, delimiter=","):
    """Write a CSV file with two features and a column ``y`` of these cells."""
    rows = [delimiter.join([str(k % 7), str(k % 3), cell]) for k, cell in enumerate(cells)]
    path.write_text("\n".join([delimiter.join(["a", "b", "y"]), *rows]))
    return path


@pytest.mark.parametrize(
    ("cells", "task", "said"),
    [
        (["x", "z"] * 20, "auto", "classification: the column 'y' has text, e.g. 'x'"),
        (
            ["0.0", "1.0"] * 20,
            "auto",
            "classification: the column 'y' has only 2 different numbers",
        ),
        (["0", "1.0"] * 20, "auto", "classification: the column 'y' has only 2 different numbers"),
        (["0.5", "1.0"] * 20, "auto", "regression: the column 'y' has numbers with decimals"),
        ([str(k) for k in range(40)], "auto", "regression: the column 'y' has 40 different"),
        (["0.5", "1.0"] * 20, "classification", "classification: --task classification"),
        (["0", "1"] * 20, "regression", "regression: --task regression"),
    ],
)
def test_train_prints_the_task_and_the_reason_for_it(cells, task, said, tmp_path):
    path = write_column(tmp_path / "d.csv", cells)
    status, output, _ = run(
        "train", path, "--target", "y", "--task", task, "--epochs", 1, "--hidden", 4
    )
    assert status == 0
    assert said in output


def test_classes_that_are_whole_numbers_are_written_as_such(tmp_path):
    path, model = write_column(tmp_path / "d.csv", ["0.0", "1.0"] * 20), tmp_path / "m.xpnet"
    run("train", path, "--target", "y", "--quiet", "--epochs", 1, "--save", model)
    _, output, _ = run("predict", model, path)
    assert {row["y"] for row in csv.DictReader(output.splitlines())} <= {"0", "1"}


TARGETS = {
    "one row of a class": (["x", "z"] * 20 + ["rare"], [], "the class 'rare' has only one row"),
    "numbers once": ([f"{k}.5" for k in range(40)], ["--task", "classification"],
                     "40 classes, e.g. '0.5', have only one row"),
    "one class": (["x"] * 40, [], "all 40 rows are of the class 'x'"),
    "one number": (["5"] * 40, [], "or give --task regression to predict numbers"),
    "a class is missing": (["x", "z"] * 20 + ["nan"], [], "line 42, column 'y': 'nan' stands for"),
    "a number is missing": (["1", "2"] * 20 + ["NaN"], [], "line 42, column 'y': 'NaN' stands f"),
    "an infinite number": (["1.5", "2"] * 20 + ["inf"], [], "not finite, the first (inf)"),
    "dates": ([f"2026-01-{k + 1:02}" for k in range(28)], [], "line 2, column 'y': '2026-01-"),
    "dates of few days": (["31.12.2026", "1.1.2027"] * 20, [], "seconds since a fixed day"),
    "dates as values": (["2026-01-31", "2027-01-01"] * 20, ["--task", "regression"], "seconds sin"),
    "a number is unknown": (["1", "2", "3"] * 20 + ["NA"], [], "'NA' stands for a missing value:"),
    "spaces": (["100 000", "200 000"] * 20, [], "'100 000' is not a number: write"),
    "units as values": (["$1", "$2"] * 20, ["--task", "regression"], "'$1' is not a number: write"),
    "text as values": (["x", "z"] * 20, ["--task", "regression"], "has text, e.g. 'x'"),
    "small test part": (["x", "z"] * 20, ["--test-size", "0.01"], "--test-size 0.01 does not sp"),
    "no test part": ([f"{k}.5" for k in range(4)], ["--test-size", "0.01"], "with at least one ro"),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS)
def test_targets_that_cannot_be_learned_are_refused_in_the_words_of_the_command_line(
    case, tmp_path
):
    cells, options, message = TARGETS[case]
    path = write_column(tmp_path / "d.csv", cells)
    status, output, errors = run("train", path, "--target", "y", *options)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert message in errors
    assert "stratify" not in errors
    assert "test_size" not in errors


@pytest.mark.parametrize("name", ["D.CSV", "d.tsv", "D.TSV"])
def test_names_of_files_in_capitals_and_with_tabs(name, tmp_path):
    tabs = name.lower().endswith("tsv")
    path = write_column(tmp_path / name, ["x, or not", "z"] * 20, "\t" if tabs else ";")
    arguments = ["--target", "y", "--epochs", 1, "--quiet"]
    assert run("train", path, *arguments)[0] == 0


def test_compressed_files_are_read(tmp_path):
    plain = write_column(tmp_path / "d.csv", ["x, or not", "z"] * 20, ";").read_bytes()
    for name in ("d.csv.gz", "D.CSV.GZ", "e.csv"):
        (tmp_path / name).write_bytes(gzip.compress(plain))
        arguments = ["--target", "y", "--epochs", 1, "--quiet"]
        assert run("train", tmp_path / name, *arguments)[0] == 0


# ---- messages


def test_messages_name_options_instead_of_arguments():
    assert with_option_names("give label='x' or batch_size=12, not dtype='float64'") == (
        "give --target x or --batch-size 12, not --dtype float64"
    )
    assert with_option_names('give label="it\'s": so') == "give --target 'it'\"'\"'s': so"
    assert with_option_names("fill it in (missing='keep' reads it as NaN)") == (
        "fill it in (xpnet train --missing median fills in a feature, --missing drop drops the row)"
    )
    assert (
        with_option_names("device='cuda', decimal= and id=") == "--device cuda, --decimal and --id"
    )
    assert with_option_names("mislabel='x' and labels=3") == "mislabel='x' and labels=3"


def test_training_that_diverges_is_one_line_with_an_option(tmp_path):
    write_values(tmp_path / "d.csv", 0.0, 1.0)
    arguments = ["--target", "value", "--learning-rate", "1e300", "--quiet"]
    status, output, errors = run("train", tmp_path / "d.csv", *arguments)
    assert (status, output, len(errors.splitlines())) == (1, "", 1)
    assert errors.endswith(": give a lower --learning-rate\n")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MemoryError("Unable to allocate 1. PiB"), 1, "out of memory (Unable to allocate 1. PiB)"),
        (MemoryError(), 1, "out of memory: give a smaller --hidden"),
        (PermissionError(13, "Permission denied", "x"), 1, "Permission denied: 'x'"),
        (NotADirectoryError(20, "Not a directory"), 2, "Not a directory"),
        (RecursionError("too deep"), 1, "a bug in xpnet, please report it: RecursionError"),
        (KeyError("x"), 1, "a bug in xpnet, please report it: KeyError: 'x'"),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "no such character"), 2, "no such character"),
        (ValueError("two\nlines\u2028or three"), 2, "two lines or three"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_any_error_is_one_line(error, status, said, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr("xpnet.cli.commands.show", fail)
    found, output, errors = run("info")
    assert (found, output, len(errors.splitlines())) == (status, "", 1)
    assert errors.startswith("xpnet: ")
    assert said in errors


def test_a_bug_is_raised_with_its_traceback_on_request(monkeypatch):
    monkeypatch.setattr("xpnet.cli.commands.show", lambda _: {}["nothing"])
    monkeypatch.setenv("XPNET_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(["info"])


def test_a_backend_that_fails_does_not_hide_the_others(monkeypatch):
    def fail(device, dtype):
        raise ZeroDivisionError("of the plugin")

    monkeypatch.setattr("xpnet.backends._torch.make", fail)
    status, output, errors = run("info")
    assert (status, errors) == (0, "")
    assert "fails: ZeroDivisionError: of the plugin" in " ".join(output.split())
    assert "numpy" in output


def test_a_picture_that_cannot_be_drawn_is_refused_before_training(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from matplotlib.figure import Figure

    def fail(*_, **__):
        raise RuntimeError("no LaTeX\nat all")

    monkeypatch.setattr(Figure, "savefig", fail)
    status, output, errors = run("train", "digits", "--plot", tmp_path / "c.pgf")
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert "cannot write .pgf files (no LaTeX at all)" in errors


def in_shell(arguments, **variables):
    """Run the command line as a shell does; return the exit status and the errors."""
    done = subprocess.run(
        f"exec {sys.executable} -m xpnet {arguments}",
        shell=True,
        stderr=subprocess.PIPE,
        env=os.environ | variables,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.fixture
def small_model(tmp_path, monkeypatch):
    """Make a network and data for its predictions, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(xpnet.__file__).parent.parent))
    write_values(Path("d.csv"), 0.0, 1.0)
    run("train", "d.csv", "--target", "value", "--epochs", 1, "--quiet", "--save", "m.xpnet")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_and_a_closed_output_are_one_line(small_model):
    status, errors = in_shell("predict m.xpnet d.csv > /dev/full")
    assert (status, errors) == (1, "xpnet: [Errno 28] No space left on device\n")
    status, errors = in_shell("predict m.xpnet d.csv >&-")
    assert (status, errors) == (
        1, "xpnet: there is no standard output to write predictions to: give --output FILE\n"
    )  # fmt: skip


def test_empty_environment_variables_are_not_set(small_model):
    arguments = "train d.csv --target value --quiet --epochs 1 > out.txt"
    assert in_shell(arguments, XPNET_STEPS="", XPNET_THREADS="") == (0, "")
    status, errors = in_shell(arguments, XPNET_STEPS="compile")
    assert status == 2
    assert "unknown value of the environment variable XPNET_STEPS: 'compile'" in errors


# ---- whatever it is given

WORDS = st.sampled_from(
    [
        "train", "predict", "info", "digits", "mnist", "d.csv", "m.xpnet", "none", ".", "", "-",
        "--target", "y", "a", "--task", "auto", "classification", "regression", "--data",
        "--test-size", "0.5", "1e-9", "--device", "cpu", "--optimizer", "adam", "--dropout", "0",
        "--batch-size", "7", "--learning-rate", "1e9", "--seed", "-1", "nan", "inf", "--dtype",
        "float64", "--save", "out.xpnet", "--quiet", "--hidden", "3,2", "--epochs", "1", "9" * 5000,
        "99999999999999", "--hidden=1e3", "%s", "{}", "\x00", "\udcff", "ä\u2028", "--", "--no",
    ]
)  # fmt: skip
CELLS = st.sampled_from(
    ["1", "0.5", "-3", "x", "", " ", "nan", "inf", "1e300", "9" * 400, '"', "1_0", "2026-1-31", "ä"]
)
STARTS = st.sampled_from(
    [[], ["train"], ["train", "d.csv", "--target", "y"], ["predict", "m.xpnet", "d.csv"]]
)


def check_outcome(status, errors, arguments):
    """Compare an outcome with what the command line promises for all outcomes."""
    assert status in (0, 1, 2), arguments
    notices = ("warning:", "has no checkpoints yet")
    lines = [line for line in errors.splitlines() if not any(each in line for each in notices)]
    assert len(lines) == (status != 0), (arguments, errors)
    assert "Traceback" not in errors
    assert "a bug in xpnet" not in errors, (arguments, errors)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(start=STARTS, more=st.lists(WORDS | st.text(max_size=5), max_size=5))
def test_any_arguments_end_in_one_line_at_most(start, more):
    arguments = [*start, *more]
    if arguments[:1] == ["train"]:  # in no time, unless a later option says otherwise
        arguments[1:1] = ["--epochs", "1", "--hidden", "2", "--quiet"]
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        patch.dict(os.environ, {"XPNET_DATA": folder}),  # nothing is downloaded
    ):
        write_column(Path("d.csv"), ["x", "z"] * 10)
        for name, content in _healthy().items():
            Path(name).write_bytes(content)
        status, _, errors = run(*arguments)
    check_outcome(status, errors, arguments)


ABSURD = [
    "", " ", "0", "-1", "-0", "1e9", "-1e9", "1e-300", "1e300", "1e39", "nan", "inf", "-inf", "x",
    "0x10", "1.5", "1,", ",", "1,0", "None", "true", "gpu", "cuda:x", "none/file", ".", "y y",
]  # fmt: skip


def options_with_values():
    """Return all options that take a value, each with its command."""
    return [
        (name, option.opts[-1])
        for name, command in cli.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
    ]


def test_every_option_is_among_those_that_are_tried():
    assert {"--learning-rate", "--save", "--seed", "--task"} < {o for _, o in options_with_values()}


PATHS = {"--save", "--checkpoint", "--resume", "--output"}
"""Options whose value may be any name."""


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("target", ["class", "number"])
@pytest.mark.parametrize(("command", "option"), options_with_values())
def test_any_value_of_any_option_works_or_is_refused_in_one_line(
    command, option, target, value, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))
    cells = ["x", "z"] * 10 if target == "class" else [f"{k}.5" for k in range(20)]
    write_column(Path("d.csv"), cells)
    for name, content in _healthy().items():
        Path(name).write_bytes(content)
    start = ["predict", "m.xpnet", "d.csv"]
    if command == "train":
        start = ["train", "d.csv", "--target", "y", "--epochs", "1", "--hidden", "2", "--quiet"]
    status, output, errors = run(*start, f"{option}={value}")
    check_outcome(status, errors, (option, value))
    assert not re.search(r"\b(nan|inf)\b", output)
    if value == "" or (value == "nan" and option not in PATHS):
        assert status == 2


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=8),
    repeats=st.integers(1, 5),
    task=st.sampled_from(["auto", "classification", "regression"]),
)
def test_any_table_ends_in_one_line_at_most(rows, repeats, task):
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        lines = ["a,b,y", *[",".join(row) for row in rows] * repeats]
        Path("d.csv").write_text("\n".join(lines), encoding="utf-8")
        arguments = ["train", "d.csv", "--target", "y", "--task", task, "--epochs", "1"]
        status, output, errors = run(*arguments, "--hidden", "2", "--quiet")
    check_outcome(status, errors, lines)
    assert "nan" not in output
    assert "inf" not in output


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_any_damage_to_files_ends_in_one_line_at_most(data):
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_column(Path("d.csv"), ["x", "z"] * 10)
        for name, content in _healthy().items():
            Path(name).write_bytes(content)
        damaged = Path(data.draw(st.sampled_from(["d.csv", "m.xpnet"])))
        content = bytearray(damaged.read_bytes())
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(start + 40, len(content))))
        content[start:stop] = data.draw(st.binary(max_size=20))
        damaged.write_bytes(content)
        status, _, errors = run("predict", "m.xpnet", "d.csv")
    check_outcome(status, errors, (damaged, start, stop))


_files = {}


def _healthy():
    """Return the content of a saved network; it is trained only once."""
    if not _files:
        arguments = ["train", "d.csv", "--target", "y", "--epochs", "1", "--hidden", "2"]
        run(*arguments, "--quiet", "--save", "m.xpnet")
        _files["m.xpnet"] = Path("m.xpnet").read_bytes()
    return _files


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--save", "./data.csv"), "would replace the data to train on"),
        (("--save", "a.st", "--plot", "a.st"), "would replace the file of --save"),
    ],
)
def test_files_are_not_written_over_each_other(options, said, tmp_path):
    with chdir(tmp_path):
        write_values(Path("data.csv"), 0.0, 1.0)
        before = Path("data.csv").read_bytes()
        column = before.split(b"\n")[0].strip().split(b",")[-1].decode()
        status, _, error = run("train", "data.csv", "--target", column, *options)
        assert (status, said in error) == (2, True)
        assert Path("data.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["m.h5", "m.onnx", "m.PT", "model.csv"])
def test_a_network_is_not_saved_under_the_suffix_of_another_format(name, tmp_path):
    with chdir(tmp_path):
        write_values(Path("data.csv"), 0.0, 1.0)
        status, output, error = run("train", "data.csv", "--target", "value", "--save", name)
        assert (status, output) == (2, "")  # before training
        assert error.startswith(f"xpnet: --save {name}: {Path(name).suffix} is the suffix of")
        assert error.endswith("expected a name that ends in .safetensors\n")
        assert not Path(name).exists()


@pytest.mark.parametrize("option", ["--report", "--target"])
def test_an_option_given_twice_is_refused(option, tmp_path):
    given = [option, "a.md", "--quiet", f"{option}=b.md"]
    status, output, errors = run("train", "digits", *given)
    assert (status, output) == (2, "")
    assert errors == f"xpnet: {option} is given 2 times: give it once (see xpnet train --help)\n"
