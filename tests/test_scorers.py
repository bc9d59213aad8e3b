"""scikit-learn's scorers as metrics, by their names."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    DenseLayer,
    HingeLoss,
    LogSoftmaxActivation,
    NegativeLogLikelihood,
    NeuralNetwork,
    SigmoidActivation,
    SoftmaxCrossEntropy,
)
from xpnet.metrics import METRICS, Accuracy
from xpnet.training import metric_settings, scorers

reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")

N, FEATURES = 200, 3


def samples():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((N, FEATURES))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)
    return X, y, rng.uniform(0.5, 2.0, N)


def trained(metric, loss, n_outputs, data, *layers, **arguments):
    """Return a network whose last epoch has changed nothing."""
    given = {"epochs": 1, "batch_size": 32, "learning_rate": 1e-30, "dtype": "float64", "seed": 0}
    net = NeuralNetwork(**given | arguments, loss=loss, metric=metric)
    net.add(DenseLayer(n_outputs, (FEATURES,)))
    for layer in layers:
        net.add(layer)
    return net.fit(data, validation=data)


def assert_scores(net, data, expected):
    for name, value in expected.items():
        assert net.history[name][-1] == pytest.approx(value, rel=1e-9), name
        assert net.history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-9), name
        assert net.score(data, metric=name) == pytest.approx(value, rel=1e-9), name
        assert net.history.metrics[name] == "max"


def shares(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), NegativeLogLikelihood()])
def test_of_several_classes(loss, weighted):
    X, y, weight = samples()
    data = (X, y, weight) if weighted else (X, y)
    names = ["neg_log_loss", "neg_brier_score", "roc_auc_ovr", "roc_auc_ovo", "f1_macro",
             "precision_weighted", "jaccard_macro"]  # fmt: skip
    names = [name for name in names if not (weighted and name == "roc_auc_ovo")]  # theirs refuses
    layers = [LogSoftmaxActivation()] if isinstance(loss, NegativeLogLikelihood) else []
    net = trained(names, loss, 3, data, *layers)
    output = net.predict(X)
    p, found = np.exp(output) if layers else shares(output), output.argmax(axis=1)
    given = {"sample_weight": weight} if weighted else {}
    expected = {
        "neg_log_loss": -reference.log_loss(y, p, **given),
        "neg_brier_score": -reference.brier_score_loss(y, p, **given),
        "roc_auc_ovr": reference.roc_auc_score(y, p, multi_class="ovr", **given),
        "f1_macro": reference.f1_score(y, found, average="macro", **given),
        "precision_weighted": reference.precision_score(y, found, average="weighted", **given),
        "jaccard_macro": reference.jaccard_score(y, found, average="macro", **given),
    }
    if not weighted:
        expected["roc_auc_ovo"] = reference.roc_auc_score(y, p, multi_class="ovo")
    assert_scores(net, data, expected)


@pytest.mark.parametrize("form", ["probability", "log-odds", "two outputs"])
def test_of_two_classes(form):
    X, y, weight = samples()
    y = (y > 0).astype(int)
    data = (X, y, weight)
    names = ["neg_log_loss", "neg_brier_score", "f1_macro", "jaccard", "d2_log_loss_score"]
    loss, n_outputs, layers = {
        "probability": (BinaryCrossEntropy(), 1, [SigmoidActivation()]),
        "log-odds": (BinaryCrossEntropy(from_logits=True), 1, []),
        "two outputs": (SoftmaxCrossEntropy(), 2, []),
    }[form]
    net = trained(names, loss, n_outputs, data, *layers)
    output = net.predict(X)
    p = {
        "probability": lambda: output[:, 0],
        "log-odds": lambda: 1 / (1 + np.exp(-output[:, 0])),
        "two outputs": lambda: shares(output)[:, 1],
    }[form]()
    given, found = {"sample_weight": weight}, p > 0.5
    expected = {
        "neg_log_loss": -reference.log_loss(y, p, **given),
        "neg_brier_score": -reference.brier_score_loss(y, p, **given),
        "f1_macro": reference.f1_score(y, found, average="macro", **given),
        "jaccard": reference.jaccard_score(y, found, **given),
        "d2_log_loss_score": reference.d2_log_loss_score(y, p, **given),
    }
    assert_scores(net, data, expected)


def test_of_several_answers():
    X, y, _ = samples()
    rows = np.stack([y > 0, X[:, 2] > 0], axis=1).astype(int)
    names = ["f1_weighted", "f1_micro", "jaccard_macro"]
    net = trained(names, BinaryCrossEntropy(from_logits=True), 2, (X, rows))
    found = (net.predict(X) > 0).astype(int)
    expected = {
        "f1_weighted": reference.f1_score(rows, found, average="weighted"),
        "f1_micro": reference.f1_score(rows, found, average="micro"),
        "jaccard_macro": reference.jaccard_score(rows, found, average="macro"),
    }
    assert_scores(net, (X, rows), expected)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_of_values(n_outputs):
    X, _, weight = samples()
    y = X[:, :n_outputs] + 100.0
    y = y[:, 0] if n_outputs == 1 else y
    names = ["neg_mean_absolute_error", "neg_median_absolute_error", "d2_absolute_error_score"]
    data = (X, y, weight)
    net = trained(names, "mse", n_outputs, data, target_unit=(100.0, 1.0))
    p, given = net.predict(X), {"sample_weight": weight}
    p = p[:, 0] if n_outputs == 1 else p
    expected = {
        "neg_mean_absolute_error": -reference.mean_absolute_error(y, p, **given),
        "neg_median_absolute_error": -reference.median_absolute_error(y, p, **given),
        "d2_absolute_error_score": reference.d2_absolute_error_score(y, p, **given),
    }
    assert_scores(net, data, expected)


def test_scores_without_probabilities_rank_the_samples():
    X, y, _ = samples()
    y = (y > 0).astype(int)
    scorer = scorers.ScikitLearnScorer("roc_auc").named("theirs")
    net = trained([scorer, "roc_auc"], HingeLoss(), 1, (X, y))
    assert net.history["theirs"] == pytest.approx(net.history["roc_auc"], rel=1e-12)
    net.metric = "neg_log_loss"
    with pytest.raises(ValueError, match="metric 'neg_log_loss' needs probabilities"):
        net.fit((X, y))


def test_all_scorers_of_classes_agree_with_ours_where_both_have_one():
    X, y, _ = samples()
    y = (y > 0).astype(int)
    both = sorted({*METRICS} & {*scorers.scorer_names()} - {"r2", "explained_variance"})
    both = [name for name in both if name != "top_k_accuracy"]  # of which k differs
    assert {"roc_auc", "average_precision", "balanced_accuracy"} <= {*both}
    metrics = [*both, *(scorers.ScikitLearnScorer(name).named(f"{name}_") for name in both)]
    net = trained(metrics, SoftmaxCrossEntropy(), 2, (X, y))
    for name in both:
        assert net.history[f"{name}_"] == pytest.approx(net.history[name], rel=1e-9), name


def test_samples_to_ignore_do_not_count():
    X, y, _ = samples()
    marked = y.copy()
    marked[::2] = -1
    net = trained(
        ["neg_log_loss", "rand_score"], SoftmaxCrossEntropy(ignore_index=-1), 3, (X, marked)
    )
    kept = (X[1::2], y[1::2])
    for name in ("neg_log_loss", "rand_score"):
        assert net.history[name][-1] == pytest.approx(net.score(kept, metric=name), rel=1e-9)


def test_weights_for_a_scorer_that_has_none_are_refused():
    X, y, weight = samples()
    with pytest.raises(ValueError, match="metric 'neg_max_error' cannot take"):
        trained("neg_max_error", "mse", 1, (X, y, weight))
    trained("neg_max_error", "mse", 1, (X, y))


def test_a_scorer_of_classes_refuses_values():
    X, _, _ = samples()
    with pytest.raises(ValueError, match="metric 'roc_auc_ovr' needs probabilities"):
        trained("roc_auc_ovr", "mse", 1, (X, 5 * X[:, 0]))


@pytest.mark.parametrize("steps", ["formulas", "compiled"])
def test_steps_make_no_difference(steps):
    if steps == "compiled":
        pytest.importorskip("numba", reason="Numba is not installed")
    X, y, _ = samples()
    net = NeuralNetwork(
        3, 32, loss="softmax_cross_entropy", metric=["neg_log_loss", "log_loss"], seed=0,
        steps=steps,
    ).add(DenseLayer(3, (FEATURES,)))  # fmt: skip
    net.fit((X, y), validation=(X, y))
    for start in ("", "val_"):
        negative = [-value for value in net.history[f"{start}neg_log_loss"]]
        assert negative == pytest.approx(net.history[f"{start}log_loss"], rel=1e-5)


def test_on_every_backend(backend):
    X, y, _ = samples()
    data = backend.asarray(X, backend.dtype), backend.asarray(y)
    names, loss = ["neg_log_loss", "f1_macro"], "softmax_cross_entropy"
    net = trained(names, loss, 3, data, dtype=backend.dtype)
    expected = trained(names, loss, 3, (X, y))
    for name in expected.history.metrics:
        assert net.history[name] == pytest.approx(expected.history[name], rel=1e-5)


# ---- data without a class

SCORERS_OF_PROBABILITIES = ["neg_log_loss", "neg_brier_score", "roc_auc_ovr", "roc_auc_ovo"]


def test_scores_of_data_without_a_class_are_scikit_learns_for_all_classes():
    X, y, weight = samples()
    names, few = ["neg_log_loss", "neg_brier_score", "roc_auc_ovr"], y < 2
    net = trained(names, "softmax_cross_entropy", 3, (X, y))
    with pytest.warns(UserWarning, match="'roc_auc_ovr' is NaN.* no sample of class 2") as said:
        found = net.evaluate(X[few], y[few], sample_weight=weight[few])
    assert len(said) == 1
    p = np.exp(net.predict(X[few]))
    p /= p.sum(axis=1, keepdims=True)
    given = {"labels": [0, 1, 2], "sample_weight": weight[few]}
    assert found["neg_log_loss"] == pytest.approx(-reference.log_loss(y[few], p, **given))
    assert found["neg_brier_score"] == pytest.approx(
        -reference.brier_score_loss(y[few], p, **given)
    )
    assert np.isnan(found["roc_auc_ovr"])
    assert 0 < net.score(X[few], y[few], metric="roc_auc_ovo") < 1


def test_the_auc_of_pairs_refuses_weights_before_training():
    X, y, weight = samples()
    with pytest.raises(ValueError, match="weights, which the metric 'roc_auc_ovo' cannot take"):
        trained("roc_auc_ovo", "softmax_cross_entropy", 3, (X, y, weight))


@pytest.mark.filterwarnings("ignore:the metric .* is NaN")
@pytest.mark.parametrize("name", [*SCORERS_OF_PROBABILITIES, "roc_auc_ovo_weighted", "f1_macro"])
@pytest.mark.parametrize("classes", [[0, 1], [2]])
def test_training_goes_on_if_validation_data_lack_a_class(name, classes):
    X, y, _ = samples()
    few = np.isin(y, classes)
    net = NeuralNetwork(2, loss="softmax_cross_entropy", metric=[name], seed=0)
    net.add(DenseLayer(3, (FEATURES,))).fit((X, y), validation=(X[few], y[few]))
    assert np.isfinite(net.history[name]).all()
    assert len(net.history[f"val_{name}"]) == 2


def test_a_scorer_of_yes_or_no_takes_data_of_one_class():
    X, y, _ = samples()
    net = NeuralNetwork(1, loss=BinaryCrossEntropy(from_logits=True), metric="neg_log_loss", seed=0)
    net.add(DenseLayer(1, (FEATURES,))).fit((X, y > 0))
    few = y == 0
    p = 1 / (1 + np.exp(-net.predict(X[few]).astype(float)))
    assert net.score(X[few], y[few]) == pytest.approx(np.log(1 - p).mean(), rel=1e-5)


# ---- names


def test_our_own_metrics_come_first():
    for name in ("accuracy", "roc_auc", "r2"):
        assert type(NeuralNetwork(metric=name).metric) is METRICS[name]
    assert isinstance(NeuralNetwork(metric="neg_log_loss").metric, scorers.ScikitLearnScorer)


def test_an_unknown_name_says_what_is_known():
    with pytest.raises(ValueError, match=r"did you mean 'log_loss'.*get_scorer_names\(\)"):
        NeuralNetwork(metric="neg_log_los")
    with pytest.raises(ValueError, match="scorer='loss': expected a name"):
        scorers.ScikitLearnScorer("loss")


def test_without_scikit_learn_its_names_say_what_to_install(monkeypatch):
    for module in (scorers, metric_settings):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"'neg_log_loss': .*need scikit-learn: pip install sci"):
        NeuralNetwork(metric="neg_log_loss")
    with pytest.raises(ImportError, match="is a scorer of scikit-learn: pip install scikit-learn"):
        scorers.ScikitLearnScorer("neg_log_loss")
    assert isinstance(NeuralNetwork(metric="accuracy").metric, Accuracy)


@pytest.mark.parametrize("way", ["file", "pickle", "copy"])
def test_they_are_saved_by_their_names(way, tmp_path):
    pytest.importorskip("safetensors")
    X, y, _ = samples()
    net = trained(["neg_log_loss", "f1_macro"], "softmax_cross_entropy", 3, (X, y))
    if way == "file":
        net.save(tmp_path / "net")
        again = xpnet.load(tmp_path / "net")
    else:
        again = pickle.loads(pickle.dumps(net)) if way == "pickle" else copy.deepcopy(net)
    assert again.evaluate(X, y) == net.evaluate(X, y)
    assert [vars(each) for each in again.metric] == [vars(each) for each in net.metric]
    assert repr(again.metric) == repr(net.metric)
