"""Metrics: values, batches taken together and weights, on every backend."""

import numpy as np
import pytest

from xpnet import metrics
from xpnet.backends import to_host
from xpnet.metrics import F1, METRICS, R2, RMSE, Accuracy, BinaryAccuracy, Metric, Precision, Recall

N, K = 60, 4


def classification(rng):
    return rng.integers(0, K, N), rng.standard_normal((N, K))


def regression(rng):
    return rng.standard_normal((N, 2)) + 100.0, rng.standard_normal((N, 2)) + 100.0


def bits(rng):
    return rng.integers(0, 2, (N, 3)).astype(float), rng.uniform(0, 1, (N, 3))


DATA = {
    "accuracy": classification,
    "binary_accuracy": bits,
    "mse": regression,
    "mae": regression,
    "rmse": regression,
    "r2": regression,
    "precision": classification,
    "recall": classification,
    "f1": classification,
}

sklearn_metrics = {
    "accuracy": ("accuracy_score", {}),
    "mse": ("mean_squared_error", {}),
    "mae": ("mean_absolute_error", {}),
    "rmse": ("root_mean_squared_error", {}),
    "r2": ("r2_score", {}),
    "precision": ("precision_score", {"average": "macro", "zero_division": 0}),
    "recall": ("recall_score", {"average": "macro", "zero_division": 0}),
    "f1": ("f1_score", {"average": "macro", "zero_division": 0}),
}


def on(backend, y, p):
    y = backend.asarray(y) if y.dtype.kind == "i" else backend.asarray(y, backend.dtype)
    return y, backend.asarray(p, backend.dtype)


def test_every_metric_is_tested():
    assert set(DATA) == set(METRICS)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_taken_together_give_the_whole(name, weighted, backend, rng):
    metric, (y, p) = METRICS[name](), DATA[name](rng)
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
    tolerance = 1e-12 if backend.dtype == "float64" else 2e-3 if name == "r2" else 1e-4
    whole = metric(y, p, weight if weighted else None)
    np.testing.assert_allclose(to_host(got), whole, rtol=tolerance)


@pytest.mark.parametrize("name", sklearn_metrics)
@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_scikit_learns(name, weighted, rng):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    function, arguments = sklearn_metrics[name]
    y, p = DATA[name](rng)
    if name == "rmse":  # with several outputs, theirs is the mean of the roots
        y, p = y[:, :1], p[:, :1]
    weight = rng.uniform(0, 2, N) if weighted else None
    predicted = p.argmax(axis=1) if y.ndim == 1 else p
    expected = getattr(reference, function)(y, predicted, sample_weight=weight, **arguments)
    np.testing.assert_allclose(METRICS[name]()(y, p, weight), expected, rtol=1e-12)


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
    with pytest.raises(ValueError, match="average='micro': expected 'auto', 'binary'"):
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


def test_an_empty_batch_has_the_metric_0_or_the_like(backend):
    empty = backend.zeros((0, 1))
    for name in ("accuracy", "mse", "rmse", "f1"):
        assert to_host(METRICS[name]()(empty[:, 0], empty)) == 0.0


@pytest.mark.parametrize("name", METRICS)
def test_lengths_that_differ_are_refused(name):
    with pytest.raises(ValueError, match="fit"):
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
        ((np.zeros((1, 2)), np.zeros((3, 2))), ValueError, "does not fit y_pred"),
    ],
)
def test_what_does_not_belong_together_is_refused(name, arguments, error, message):
    with pytest.raises(error, match=message):
        METRICS[name]()(*arguments)


def test_r2_of_predictions_that_are_nan_is_nan():
    assert np.isnan(R2()(np.array([1.0, 2.0, 3.0]), np.full((3, 1), np.nan)))
    assert np.isnan(R2()(np.ones(3), np.array([[1.0], [np.nan], [1.0]])))
