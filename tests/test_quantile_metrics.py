"""Metrics of networks with several quantiles: the median is judged, or a metric's own quantile."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import DenseLayer, EarlyStopping, NeuralNetwork, QuantileLoss
from xpnet.backends import to_host
from xpnet.metrics import QuantileError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 2))
Y = X @ [1.0, -2.0] + RNG.normal(size=80)
LEVELS = [0.05, 0.5, 0.95]


def network(levels=LEVELS, **given):
    given = {"epochs": 6, "seed": 0, "dtype": "float64", "batch_size": 16} | given
    net = NeuralNetwork(loss=QuantileLoss(levels), **given)
    return net.add(DenseLayer(len(levels), (2,)))


def pinball(y, p, level):
    return np.mean(np.maximum(level * (y - p), (level - 1) * (y - p)))


@pytest.mark.parametrize("unit", [None, (1.0, 2.0)])
def test_metrics_judge_the_median_or_their_own_quantile(unit, float64_backend):
    metrics = ["mae", "rmse", "r2", "max_error", QuantileError(0.05), QuantileError(0.95)]
    net = network(metric=metrics, target_unit=unit).to(float64_backend)
    x, y = float64_backend.asarray(X), float64_backend.asarray(Y)
    net.fit(x, y, validation=(x, y))
    p, found = to_host(net.predict(x)), net.evaluate(x, y)
    error = Y - p[:, 1]
    expected = {
        "mae": np.mean(abs(error)),
        "rmse": np.sqrt(np.mean(error**2)),
        "r2": 1 - np.sum(error**2) / np.sum((Y - Y.mean()) ** 2),
        "max_error": abs(error).max(),
        "quantile_error_0_05": pinball(Y, p[:, 0], 0.05),
        "quantile_error_0_95": pinball(Y, p[:, 2], 0.95),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9)
        np.testing.assert_allclose(net.history[f"val_{name}"][-1], value, rtol=1e-6)
        np.testing.assert_allclose(net.score(x, y, metric=name), value, rtol=1e-9)


def test_the_order_of_the_quantiles_does_not_matter():
    net = network([0.9, 0.1, 0.5], metric="mae").fit(X, Y)
    np.testing.assert_allclose(net.score(X, Y), np.mean(abs(Y - net.predict(X)[:, 2])))


def test_the_loss_and_functions_take_all_quantiles():
    def share_inside(y_true, y_pred):
        return ((y_true[:, 0] > y_pred[:, 0]) & (y_true[:, 0] < y_pred[:, 2])).mean()

    net = network(metric=["mae", share_inside]).fit(X, Y)
    p = net.predict(X)
    inside = np.mean((p[:, 0] < Y) & (p[:, 2] > Y))
    assert net.evaluate(X, Y)["share_inside"] == inside
    loss = np.mean([pinball(Y, p[:, k], level) for k, level in enumerate(LEVELS)])
    np.testing.assert_allclose(net.score(X, Y, metric=net.loss), loss)


def test_scorers_of_scikit_learn_judge_the_median():
    pytest.importorskip("sklearn")
    net = network(metric="neg_mean_absolute_error").fit(X, Y, validation=(X, Y))
    expected = -np.mean(abs(Y - net.predict(X)[:, 1]))
    np.testing.assert_allclose(net.score(X, Y), expected)
    np.testing.assert_allclose(net.history["val_neg_mean_absolute_error"][-1], expected)


def test_early_stopping_watches_the_median():
    net = network(metric="mae", epochs=40, learning_rate=0.5)
    stopping = EarlyStopping("val_mae", patience=3)
    net.fit(X, Y, validation=(X, Y), callbacks=stopping)
    expected = np.mean(abs(Y - net.predict(X)[:, 1]))
    np.testing.assert_allclose(net.history["val_mae"][stopping.best_epoch - 1], expected)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (
            "mae",
            r"'mae' is for the median, which is not among quantiles=\[0.1, 0.9\]: add 0.5",
        ),
        ("neg_mean_absolute_error", "is for the median, which is not among"),
        (QuantileError(0.2), "'quantile_error_0_2' is for the quantile 0.2, which is not among"),
    ],
)
def test_without_their_quantile_metrics_are_refused(metric, words):
    pytest.importorskip("sklearn")
    net = network([0.1, 0.9], metric=metric)
    with pytest.raises(ValueError, match=words):
        net.fit(X, Y)
    assert not net.is_fitted
    net = network([0.1, 0.9]).fit(X, Y)
    with pytest.raises(ValueError, match=words):
        net.score(X, Y, metric=metric)


def test_one_quantile_is_what_all_metrics_judge(tmp_path):
    for levels in (0.9, [0.9]):
        net = NeuralNetwork(loss=QuantileLoss(levels), metric="mae", epochs=2, seed=0)
        net.add(DenseLayer(1, (2,))).fit(X, Y)
        expected = np.mean(abs(Y - net.predict(X)[:, 0]))
        np.testing.assert_allclose(net.score(X, Y), expected, rtol=1e-6)
    net = network(metric="mae").fit(X, Y)
    net.save(tmp_path / "net")
    for again in (
        xpnet.load(tmp_path / "net"),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
    ):
        assert again.score(X, Y) == net.score(X, Y)
