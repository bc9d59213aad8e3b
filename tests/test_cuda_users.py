"""On a GPU: estimators, answers for sparse rows and the command line, beside the CPU."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from tests.training import in_halves
from xpnet import DenseLayer, NeuralNetwork, ReLUActivation, estimators, resolve
from xpnet.backends import to_host
from xpnet.cli import main
from xpnet.datasets import load_digits

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.usefixtures("cuda"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def digits():
    """Some digits between 0 and 1, and their labels."""
    data = load_digits().rows(np.arange(400))
    return data.X / 16.0, np.asarray(data.y)


def fitted(name, device, X, y, **parameters):
    given = {"hidden_layer_sizes": (24, 12), "max_iter": 6, "random_state": 0} | parameters
    return getattr(estimators, name)(device=device, **given).fit(X, y)


def assert_same(gpu, cpu, X, tolerance=1e-8):
    for ours, theirs in zip(
        [*gpu.coefs_, *gpu.intercepts_], [*cpu.coefs_, *cpu.intercepts_], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gpu.predict(X), cpu.predict(X), rtol=1e-6, atol=1e-6)


# ---- estimators


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_estimators_come_to_the_cpus_weights(name, solver, digits):
    X, y = digits
    gpu, cpu = (fitted(name, device, X, y, solver=solver) for device in ("cuda", "cpu"))
    # L-BFGS searches along lines, which makes more of a difference in the last bits.
    assert_same(gpu, cpu, X, tolerance=1e-5 if solver == "lbfgs" else 1e-8)
    assert gpu.loss_ == pytest.approx(cpu.loss_, rel=1e-6)
    assert gpu.n_iter_ == cpu.n_iter_


@pytest.mark.parametrize(
    "parameters",
    [
        {"early_stopping": True, "n_iter_no_change": 2},
        {"class_weight": "balanced"},
        {"alpha": 0.1, "l1_ratio": 0.5},
        {"activation": "tanh", "batch_size": 33},
        {"activation": "logistic", "learning_rate_init": 0.01},
    ],
    ids=str,
)
def test_estimators_with_other_settings(parameters, digits):
    X, y = digits
    gpu, cpu = (fitted("MLPClassifier", device, X, y, **parameters) for device in ("cuda", "cpu"))
    assert_same(gpu, cpu, X)
    np.testing.assert_allclose(gpu.predict_proba(X), cpu.predict_proba(X), rtol=1e-6, atol=1e-9)


def test_an_estimator_goes_on_and_is_pickled(digits):
    X, y = digits

    def trained(device):
        est = estimators.MLPClassifier((12,), random_state=0, device=device)
        for _ in range(3):
            est.partial_fit(X, y, classes=np.unique(y))
        return pickle.loads(pickle.dumps(est)).partial_fit(X, y)

    assert_same(trained("cuda"), trained("cpu"), X)


def test_estimators_in_a_search(digits):
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = digits
    best = {}
    for device in ("cuda", "cpu"):
        est = estimators.MLPClassifier((16,), max_iter=8, random_state=0, device=device)
        pipeline = make_pipeline(StandardScaler(), est)
        grid = {"mlpclassifier__alpha": [1e-4, 1.0]}
        search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
        best[device] = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(best["cuda"], best["cpu"], atol=0.01)


def test_an_estimator_answers_in_the_library_of_the_question(digits):
    import cupy

    X, y = digits
    est = fitted("MLPClassifier", "cuda", cupy.asarray(X), cupy.asarray(y))
    answer = est.predict_proba(cupy.asarray(X))
    assert isinstance(answer, cupy.ndarray)
    np.testing.assert_allclose(to_host(answer), est.predict_proba(X), rtol=1e-9)


# ---- sparse rows


def sparse_digits(X):
    """Return digits as CSR with each entry in two halves."""
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    return in_halves(sparse.csr_array(X))


@pytest.mark.parametrize("made_dense", [True, False])
def test_answers_for_sparse_rows_are_those_for_dense_ones(made_dense, digits, monkeypatch):
    if not made_dense:
        monkeypatch.setattr("xpnet.training.steps.captured.buffers.DENSE_BYTES", 0)
    X, y = digits
    rows = sparse_digits(X)
    net = NeuralNetwork(
        epochs=3, loss="softmax_cross_entropy", device="cuda", dtype="float64", seed=0
    )
    net.add(DenseLayer(16, (64,))).add(ReLUActivation()).add(DenseLayer(10))
    net.fit((rows, y), validation=(rows, y))
    answer = net.predict(rows)
    np.testing.assert_allclose(answer, net.predict(X), rtol=1e-9, atol=1e-12)
    assert net.score((rows, y), metric="accuracy") == net.score((X, y), metric="accuracy")
    on_cpu = net.to(resolve("cpu", dtype="float64")).predict(X)
    np.testing.assert_allclose(answer, on_cpu, rtol=1e-9, atol=1e-12)


def test_sparse_rows_that_are_cupys(digits):
    X, y = digits
    from cupyx.scipy.sparse import csr_matrix

    rows = sparse_digits(X)
    there = csr_matrix(rows)
    gpu = fitted("MLPClassifier", "cuda", there, y)
    cpu = fitted("MLPClassifier", "cpu", X, y)
    assert_same(gpu, cpu, X)
    np.testing.assert_array_equal(to_host(gpu.predict(there)), cpu.predict(rows))


def test_estimators_on_sparse_rows(digits):
    X, y = digits
    rows = sparse_digits(X)
    gpu, cpu = (fitted("MLPClassifier", device, rows, y) for device in ("cuda", "cpu"))
    assert_same(gpu, cpu, rows)
    np.testing.assert_allclose(gpu.predict_proba(rows), cpu.predict_proba(X), rtol=1e-6, atol=1e-9)


# ---- the command line


def test_the_command_line_trains_and_predicts(tmp_path, capsys):
    model, table = tmp_path / "digits.safetensors", tmp_path / "digits.csv"
    arguments = ["train", "digits", "--epochs", "5", "--quiet", "--save", str(model)]
    accuracy = {}
    for device in ("cpu", "cuda"):
        assert main([*arguments, "--device", device]) == 0
        last = capsys.readouterr().out.strip().splitlines()[-1]
        accuracy[device] = float(last.removeprefix("test accuracy: "))
    assert accuracy["cuda"] == pytest.approx(accuracy["cpu"], abs=0.02)
    some = load_digits().rows(np.arange(50))
    header = ",".join(some.feature_names)
    np.savetxt(table, some.X, fmt="%d", delimiter=",", header=header, comments="")
    answers = []
    for device in ("cpu", "cuda"):
        assert main(["predict", str(model), str(table), "--device", device]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    assert len(answers[0].splitlines()) >= 50


def test_the_command_line_lists_the_gpu(capsys):
    assert main(["info"]) == 0
    # PyTorch has a row of its own, which names the same device.
    row, *_ = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  cupy"))
    assert "cuda:0" in row
    assert "ready" in row
    assert "GB free" in row
