"""Several outputs: regression in units of their own, and labels that do not exclude each other."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    BrierScore,
    Dataset,
    DenseLayer,
    ExpectedCalibrationError,
    LogLoss,
    NeuralNetwork,
    TanhActivation,
    train_test_split,
)
from xpnet.backends import move, to_host

N, D = 96, 3
MEAN, SCALE = np.array([1.7e9, -3.0, 0.0]), np.array([400.0, 1e-3, 1e5])


def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D))
    return X, MEAN + SCALE * np.stack([X[:, 0], X[:, 1] - X[:, 0], np.tanh(X[:, 2])], axis=1)


def network(n_outputs=3, **settings):
    settings = {"epochs": 60, "batch_size": 16, "optimizer": "adam", "seed": 0} | settings
    net = NeuralNetwork(**{"learning_rate": 0.02} | settings)
    return net.add(DenseLayer(8, (D,))).add(TanhActivation()).add(DenseLayer(n_outputs))


# ---- a unit for each output


@pytest.mark.parametrize("steps", ["formulas", "compiled"])
def test_each_output_is_learned_in_its_own_unit(steps):
    X, y = data()
    unit = y.mean(axis=0), y.std(axis=0)
    net = network(steps=steps, target_unit=unit, metric="r2").fit((X, y), validation=(X, y))
    predicted = net.predict(X)
    residual = ((y - predicted) ** 2).mean(axis=0) / y.var(axis=0)
    assert residual.max() < 0.02
    assert net.score((X, y)) == pytest.approx(1 - residual.mean(), rel=1e-6)
    assert net.history[f"val_{net.metric.name}"][-1] == pytest.approx(1 - residual.mean(), rel=1e-4)
    standard = network(steps=steps).fit((X, (y - unit[0]) / unit[1]))
    np.testing.assert_allclose(
        predicted, standard.predict(X) * unit[1] + unit[0], rtol=1e-6, atol=1e-3
    )


def test_predictions_and_scores_are_the_same_on_every_backend(backend):
    X, y = data()
    net = network(target_unit=(MEAN, SCALE), metric="r2", epochs=5).fit((X, y))
    expected, score = net.predict(X), net.score((X, y))
    net.to(backend.with_dtype("float32"))
    got = net.predict(move(X, backend, backend.dtype))
    np.testing.assert_allclose((to_host(got) - expected) / SCALE, 0.0, atol=1e-5)
    given = move(X, backend, backend.dtype)
    if backend.wide_dtype == "float64":  # targets keep their digits only there
        assert net.score((given, move(y, backend, "float64"))) == pytest.approx(score, rel=1e-4)


def test_units_may_be_any_sequences_and_are_kept_as_tuples(backend):
    forms = [
        ([1.0, 2.0], [3.0, 4.0]),
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        (move(np.array([1.0, 2.0]), backend, backend.dtype), (3, 4)),
    ]
    for unit in forms:
        assert NeuralNetwork(target_unit=unit).target_unit == ((1.0, 2.0), (3.0, 4.0))
    assert NeuralNetwork(target_unit=([1.0], [3.0])).target_unit == (1.0, 3.0)


def test_large_whole_numbers_keep_their_digits_in_units_of_their_own():
    y = np.array([[2**60 + 1, 5], [2**60 + 3, 7]])
    net = network(2, target_unit=([2.0**60, 6.0], [1.0, 1.0]))
    batch = next(net.get_mini_batches(np.zeros((2, D)), y, shuffle=False))[1]
    assert to_host(batch).tolist() == [[1.0, -1.0], [3.0, 1.0]]


def test_units_survive_saving_and_copying(tmp_path):
    X, y = data()
    net = network(target_unit=(MEAN, SCALE), epochs=1).fit((X, y))
    net.save(tmp_path / "net.safetensors")
    loaded = xpnet.load(tmp_path / "net.safetensors")
    for again in (loaded, pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert again.target_unit == (tuple(MEAN), tuple(SCALE))
        np.testing.assert_array_equal(again.predict(X), net.predict(X))


@pytest.mark.parametrize(
    "unit",
    [
        ([1.0, 2.0], [3.0]),
        ([], []),
        ([1.0, np.nan], [1.0, 1.0]),
        ([1.0, 2.0], [1.0, 0.0]),
        ([[1.0]], [[1.0]]),
        ("ab", "cd"),
        ([1.0, 2.0], [1.0, 2.0], [3.0, 4.0]),
        np.ones((3, 3)),
    ],
)
def test_units_that_are_none_are_refused(unit):
    with pytest.raises(ValueError, match=r"target_unit=.*expected .mean, scale."):
        NeuralNetwork(target_unit=unit)


def test_a_unit_for_another_number_of_outputs_is_refused():
    X, y = data()
    net = network(target_unit=([1.0, 2.0], [3.0, 4.0]))
    with pytest.raises(ValueError, match=r"target_unit has 2 means.*targets have 3 column"):
        net.fit((X, y))
    with pytest.raises(ValueError, match=r"target_unit has 2 means.*targets have 3 column"):
        list(net.get_mini_batches(X, y))


def test_the_advice_for_several_targets_is_a_unit_for_each():
    X, y = data()
    with pytest.warns(UserWarning, match=r"target_unit=\(y.mean\(axis=0\), y.std\(axis=0\)\)"):
        network(dtype="float64", epochs=1).fit((X, y))


# ---- labels of which a sample may have several


def labels():
    X = data()[0]
    return X, (X + np.array([0.0, 1.5, -1.5]) > 0).astype(int)


@pytest.mark.parametrize("steps", ["formulas", "compiled"])
@pytest.mark.parametrize("weight", [None, 2.0])
def test_several_labels_are_learned_with_metric_weights_and_validation(steps, weight):
    X, y = labels()
    loss = BinaryCrossEntropy(from_logits=True, positive_weight=weight)
    net = network(loss=loss, metric="binary_accuracy", steps=steps)
    net.fit((X, y, np.linspace(0.5, 2, N)), validation=(X, y))
    assert net.history[f"val_{net.metric.name}"][-1] > 0.95
    assert net.score((X, y)) == pytest.approx(((net.predict(X) > 0) == y).mean())


@pytest.mark.parametrize("from_logits", [False, True])
def test_positive_weights_are_pytorchs(from_logits, rng):
    torch = pytest.importorskip("torch")
    y, z, w = rng.integers(0, 2, (20, 3)), rng.standard_normal((20, 3)), [0.5, 2.0, 9.0]
    given = torch.tensor(z, requires_grad=True)
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(w))(given, torch.tensor(y * 1.0))
    theirs.backward()
    loss = BinaryCrossEntropy(from_logits, positive_weight=w)
    p = z if from_logits else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(loss(y, p), theirs.item(), rtol=1e-9)
    slope = loss.derivative(y, p) * (1 if from_logits else p * (1 - p))
    np.testing.assert_allclose(slope, given.grad.numpy(), rtol=1e-7)


def test_a_rare_label_is_found_more_often_with_a_positive_weight():
    X = np.random.default_rng(0).standard_normal((400, D))
    noise = np.random.default_rng(1).standard_normal((400, 2))
    y = (X[:, :2] + noise > [0.0, 2.0]).astype(int)

    def found(weight):
        loss = BinaryCrossEntropy(from_logits=True, positive_weight=weight)
        net = network(2, loss=loss, epochs=20).fit((X, y))
        return (net.predict(X)[:, 1] > 0).sum()

    counts = y.sum(axis=0)
    assert found((400 - counts) / counts) > 2 * found(None)


def test_one_positive_weight_is_compiled_and_several_are_explained():
    X, y = labels()
    one = network(loss=BinaryCrossEntropy(from_logits=True, positive_weight=2.0))
    assert one.explain_steps(X, y).chosen == "compiled"
    several = network(loss=BinaryCrossEntropy(from_logits=True, positive_weight=[1.0, 2.0, 3.0]))
    assert "several positive weights" in several.explain_steps(X, y).reasons["compiled"]


def test_positive_weights_are_saved_and_checked(tmp_path):
    X, y = labels()
    loss = BinaryCrossEntropy(from_logits=True, positive_weight=np.array([1.0, 2.0, 3.0]))
    net = network(loss=loss, epochs=1).fit((X, y))
    net.save(tmp_path / "net.safetensors")
    assert xpnet.load(tmp_path / "net.safetensors").loss.positive_weight == [1.0, 2.0, 3.0]
    for weight in (0, -1, np.nan, np.inf, "a", [], [1.0, 0.0], True):
        with pytest.raises(ValueError, match="positive_weight"):
            BinaryCrossEntropy(positive_weight=weight)
    with pytest.raises(ValueError, match="positive_weight has 3 numbers, but there are 2 outputs"):
        network(2, loss=loss).fit((X, y[:, :2]))


PROBABILITY_METRICS = {
    "log_loss": LogLoss, "brier_score": BrierScore, "calibration_error": ExpectedCalibrationError,
}  # fmt: skip


def of_each_label(name, y, p, weight=None):
    """The mean over the columns of scikit-learn's metric of each; calibration as it is defined."""
    reference = pytest.importorskip("sklearn.metrics")
    if name == "calibration_error":
        return np.mean([calibration(*column, weight) for column in zip(y.T, p.T, strict=True)])
    function = reference.log_loss if name == "log_loss" else reference.brier_score_loss
    columns = zip(y.T, p.T, strict=True)
    return np.mean([function(a, b, sample_weight=weight) for a, b in columns])


def calibration(y, p, weight):
    weight = np.ones(len(y)) if weight is None else weight
    place = np.ceil(p * 15).astype(int)
    apart = [abs((weight * (y - p))[place == b].sum()) for b in np.unique(place)]
    return sum(apart) / weight.sum()


@pytest.mark.parametrize("name", PROBABILITY_METRICS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["probability", "log-odds"])
def test_probabilities_of_several_labels_are_those_of_each(name, weighted, kind, backend, rng):
    y, z = rng.integers(0, 2, (50, 3)), rng.standard_normal((50, 3))
    p = 1 / (1 + np.exp(-z))
    w = rng.uniform(0, 2, 50) if weighted else None
    given = [backend.asarray(y), backend.asarray(z if kind == "log-odds" else p, backend.dtype)]
    given += [backend.asarray(w, backend.dtype)] if weighted else []
    metric = PROBABILITY_METRICS[name](output_kind=kind)
    expected = of_each_label(name, y, p, w)
    tolerance = 1e-9 if backend.dtype == "float64" else 1e-4
    assert float(to_host(metric(*given))) == pytest.approx(expected, rel=tolerance)
    first, second = ([a[part, ...] for a in given] for part in (slice(0, 17), slice(17, 50)))
    merged = metric.merge(metric.statistics(*first), metric.statistics(*second))
    assert float(to_host(metric.result(merged))) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("steps", ["formulas", "compiled"])
@pytest.mark.parametrize("stored", [False, True])
def test_a_network_has_the_probability_metrics_of_several_labels(steps, stored, tmp_path):
    X, y = labels()
    w = np.linspace(0.5, 2, N)
    given = X
    if stored:
        given = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", X.dtype, X.shape)
        given[:] = X
    net = network(
        loss=BinaryCrossEntropy(from_logits=True), metric=[*PROBABILITY_METRICS], steps=steps,
        epochs=3, dtype="float64",
    )  # fmt: skip
    net.fit((given, y, w), validation=(given, y, w))
    p = 1 / (1 + np.exp(-net.predict(X)))
    found = net.evaluate(given, y, w)
    for name in PROBABILITY_METRICS:
        expected = of_each_label(name, y, p, w)
        assert net.history[f"val_{name}"][-1] == pytest.approx(expected, rel=1e-9)
        assert found[name] == pytest.approx(expected, rel=1e-9)
    assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-9)


def test_answers_that_are_none_are_refused(rng):
    p = rng.uniform(0, 1, (4, 2))
    with pytest.raises(ValueError, match=r"y_true goes from 0 to 2: expected numbers from 0 to 1"):
        LogLoss("probability")(np.array([[0, 1], [2, 1], [0, 0], [1, 1]]), p)


# ---- names of several targets


def test_a_data_set_has_the_names_of_several_targets(tmp_path):
    pd = pytest.importorskip("pandas")
    X, y = labels()
    named = Dataset(X, pd.DataFrame(y, columns=["a", "b", "c"]))
    given = Dataset(X, y, label_name=["a", "b", "c"])
    for each in (named, given, given.rows([0, 1]), train_test_split(given, test_size=0.5)[0]):
        assert each.label_name == ["a", "b", "c"]
    assert Dataset(X, y).label_name is None
    net = network(loss=BinaryCrossEntropy(from_logits=True), epochs=1).fit(given)
    net.save(tmp_path / "net.safetensors")
    assert xpnet.load(tmp_path / "net.safetensors").label_name == ["a", "b", "c"]
    with pytest.raises(ValueError, match="label_name has 2 names, but y has 3 columns"):
        Dataset(X, y, label_name=["a", "b"])
    with pytest.raises(ValueError, match="a more than once"):
        Dataset(X, y, label_name=["a", "a", "b"])
