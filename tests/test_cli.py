"""The command line: the main job, and every way to misuse it in one line."""

import csv
import subprocess
import sys

import numpy as np
import pytest

import xpnet
from xpnet.cli import main

pytest.importorskip("sklearn", reason="scikit-learn, which brings the digits, is not installed")

QUICK = ["--epochs", "3", "--hidden", "16", "--quiet"]


def run(capsys, *arguments):
    """Run the command line; return its exit status, output and errors."""
    try:
        status = main(list(arguments))
    except SystemExit as exit:
        status = exit.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


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
def test_digits_are_learned_to_97_percent(seed, capsys):
    status, output, _ = run(capsys, "train", "digits", "--quiet", "--seed", str(seed))
    assert status == 0
    assert accuracy(output) >= 0.97


def test_python_m_xpnet_shows_layers_progress_and_result():
    arguments = ["train", "digits", "--epochs", "2", "--device", "cpu", "--hidden", "32,16"]
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", *arguments], capture_output=True, text=True, check=True
    )
    assert "DenseLayer" in done.stdout
    assert "1348 samples to learn from, 449 to test on, numpy on cpu" in done.stdout
    assert "test accuracy: 0." in done.stdout
    assert "loss=" in done.stderr
    assert "Warning" not in done.stderr


def test_the_same_seed_gives_the_same_network(capsys, tmp_path):
    files = [tmp_path / f"{k}.safetensors" for k in range(2)]
    for file in files:
        run(capsys, "train", "digits", *QUICK, "--save", str(file))
    first, second = (xpnet.load(file) for file in files)
    np.testing.assert_array_equal(first.layers[1].weights, second.layers[1].weights)


def test_every_option_arrives(capsys, tmp_path):
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
    status, _, _ = run(capsys, "train", "digits", "--quiet", *flat)
    net = xpnet.load(model)
    assert status == 0
    assert (net.epochs, net.batch_size, net.seed) == (4, 50, 7)
    assert type(net.optimizer).__name__ == "RMSProp"
    assert net.optimizer.learning_rate == 0.003
    assert [layer.n_units for layer in net.layers if hasattr(layer, "n_units")] == [20, 10, 10]
    assert [layer.rate for layer in net.layers if hasattr(layer, "rate")] == [0.25, 0.25]


def test_a_picture_of_the_curves(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    picture = tmp_path / "curves.png"
    status, _, _ = run(capsys, "train", "digits", *QUICK, "--plot", str(picture))
    assert status == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_mnist_from_a_folder(capsys, data_folder):
    arguments = ["train", "mnist", "--data", str(data_folder / "mnist"), "--epochs", "1", "--quiet"]
    status, output, _ = run(capsys, *arguments)
    assert status == 0
    assert accuracy(output) > 0.93


# ---- CSV


def test_a_classification_from_csv_and_back(flowers, capsys, tmp_path):
    model = str(tmp_path / "m.safetensors")
    arguments = ["train", str(flowers), "--target", "kind", "--quiet"]
    status, output, _ = run(capsys, *arguments, "--save", model)
    assert status == 0
    assert accuracy(output) > 0.9
    status, output, _ = run(capsys, "predict", model, str(flowers))
    rows = list(csv.DictReader(output.splitlines()))
    truth = list(csv.DictReader(flowers.read_text().splitlines()))
    assert status == 0
    assert [row["kind"] for row in rows[:30]] == [row["kind"] for row in truth[:30]]
    assert all(0.5 < float(row["probability"]) <= 1 for row in rows)


def test_columns_are_found_by_name(flowers, capsys, tmp_path):
    model, other = str(tmp_path / "m.safetensors"), tmp_path / "other.csv"
    run(capsys, "train", str(flowers), "--target", "kind", "--quiet", "--save", model)
    other.write_text("note,leaf,petal\nhello,100,6.0\nworld,100,0.0\n")
    _, output, _ = run(capsys, "predict", model, str(other))
    assert [row["kind"] for row in csv.DictReader(output.splitlines())] == ["crocus", "aster"]


def test_a_regression_in_the_units_of_the_data(prices, capsys, tmp_path):
    model = str(tmp_path / "m.safetensors")
    arguments = ["train", str(prices), "--target", "price", "--quiet", "--save", model]
    status, output, _ = run(capsys, *arguments)
    rmse, r2 = (float(part.split(": ")[1]) for part in output.strip().split(", "))
    assert status == 0
    assert r2 > 0.98
    assert 100 < rmse < 6000
    _, output, _ = run(capsys, "predict", model, str(prices))
    predicted = np.array([float(row["price"]) for row in csv.DictReader(output.splitlines())])
    truth = np.array(
        [float(row["price"]) for row in csv.DictReader(prices.read_text().splitlines())]
    )
    assert np.sqrt(np.mean((predicted - truth) ** 2)) < 6000


@pytest.mark.parametrize(("task", "expected"), [("auto", "accuracy"), ("regression", "rmse")])
def test_few_whole_numbers_are_classes_unless_told_otherwise(task, expected, tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(f"{k % 7},{10 + k % 2}" for k in range(40)))
    arguments = ["train", str(path), "--target", "b", "--task", task, "--quiet", "--epochs", "2"]
    status, output, _ = run(capsys, *arguments)
    assert status == 0
    assert output.startswith(f"test {expected}")


def test_info_tells_backends_and_what_is_missing(capsys):
    status, output, _ = run(capsys, "info")
    assert status == 0
    assert output.startswith(f"xpnet {xpnet.__version__}, Python 3.")
    assert "numpy" in output
    assert "ready" in output
    assert "cupy" in output


def test_version(capsys):
    assert run(capsys, "--version")[:2] == (0, f"xpnet {xpnet.__version__}\n")


# ---- misuse

BAD = {
    "no command": ([], "the following arguments are required"),
    "unknown command": (["trian"], "invalid choice: 'trian'"),
    "unknown data": (["train", "digit"], "expected digits, mnist or a file that ends in .csv"),
    "no such file": (["train", "none.csv", "--target", "y"], "none.csv: there is no such file"),
    "no target": (["train", "none.csv"], "a CSV file needs --target COLUMN"),
    "epochs 0": (["train", "digits", "--epochs", "0"], "'0': expected a whole number, 1 or more"),
    "epochs x": (["train", "digits", "--epochs", "x"], "'x': expected a whole number, 1 or more"),
    "rate -1": (["train", "digits", "--learning-rate", "-1"], "'-1': expected a number above 0"),
    "hidden": (["train", "digits", "--hidden", "8,x"], "numbers of units, e.g. 128,64"),
    "dropout": (["train", "digits", "--dropout", "1"], r"'1': expected a number in [0, 1)"),
    "seed": (["train", "digits", "--seed", "-1"], "'-1': expected a whole number, 0 or more"),
    "test size": (["train", "digits", "--test-size", "2"], "expected a number between 0 and 1"),
    "optimizer": (["train", "digits", "--optimizer", "adm"], "invalid choice: 'adm'"),
    "device": (["train", "digits", "--device", "gpu"], "unknown device 'gpu': did you mean 'cpu'?"),
    "no model": (["predict", "none.safetensors", "x.csv"], "there is no such file"),
    "unknown option": (["info", "--fast"], "unrecognized arguments: --fast"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_one_line_and_status_2(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    status, output, errors = run(capsys, *arguments)
    assert status == 2
    assert output == "" or case == "batch"
    assert len(errors.splitlines()) == 1
    assert errors.startswith("xpnet: ")
    assert message in errors


def test_bad_files_are_one_line_and_status_2(flowers, capsys, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    cases = [
        (
            ["train", str(flowers), "--target", "kimd"],
            "unknown column 'kimd': did you mean 'kind'?",
        ),
        (["train", str(flowers), "--target", "leaf"], "'aster' is not a number"),
        (
            ["train", str(flowers), "--target", "kind", "--task", "regression"],
            "the column 'kind' has text in it",
        ),
        (["predict", str(broken), str(flowers)], "no whole safetensors file"),
        (["train", "mnist", "--data", str(tmp_path)], "lacks train-images-idx3-ubyte"),
    ]
    for arguments, message in cases:
        status, output, errors = run(capsys, *arguments)
        assert (status, output, len(errors.splitlines())) == (2, "", 1)
        assert message in errors


def test_a_machine_without_the_device_is_one_line_and_status_1(capsys, monkeypatch):
    monkeypatch.setattr("xpnet.backends._cupy.find_spec", lambda name: None)
    status, output, errors = run(capsys, "train", "digits", "--device", "cuda")
    assert (status, output) == (1, "")
    assert errors.startswith("xpnet: device='cuda' needs CuPy, which is not installed")


def test_a_regression_far_from_0_is_scored_in_its_own_digits(capsys, tmp_path, rng):
    path = tmp_path / "far.csv"
    path.write_text(
        "x,y\n" + "\n".join(f"{k % 9},{1e9 + v:.6f}" for k, v in enumerate(rng.random(80)))
    )
    arguments = ["train", str(path), "--target", "y", "--quiet", "--epochs", "5"]
    status, output, _ = run(capsys, *arguments)
    rmse, r2 = (float(part.split(": ")[1]) for part in output.strip().split(", "))
    assert status == 0
    assert 0.1 < rmse < 1.0
    assert r2 < 0.5


@pytest.mark.parametrize("end", ["sigmoid", "logit", "softmax", "log-softmax", "logits"])
def test_predict_reads_any_kind_of_output(end, capsys, tmp_path):
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
    _, output, _ = run(capsys, *arguments)
    rows = list(csv.DictReader(output.splitlines()))
    assert [row["answer"] for row in rows] == ["no", "yes"]
    assert all(0.9 < float(row["probability"]) <= 1.0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--save", "none/m.safetensors"],
            "--save none/m.safetensors: expected a file in a folder",
        ),
        (["--plot", "none/c.png"], "--plot none/c.png: expected a file in a folder that exists"),
        (["--plot", "c.xyz"], "--plot c.xyz: expected a name in ."),
        (["--target", "y"], "--target does not go with digits"),
        (["--data", "."], "--data does not go with digits"),
        (["--task", "regression"], "--task does not go with digits"),
    ],
)
def test_what_would_fail_or_do_nothing_is_refused_before_training(
    arguments, message, capsys, tmp_path, monkeypatch
):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    status, output, errors = run(capsys, "train", "digits", *arguments)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert message in errors


def test_info_lists_every_cuda_device(monkeypatch):
    from xpnet.backends import DeviceUnavailableError, Memory
    from xpnet.cli import describe_backend

    class Gpu:
        xp = np

        def __init__(self, device):
            self.device_name = device

        def memory(self):
            return Memory(3_000_000_000, 8_000_000_000)

    def resolve(device, backend):
        if device == "cuda:2":
            raise DeviceUnavailableError("this machine has 2 CUDA device(s)")
        return Gpu(device)

    monkeypatch.setattr("xpnet.cli.resolve", resolve)
    rows = describe_backend("cupy")
    assert [row[2] for row in rows] == ["cuda:0", "cuda:1"]
    assert rows[0][1:] == (np.__version__, "cuda:0", "3.0 of 8.0 GB free", "ready")
