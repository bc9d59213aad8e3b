"""Warnings point at the user's own line, through whatever that line calls."""

import _thread
import ast
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet import (
    DenseLayer,
    DivergedError,
    LambdaCallback,
    NeuralNetwork,
    Watch,
)
from xpnet.backends._warnings import warn
from xpnet.datasets.text import load_bags
from xpnet.search import find_learning_rate, random_search
from xpnet.training.steps.captured.graphs import Graphs

PACKAGE = Path(xpnet.__file__).parent
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 3)), np.arange(40) % 2


def issues_warnings(node):
    """Whether a part of a program calls Python's own functions that issue warnings."""
    if isinstance(node, ast.Attribute):
        return node.attr in ("warn", "warn_explicit")
    if isinstance(node, ast.keyword):
        return node.arg == "stacklevel"
    return isinstance(node, ast.ImportFrom) and node.module == "warnings"


def test_one_function_issues_all_warnings():
    issuing = {
        str(path.relative_to(PACKAGE))
        for path in [*PACKAGE.rglob("*.py"), *(PACKAGE / "backends").glob("*.py")]
        if any(map(issues_warnings, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert issuing == {"backends/_warnings.py"}


def assert_points_here(call, category, text):
    """Make a call; all of its warnings must point at a line of this file."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    assert [each.filename for each in seen] == [__file__] * len(seen)
    assert [text in str(each.message) for each in seen if each.category is category] == [True]


# ---- the library's own warnings


def network(**given):
    net = NeuralNetwork(2, 10, loss="softmax_cross_entropy", seed=0, **given)
    return net.add(DenseLayer(2, (3,)))


def lost_metric(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    network(metric=lambda y_true, y_pred: 0.0).fit((X, Y)).save(path)
    xpnet.load(path)


def loss_that_does_not_move(tmp_path, monkeypatch):
    net = network(learning_rate=1e-9)
    net.fit((X, Y), epochs=4, callbacks=Watch((X, Y), patience=2))


def out_of_memory(tmp_path, monkeypatch):
    net = network()
    forward, failed = net.forward_propagation, []

    def limited(X, training=True):
        if training and not failed:
            failed.append(len(X))
            raise MemoryError("no room")
        return forward(X, training)

    monkeypatch.setattr(net, "forward_propagation", limited)
    net.fit((X, Y))


def cache_that_cannot_be_written(tmp_path, monkeypatch):
    for part in ("train", "test"):
        for label in ("neg", "pos"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            (folder / "0_1.txt").write_text("a word")
    (tmp_path / "cache").write_text("a file where the folder should be")
    load_bags(tmp_path, tmp_path / "cache")


class MachineWithoutGraphs:
    """A machine that cannot record graphs."""

    def record(self, calls):
        raise RuntimeError("the stream is capturing")

    def run(self, calls):
        pass


def step_that_cannot_be_captured(tmp_path, monkeypatch):
    Graphs(MachineWithoutGraphs(), "auto").run(1, 1, lambda rows: [None])


OWN = {
    lost_metric: (UserWarning, "load(path, metric=...)"),
    loss_that_does_not_move: (RuntimeWarning, "the loss has not changed"),
    out_of_memory: (RuntimeWarning, "out of memory in epoch 1"),
    cache_that_cannot_be_written: (UserWarning, "could not write"),
    step_that_cannot_be_captured: (RuntimeWarning, "cannot be captured"),
}


@pytest.mark.parametrize("situation", OWN, ids=lambda each: each.__name__)
def test_a_warning_points_at_the_call(situation, tmp_path, monkeypatch):
    if situation is lost_metric:
        pytest.importorskip("safetensors", reason="files need safetensors")
    if situation is cache_that_cannot_be_written:
        pytest.importorskip("scipy", reason="bags of words need SciPy")
    assert_points_here(lambda: situation(tmp_path, monkeypatch), *OWN[situation])


# ---- those of estimators


def fitted(kind, features=X, targets=Y, **given):
    """Fit an estimator in several ways, each of which warns."""
    estimators = pytest.importorskip("xpnet.estimators", reason="scikit-learn is not installed")
    given = {"hidden_layer_sizes": 3, "max_iter": 2, "random_state": 0} | given
    return getattr(estimators, kind)(**given), features, targets


def by_itself(est, features, targets):
    est.fit(features, targets)


def in_a_pipeline(est, features, targets):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    make_pipeline(FunctionTransformer(), est).fit(features, targets)


def in_a_grid_search(est, features, targets):
    from sklearn.model_selection import GridSearchCV

    rows = np.arange(len(features))
    GridSearchCV(est, {"max_iter": [est.max_iter]}, cv=[(rows, rows)], refit=False).fit(
        features, targets
    )


def in_a_cross_validation(est, features, targets):
    from sklearn.model_selection import cross_val_score

    rows = np.arange(len(features))
    cross_val_score(est, features, targets, cv=[(rows, rows)])


def in_a_bag(est, features, targets):
    from sklearn.ensemble import BaggingClassifier, BaggingRegressor

    bagging = BaggingClassifier if hasattr(est, "predict_proba") else BaggingRegressor
    targets = np.ravel(targets)
    bagging(est, n_estimators=1, bootstrap=False).fit(features, targets)


WAYS = [by_itself, in_a_pipeline, in_a_grid_search, in_a_cross_validation, in_a_bag]
CONVERGENCE = "ConvergenceWarning"
SAID = {
    "epochs at an end": (CONVERGENCE, "Maximum iterations (2) reached", {}),
    "iterations at an end": (CONVERGENCE, "failed to converge after 2", {"solver": "lbfgs"}),
    "batches that are too large": ("UserWarning", "batch_size", {"batch_size": 99}),
    "training that diverges": (
        CONVERGENCE,
        "diverged",
        {"solver": "sgd", "early_stopping": True, "learning_rate_init": 1e200},
    ),
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_a_warning_of_an_estimator_points_at_the_users_line(kind, name, way):
    category, text, given = SAID[name]
    est, *data = fitted(kind, **given)
    from sklearn import exceptions

    found = getattr(exceptions, category, UserWarning)
    with np.errstate(all="ignore"):
        assert_points_here(lambda: way(est, *data), found, text)


@pytest.mark.parametrize("way", WAYS[:-1], ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_the_warning_of_a_column_of_targets_points_there_too(kind, way):
    est, features, targets = fitted(kind, targets=Y[:, None], tol=1e9, n_iter_no_change=1)
    from sklearn.exceptions import DataConversionWarning

    est.set_params(max_iter=9)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", DataConversionWarning)
        way(est, features, targets)
    assert seen[0].filename == __file__
    assert "column-vector" in str(seen[0].message)


@pytest.mark.usefixtures("ctrl_c")
def test_the_warning_of_ctrl_c_points_there_too():
    press = LambdaCallback(on_epoch_begin=lambda network, epoch: _thread.interrupt_main())
    est, *data = fitted("MLPClassifier", callbacks=[press])
    assert_points_here(lambda: est.fit(*data), UserWarning, "interrupted")


def test_a_filter_by_category_hides_them():
    from sklearn.exceptions import ConvergenceWarning

    est, *data = fitted("MLPClassifier")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        est.fit(*data)
        warnings.filterwarnings("error", category=ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            est.fit(*data)


def test_a_warning_is_shown_once_for_a_line():
    def go_on():
        for _ in range(3):
            warn("the same each time")
        warn("of another line")

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        go_on()
    assert [str(each.message) for each in seen] == ["the same each time", "of another line"]


def test_in_a_thread_without_a_users_line_the_outermost_one_is_named():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        thread = threading.Thread(target=warn, args=("of nobody",))
        thread.start()
        thread.join()
    assert Path(seen[0].filename).name == "threading.py"


def regression(**given):
    return NeuralNetwork(2, 10, seed=0, **given).add(DenseLayer(1, (3,)))


def test_the_warnings_of_a_search_point_at_its_call():
    data = X, 1e9 + X[:, 0]

    def search():
        random_search(lambda rate: regression(learning_rate=rate, metric="rmse"), *settings)

    settings = {"rate": [0.1]}, data, data
    assert_points_here(search, UserWarning, "too coarse to tell the targets apart")


def test_losses_that_overflow_are_told_without_numpys_warnings(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "formulas")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        find_learning_rate(regression(), (X, 1e3 * X[:, 0]), lowest=1e17, highest=1e19)
        with pytest.raises(DivergedError, match="the loss became infinite"):
            regression(learning_rate=1e18).fit((X, 1e3 * X[:, 0]), epochs=20)
    assert not caught
