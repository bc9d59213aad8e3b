"""``fit(resume=...)`` refuses layers whose settings differ from those of the first call."""

import numpy as np
import pytest

from xpnet import (
    L2,
    Callback,
    Checkpoint,
    DenseLayer,
    Dropout,
    GaussianNoise,
    NeuralNetwork,
    Residual,
    TanhActivation,
)

X = np.random.default_rng(0).normal(size=(64, 3))
Y = X[:, :1] ** 2


def network(change=lambda net: None):
    net = NeuralNetwork(seed=0, batch_size=16).add(DenseLayer(4, (3,))).add(TanhActivation())
    net.add(Residual(DenseLayer(4), TanhActivation())).add(Dropout(0.2)).add(GaussianNoise(0.1))
    net.add(DenseLayer(1))
    change(net)
    return net


def fit(net, folder, epochs, *callbacks):
    return net.fit(X, Y, epochs=epochs, callbacks=[*callbacks, Checkpoint(folder)], resume=folder)


def setting(index, name, value):
    def change(net):
        layer = net[index] if isinstance(index, int) else net[2].inner_layers[0]
        setattr(layer, name, value)

    return change


CHANGES = {
    "trainable": (setting(0, "trainable", False), "layers.0.trainable: True, now False"),
    "learning_rate_factor": (
        setting(0, "learning_rate_factor", 0.1),
        "layers.0.learning_rate_factor: 1.0, now 0.1",
    ),
    "inner trainable": (
        setting("inner", "trainable", False),
        "layers.2.inner.0.trainable: True, now False",
    ),
    "composite": (setting(2, "learning_rate_factor", 3.0), "layers.2.inner.0.learning_rate_factor"),
    "rate": (setting(3, "rate", 0.5), "layers.3.arguments.rate: 0.2, now 0.5"),
    "inner regularizer": (setting("inner", "regularizer", L2(0.1)), "layers.2.arguments"),
    "regularizer": (setting(0, "regularizer", L2(0.1)), "layers.0.arguments.regularizer"),
    "max_norm": (setting(0, "max_norm", 1.0), "layers.0.arguments.max_norm: None, now 1.0"),
    "noise": (setting(4, "stddev", 0.3), "layers.4.arguments"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("back", [False, True])
def test_a_changed_setting_of_a_layer_is_refused(name, back, tmp_path):
    change, said = CHANGES[name]
    first, second = (network(change), network()) if back else (network(), network(change))
    fit(first, tmp_path, 2)
    before = second[0].weights.copy()
    with pytest.raises(ValueError, match="is of another training") as refused:
        fit(second, tmp_path, 3)
    assert (said.partition(":")[0] if back else said) in str(refused.value)
    assert (second[0].weights == before).all()
    assert fit(network(change if back else lambda net: None), tmp_path, 3).history.epochs == 3


class Thaw(Callback):
    """Freezes the first layer before training, and trains it from the third epoch on."""

    def on_epoch_begin(self, network, epoch):
        network[0].trainable = epoch >= 2


def test_what_a_callback_changes_is_restored(tmp_path):
    frozen = setting(0, "trainable", False)
    whole = fit(network(frozen), tmp_path / "whole", 6, Thaw())
    fit(network(frozen), tmp_path / "parts", 4, Thaw())
    again = fit(network(frozen), tmp_path / "parts", 6, Thaw())
    assert again[0].trainable
    np.testing.assert_array_equal(again[0].weights, whole[0].weights)


def test_a_network_in_memory_goes_on_with_what_a_callback_changed(tmp_path):
    net = fit(network(setting(0, "trainable", False)), tmp_path, 4, Thaw())
    assert fit(net, tmp_path, 6, Thaw()).history.epochs == 6
    net[0].trainable = False
    net[0].learning_rate_factor = 0.5
    with pytest.raises(ValueError, match=r"layers\.0\.learning_rate_factor: 1\.0, now 0\.5"):
        fit(net, tmp_path, 7, Thaw())
