"""Metrics of heads: the first one scores, and columns of the history have one meaning."""

import numpy as np
import pytest

import xpnet
from xpnet import DenseLayer, GaussianNLL, NeuralNetwork, load
from xpnet.metrics import R2
from xpnet.search import random_search

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = {"a": X[:, 0], "c": RNG.integers(0, 3, 60)}
COLUMNS = np.c_[Y["a"], Y["c"]]
HEADS = {"a": ("mse", 1), "c": ("softmax_cross_entropy", 3)}


def network(**settings):
    given = {"epochs": 3, "optimizer": "adam", "seed": 0, "loss": HEADS, **settings}
    return NeuralNetwork(**given).add(DenseLayer(4, (4,)))


def span(y, p):
    return float(p.max() - p.min())


@pytest.mark.parametrize("y", [Y, COLUMNS], ids=["dict", "columns"])
def test_a_search_takes_the_first_metric_of_a_head_and_its_direction(y):
    def build(rate):
        return network(epochs=30, learning_rate=rate, metric={"a": "r2"})

    found = random_search(build, {"rate": [1e-5, 0.05]}, (X, y), (X, y), seed=0)
    scores = {row["rate"]: row["score"] for row in found.rows}
    assert (found.mode, found.metric, found.best) == ("max", "a_r2", {"rate": 0.05})
    assert found.best_score == max(scores.values())
    assert scores[0.05] == build(rate=0.05).fit(X, Y).score(X, Y)


def test_a_search_of_heads_in_another_order_does_not_mix_up_their_targets():
    def build(turned):
        heads = dict(reversed(HEADS.items())) if turned else HEADS
        return network(epochs=30, learning_rate=0.05, loss=heads, metric={"a": "r2"})

    found = random_search(build, {"turned": [False, True]}, (X, Y), (X, Y), seed=0)
    assert min(row["score"] for row in found.rows) > 0.8


def test_a_search_refuses_heads_without_a_metric_before_any_training():
    calls = []

    def build(rate):
        calls.append(rate)
        return network(learning_rate=rate)

    with pytest.raises(ValueError, match=r"no metric to score it by: .*metric=\{'a': \.\.\.\}"):
        random_search(build, {"rate": [0.1]}, (X, Y), (X, Y))
    assert calls == [0.1]


@pytest.mark.parametrize("name", ["val", "val_a"])
def test_a_head_whose_column_would_be_one_of_validation_data_is_refused(name):
    with pytest.raises(ValueError, match=f"heads has the name '{name}': .*{name}_loss"):
        NeuralNetwork(loss={name: ("mse", 1), "b": ("mse", 1)})


@pytest.mark.parametrize("name", ["loss", "epoch", "seconds", "learning_rate", "a_loss", "value"])
def test_other_names_of_heads_have_columns_of_their_own(name):
    heads = {"a": ("mse", 1), name: ("mse", 1)}
    net = NeuralNetwork(2, loss=heads, metric={name: "mae"}, seed=0).add(DenseLayer(2, (4,)))
    net.fit(X, X[:, :2], validation=(X, X[:, :2]))
    expected = {
        "epoch",
        "loss",
        "a_loss",
        f"{name}_loss",
        f"{name}_mae",
        "learning_rate",
        "seconds",
    }
    expected |= {"val_loss", "val_a_loss", f"val_{name}_loss", f"val_{name}_mae"}
    assert set(net.history) == expected


def loss_of_a(y, p):
    return 0.0


loss_of_a.__name__ = "a_loss"


@pytest.mark.parametrize(
    "metric", [loss_of_a, [loss_of_a], {"a": R2().named("loss")}, [{"a": "r2"}, {"a": "r2"}]]
)
def test_metrics_that_would_share_a_column_are_refused(metric):
    with pytest.raises(ValueError, match="would share a column"):
        network(metric=metric)


def test_evaluate_takes_the_loss_of_a_head_by_name():
    heads = {"m": ("mse", 1), "g": (GaussianNLL(), 2)}
    net = NeuralNetwork(2, loss=heads, seed=0).add(DenseLayer(3, (4,)))
    targets = {"m": X[:, 0], "g": X[:, 1]}
    net.fit(X, targets, validation=(X, targets))
    found = net.evaluate(X, targets, metric="g_loss")
    assert set(found) == {"loss", "g_loss"}
    for name, value in found.items():
        np.testing.assert_allclose(value, net.history[f"val_{name}"][-1], rtol=1e-5)
        np.testing.assert_allclose(value, net.evaluate(X, targets)[name])


def test_repr_shows_metrics_by_head_also_beside_functions():
    net = NeuralNetwork(loss=HEADS, metric={"a": ["r2", "mae"], "c": "f1"})
    assert "metric={'a': [R2(), MAE()], 'c': F1(" in repr(net)
    names = vars(xpnet) | vars(xpnet.metrics) | {"span": span}
    for each in (net, NeuralNetwork(loss=HEADS, metric=[{"a": "r2"}, span])):
        assert "HeadMetric" not in repr(each)
        again = eval(repr(each), names)
        assert repr(again) == repr(each)
        assert [xpnet.training.metric_settings.name_of(m) for m in again.metrics] == [
            xpnet.training.metric_settings.name_of(m) for m in each.metrics
        ]


@pytest.mark.parametrize("metric", [[{"a": "r2"}, span], [span, {"a": "r2"}]])
def test_functions_beside_metrics_of_heads_can_be_saved_and_resumed(metric, tmp_path):
    net = network(metric=metric).fit(X, Y)
    net.save(tmp_path / "net.st")
    with pytest.warns(UserWarning, match="the function 'span', which a file cannot hold"):
        loaded = load(tmp_path / "net.st")
    assert [each.name for each in loaded.metrics] == ["a_loss", "c_loss", "a_r2"]
    assert loaded.score(X, Y) == net.evaluate(X, Y)["a_r2"]
    path, columns = tmp_path / "folder", list(net.history)
    network(metric=metric).fit(X, Y, callbacks=xpnet.Checkpoint(path))
    resumed = network(metric=metric)
    resumed.fit(X, Y, epochs=5, callbacks=xpnet.Checkpoint(path), resume=path)
    assert list(resumed.history) == columns
    assert resumed.history.epochs == 5
    assert len(resumed.metrics) == 4
