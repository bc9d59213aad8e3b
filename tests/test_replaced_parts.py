"""Every kind of step trains with the parts that a callback replaces between epochs."""

import numpy as np
import pytest

from xpnet import (
    AdamW,
    DenseLayer,
    Dropout,
    LambdaCallback,
    NeuralNetwork,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.optimizers import SGD

RNG = np.random.default_rng(4)
X = RNG.standard_normal((60, 4))
Y = RNG.integers(0, 3, 60)


def twice_the_output(net):
    layer = net.layers[0]
    forward = layer.forward_propagation
    layer.forward_propagation = lambda x, training=True: 2.0 * forward(x, training)


def twice_the_gradient_of_the_class(net):
    backward = DenseLayer.backward_propagation
    DenseLayer.backward_propagation = lambda self, error: backward(self, 2.0 * error)


def twice_the_derivative(net):
    both = net.loss.loss_and_derivative

    def doubled(*arguments, **more):
        loss, derivative = both(*arguments, **more)
        return loss, 2.0 * derivative

    net.loss.loss_and_derivative = doubled


def half_the_update(net):
    update = net.optimizer.update
    net.optimizer.update = lambda w, gradient, out=None: 0.5 * (w + update(w, gradient))


def another_optimizer(net):
    net.optimizer = AdamW(0.01)


def clipping(net):
    net.optimizer.clip_value = 1e-3


def another_loss(net):
    net.loss = SoftmaxCrossEntropy(class_weight=[1.0, 5.0, 25.0])


def other_class_weights(net):
    net.loss.class_weight[2] = 25.0


def label_smoothing(net):
    net.loss.label_smoothing = 0.3


def an_ignored_class(net):
    net.loss.ignore_index = 1
    net.loss.makes_weights = True


def dropout(net):
    net.layers[2].rate = 0.5


def longest_weights(net):
    net.layers[0].max_norm = 0.3


CHANGES = [
    twice_the_output,
    twice_the_gradient_of_the_class,
    twice_the_derivative,
    half_the_update,
    another_optimizer,
    clipping,
    another_loss,
    other_class_weights,
    label_smoothing,
    an_ignored_class,
    dropout,
    longest_weights,
]


def trained(change):
    net = NeuralNetwork(
        epochs=4,
        batch_size=10,
        optimizer=SGD(0.1),
        loss=SoftmaxCrossEntropy(class_weight=[1.0, 2.0, 3.0]),
        dtype="float64",
        seed=1,
    )
    net.add(DenseLayer(6, (4,))).add(TanhActivation()).add(Dropout(0.0)).add(DenseLayer(3))
    at_the_second = LambdaCallback(
        on_epoch_begin=lambda net, epoch: change(net) if epoch == 1 else None
    )
    with pytest.MonkeyPatch.context() as patch:  # a change of the class ends with the training
        patch.setattr(DenseLayer, "backward_propagation", DenseLayer.backward_propagation)
        net.fit((X, Y), callbacks=at_the_second)
    return np.concatenate([net.parameters.copy(), net.history["loss"]])


@pytest.fixture(params=["compiled", "captured"])
def prepared(request):
    """Each kind of steps that is prepared before the first epoch."""
    if request.param == "captured":
        request.getfixturevalue("emulated")
    else:
        pytest.importorskip("numba", reason="compiled steps need the extra numba")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_a_callback_replaces_between_epochs_is_trained_with(change, prepared, monkeypatch):
    found, without = trained(change), trained(lambda net: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XPNET_STEPS", "formulas")
        patch.setattr("xpnet.backends._numpy.NumpyBackend.has_kernels", False)
        expected = trained(change)
    assert not np.allclose(found, without, rtol=1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
