"""Looking inside: what layers put out, how long gradients are, and what is warned of."""

import warnings

import numpy as np
import pytest

from xpnet import (
    BatchNormalization,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    ReLUActivation,
    Watch,
)
from xpnet.backends import to_host


def samples(n=50):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 4))
    return X, (X[:, 0] > 0).astype(np.int64)


def network(*extra, **arguments):
    arguments = {
        "epochs": 8,
        "batch_size": 10,
        "loss": "softmax_cross_entropy",
        "seed": 0,
    } | arguments
    net = NeuralNetwork(**{"dtype": "float64"} | arguments).add(DenseLayer(6, (4,)))
    for layer in extra:
        net.add(layer)
    return net.add(ReLUActivation()).add(DenseLayer(2))


def test_an_inspection_has_the_numbers_of_a_step(backend):
    X, y = samples()
    net = network(dtype=backend.dtype)
    found = net.inspect((backend.asarray(X, backend.dtype), backend.asarray(y)))
    w = [to_host(each) for each in (net.layers[0].weights, net.layers[2].weights)]
    hidden = np.maximum(X @ w[0], 0)
    logits = hidden @ w[1]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = (e / e.sum(axis=1, keepdims=True) - np.eye(2)[y]) / len(X)
    first, relu, last = found.layers
    assert [each.layer for each in found.layers] == ["DenseLayer", "ReLUActivation", "DenseLayer"]
    assert relu.zeros == pytest.approx(np.mean(hidden == 0), abs=0.02)
    assert relu.mean == pytest.approx(hidden.mean(), rel=1e-4)
    assert last.deviation == pytest.approx(logits.std(), rel=1e-4)
    assert first.weights == pytest.approx(np.linalg.norm(w[0]), rel=1e-4)
    gradient = np.linalg.norm(np.vstack([hidden.T @ error, error.sum(axis=0)]))
    assert last.gradient == pytest.approx(gradient, rel=1e-4)
    assert relu.weights == relu.gradient == 0.0
    assert found.loss == pytest.approx(
        -np.log(e / e.sum(axis=1, keepdims=True))[range(50), y].mean()
    )
    for word in ("dead units", "|gradient|", "ReLUActivation", "loss 0."):
        assert word in str(found)


def test_the_network_stays_as_it_is():
    def make():
        return network(BatchNormalization(), Dropout(0.4), epochs=2)

    net, expected = make(), make()
    net.inspect(samples())
    net.fit(samples(), epochs=1)
    net.inspect(samples())
    net.fit(samples(), epochs=1)
    expected.fit(samples(), epochs=2)
    np.testing.assert_array_equal(net.parameters.copy(), expected.parameters.copy())
    np.testing.assert_array_equal(net.layers[1].running_mean, expected.layers[1].running_mean)


def test_dead_units_and_a_loss_that_does_not_move_are_warned_of_once():
    net = network(learning_rate=1e-9)
    net.layers[0].biases = np.array([-99.0, -99.0, -99.0, 0.0, 0.0, 0.0])
    with pytest.warns(RuntimeWarning) as seen:
        net.fit(samples(), callbacks=Watch(samples()))
    texts = [str(each.message) for each in seen]
    assert len(texts) == 2
    assert "3 of 6 units of layer 2 (ReLUActivation) output 0" in texts[0]
    assert "the loss has not changed for 5 epochs" in texts[1]


def test_a_network_that_learns_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network(optimizer="adam").fit(samples(), callbacks=Watch(samples()))
