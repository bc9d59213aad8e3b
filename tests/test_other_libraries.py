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
    LayerNormalization,
    NeuralNetwork,
    OneCycle,
    ReLUActivation,
    Residual,
    TimeLimit,
    train_test_split,
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
        (lambda: NeuralNetwork(max_epochs=3), "'max_epochs': write epochs=$"),
        (lambda: NeuralNetwork(epoch=3), r"NeuralNetwork\..*'epoch': did you mean 'epochs'\?$"),
        (lambda: NeuralNetwork(hidden_layer_sizes=(3,)), "add them one by one"),
        (lambda: LayerNormalization(normalized_shape=3), "LayerNormalization.*leave it out$"),
        (lambda: DenseLayer(3, use_bais=False), "did you mean 'use_bias'"),
        (lambda: network().fit(X, Y, callback=[]), "did you mean 'callbacks'"),
        (lambda: network().fit(X, Y, lr=0.1), r"write NeuralNetwork\(learning_rate=\.\.\.\)"),
        (lambda: network().predict(X, n_samples=9), r"NeuralNetwork\.predict\(.*write samples="),
        (lambda: network().predict_interval(X, alpha=0.1), "write coverage=0.9 for alpha=0.1"),
        (lambda: network().evaluate(X, Y, sample_weights=Y), "did you mean 'sample_weight'"),
        (lambda: train_test_split(X, Y, seed=1), r"train_test_split\(.*write random_state="),
        (lambda: Dataset.from_csv("a.csv", sep=";"), r"Dataset\.from_csv\(.*delimiter="),
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


@pytest.mark.parametrize("name", ["load", "compile", "eval", "train", "state_dict", "count_params"])
def test_methods_that_networks_do_not_have(name):
    for thing in (NeuralNetwork, network()):
        with pytest.raises(AttributeError, match=rf"NeuralNetwork has no attribute '{name}': \w+"):
            getattr(thing, name)
        assert not hasattr(thing, name)
        assert name not in [each for each in dir(thing) if hasattr(thing, each)]


@pytest.mark.parametrize(
    ("part", "name", "words"),
    [
        (DenseLayer(3), "requires_grad", "has no setting 'requires_grad': write layer.trainable"),
        (DenseLayer(3), "lr", "learning_rate_factor = 0.1"),
        (DenseLayer(3), "bias", r"write layer\.biases"),
        (Adam(), "lr", r"write optimizer\.learning_rate"),
        (network(), "lr", r"does not keep 'lr'.*net\.optimizer\.learning_rate = 0\.1"),
        (network(), "learning_rate_", r"'learning_rate_' \(learning_rate\?\), so"),
        (network(), "scheduler", r"net\.optimizer\.schedule = "),
        (network(), "requires_grad", r"write layer\.trainable = False"),
        (network(), "trainabel", r"\(trainable\?\).*for layer in net: layer\.trainable"),
    ],
)
def test_attributes_of_other_libraries_would_have_no_effect(part, name, words):
    with pytest.raises(AttributeError, match=words):
        setattr(part, name, False)
    assert name not in vars(part)


def test_a_method_of_another_base_is_found():
    class Mixin:
        def train(self):
            return "mine"

    class Net(NeuralNetwork, Mixin):
        pass

    assert Net().train() == "mine"
    assert Net.train is Mixin.train
    with pytest.raises(AttributeError, match="Net has no attribute 'eval'"):
        Net().eval  # noqa: B018


@pytest.mark.parametrize("name", ["optimal", "lrs", "scheduled", "callback"])
def test_names_that_only_resemble_those_of_other_libraries_may_be_set(name):
    net = network()
    setattr(net, name, 1)
    assert getattr(net, name) == 1


@pytest.mark.parametrize(("call", "name"), [("predict", "alpha"), ("score", "target")])
def test_hints_are_for_the_method_that_is_called(call, name):
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{name}'$"):
        getattr(network(), call)(X, **{name: 1})


def test_a_users_own_parts_may_have_attributes_of_these_names():
    class Mine(DenseLayer):
        def __init__(self, n_units):
            super().__init__(n_units)
            self.lr, self.bias, self.activation = 0.1, None, "relu"

    class Net(NeuralNetwork):
        def __init__(self):
            super().__init__()
            self.scheduler = self.lr = self.callbacks = None

    assert Mine(3).lr == 0.1
    assert Net().scheduler is None


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
    modules = (xpnet.layers, xpnet.losses, xpnet.optimizers, xpnet.schedules, xpnet.callbacks)
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
        (keywords.SPLIT, train_test_split),
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
