"""If a user has replaced a method, only kinds of steps that call it are used."""

import copyreg
import functools
import importlib
import inspect
import operator
import sys

import numpy as np
import pytest

from xpnet import (
    SGD,
    AdamW,
    DenseLayer,
    Dropout,
    LeakyReLUActivation,
    NeuralNetwork,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.activations import ActivationLayer
from xpnet.common.overrides import first_override, has_methods_of
from xpnet.layers import Layer
from xpnet.layers.rewiring import CompositePrediction
from xpnet.losses import LOSSES, MeanLoss
from xpnet.model.parameters import Parameters
from xpnet.optimizers import OPTIMIZERS
from xpnet.regularizers import L2, REGULARIZERS

from .steps import why_not_compiled

FEATURES = 4
RNG = np.random.default_rng(4)
X = RNG.standard_normal((60, FEATURES)).astype(np.float32)
Y = RNG.integers(0, 3, 60)


def network(kind=NeuralNetwork, dense=DenseLayer, activation=LeakyReLUActivation, loss=None):
    net = kind(
        epochs=4,
        batch_size=10,
        optimizer=SGD(0.1),
        loss=SoftmaxCrossEntropy() if loss is None else loss,
        regularizer=L2(0.001),
        dtype="float64",
        seed=1,
    )
    return net.add(dense(6, (FEATURES,))).add(activation()).add(DenseLayer(3))


def weights(net, kernels, monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    net.fit((X, Y))
    return net.parameters.copy()


def trains_alike(make, monkeypatch):
    """Compare training by formulas with the steps that the library chooses."""
    by_formulas = weights(make(), "formulas", monkeypatch)
    np.testing.assert_allclose(
        weights(make(), "auto", monkeypatch), by_formulas, rtol=1e-9, atol=1e-12
    )
    return by_formulas


def test_unchanged_networks_are_compiled():
    assert why_not_compiled(network(), X, Y) is None


# ---- packages of others


PACKAGE = """
from xpnet import (
    DenseLayer as Dense, LeakyReLUActivation as Leaky, NeuralNetwork as Network,
    SoftmaxCrossEntropy as Loss,
)

class NeuralNetwork(Network):
    def forward_propagation(self, X, training=True):
        return 2 * super().forward_propagation(X, training)
    def backward_propagation(self, error, update=True):
        super().backward_propagation(2 * error, update)

class DenseLayer(Dense):
    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input, training) + 1.0

class LeakyReLUActivation(Leaky):
    def activation_function(self, input):
        return super().activation_function(input) + 0.5 * input
    def derivative(self, input):
        return super().derivative(input) + 0.5

class SoftmaxCrossEntropy(Loss):
    def sample_derivative(self, y_true, y_pred):
        return 3.0 * super().sample_derivative(y_true, y_pred)

for kind in (NeuralNetwork, DenseLayer, LeakyReLUActivation, SoftmaxCrossEntropy):
    kind.__module__ = kind.__mro__[1].__module__
"""


@pytest.fixture(params=["xpnet_extras", "other_extras", "xpnet2"])
def extras(request, tmp_path, monkeypatch):
    """Another package, whose classes claim to belong to this one."""
    folder = tmp_path / request.param
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(request.param)
    del sys.modules[request.param]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("kind", "NeuralNetwork"),
        ("dense", "DenseLayer"),
        ("activation", "LeakyReLUActivation"),
        ("loss", "SoftmaxCrossEntropy"),
    ],
)
def test_classes_of_other_packages_are_not_taken_for_ours(extras, part, name, monkeypatch):
    kind = getattr(extras, name)

    def make():
        return network(**{part: kind() if part == "loss" else kind})

    # A formula of one's own is compiled as well as the library's.
    assert (why_not_compiled(make(), X, Y) is None) == (part == "activation")
    changed = trains_alike(make, monkeypatch)
    assert not np.allclose(changed, weights(network(), "formulas", monkeypatch))


def test_a_class_beside_the_package_is_not_ours(monkeypatch):
    """Its code is in a folder whose name begins with the name of the package."""
    source = "def forward_propagation(self, X, training=True):\n    return X @ w"
    path = sys.modules["xpnet"].__file__.replace("__init__.py", "_extras/net.py")
    space = {"w": np.zeros((FEATURES, 3))}
    exec(compile(source, path, "exec"), space)
    kind = type("NeuralNetwork", (NeuralNetwork,), {**space, "__module__": "xpnet.neuralnet"})
    assert "forward_propagation" in why_not_compiled(network(kind), X, Y)


# ---- objects


class Callable:
    """A callable object that is not a function."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments, **named):
        return self.function(*arguments, **named)


WAYS = {
    "function": lambda function: function,
    "lambda": lambda function: lambda *arguments, **named: function(*arguments, **named),
    "partial": functools.partial,
    "object": Callable,
    "wrapped": lambda function: functools.wraps(SGD.update)(
        lambda *arguments, out=None: function(*arguments)
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_optimizer_with_an_update_of_its_own(way, monkeypatch):
    def make():
        net = network()
        net.optimizer.update = WAYS[way](lambda w, gradient: w - 0.01 * gradient)
        return net

    assert "update" in why_not_compiled(make(), X, Y)
    trains_alike(make, monkeypatch)


def test_an_update_written_in_c(monkeypatch):
    def make():
        net = network()
        net.optimizer.update = np.subtract
        return net

    trains_alike(make, monkeypatch)


INSTANCES = {
    "activation_function": lambda net: (net.layers[1], lambda x: x),
    "derivative": lambda net: (net.layers[1], lambda x: 0 * x + 2.0),
    "sample_loss": lambda net: (net.loss, lambda y, p: 0.0 * p[:, 0]),
    "sample_derivative": lambda net: (net.loss, lambda y, p: 0.1 * (p - y)),
    "match": lambda net: (net.loss, lambda y, p: net.loss.one_hot(y, p) * 0.5),
    "one_hot": lambda net: (net.loss, lambda y, p: 0.0 * p + 0.3),
    "loss": lambda net: (net.loss, lambda y, p: (p * 0).sum()),
    "derivative of the loss": lambda net: (net.loss, lambda y, p: 0.01 * p),
    "regularizers": lambda net: (net.layers[0], dict),
    "constrain": lambda net: (net.layers[0], lambda: None),
    "forward_propagation": lambda net: (net, lambda X, training: net.layers[0].input),
    "update_parameters": lambda net: (net, lambda weight=1.0: None),
    "update": lambda net: (net.parameters, lambda optimizer, weight=1.0: None),
    "add_to": lambda net: (net.regularizer, lambda g, w, share=1.0, out=None: g + w),
    "penalty": lambda net: (net.regularizer, lambda w: 0.0),
    "add_to_gradients": lambda net: (net.parameters.penalties, lambda share, in_place: None),
    "targets": lambda net: (net.loss, "classes"),
    "weight_names": lambda net: (net.layers[0], ()),
}


@pytest.mark.parametrize("name", INSTANCES)
def test_objects_with_a_method_of_their_own(name, monkeypatch):
    def make():
        net = network()
        thing, value = INSTANCES[name](net)
        setattr(thing, name.split()[0], value)
        return net

    assert name.split()[0] in why_not_compiled(make(), X, Y)
    if name != "forward_propagation":
        trains_alike(make, monkeypatch)


@pytest.mark.parametrize("name", ["sample_loss", "sample_derivative", "match", "one_hot"])
@pytest.mark.parametrize("where", ["object", "class", "base"])
def test_a_loss_computed_in_one_asks_its_methods_where_they_were_replaced(name, where, monkeypatch):
    loss = SoftmaxCrossEntropy()
    owner = next(kind for kind in type(loss).__mro__ if name in vars(kind))
    places = {"object": loss, "class": SoftmaxCrossEntropy, "base": owner}
    y, p = Y[:5], RNG.standard_normal((5, 3))
    original = getattr(loss, name)
    asked = []

    def mine(*arguments):
        asked.append(name)
        return original(*arguments[-2:])

    before = loss.loss_and_derivative(y, p)
    monkeypatch.setattr(places[where], name, mine)
    after = loss.loss_and_derivative(y, p)
    assert asked
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["loss", "derivative"])
@pytest.mark.parametrize("where", ["object", "class"])
@pytest.mark.parametrize("kind", sorted(set(LOSSES.values()), key=lambda kind: kind.__name__))
def test_every_loss_asks_for_a_loss_or_a_derivative_that_was_replaced(
    kind, where, name, monkeypatch
):
    loss = kind()
    assert has_methods_of(MeanLoss, loss, "loss", "derivative")
    monkeypatch.setattr(
        loss if where == "object" else MeanLoss, name, lambda *arguments: "replaced"
    )
    y, p = np.full((4, loss.n_targets(2)), 0.5), np.full((4, 2), 0.5)
    result = loss.loss_and_derivative(y, p)
    assert result[("loss", "derivative").index(name)] == "replaced"


# ---- classes of the package


def ours():
    """Yield the classes of this package that steps are compiled or captured for."""
    yield from (DenseLayer, Dropout, NeuralNetwork, Parameters)
    yield from ActivationLayer.__subclasses__()
    for registry in (OPTIMIZERS, REGULARIZERS):
        yield from registry.values()
    yield from set(LOSSES.values())


# Those with ``instead`` hold a function of the user's, which may change at any time.
OURS = sorted(
    {k for k in ours() if k.__module__.startswith("xpnet.") and not hasattr(k, "instead")},
    key=operator.attrgetter("__name__"),
)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_any_replaced_method_of_a_class_of_ours_is_noticed(kind, monkeypatch):
    thing = object.__new__(kind)
    assert first_override(thing) is None
    for owner in kind.__mro__[:-1]:
        for name in list(vars(owner)):
            if name.startswith(("__", "_abc")):
                continue
            for new in (lambda *arguments: None, property(lambda self: None)):
                with monkeypatch.context() as patch:
                    patch.setattr(owner, name, new, raising=False)  # `load` cannot be read
                    seen = first_override(thing)
                hidden = any(
                    name in vars(each)
                    for each in kind.__mro__
                    if issubclass(each, owner) and each is not owner
                )
                assert seen == name or hidden
            assert first_override(thing) is None


@pytest.mark.parametrize(
    "special", ["__getattribute__", "__getattr__", "__call__", "__setattr__", "__getstate__"]
)
def test_special_methods_count(special, monkeypatch):
    monkeypatch.setattr(DenseLayer, special, getattr(object, special, len), raising=False)
    assert first_override(DenseLayer(2)) == special


def test_a_method_taken_from_another_class_of_ours_counts(monkeypatch):
    for name in ("activation_function", "derivative"):
        monkeypatch.setattr(LeakyReLUActivation, name, getattr(TanhActivation, name))
    assert first_override(LeakyReLUActivation()) == "activation_function"
    trains_alike(network, monkeypatch)


@pytest.mark.parametrize("where", ["class", "deleted"])
def test_names_of_parameters_count(where, monkeypatch):
    """A layer trains its biases only if their name is among its parameters."""
    if where == "class":
        monkeypatch.setattr(DenseLayer, "parameter_names", ("weights",))
    if where == "deleted":
        monkeypatch.delattr(LeakyReLUActivation, "derivative")
        monkeypatch.setattr(ActivationLayer, "derivative", TanhActivation.derivative)
    trains_alike(network, monkeypatch)
    monkeypatch.undo()


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_attributes_that_python_adds_to_a_class_do_not_count(kind):
    thing = object.__new__(kind)
    copyreg._slotnames(kind)  # what copying an object does
    inspect.get_annotations(kind)
    inspect.isabstract(kind)
    assert isinstance(thing, kind.__mro__[-2])
    assert "__slotnames__" in vars(kind)
    assert first_override(thing) is None


def test_a_constant_of_a_class_counts(monkeypatch):
    monkeypatch.setattr(AdamW, "n_updates", 7)
    assert first_override(AdamW()) == "n_updates"


def test_a_layer_whose_backward_pass_was_replaced_gets_dense_rows():
    class Own(DenseLayer):
        def backward_propagation(self, output_error):
            assert isinstance(self.input, np.ndarray)
            return super().backward_propagation(output_error)

    assert DenseLayer(3).takes_sparse
    assert not Own(3).takes_sparse
    changed = DenseLayer(3)
    changed.forward_propagation = lambda input, training=True: input
    assert not changed.takes_sparse


def test_layers_of_ours_are_all_remembered():
    kinds = [
        kind
        for base in (Layer, CompositePrediction)
        for kind in base.__subclasses__()
        if kind.__module__.startswith("xpnet.layers") and kind is not CompositePrediction
    ]
    assert len(kinds) >= 4
    assert all(first_override(object.__new__(kind)) is None for kind in kinds)
