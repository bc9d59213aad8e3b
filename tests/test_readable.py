"""Networks, their parts and results show how they were made."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adam,
    Branches,
    Callback,
    Composite,
    CosineDecay,
    DenseLayer,
    Dropout,
    EarlyStopping,
    History,
    Model,
    ModelCheckpoint,
    NeuralNetwork,
    Normalization,
    QuantileLoss,
    ReLUActivation,
    Residual,
    TanhActivation,
    WarmUp,
)
from xpnet.backends import to_host
from xpnet.common.readable import Readable, text_of
from xpnet.initializers import Normal
from xpnet.layers import Layer
from xpnet.losses import LOSSES, SoftmaxCrossEntropy
from xpnet.metrics import F1, METRICS, Accuracy, TopKAccuracy
from xpnet.model_files.describing import KINDS
from xpnet.optimizers import OPTIMIZERS
from xpnet.regularizers import L1L2
from xpnet.schedules import LinearDecay

SHOWN = [
    (SoftmaxCrossEntropy([1.0, 2.0]), "SoftmaxCrossEntropy(class_weight=[1.0, 2.0])"),
    (SoftmaxCrossEntropy(), "SoftmaxCrossEntropy()"),
    (SGD(0.5, momentum=0.5), "SGD(learning_rate=0.5, momentum=0.5)"),
    (Adam(clip_norm=1), "Adam(clip_norm=1.0)"),
    (SGD(LinearDecay(0.1, 0.02)), "SGD(learning_rate=LinearDecay(0.1, 0.02))"),
    (DenseLayer(8, (3,)), "DenseLayer(8, input_shape=(3,))"),
    (QuantileLoss([0.1, 0.9]), "QuantileLoss(quantiles=[0.1, 0.9])"),
    (EarlyStopping("loss", patience=3), "EarlyStopping(monitor='loss', patience=3)"),
    (ModelCheckpoint(Path("net.st"), every=2), "ModelCheckpoint('net.st', every=2)"),
    (WarmUp(CosineDecay(0.1), 3), "WarmUp(CosineDecay(0.1), epochs=3)"),
    (DenseLayer(8, regularizer="l1"), "DenseLayer(8, regularizer=L1())"),
    (DenseLayer(8, initializer=Normal()), "DenseLayer(8, initializer=Normal())"),
    (Dropout(0.3), "Dropout(rate=0.3)"),
    (Normal(0.1), "Normal(scale=0.1)"),
    (L1L2(0.1, per_sample=True), "L1L2(l1=0.1, per_sample=True)"),
    (Accuracy(), "Accuracy()"),
    (F1("macro").named("f"), "F1(average='macro').named('f')"),
    (TopKAccuracy(3), "TopKAccuracy(k=3)"),
    (TopKAccuracy(3).named("top"), "TopKAccuracy(k=3).named('top')"),
    (F1().named("a").named("f1"), "F1()"),
    (TanhActivation(), "TanhActivation()"),
    (
        Composite(DenseLayer(3), Residual(DenseLayer(3)), input_shape=(4,)),
        "Composite(DenseLayer(3), Residual(DenseLayer(3)), input_shape=(4,))",
    ),
    (Residual(DenseLayer(3, (4,))), "Residual(DenseLayer(3, input_shape=(4,)))"),
    (
        Branches(([0, 2], [DenseLayer(2)]), (slice(0, 3), []), input_shape=(4,)),
        "Branches(((0, 2), [DenseLayer(2)]), (slice(0, 3, None), []), input_shape=(4,))",
    ),
    (
        Branches((range(20), [DenseLayer(2)])),
        f"Branches(({tuple(range(20))}, [DenseLayer(2)]))",
    ),
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
    assert repr(net.layers[1]) == "DenseLayer(2, input_shape=(500,))"
    assert "mean=<float64 array of shape (500,)>" in repr(net)


def test_a_network_of_composites_shows_the_calls_that_make_it():
    net = NeuralNetwork(seed=0).add(Residual(DenseLayer(3), input_shape=(4,)))
    net.add(Composite(DenseLayer(2), TanhActivation())).add(Branches(([0], [DenseLayer(1)])))
    again = eval(repr(net), vars(xpnet))
    assert repr(again) == repr(net)
    assert again.layers[0].input_shape() == (4,)
    assert repr(net).count("input_shape") == 1


def test_a_users_class_shows_the_arguments_that_it_keeps():
    class Own(TanhActivation):
        def __init__(self, factor, lost, *more, **options):
            self.factor = factor

    assert repr(Own(2.0, 3)) == "Own(factor=2.0)"


def squared(x):
    return x * x


# Arguments of the classes that cannot be made without any.
ARGUMENTS = {
    "DenseLayer": (3,),
    "Branches": (([0, 1], [xpnet.DenseLayer(2)]), ([2], [])),
    "CategoricalEmbeddings": ({0: 9},),
    "Composite": (xpnet.DenseLayer(3),),
    "Embedding": (9, 2),
    "Residual": (xpnet.DenseLayer(3),),
    "FromArray": ([1.0, 2.0],),
    "FunctionSchedule": (squared,),
    "HeadMetric": ("a_mae", xpnet.MAE(), (0, 1), (0, 1), xpnet.MeanSquaredError()),
    "Heads": ({"a": ("mse", 1), "b": ("softmax_cross_entropy", 3)},),
    "CosineRestarts": (0.1, 5),
    "OneCycle": (0.1,),
    "PolynomialDecay": (0.1,),
    "ScaledSchedule": (0.1, 0.5),
    "TimeLimit": (60.0,),
    "FunctionActivation": (squared,),
    "FunctionLoss": (squared,),
    "FunctionPenalty": (squared,),
    "ConstantLearningRate": (0.1,),
    "LinearDecay": (0.1, 0.01),
    "ExponentialDecay": (0.1, 0.01),
    "StepDecay": (0.1,),
    "CosineDecay": (0.1,),
    "ReduceOnPlateau": (0.1,),
    "WarmUp": (0.1,),
    "Checkpoint": ("folder",),
    "CSVLogger": ("rows.csv",),
    "JSONLogger": ("rows.jsonl",),
    "ModelCheckpoint": ("net.st",),
    "OptunaPruning": (None,),
    "TensorBoard": ("folder",),
    "Watch": (([[1.0]], [1.0]),),
}


MODULES = (
    *("activations", "callbacks", "initializers", "layers", "losses", "metrics", "model"),
    *("optimizers", "regularizers", "schedules", "search"),
)
RESULTS = ("MemoryPlan", "Pass")  # made by the library


def public_classes():
    """Return the classes that users make, and that show how they were made."""
    modules = [xpnet, *(import_module(f"xpnet.{name}") for name in MODULES)]
    found = {
        name: getattr(module, name)
        for module in modules
        for name in getattr(module, "__all__", vars(module))
        if not name.startswith("_") and name not in RESULTS
    }
    return {
        name: cls
        for name, cls in found.items()
        if isinstance(cls, type) and issubclass(cls, Readable) and not inspect.isabstract(cls)
        if cls is not Readable
    }


CLASSES = public_classes()


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_public_class_shows_a_call_that_makes_it_again(name):
    cls = CLASSES[name]
    try:
        made = cls(*ARGUMENTS.get(name, ()))
    except TypeError as error:
        pytest.fail(f"{error}: give the arguments that {name} needs in ARGUMENTS of this test")
    again = eval(repr(made), {**CLASSES, "squared": squared})
    assert type(again) is cls
    assert repr(again) == repr(made)
    assert " object at 0x" not in repr(made)


def test_the_arguments_of_a_public_class_are_all_kept():
    """An argument that is not kept as an attribute would be missing in the text."""
    for name, cls in CLASSES.items():
        if issubclass(cls, (Model, Callback)):
            continue  # the optimizer keeps a model's learning rate and momentum
        made = cls(*ARGUMENTS.get(name, ()))
        for argument in inspect.signature(cls).parameters:
            if argument != "input_shape":
                assert type(made._argument(argument)) is not object, f"{name}.{argument}"


def network(**settings):
    net = NeuralNetwork(
        epochs=3, optimizer=Adam(WarmUp(CosineDecay(0.1), 3)), loss="softmax_cross_entropy",
        metric="accuracy", regularizer="l2", seed=1, **settings,
    )  # fmt: skip
    net.add(DenseLayer(8, input_shape=(4,), initializer=Normal(0.1))).add(ReLUActivation())
    return net.add(Dropout(0.2)).add(DenseLayer(3))


def test_the_text_of_a_network_makes_it_again(backend):
    net = network(backend=backend.name, dtype="float64")
    again = eval(repr(net), {**CLASSES})
    assert repr(again) == repr(net) == str(net)
    first, other = (to_host(each.parameters.gather()) for each in (net, again))
    assert (first == other).all()
    assert again.backend == net.backend
    assert repr(net).splitlines()[2:4] == [
        "    .add(DenseLayer(8, input_shape=(4,), initializer=Normal(scale=0.1)))",
        "    .add(ReLUActivation())",
    ]
    assert ".add(DenseLayer(3))" in repr(net)


def test_the_text_of_a_network_has_the_metrics_of_its_heads():
    net = NeuralNetwork(
        loss={"a": ("mse", 1), "b": ("softmax_cross_entropy", 2)},
        metric={"b": ["top_k_accuracy", F1("macro").named("f")], "a": "mae"},
    )
    again = eval(repr(net), {**CLASSES})
    assert repr(again) == repr(net)
    assert [each.name for each in again.metrics] == [each.name for each in net.metrics]
    assert "metric={'b': [TopKAccuracy(), F1(" in repr(net)


def test_the_text_of_a_network_has_what_was_set_later():
    net = NeuralNetwork()
    assert repr(net) == "NeuralNetwork()"
    net.epochs, net.optimizer, net.loss = 7, SGD(0.5), "mae"
    assert repr(net) == (
        "NeuralNetwork(epochs=7, optimizer=SGD(learning_rate=0.5), loss=MeanAbsoluteError())"
    )
    assert repr(Model(loss="mae").add(DenseLayer(1, (2,)))) == (
        "(\n    Model(loss=MeanAbsoluteError())\n    .add(DenseLayer(1, input_shape=(2,)))\n)"
    )
    assert repr(NeuralNetwork(device="cpu")) == "NeuralNetwork(device='cpu')"


class Careless(Layer):
    """A layer that keeps nothing, and whose own text raises an error."""

    def __init__(self, size, *more, option=None, **others):
        pass

    def forward_propagation(self, input, training=True):
        return input

    def backward_propagation(self, output_error):
        return output_error


class Broken(Careless):
    def __repr__(self):
        raise RuntimeError("broken")


class Unbegun(xpnet.Optimizer):
    """Its constructor does not call that of the base."""

    def __init__(self, learning_rate=0.1):
        pass


class Uncomparable:
    def __eq__(self, other):
        raise RuntimeError("broken")

    __hash__ = None

    def __repr__(self):
        raise KeyError("broken")


class Odd(TanhActivation):
    def __init__(self, kept=Uncomparable()):  # noqa: B008
        self.kept = Uncomparable()


def test_the_text_of_a_users_object_never_raises():
    assert repr(Careless(3)) == "Careless()"
    assert repr(Unbegun()) == "Unbegun()"
    assert repr(Odd()) == "Odd(kept=<Uncomparable>)"
    net = NeuralNetwork().add(DenseLayer(2, (2,))).add(Broken(1)).add(Careless(2))
    assert ".add(<Broken>)" in repr(net)
    assert repr(object.__new__(NeuralNetwork)) == "NeuralNetwork()"


def test_an_object_that_holds_itself_is_shown():
    class Loop(Callback):
        def __init__(self, inner):
            self.inner = self

    assert repr(Loop(1)) == "Loop(...)"


def test_values_are_shown_as_one_writes_them(backend):
    x = backend.asarray(np.zeros((5, 7), "float32"))
    assert text_of(x) == "<float32 array of shape (5, 7)>"
    assert text_of(x[0, :3]) == "[0.0, 0.0, 0.0]"
    assert text_of(np.float64(0.5)) == "0.5"
    assert text_of({"a": [squared, Path("b")]}) == "{'a': [squared, 'b']}"
    assert text_of((1,)) == "(1,)"
    assert text_of(list(range(100))) == "[0, 1, 2, ..., 99]"


def test_results_are_shown(backend):
    xp = backend.xp
    net = NeuralNetwork(epochs=12, device="cpu", seed=0).add(DenseLayer(1, (2,)))
    net.fit(([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0]))
    assert repr(History()) == "History()"
    assert eval(repr(net.history)) == net.history
    assert repr(History(loss=[0.5] * 40)) == "History({'loss': [0.5, 0.5, 0.5, ..., 0.5]})"
    table = str(net.history).splitlines()
    assert table[0].split() == ["epoch", "loss", "learning_rate", "seconds"]
    assert len(table) == 2 + 5 + 1 + 5
    assert table[-1].split()[0] == "12"
    plan = net.memory_plan(2)
    assert "chunk" not in repr(plan)
    assert eval(repr(plan), vars(xpnet)) == plan
    model = Model(backend=backend.name, dtype="float64").add(DenseLayer(1, (2,)))
    done = model.loss_and_gradient(xp.ones((20, 2), dtype=xp.float64), xp.ones((20, 1)))
    assert re.match(
        r"Pass\(.*output=<float64 array of shape \(20, 1\)>, parameters=<Parameters>\)", repr(done)
    )
    assert repr(backend).endswith(f"dtype={backend.dtype!r})")
    assert len(repr(backend)) < 110


ESTIMATORS = ["MLPClassifier", "MLPRegressor"]
CALLS = "explain_steps fit from_sklearn partial_fit predict predict_log_proba predict_proba score"


@pytest.mark.parametrize(
    "name", ["confusion_matrix", "predicted_classes", "probabilities", "true_classes"]
)
def test_functions_of_metrics_say_what_they_raise(name):
    assert_says_what_it_raises(getattr(xpnet.metrics, name))


@pytest.mark.parametrize("method", CALLS.split())
@pytest.mark.parametrize("name", ESTIMATORS)
def test_methods_of_estimators_say_what_they_raise(name, method):
    estimators = pytest.importorskip("xpnet.estimators", reason="scikit-learn is missing")
    kind = getattr(estimators, name)
    if hasattr(kind, method):  # only a classifier has probabilities
        assert_says_what_it_raises(inspect.getattr_static(kind, method))


def assert_says_what_it_raises(function):
    text = inspect.cleandoc(function.__doc__)
    assert re.search(r"^Raises\n------\n\w+(, \w+)*\n    \S", text, re.MULTILINE), text
