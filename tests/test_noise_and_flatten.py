"""Noise in training, and samples of several dimensions."""

import numpy as np
import pytest

import xpnet
from xpnet import Dataset, DenseLayer, Flatten, GaussianNoise, NeuralNetwork, ReLUActivation
from xpnet.backends import resolve, to_host

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((40, 2, 3, 4))
SUMS = IMAGES.sum(axis=(1, 2, 3))


def noise(backend, stddev=0.5, shape=(50,)):
    layer = GaussianNoise(stddev, input_shape=shape)
    layer.backend, layer.rng = backend, np.random.default_rng(3)
    return layer.initialize()


def test_the_noise_has_mean_0_and_its_deviation(backend):
    layer, zeros = noise(backend), backend.zeros((2000, 50))
    first = to_host(layer.forward_propagation(zeros)).astype(float)
    assert abs(first.mean()) < 0.01
    assert first.std() == pytest.approx(0.5, rel=0.01)
    assert (first**4).mean() / first.var() ** 2 == pytest.approx(3.0, abs=0.1)  # as of a normal
    second = to_host(layer.forward_propagation(zeros))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02


def test_the_noise_is_the_same_on_every_backend(backend):
    here = noise(backend).forward_propagation(backend.zeros((8, 50)))
    numpy = resolve("cpu")
    there = noise(numpy).forward_propagation(numpy.zeros((8, 50)))
    np.testing.assert_allclose(to_host(here), there, rtol=1e-4, atol=1e-5)


def test_prediction_has_no_noise_and_no_deviation_changes_nothing(backend):
    x = backend.zeros((3, 50)) + 2.0
    assert noise(backend).forward_propagation(x, training=False) is x
    assert noise(backend, stddev=0.0).forward_propagation(x) is x


@pytest.mark.parametrize("stddev", [-0.1, float("nan"), "much"])
def test_refuses_a_deviation_below_0(stddev):
    with pytest.raises(ValueError, match=r"stddev=.*: expected a finite number, 0 or more"):
        GaussianNoise(stddev)


def test_a_training_with_noise_goes_on_alike_after_loading(tmp_path):
    x, y = RNG.standard_normal((30, 3)), RNG.standard_normal(30)
    net = NeuralNetwork(epochs=3, batch_size=8, seed=1).add(GaussianNoise(0.3, (3,)))
    net.add(DenseLayer(4)).add(ReLUActivation()).add(GaussianNoise(0.1)).add(DenseLayer(1))
    net.fit((x, y)).save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    for each in (net, loaded):
        each.fit((x, y))
    np.testing.assert_array_equal(loaded.predict(x), net.predict(x))
    assert net.layers[0].n_draws == 2 * 3 * 4


def test_samples_of_several_dimensions_are_rows_of_a_data_set(backend):
    data = Dataset(backend.asarray(IMAGES, backend.dtype))
    assert data.shape == (40, 24)
    expected = IMAGES.reshape(40, 24).astype(backend.dtype)
    np.testing.assert_array_equal(to_host(data.X), expected)


def network(*layers):
    net = NeuralNetwork(epochs=2, batch_size=8, seed=0)
    for layer in layers:
        net.add(layer)
    return net


def test_images_go_from_fit_to_predict_as_they_are(tmp_path):
    net = network(Flatten((2, 3, 4)), DenseLayer(1)).fit((IMAGES, SUMS))
    rows = network(DenseLayer(1, (24,)))
    rows.parameters.scatter(net.parameters.copy())
    rows.mark_fitted()
    np.testing.assert_allclose(
        net.predict(IMAGES), rows.predict(IMAGES.reshape(40, 24)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(net.predict(IMAGES), net.predict(IMAGES.reshape(40, 24)))
    net.save(tmp_path / "net")
    np.testing.assert_array_equal(xpnet.load(tmp_path / "net").predict(IMAGES), net.predict(IMAGES))
    assert net.memory_plan(n_samples=40).data > 0


def test_flatten_makes_rows_and_gives_derivatives_back_in_their_shape(backend):
    layer = Flatten((2, 3, 4))
    x = backend.asarray(IMAGES, backend.dtype)
    y = layer.forward_propagation(x)
    np.testing.assert_array_equal(to_host(y), to_host(x).reshape(40, 24))
    np.testing.assert_array_equal(to_host(layer.backward_propagation(y)), to_host(x))


def test_images_of_another_size_are_refused():
    net = network(Flatten((2, 3, 3)), DenseLayer(1))
    with pytest.raises(ValueError, match=r"X has 24 features: expected 18 for samples of shape"):
        net.fit((IMAGES, SUMS))
    with pytest.raises(ValueError, match=r"got a batch of shape \(40, 2, 3, 4\)"):
        Flatten((2, 3, 3)).forward_propagation(IMAGES)


def test_another_first_layer_for_images_is_refused_with_advice():
    layer = ReLUActivation()
    layer.set_input_shape((2, 3, 4))
    net = network(layer, Flatten(), DenseLayer(1))
    with pytest.raises(ValueError, match=r"begin the network with Flatten\(input_shape=\(2, 3, 4"):
        net.fit((IMAGES, SUMS))
