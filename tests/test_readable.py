"""The parts of a network show how they were made."""

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adam,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    Normalization,
    TanhActivation,
)
from xpnet.initializers import Normal
from xpnet.layers import Layer
from xpnet.losses import LOSSES, SoftmaxCrossEntropy
from xpnet.metrics import METRICS, Accuracy
from xpnet.model_files.describing import KINDS
from xpnet.optimizers import OPTIMIZERS
from xpnet.regularizers import L1L2
from xpnet.schedules import LinearDecay

SHOWN = [
    (SoftmaxCrossEntropy([1.0, 2.0]), "SoftmaxCrossEntropy(class_weight=[1.0, 2.0])"),
    (SoftmaxCrossEntropy(), "SoftmaxCrossEntropy()"),
    (SGD(0.5, momentum=0.5), "SGD(learning_rate=0.5, momentum=0.5)"),
    (Adam(clip_norm=1), "Adam(clip_norm=1.0)"),
    (SGD(LinearDecay(0.1, 0.02)), "SGD(learning_rate=LinearDecay(initial=0.1, final=0.02))"),
    (DenseLayer(8, (3,)), "DenseLayer(n_units=8, input_shape=(3,))"),
    (DenseLayer(8, regularizer="l1"), "DenseLayer(n_units=8, regularizer=L1())"),
    (DenseLayer(8, initializer=Normal()), "DenseLayer(n_units=8, initializer=Normal())"),
    (Dropout(0.3), "Dropout(rate=0.3)"),
    (Normal(0.1), "Normal(scale=0.1)"),
    (L1L2(0.1, per_sample=True), "L1L2(l1=0.1, per_sample=True)"),
    (Accuracy(), "Accuracy()"),
    (TanhActivation(), "TanhActivation()"),
]


@pytest.mark.parametrize(("part", "text"), SHOWN, ids=[text for _, text in SHOWN])
def test_what_was_given_is_shown(part, text):
    assert repr(part) == text


@pytest.mark.parametrize(("part", "text"), SHOWN, ids=[text for _, text in SHOWN])
def test_what_is_shown_makes_the_same_again(part, text):
    from xpnet import initializers, metrics, regularizers, schedules

    names = vars(initializers) | vars(metrics) | vars(regularizers) | vars(schedules) | vars(xpnet)
    assert repr(eval(text, names)) == text


@pytest.mark.parametrize("cls", [*LOSSES.values(), *METRICS.values(), *OPTIMIZERS.values()])
def test_defaults_are_not_shown(cls):
    assert repr(cls()) == f"{cls.__name__}()"


def test_every_kind_is_shown():
    assert all("__repr__" not in vars(kind) and repr(kind) for kind in KINDS)
    assert all(kind.__repr__ is Layer.__repr__ is not object.__repr__ for kind in KINDS)


def test_layers_of_a_network_show_their_shapes_and_large_arrays_are_shortened():
    net = NeuralNetwork().add(Normalization.adapt(np.random.default_rng(0).random((9, 500))))
    net.add(DenseLayer(2)).add(TanhActivation())
    assert len(repr(net.layers[0])) < 600
    assert repr(net.layers[1]) == "DenseLayer(n_units=2, input_shape=(500,))"


def test_a_users_class_shows_the_arguments_that_it_keeps():
    class Own(TanhActivation):
        def __init__(self, factor, lost, *more, **options):
            self.factor = factor

    assert repr(Own(2.0, 3)) == "Own(factor=2.0)"
