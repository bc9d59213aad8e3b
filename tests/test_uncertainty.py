"""Predicted variances and intervals: the Gaussian loss, quantiles, coverage."""

import copy
import pickle

import numpy as np
import pytest
from scipy import stats

import xpnet
from xpnet import (
    DenseLayer,
    GaussianNLL,
    NeuralNetwork,
    QuantileLoss,
    TanhActivation,
    interval_coverage,
)
from xpnet.backends import move, to_host

N = 400


def data(n=N, mean=0.0, scale=1.0, n_targets=1):
    """Return features, and targets whose spread grows with the first of them."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (n, 2))
    noise = (0.1 + X[:, :1]) * rng.standard_normal((n, n_targets))
    y = mean + scale * (2 * X[:, 1:] - 1 + noise)
    return X, y[:, 0] if n_targets == 1 else y


def network(loss, n_outputs, **settings):
    settings = {"epochs": 80, "optimizer": "adam", "learning_rate": 0.02, "seed": 0} | settings
    net = NeuralNetwork(loss=loss, **settings).add(DenseLayer(8, (2,))).add(TanhActivation())
    return net.add(DenseLayer(n_outputs))


# ---- GaussianNLL


def test_the_loss_is_scipys_and_pytorchs(rng):
    torch = pytest.importorskip("torch")
    y, p, w = rng.standard_normal((30, 2)), rng.standard_normal((30, 4)), rng.uniform(0, 2, 30)
    loss = GaussianNLL(epsilon=1e-12)
    each = -stats.norm.logpdf(y, p[:, :2], np.exp(p[:, 2:] / 2)).mean(axis=1)
    np.testing.assert_allclose(loss(y, p), each.mean(), rtol=1e-9)
    np.testing.assert_allclose(loss(y, p, w), (each * w).sum() / w.sum(), rtol=1e-9)
    given = torch.tensor(p, requires_grad=True)
    theirs = torch.nn.GaussianNLLLoss(full=True)(
        given[:, :2], torch.tensor(y), torch.exp(given[:, 2:])
    )
    theirs.backward()
    np.testing.assert_allclose(loss(y, p), theirs.item(), rtol=1e-9)
    np.testing.assert_allclose(loss.derivative(y, p), given.grad.numpy(), rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_beta_multiplies_the_derivative_by_the_variance(beta, rng):
    torch = pytest.importorskip("torch")
    y, p = rng.standard_normal((30, 2)), rng.standard_normal((30, 4))
    given = torch.tensor(p, requires_grad=True)
    v = torch.exp(given[:, 2:]) + 1e-6
    each = 0.5 * (torch.log(v) + (torch.tensor(y) - given[:, :2]) ** 2 / v)
    (each * v.detach() ** beta).mean().backward()
    derivative = GaussianNLL(beta=beta).derivative(y, p)
    np.testing.assert_allclose(derivative, given.grad.numpy(), rtol=1e-8, atol=1e-13)
    assert GaussianNLL(beta=beta)(y, p) == GaussianNLL()(y, p)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loss_is_finite_for_extreme_variances(dtype):
    p = np.array([[0.0, -500.0], [0.0, 500.0], [1.0, -500.0]], dtype)
    y = np.array([0.0, 0.0, 0.0], dtype)
    loss = GaussianNLL()
    values = [float(loss(y[k : k + 1], p[k : k + 1])) for k in range(3)]
    half_log = 0.5 * np.log(2 * np.pi)
    expected = [half_log + 0.5 * np.log(1e-6), half_log + 250, half_log + 0.5 * np.log(1e-6) + 5e5]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    derivative = loss.derivative(y, p)
    assert np.isfinite(derivative).all()
    np.testing.assert_allclose(derivative[1, 1] * 3, 0.5, rtol=1e-6)
    assert abs(derivative[0, 1]) < 1e-30


@pytest.mark.parametrize("unit", [None, ((-3.0, 50.0), (2.0, 300.0))])
def test_a_network_learns_means_and_deviations_of_each_target(unit):
    X, y = data(n_targets=2)
    mean, scale = (0.0, 1.0) if unit is None else map(np.array, unit)
    net = network(GaussianNLL(), 4, target_unit=unit, metric="r2")
    net.fit((X, y * scale + mean), validation=(X, y * scale + mean))
    assert net.history["loss"][-1] < net.history["loss"][0] - 0.2
    predicted = net.predict(X)
    mu, sigma = (predicted[:, :2] - mean) / scale, predicted[:, 2:] / scale
    truth = 0.1 + X[:, :1]
    assert np.corrcoef(sigma[:, 0], truth[:, 0])[0, 1] > 0.9
    assert np.median(np.abs(sigma - truth)) < 0.15
    assert np.sqrt(np.mean((mu - 2 * X[:, 1:] + 1) ** 2)) < 0.2
    r2 = net.score((X, y * scale + mean))
    residual = ((y - mu) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    assert r2 == pytest.approx(np.mean(1 - residual), rel=1e-4)
    assert net.history[f"val_{net.metric.name}"][-1] == pytest.approx(r2, rel=1e-4)
    lower, upper = net.predict_interval(X, 0.8)
    assert lower.shape == upper.shape == (N, 2)
    np.testing.assert_allclose((lower + upper) / 2, predicted[:, :2], rtol=1e-4, atol=1e-4)
    assert 0.7 < interval_coverage(y * scale + mean, lower, upper) < 0.9
    expected = stats.norm.ppf(0.9) * predicted[:, 2:]
    np.testing.assert_allclose((upper - lower) / 2, expected, rtol=1e-4)


def test_a_small_scale_leaves_the_deviations_exact():
    X, y = data()
    nets = [
        network(GaussianNLL(), 2, epochs=3, dtype="float64", target_unit=(0.0, scale)).fit(
            (X, y * scale)
        )
        for scale in (1.0, 1e-6)
    ]
    np.testing.assert_allclose(nets[1].predict(X), nets[0].predict(X) * 1e-6, rtol=1e-9)


def test_training_is_the_same_on_every_backend(backend):
    X, y = data(60)
    expected = network(GaussianNLL(), 2, epochs=2).fit((X, y))
    net = network(GaussianNLL(), 2, epochs=2).to(backend.with_dtype("float32"))
    given = move(X, backend, "float32"), move(y, backend, "float32")
    net.fit(given)
    assert net.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-4)
    got = net.predict(given[0])
    assert backend.owns(got)
    np.testing.assert_allclose(to_host(got), expected.predict(X), rtol=1e-3, atol=1e-4)
    low, high = net.predict_interval(given[0], 0.5)
    assert backend.owns(low)
    assert backend.owns(high)


def test_the_loss_as_a_metric_is_that_of_the_history():
    X, y = data()
    net = network(GaussianNLL(), 2, epochs=3, dtype="float64").fit((X, y), validation=(X, y))
    assert net.score((X, y), metric=net.loss) == pytest.approx(net.history["val_loss"][-1])
    net.target_unit = (0.0, 2.0)
    net.fit((X, y))
    with pytest.raises(ValueError, match="GaussianNLL as a metric does not work with target_unit"):
        net.score((X, y), metric=net.loss)
    net.metric = net.loss
    with pytest.raises(ValueError, match="GaussianNLL as a metric does not work with target_unit"):
        net.fit((X, y))


def test_saved_copied_and_pickled_networks_predict_the_same(tmp_path):
    X, y = data(50)
    loss = GaussianNLL(epsilon=1e-4, beta=0.5)
    net = network(loss, 2, epochs=2, target_unit=(1.0, 3.0)).fit((X, y))
    net.save(tmp_path / "net.safetensors")
    loaded = xpnet.load(tmp_path / "net.safetensors")
    for again in (loaded, pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert (again.loss.epsilon, again.loss.beta) == (1e-4, 0.5)
        np.testing.assert_array_equal(again.predict(X), net.predict(X))


def test_why_steps_are_formulas_is_told():
    X, y = data(50)
    explained = network(GaussianNLL(), 2).explain_steps(X, y)
    assert explained.chosen == "formulas"
    assert "GaussianNLL" in explained.reasons["compiled"]


def test_wrong_outputs_targets_and_arguments_are_refused():
    X, y = data(20)
    with pytest.raises(ValueError, match=r"a mean and a log-variance for each target.*3 outputs"):
        network(GaussianNLL(), 3).fit((X, y))
    with pytest.raises(ValueError, match=r"y has shape .* network has 4 outputs.*expects shape"):
        network(GaussianNLL(), 4).fit((X, y))
    for epsilon in (0, -1, np.inf, np.nan, "a"):
        with pytest.raises(ValueError, match="epsilon"):
            GaussianNLL(epsilon)
    for beta in (-0.1, 1.1, np.nan, "a"):
        with pytest.raises(ValueError, match="beta"):
            GaussianNLL(beta=beta)
    with pytest.raises(ValueError, match="targets of shape"):
        GaussianNLL()(np.zeros((3, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize(("mean", "scale"), [(3e5, 1e5), (0.0, 1e-3), (40.0, 1.0)])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_targets_that_need_a_unit_are_warned_of(mean, scale, n_targets):
    X, y = data(mean=mean, scale=scale, n_targets=n_targets)
    net = network(GaussianNLL(), 2 * n_targets, epochs=3)
    with pytest.warns(UserWarning, match="predicting the mean and deviation of y gives"):
        net.fit((X, y))


def test_targets_that_are_learned_are_not_warned_of():
    X, y = data()
    network(GaussianNLL(), 2).fit((X, y))  # warnings are errors here
    X, y = data(mean=3e5, scale=1e5)
    network(GaussianNLL(), 2, target_unit=(y.mean(), y.std())).fit((X, y))
    loss, moments = GaussianNLL(), np.array([[3.0, -1.0], [2.0, 0.5]])
    rng = np.random.default_rng(0)
    y = moments[0] + moments[1] * rng.standard_normal((100_000, 2))
    best = loss.loss(y, np.broadcast_to(loss.constant_outputs(moments), (len(y), 4)))
    entropy = np.mean(0.5 * np.log(2 * np.pi * np.e * moments[1] ** 2))
    np.testing.assert_allclose(best, entropy, atol=0.01)
    assert loss.explains_little(entropy - 0.34, entropy)
    assert not loss.explains_little(entropy - 0.35, entropy)


# ---- quantiles


def test_an_interval_lies_between_the_quantiles_that_leave_as_much_on_both_sides():
    X, y = data()
    net = network(QuantileLoss([0.5, 0.95, 0.25, 0.05, 0.75]), 5, epochs=150).fit((X, y))
    ordered = np.sort(net.predict(X), axis=1)
    for coverage, (low, high) in {0.9: (0, 4), 0.5: (1, 3)}.items():
        lower, upper = net.predict_interval(X, coverage)
        np.testing.assert_array_equal(lower[:, 0], ordered[:, low])
        np.testing.assert_array_equal(upper[:, 0], ordered[:, high])
        assert abs(interval_coverage(y, lower, upper) - coverage) < 0.07
    with pytest.raises(ValueError, match=r"needs the quantiles 0.1 and 0.9.*coverages 0.5, 0.9"):
        net.predict_interval(X, 0.8)


def test_quantiles_that_cross_are_sorted():
    loss = QuantileLoss([0.1, 0.9])
    low, high = loss.interval(np.array([[1.0, 2.0], [5.0, 3.0]]), 0.8)
    assert low.tolist() == [[1.0], [3.0]]
    assert high.tolist() == [[2.0], [5.0]]


def test_losses_without_intervals_are_refused():
    X, y = data(20)
    with pytest.raises(ValueError, match="MeanSquaredError has no prediction intervals: train"):
        network("mse", 1, epochs=1).fit((X, y)).predict_interval(X)
    net = network(QuantileLoss(0.5), 1, epochs=1).fit((X, y))
    with pytest.raises(ValueError, match=r"train with QuantileLoss\("):
        net.predict_interval(X)
    for coverage in (0, 1, -1, np.nan, "0.9", None):
        with pytest.raises(ValueError, match=r"coverage=.*expected a number between 0 and 1"):
            net.predict_interval(X, coverage)


# ---- coverage


def test_coverage_counts_targets_and_weighs_samples(backend):
    y, low = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.5, 3.0, 0.0])
    given = [move(x, backend, backend.dtype) for x in (y, low, low + 1)]
    assert interval_coverage(*given) == 0.5
    assert interval_coverage(*given, sample_weight=[2, 1, 1, 0]) == 0.75
    both = [np.stack([to_host(x), to_host(x) * 0], axis=1) for x in given]
    assert interval_coverage(*both) == 0.75
    assert interval_coverage(y, low[:, None], low[:, None] + 1) == 0.5


def test_bad_intervals_are_refused():
    with pytest.raises(ValueError, match="expected the same shape"):
        interval_coverage([1.0, 2.0], [0.0], [3.0])
    with pytest.raises(ValueError, match="expected the same shape"):
        interval_coverage([], [], [])
    for y, low, high in (([np.nan], [0], [1]), ([1], [2], [1]), ([1], [np.nan], [2])):
        with pytest.raises(ValueError, match="a target or an end of an interval is NaN"):
            interval_coverage(y, low, high)
    with pytest.raises(ValueError, match="sample_weight has shape"):
        interval_coverage([1.0, 2.0], [0, 0], [3, 3], [1.0])
    with pytest.raises(TypeError):
        interval_coverage(["a"], [0], [1])
