"""Attributes and hooks with misspelt names, which would have no effect, are refused."""

import copy
import functools
import pickle
from typing import ClassVar
from unittest.mock import Mock, create_autospec

import numpy as np
import pytest

from xpnet import (
    L2,
    SGD,
    Adam,
    Callback,
    CELUActivation,
    DenseLayer,
    Dropout,
    EarlyStopping,
    ELUActivation,
    LambdaCallback,
    Layer,
    LeakyReLUActivation,
    Model,
    NeuralNetwork,
    Optimizer,
    Residual,
    SigmoidActivation,
    SoftmaxCrossEntropy,
    SoftplusActivation,
    TanhActivation,
    load,
)
from xpnet.training.callback import has_batch_hook

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


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("on_epoch_finish", "on_epoch_end"),
        ("on_epoch_finished", "on_epoch_end"),
        ("on_train_start", "on_train_begin"),
        ("on_train_batch_end", "on_batch_end"),
    ],
)
def test_a_hook_of_the_same_meaning_is_named(name, nearest):
    callback = type("Mine", (Callback,), {name: lambda self, *given: None})()
    with pytest.raises(TypeError, match=rf"did you mean {nearest}\?"):
        network().fit(X, X[:, 0], callbacks=callback)


def keras_epoch(self, epoch, logs=None):
    raise AssertionError


def keras_train(self, logs=None):
    raise AssertionError


def too_few(self, network):
    raise AssertionError


def too_many(self, network, row, more):
    raise AssertionError


def by_name(self, *, network, row):
    raise AssertionError


@pytest.mark.parametrize(
    ("name", "method", "words"),
    [
        ("on_epoch_end", keras_epoch, r"takes \(epoch, logs\), but .* with \(network, row\)"),
        ("on_train_end", keras_train, r"takes \(logs\), but it is called with \(network\)"),
        ("on_batch_end", too_few, r"takes \(network\), .* with \(network, step, loss\)"),
        ("on_epoch_end", too_many, r"takes \(network, row, more\), .* with \(network, row\)"),
        ("on_epoch_end", by_name, r"takes \(network, row\), .* \(network, row\)"),
    ],
)
def test_hooks_with_other_arguments_are_refused_before_training(name, method, words):
    net = network()
    callback = type("Mine", (Callback,), {name: method})()
    with pytest.raises(TypeError, match=rf"Mine\.{name} {words}: define it with the latter"):
        net.fit(X, X[:, 0], callbacks=callback)
    assert not net.is_fitted
    with pytest.raises(TypeError, match=rf"LambdaCallback\.{name} {words}"):
        net.fit(X, X[:, 0], callbacks=LambdaCallback(**{name: method.__get__(net)}))


def test_hooks_may_have_other_names_and_optional_arguments():
    called = []

    class Mine(Callback):
        def on_train_begin(self, *given):
            called.append(given)

        def on_epoch_begin(self, net, number, note=None):
            called.append(number)

        @staticmethod
        def on_epoch_end(model, logs):
            called.append(logs["epoch"])

    network().fit(X, X[:, 0], callbacks=[Mine(), LambdaCallback(on_train_end=print)])
    assert called[1:] == [0, 1, 1, 2]


def timed(hook):
    @functools.wraps(hook)
    def called(self, network, row):
        return hook(self, network, row, 5)

    return called


def passed_on(hook):
    @functools.wraps(hook)
    def called(*given, **named):
        return hook(*given, **named)

    return called


def renamed(hook):
    @functools.wraps(hook)
    def called(self, network):
        raise AssertionError

    return called


def seen(self, network, row, now=5):
    self.rows.append((row["epoch"], now))


@pytest.mark.parametrize("decorate", [timed, passed_on])
def test_hooks_may_be_decorated(decorate):
    mine = type("Mine", (Callback,), {"on_epoch_end": decorate(seen), "rows": []})()
    network().fit(X, X[:, 0], callbacks=mine)
    assert mine.rows == [(1, 5), (2, 5)]


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (passed_on(keras_epoch), r"takes \(epoch, logs\), but"),
        (renamed(seen), r"takes \(network\), but it is called with \(network, row\)"),
    ],
)
def test_decorated_hooks_with_other_arguments_are_refused(hook, words):
    mine = type("Mine", (Callback,), {"on_epoch_end": hook})()
    with pytest.raises(TypeError, match=words):
        network().fit(X, X[:, 0], callbacks=mine)


@pytest.mark.parametrize("odd", [5, "(network, row)"])
def test_hooks_may_have_an_odd_signature(odd):
    def hook(self, network, row):
        rows.append(row)

    rows, hook.__signature__ = [], odd
    network().fit(X, X[:, 0], callbacks=type("Mine", (Callback,), {"on_epoch_end": hook})())
    assert len(rows) == 2


@pytest.mark.parametrize("steps", ["formulas", None])
def test_callbacks_may_be_mocks(steps):
    for mock in (Mock(spec=Callback), create_autospec(Callback, instance=True)):
        net = network()
        net.steps = steps
        net.fit(X, X[:, 0], callbacks=mock)
        assert [each.args[1]["epoch"] for each in mock.on_epoch_end.call_args_list] == [1, 2]
        assert mock.on_batch_end.call_count == 2


def test_only_callbacks_with_on_batch_end_hear_of_batches():
    own = Callback()
    assert not has_batch_hook(own)
    own.on_batch_end = print
    assert has_batch_hook(own)
    assert has_batch_hook(type("Mine", (Callback,), {"on_batch_end": keras_epoch})())


def subclasses(kind):
    return {each for one in kind.__subclasses__() for each in {one, *subclasses(one)}}


@pytest.mark.parametrize("base", [Layer, Optimizer], ids=lambda each: each.__name__)
def test_no_class_forgets_the_checks_of_its_bases(base):
    for kind in subclasses(base):
        assert base._checks.keys() <= kind._checks.keys()


@pytest.mark.parametrize(
    "kind",
    [LeakyReLUActivation, ELUActivation, CELUActivation, SigmoidActivation, SoftplusActivation],
)
def test_activations_check_the_settings_of_all_layers(kind, tmp_path):
    net = network().add(kind()).fit(X, np.zeros(16))
    layer = net.layers[-1]
    with pytest.raises(ValueError, match="learning_rate_factor=-1: expected a finite number"):
        layer.learning_rate_factor = -1
    with pytest.raises(TypeError, match="trainable="):
        layer.trainable = "no"
    layer.trainable = np.bool_(False)
    assert layer.trainable is False
    net.save(tmp_path / "net.safetensors")
    assert load(tmp_path / "net.safetensors").layers[-1].trainable is False


def test_checks_of_a_users_class_join_those_of_its_bases():
    class Mine(LeakyReLUActivation):
        _checks: ClassVar = {"note": lambda name, value: value.upper()}

    class Both(Mine, TanhActivation):
        pass

    for kind in (Mine, Both):
        layer = kind()
        layer.note, layer.trainable = "a", np.bool_(True)
        assert (layer.note, layer.trainable) == ("A", True)
        with pytest.raises(ValueError, match="alpha="):
            layer.alpha = -1


@pytest.mark.parametrize("name", ["trainable", "learning_rate_factor"])
@pytest.mark.parametrize("kind", [Model, NeuralNetwork])
def test_settings_of_layers_are_not_those_of_a_network(kind, name):
    called = "net" if kind is NeuralNetwork else "model"
    advice = f"set it on the layers, as in: for layer in {called}: layer.{name} = "
    with pytest.raises(AttributeError, match=advice):
        setattr(kind(), name, 0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stop_trainig", "stop_training"),
        ("stop_traning", "stop_training"),
        ("class_name", "class_names"),
        ("feature_name", "feature_names"),
        ("layer", "layers"),
    ],
)
def test_attributes_of_a_network_with_misspelt_names_are_refused(name, meant):
    net = network()
    with pytest.raises(AttributeError, match=rf"no setting '{name}': did you mean '{meant}'\?"):
        setattr(net, name, True)
    net.name = "first"
    assert copy.deepcopy(net).name == "first"


def test_a_callback_that_misspells_stop_training_ends_with_an_error():
    def stop(network, row):
        network.stop_trainig = True

    with pytest.raises(AttributeError, match="did you mean 'stop_training'"):
        network().fit(X, X[:, 0], callbacks=LambdaCallback(on_epoch_end=stop))
