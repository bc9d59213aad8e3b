"""Attributes and hooks with misspelt names, which would have no effect, are refused."""

import copy
import pickle

import numpy as np
import pytest

from xpnet import (
    L2,
    SGD,
    Adam,
    Callback,
    DenseLayer,
    Dropout,
    EarlyStopping,
    Layer,
    LeakyReLUActivation,
    NeuralNetwork,
    Residual,
    SoftmaxCrossEntropy,
)

X = np.random.default_rng(0).normal(size=(16, 3))


def network():
    return NeuralNetwork(epochs=2, seed=0).add(DenseLayer(4, (3,))).add(DenseLayer(1))


@pytest.mark.parametrize(
    ("part", "name", "meant"),
    [
        (DenseLayer(3), "trainabel", "trainable"),
        (DenseLayer(3), "learning_rate_facter", "learning_rate_factor"),
        (DenseLayer(3), "maxnorm", "max_norm"),
        (Dropout(0.5), "rates", "rate"),
        (LeakyReLUActivation(), "Trainable", "trainable"),
        (Residual(DenseLayer(3)), "trainble", "trainable"),
        (SoftmaxCrossEntropy(), "label_smothing", "label_smoothing"),
        (SGD(0.1), "momentun", "momentum"),
        (Adam(), "learningrate", "learning_rate"),
        (EarlyStopping("loss"), "patiance", "patience"),
        (L2(0.1), "per_samples", "per_sample"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_names_that_are_nearly_settings_are_refused(part, name, meant):
    before = dict(vars(part))
    with pytest.raises(AttributeError, match=rf"no setting '{name}': did you mean '{meant}'\?"):
        setattr(part, name, 1)
    assert vars(part) == before


def test_other_names_may_be_set_and_copied():
    layer = DenseLayer(3)
    layer.name, layer.note = "hidden", "first"
    for again in (layer.copy(), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert (again.name, again.note) == ("hidden", "first")


class Scaled(Layer):
    """A user's layer, whose attributes are nearly its arguments."""

    parameter_names = ()

    def __init__(self, factor=1.0):
        self.factors = [factor]

    def forward_propagation(self, input, training=True):
        return input * self.factors[0]

    def backward_propagation(self, output_error):
        return output_error * self.factors[0]


def test_users_layers_may_have_any_attributes_but_misspelt_ones_of_all_layers():
    layer = Scaled(2.0)
    layer.factr = 3.0
    with pytest.raises(AttributeError, match="did you mean 'trainable'"):
        layer.trainabel = False
    with pytest.raises(ValueError, match="learning_rate_factor=-1"):
        layer.learning_rate_factor = -1

    class Named(Layer):
        trainables = 0

        def forward_propagation(self, input, training=True):
            return input

        def backward_propagation(self, output_error):
            return output_error

    named = Named()
    named.trainables = 3  # which its class has
    assert named.trainables == 3


def test_settings_of_training_are_checked_when_they_are_set():
    net = network()
    with pytest.raises(ValueError, match=r"learning_rate_factor=-1"):
        net.layers[0].learning_rate_factor = -1
    with pytest.raises(TypeError, match=r"trainable='no': expected True or False"):
        net.layers[0].trainable = "no"
    assert (net[0].trainable, net[0].learning_rate_factor) == (True, 1.0)


@pytest.mark.parametrize("name", ["on_epoch_finish", "on_epoch_ends", "on_train_start"])
def test_methods_that_look_like_hooks_are_refused(name):
    callback = type("Mine", (Callback,), {name: lambda self, *given: None})()
    net = network()
    with pytest.raises(TypeError, match=rf"Mine\.{name} is never called: .*on_epoch_end, on_div"):
        net.fit(X, X[:, 0], callbacks=callback)
    assert not net.is_fitted
    later = EarlyStopping("loss")
    setattr(later, name, print)
    with pytest.raises(TypeError, match=f"EarlyStopping.{name} is never called"):
        net.fit(X, X[:, 0], callbacks=later)


def test_the_nearest_hook_is_named():
    callback = type("Mine", (Callback,), {"on_epoch_ends": lambda self, *given: None})()
    with pytest.raises(TypeError, match=r"did you mean on_epoch_end\?"):
        network().fit(X, X[:, 0], callbacks=callback)
