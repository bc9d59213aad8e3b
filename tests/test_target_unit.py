"""Regression targets keep their digits: target units, scores in float64, warnings."""

import copy
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    explained_variance_score,
    max_error,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_squared_error,
    r2_score,
)

import xpnet
from tests.conftest import opened
from xpnet import (
    Adam,
    DenseLayer,
    EarlyStopping,
    NeuralNetwork,
    TanhActivation,
    load,
)
from xpnet.backends import array_namespace, backend_of, move, to_host
from xpnet.data import one_hot
from xpnet.data.digits import precision_problem
from xpnet.losses import LOSSES, LossFunction, MeanSquaredError
from xpnet.metrics import METRICS, Metric
from xpnet.search import find_learning_rate
from xpnet.training.metric_settings import name_of
from xpnet.training.target_unit import standardised, suggested_unit

OF_VALUES = [
    name
    for name, metric in METRICS.items()
    if not metric.one_class_per_sample and not metric.of_classes
]
OTHER_LOSSES = [name for name, loss in LOSSES.items() if loss.targets != "values"]

SCIKIT = {
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
    "rmse": lambda *values, **weight: math.sqrt(mean_squared_error(*values, **weight)),
    "r2": r2_score,
    "explained_variance": explained_variance_score,
    "mape": mean_absolute_percentage_error,
    "max_error": lambda y, p, sample_weight=None: max_error(y, p),
    "quantile_error": mean_pinball_loss,
}


def build(unit=None, metric="r2", n_outputs=1, **arguments):
    """Return a small network that learns fast."""
    net = NeuralNetwork(
        **{"epochs": 15, "batch_size": 16, "optimizer": Adam(0.02), "seed": 0} | arguments,
        metric=metric,
        target_unit=unit,
    )
    net.add(DenseLayer(8, input_shape=(2,))).add(TanhActivation())
    return net.add(DenseLayer(n_outputs))


def targets(mean, scale, n=96, n_outputs=1):
    """Return features, and targets with a mean and a scale that depend on the features."""
    rng = np.random.default_rng(7)
    X = rng.standard_normal((n, 2))
    shape = np.stack([X[:, 0] - 0.5 * X[:, 1], X[:, 1]][:n_outputs], axis=1)
    return X, mean + scale * (shape[:, 0] if n_outputs == 1 else shape)


def plain_mae(y_true, y_pred, sample_weight=None):
    """Return the mean absolute error, as a user's function does."""
    xp = array_namespace(y_pred)
    error = xp.mean(xp.abs(xp.reshape(y_true, y_pred.shape) - y_pred), axis=1)
    if sample_weight is None:
        return xp.mean(error)
    return xp.sum(error * sample_weight) / xp.sum(sample_weight)


class LargestError(Metric):
    """A user's metric, whose statistics are not summed."""

    name = "largest_error"
    greater_is_better = False

    def statistics(self, y_true, y_pred, sample_weight=None):
        xp = array_namespace(y_pred)
        return xp.max(xp.abs(xp.reshape(y_true, y_pred.shape) - y_pred))

    def merge(self, a, b):
        return array_namespace(a).maximum(a, b)

    def result(self, statistics):
        return statistics


# ---- scores are of what predict returns


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", OF_VALUES)
@pytest.mark.parametrize("with_unit", [False, True])
def test_a_score_compares_what_predict_returns_with_the_targets(
    with_unit, metric, weighted, backend
):
    X, y = targets(1.7e9, 300.0)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(X)) if weighted else None
    net = build(suggested_unit(y) if with_unit else None, device="cpu")
    net.epochs = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        net.fit((X, y))
    net.to(backend.with_dtype("float32"))
    answers = to_host(net.predict(move(X, backend, backend.dtype))).astype(np.float64)
    score = net.score((X, y) if weight is None else (X, y, weight), metric=metric)
    expected = SCIKIT[metric](y, answers[:, 0], sample_weight=weight)
    assert score == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", [*OF_VALUES, plain_mae, LargestError()])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("kernels", ["formulas", "compiled"])
def test_the_history_is_in_the_unit_of_the_targets(metric, n_outputs, kernels, monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    X, y = targets(-4e7, 0.25, n_outputs=n_outputs)
    net = build(suggested_unit(y), metric, n_outputs, epochs=4).fit((X, y), validation=(X, y))
    name = name_of(net.metric)
    assert net.history[f"val_{name}"][-1] == pytest.approx(net.score((X, y)), rel=1e-4)
    # With a learning rate of 0, the metric of the training is the metric of the final network.
    still = build(suggested_unit(y), metric, n_outputs, epochs=1, optimizer=Adam(1e-30))
    still.fit((X, y))
    assert still.history[name][-1] == pytest.approx(still.score((X, y)), rel=1e-4)


def test_the_history_of_every_backend_is_in_the_unit_of_the_targets(backend):
    X, y = targets(1.7e9, 300.0)
    net = build(suggested_unit(y), "rmse", epochs=8, device="cpu")
    net.backend = backend.with_dtype("float32")
    net.reset()
    net.fit((X, y), validation=(X, y))
    expected = math.sqrt(mean_squared_error(y, to_host(net.predict(X))[:, 0]))
    assert net.history["val_rmse"][-1] == pytest.approx(expected, rel=1e-4)
    assert expected < 250.0


# ---- training


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    exponent=st.integers(-12, 12),
    offset=st.floats(-1e6, 1e6),
    steps=st.sampled_from(["formulas", "compiled"]),
)
def test_training_does_not_depend_on_the_unit(exponent, offset, steps):
    scale = 10.0**exponent
    X, y = targets(0.0, 1.0)
    _, other = targets(offset * scale, scale)
    first = build((0.0, 1.0), epochs=5, steps=steps).fit((X, y))
    second = build((offset * scale, scale), epochs=5, steps=steps).fit((X, other))
    np.testing.assert_allclose(second.history["loss"], first.history["loss"], rtol=1e-4)
    assert second.score((X, other)) == pytest.approx(first.score((X, y)), rel=1e-4)
    shifted = (second.predict(X) - offset * scale) / scale
    np.testing.assert_allclose(shifted, first.predict(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["numpy", "strict", "no_float64", "torch"])
def test_predictions_are_float64_where_the_device_has_it_and_numpys_elsewhere(kind):
    with opened(kind) as backend:
        X, y = targets(1.7e9, 300.0)
        net = build(suggested_unit(y)).fit((X, y))
        answers = net.predict(move(X, backend, backend.dtype))
        has_it = backend.dtype == "float64"
        assert backend_of(answers).name == (backend.name if has_it else "numpy")
        assert str(answers.dtype).rpartition(".")[2] == "float64"
        assert r2_score(y, to_host(answers)[:, 0]) > 0.9


def test_integer_targets_keep_all_their_digits():
    for dtype, start in [(np.int64, 2**60), (np.int64, -(2**62)), (np.uint64, 2**63 + 2**62)]:
        y = np.array([start + k for k in range(-5, 6)], dtype)
        np.testing.assert_array_equal(standardised(y, (float(start), 0.5)), np.arange(-10, 11, 2))
    y = np.array([np.iinfo(np.int64).min, -1, 0, 1, np.iinfo(np.int64).max])
    np.testing.assert_allclose(standardised(y, (0.0, 2.0**63)), [-1, 0, 0, 0, 1], atol=1e-18)


def test_targets_beyond_the_range_of_float64_are_refused():
    X, y = targets(0.0, 1e300)
    with pytest.raises(ValueError, match=r"makes it larger than float64 can hold: give the mean"):
        build((0.0, 1e-300)).fit((X, y))
    with pytest.raises(ValueError, match="beyond what float32 holds"):
        build((0.0, 1e200)).fit((X, y))


def test_targets_that_are_all_the_same_are_answered(rng):
    X, y = rng.standard_normal((40, 2)), np.full(40, 123456789.25)
    assert suggested_unit(y) == (123456789.25, 1.0)
    assert suggested_unit(np.zeros(3)) == (0.0, 1.0)
    net = build(suggested_unit(y), epochs=40).fit((X, y))
    np.testing.assert_allclose(net.predict(X), 123456789.25, atol=0.1)


@pytest.mark.parametrize("power", [-300, -160, 0, 160, 300])
def test_a_suggested_unit_is_right_at_any_magnitude(power, rng):
    values = rng.standard_normal(1000)
    mean, scale = suggested_unit(values * 10.0**power)
    assert mean / 10.0**power == pytest.approx(values.mean())
    assert scale / 10.0**power == pytest.approx(values.std())


# ---- the rest of a network's life


def test_a_file_has_the_unit_to_the_last_bit(tmp_path):
    X, y = targets(1.7e9, 300.0)
    unit = (1.7e9 + 1 / 3, math.pi * 1e2)
    net = build(unit).fit((X, y))
    net.save(tmp_path / "net.safetensors")
    again = load(tmp_path / "net.safetensors")
    assert again.target_unit == unit
    np.testing.assert_array_equal(again.predict(X), net.predict(X))
    assert again.score((X, y), metric="rmse") == net.score((X, y), metric="rmse")
    np.testing.assert_array_equal(again.fit((X, y)).predict(X), net.fit((X, y)).predict(X))


def test_going_on_resetting_copying_and_stopping_early_keep_the_unit():
    X, y = targets(1.7e9, 300.0)
    whole = build(suggested_unit(y), epochs=6).fit((X, y))
    halves = build(suggested_unit(y), epochs=6).fit((X, y), epochs=3).fit((X, y), epochs=3)
    np.testing.assert_array_equal(halves.predict(X), whole.predict(X))
    again = copy.deepcopy(whole).reset()
    assert again.target_unit == whole.target_unit
    np.testing.assert_array_equal(again.fit((X, y)).predict(X), whole.predict(X))
    stop = EarlyStopping("val_rmse", patience=0, min_delta=1.0)
    stopped = build(suggested_unit(y), "rmse", epochs=200).fit(
        (X, y), validation=(X, y), callbacks=stop
    )
    assert stopped.history.epochs < 200
    best = stopped.history["val_rmse"][stop.best_epoch - 1]
    assert stopped.score((X, y)) == pytest.approx(best, rel=1e-4)


def test_inspection_learning_rates_and_batches_see_standardised_targets():
    X, y = targets(1.7e9, 300.0)
    net = build(suggested_unit(y))
    plain = build().fit((X, standardised(y, suggested_unit(y))), epochs=1)
    assert net.inspect((X, y)).loss == pytest.approx(
        build().inspect((X, standardised(y, suggested_unit(y)))).loss, rel=1e-5
    )
    assert 1e-5 < find_learning_rate(net, (X, y)).suggestion < 10.0
    batches = [batch for _, batch in net.get_mini_batches(X, y, shuffle=False)]
    np.testing.assert_allclose(
        np.concatenate(batches), standardised(y, suggested_unit(y)), rtol=1e-6, atol=1e-6
    )
    assert net.memory_plan(n_samples=96).total == plain.memory_plan(n_samples=96).total


def test_stored_features_are_scored_like_those_in_memory(tmp_path):
    X, y = targets(1.7e9, 300.0, n=3000)
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = build(suggested_unit(y), "rmse", epochs=2).fit((stored, y), validation=(stored, y))
    expected = math.sqrt(mean_squared_error(y, net.predict(stored)[:, 0]))
    assert net.score((stored, y)) == pytest.approx(expected, rel=1e-6)
    assert net.history["val_rmse"][-1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "unit",
    [1.0, (1.0,), (1.0, 0.0), (1.0, -2.0), (math.nan, 1.0), (0.0, math.inf), ("a", 1.0), "ab"],
)
def test_invalid_target_units_are_refused(unit):
    with pytest.raises(ValueError, match=r"expected \(mean, scale\), two finite numbers"):
        NeuralNetwork(target_unit=unit)


@pytest.mark.parametrize("loss", OTHER_LOSSES)
def test_losses_of_other_targets_have_no_unit(loss):
    with pytest.raises(ValueError, match="for losses whose targets are values"):
        NeuralNetwork(loss=loss, target_unit=(0.0, 1.0))


def test_a_loss_that_does_not_say_what_its_targets_are_has_no_unit():
    class Own(LossFunction):
        loss = derivative = MeanSquaredError.loss

    with pytest.raises(ValueError, match="but Own takes unknown targets"):
        NeuralNetwork(loss=Own(), target_unit=(0.0, 1.0))


# ---- warnings of lost digits


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_lost_digits_are_warned_of_once_at_the_users_line(dtype):
    X, y = targets(1.7e9, 300.0)
    y = y.astype(dtype)
    with pytest.warns(UserWarning, match=r"128 apart.*give target_unit=") as seen:
        build(epochs=1).fit((X, y), validation=(X, y))
    assert [each.filename for each in seen] == [__file__]
    build(suggested_unit(y), epochs=1).fit((X, y))  # a warning is an error
    with pytest.warns(UserWarning, match="learned little"):  # the digits are there
        build(epochs=1, dtype="float64").fit((X, y))


# ---- warnings of targets whose size keeps a network from learning


def trained(mean, scale, unit=None, **arguments):
    """Return the warnings and R² of a default network on targets of a mean and a deviation."""
    X, y = targets(0.0, 1.0, 500)
    y = mean + scale * (y - y.mean()) / y.std()
    net = NeuralNetwork(50, optimizer="adam", seed=0, target_unit=unit, **arguments)
    net.add(DenseLayer(100, input_shape=(2,))).add(TanhActivation()).add(DenseLayer(1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        r2 = net.fit((X, y)).score((X, y), metric="r2")
    return [str(each.message) for each in caught], r2


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.floats(-7.0, 7.0), st.floats(-2.0, 2.0) | st.just(None))
def test_a_network_that_fails_by_the_size_of_its_targets_says_so(size, distance):
    scale = 10.0**size
    mean = 0.0 if distance is None else scale * 10.0**distance
    found, r2 = trained(mean, scale)
    assert len(found) <= 1
    if r2 < 0.3 and found == []:
        assert 0.03 < scale < 300.0, (mean, scale, r2)  # only just slow
        assert mean <= 3 * scale
    if r2 > 0.7:
        assert not found, (mean, scale, r2)
    assert not trained(mean, scale, (mean, scale))[0]


def test_the_warning_of_the_size_says_what_was_seen_and_what_to_write():
    ((message,), r2) = trained(1e6, 1e5)
    assert r2 < 0
    assert "a mean of 1e+06 and a standard deviation of 1e+05" in message
    assert "Give target_unit=(y.mean(), y.std())" in message


def test_the_size_is_warned_of_once_with_penalties_and_weights_and_by_all_steps(backend):
    X, y = targets(0.0, 1e4, n_outputs=2)
    weight = np.linspace(0.1, 2.0, len(X))
    net = build(n_outputs=2, regularizer="l2", device="cpu").to(backend.with_dtype("float32"))
    with pytest.warns(UserWarning, match="learned little") as seen:
        net.fit((X, y, weight), validation=(X, y))
    assert [each.filename for each in seen] == [__file__]


@pytest.mark.parametrize("what", ["own loss", "constant", "counts", "float64", "regressor"])
def test_cases_without_a_warning_of_the_size_of_targets(what):
    class Own(MeanSquaredError):
        def sample_loss(self, y_true, y_pred):
            return 2 * super().sample_loss(y_true, y_pred)

    X, y = targets(5000.0, 100.0)
    if what == "own loss":
        build(loss=Own(), epochs=1).fit((X, y))
    elif what == "constant":
        build(epochs=1).fit((X, np.full(len(X), 5.0)))
    elif what == "counts":
        build(loss="poisson", epochs=1).fit((X, np.round(y)))
    elif what == "float64":
        build((5000.0, 100.0), epochs=1, dtype="float64").fit((X, y))
    else:
        pytest.importorskip("sklearn")
        from xpnet.estimators import MLPRegressor

        MLPRegressor(max_iter=200, tol=1e20).fit(X, y)


def test_advice_is_such_that_it_can_be_followed():
    X, y = targets(1e18, 300.0)
    with pytest.warns(UserWarning, match=r"numbers of float64.*subtract a fixed number"):
        build(suggested_unit(y), epochs=1).fit((X, y.astype(np.int64)))
    net = NeuralNetwork(1, 16, "sgd", 1e-12, loss="poisson").add(DenseLayer(1, (2,)))
    with pytest.warns(UserWarning, match=r"64 apart.*to tell the targets apart: give dtype"):
        net.fit((X, np.arange(len(X)) + 1e9))


def test_a_device_without_float64_does_not_round_targets_in_silence():
    X, y = targets(1.7e9, 300.0)
    with opened("no_float64") as backend:
        here = move(X, backend, "float32")
        with pytest.warns(UserWarning, match=r"no_float64 has no float64: give X on the host"):
            xpnet.Dataset(here, y)
        xpnet.Dataset(here, y - y.mean())


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    exponent=st.integers(-30, 30),
    far=st.floats(0.0, 1e5),
    n=st.integers(2, 50),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_targets_are_suspected_exactly_where_rounding_costs_digits(exponent, far, n, dtype):
    values = np.random.default_rng(n).standard_normal(n)
    y = (values + far * np.ptp(values)) * 10.0**exponent
    lost = precision_problem(y, dtype)
    rounding = np.spacing(np.abs(y).max().astype(dtype)).astype(float) / y.std()
    assert (lost is not None) == (rounding > 0.01)


@pytest.mark.parametrize(
    "y",
    [
        np.full(50, 0.1),
        np.full(50, 1e9),
        0.1 * 3 + np.array([0.0, 5e-17] * 20),  # constant but for rounding
        np.array([0.0, 1.0] * 20),
        np.array([True, False]),
        np.r_[np.zeros(1000), 1e9],
        np.arange(2000, 2030),
        np.zeros(0),
    ],
)
def test_ordinary_targets_are_not_suspected(y):
    assert precision_problem(y, "float32") is None


def test_one_of_several_outputs_is_enough():
    y = np.random.default_rng(0).standard_normal((50, 3))
    assert precision_problem(y, "float32") is None
    y[:, 1] += 1e7
    assert "1 apart" in precision_problem(y, "float32")


def test_classes_are_not_suspected(rng):
    X, y = rng.standard_normal((20, 2)), np.array([0, 1] * 10)
    NeuralNetwork(1, 5, loss="softmax_cross_entropy").add(DenseLayer(2, (2,))).fit((X, y))
    NeuralNetwork(1, 5, loss="categorical_cross_entropy").add(DenseLayer(2, (2,))).add(
        xpnet.SoftmaxActivation()
    ).fit((X, one_hot(y)))


@pytest.mark.parametrize("unit", [None, (0.0, 1.0)])
def test_the_error_of_a_divergence_suggests_a_target_unit_if_none_is_given(unit):
    net = NeuralNetwork(epochs=2, learning_rate=1e9, dtype="float64", seed=0, target_unit=unit)
    net.add(DenseLayer(1, input_shape=(1,)))
    X = np.linspace(1.0, 2.0, 2000)[:, None]
    with np.errstate(all="ignore"), pytest.raises(xpnet.DivergedError) as refusal:
        net.fit((X, 1e9 * X), epochs=40)
    assert ("give target_unit=(y.mean(), y.std())" in str(refusal.value)) == (unit is None)


@pytest.mark.parametrize("unit", ["12", b"12", {1.0, 2.0}, {1.0: "mean", 2.0: "scale"}])
def test_a_target_unit_is_two_numbers_in_order(unit):
    with pytest.raises(ValueError, match=r"expected \(mean, scale\), two finite numbers"):
        NeuralNetwork(target_unit=unit)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_target_unit_may_be_columns_of_a_data_frame(library):
    frame = pytest.importorskip(library).DataFrame({"u": [1.0, 3.0, 8.0], "v": [10.0, 20.0, 60.0]})
    y = frame.to_numpy()
    unit = (frame.mean(axis=0) if library == "pandas" else frame.mean(), y.std(axis=0))
    found = NeuralNetwork(target_unit=unit).target_unit
    assert found == (tuple(y.mean(axis=0)), tuple(y.std(axis=0)))
