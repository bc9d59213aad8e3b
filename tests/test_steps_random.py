"""Fast steps of random networks: all layers that they take, in any order, some of them frozen."""

import numpy as np
import pytest

from xpnet import (
    L2,
    SGD,
    Adam,
    CategoricalEmbeddings,
    Composite,
    DenseLayer,
    Dropout,
    Embedding,
    LayerNormalization,
    LeakyReLUActivation,
    LinearActivation,
    NeuralNetwork,
    ReLUActivation,
    Residual,
    RMSNormalization,
    RMSProp,
    SigmoidActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.layers.composite import all_layers

N, BATCH = 44, 12
ACTIVATIONS = [
    ReLUActivation, SigmoidActivation, TanhActivation, LeakyReLUActivation, LinearActivation
]  # fmt: skip

# Some networks end with an activation that cannot reach the targets.
pytestmark = pytest.mark.filterwarnings("ignore:.* takes any real numbers")


def features(rng):
    """Return codes of 3 and of 4 categories, some of them unknown, and numbers."""
    X = rng.standard_normal((N, 5))
    X[:, 0], X[:, 3] = rng.integers(0, 4, N), rng.integers(-1, 5, N)
    return X


def simple(rng, width):
    """Return a random layer, and the width of its output."""
    kind = rng.integers(0, 10)
    if kind < 4:
        width = int(rng.choice([3, 6, 17]))
        return DenseLayer(width, use_bias=bool(rng.integers(0, 4))), width
    if kind < 6:
        return [LayerNormalization, RMSNormalization][kind - 4](), width
    if kind < 7:
        return Dropout(float(rng.choice([0.0, 0.1, 0.4]))), width
    return ACTIVATIONS[rng.integers(0, len(ACTIVATIONS))](), width


def several(rng, width, depth, least=1):
    """Return random layers in a row, composites among them, and the width of their output."""
    layers = []
    for _ in range(rng.integers(least, 4)):
        if depth and rng.random() < 0.4:
            kind = Residual if rng.random() < 0.8 else Composite
            inner, width = several(rng, width, depth - 1)
            layer = kind(*inner)
        else:
            layer, width = simple(rng, width)
        layers.append(layer)
    return layers, width


def layers_of(seed):
    """Return the layers of a random network."""
    rng = np.random.default_rng(seed)
    kind, width = rng.integers(0, 4), 5
    if kind == 0:
        columns = {0: (3, int(rng.integers(1, 20))), 3: (4, 2)}
        layers = [CategoricalEmbeddings(columns, (5,), unknown=True)]
        width = layers[0].output_shape()[0]
    elif kind == 1:
        layers = [Embedding(3, 2, (5,), unknown=True)]
        width = 10
    elif kind == 2:
        inner, width = several(rng, 5, 1)
        layers = [Residual(*inner, input_shape=(5,))]
    else:
        inner, width = several(rng, 5, 1)
        layers = [Composite(Dropout(0.1), *inner, input_shape=(5,))]
    more, _ = several(rng, width, 2, least=2)
    layers += [*more, DenseLayer(3)]
    if rng.integers(0, 3) == 0:
        layers += several(rng, 3, 0)[0]
    return layers


def network(seed, steps):
    rng = np.random.default_rng(seed)
    layers, loss = layers_of(seed), "mse"
    if isinstance(layers[-1], DenseLayer) and rng.integers(0, 2):
        loss = SoftmaxCrossEntropy()
    optimizer = [SGD(0.05), Adam(0.01), RMSProp(0.003)][rng.integers(0, 3)]
    net = NeuralNetwork(
        epochs=4,
        batch_size=BATCH,
        seed=seed,
        steps=steps,
        dtype="float64",
        optimizer=optimizer,
        regularizer=L2(0.02) if rng.integers(0, 2) else None,
        loss=loss,
        accumulate=int(rng.integers(1, 3)),
    )
    for layer in layers:
        net.add(layer)
    trained = [layer for layer in all_layers(net.layers) if layer.parameter_names]
    for layer in trained:
        layer.trainable = bool(rng.integers(0, 4))
        layer.learning_rate_factor = float(rng.choice([1.0, 1.0, 0.3]))
    trained[rng.integers(0, len(trained))].trainable = True
    return net


@pytest.mark.parametrize("seed", range(40))
def test_a_random_network_trains_as_by_its_formulas(seed):
    pytest.importorskip("numba")
    rng = np.random.default_rng(1000 + seed)
    X, net = features(rng), network(seed, "compiled")
    width = net.layers[-1].output_shape()[0]
    y = rng.standard_normal((N, width))
    if isinstance(net.loss, SoftmaxCrossEntropy):
        y = np.abs(y) / np.sum(np.abs(y), axis=1, keepdims=True)
    net.fit((X, y))
    formulas = network(seed, "formulas").fit((X, y))
    found, wanted = to_host(net.parameters.copy()), to_host(formulas.parameters.copy())
    assert not np.array_equal(wanted, to_host(network(seed, "formulas").parameters.copy()))
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(net.history["loss"], formulas.history["loss"], rtol=1e-8)
    np.testing.assert_allclose(net.predict(X), formulas.predict(X), rtol=1e-7, atol=1e-8)
