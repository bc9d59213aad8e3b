"""Metrics: values, batches taken together and weights, on every backend."""

import copy
import pickle
import pydoc

import numpy as np
import pytest

import xpnet
from xpnet import DenseLayer, NeuralNetwork, metrics
from xpnet.backends import to_host
from xpnet.metrics import (
    F1,
    METRICS,
    R2,
    RMSE,
    ROCAUC,
    Accuracy,
    AveragePrecision,
    BinaryAccuracy,
    BrierScore,
    CohenKappa,
    ExpectedCalibrationError,
    LogLoss,
    MatthewsCorrelation,
    Metric,
    Precision,
    QuantileError,
    Recall,
    TopKAccuracy,
)

N, K = 60, 4


def classification(rng):
    return rng.integers(0, K, N), rng.standard_normal((N, K))


def regression(rng):
    return rng.standard_normal((N, 2)) + 100.0, rng.standard_normal((N, 2)) + 100.0


def bits(rng):
    return rng.integers(0, 2, (N, 3)).astype(float), rng.uniform(0, 1, (N, 3))


def answers(rng):
    return rng.integers(0, 2, N), rng.uniform(0, 1, (N, 1)).round(1)  # with equal outputs


def distributions(rng):
    p = rng.dirichlet(np.ones(K), N)
    return rng.integers(0, K, N), p


def positive(rng):
    y = rng.uniform(1, 3, (N, 2))
    return y, y + rng.standard_normal((N, 2))


def shifted(rng):
    y, p = regression(rng)
    return y, p + 0.5


def errors(rng):
    y, p = regression(rng)
    return y[:, :1], p[:, :1]


DATA = {
    "accuracy": classification,
    "average_precision": answers,
    "balanced_accuracy": classification,
    "binary_accuracy": bits,
    "brier_score": distributions,
    "calibration_error": distributions,
    "cohen_kappa": classification,
    "explained_variance": shifted,
    "f1": classification,
    "log_loss": distributions,
    "mae": regression,
    "mape": positive,
    "matthews_corrcoef": classification,
    "max_error": errors,
    "mse": regression,
    "precision": classification,
    "quantile_error": regression,
    "r2": regression,
    "recall": classification,
    "rmse": regression,
    "roc_auc": answers,
    "top_k_accuracy": classification,
}

# The functions of scikit-learn, and whether they take outputs (or the predicted classes).
SCIKIT = {
    "accuracy": ("accuracy_score", {}, False),
    "average_precision": ("average_precision_score", {}, True),
    "balanced_accuracy": ("balanced_accuracy_score", {}, False),
    "brier_score": ("brier_score_loss", {}, True),
    "cohen_kappa": ("cohen_kappa_score", {}, False),
    "explained_variance": ("explained_variance_score", {}, True),
    "f1": ("f1_score", {"average": "macro", "zero_division": 0}, False),
    "log_loss": ("log_loss", {}, True),
    "mae": ("mean_absolute_error", {}, True),
    "mape": ("mean_absolute_percentage_error", {}, True),
    "matthews_corrcoef": ("matthews_corrcoef", {}, False),
    "max_error": ("max_error", {}, True),
    "mse": ("mean_squared_error", {}, True),
    "precision": ("precision_score", {"average": "macro", "zero_division": 0}, False),
    "quantile_error": ("mean_pinball_loss", {}, True),
    "r2": ("r2_score", {}, True),
    "recall": ("recall_score", {"average": "macro", "zero_division": 0}, False),
    "rmse": ("root_mean_squared_error", {}, True),
    "roc_auc": ("roc_auc_score", {}, True),
    "top_k_accuracy": ("top_k_accuracy_score", {"k": 2, "labels": range(K)}, True),
}
SUMMED_DIFFERENCES = ("r2", "explained_variance", "cohen_kappa", "matthews_corrcoef")


def make(name):
    return TopKAccuracy(2) if name == "top_k_accuracy" else METRICS[name]()


def on(backend, y, p):
    y = backend.asarray(y) if y.dtype.kind == "i" else backend.asarray(y, backend.dtype)
    return y, backend.asarray(p, backend.dtype)


def test_every_metric_is_tested():
    assert set(DATA) == set(METRICS)
    assert set(METRICS) - set(SCIKIT) == {"binary_accuracy", "calibration_error"}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_taken_together_give_the_whole(name, weighted, backend, rng):
    metric, (y, p) = make(name), DATA[name](rng)
    weight = rng.uniform(0, 2, N)
    statistics = None
    for start, stop in ((0, 7), (7, 7), (7, 41), (41, N)):
        part = on(backend, y[start:stop], p[start:stop])
        part = (*part, backend.asarray(weight[start:stop], backend.dtype) if weighted else None)
        new = metric.statistics(*part)
        statistics = new if statistics is None else metric.merge(statistics, new)
    got = metric.result(statistics)
    assert got.shape == ()
    assert backend.owns(got)
    tolerance = 2e-3 if name in SUMMED_DIFFERENCES else 1e-4
    if backend.dtype == "float64":
        tolerance = 1e-10
    whole = metric(y, p, weight if weighted else None)
    np.testing.assert_allclose(to_host(got), whole, rtol=tolerance)


@pytest.mark.parametrize("name", SCIKIT)
@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_scikit_learns(name, weighted, backend, rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    function, arguments, takes_outputs = SCIKIT[name]
    y, p = DATA[name](rng)
    if name == "rmse":  # with several outputs, theirs is the mean of the roots
        y, p = y[:, :1], p[:, :1]
    weight = rng.uniform(0, 2, N) if weighted else None
    if weighted:
        weight[:5] = 0.0
        arguments = arguments | {"sample_weight": weight}
    if name == "max_error":
        arguments.pop("sample_weight", None)
        y[:5] = p[:5]  # those of weight 0 do not count
    predicted = p if takes_outputs else p.argmax(axis=1)
    if predicted.shape[1:] == (1,):
        predicted = predicted[:, 0]
    expected = getattr(reference, function)(y, predicted, **arguments)
    given = None if weight is None else backend.asarray(weight, backend.dtype)
    tolerance = 2e-3 if name in SUMMED_DIFFERENCES else 1e-4
    if backend.dtype == "float64":
        tolerance = 1e-10
    got = to_host(make(name)(*on(backend, y, p), given))
    np.testing.assert_allclose(got, expected, rtol=tolerance)


def test_confusion_matrix_is_scikit_learns(backend, rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y, p = classification(rng)
    got = to_host(metrics.confusion_matrix(*on(backend, y, p)))
    np.testing.assert_array_equal(got, reference.confusion_matrix(y, p.argmax(axis=1)))


def test_worked_by_hand(backend):
    y = backend.asarray(np.array([0, 0, 1, 1]))
    p = backend.asarray([[0.1], [0.9], [0.8], [0.7]], backend.dtype)
    by_hand = {Accuracy(): 3 / 4, Precision(): 2 / 3, Recall(): 1.0, F1(): 4 / 5}
    for metric, expected in by_hand.items():
        np.testing.assert_allclose(to_host(metric(y, p)), expected, rtol=1e-6)
    y, p = on(backend, np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [5.0]]))
    by_hand = {"mse": 4 / 3, "mae": 2 / 3, "rmse": np.sqrt(4 / 3), "r2": -1.0}
    for name, expected in by_hand.items():
        np.testing.assert_allclose(to_host(METRICS[name]()(y, p)), expected, rtol=1e-6)


def test_averages_over_classes(rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y, p = classification(rng)
    y[y == 2], p[:, 3] = 1, -9.0  # a class that is never true, and one never predicted
    for average in ("macro", "weighted"):
        expected = reference.f1_score(y, p.argmax(axis=1), average=average, zero_division=0)
        np.testing.assert_allclose(F1(average)(y, p), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="unknown average 'micro'"):
        F1("micro")


def test_one_hot_targets_are_classes(rng):
    y, p = classification(rng)
    assert metrics.accuracy(np.eye(K)[y], p) == metrics.accuracy(y, p)
    assert metrics.f1(np.eye(K)[y], p) == metrics.f1(y, p)


def test_the_threshold_of_logits_is_0():
    y, z = np.array([0, 1, 1]), np.array([[-1.0], [0.3], [2.0]])
    assert Accuracy(threshold=0.0)(y, z) == 1.0
    assert Accuracy()(y, z) == pytest.approx(2 / 3)
    assert BinaryAccuracy(threshold=0.0)(y, z) == 1.0


def test_r2_of_targets_that_do_not_vary():
    y = np.ones((5, 1))
    assert R2()(y, y) == 1.0
    assert R2()(y, y + 1) == 0.0


def test_r2_does_not_cancel_for_targets_far_from_0(rng):
    y = (1e4 + rng.standard_normal((1000, 1))).astype(np.float32)
    p = (y + 0.1 * rng.standard_normal(y.shape)).astype(np.float32)
    metric, parts = R2(), [slice(0, 300), slice(300, 1000)]
    merged = metric.merge(*(metric.statistics(y[part], p[part]) for part in parts))
    exact = metric(y.astype(float), p.astype(float))
    np.testing.assert_allclose(metric.result(merged), exact, rtol=1e-3)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_nan_if_no_sample_counts(name, backend, rng):
    y, p = on(backend, *DATA[name](rng))
    metric, none = make(name), backend.zeros((N,))
    assert np.isfinite(to_host(metric(y, p, none + 1.0)))
    assert np.isnan(to_host(metric(y, p, none)))
    parts = [metric.statistics(y[k, ...], p[k, ...], none[k]) for k in (slice(9), slice(9, N))]
    assert np.isnan(to_host(metric.result(metric.merge(*parts))))


def test_an_empty_batch_has_no_metric(backend):
    empty = backend.zeros((0, 1))
    for name in ("accuracy", "mse", "rmse", "f1", "max_error", "log_loss", "brier_score", "mape"):
        assert np.isnan(to_host(METRICS[name]()(empty[:, 0], empty)))


@pytest.mark.parametrize("name", METRICS)
def test_lengths_that_differ_are_refused(name):
    with pytest.raises(ValueError, match="y_true has shape"):
        METRICS[name]()(np.zeros((3, 1)), np.zeros((4, 1)))


def test_a_users_metric_is_a_few_lines(backend):
    class Bias(Metric):
        name = "bias"

        def statistics(self, y_true, y_pred, sample_weight=None):
            xp = backend.xp
            return xp.stack([xp.sum(y_pred - y_true), xp.sum(xp.ones_like(y_pred))])

        def result(self, statistics):
            return statistics[0] / statistics[1]

    y, p = on(backend, np.array([[1.0], [2.0]]), np.array([[2.0], [2.5]]))
    assert to_host(Bias()(y, p)) == 0.75


def test_rmse_is_the_root_of_the_whole_and_not_a_mean_of_roots():
    metric = RMSE()
    parts = [metric.statistics(np.zeros((1, 1)), np.full((1, 1), size)) for size in (1.0, 7.0)]
    assert metric.result(metric.merge(*parts)) == 5.0


def test_r2_of_targets_that_vary_by_rounding_alone():
    y = np.full((7, 1), 0.1, dtype=np.float32)
    assert R2()(y, y + np.float32(1e-3)) == 0.0
    assert R2()(y, y) == 1.0


def test_probabilities_as_targets_of_one_output_are_classes():
    assert Accuracy()(np.array([0.9, 0.1, 0.6]), np.array([[0.8], [0.3], [0.2]])) == pytest.approx(
        2 / 3
    )


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (np.zeros(3), np.zeros(3)),
            ValueError,
            r"y_pred has shape \(3,\): expected \(n, n_outputs\)",
        ),
        (([0, 1], [[0.0], [1.0]]), TypeError, "y_true is list: expected an array"),
        ((np.zeros(3), np.zeros((3, 1)), np.ones((3, 1))), ValueError, "sample_weight has shape"),
        (
            (np.zeros((1, 2)), np.zeros((3, 2))),
            ValueError,
            r"y_true has shape \(1, 2\), but y_pred has \(3, 2\): expected \(3,\), \(3, 1\)",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(name, arguments, error, message):
    with pytest.raises(error, match=message):
        METRICS[name]()(*arguments)


def test_r2_of_predictions_that_are_nan_is_nan():
    assert np.isnan(R2()(np.array([1.0, 2.0, 3.0]), np.full((3, 1), np.nan)))
    assert np.isnan(R2()(np.ones(3), np.array([[1.0], [np.nan], [1.0]])))


# ---- rankings


@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize("kind", ["logits", "distribution", "log-distribution"])
def test_rankings_of_several_classes_compare_each_with_the_rest(average, kind, backend, rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y, z = classification(rng)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    outputs = {"logits": z, "distribution": p, "log-distribution": np.log(p)}[kind]
    weight = rng.uniform(0, 2, N)
    given = (*on(backend, y, outputs), backend.asarray(weight, backend.dtype))
    found = [to_host(cls(average, kind)(*given)) for cls in (ROCAUC, AveragePrecision)]
    expected = [
        reference.roc_auc_score(y, p, sample_weight=weight, multi_class="ovr", average=average),
        reference.average_precision_score(y, p, sample_weight=weight, average=average),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9 if backend.dtype == "float64" else 1e-4)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_rankings_of_several_answers(average, backend, rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y, p = bits(rng)
    found = [to_host(cls(average)(*on(backend, y, p))) for cls in (ROCAUC, AveragePrecision)]
    functions = reference.roc_auc_score, reference.average_precision_score
    expected = [function(y, p, average=average) for function in functions]
    np.testing.assert_allclose(found, expected, rtol=1e-9 if backend.dtype == "float64" else 1e-4)


@pytest.mark.parametrize("cls", [ROCAUC, AveragePrecision])
def test_rankings_of_two_classes_are_those_of_class_1(cls, rng):
    y, z = rng.integers(0, 2, N), rng.standard_normal((N, 2))
    margin = z[:, 1:] - z[:, :1]
    assert cls(output_kind="logits")(y, z) == cls()(y, margin)
    assert cls(output_kind="logits")(y, 50 * z) == cls()(y, margin)  # not of rounded probabilities


def test_rankings_leave_out_what_is_not_defined(backend, rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y, p = bits(rng)
    y[:, 1], y[:, 2] = 0.0, 1.0
    got = to_host(ROCAUC()(*on(backend, y, p)))
    expected = reference.roc_auc_score(y[:, 0], p[:, 0])
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    for cls, target in ((ROCAUC, 0.0), (ROCAUC, 1.0), (AveragePrecision, 0.0)):
        assert np.isnan(to_host(cls()(*on(backend, np.full((3, 1), target), p[:3, :1]))))
    assert to_host(AveragePrecision()(*on(backend, np.ones((3, 1)), p[:3, :1]))) == 1.0


@pytest.mark.parametrize("cls", [ROCAUC, AveragePrecision])
def test_a_ranking_of_nan_is_nan(cls):
    assert np.isnan(cls()(np.array([0, 1, 1]), np.array([[0.1], [np.nan], [0.9]])))


# ---- probabilities


@pytest.mark.parametrize("name", ["log_loss", "brier_score", "calibration_error"])
def test_what_outputs_are_makes_no_difference(name, backend, rng):
    y, z = classification(rng)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    forms = {"logits": z, "distribution": p, "log-distribution": np.log(p), None: p}
    values = [to_host(METRICS[name](output_kind=k)(*on(backend, y, x))) for k, x in forms.items()]
    np.testing.assert_allclose(values, values[0], rtol=1e-9 if backend.dtype == "float64" else 1e-4)
    y, z = y % 2, z[:, :1]
    p = 1 / (1 + np.exp(-z))
    forms = {"log-odds": z, "probability": p, None: p}
    values = [to_host(METRICS[name](output_kind=k)(*on(backend, y, x))) for k, x in forms.items()]
    np.testing.assert_allclose(values, values[0], rtol=1e-9 if backend.dtype == "float64" else 1e-4)


def test_the_log_loss_of_logits_is_not_of_rounded_probabilities():
    y, z = np.array([0, 1]), np.array([[0.0, 800.0], [0.0, 800.0]])
    assert LogLoss("logits")(y, z) == 400.0
    assert LogLoss("log-odds")(np.array([0]), np.array([[800.0]])) == 800.0
    assert LogLoss()(np.array([0]), np.array([[1.0]])) == pytest.approx(36.0437, rel=1e-5)


def test_the_brier_score_of_one_and_of_two_outputs_is_the_same(rng):
    y, p = answers(rng)
    assert BrierScore()(y, p) == pytest.approx(BrierScore()(y, np.hstack([1 - p, p])), rel=1e-12)


@pytest.mark.parametrize("n_outputs", [1, K])
def test_the_calibration_error_is_a_sum_over_bins(n_outputs, backend, rng):
    y, p = distributions(rng)
    if n_outputs == 1:
        y, p = y % 2, rng.uniform(0, 1, (N, 1))
        p[:3, 0] = 0.0, 0.5, 1.0
    weight = rng.uniform(0, 2, N)
    confidence = p.max(axis=1)
    outcome = y if n_outputs == 1 else p.argmax(axis=1) == y
    expected = 0.0
    for low in range(10):
        inside = (confidence > low / 10) & (confidence <= (low + 1) / 10)
        inside |= (low == 0) & (confidence == 0)
        if inside.any():
            share = weight[inside].sum() / weight.sum()
            mean = [np.average(x[inside], weights=weight[inside]) for x in (outcome, confidence)]
            expected += share * abs(mean[0] - mean[1])
    metric, given = ExpectedCalibrationError(10), backend.asarray(weight, backend.dtype)
    got = to_host(metric(*on(backend, y, p), given))
    np.testing.assert_allclose(got, expected, rtol=1e-9 if backend.dtype == "float64" else 1e-4)


@pytest.mark.parametrize(
    ("metric", "n_outputs", "message"),
    [
        (LogLoss("logits"), 1, "which is for several outputs"),
        (LogLoss("log-odds"), 2, "y_true has shape"),
        (BrierScore("probability"), 3, "y_true has shape"),
    ],
)
def test_a_kind_of_outputs_for_another_number_of_them_is_refused(metric, n_outputs, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array([0, 1]), np.full((2, n_outputs), 0.5))


# ---- settings


def test_the_first_of_the_best_is_the_accuracy(backend, rng):
    y, p = classification(rng)
    p = p.round()  # with equal outputs
    given = on(backend, y, p)
    assert to_host(TopKAccuracy(1)(*given)) == to_host(Accuracy()(*given))
    ranks = (p > np.take_along_axis(p, y[:, None], 1)).sum(axis=1)
    assert to_host(TopKAccuracy(3)(*given)) <= np.mean(ranks < 3) + 1e-6
    assert to_host(TopKAccuracy(1)(*on(backend, y, np.full((N, K), np.nan)))) == 0.0


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_kappa_of_classes_in_an_order(weights, rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    y, p = classification(rng)
    expected = reference.cohen_kappa_score(y, p.argmax(axis=1), weights=weights)
    assert CohenKappa(weights)(y, p) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric", [MatthewsCorrelation(), CohenKappa()])
def test_predictions_of_one_class_have_no_correlation(metric, backend):
    y, p = np.array([0, 1, 1, 0, 1]), np.full((5, 1), 0.9)
    weight = backend.asarray([0.1, 0.7, 0.3, 0.5, 0.9], backend.dtype)
    assert to_host(metric(*on(backend, y, p), weight)) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.975])
def test_the_quantile_error_is_least_at_the_quantile(quantile, rng):
    y, error = rng.standard_normal(1000), QuantileError(quantile)
    best = np.quantile(y, quantile)
    at, below, above = (float(error(y, np.full((1000, 1), best + d))) for d in (0, -0.2, 0.2))
    assert at < min(below, above)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopKAccuracy(0), "k=0: expected a whole number"),
        (lambda: QuantileError(1.0), "quantile=1.0: expected a number between 0 and 1"),
        (lambda: LogLoss("logit"), "unknown output_kind 'logit': did you mean 'logits'"),
        (lambda: ExpectedCalibrationError(0), "bins=0"),
        (lambda: ExpectedCalibrationError(10**6), "bins=1000000: expected at most 10,000"),
        (lambda: TopKAccuracy(10**5000), "k=a whole number of .* expected at most"),
        (lambda: ROCAUC("micro"), "unknown average 'micro'"),
        (lambda: CohenKappa("cubic"), "unknown weights 'cubic'"),
        (lambda: TopKAccuracy(3)(np.array([0]), np.zeros((1, 3))), "would always be 1"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("metric", [TopKAccuracy(3), QuantileError(0.9), F1("macro").named("m")])
def test_names_of_metrics_are_identifiers(metric):
    assert metric.name.isidentifier()  # for paths such as "{val_top_3_accuracy:.3f}"


@pytest.mark.parametrize(
    "name", ["accuracy", "f1", "mae", "mse", "precision", "r2", "recall", "rmse"]
)
def test_help_of_a_metric_that_is_called_describes_the_call(name):
    metric = getattr(xpnet.metrics, name)
    text = pydoc.render_doc(metric, renderer=pydoc.plaintext)
    summary = type(metric).__doc__.partition("\n")[0]
    for part in (f"{name}(y_true, y_pred, sample_weight=None)", summary, "Returns", "Raises"):
        assert part in text
    assert "Methods" not in text
    assert "Methods" in pydoc.render_doc(type(metric), renderer=pydoc.plaintext)
    for again in (copy.copy(metric), pickle.loads(pickle.dumps(metric)), metric.named("other")):
        assert again.__doc__ == type(metric).__doc__


def test_a_metric_with_help_of_its_own_is_saved_with_a_network(tmp_path):
    net = NeuralNetwork(epochs=1, metric=xpnet.metrics.mae, seed=0).add(DenseLayer(1, (2,)))
    net.fit(np.eye(2), [0.0, 1.0]).save(tmp_path / "net")
    assert repr(xpnet.load(tmp_path / "net").metric) == "MAE()"
