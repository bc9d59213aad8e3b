"""What must hold for any numbers, tried on many."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xpnet import SGD, DenseLayer, NeuralNetwork, SoftmaxCrossEntropy, TanhActivation
from xpnet.backends import ops

rows = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-50, 50, allow_subnormal=False),
)
shifts = st.floats(-1e6, 1e6)


@given(rows)
def test_softmax_gives_distributions(x):
    s = ops.softmax(x)
    assert np.all(s >= 0)
    np.testing.assert_allclose(s.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(ops.log_softmax(x), np.log(s), rtol=1e-9, atol=1e-9)


@given(rows, shifts)
def test_softmax_does_not_care_for_a_shift(x, shift):
    np.testing.assert_allclose(ops.softmax(x + shift), ops.softmax(x), rtol=1e-6, atol=1e-9)


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-700, 700)))
def test_sigmoid_of_minus_x_is_the_rest_to_one(x):
    np.testing.assert_allclose(ops.sigmoid(x) + ops.sigmoid(-x), 1.0, rtol=1e-12)
    assert np.all(np.diff(ops.sigmoid(np.sort(x))) >= 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_how_samples_are_batched_does_not_change_what_is_predicted(seed, size):
    X = np.random.default_rng(seed).standard_normal((12, 3))
    net = NeuralNetwork(seed=seed, dtype="float64")
    net.add(DenseLayer(5, input_shape=(3,))).add(TanhActivation()).add(DenseLayer(2))
    whole = net.forward_propagation(X, training=False)
    parts = [net.forward_propagation(X[i : i + size], training=False) for i in range(0, 12, size)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12, atol=1e-14)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_small_step_against_the_gradient_lowers_the_loss(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((12, 3)), rng.integers(0, 4, 12)
    net = NeuralNetwork(optimizer=SGD(1e-4, momentum=0.0), seed=seed, dtype="float64")
    net.add(DenseLayer(5, input_shape=(3,))).add(TanhActivation()).add(DenseLayer(4))
    loss, output = SoftmaxCrossEntropy(), net.forward_propagation(X)
    before = loss(y, output)
    net.backward_propagation(loss.derivative(y, output))
    assert loss(y, net.forward_propagation(X)) < before
