"""Names of other libraries are refused with what to write here."""

import inspect
import re

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adam,
    AdamW,
    BatchNormalization,
    Composite,
    Dataset,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    OneCycle,
    ReLUActivation,
    Residual,
    TimeLimit,
)
from xpnet.common import keywords
from xpnet.search import random_search

X, Y = np.linspace(0, 1, 12).reshape(6, 2), np.arange(6.0)


def network(**settings):
    return NeuralNetwork(**settings).add(DenseLayer(3, input_shape=(2,))).add(ReLUActivation())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Adam(lr=0.1), "'lr': write learning_rate="),
        (lambda: SGD(lr=0.1), "'lr': write learning_rate="),
        (lambda: Adam(betas=(0.9, 0.99)), "'betas': write beta_1= and beta_2="),
        (lambda: Adam(weight_decay=0.1), r"AdamW\(weight_decay=...\).*regularizer=L2"),
        (lambda: SGD(weight_decay=0.1), r"AdamW\(weight_decay=...\).*regularizer=L2"),
        (lambda: NeuralNetwork(clip_norm=1), r"optimizer=Adam\(clip_norm=1.0\)"),
        (lambda: NeuralNetwork(accumulation_steps=4), "write accumulate="),
        (lambda: NeuralNetwork([DenseLayer(3)]), r"add them one by one, as in NeuralNetwork\(\)\."),
        (lambda: NeuralNetwork(DenseLayer(3)), r"add them one by one, as in NeuralNetwork\(\)\."),
        (lambda: Dropout(p=0.3), "'p': write rate="),
        (lambda: DenseLayer(5, trainable=False), "'trainable': set it afterwards, as in layer.tr"),
        (lambda: BatchNormalization(trainable=False), "'trainable': set it afterwards"),
        (lambda: DenseLayer(5, learning_rate_factor=0.1), "layer.learning_rate_factor = 0.1"),
        (lambda: OneCycle(max_lr=0.1), "'max_lr': write highest="),
        (lambda: TimeLimit(minutes=1), r"TimeLimit\(60 \* minutes\)"),
        (lambda: Dataset.from_frame({}, target="a"), "'target': write label="),
        (lambda: Dataset.from_csv("a.csv", target="a"), "'target': write label="),
        (lambda: random_search(network, {}, (X, Y), (X, Y), n_trials=3), "write n_iter="),
        (lambda: random_search(network, {}, (X, Y), validation_split=0.2), "train_test_split"),
        (lambda: NeuralNetwork().add([DenseLayer(3)]), r"for layer in layers: net.add\(layer\)$"),
        (lambda: NeuralNetwork().add(network()), r"for layer in layers: net.add\(layer.copy\(\)\)"),
        (lambda: NeuralNetwork().add(network().layers), r"^add\(a list\): .*add\(layer.copy\(\)\)"),
        (lambda: network().fit(X, Y, callbacks=[OneCycle(0.1)]), r"learning_rate=\.\.\."),
        (lambda: network().fit(X, Y, callbacks=OneCycle(0.1)), r"learning_rate=\.\.\."),
    ],
)
def test_what_to_write_instead_of_an_argument(call, words):
    with pytest.raises(TypeError, match=words):
        call()


@pytest.mark.parametrize(
    ("name", "words"),
    [("he", "write 'he_normal' or 'he_uniform'"), ("Xavier_Uniform", "write 'glorot_uniform'")],
)
def test_what_to_write_instead_of_an_initializer(name, words):
    with pytest.raises(xpnet.UnknownNameError, match=words):
        DenseLayer(3, initializer=name)


@pytest.mark.parametrize("kind", [Composite, Residual])
def test_layers_of_another_network_are_given_as_copies(kind):
    net = network()
    with pytest.raises(ValueError, match=r"already in a network: give layer\.copy\(\)"):
        kind(*net.layers)
    inner = kind(*(each.copy() for each in net[:1]))
    assert inner.layers[0] is not net[0]
    assert inner.layers[0].weights.tolist() == net[0].weights.tolist()


def test_the_layers_of_a_network_are_added_as_its_message_says():
    old, new = network(seed=0), NeuralNetwork()
    for layer in old:
        new.add(layer.copy())
    assert (new[0].weights == old[0].weights).all()


def test_loading_is_a_function_of_the_package():
    for thing in (NeuralNetwork, network()):
        with pytest.raises(AttributeError, match=r"has no attribute 'load': write xpnet\.load\("):
            thing.load  # noqa: B018
        assert not hasattr(thing, "load")


@pytest.mark.parametrize("name", sorted(keywords.PACKAGE))
def test_names_that_the_package_does_not_have(name):
    advice = keywords.PACKAGE[name]
    with pytest.raises(AttributeError, match=rf"no attribute '{name}': write {re.escape(advice)}$"):
        getattr(xpnet, name)
    if advice.startswith("xpnet.estimators"):
        pytest.importorskip("sklearn")
    thing = xpnet
    for part in advice.split(".")[1:] if advice.startswith("xpnet.") else ():
        thing = getattr(thing, part)


def test_names_without_a_hint_are_refused_as_by_python():
    with pytest.raises(AttributeError, match=r"no attribute 'Foo'$"):
        xpnet.Foo  # noqa: B018
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'foo'$"):
        Adam(foo=1)


def classes():
    """Return the public classes of the package by name."""
    modules = (xpnet.layers, xpnet.optimizers, xpnet.schedules, xpnet.callbacks)
    found = {name: getattr(module, name) for module in modules for name in module.__all__}
    return {name: each for name, each in found.items() if inspect.isclass(each)}


def arguments_in(advice):
    return re.findall(r"(?:write|and) (\w+)=", advice)


def test_the_advice_for_constructors_names_their_arguments():
    known, checked = classes(), 0
    assert keywords.CONSTRUCTORS.keys() <= known.keys()
    for base, hints in keywords.CONSTRUCTORS.items():
        for cls in known.values():
            if not issubclass(cls, known[base]) or "__init__" not in vars(cls):
                continue
            parameters = inspect.signature(cls).parameters
            for name, advice in hints.items():
                own = keywords.CONSTRUCTORS.get(cls.__name__, {}).get(name, advice)
                assert {*arguments_in(own)} <= {*parameters} or name in parameters, (cls, name)
                checked += 1
    assert checked > 100


@pytest.mark.parametrize(
    ("hints", "function"),
    [
        (keywords.FIT, NeuralNetwork.fit),
        (keywords.MODEL, xpnet.Model),
        (keywords.NETWORK, NeuralNetwork),
        (keywords.FRAME, Dataset.from_frame),
        (keywords.FRAME, Dataset.from_csv),
        (keywords.SEARCH, random_search),
    ],
)
def test_the_advice_for_functions_names_their_arguments(hints, function):
    parameters = inspect.signature(function).parameters
    for name, advice in hints.items():
        assert name not in parameters
        assert {*arguments_in(advice)} <= {*parameters}


def test_arguments_that_a_subclass_has_are_not_refused():
    assert AdamW(weight_decay=0.1).weight_decay == 0.1
    assert xpnet.optimizers.Lion(weight_decay=0.1).weight_decay == 0.1


def test_a_users_layer_may_have_an_argument_of_that_name():
    class Mine(DenseLayer):
        def __init__(self, n_units, trainable=True, units=1):
            super().__init__(n_units)
            self.trainable, self.units = trainable, units

    layer = Mine(3, trainable=False, units=7)
    assert (layer.trainable, layer.units) == (False, 7)
    assert list(inspect.signature(DenseLayer).parameters)[:2] == ["n_units", "input_shape"]
