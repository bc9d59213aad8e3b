"""Several metrics of a network: their names and columns, and the same numbers in every way."""

import copy
import csv
import math
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    BinaryFocalLoss,
    Checkpoint,
    CSVLogger,
    DenseLayer,
    EarlyStopping,
    ElementwiseLoss,
    FocalLoss,
    HingeLoss,
    LambdaCallback,
    LogSoftmaxActivation,
    MeanSquaredError,
    ModelCheckpoint,
    NegativeLogLikelihood,
    NeuralNetwork,
    SigmoidActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    array_namespace,
)
from xpnet.backends import move, to_host
from xpnet.metrics import (
    F1,
    METRICS,
    ROCAUC,
    Accuracy,
    AveragePrecision,
    BrierScore,
    ExpectedCalibrationError,
    LogLoss,
    QuantileError,
    TopKAccuracy,
)
from xpnet.training.metric_settings import needs_all_samples

N, FEATURES, K = 300, 4, 3
STILL = {"learning_rate": 1e-30, "dtype": "float64"}  # with which an epoch changes nothing


def samples(n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, FEATURES))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)
    return X, y, rng.uniform(0.5, 2.0, n)


def share_of_class_2(y_true, y_pred, sample_weight=None):
    """A user's function, which depends on targets and outputs."""
    return (y_pred.argmax(axis=1) == 2).mean() + y_true.mean()


SEVERAL = [
    "accuracy", ROCAUC, LogLoss(), F1("weighted").named("weighted_f1"), "calibration_error",
    TopKAccuracy(2), "matthews_corrcoef", share_of_class_2,
]  # fmt: skip
NAMES = [
    "accuracy", "roc_auc", "log_loss", "weighted_f1", "calibration_error", "top_2_accuracy",
    "matthews_corrcoef", "share_of_class_2",
]  # fmt: skip


def classifier(metric=SEVERAL, n_outputs=K, layers=(), **arguments):
    given = {"epochs": 4, "batch_size": 32, "loss": "softmax_cross_entropy", "seed": 1} | arguments
    net = NeuralNetwork(**given, metric=metric).add(DenseLayer(n_outputs, (FEATURES,)))
    for layer in layers:
        net.add(layer)
    return net


# ---- as they are given


def test_metrics_are_given_by_name_class_instance_and_function():
    net = classifier()
    assert [getattr(each, "name", each) for each in net.metric] == [*NAMES[:-1], share_of_class_2]
    assert net.metrics == net.metric
    assert net.metric[2].output_kind == net.metric[1].output_kind == "logits"
    assert isinstance(classifier("accuracy").metric, Accuracy)
    one = classifier("accuracy")
    assert one.metrics == (one.metric,)
    for empty in (None, [], ()):
        assert (classifier(empty).metric, classifier(empty).metrics) == (None, ())


def test_the_columns_are_the_names_in_order():
    X, y, _ = samples()
    columns = []
    note = LambdaCallback(on_train_begin=lambda net, names: columns.extend(names))
    net = classifier(regularizer="l2").fit((X, y), validation=(X, y), callbacks=note)
    validated = [f"val_{name}" for name in ["loss", *NAMES]]
    expected = ["epoch", "loss", *NAMES, "penalty", *validated, "learning_rate", "seconds"]
    assert columns == list(net.history) == expected
    directions = ["max", "max", "min", "max", "min", "max", "max", None]
    assert net.history.metrics == dict(zip(NAMES, directions, strict=True))
    assert list(net.history.metrics) == NAMES


@pytest.mark.parametrize("name", ["loss", "epoch", "penalty", "seconds", "learning_rate", "val_x"])
def test_a_name_of_another_column_is_refused(name):
    def metric(y_true, y_pred):
        return 1.0

    metric.__name__ = name
    net = classifier("accuracy")
    before = net.metric
    for given in (metric, ["roc_auc", metric], Accuracy().named(name)):
        with pytest.raises(
            ValueError, match=f"metric has the name '{name}', which is reserved for"
        ):
            net.metric = given
        assert net.metric is before
    X, y, _ = samples()
    net.fit((X, y))
    assert net.score((X, y), metric=metric) == 1.0  # which has no columns
    with pytest.raises(ValueError, match="which is reserved for another column"):
        net.evaluate(X, y, metric=metric)


@pytest.mark.parametrize(
    "given", [["accuracy", Accuracy(0.3)], [F1("macro"), F1("weighted")], [lambda y, p: 0] * 2]
)
def test_two_metrics_of_a_name_are_refused(given):
    with pytest.raises(ValueError, match=r"metric has 2 metrics named .*rename the others"):
        NeuralNetwork(metric=given)
    NeuralNetwork(metric=[TopKAccuracy(3), TopKAccuracy(5), QuantileError(0.1), QuantileError(0.9)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["accuracy", "rocauk"], "unknown metric 'rocauk': did you mean 'roc_auc'"),
        (["accuracy", 3], "metric=3: expected a name"),
        ({"accuracy": 1}, "expected one metric"),
    ],
)
def test_what_is_no_metric_is_refused(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        NeuralNetwork(metric=given)


def test_progress_lines_and_scores(capsys):
    X, y, _ = samples()
    net = classifier(verbose=True, epochs=1).fit((X, y), validation=(X, y))
    line = capsys.readouterr().out
    for name in NAMES:
        assert f" {name}: {net.history[name][0]:.4f}" in line
        assert f" val_{name}: {net.history[f'val_{name}'][0]:.4f}" in line
    assert net.score((X, y)) == net.evaluate(X, y)["accuracy"]
    assert net.score((X, y), metric="weighted_f1") == net.evaluate(X, y)["weighted_f1"]
    assert net.score((X, y), metric="share_of_class_2") == pytest.approx(
        share_of_class_2(y, net.predict(X))
    )


# ---- the same numbers, however steps are taken and samples are grouped


def assert_as_evaluated(net, data, rel=1e-9):
    """Assert that the last epoch's metrics are those of all samples, which it did not change."""
    expected = net.evaluate(data)
    for name in ["loss", *net.history.metrics]:
        assert net.history[name][-1] == pytest.approx(expected[name], rel=rel, abs=1e-12), name
        if f"val_{name}" in net.history:
            assert net.history[f"val_{name}"][-1] == pytest.approx(expected[name], rel=rel), name


STEPS = [
    "formulas",
    pytest.param(
        "compiled",
        marks=pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed"),
    ),
]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_an_epoch_are_those_of_all_samples(steps, weighted):
    X, y, weight = samples()
    data = (X, y, weight) if weighted else (X, y)
    net = classifier(**STILL, steps=steps).fit(data, validation=data)
    assert_as_evaluated(net, data)


@pytest.mark.parametrize("steps", STEPS)
def test_streams_and_batches_too(steps, tmp_path):
    X, y, _ = samples(4000)
    np.save(tmp_path / "x.npy", X)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    metrics = ["accuracy", "log_loss", "calibration_error"]  # of all samples would not fit
    net = classifier(metrics, **STILL, steps=steps, epochs=1, memory_limit=600_000)
    net.fit((stored, y))
    assert net.last_plan.chunk is not None
    net.memory_limit = None
    assert_as_evaluated(net, (X, y))
    parts = [(X[k : k + 70], y[k : k + 70]) for k in range(0, 4000, 70)]
    net = classifier(**STILL, steps=steps, epochs=1).fit(batches=parts)
    assert_as_evaluated(net, (X, y))


def test_every_backend_computes_the_same(backend):
    X, y, weight = samples(100)
    metrics = [each for each in SEVERAL if each is not share_of_class_2]
    given = [move(each, backend, backend.dtype) for each in (X, weight)]
    data = given[0], backend.asarray(y), given[1]
    net = classifier(metrics, epochs=2, dtype=backend.dtype)
    expected = classifier(metrics, epochs=2, dtype=backend.dtype, steps="formulas")
    net.fit(data, validation=data)
    expected.fit((X, y, weight), validation=(X, y, weight))
    for name in net.history.metrics:
        for column in (name, f"val_{name}"):
            found = pytest.approx(expected.history[column], rel=2e-3, abs=1e-5)
            assert net.history[column] == found


@pytest.mark.cuda
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("metric", ["accuracy", ["accuracy"], ["accuracy", "roc_auc", "log_loss"]])
def test_captured_steps_compute_the_same(metric):
    X, y, weight = samples()
    nets = [
        classifier(metric, device=device, steps=steps).fit(
            (X, y, weight), validation=(X, y, weight)
        )
        for device, steps in (("cuda", "captured"), ("cpu", "formulas"))
    ]
    for name in nets[1].history.metrics:
        for column in (name, f"val_{name}"):
            expected = pytest.approx(nets[1].history[column], rel=1e-3, abs=1e-2)
            assert nets[0].history[column] == expected


def test_metrics_of_all_samples_are_in_the_plan():
    X, y, _ = samples()
    plans = [
        classifier(metric).fit((X, y), validation=(X, y), epochs=1).last_plan
        for metric in ("accuracy", ["accuracy", share_of_class_2], ["accuracy", "roc_auc"])
    ]
    sizes = [plan.evaluation for plan in plans]
    assert sizes[1] - sizes[0] == 2 * N * (4 * K + 8)
    assert sizes[2] - sizes[1] == N * 8 * (2 * K + 1)


def test_an_epoch_that_is_cut_short_has_all_metrics(ctrl_c):
    import _thread

    X, y, _ = samples()
    net = classifier(steps="formulas")

    def items():
        for k in range(0, N, 30):
            if k == 150:
                _thread.interrupt_main()
            yield X[k : k + 30], y[k : k + 30]

    with pytest.raises(KeyboardInterrupt):
        net.fit(batches=items, validation=(X, y))
    assert net.history.incomplete == (1,)
    assert np.isfinite([net.history[name][0] for name in NAMES]).all()
    assert np.isnan([net.history[f"val_{name}"][0] for name in NAMES]).all()


# ---- probabilities from the outputs of every loss


def odds(z):
    return 1 / (1 + np.exp(-z))


def shares(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def same(p):
    return p


# the loss, the layers at the end, the outputs, and their probabilities
LOSSES = {
    "bce": ("binary_cross_entropy", SigmoidActivation, 1, same),
    "bce of logits": (BinaryCrossEntropy(from_logits=True), None, 1, odds),
    "binary focal": (BinaryFocalLoss(), None, 1, odds),
    "mse of a sigmoid": ("mse", SigmoidActivation, 1, same),
    "cce": ("categorical_cross_entropy", SoftmaxActivation, K, same),
    "softmax": ("softmax_cross_entropy", None, K, shares),
    "softmax of two": ("softmax_cross_entropy", None, 2, shares),
    "focal": (FocalLoss(), None, K, shares),
    "nll": (NegativeLogLikelihood(), LogSoftmaxActivation, K, np.exp),
    "divergence": ("kl_divergence", SoftmaxActivation, K, same),
    "mse of a softmax": ("mse", SoftmaxActivation, K, same),
}


@pytest.mark.parametrize("case", LOSSES)
def test_metrics_know_what_outputs_are(case):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    loss, end, n_outputs, probabilities_of = LOSSES[case]
    X, y, weight = samples()
    classes = y if n_outputs == K else (y > 0).astype(int)
    rows = np.eye(K)[y] if case in ("divergence", "mse of a softmax") else classes
    metrics = ["log_loss", "brier_score", "roc_auc", "average_precision", "calibration_error"]
    net = classifier(metrics, n_outputs, [end()] if end else [], loss=loss, **STILL)
    net.fit((X, rows, weight), validation=(X, rows, weight))
    p = probabilities_of(net.predict(X))
    scored = p[:, -1] if p.shape[1] < 3 else p
    arguments = {"sample_weight": weight}
    expected = {
        "log_loss": reference.log_loss(classes, scored, **arguments),
        "brier_score": reference.brier_score_loss(classes, scored, **arguments),
        "roc_auc": reference.roc_auc_score(classes, scored, multi_class="ovr", **arguments),
        "average_precision": reference.average_precision_score(classes, scored, **arguments),
    }
    kind = "probability" if n_outputs == 1 else "distribution"
    calibration = ExpectedCalibrationError(output_kind=kind)
    expected["calibration_error"] = float(calibration(classes, p, weight))
    found = net.evaluate(X, rows, weight)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
        assert net.history[name][-1] == pytest.approx(value, rel=1e-9), name
        assert net.history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("metric", ["log_loss", "brier_score", "calibration_error"])
@pytest.mark.parametrize(
    ("loss", "end", "n_outputs"),
    [
        ("mse", None, 1),
        (HingeLoss(), None, 1),
        ("mse", SigmoidActivation, 2),
        (lambda y, p: (y - p) ** 2, None, 1),
    ],
)
def test_outputs_that_may_be_no_probabilities_are_refused(metric, loss, end, n_outputs):
    X, y, _ = samples()
    rows = np.eye(2)[(y > 0).astype(int)] if n_outputs == 2 else (y > 0).astype(float)
    net = classifier(["accuracy", metric], n_outputs, [end()] if end else [], loss=loss)
    with pytest.raises(ValueError, match=f"metric '{metric}' needs probabilities"):
        net.fit((X, rows))
    assert net.history.epochs == 0
    net.metric = "accuracy"
    net.fit((X, rows))
    for call in (net.evaluate, lambda data, metric: net.score(data, metric=metric)):
        with pytest.raises(ValueError, match="needs probabilities"):
            call((X, rows), metric=metric)


def test_what_outputs_are_may_be_said():
    X, y, _ = samples()
    y = (y > 0).astype(float)
    net = classifier(LogLoss("log-odds"), 1, loss=lambda y, z: (y - z) ** 2, **STILL).fit((X, y))
    expected = LogLoss()(y, odds(net.predict(X)))
    assert net.score((X, y)) == pytest.approx(float(expected), rel=1e-9)


class Savage(ElementwiseLoss):
    """A user's loss, which says what its outputs are."""

    targets = "binary"
    decision_threshold = 0.0
    output_kind = "log-odds"

    def element_loss(self, y_true, y_pred):
        xp = array_namespace(y_pred)
        return 1 / (1 + xp.exp((2 * y_true - 1) * y_pred)) ** 2


@pytest.mark.parametrize("steps", STEPS)
def test_a_users_loss_may_say_what_outputs_are(steps):
    X, y, _ = samples()
    y = (y > 0).astype(int)
    net = classifier(["log_loss", "accuracy"], 1, loss=Savage(), steps=steps, **STILL)
    net.fit((X, y))
    expected = float(LogLoss()(y, odds(net.predict(X))))
    assert net.score((X, y)) == pytest.approx(expected, rel=1e-9)
    assert net.history["log_loss"][-1] == pytest.approx(expected, rel=1e-9)


def test_several_answers_have_rankings_but_no_classes():
    X, y, _ = samples()
    rows = np.stack([y > 0, X[:, 2] > 0], axis=1).astype(float)
    loss = BinaryCrossEntropy(from_logits=True)
    net = classifier(["roc_auc", "average_precision", "binary_accuracy"], 2, loss=loss, **STILL)
    assert_as_evaluated(net.fit((X, rows)), (X, rows))
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    found, z = net.evaluate(X, rows), net.predict(X)
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(rows, z))
    expected = reference.average_precision_score(rows, z)
    assert found["average_precision"] == pytest.approx(expected)
    for name in ("balanced_accuracy", "cohen_kappa"):
        with pytest.raises(ValueError, match="as separate yes-or-no answers: use"):
            net.score((X, rows), metric=name)


def test_samples_to_ignore_do_not_count_in_any_metric():
    X, y, weight = samples()
    marked = y.copy()
    marked[::3] = -1
    kept = marked >= 0
    loss = SoftmaxCrossEntropy(ignore_index=-1)
    metrics = [each for each in SEVERAL if each is not share_of_class_2]
    net = classifier(metrics, loss=loss, **STILL).fit(
        (X, marked, weight), validation=(X, marked, weight)
    )
    expected = net.evaluate(X[kept], y[kept], weight[kept])
    assert net.evaluate(X, marked, weight) == pytest.approx(expected, rel=1e-12)
    for name in net.history.metrics:
        assert net.history[name][-1] == pytest.approx(expected[name], rel=1e-9)


def test_a_metric_follows_the_loss():
    net = classifier(["log_loss", LogLoss("logits").named("fixed"), "accuracy"])
    net.loss = "categorical_cross_entropy"
    assert [each.output_kind for each in net.metric[:2]] == ["distribution", "distribution"]
    net.loss = "mse"
    assert net.metric[0].output_kind is None


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss", "top_k_accuracy"])
def test_metrics_of_classes_refuse_values(metric):
    X, y, _ = samples()
    net = classifier(["mse", metric], 1, loss="mse")
    with pytest.raises(ValueError, match=r"is for classes|needs probabilities|would always be 1"):
        net.fit((X, y * 2.5))


# ---- evaluate


def test_evaluate_has_the_loss_as_validation_computes_it():
    X, y, weight = samples()
    for regularizer in (None, "l2"):
        net = classifier(regularizer=regularizer).fit((X, y, weight), validation=(X, y, weight))
        found = net.evaluate((X, y, weight))
        assert list(found) == ["loss", *NAMES, *(["penalty"] if regularizer else [])]
        assert found["loss"] == pytest.approx(net.history["val_loss"][-1], rel=1e-6)
        for name in NAMES:
            assert found[name] == pytest.approx(net.history[f"val_{name}"][-1], rel=1e-5)
        if regularizer:
            assert found["penalty"] == pytest.approx(net.history["penalty"][-1], rel=1e-6)
        assert net.evaluate(X, y, weight) == found


def test_evaluate_takes_other_metrics():
    X, y, _ = samples()
    net = classifier("accuracy").fit((X, y))
    assert list(net.evaluate(X, y)) == ["loss", "accuracy"]
    assert list(net.evaluate(X, y, metric="f1")) == ["loss", "f1"]
    assert list(net.evaluate(X, y, metric=["f1", "log_loss"])) == ["loss", "f1", "log_loss"]
    assert net.evaluate(X, y, metric="log_loss")["log_loss"] == pytest.approx(
        net.evaluate(X, y)["loss"], rel=1e-6
    )
    net.metric = None
    assert list(net.evaluate(X, y)) == ["loss"]
    with pytest.raises(ValueError, match="no metric: give score"):
        net.score((X, y))


def test_evaluate_computes_the_loss_of_standardised_targets():
    X, _, _ = samples()
    y = 1e6 + 1e3 * X[:, 0]
    net = classifier(["rmse", "r2"], 1, loss="mse", target_unit=(1e6, 1e3)).fit(
        (X, y), validation=(X, y)
    )
    found = net.evaluate(X, y)
    assert found["loss"] == pytest.approx(net.history["val_loss"][-1], rel=1e-6)
    assert found["rmse"] == pytest.approx(1e3 * math.sqrt(found["loss"]), rel=1e-5)


def test_evaluate_on_every_backend(backend):
    X, y, weight = samples(100)
    net = classifier(["accuracy", "roc_auc", "log_loss"], dtype=backend.dtype).fit((X, y))
    expected = net.evaluate(X, y, weight)
    found = net.evaluate(
        move(X, backend, backend.dtype), backend.asarray(y), move(weight, backend, backend.dtype)
    )
    assert found == pytest.approx(expected, rel=1e-5)
    assert all(type(value) is float for value in found.values())


def test_evaluate_refuses_what_score_refuses():
    X, y, _ = samples()
    net = classifier("accuracy")
    with pytest.raises(xpnet.NotFittedError, match="evaluate needs a trained network"):
        net.evaluate(X, y)
    net.fit((X, y))
    with pytest.raises(TypeError, match=r"give features and targets together|expected a Dataset"):
        net.evaluate(X)
    with pytest.raises(ValueError, match="no targets"):
        net.evaluate(xpnet.Dataset(X))
    with pytest.raises(TypeError, match="sample_weight is given without y"):
        net.evaluate(X, sample_weight=np.ones(N))
    with pytest.raises(ValueError, match="X has 2 features"):
        net.evaluate(X[:, :2], y)


# ---- what reads the columns


def test_callbacks_read_the_columns_by_their_names(tmp_path):
    X, y, _ = samples()
    watched = EarlyStopping("val_roc_auc", patience=1)
    best = ModelCheckpoint(tmp_path / "{val_accuracy:.3f}.net", "val_log_loss", best_only=True)
    log = CSVLogger(tmp_path / "log.csv")
    net = classifier().fit((X, y), validation=(X, y), callbacks=[watched, best, log])
    values = net.history["val_roc_auc"]
    assert watched.best_epoch == 1 + values.index(max(values))
    losses = net.history["val_log_loss"]
    expected = f"{net.history['val_accuracy'][losses.index(min(losses))]:.3f}.net"
    assert best.saved[-1] == str(tmp_path / expected)
    header, *rows = csv.reader((tmp_path / "log.csv").read_text().splitlines())
    assert header == list(net.history)
    assert [float(row[header.index("val_roc_auc")]) for row in rows] == values


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("val_roc_auc", "give fit its validation data; it will have epoch, loss, accuracy"),
        ("roc-auc", "did you mean 'roc_auc'"),
        ("nothing like it", "not have: it will have epoch"),
    ],
)
def test_an_unknown_column_suggests_a_known_one(monitor, message):
    X, y, _ = samples()
    with pytest.raises(ValueError, match=message):
        classifier().fit((X, y), callbacks=EarlyStopping(monitor))


def test_a_picture_has_axes_for_each_metric():
    plt = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
    X, y, _ = samples()
    axes = classifier(["accuracy", "log_loss"]).fit((X, y), validation=(X, y)).history.plot()
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy", "log_loss"]
    plt.close("all")


def test_a_search_scores_by_the_first_metric():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from xpnet.search import random_search

    X, y, _ = samples()

    def build(rate, first):
        return classifier([first, "accuracy"], learning_rate=rate, epochs=2)

    space = {"rate": [1e-4, 0.1], "first": ["log_loss"]}
    found = random_search(build, space, (X, y), (X, y), seed=0)
    assert (found.metric, found.mode, found.best["rate"]) == ("log_loss", "min", 0.1)
    space["first"] = ["log_loss", "roc_auc"]
    with pytest.raises(ValueError, match="scores of different metrics cannot be compared"):
        random_search(build, space, (X, y), (X, y), seed=0)


# ---- saved and resumed


def settings(metrics):
    return [(type(each), getattr(each, "__dict__", each)) for each in metrics]


@pytest.mark.parametrize("way", ["file", "pickle", "copy"])
def test_several_metrics_come_back(way, tmp_path):
    pytest.importorskip("safetensors")
    X, y, _ = samples()
    kept = [
        "accuracy", ROCAUC("weighted"), BrierScore(), ExpectedCalibrationError(5), TopKAccuracy(2),
        F1("macro"), F1("weighted").named("weighted_f1"),
    ]  # fmt: skip
    net = classifier(kept).fit((X, y), validation=(X, y))
    if way == "file":
        net.save(tmp_path / "net")
        again = xpnet.load(tmp_path / "net")
    else:
        again = pickle.loads(pickle.dumps(net)) if way == "pickle" else copy.deepcopy(net)
    assert settings(again.metric) == settings(net.metric)
    expected = dict(net.history)
    if way == "file":  # which has no times
        del expected["seconds"]
    assert (again.history, again.history.metrics) == (expected, net.history.metrics)
    assert again.evaluate(X, y) == net.evaluate(X, y)
    net.fit((X, y), validation=(X, y))
    again.fit((X, y), validation=(X, y))
    assert {**again.history, "seconds": 0} == {**net.history, "seconds": 0}


def test_functions_among_several_metrics_are_given_again(tmp_path):
    pytest.importorskip("safetensors")
    X, y, _ = samples()
    classifier(["accuracy", share_of_class_2]).fit((X, y)).save(tmp_path / "net")
    with pytest.warns(UserWarning, match="metric was the function 'share_of_class_2'"):
        net = xpnet.load(tmp_path / "net")
    assert [each.name for each in net.metrics] == ["accuracy"]
    net = xpnet.load(tmp_path / "net", metric=["accuracy", share_of_class_2])
    assert net.metric[1] is share_of_class_2
    assert list(net.history.metrics) == ["accuracy", "share_of_class_2"]


def test_a_resumed_training_has_the_same_columns(tmp_path):
    pytest.importorskip("safetensors")
    X, y, _ = samples()

    def train(epochs, folder):
        net = classifier(steps="formulas")
        return net.fit(
            (X, y), validation=(X, y), epochs=epochs, callbacks=Checkpoint(folder), resume=folder
        )

    whole = train(4, tmp_path / "whole")
    train(2, tmp_path / "parts")
    parts = train(4, tmp_path / "parts")
    assert {**parts.history, "seconds": 0} == {**whole.history, "seconds": 0}
    assert parts.history.metrics == whole.history.metrics
    assert parts.metric[-1] is share_of_class_2
    net = classifier(["accuracy"])
    with pytest.raises(ValueError, match="metric"):
        net.fit((X, y), validation=(X, y), epochs=5, resume=tmp_path / "parts")


@pytest.mark.parametrize(
    ("name", "columns"),
    [("everything", {"accuracy": "max"}), ("regressor", {"rmse": "min"}), ("dense", {})],
)
def test_older_files_have_the_new_names_of_columns(name, columns):
    pytest.importorskip("safetensors")
    folder = Path(__file__).parent / "files" / "xpnet-3"
    history = xpnet.load(folder / f"{name}.safetensors").history
    assert history.metrics == columns
    assert {each for each in history if "metric" in each} == set()
    for each in columns:
        assert np.isfinite(history[each]).all()
        assert (f"val_{each}" in history) == ("val_loss" in history)


def test_what_is_known_of_all_metrics():
    """Which metrics are summed, and which need all samples."""
    collected = {name for name, cls in METRICS.items() if needs_all_samples(cls())}
    assert collected == {"roc_auc", "average_precision"}
    assert needs_all_samples(share_of_class_2)


def test_one_copy_of_the_outputs_is_kept_for_all():
    """Metrics of all samples share what is kept."""
    from xpnet.training import sums

    made = sums.MetricSums([ROCAUC(), ROCAUC().named("again"), share_of_class_2, Accuracy()])
    X, y, _ = samples(10)
    for _ in range(3):
        made.add(y % 2, X[:, :1])
    assert len(made._seen) == 3
    assert to_host(made._seen[0][1]).shape == (10, 1)


@pytest.mark.parametrize(
    "metric", ["r2", "rmse", "mape", "max_error", "explained_variance", QuantileError(0.3)]
)
def test_a_metric_of_numbers_refuses_classes_before_training(metric):
    X, y = np.eye(6), np.arange(6) % 3
    net = NeuralNetwork(2, loss="softmax_cross_entropy", metric=["accuracy", metric], seed=0)
    net.add(DenseLayer(3, (6,)))
    before = net[0].weights.copy()
    name = metric if isinstance(metric, str) else metric.name
    with pytest.raises(ValueError, match=f"metric '{name}' compares each output with a number"):
        net.fit(X, y)
    assert net.history.epochs == 0
    np.testing.assert_array_equal(net[0].weights, before)
    assert net.fit(X, np.eye(3)[y]).history.epochs == 2  # rows of numbers


def test_a_metric_of_numbers_refuses_classes_when_it_is_computed():
    X, y = np.eye(6), np.arange(6) % 3
    net = NeuralNetwork(1, loss="softmax_cross_entropy", seed=0).add(DenseLayer(3, (6,)))
    net.fit(X, y)
    with pytest.raises(ValueError, match="metric 'r2' compares each output with a number"):
        net.score(X, y, metric="r2")
    with pytest.raises(ValueError, match="metric 'MeanSquaredError' compares each output"):
        net.evaluate(X, y, metric=["accuracy", MeanSquaredError()])


@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize(("n_outputs", "kind", "n_bytes"), [
    (1, "log-odds", 9), (2, "logits", 9), (2, "distribution", 9), (4, "logits", 40),
])  # fmt: skip
def test_of_outputs_that_are_only_ranked_few_bytes_are_kept(average, n_outputs, kind, n_bytes):
    from xpnet.training import sums

    rng = np.random.default_rng(0)
    y = rng.integers(0, max(n_outputs, 2), 300)
    outputs = rng.integers(1, 9, (300, n_outputs)) / 8.0  # with many ties
    metrics = [ROCAUC(average, kind), AveragePrecision(average, kind)]
    made, weighted = sums.MetricSums(metrics), sums.MetricSums(metrics)
    for start in range(0, 300, 100):
        part = y[start : start + 100], outputs[start : start + 100].astype(np.float32)
        made.add(*part)
        weighted.add(*part, np.ones(100))
    kept = [to_host(each) for batch in made._seen for each in batch]
    assert sum(each.nbytes for each in kept) == 300 * n_bytes
    expected = [float(to_host(metric(y, outputs))) for metric in metrics]
    for found in (made.results(), made.results(), weighted.results()):
        assert list(found.values()) == pytest.approx(expected, rel=1e-12)


def test_few_bytes_are_kept_of_one_class_and_of_nan():
    from xpnet.training import sums

    for y, outputs in (([1, 1], [0.5, 0.2]), ([0, 0], [0.5, 0.2]), ([0, 1], [np.nan, 0.2])):
        made = sums.MetricSums([ROCAUC()])
        made.add(np.array(y), np.array(outputs)[:, None])
        assert np.isnan(made.results()["roc_auc"])
