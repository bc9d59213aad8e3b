"""Checks of derivatives say which one is wrong, by how much, and where."""

import numpy as np
import pytest

from xpnet import DenseLayer, Layer, MeanSquaredError, Model, NeuralNetwork, array_namespace
from xpnet.layers import PReLULayer
from xpnet.testing import check_gradient, check_layer, check_loss

X = np.linspace(-1.0, 1.0, 12).reshape(4, 3)


class Wrong(DenseLayer):
    """A dense layer, of which one derivative may be wrong."""

    def __init__(self, n_units, wrong):
        super().__init__(n_units)
        self.wrong = wrong

    def backward_propagation(self, output_error):
        input_error = super().backward_propagation(output_error)
        if self.wrong == "weights":
            self.weights_gradient[1, 0] += 0.5
        if self.wrong == "biases":
            self.biases_gradient *= 2.0
        return 1.5 * input_error if self.wrong == "input" else input_error


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("input", r"the input_error of Wrong\.backward_propagation is wrong"),
        ("weights", r"weights_gradient of Wrong\..*The largest difference is at \(1, 0\), where"),
        ("biases", r"biases_gradient of Wrong\.backward_propagation is wrong"),
    ],
)
def test_the_wrong_derivative_is_named(wrong, words, float64_backend):
    x = float64_backend.asarray(X)
    with pytest.raises(AssertionError, match=words) as caught:
        check_layer(Wrong(2, wrong), x)
    assert "a difference of" in str(caught.value)
    check_layer(Wrong(2, "nothing"), x)


def test_the_difference_is_told():
    def square(x):
        return float(np.sum(x * x))

    at = np.array([1.0, 2.0, 3.0])
    with pytest.raises(AssertionError, match=r"is at \(2,\), where it is 7 instead of 6$"):
        check_gradient(square, np.array([2.0, 4.0, 7.0]), at)
    large = np.ones(1000)
    with pytest.raises(AssertionError, match=r"a difference of [\d.]+$"):  # where is not looked for
        check_gradient(square, 3 * large, large)
    with pytest.raises(AssertionError, match=r"the gradient has shape \(2,\): expected \(3,\)"):
        check_gradient(square, np.ones(2), at)


def test_the_wrong_derivative_of_a_loss_is_named():
    class Halved(MeanSquaredError):
        def derivative(self, y_true, y_pred, sample_weight=None):
            return 0.5 * super().derivative(y_true, y_pred, sample_weight)

    with pytest.raises(AssertionError, match="the derivative of Halved is wrong"):
        check_loss(Halved(), np.array([1.0, 2.0]), np.array([[0.5], [4.0]]))


class Forgetful(PReLULayer):
    def backward_propagation(self, output_error):
        return output_error


class Silent(PReLULayer):
    def backward_propagation(self, output_error):
        super().backward_propagation(output_error)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Forgetful(), "backward_propagation did not set alpha_gradient to an array"),
        (Silent(), "backward_propagation returned NoneType: expected the derivative"),
    ],
)
def test_a_derivative_that_is_missing_is_named(layer, words):
    with pytest.raises(AssertionError, match=f"{type(layer).__name__}.{words}"):
        check_layer(layer, X)


# ---- models used in another order


def model(backend):
    made = Model(backend=backend.name, device=backend.device_name, dtype=backend.dtype, seed=0)
    return made.add(DenseLayer(2, (3,))).add(PReLULayer()).add(DenseLayer(1))


def test_going_back_before_going_forward_is_refused(backend):
    y = backend.asarray(np.zeros((4, 1)), backend.dtype)
    for call in (
        lambda: model(backend).propagate_loss(y, y),
        lambda: model(backend).backward_propagation(y),
    ):
        with pytest.raises(ValueError, match="DenseLayer has no forward pass to propagate"):
            call()


def test_an_error_of_a_layers_own_is_passed_on():
    class Broken(PReLULayer):
        def backward_propagation(self, output_error):
            return output_error.no_such_name

    broken = Model(dtype="float64").add(DenseLayer(2, (3,))).add(Broken())
    with pytest.raises(AttributeError, match="no_such_name"):
        broken.loss_and_gradient(X, np.zeros((4, 2)))


class Shaped(Layer):
    """A layer that says any output shape."""

    def __init__(self, shape):
        self.shape = shape

    def output_shape(self):
        return self.shape

    def forward_propagation(self, input, training=True):
        return array_namespace(input).asarray(input)

    def backward_propagation(self, output_error):
        return output_error


@pytest.mark.parametrize("shape", [(4, None), None, 4, (), (0,), (2.5,), "ab", (-1,), (True,)])
def test_an_odd_output_shape_is_refused(shape):
    net = NeuralNetwork().add(DenseLayer(4, (2,)))
    layer = Shaped(shape)
    with pytest.raises(ValueError, match=r"Shaped.output_shape\(\) returned .*: expected a tuple"):
        net.add(layer)
    assert len(net.layers) == 1
    assert not layer.in_network
    net.add(Shaped((4,))).add(DenseLayer(1))
