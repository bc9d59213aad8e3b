"""Every kind of part comes back from a file as it was, or is refused when the network is saved."""

import copy
import dataclasses
import enum
import functools
import inspect
import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import xpnet
from xpnet import (
    SGD,
    BatchNormalization,
    CategoricalEmbeddings,
    Composite,
    Dataset,
    DenseLayer,
    Dropout,
    Embedding,
    NeuralNetwork,
    SoftmaxCrossEntropy,
    TanhActivation,
    array_namespace,
    config,
)
from xpnet.activations import ActivationLayer
from xpnet.backends import to_host
from xpnet.initializers import INITIALIZERS
from xpnet.layers import Layer
from xpnet.losses import LOSSES, BinaryCrossEntropy, GaussianNLL, Heads, LossFunction
from xpnet.losses.head_metrics import HeadMetric
from xpnet.metrics import METRICS, Metric, ProbabilityMetric, TopKAccuracy
from xpnet.optimizers import LBFGS, OPTIMIZERS, Optimizer
from xpnet.regularizers import REGULARIZERS, Regularizer
from xpnet.schedules import Schedule
from xpnet.training.scorers import ScikitLearnScorer

FEATURES, OUTPUTS = 4, 3
X = np.random.default_rng(7).standard_normal((40, FEATURES))
LABELS = np.arange(40) % OUTPUTS
TARGETS = {
    "classes": LABELS,
    "values": np.random.default_rng(8).standard_normal((40, OUTPUTS)),
    "probabilities": np.eye(OUTPUTS)[LABELS],
    "binary": np.eye(OUTPUTS)[LABELS],
    "counts": np.arange(120).reshape(40, OUTPUTS) % 5,
    "positive": 1.0 + np.arange(120).reshape(40, OUTPUTS) % 5,
    "distributions": 0.7 * np.eye(OUTPUTS)[LABELS] + 0.1,
}


def targets_of(loss):
    if loss.repeats_targets:
        return TARGETS["values"][:, 0]
    return TARGETS.get(loss.targets, TARGETS["values"])


@pytest.fixture(autouse=True)
def by_formulas(monkeypatch):
    """Use formulas, whose results do not depend on how cores share the work."""
    monkeypatch.setenv("XPNET_STEPS", "formulas")


def network(*layers, **more):
    given = {"epochs": 2, "batch_size": 8, "loss": "softmax_cross_entropy", "optimizer": "adam"}
    net = NeuralNetwork(**given | {"seed": 3} | more)
    for layer in (DenseLayer(5, (FEATURES,)), *layers):
        net.add(layer)
    return net.add(DenseLayer(OUTPUTS))


def without_seconds(history):
    return {name: column for name, column in history.items() if name != "seconds"}


def comes_back(net, path, y=LABELS, fitted=True):
    """Train, save and load; compare predictions, and those after more training, bit by bit."""
    data = Dataset(X, y)
    if fitted:
        net.fit(data, validation=data)
    net.save(path)
    loaded = xpnet.load(path)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in net.layers]
    for name in ("loss", "metric", "regularizer"):
        assert type(getattr(loaded, name)) is type(getattr(net, name))
    if fitted:
        np.testing.assert_array_equal(loaded.predict(data), net.predict(data))
        assert repr(without_seconds(loaded.history)) == repr(without_seconds(net.history))
    for each in (net, loaded):
        each.fit(data, validation=data)
    np.testing.assert_array_equal(loaded.predict(data), net.predict(data))
    assert repr(without_seconds(loaded.history)) == repr(without_seconds(net.history))
    for each in (net, loaded):
        each.fit(data, restart=True)
    np.testing.assert_array_equal(loaded.predict(data), net.predict(data))
    return loaded


# ---- parts of the library


BY_NAME = {
    "average": st.sampled_from(["macro", "weighted"]),
    "approximate": st.sampled_from(["none", "tanh"]),
    "class_weight": st.none() | st.lists(st.floats(0.1, 5.0), min_size=OUTPUTS, max_size=OUTPUTS),
    "clip_norm": st.none() | st.floats(0.1, 5.0),
    "clip_value": st.none() | st.floats(0.1, 5.0),
    "epochs": st.none() | st.integers(1, 9),
    "final": st.floats(1e-3, 0.1),
    "ignore_index": st.none() | st.integers(-1, OUTPUTS - 1),
    "initial": st.floats(1e-3, 0.1),
    "initializer": st.sampled_from(sorted(INITIALIZERS)),
    "input_shape": st.none() | st.just((5,)),
    "learning_rate": st.floats(1e-3, 0.1),
    "max_norm": st.none() | st.floats(0.1, 5.0),
    "mean": st.floats(-3.0, 3.0) | st.just(np.linspace(-1.0, 1.0, 5)),
    "n_units": st.integers(1, 6),
    "output_kind": st.none() | st.just("logits"),
    "power": st.floats(1.0, 3.0),
    "quantiles": st.floats(0.1, 0.9) | st.just([0.1, 0.5, 0.9]),
    "regularizer": st.none() | st.sampled_from(sorted(REGULARIZERS)),
    "bias_regularizer": st.none() | st.sampled_from(sorted(REGULARIZERS)),
    "scale": st.floats(0.5, 3.0) | st.just(np.linspace(0.5, 1.5, 5)),
    "schedule": st.floats(1e-3, 0.1),
    "positive_weight": st.none() | st.floats(0.1, 9.0) | st.just([0.5, 1.0, 2.0]),
    "threshold": st.none() | st.floats(0.0, 1.0),
    "weights": st.none() | st.sampled_from(["linear", "quadratic"]),
}


@st.composite
def made(draw, kinds):
    """An object of one of the classes, with arguments that are drawn."""
    kind = draw(st.sampled_from(kinds))
    arguments = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        default = parameter.default
        if draw(st.booleans()) and default is not inspect.Parameter.empty:
            continue
        if name in BY_NAME:
            arguments[name] = draw(BY_NAME[name])
        elif isinstance(default, bool):
            arguments[name] = draw(st.booleans())
        elif isinstance(default, int):
            arguments[name] = draw(st.integers(1, 5))
        else:
            arguments[name] = draw(st.floats(0.01, 0.9))
    try:
        return kind(**arguments)
    except (TypeError, ValueError):  # arguments that do not go together
        assume(False)


def below(base, module):
    """Return the classes of a module of the library that objects can be made of."""
    found = [base]
    for kind in found:
        found += kind.__subclasses__()
    ours = {kind for kind in found if kind.__module__.startswith(module)}
    ours = {kind for kind in ours if not hasattr(kind, "instead")}
    return sorted((k for k in ours if not inspect.isabstract(k)), key=lambda kind: kind.__name__)


OF_OWN_TESTS = (Composite, Embedding, CategoricalEmbeddings)
"""Layers of layers, and layers for codes: in test_composites.py and test_embeddings.py."""

LAYERS = [
    kind
    for kind in below(Layer, "xpnet.layers") + below(Layer, "xpnet.activations")
    if not issubclass(kind, OF_OWN_TESTS)
]
PARTS = {
    "layer": LAYERS,
    "loss": list(dict.fromkeys(LOSSES.values())),
    "metric": list(METRICS.values()),
    "optimizer": list(OPTIMIZERS.values()),
    "regularizer": list(REGULARIZERS.values()),
    "schedule": below(Schedule, "xpnet.schedules"),
    "initializer": list(INITIALIZERS.values()),
}
CASES = [(role, kind) for role, kinds in PARTS.items() for kind in kinds]


@pytest.mark.filterwarnings("ignore:the schedule .* has ended after")
@pytest.mark.parametrize(("role", "kind"), CASES, ids=lambda case: getattr(case, "__name__", case))
@pytest.mark.filterwarnings("ignore:LBFGS ended without having converged")
@settings(max_examples=2, deadline=None, derandomize=True)
@given(drawing=st.data())
def test_parts_of_the_library_come_back(role, kind, drawing, tmp_path_factory):
    part = drawing.draw(made([kind]))
    assume(kind is not BinaryCrossEntropy or part.class_weight is None)  # which is for one output
    loss = part if role == "loss" else LOSSES["mse"]()
    if isinstance(part, ProbabilityMetric):
        loss = LOSSES["softmax_cross_entropy"]()
    elif isinstance(part, TopKAccuracy):
        assume(part.k < OUTPUTS)
    optimizer = part if role == "optimizer" else SGD(part, 0.0) if role == "schedule" else "adam"
    net = NeuralNetwork(
        epochs=2,
        batch_size=len(X) if isinstance(optimizer, LBFGS) else 8,
        loss=loss,
        optimizer=optimizer,
        metric=part if role == "metric" else None,
        regularizer=part if role == "regularizer" else None,
        dtype=drawing.draw(st.sampled_from(["float32", "float64"])),
        seed=drawing.draw(st.none() | st.integers(0, 9)),
    )
    initializer = part if role == "initializer" else "glorot_uniform"
    net.add(DenseLayer(5, (FEATURES,), initializer=initializer))
    if role == "layer":
        net.add(part)
    net.add(DenseLayer(2 * OUTPUTS if isinstance(loss, GaussianNLL) else OUTPUTS))
    kinds = loss.accepts or {"real"}
    for activation in LAYERS:
        if "real" not in kinds and activation.output_kind in kinds:
            net.add(activation())
            break
    data = Dataset(X, targets_of(loss))
    y = data.y
    if role == "metric" and (part.one_class_per_sample or part.of_classes):
        y = TARGETS["probabilities"]
    path = tmp_path_factory.mktemp("part") / "net"
    if net.seed is None:  # a restart of its own draws other weights
        net.fit((X, y)).save(path)
        loaded = xpnet.load(path)
        for each in (net, loaded):
            each.fit((X, y))
        np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    else:
        comes_back(net, path, y)


@pytest.mark.parametrize("kernels", ["formulas", "auto"])
def test_all_ways_to_take_steps_go_on_alike(kernels, tmp_path, monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    monkeypatch.setattr(config, "threads", 1)
    comes_back(network(TanhActivation(), Dropout(0.3), epochs=4), tmp_path / "net")


# ---- layers of a user's


class Times(ActivationLayer):
    """x times the attribute ``factor``."""

    factor = 1.0

    def activation_function(self, input):
        return input * float(self.factor)

    def derivative(self, input):
        return 0 * input + float(self.factor)


class PositionalOnly(Times):
    def __init__(self, factor, /, shift=0.0, *, name="x"):
        self.factor, self.shift, self.name = factor, shift, name


class Star(Times):
    def __init__(self, first, *others):
        self.first, self.others = first, others
        self.factor = first + sum(others)


class StarStar(Times):
    def __init__(self, **options):
        self.options = options
        self.factor = options.get("factor", 1.0)


class PassesOn(Star):
    def __init__(self, last, **more):
        super().__init__(**more)
        self.factor += last
        self.last = last


class MoreDense(DenseLayer):
    """The common way to extend a layer."""

    def __init__(self, n_units, note="", **more):
        super().__init__(n_units, **more)
        self.note = note


class Doubling(Times):
    """Keeps another value than it was given."""

    def __init__(self, factor):
        self.factor = 2 * factor


class Inherits(PositionalOnly):
    pass


@dataclasses.dataclass(eq=False)
class Data(Times):
    factor: float = 1.0
    steps: list = dataclasses.field(default_factory=list)


class Slots(Times):
    __slots__ = ("size",)

    def __init__(self, factor):
        self.factor = factor
        self.size = 1


class Behind(Times):
    """An argument behind a property."""

    def __init__(self, factor=1.0):
        self._factor = factor

    @property
    def factor(self):
        return self._factor


class Choice(Times):
    """Has an array as its argument."""

    def __init__(self, factors):
        self.factors = np.asarray(factors)
        self.factor = float(self.factors.sum())


class Values(Times):
    """Has whatever it is given."""

    def __init__(self, value):
        self.value = value


class Color(enum.IntEnum):
    RED = 1


def pair():
    return [DenseLayer(5), TanhActivation()]


class Residual(Layer):
    """x + f(x), where f is a list of layers, whose parameters have numbered names here."""

    def __init__(self, inner):
        self.inner = inner

    @property
    def layers(self):
        return list(self.inner.values()) if isinstance(self.inner, dict) else list(self.inner)

    def names(self, what):
        return tuple(
            f"p{k}_{name}" for k, each in enumerate(self.layers) for name in getattr(each, what)
        )

    parameter_names = property(lambda self: self.names("parameter_names"))
    state_names = property(lambda self: self.names("state_names"))

    def find(self, name):
        k, _, rest = name[1:].partition("_")
        return self.layers[int(k)], rest

    def __getattr__(self, name):
        if name[0] == "p" and name[1:2].isdecimal():
            layer, rest = self.find(name)
            return getattr(layer, rest)
        raise AttributeError(name)

    def __setattr__(self, name, value):
        if name[0] == "p" and name[1:2].isdecimal():
            layer, rest = self.find(name)
            setattr(layer, rest, value)
        else:
            super().__setattr__(name, value)

    def initialize(self, optimizer=None):
        shape = self.input_shape()
        for layer in self.layers:
            layer.set_input_shape(shape)
            layer.backend, layer.rng = self.backend, self.rng
            layer.initialize()
            shape = layer.output_shape()
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        output = input
        for layer in self.layers:
            output = layer.forward_propagation(output, training)
        return input + output

    def backward_propagation(self, output_error):
        error = output_error
        for layer in reversed(self.layers):
            error = layer.backward_propagation(error)
        return error + output_error

    def output_shape(self):
        return self.input_shape()

    def parameters(self):
        return sum(layer.parameters() for layer in self.layers)


class StarResidual(Residual):
    def __init__(self, *inner):
        self.inner = inner


class LostResidual(Residual):
    """The natural way to write it, which loses its layers."""

    def __init__(self, *inner):
        self._inner = inner

    @property
    def layers(self):
        return list(self._inner)


class OwnResidual(Residual):
    """Makes its layers itself."""

    def __init__(self, width=5):
        self.width = width
        self.inner = [DenseLayer(width), TanhActivation()]


class Hidden(OwnResidual):
    """Its inner weights are not among its parameters: nothing trains them."""

    parameter_names = ()
    state_names = ()

    def __init__(self, width=5):
        super().__init__(width)

    def initialize(self, optimizer=None):
        super().initialize(optimizer)
        self.inner[0].weights = np.random.default_rng().standard_normal((5, 5)).astype("float32")
        return self


class Noise(ActivationLayer):
    """Draws from the layer's own generator."""

    def activation_function(self, input):
        return input + 0.1 * self.rng.standard_normal(input.shape).astype(input.dtype)

    def derivative(self, input):
        return 0 * input + 1

    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input) if training else input


class Caching(Times):
    """Keeps arrays of a pass without declaring them."""

    factor = 2.0

    def forward_propagation(self, input, training=True):
        mean = array_namespace(input).mean(input, axis=0)
        self.cache, self.n = (input, {"mean": mean}), input.shape[0]
        return super().forward_propagation(input, training)

    def backward_propagation(self, output_error):
        return output_error * self.factor + 0 * self.cache[0]


class Running(Times):
    """Keeps a running mean from the first batch on without declaring it."""

    def __init__(self):
        self.mean, self.n_batches = None, 0

    def forward_propagation(self, input, training=True):
        if training:
            new = array_namespace(input).mean(input, axis=0)
            self.mean = new if self.mean is None else 0.9 * self.mean + 0.1 * new
            self.n_batches += 1
        scale = 1.0 + self.n_batches / 100
        return (0 * input if self.mean is None else input - self.mean) * scale

    def backward_propagation(self, output_error):
        return output_error * (1.0 + self.n_batches / 100)


class Drawn(Times):
    """Draws in its constructor."""

    def __init__(self):
        self.factor = float(np.random.default_rng().uniform(0.5, 2.0))
        self.table = np.random.default_rng().standard_normal(3)


def set_after(layer, **attributes):
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


SAME = {
    "positional only": lambda: PositionalOnly(1.5, 2.0, name="y"),
    "star": lambda: Star(1.0, 2.0, 0.5),
    "star alone": lambda: Star(1.5),
    "star star": lambda: StarStar(factor=1.5, other=(1, 2)),
    "passes on to its base": lambda: MoreDense(5, "a", regularizer="l2", max_norm=2.0),
    "inherited": lambda: Inherits(0.7),
    "dataclass": lambda: Data(1.2, [1, (2, None)]),
    "slots": lambda: set_after(Slots(1.3), size=4),
    "property": lambda: Behind(1.4),
    "another value": lambda: Doubling(0.6),
    "array": lambda: Choice(np.array([0.5, 0.25])),
    "array of integers": lambda: Choice([1, 0]),
    "changed afterwards": lambda: set_after(PositionalOnly(1.0), factor=2.5, extra={"a": 1}),
    "class attribute changed": lambda: set_after(Times(), factor=0.3),
    "layers in a list": lambda: Residual(pair()),
    "layers in a tuple": lambda: Residual(tuple(pair())),
    "layers in a dict": lambda: Residual(dict(zip("ab", pair(), strict=True))),
    "layers in layers": lambda: Residual([Residual(pair()), DenseLayer(5)]),
    "layers as star": lambda: StarResidual(*pair()),
    "layers of its own": lambda: OwnResidual(5),
    "layers with states": lambda: Residual([BatchNormalization(), Dropout(0.0)]),
    "own generator": Noise,
    "leftovers of a pass": Caching,
    "undeclared state": Running,
    "drawn in the constructor": Drawn,
}


@pytest.mark.parametrize("name", SAME)
def test_layers_of_a_users_come_back(name, tmp_path):
    loaded = comes_back(network(SAME[name]()), tmp_path / "net")
    mine = SAME[name]()
    for attribute in ("shift", "name", "note", "options", "others", "steps", "size", "extra"):
        if hasattr(mine, attribute):
            value = getattr(loaded.layers[1], attribute)
            assert value == getattr(mine, attribute)
            assert type(value) is type(getattr(mine, attribute))


@pytest.mark.parametrize("name", ["layers in a list", "leftovers of a pass", "undeclared state"])
def test_layers_of_a_users_come_back_on_every_backend(name, backend, tmp_path):
    where = {"device": backend.device_name, "backend": backend.name}
    net = network(SAME[name](), **where, dtype=backend.dtype).fit((X, LABELS))
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net", **where)
    assert loaded.backend == net.backend
    for _ in range(2):
        np.testing.assert_array_equal(
            to_host(loaded.predict(X.tolist())), to_host(net.predict(X.tolist()))
        )
        for each in (net, loaded):
            each.fit((X, LABELS))


def test_arrays_of_the_last_pass_are_not_saved(tmp_path):
    from safetensors.numpy import load_file

    net = network(Caching()).fit((X, LABELS))
    net.save(tmp_path / "net")
    assert not [name for name in load_file(tmp_path / "net") if name.startswith("layers.1.")]


def shared():
    layer = DenseLayer(5)
    return Residual([layer, TanhActivation(), layer])


REFUSED = {
    "lost star": (lambda: LostResidual(*pair()), r"LostResidual .* argument '\*inner'"),
    "lost argument of a base": (lambda: PassesOn(1.0, first=2.0), r"PassesOn cannot be saved"),
    "enum": (lambda: Values(Color.RED), "Values's argument 'value' .* it is a Color"),
    "function": (lambda: Values(math.sin), "Values's argument 'value'"),
    "lambda": (lambda: Values(lambda: 1), "Values's argument 'value'"),
    "class": (lambda: Values(Times), "Values's argument 'value'"),
    "complex": (lambda: Values(1j), "Values's argument 'value'"),
    "array of objects": (lambda: Values(np.array([None])), "Values's argument 'value'"),
    "object inside": (lambda: Values({"a": [object()]}), "Values's argument 'value'"),
    "named tuple": (
        lambda: Values(inspect.FullArgSpec(*range(7))),
        "Values's argument 'value' .* it is a FullArgSpec",
    ),
    "a layer twice": (shared, "occurs more than once|cannot be saved"),
    "hidden weights": (Hidden, r"Hidden cannot be saved: its 'inner\[0\]\.weights'"),
    "method of its own": (
        lambda: set_after(Times(), activation_function=lambda x: 3 * x),
        "Times cannot be saved: its 'activation_function'",
    ),
    "partial of its own": (
        lambda: set_after(Times(), helper=functools.partial(max, 2)),
        "Times cannot be saved: its 'helper'",
    ),
    "part of its own": (
        lambda: set_after(Times(), helper=TanhActivation()),
        "Times cannot be saved: its 'helper'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_would_not_come_back_are_refused(name, tmp_path):
    make, message = REFUSED[name]
    net = network(make())
    with pytest.raises(TypeError, match=message):
        net.save(tmp_path / "net")
    assert not list(tmp_path.iterdir())


# ---- other parts of a user's


class OwnLoss(SoftmaxCrossEntropy):
    """Remembers what it has seen, and computes with it."""

    def __init__(self, *, weight=1.0, kinds=("a",)):
        super().__init__()
        self.weight, self.kinds, self.seen = weight, kinds, 0

    def sample_derivative(self, y_true, y_pred):
        self.seen += 1
        self.last = y_pred
        return super().sample_derivative(y_true, y_pred) * self.weight / (1 + self.seen / 100)


class OwnOptimizer(Optimizer):
    """Sums in another precision, and counts by itself."""

    state_names = ("sum",)

    def __init__(self, learning_rate=0.1, /, *names, decay=0.5):
        super().__init__(learning_rate)
        self.names, self.decay = names, decay
        self.sum, self.count = None, 0

    def update(self, w, grad_loss_w):
        xp = array_namespace(w)
        self.count += 1
        self.sum = xp.astype(grad_loss_w, xp.float64) + (0 if self.sum is None else self.sum)
        rate = self.learning_rate / self.count**self.decay
        return w - rate * xp.astype(self.sum, w.dtype)


class OwnSchedule(Schedule):
    """Wraps another one, and forgets to say what it remembers."""

    def __init__(self, inner, **options):
        self.inner, self.options, self.n_seen = inner, options, 0

    def learning_rate(self, epoch, epochs):
        return self.inner.learning_rate(epoch, epochs) / (1 + self.n_seen)

    def observe(self, loss):
        self.n_seen += 1


class Watching(OwnSchedule):
    def observe(self, loss):
        self.inner.observe(loss)


class OwnRegularizer(Regularizer):
    def __init__(self, *powers):
        self.powers = powers

    def penalty(self, w):
        return sum(1e-3 * array_namespace(w).sum(abs(w) ** power) for power in self.powers)

    def derivative(self, w):
        xp = array_namespace(w)
        return sum(1e-3 * p * xp.sign(w) * abs(w) ** (p - 1) for p in self.powers)


class OwnMetric(Metric):
    name = "own"

    def __init__(self, weights):
        self.weights = weights

    def statistics(self, y_true, y_pred, sample_weight=None):
        return array_namespace(y_pred).mean(y_pred) * self.weights[0] * y_pred[:1, 0]

    def result(self, statistics):
        return statistics[0]


@pytest.mark.parametrize(
    "parts",
    [
        {"loss": lambda: OwnLoss(weight=2.0, kinds=("a", {"b": 1}))},
        {"optimizer": lambda: OwnOptimizer(0.05, "a", "b", decay=0.3)},
        {"optimizer": lambda: SGD(OwnSchedule(xpnet.StepDecay(0.1), a=1))},
        {"optimizer": lambda: SGD(xpnet.WarmUp(OwnSchedule(xpnet.StepDecay(0.1)), 1))},
        {"optimizer": lambda: SGD(xpnet.WarmUp(xpnet.ReduceOnPlateau(0.1, patience=0), 1))},
        {"regularizer": lambda: OwnRegularizer(2, 3)},
        {"metric": lambda: OwnMetric(np.array([0.5, 1.0]))},
        {"metric": lambda: OwnMetric({0: 0.25, "0": 1.0})},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_other_parts_of_a_users_come_back(parts, tmp_path):
    net = network(TanhActivation(), **{name: make() for name, make in parts.items()})
    nested = isinstance(getattr(net.optimizer, "schedule", None), xpnet.WarmUp) and isinstance(
        net.optimizer.schedule.schedule, OwnSchedule
    )
    if nested:  # the outer one knows nothing of what the inner one remembers
        with pytest.raises(TypeError, match=r"WarmUp cannot be saved: its 'schedule\.n_seen'"):
            net.fit((X, LABELS)).save(tmp_path / "net")
        return
    if "loss" in parts or "optimizer" in parts:
        data = (X, LABELS)
        net.fit(data).save(tmp_path / "net")
        loaded = xpnet.load(tmp_path / "net")
        for each in (net, loaded):
            each.fit(data)
        np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
        return
    comes_back(net, tmp_path / "net")


def test_a_schedule_that_hides_what_another_remembers_is_refused(tmp_path):
    net = network(TanhActivation(), optimizer=SGD(Watching(xpnet.ReduceOnPlateau(0.1))))
    with pytest.raises(TypeError, match=r"Watching cannot be saved: its 'inner\.best'"):
        net.fit((X, LABELS)).save(tmp_path / "net")


class OwnNetwork(NeuralNetwork):
    """Overrides the constructor, which adds layers, and the forward pass."""

    def __init__(self, width, factor):
        super().__init__(epochs=2, batch_size=8, loss="softmax_cross_entropy", seed=1)
        self.factor, self.table = factor, np.arange(3.0)
        self.add(DenseLayer(width, (FEATURES,))).add(DenseLayer(OUTPUTS))

    def forward_propagation(self, X, training=True):
        return super().forward_propagation(X, training) * self.factor


def test_networks_of_a_users_class_come_back(tmp_path):
    loaded = comes_back(OwnNetwork(6, 1.5), tmp_path / "net")
    assert type(loaded) is OwnNetwork
    assert len(loaded.layers) == 2
    np.testing.assert_array_equal(loaded.table, np.arange(3.0))


def test_networks_with_what_a_file_cannot_hold_are_refused(tmp_path):
    net = OwnNetwork(6, 1.5)
    net.helper = object()
    with pytest.raises(TypeError, match="OwnNetwork's attribute 'helper' cannot be saved"):
        net.save(tmp_path / "net")
    plain = network()
    plain.forward_propagation = lambda X, training=True: X
    with pytest.raises(TypeError, match="attribute 'forward_propagation' cannot be saved"):
        plain.save(tmp_path / "net")


def test_settings_of_the_network_come_back(tmp_path):
    arguments = {
        "epochs": 3,
        "batch_size": "auto",
        "verbose": True,
        "shuffle": False,
        "progress": True,
        "seed": 5,
        "memory_limit": 10**9,
        "precision": "tf32",
        "steps": "formulas",
    }
    special = {"optimizer", "learning_rate", "momentum", "loss", "metric", "regularizer"}
    special |= {"device", "backend", "dtype"}
    known = set(inspect.signature(NeuralNetwork).parameters) - special
    net = NeuralNetwork(**arguments).add(DenseLayer(2, (FEATURES,)))
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    for name in known:
        assert getattr(loaded, name) == getattr(net, name), name


def test_an_optimizer_changed_in_training_begins_anew_as_it_was(tmp_path):
    net = network(optimizer=SGD(0.1, momentum=0.9)).fit((X, LABELS))
    net.optimizer.momentum = 0.5
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    assert loaded.optimizer.momentum == 0.5
    for each in (net, loaded):
        each.fit((X, LABELS), restart=True)
        assert each.optimizer.momentum == 0.9
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


# ---- values


plain_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=9)
    | st.floats(width=32).map(np.float32)
    | st.floats().map(np.float64)
    | st.integers(0, 255).map(np.uint8)
    | st.booleans().map(np.bool_)
    | st.lists(st.floats(), max_size=4).map(np.array)
)
keys = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
nested = st.recursive(
    plain_values,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.dictionaries(st.sampled_from(["part", "dict", "tuple", "function"]), inner)
        | st.frozensets(keys, max_size=3)
        | st.sets(keys, max_size=3)
    ),
    max_leaves=8,
)


def alike(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert [(type(k), k) for k in a] == [(type(k), k) for k in b]
        for key in a:
            alike(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for pair in zip(a, b, strict=True):
            alike(*pair)
    elif isinstance(a, (set, frozenset)):
        assert a == b
        assert sorted(map(repr, a)) == sorted(map(repr, b))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert repr(a) == repr(b)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(value=nested)
def test_whatever_value_an_argument_has_comes_back_as_it_was(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("value") / "net"
    network(Values(value)).save(path)
    alike(value, xpnet.load(path).layers[1].value)


# ---- classes of the same name


def test_a_class_of_the_same_name_does_not_stand_in(tmp_path):
    def make(factor):
        class Local(Times):
            def activation_function(self, input):
                return factor * input

        return Local

    first, second = make(1.0), make(5.0)
    second.__qualname__ = "Local"
    net = network(first()).fit((X, LABELS))
    net.save(tmp_path / "net")
    np.testing.assert_array_equal(xpnet.load(tmp_path / "net").predict(X), net.predict(X))
    first.__module__, second.__module__ = "one", "two"
    with pytest.raises(xpnet.ModelFileError, match=r"there are several classes of that name"):
        xpnet.load(tmp_path / "net")


def test_a_class_named_like_one_of_ours_is_not_ours(tmp_path):
    class TanhActivation(Times):
        factor = 3.0

    net = network(TanhActivation(), xpnet.TanhActivation()).fit((X, LABELS))
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in net.layers]
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


def test_saving_changes_nothing_in_the_network(tmp_path):
    layers = [Residual(pair()), BatchNormalization(), Dropout(0.2), Noise(), Caching()]
    net = network(*layers).fit((X, LABELS))
    other = copy.deepcopy(net)
    for _ in range(2):
        net.save(tmp_path / "net")
    for each in (net, other):
        each.fit((X, LABELS))
    np.testing.assert_array_equal(net.predict(X), other.predict(X))
    ours, theirs = ([to_host(v) for v in [n.parameters.copy()]] for n in (net, other))
    np.testing.assert_array_equal(ours, theirs)


def test_every_kind_has_been_looked_at():
    covered = {kind for kinds in PARTS.values() for kind in kinds}
    covered |= {Heads, HeadMetric}  # in test_heads.py
    bases = (Layer, LossFunction, Metric, Optimizer, Schedule, Regularizer)
    for kind in itertools.chain.from_iterable(below(base, "xpnet.") for base in bases):
        assert (
            kind in covered
            or kind in bases
            or kind is ScikitLearnScorer  # tests/test_scorers.py
            or issubclass(kind, OF_OWN_TESTS)
            or kind.__module__.startswith(("xpnet.estimators", "xpnet.cli"))
            or hasattr(kind, "instead")  # holds a user's function, and is refused
        )


class Counting(SoftmaxCrossEntropy):
    """Has a state that is not an argument: arrays and numbers."""

    state_names = ("seen", "n_batches")

    def __init__(self):
        super().__init__()
        self.seen, self.n_batches = None, 0

    def sample_derivative(self, y_true, y_pred):
        self.seen = y_pred.mean(axis=0) + (0 if self.seen is None else self.seen)
        self.n_batches += 1
        return super().sample_derivative(y_true, y_pred) * (1 + self.n_batches / 100)


def test_a_loss_with_states_goes_on_with_them(tmp_path):
    net = network(loss=Counting()).fit((X, LABELS))
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    np.testing.assert_array_equal(loaded.loss.seen, net.loss.seen)
    for each in (net, loaded):
        each.fit((X, LABELS))
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
