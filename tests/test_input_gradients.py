"""Derivatives of predictions and of the loss with respect to the features."""

import threading

import numpy as np
import pytest
from scipy import sparse

import xpnet
from xpnet import (
    BatchNormalization,
    Dataset,
    DenseLayer,
    Dropout,
    GaussianNLL,
    Layer,
    NeuralNetwork,
    Normalization,
    NotFittedError,
    PReLULayer,
    SoftmaxActivation,
    TanhActivation,
)
from xpnet.backends import move, to_host

from .composites import differences

N, D = 40, 3


def data(n=N):
    rng = np.random.default_rng(0)
    X = rng.normal(2.0, 3.0, (n, D))
    return X, np.stack([np.sin(X[:, 0]), X[:, 1] - X[:, 2]], axis=1)


def trained(unit=None, n_outputs=2, dtype="float64", loss="mse"):
    """Return a network with a layer of every kind, whose batch moments differ from the running."""
    X, y = data()
    net = NeuralNetwork(
        epochs=3, batch_size=8, optimizer="adam", seed=0, dtype=dtype, target_unit=unit, loss=loss
    )
    net.add(Normalization.adapt(X)).add(DenseLayer(6)).add(BatchNormalization())
    net.add(TanhActivation()).add(Dropout(0.4)).add(DenseLayer(5)).add(PReLULayer())
    return net.add(DenseLayer(n_outputs)).fit((X, y))


@pytest.mark.parametrize("unit", [None, (3.0, 20.0), ([5.0, -70.0], [2.0, 30.0])])
@pytest.mark.parametrize("k", [0, 1])
def test_the_derivative_of_an_output_is_that_of_predict(k, unit, float64_backend):
    net = trained(unit).to(float64_backend)
    X = data()[0]
    got = net.input_gradient(move(X, float64_backend, "float64"), k)
    assert float64_backend.owns(got)
    expected = differences(lambda X: net.predict(X)[:, k], X)
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-5, atol=1e-7)


def test_it_works_in_float32_on_every_backend(backend):
    net, X = trained(((5.0, -70.0), (2.0, 30.0))), data()[0]
    expected = net.input_gradient(X, 1)
    net.to(backend.with_dtype("float32"))
    got = net.input_gradient(move(X, backend, "float32"), 1)
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_derivative_of_the_loss_is_that_of_its_mean_over_all_samples(weighted, float64_backend):
    net = trained(([5.0, -70.0], [2.0, 30.0])).to(float64_backend)
    X, y = data()
    w = np.random.default_rng(1).uniform(0.5, 2, N) if weighted else None
    got = net.input_gradient(move(X, float64_backend, "float64"), y=y, sample_weight=w)
    share = np.full(N, 1 / N) if w is None else w / w.sum()

    def loss(X):
        return (((net.predict(X) - y) / [2.0, 30.0]) ** 2).mean(axis=1) * share

    np.testing.assert_allclose(to_host(got), differences(loss, X), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("output", [0, 3])
def test_means_and_deviations_of_a_normal_distribution(output, float64_backend):
    net = trained(([5.0, -70.0], [2.0, 30.0]), 4, loss=GaussianNLL()).to(float64_backend)
    X = data()[0]
    got = net.input_gradient(move(X, float64_backend, "float64"), output)
    expected = differences(lambda X: net.predict(X)[:, output], X)
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-5, atol=1e-7)


def test_a_softmax_and_many_rows():
    X, y = data(3000)
    labels = (y[:, 0] > 0).astype(int)
    net = NeuralNetwork(epochs=1, loss="categorical_cross_entropy", seed=0, dtype="float64")
    net.add(DenseLayer(4, (D,))).add(TanhActivation()).add(DenseLayer(2)).add(SoftmaxActivation())
    net.fit((X, labels))
    expected = differences(lambda X: net.predict(X)[:, 1], X)
    np.testing.assert_allclose(net.input_gradient(X, 1), expected, rtol=1e-5, atol=1e-9)
    each = net.input_gradient(X, y=labels)
    pieces = [
        net.input_gradient(X[part], y=labels[part]) for part in (slice(700), slice(700, 3000))
    ]
    whole = np.concatenate([pieces[0] * 700, pieces[1] * 2300]) / 3000
    np.testing.assert_allclose(each, whole, rtol=1e-9)


def test_sparse_rows_have_dense_derivatives():
    X = sparse.random_array((30, 8), density=0.3, rng=np.random.default_rng(0), format="csr")
    y = np.asarray(X.sum(axis=1)).ravel()
    net = NeuralNetwork(epochs=2, seed=0).add(DenseLayer(3, (8,))).add(TanhActivation())
    net.add(DenseLayer(1)).fit((X, y))
    got = net.input_gradient(X)
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, net.input_gradient(X.toarray()), rtol=1e-5, atol=1e-7)


def test_targets_of_a_data_set_are_not_used():
    net, (X, y) = trained(), data()
    np.testing.assert_array_equal(net.input_gradient(Dataset(X, y), 1), net.input_gradient(X, 1))


def test_the_network_stays_as_it_is_and_threads_may_predict():
    net, X = trained(dtype="float32"), np.tile(data()[0], (60, 1)).astype(np.float32)
    before = net.predict(X), net.parameters.copy(), [dict(vars(each)) for each in net.layers]
    wrong = []

    def predict():
        for _ in range(20):
            if not np.array_equal(net.predict(X), before[0]):
                wrong.append(1)

    thread = threading.Thread(target=predict)
    thread.start()
    for _ in range(20):
        net.input_gradient(X, 0)
    thread.join()
    assert not wrong
    np.testing.assert_array_equal(net.parameters.copy(), before[1])
    for layer, held in zip(net.layers, before[2], strict=True):
        assert vars(layer).keys() == held.keys()
        assert all(vars(layer)[name] is held[name] for name in held)


def test_a_loaded_network_gives_the_same(tmp_path):
    net, X = trained(((5.0, -70.0), (2.0, 30.0))), data()[0]
    net.save(tmp_path / "net.safetensors")
    again = xpnet.load(tmp_path / "net.safetensors")
    assert again.target_unit == net.target_unit
    np.testing.assert_array_equal(again.input_gradient(X, 0), net.input_gradient(X, 0))


# ---- a user's layers


class Doubling(Layer):
    def forward_propagation(self, input, training=True):
        self.seen = input
        return input * input

    def backward_propagation(self, output_error):
        return 2 * self.seen * output_error


class OtherInTraining(Doubling):
    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input) * (2.0 if training else 1.0)


class Described(OtherInTraining):
    def input_derivative(self, input, output_error):
        return 2 * input * output_error


class Silent(Doubling):
    def backward_propagation(self, output_error):
        return None


def with_layer(layer):
    X = data()[0]
    net = NeuralNetwork(epochs=1, seed=0, dtype="float64", steps="formulas")
    layer.set_input_shape((D,))
    net.add(layer).add(DenseLayer(1))
    net.parameters.scatter(net.parameters.copy() * 0 + 1.0)
    net.mark_fitted()
    return net, X


@pytest.mark.parametrize("kind", [Doubling, Described])
def test_a_layer_of_ones_own(kind):
    net, X = with_layer(kind())
    np.testing.assert_allclose(net.input_gradient(X), 2 * X)


def test_a_layer_that_is_another_in_training_is_refused():
    net, X = with_layer(OtherInTraining())
    with pytest.raises(ValueError, match="OtherInTraining computes something else in training"):
        net.input_gradient(X)


def test_a_layer_without_a_derivative_is_refused():
    net, X = with_layer(Silent())
    with pytest.raises(ValueError, match=r"Silent.backward_propagation returned None"):
        net.input_gradient(X)


class OtherDropout(Dropout):
    def forward_propagation(self, input, training=True):
        return input * 3.0


class OtherMoments(BatchNormalization):
    def forward_propagation(self, input, training=True):
        return input * 3.0

    def backward_propagation(self, output_error):
        return output_error * 3.0


def test_a_subclass_with_other_passes_is_not_taken_for_its_base():
    net, X = with_layer(OtherMoments())
    np.testing.assert_allclose(net.input_gradient(X), np.full_like(X, 3.0))


# ---- what is refused


def test_bad_arguments_are_refused():
    net, (X, y) = trained(), data()
    with pytest.raises(NotFittedError, match="input_gradient needs a trained network"):
        NeuralNetwork().add(DenseLayer(1, (D,))).input_gradient(X)
    for output in (None, 2, -1, "a", 0.5, True):
        with pytest.raises(ValueError, match="expected the index of one of the network"):
            net.input_gradient(X, output)
    with pytest.raises(ValueError, match="output=0 is given together with y"):
        net.input_gradient(X, 0, y=y)
    with pytest.raises(TypeError, match="give X and y as two arguments"):
        net.input_gradient((X, y))
    with pytest.raises(TypeError, match="sample_weight is given without y"):
        net.input_gradient(X, 0, sample_weight=np.ones(N))
    with pytest.raises(ValueError, match="X has 2 features: expected 3"):
        net.input_gradient(X[:, :2], 0)
    with pytest.raises(ValueError, match="expects shape"):
        net.input_gradient(X, y=y[:, :1])


def test_a_network_that_overrides_its_passes_is_refused():
    class Own(NeuralNetwork):
        def forward_propagation(self, X, training=True):
            return 2 * super().forward_propagation(X, training)

    X, y = data()
    net = Own(epochs=1, learning_rate=0.001).add(DenseLayer(2, (D,))).fit((X / 10, y))
    with pytest.raises(ValueError, match="Own overrides forward_propagation"):
        net.input_gradient(data()[0])
