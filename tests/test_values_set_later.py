"""Parameters and names that somebody sets: what is no parameter of a layer is named where it is."""

import copy
import pickle

import numpy as np
import pytest

from xpnet import DenseLayer, Model, NeuralNetwork, Residual, TanhActivation
from xpnet.backends import move, resolve, to_host

CPU = resolve("cpu")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 4)).astype("float32"), RNG.normal(size=20).astype("float32")


def network(backend=CPU):
    net = NeuralNetwork(epochs=1, seed=0, dtype=backend.dtype)
    net.add(DenseLayer(6, (4,))).add(TanhActivation()).add(DenseLayer(1))
    return net.fit(*data(backend))


def data(backend):
    return backend.asarray(X, backend.dtype), backend.asarray(Y, backend.dtype)


def unsaved(net):
    """Return a network whose parameters nobody has gathered."""
    return pickle.loads(pickle.dumps(net))


CALLS = {
    "predict": lambda net, x, y: net.predict(x),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "score": lambda net, x, y: net.score(x, y, metric="mse"),
    "input_gradient": lambda net, x, y: net.input_gradient(x),
    "fit": lambda net, x, y: net.fit(x, y),
    "explain_steps": lambda net, x, y: net.explain_steps(x, y),
}
NONSENSE = {
    "number": (lambda w: 1, TypeError, r"DenseLayer\.weights is 1: expected an array of shape"),
    "None": (lambda w: None, TypeError, r"DenseLayer\.weights is None: expected an array"),
    "list": (lambda w: to_host(w).tolist(), TypeError, r"weights is \[.*shape \(4, 6\)"),
    "transpose": (lambda w: w.T, ValueError, r"weights has shape \(6, 4\): expected \(4, 6\)"),
    "part": (lambda w: w[:2, ...], ValueError, r"shape \(2, 6\): expected \(4, 6\)"),
}


@pytest.mark.parametrize("given", NONSENSE)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("like", [copy.copy, unsaved], ids=["trained", "unpickled"])
def test_what_is_no_parameter_is_named(backend, like, call, given):
    make, kind, words = NONSENSE[given]
    net = like(network(backend))
    before = to_host(net.predict(data(backend)[0]))
    own = net.layers[0].weights
    net.layers[0].weights = wrong = make(own)
    with pytest.raises(kind, match=words):
        CALLS[call](net, *data(backend))
    assert net.layers[0].weights is wrong  # nothing was changed
    net.layers[0].weights = own
    np.testing.assert_array_equal(to_host(net.predict(data(backend)[0])), before)


@pytest.mark.parametrize("call", [name for name in CALLS if name not in ("fit", "explain_steps")])
def test_predictions_are_not_in_another_type_without_a_word(backend, call):
    net = network(backend)
    own = net.layers[0].weights
    for kind in {"float32", backend.wide_dtype, "int64"} - {backend.dtype}:
        net.layers[0].weights = backend.asarray(own, kind)
        words = rf"weights has the type .*{kind}: .* {backend.dtype} on"
        with pytest.raises(TypeError, match=words):
            CALLS[call](net, *data(backend))
    net.layers[0].weights = move(net.layers[0].weights, net.backend, net.backend.dtype)
    CALLS[call](net, *data(backend))


def test_fit_converts_an_array():
    net = network()
    net.layers[0].weights = np.full((4, 6), 0.5)
    assert net.fit(X, Y).predict(X).dtype == np.float32


def test_an_array_of_another_library_is_named():
    pytest.importorskip("torch")
    torch = resolve("cpu", backend="torch")
    net = network(torch)
    net.layers[0].weights = np.zeros((4, 6), np.float32)
    with pytest.raises(TypeError, match="type numpy float32: expected torch float32 on cpu"):
        net.predict(data(torch)[0])


def test_layers_inside_a_composite_are_looked_at():
    net = NeuralNetwork(epochs=1, seed=0).add(Residual(DenseLayer(4), input_shape=(4,)))
    net.add(DenseLayer(1)).fit(X, Y)
    net.layers[0].inner_layers[0].weights = np.zeros((1, 4), np.float32)
    with pytest.raises(ValueError, match=r"has shape \(1, 4\): expected \(4, 4\)"):
        net.predict(X)


def popped_and_trained(net):
    net.layers.pop()
    net.fit(X, np.zeros((20, 6)))


@pytest.mark.parametrize(
    "change",
    [popped_and_trained, lambda net: net.to(resolve("cpu", dtype="float64"))],
    ids=["pop", "to"],
)
def test_a_wrong_shape_is_not_taken_for_the_right_one(change):
    net = network()
    net.layers[0].weights = net.layers[0].weights.T
    with pytest.raises(ValueError, match=r"has shape \(6, 4\): expected \(4, 6\)"):
        change(net)


def test_a_training_loop_is_told_too():
    model = Model(seed=0).add(DenseLayer(1, (4,)))
    model.layers[0].weights = [[0.0]] * 4
    with pytest.raises(TypeError, match=r"DenseLayer\.weights is \[.*: expected an array"):
        model.loss_and_gradient(X, Y)


@pytest.mark.parametrize("name", ["class_names", "feature_names"])
@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (1, TypeError, "=1: expected a list of names"),
        ("ab", TypeError, "='ab': expected a list of names"),
        (["a", "b", "a"], ValueError, " has a more than once: rename the duplicates"),
    ],
)
def test_names_are_checked_when_they_are_set(name, given, kind, words):
    net = network()
    with pytest.raises(kind, match=name + words):
        setattr(net, name, given)
    assert getattr(net, name) is None
    setattr(net, name, np.array(["a", "b", "c", "d"]))
    assert getattr(net, name) == ["a", "b", "c", "d"]
    assert getattr(net.copy(), name) == ["a", "b", "c", "d"]


def test_class_names_of_heads_are_checked():
    net = network()
    with pytest.raises(TypeError, match=r"class_names\['kind'\]=5: expected a list of names"):
        net.class_names = {"kind": 5}
    net.class_names = {"kind": ("a", "b")}
    assert net.class_names == {"kind": ["a", "b"]}
