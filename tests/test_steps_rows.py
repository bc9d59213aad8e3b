"""Normalizations of rows, residual connections and Flatten in compiled and in captured steps."""

import numpy as np
import pytest

from xpnet import (
    L2,
    Adam,
    Branches,
    Composite,
    DenseLayer,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    LayerNormalization,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    Residual,
    RMSNormalization,
    SigmoidActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.training.steps.compiled import sharing, training

from .steps import why_not_captured, why_not_compiled

N, K, BATCH = 56, 5, 16
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((N, K)), RNG.standard_normal((N, 3))


@pytest.fixture(params=["compiled", "captured"])
def steps(request):
    """Both ways of taking fast steps, on NumPy."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        request.getfixturevalue("emulated")
    return request.param


def network(layers, steps="formulas", dtype="float64", **options):
    options = {"seed": 3, "batch_size": BATCH, "epochs": 4, "optimizer": Adam(0.01)} | options
    net = NeuralNetwork(steps=steps, dtype=dtype, **options)
    for layer in layers():
        net.add(layer)
    return net


def block(width=6, *more):
    return Residual(DenseLayer(width), TanhActivation(), DenseLayer(width), *more)


CASES = {
    "layer normalization": lambda: [
        DenseLayer(7, (K,)), LayerNormalization(), ReLUActivation(), DenseLayer(3)
    ],
    "root mean square": lambda: [
        DenseLayer(7, (K,)), RMSNormalization(0.1), TanhActivation(), DenseLayer(3)
    ],
    "without biases, with dropout": lambda: [
        DenseLayer(37, (K,), use_bias=False), LayerNormalization(), SigmoidActivation(),
        Dropout(0.3), DenseLayer(20, use_bias=False), RMSNormalization(), Dropout(0.2),
        DenseLayer(3),
    ],
    "at the end": lambda: [DenseLayer(9, (K,)), DenseLayer(3), LayerNormalization()],
    "residual": lambda: [DenseLayer(6, (K,)), ReLUActivation(), block(), DenseLayer(3)],
    "residual, one layer": lambda: [DenseLayer(6, (K,)), Residual(DenseLayer(6)), DenseLayer(3)],
    "two in a row": lambda: [DenseLayer(20, (K,)), block(20), block(20), DenseLayer(3)],
    "ends with an activation and dropout": lambda: [
        DenseLayer(6, (K,)), TanhActivation(), Dropout(0.2),
        block(6, LayerNormalization(), SigmoidActivation(), Dropout(0.3)), DenseLayer(3),
    ],
    "nested": lambda: [
        DenseLayer(6, (K,)),
        Residual(DenseLayer(6), TanhActivation(), Residual(DenseLayer(6), ReLUActivation())),
        DenseLayer(3),
    ],
    "nested at the beginning": lambda: [
        DenseLayer(6, (K,)), Residual(Residual(DenseLayer(6)), DenseLayer(6)), DenseLayer(3)
    ],
    "at the end of the network": lambda: [DenseLayer(3, (K,)), TanhActivation(), block(3)],
    "layers in a row": lambda: [
        Composite(DenseLayer(8, (K,)), LayerNormalization(), TanhActivation(), input_shape=(K,)),
        DenseLayer(3),
    ],
    "normalised features": lambda: [
        Normalization.adapt(X), DenseLayer(6), LayerNormalization(), block(), DenseLayer(3)
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_steps_are_those_of_the_formulas(case, steps):
    nets = [network(CASES[case], way, regularizer=L2(0.01)) for way in (steps, "formulas")]
    for net in nets:
        net.fit((X, Y))
    fast, formulas = nets
    assert str(fast.explain_steps(X, Y)).startswith(f"Steps: {steps}")
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fast.history["loss"], formulas.history["loss"], rtol=1e-8)
    np.testing.assert_allclose(fast.predict(X), formulas.predict(X), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", ["layer normalization", "ends with an activation and dropout"])
def test_in_float32_they_are_as_accurate(case, steps):
    nets = [network(CASES[case], way, dtype="float32") for way in (steps, "formulas")]
    for net in nets:
        net.fit((X, Y))
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_classes_and_weights_of_samples(steps):
    y, weight = RNG.integers(0, 3, N), RNG.uniform(0.5, 2.0, N)
    nets = [
        network(CASES["two in a row"], way, loss=SoftmaxCrossEntropy())
        for way in (steps, "formulas")
    ]
    for net in nets:
        net.fit((X, y, weight))
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("case", ["two in a row", "without biases, with dropout", "nested"])
def test_threads_share_only_what_can_be_divided(case, threads, monkeypatch):
    pytest.importorskip("numba")

    def wide():
        layers = CASES[case]()
        return [DenseLayer(64, (K,)), TanhActivation(), DenseLayer(64), *_without_shape(layers)]

    plans = []

    def chosen(units, batch, per_parameter, given, filled, steps):
        plans.append(sharing.best_plan(units, batch, per_parameter, threads, filled, steps))
        return plans[-1]

    monkeypatch.setattr(training, "best_plan", chosen)
    nets = [network(wide, way) for way in ("compiled", "formulas")]
    for net in nets:
        net.fit((X, Y))
    assert (plans[0].threads, plans[0].shared > 0) == (threads, True)
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


def _without_shape(layers):
    for layer in layers:
        layer._input_shape = None
    return layers


FROZEN = {
    "the normalization": lambda net: setattr(net.layers[1], "trainable", False),
    "the dense layer before it": lambda net: setattr(net.layers[0], "trainable", False),
    "both": lambda net: [setattr(net.layers[k], "trainable", False) for k in (0, 1)],
    "the residual block": lambda net: setattr(net.layers[3], "trainable", False),
    "a layer inside": lambda net: setattr(net.layers[3].layers[0], "trainable", False),
    "all before the last": lambda net: [
        setattr(layer, "trainable", False) for layer in net.layers[:-1]
    ],
    "a rate of its own": lambda net: setattr(net.layers[1], "learning_rate_factor", 0.1),
}


@pytest.mark.parametrize("kind", [LayerNormalization, RMSNormalization])
@pytest.mark.parametrize("what", FROZEN)
def test_frozen_layers_and_rates_of_their_own(what, kind, steps):
    def layers():
        return [DenseLayer(6, (K,)), kind(), TanhActivation(), block(), DenseLayer(3)]

    nets = [network(layers, way) for way in (steps, "formulas")]
    for net in nets:
        FROZEN[what](net)
        net.fit((X, Y))
    found, wanted = (to_host(net.parameters.copy()) for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


def test_images_are_taken_after_flatten(steps):
    images = RNG.standard_normal((N, 1, 2, 3))

    def layers():
        return [Flatten((1, 2, 3)), DenseLayer(5), TanhActivation(), DenseLayer(3)]

    nets = [network(layers, way) for way in (steps, "formulas")]
    for net in nets:
        net.fit((images, Y))
    np.testing.assert_allclose(nets[0].predict(images), nets[1].predict(images), rtol=1e-8)


def test_an_epsilon_that_is_changed_between_epochs_is_used(steps):
    def fitted(way):
        net = network(CASES["layer normalization"], way, epochs=2).fit((X, Y))
        net.layers[1].epsilon = 0.5
        return net.fit((X, Y))

    found, wanted = (to_host(fitted(way).parameters.copy()) for way in (steps, "formulas"))
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


REASONS = {
    "GaussianNoise after a DenseLayer": lambda: [GaussianNoise(0.1)],
    "Embedding as layer 2": lambda: [Embedding(3, 2)],
    "Branches after a DenseLayer": lambda: [Branches((slice(0, 2), []), ([3], DenseLayer(2)))],
}  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_what_trains_by_formulas_and_why(reason):
    net = network(lambda: [DenseLayer(6, (K,)), *REASONS[reason](), DenseLayer(3)])
    assert reason in why_not_captured(net, X, Y)
    pytest.importorskip("numba")
    assert reason in why_not_compiled(net, X, Y)


def test_the_reason_names_a_first_layer_that_has_no_steps():
    net = network(lambda: [GaussianNoise(0.1, (K,)), DenseLayer(3)])
    assert why_not_captured(net, X, Y) == "GaussianNoise as layer 1"
