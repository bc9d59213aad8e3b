"""What a layer says of its output's shape, and what it returns."""

import numpy as np
import pytest

from xpnet import DenseLayer, Layer, NeuralNetwork

X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)


class Squared(Layer):
    def forward_propagation(self, input, training=True):
        self.input = input
        return input * input

    def backward_propagation(self, output_error):
        return 2 * self.input * output_error


class ShapeAsList(Squared):
    def output_shape(self):
        return list(self.input_shape())


class ReturnsLists(Squared):
    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input).tolist()


class ReturnsNothing(Squared):
    def forward_propagation(self, input, training=True):
        super().forward_propagation(input)


def network(kind, is_last):
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(2, (3,))).add(kind())
    return net if is_last else net.add(DenseLayer(2))


@pytest.mark.parametrize("is_last", [False, True])
def test_a_shape_may_be_a_list(is_last):
    weights = [
        network(kind, is_last).fit((X, X[:, :2])).parameters.gather()
        for kind in (Squared, ShapeAsList)
    ]
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize(("kind", "given"), [(ReturnsLists, "list"), (ReturnsNothing, "NoneType")])
@pytest.mark.parametrize("is_last", [False, True])
def test_an_output_that_is_no_array_is_refused_by_name(kind, given, is_last):
    match = rf"{kind.__name__}\.forward_propagation returned {given}: expected an array"
    with pytest.raises(TypeError, match=match):
        network(kind, is_last).fit((X, X[:, :2]))
