"""Several targets with a loss each."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    Checkpoint,
    Dataset,
    DenseLayer,
    EarlyStopping,
    GaussianNLL,
    Heads,
    MeanSquaredError,
    NeuralNetwork,
    QuantileLoss,
    SigmoidActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import move, to_host
from xpnet.losses import LossFunction
from xpnet.testing import check_loss

N, D = 80, 3
WEIGHTS = [0.5, 1.0, 2.0]


def heads():
    return {
        "size": ("mse", 2),
        "kind": (SoftmaxCrossEntropy(class_weight=WEIGHTS, ignore_index=-1), 3, 0.5),
        "flag": (BinaryCrossEntropy(from_logits=True), 1, 2.0),
        "range": (QuantileLoss([0.1, 0.9]), 2),
    }


def data(n=N):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, D))
    kind = np.argmax(X, axis=1)
    kind[::7] = -1
    return X, {
        "size": np.stack([X[:, 0] + X[:, 1], X[:, 2]], axis=1),
        "kind": kind,
        "flag": (X[:, 0] > 0).astype(int),
        "range": X[:, 1] + rng.standard_normal(n),
    }


def columns(y):
    return np.column_stack([y[name] for name in ("size", "kind", "flag", "range")])


def network(loss=None, n_outputs=8, **settings):
    settings = {"epochs": 3, "batch_size": 16, "optimizer": "adam", "seed": 0} | settings
    net = NeuralNetwork(loss=heads() if loss is None else loss, **settings)
    return net.add(DenseLayer(10, (D,))).add(TanhActivation()).add(DenseLayer(n_outputs))


METRICS = {"size": ["mae", "r2"], "kind": "accuracy", "flag": "f1"}


# ---- the loss


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_weighted_sum_of_the_heads_losses(weighted, backend, rng):
    y, p = columns(data()[1]), rng.standard_normal((N, 8))
    w = rng.uniform(0, 2, N) if weighted else np.ones(N)
    each = [
        ((p[:, :2] - y[:, :2]) ** 2).mean(axis=1),
        0.5 * of_classes(y[:, 2].astype(int), p[:, 2:5]),
        2.0 * (np.logaddexp(0, p[:, 5]) - y[:, 3] * p[:, 5]),
        pinball(y[:, 4:], p[:, 6:]),
    ]
    expected = (sum(each) * w).sum() / w.sum()
    arguments = [backend.asarray(a, backend.dtype) for a in (y, p, *([w] if weighted else []))]
    loss = Heads(heads())
    tolerance = 1e-12 if backend.dtype == "float64" else 1e-5
    np.testing.assert_allclose(to_host(loss.loss(*arguments)), expected, rtol=tolerance)
    both = loss.loss_and_derivative(*arguments)
    np.testing.assert_allclose(to_host(both[0]), expected, rtol=tolerance)
    derivative = to_host(loss.derivative(*arguments))
    np.testing.assert_allclose(to_host(both[1]), derivative, rtol=tolerance, atol=1e-7)


def of_classes(labels, z):
    log_s = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    found = -log_s[np.arange(len(z)), labels] * np.array([*WEIGHTS, 0.0])[labels]
    return np.where(labels < 0, 0.0, found)


def pinball(y, p):
    tau = np.array([0.1, 0.9])
    return np.where(y > p, tau * (y - p), (1 - tau) * (p - y)).mean(axis=1)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_derivative_agrees_with_finite_differences(weighted, float64_backend, rng):
    y, p = columns(data(12)[1]), rng.standard_normal((12, 8))
    w = float64_backend.asarray(rng.uniform(0, 2, 12)) if weighted else None
    for seed in range(3):
        check_loss(
            Heads(heads()), float64_backend.asarray(y), float64_backend.asarray(p), w, seed=seed
        )


def test_the_sum_of_pytorchs_losses_has_the_same_gradient(rng):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    y, p = rng.standard_normal((20, 1)), rng.standard_normal((20, 4))
    k = rng.integers(0, 3, 20)
    given = torch.tensor(p, requires_grad=True)
    mse = F.mse_loss(given[:, :1], torch.tensor(y))
    theirs = 3 * mse + 0.25 * F.cross_entropy(given[:, 1:], torch.tensor(k))
    theirs.backward()
    loss = Heads({"a": ("mse", 1, 3), "b": ("softmax_cross_entropy", 3, 0.25)})
    np.testing.assert_allclose(loss(np.column_stack([y, k]), p), theirs.item(), rtol=1e-9)
    derivative = loss.derivative(np.column_stack([y, k]), p)
    np.testing.assert_allclose(derivative, given.grad.numpy(), rtol=1e-9, atol=1e-15)


# ---- training


@pytest.mark.parametrize("weighted", [False, True])
def test_the_history_has_each_heads_loss_and_metrics(weighted):
    X, y = data()
    w = (np.random.default_rng(1).uniform(0.5, 2, N),) if weighted else ()
    net = network(metric=METRICS, dtype="float64").fit((X, y, *w), validation=(X, y, *w))
    measured = [
        "loss", "size_loss", "kind_loss", "flag_loss", "range_loss",
        "size_mae", "size_r2", "kind_accuracy", "flag_f1",
    ]  # fmt: skip
    validated = [f"val_{name}" for name in measured]
    expected = {"epoch", *measured, *validated, "learning_rate", "seconds"}
    assert set(net.history) == expected
    row = net.history.last
    for before in ("", "val_"):
        parts = zip((1, 0.5, 2, 1), ("size", "kind", "flag", "range"), strict=True)
        total = sum(weight * row[f"{before}{name}_loss"] for weight, name in parts)
        assert row[f"{before}loss"] == pytest.approx(total, rel=1e-12)
    out = net.loss.split(net.predict(X))
    share = w[0] if weighted else np.ones(N)
    error = np.abs(out["size"] - y["size"]).mean(axis=1)
    assert row["val_size_mae"] == pytest.approx(np.average(error, weights=share))
    known = y["kind"] >= 0
    right = (out["kind"].argmax(axis=1) == y["kind"])[known]
    assert row["val_kind_accuracy"] == pytest.approx(np.average(right, weights=share[known]))
    metrics = pytest.importorskip("sklearn.metrics")
    f1 = metrics.f1_score(y["flag"], out["flag"][:, 0] > 0, sample_weight=share)
    assert row["val_flag_f1"] == pytest.approx(f1)
    assert net.score((X, y, *w)) == pytest.approx(row["val_size_mae"])
    f1_alone = net.score((X, y, *w), metric={"flag": "f1"})
    assert f1_alone == pytest.approx(f1)
    assert net.score((X, y, *w), metric=net.loss) == pytest.approx(row["val_loss"])


def test_all_heads_are_learned():
    X, y = data(400)
    net = network(epochs=80, learning_rate=0.02, metric=METRICS).fit((X, y))
    row = net.history.last
    assert row["size_r2"] > 0.95
    assert row["kind_accuracy"] > 0.9
    assert row["flag_f1"] > 0.9
    low, high = net.loss.split(net.predict(X))["range"].T
    assert 0.7 < np.mean((low <= y["range"]) & (y["range"] <= high)) < 0.9


def test_training_is_the_same_on_every_backend(backend):
    X, y = data()
    expected = network(metric=METRICS).fit((X, y))
    net = network(metric=METRICS).to(backend.with_dtype("float32"))
    net.fit((move(X, backend, "float32"), y))
    for name, column in expected.history.items():
        if name != "seconds":
            assert net.history[name] == pytest.approx(column, rel=1e-3, abs=1e-4), name


def test_dicts_columns_and_data_sets_are_the_same_targets():
    X, y = data()
    flat = columns(y)
    nets = [network().fit(given) for given in ((X, y), (X, flat), Dataset(X, flat))]
    for net in nets[1:]:
        np.testing.assert_array_equal(net.predict(X), nets[0].predict(X))
    assert nets[0].score((X, y), metric=nets[0].loss) == nets[0].score(
        (X, flat), metric=nets[0].loss
    )
    gradient = nets[0].input_gradient(X, y=y)
    np.testing.assert_array_equal(gradient, nets[0].input_gradient(X, y=flat))
    batch = next(nets[0].get_mini_batches(X, y, shuffle=False))[1]
    np.testing.assert_allclose(batch, flat[:16], rtol=1e-6)


def test_batches_pieces_and_early_stopping():
    X, y = data()
    net = network(metric=METRICS).fit(
        (X, y), validation=(X, y), callbacks=EarlyStopping("val_kind_loss")
    )
    assert net.history.epochs == 3
    pieces = [(X[k : k + 16], {name: each[k : k + 16] for name, each in y.items()})
              for k in range(0, N, 16)]  # fmt: skip
    batched, plain = network(shuffle=False), network(shuffle=False)
    batched.fit(batches=pieces)
    plain.fit((X, y))
    np.testing.assert_allclose(batched.predict(X), plain.predict(X), rtol=1e-5)
    small = network(memory_limit=280_000, shuffle=False, dtype="float64").fit((X, y))
    plain = network(shuffle=False, dtype="float64").fit((X, y))
    np.testing.assert_allclose(small.predict(X), plain.predict(X), rtol=1e-9)


def test_a_head_that_predicts_a_normal_distribution():
    X, y = data()
    loss = {"a": (GaussianNLL(), 2), "b": ("mse", 1)}
    net = network(loss, 3, metric={"a": "mae"}).fit((X, {"a": y["range"], "b": y["size"][:, 0]}))
    out = net.predict(X)
    raw = net.forward_propagation(X.astype(np.float32), training=False)
    np.testing.assert_allclose(out[:, [0, 2]], raw[:, [0, 2]], rtol=1e-5)
    np.testing.assert_allclose(out[:, 1], np.sqrt(np.exp(raw[:, 1]) + 1e-6), rtol=1e-5)
    assert "a_mae" in net.history


# ---- files and copies


def test_saved_copied_and_pickled_networks_are_the_same(tmp_path):
    X, y = data()
    net = network(metric=METRICS).fit((X, y))
    net.save(tmp_path / "net.safetensors")
    loaded = xpnet.load(tmp_path / "net.safetensors")
    copies = [loaded, pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    net.fit((X, y))
    for again in copies:
        assert list(again.loss.heads) == list(net.loss.heads)
        again.fit((X, y))
        np.testing.assert_array_equal(again.predict(X), net.predict(X))
        for name in ("kind_loss", "kind_accuracy", "size_r2"):
            assert again.history[name] == net.history[name]


def test_resuming_is_going_on(tmp_path):
    X, y = data()
    whole = network(metric=METRICS, epochs=4).fit((X, y))
    network(metric=METRICS, epochs=4).fit((X, y), epochs=2, callbacks=Checkpoint(tmp_path))
    again = network(metric=METRICS, epochs=4).fit((X, y), resume=tmp_path)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))
    assert again.history["kind_accuracy"] == whole.history["kind_accuracy"]


# ---- what is refused, and why


def test_why_steps_are_formulas_is_told():
    explained = network(epochs=30).explain_steps(*data())
    assert explained.chosen == "formulas"
    assert "Heads" in explained.reasons["compiled"]


class Own(LossFunction):
    def loss(self, y_true, y_pred, sample_weight=None):
        return 0.0

    def derivative(self, y_true, y_pred, sample_weight=None):
        return y_pred


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected a dict such as"),
        ([("mse", 1)], "expected a dict such as"),
        ({1: ("mse", 1)}, "heads has the name 1"),
        ({"a": "mse"}, r"the head 'a' is 'mse': expected \(loss, n_outputs\)"),
        ({"a": ("mse",)}, r"expected \(loss, n_outputs\)"),
        ({"a": ("mze", 1)}, "unknown loss 'mze'"),
        ({"a": ("mse", 0)}, "the head 'a': n_outputs=0"),
        ({"a": ("mse", 1, 0)}, "the head 'a': weight=0"),
        ({"a": ("softmax_cross_entropy", 1)}, "needs one output for each class"),
        ({"a": (Own(), 1)}, "expected a mean over samples"),
        ({"a": (Heads({"b": ("mse", 1)}), 1)}, "other than Heads"),
    ],
)
def test_heads_that_are_none_are_refused(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Heads(given)


def test_outputs_and_targets_that_do_not_fit_are_refused():
    X, y = data()
    with pytest.raises(ValueError, match=r"the heads take 8 outputs \(size 2, kind 3, .*has 7"):
        network(n_outputs=7).fit((X, y))
    with pytest.raises(ValueError, match=r"y has the targets .*expected those of the loss"):
        network().fit((X, {"size": y["size"]}))
    with pytest.raises(ValueError, match=r"y\['size'\] has shape .*expected \(n, 2\)"):
        network().fit((X, y | {"size": y["range"]}))
    with pytest.raises(ValueError, match="different lengths"):
        network().fit((X, y | {"flag": y["flag"][1:]}))
    with pytest.raises(ValueError, match=r"the head 'kind': y has the class 3"):
        network().fit((X, y | {"kind": y["kind"] + 1}))
    with pytest.raises(ValueError, match=r"the head 'flag': y goes from 0.0 to 2.0"):
        network().fit((X, y | {"flag": y["flag"] * 2}))
    with pytest.raises(ValueError, match=r"expected \(80, 5\), the columns of size, kind"):
        network().fit((X, columns(y)[:, :4]))
    with pytest.raises(ValueError, match=r"'size' has shape .*Only a network with heads"):
        network("mse", 1).fit((X, y))
    with pytest.raises(ValueError, match="validation: the head 'kind'"):
        network().fit((X, y), validation=(X, y | {"kind": y["kind"] + 1}))
    with pytest.raises(ValueError, match="targets of shape"):
        Heads({"a": ("mse", 1), "b": ("mse", 1)})(np.zeros((3, 1)), np.zeros((3, 2)))


def test_columns_named_as_the_heads_may_be_in_another_order():
    pd = pytest.importorskip("pandas")
    X, y = data()
    loss = {"flag": (BinaryCrossEntropy(from_logits=True), 1), "range": ("mse", 1)}
    frame = pd.DataFrame({"flag": y["flag"] * 1.0, "range": y["range"]})
    outputs = network(loss, 2).fit(Dataset(X, frame)).predict(X)
    swapped = network(loss, 2).fit(Dataset(X, frame[["range", "flag"]]))
    np.testing.assert_array_equal(swapped.predict(X), outputs)
    assert swapped.label_name == ["flag", "range"]


def test_a_last_layer_that_does_not_fit_all_heads_is_refused():
    X, y = data()
    loss = {"a": ("binary_cross_entropy", 1), "b": ("softmax_cross_entropy", 3)}
    targets = {"a": y["flag"], "b": np.maximum(y["kind"], 0)}
    remedy = r"the head 'a': Binary.* got real .* Give the head Binary.*\(from_logits=True\)"
    with pytest.raises(ValueError, match=remedy):
        network(loss, 4).fit((X, targets))
    loss = {"size": ("mse", 1), "b": ("categorical_cross_entropy", 3)}
    with pytest.raises(ValueError, match=r"the head 'b': .* Give the head SoftmaxCrossEntropy"):
        network(loss, 4).fit((X, {"size": y["range"], "b": targets["b"]}))
    loss = {"a": (BinaryCrossEntropy(from_logits=True), 1), "b": ("softmax_cross_entropy", 3)}
    with pytest.raises(ValueError, match=r"the head 'a': .* SigmoidActivation: .* with DenseLayer"):
        network(loss, 4).add(SigmoidActivation()).fit((X, targets))
    both = {"a": ("binary_cross_entropy", 1), "b": ("binary_cross_entropy", 1)}
    ended = network(both, 2).add(SigmoidActivation())
    assert ended.fit((X, {"a": y["flag"], "b": y["flag"]})).is_fitted


@pytest.mark.parametrize("swapped", [(1, "mse"), (1, "mse", 0.5), [2, "softmax_cross_entropy"]])
def test_a_head_with_its_loss_in_second_place_is_refused(swapped):
    with pytest.raises(TypeError, match=r"the head 'width' is .*: expected the loss first"):
        Heads({"width": swapped})


def test_metrics_and_units_that_do_not_fit_are_refused():
    for metric, message in (
        ({"colour": "accuracy"}, "metric has the head 'colour': expected one of size, kind"),
        ({"size": "accuracy"}, "MeanSquaredError of the head 'size' is not: use 'r2'"),
        ({"size": "nothing"}, "unknown metric"),
        ("accuracy", "expected a dict such as"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            network(metric=metric)
    with pytest.raises(TypeError, match="MeanSquaredError has no heads"):
        network(MeanSquaredError(), 1, metric={"a": "mae"})
    with pytest.raises(ValueError, match=r"target_unit=.*expected a dict such as"):
        network(target_unit=(0.0, 1.0))
