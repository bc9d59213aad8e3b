"""Random predictions with dropout (``predict`` with ``samples``)."""

import pickle

import numpy as np
import pytest
from scipy import sparse

from xpnet import (
    BatchNormalization,
    DenseLayer,
    Dropout,
    GaussianNLL,
    GaussianNoise,
    Layer,
    NeuralNetwork,
    ReLUActivation,
    load,
)
from xpnet.backends import move, to_host

RATE = 0.25


def data(n=50):
    X = np.random.default_rng(0).normal(1.0, 2.0, (n, 3))
    return X, X @ [1.0, -2.0, 0.5] + 4


def trained(n_outputs=1, rate=RATE, **settings):
    net = NeuralNetwork(
        **{"epochs": 2, "seed": 3, "batch_size": 10, "optimizer": "adam"} | settings
    )
    net.add(DenseLayer(8, (3,))).add(BatchNormalization()).add(ReLUActivation())
    return net.add(Dropout(rate)).add(DenseLayer(n_outputs)).fit(data())


def test_samples_have_the_outputs_as_their_mean_and_the_spread_of_dropout():
    net, (X, _) = trained(dtype="float64"), data()
    samples = net.predict(X, samples=4000)
    assert samples.shape == (4000, 50, 1)
    a = X
    for layer in net.layers[:3]:
        a = layer.forward_propagation(a, training=False)
    # Each input of the last layer is multiplied by 0 or 1 / (1 - p): its variance is p / (1 - p).
    variance = (a**2) @ net.layers[4].weights ** 2 * RATE / (1 - RATE)
    error = np.abs(samples.mean(axis=0) - net.predict(X))
    assert np.all(error < 5 * np.sqrt(variance / 4000) + 1e-12)
    np.testing.assert_allclose(samples.var(axis=0), variance, rtol=0.2, atol=1e-12)


def test_samples_are_the_same_on_every_backend(backend):
    net, X = trained(), data()[0]
    expected = net.predict(X, samples=5)
    net.to(backend.with_dtype("float32"))
    got = net.predict(move(X, backend, backend.dtype), samples=5)
    assert got.shape == (5, 50, 1)
    assert backend.owns(got)
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-4, atol=1e-5)


def test_the_same_call_returns_the_same_and_the_network_stays_as_it_is(tmp_path):
    net, X = trained(), data()[0]
    before, masks = net.predict(X), net.layers[3].n_masks
    first = net.predict(X, samples=6)
    np.testing.assert_array_equal(first, net.predict(X, samples=6))
    np.testing.assert_array_equal(first[:2], net.predict(X, samples=2))
    assert len({each.tobytes() for each in first}) == 6
    assert net.layers[3].n_masks == masks
    np.testing.assert_array_equal(net.predict(X), before)
    net.save(tmp_path / "net.safetensors")
    for again in (load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(again.predict(X, samples=6), first)
    assert not np.array_equal(first, trained(seed=4).predict(X, samples=6))


def test_training_after_samples_goes_on_as_without():
    nets = [trained(), trained()]
    nets[0].predict(data()[0], samples=3)
    for net in nets:
        net.fit(data())
    np.testing.assert_array_equal(nets[0].parameters.copy(), nets[1].parameters.copy())


def test_several_batches_have_masks_of_their_own():
    net = trained()
    X = np.repeat(data()[0][:1], 3000, axis=0)
    samples = net.predict(X, samples=2)
    assert samples.shape == (2, 3000, 1)
    assert not np.array_equal(samples[:, :1024], samples[:, 1024:2048])


def test_samples_are_in_the_unit_of_the_targets():
    mean, scale = 4.0, 5.0
    net = trained(target_unit=(mean, scale))
    samples = net.predict(data()[0], samples=3)
    assert samples.dtype == np.float64
    unit = net.target_unit
    net.target_unit = None
    net.mark_fitted()
    np.testing.assert_allclose(
        samples, net.predict(data()[0], samples=3) * scale + mean, rtol=1e-5, atol=1e-6
    )
    assert unit == (mean, scale)


def test_samples_of_a_normal_distribution_are_means_and_deviations():
    samples = trained(2, loss=GaussianNLL(), target_unit=(4.0, 5.0)).predict(data()[0], samples=3)
    assert samples.shape == (3, 50, 2)
    assert (samples[..., 1] > 0).all()


def test_sparse_rows():
    X = sparse.csr_array(data()[0])
    np.testing.assert_allclose(
        trained().predict(X, samples=3), trained().predict(X.toarray(), samples=3), rtol=1e-4
    )


class Noise(Layer):
    """A user's random layer."""

    is_random = True

    def forward_propagation(self, input, training=True):
        return input

    def sample_propagation(self, input, rng):
        return input + rng.normal(0.0, 2.0, input.shape)

    def backward_propagation(self, output_error):
        return output_error


def test_a_random_layer_of_ones_own():
    net = NeuralNetwork(epochs=1, seed=0, dtype="float64").add(DenseLayer(1, (3,))).add(Noise())
    X = data()[0]
    samples = net.fit(data()).predict(X, samples=500)
    np.testing.assert_allclose((samples - net.predict(X)).std(), 2.0, rtol=0.05)


class Louder(Dropout):
    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input, training) * 2.0


def test_the_noise_is_sampled_too():
    net = NeuralNetwork(epochs=1, seed=0, dtype="float64").add(DenseLayer(1, (3,)))
    net, X = net.add(GaussianNoise(2.0)).fit(data()), data()[0]
    samples = net.predict(X, samples=500)
    np.testing.assert_allclose((samples - net.predict(X)).std(), 2.0, rtol=0.05)
    gradient = net.input_gradient(X)
    np.testing.assert_allclose(gradient, np.tile(net.layers[0].weights.T, (len(X), 1)))


def test_what_cannot_be_sampled_is_refused():
    X = data()[0]
    plain = NeuralNetwork(epochs=1).add(DenseLayer(1, (3,))).fit(data())
    for net in (plain, trained(rate=0.0)):
        with pytest.raises(ValueError, match="samples needs a layer that is random"):
            net.predict(X, samples=3)
    for samples in (0, -1, 2.5, "3", True):
        with pytest.raises(ValueError, match=r"samples=.*expected a whole number, 1 or more"):
            trained().predict(X, samples=samples)
    with pytest.raises(ValueError, match=r"not finite|NaN|infinit"):
        trained().predict(np.full((2, 3), np.nan), samples=2)
    net = NeuralNetwork(epochs=1).add(DenseLayer(1, (3,))).add(Louder()).fit(data())
    with pytest.raises(ValueError, match="Louder overrides forward_propagation"):
        net.predict(X, samples=2)
