"""``predict_proba``: the probability of each class, whatever the loss takes outputs for."""

import numpy as np
import pytest

from xpnet import (
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    LogSoftmaxActivation,
    NeuralNetwork,
    NotFittedError,
    SigmoidActivation,
    SoftmaxActivation,
)
from xpnet.backends import to_host

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2)).astype(np.float32)
CODES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def network(n_outputs, loss, end=None):
    net = NeuralNetwork(epochs=3, learning_rate=0.1, loss=loss, seed=0)
    net.add(DenseLayer(n_outputs, input_shape=(2,)))
    return net if end is None else net.add(end())


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("loss", "end", "expected"),
    [
        ("softmax_cross_entropy", None, softmax),
        ("focal", None, softmax),
        ("categorical_cross_entropy", SoftmaxActivation, lambda x: x),
        ("nll", LogSoftmaxActivation, np.exp),
    ],
)
def test_of_several_classes(loss, end, expected, backend):
    x = backend.asarray(X)
    loss = {"nll": "negative_log_likelihood", "focal": "focal_loss"}.get(loss, loss)
    net = network(3, loss, end).fit(x, backend.asarray(CODES))
    found = net.predict_proba(x)
    assert backend.owns(found)
    found = to_host(found)
    np.testing.assert_allclose(found, expected(to_host(net.predict(x))), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), to_host(net.predict_classes(x)))


@pytest.mark.parametrize("from_logits", [False, True])
def test_one_output_has_a_column_for_no_and_one_for_yes(from_logits, backend):
    end = None if from_logits else SigmoidActivation
    net = network(1, BinaryCrossEntropy(from_logits=from_logits), end)
    net.fit(backend.asarray(X), backend.asarray(CODES > 0))
    found, outputs = (to_host(f(backend.asarray(X))) for f in (net.predict_proba, net.predict))
    yes = 1 / (1 + np.exp(-outputs)) if from_logits else outputs
    np.testing.assert_allclose(found, np.hstack([1 - yes, yes]), rtol=1e-5, atol=1e-7)


def test_of_several_yes_or_no_outputs_each_has_its_own():
    y = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(np.float32)
    net = network(2, BinaryCrossEntropy(from_logits=True)).fit(X, y)
    np.testing.assert_allclose(
        net.predict_proba(X), 1 / (1 + np.exp(-net.predict(X))), rtol=1e-5, atol=1e-7
    )


def test_columns_are_the_class_names_in_their_order():
    words = np.array(["low", "mid", "high"])[CODES]
    net = network(3, "softmax_cross_entropy").fit(Dataset(X, words))
    assert net.class_names == ["high", "low", "mid"]
    found = np.array(net.class_names)[net.predict_proba(X).argmax(axis=1)]
    np.testing.assert_array_equal(found, net.predict_classes(X))


def test_networks_without_probabilities_are_refused():
    with pytest.raises(ValueError, match="loss MeanSquaredError is not known to be for classes"):
        network(1, "mse").fit(X, X[:, 0]).predict_proba(X)
    with pytest.raises(ValueError, match="HingeLoss does not say which probabilities"):
        network(1, "hinge").fit(X, CODES > 0).predict_proba(X)
    with pytest.raises(NotFittedError, match="predict_proba needs a trained network"):
        network(3, "softmax_cross_entropy").predict_proba(X)


def test_heads_have_a_dict_of_probabilities():
    loss = {"size": ("mse", 1), "kind": ("softmax_cross_entropy", 3)}
    net = network(4, loss).fit(X, {"size": X[:, 0], "kind": CODES})
    found = net.predict_proba(X)
    assert list(found) == ["kind"]
    np.testing.assert_allclose(found["kind"], softmax(net.predict(X)[:, 1:]), rtol=1e-5)
