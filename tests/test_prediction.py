"""Prediction in batches: what is refused, and several threads for many rows."""

import threading

import numpy as np
import pytest

from xpnet import (
    Dataset,
    DenseLayer,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    TanhActivation,
)
from xpnet.training import evaluation

MANY = 5000
"""Enough rows for several threads."""


@pytest.fixture
def threads(monkeypatch):
    """Let BLAS seem to use 2 threads, and return the numbers of threads that were asked for."""
    asked = []
    in_threads = evaluation._in_threads

    def spied(n_threads, *more):
        asked.append(n_threads)
        return in_threads(n_threads, *more)

    monkeypatch.setattr(evaluation, "blas_threads", lambda: 2)
    monkeypatch.setattr(evaluation, "_in_threads", spied)
    return asked


def features(n=MANY, dtype=np.float32):
    return np.random.default_rng(0).standard_normal((n, 3)).astype(dtype)


def trained(*first, kind=NeuralNetwork, **settings):
    """Return a network that begins with the layers ``first``."""
    net = kind(epochs=1, seed=0, **settings)
    for layer in first:
        net.add(layer)
    net.add(DenseLayer(4, (3,))).add(TanhActivation()).add(DenseLayer(2))
    X = features(20)
    return net.fit((X, X[:, :2]))


def activation(kind):
    layer = kind()
    layer.set_input_shape((3,))
    return layer


FIRST = {
    "dense": lambda: [],
    "relu": lambda: [activation(ReLUActivation)],
    "tanh": lambda: [activation(TanhActivation)],
    "normalization": lambda: [Normalization().adapt(features())],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [10, 3000, MANY])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("first", FIRST)
def test_a_feature_that_is_not_finite_is_refused_with_its_place(first, bad, n, dtype, threads):
    net, X = trained(*FIRST[first]()), features(n, dtype)
    X[n - 2, 1] = bad
    with pytest.raises(ValueError, match=rf"row {n - 2}, column 1"):
        net.predict(X)
    with pytest.raises(ValueError, match=rf"row {n - 2}, column 1"):
        net.score((X, np.zeros((n, 2))), metric="mse")


@pytest.mark.parametrize("n", [10, MANY])
def test_a_number_beyond_the_networks_type_is_refused(n, threads):
    net, X = trained(), features(n, np.float64)
    X[n - 1, 0] = 1e39
    for call in (lambda: net.predict(X), lambda: net.score((X, np.zeros((n, 2))), metric="mse")):
        with pytest.raises(ValueError, match="beyond what float32 holds"):
            call()


@pytest.mark.filterwarnings("ignore:overflow|invalid:RuntimeWarning")
@pytest.mark.parametrize("n", [10, MANY])
def test_features_are_not_blamed_for_an_overflow_inside(n, threads):
    net, X = trained(), np.abs(features(n)) + 1.0
    net.layers[-1].weights[...] = 3e38
    net.layers[-1].biases[...] = 3e38
    net.layers[0].weights[...] = 1.0
    assert np.isinf(net.predict(X)).all()


def test_large_features_whose_sum_overflows_are_accepted():
    net, X = trained(), np.full((10, 3), 3e38, np.float32)
    net.layers[0].weights[...] = 0.0
    assert np.isfinite(net.predict(X)).all()


def test_targets_that_are_not_finite_are_refused_in_prediction():
    X = features(10)
    with pytest.raises(ValueError, match=r"y has 1 .*row 0"):
        trained().predict(Dataset(X, np.where(np.arange(10) == 0, np.nan, 1.0)))


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_threads_compute_what_small_batches_do(first, dtype, threads):
    net, X = trained(*FIRST[first]()), (features() * 5).clip(0).astype(dtype)
    found = net.predict(X)
    assert threads == [2]
    parts = [net.predict(X[start : start + 500]) for start in range(0, MANY, 500)]
    np.testing.assert_allclose(found, np.concatenate(parts), rtol=1e-5, atol=1e-6)
    y = np.zeros((MANY, 2))
    assert net.score((X, y), metric="mae") == pytest.approx(np.abs(found).mean(), rel=1e-5)
    assert threads == [2, 2]


def test_sparse_rows_are_computed_in_threads(threads):
    sparse = pytest.importorskip("scipy.sparse")
    net, X = trained(), features().clip(0)
    found = net.predict(sparse.csr_array(X))
    assert threads == [2]
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-5, atol=1e-6)


class Writing(ReLUActivation):
    """A layer of a user, which writes down where and in which order it was called."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward_propagation(self, input, training=True):
        self.calls.append((threading.current_thread(), len(input)))
        return super().forward_propagation(input, training)


def test_a_users_layer_gets_one_batch_after_the_other(threads):
    layer = activation(Writing)
    net = trained(layer)
    layer.calls.clear()
    net.predict(features())
    assert not threads
    assert {thread for thread, _ in layer.calls} == {threading.current_thread()}
    assert [n for _, n in layer.calls] == [1024, 1024, 1024, 1024, 904]


class Counting(NeuralNetwork):
    """A network of a user, whose outputs are the numbers of its batches."""

    n_batches = 0

    def forward_propagation(self, X, training=True):
        output = super().forward_propagation(X, training)
        if training:
            return output
        self.n_batches += 1
        return output * 0 + self.n_batches


def test_a_users_forward_pass_gets_one_batch_after_the_other(threads):
    found = trained(kind=Counting).predict(features())
    assert not threads
    np.testing.assert_array_equal(found[:, 0], np.arange(MANY) // 1024 + 1)


def test_an_estimator_computes_as_its_network_does(threads):
    estimators = pytest.importorskip("xpnet.estimators")
    X = features()
    est = estimators.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0, tol=0.0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        est.fit(X[:50], X[:50, 0])
    found = est.predict(X)
    assert threads == [2]
    np.testing.assert_array_equal(found, est.network_.predict(X)[:, 0])
    X[MANY - 1, 2] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        est.predict(X)


def test_the_answer_is_not_the_users_array():
    net, X = NeuralNetwork(seed=0).add(activation(ReLUActivation)), np.abs(features(5))
    net.add(DenseLayer(3))
    net.fit((X, X), epochs=1)
    net.layers.pop()
    net.mark_fitted()
    assert not np.shares_memory(net.predict(X), X)
