"""Layers inside composites do all that they do in a plain network."""

import copy
from itertools import pairwise

import numpy as np
import pytest

import xpnet
from xpnet import (
    BatchNormalization,
    Branches,
    CategoricalEmbeddings,
    Composite,
    DenseLayer,
    Dropout,
    Embedding,
    GaussianNoise,
    Layer,
    LayerNormalization,
    NeuralNetwork,
    Normalization,
    PReLULayer,
    ReLUActivation,
    Residual,
    SoftmaxActivation,
    TanhActivation,
    WeightAverage,
)
from xpnet.backends import move, to_host
from xpnet.callbacks import Watch
from xpnet.layers.composite import all_layers
from xpnet.training.memory import NetworkSizes

from .composites import Gated, differences

N, D = 72, 4
RNG = np.random.default_rng(5)
X = RNG.normal(1.0, 2.0, (N, D))
Y = np.stack([np.sin(X[:, 0]) + X[:, 3], X[:, 1] - X[:, 2]], axis=1)


class Held(Layer):
    """A user's layer around another one, which is not derived from Composite."""

    def __init__(self, inner):
        self.inner = inner

    @property
    def inner_layers(self):
        return (self.inner,)

    def set_input_shape(self, input_shape):
        super().set_input_shape(input_shape)
        self.inner.set_input_shape(input_shape)

    def initialize(self, optimizer=None):
        self.inner.backend, self.inner.rng = self.backend, self.rng
        self.inner.initialize(optimizer)
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        return self.inner.forward_propagation(input, training)

    def backward_propagation(self, output_error):
        return self.inner.backward_propagation(output_error)


def network(*layers, **options):
    options = {"epochs": 3, "batch_size": 8, "seed": 0, "dtype": "float64"} | options
    options = {"optimizer": "adam", "learning_rate": 0.02, "steps": "formulas"} | options
    net = NeuralNetwork(**options)
    for layer in layers:
        net.add(layer)
    return net


# ---- averages of the weights


def row():
    return [DenseLayer(6), BatchNormalization(), ReLUActivation()]


ROWS = {
    "composite": lambda: [Composite(*row())],
    "nested": lambda: [Composite(Composite(DenseLayer(6)), Composite(*row()[1:]))],
    "branch": lambda: [Branches((slice(0, D), row()))],
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("options", [{}, {"kind": "swa", "start": 1}])
def test_running_moments_inside_are_those_of_the_plain_row(name, options, float64_backend):
    def first():
        return [DenseLayer(D, (D,)), BatchNormalization(momentum=0.7), TanhActivation()]

    def last():
        return [DenseLayer(5), BatchNormalization(), DenseLayer(2)]

    plain = network(*first(), *row(), *last()).to(float64_backend)
    inside = network(*first(), *ROWS[name](), *last()).to(float64_backend)
    inside.parameters.scatter(plain.parameters.copy())
    for net in (plain, inside):
        net.fit((X, Y), callbacks=WeightAverage(**options))
    norms = [
        [each for each in all_layers(net.layers) if isinstance(each, BatchNormalization)]
        for net in (plain, inside)
    ]
    assert len(norms[0]) == len(norms[1]) == 3
    for expected, got in zip(*norms, strict=True):
        for state in ("running_mean", "running_variance"):
            a, b = (to_host(getattr(each, state)) for each in (got, expected))
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        assert got.momentum == expected.momentum
        assert got.normalized is None
    np.testing.assert_allclose(
        to_host(inside.predict(X)), to_host(plain.predict(X)), rtol=1e-9, atol=1e-12
    )


def test_running_moments_in_a_residual_are_those_of_the_batches_with_the_averaged_weights():
    block = Residual(BatchNormalization(), ReLUActivation(), BatchNormalization(), DenseLayer(3))
    net = network(block_first(), block, DenseLayer(2), shuffle=False)
    net.fit((X, Y), callbacks=WeightAverage())
    first, (norm, _, second, _) = net.layers[0], block.layers
    X1 = X @ first.weights + first.biases
    batches = X1.reshape(9, 8, -1)
    np.testing.assert_allclose(norm.running_mean, X1.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(
        norm.running_variance, batches.var(axis=1, ddof=1).mean(axis=0), rtol=1e-9
    )
    centred = batches - batches.mean(axis=1, keepdims=True)
    hidden = centred / np.sqrt(batches.var(axis=1, keepdims=True) + 1e-5)
    X2 = np.maximum(norm.gamma * hidden + norm.beta, 0.0)
    np.testing.assert_allclose(second.running_mean, X2.mean(axis=(0, 1)), rtol=1e-9)
    np.testing.assert_allclose(
        second.running_variance, X2.var(axis=1, ddof=1).mean(axis=0), rtol=1e-9
    )


def block_first():
    return DenseLayer(5, (D,))


def test_frozen_moments_inside_stay_and_those_of_a_users_composite_are_renewed():
    inner = BatchNormalization(), BatchNormalization()
    inner[0].trainable = False
    net = network(block_first(), Gated(DenseLayer(5), *inner), DenseLayer(2))
    net.fit((X, Y), callbacks=WeightAverage())
    frozen, renewed = net.layers[1].layers[1:]
    np.testing.assert_array_equal(frozen.running_mean, 0.0)
    X1 = (
        net.layers[1]
        .layers[0]
        .forward_propagation(net.layers[0].forward_propagation(X, training=False), training=False)
    )
    expected = frozen.forward_propagation(X1, training=False).mean(axis=0)
    np.testing.assert_allclose(renewed.running_mean, expected, rtol=1e-9)


def test_moments_that_cannot_be_reached_are_refused_before_training():
    net = network(block_first(), Held(BatchNormalization()), DenseLayer(2))
    with pytest.raises(ValueError, match=r"BatchNormalization inside Held: .*derive the layer"):
        net.fit((X, Y), callbacks=WeightAverage())
    assert net.history.epochs == 0
    net.layers[1].inner.trainable = False  # nothing to renew
    net.fit((X, Y), callbacks=WeightAverage())


# ---- what is shown, planned and refused


def test_summary_and_inspection_show_the_layers_inside(capsys):
    net = network(block_first(), Residual(row_of_three := Composite(*row()), DenseLayer(5)))
    net.add(DenseLayer(2))
    row_of_three.layers[0].trainable = False
    net.summary()
    lines = [line.split("(")[0].strip() for line in capsys.readouterr().out.splitlines()[2:]]
    assert lines[:8] == [
        "DenseLayer", "Residual", "- Composite", "- - DenseLayer", "- - BatchNormalization",
        "- - ReLUActivation", "- DenseLayer", "DenseLayer",
    ]  # fmt: skip
    total = sum(layer.parameters() for layer in net.layers)
    assert lines[8] == f"{total} parameters"
    net.layers[1].layers[0].layers[1].beta[:] = -100.0  # so that all units are dead
    before = [dict(vars(each)) for each in all_layers(net.layers)]
    found = net.inspect((X, Y))
    block = found.layers[1]
    assert [each.layer for each in block.inner] == ["Composite", "DenseLayer"]
    relu = block.inner[0].inner[2]
    assert (relu.layer, relu.dead, relu.units) == ("ReLUActivation", 6, 6)
    assert "- - ReLUActivation" in str(found)
    for layer, held in zip(all_layers(net.layers), before, strict=True):
        for name in layer.state_names:
            np.testing.assert_array_equal(getattr(layer, name), held[name])
    with pytest.warns(RuntimeWarning, match=r"6 of 6 units of layer 2\.1\.3 \(ReLUActivation\)"):
        net.fit((X, Y), epochs=1, callbacks=Watch((X, Y)))


def test_inspection_of_dropout_inside_is_that_of_the_same_masks():
    net = network(Composite(Dropout(0.5), input_shape=(D,)), DenseLayer(2))
    report = net.inspect((X, Y)).layers[0]
    assert 0.3 < report.zeros < 0.7
    assert report.inner[0].zeros == report.zeros
    assert report.inner[0].mean == report.mean


def test_the_memory_for_validation_counts_the_widest_layer_inside():
    def evaluation(layer):
        net = network(block_first(), layer, DenseLayer(2))
        sizes = NetworkSizes.of(net.layers, net.optimizer, net.metrics, net.backend)
        return max(sizes.inside, *(a + b for a, b in pairwise(sizes.widths)))

    branch = slice(0, 5), [DenseLayer(4000), DenseLayer(1)]
    for wide in (Residual(DenseLayer(4000), DenseLayer(5)), Branches(branch, (slice(0, 5), []))):
        assert evaluation(Composite(wide.copy())) > evaluation(wide) >= 4000 + 5


def test_weights_of_a_dense_layer_inside_are_drawn():
    plots = pytest.importorskip("xpnet.plots")
    net = network(Residual(DenseLayer(9), input_shape=(9,)), DenseLayer(2))
    assert plots.plot_weights(net).get_title() == "Weights of 9 of 9 units"


def test_lbfgs_refuses_noise_like_dropout_also_inside():
    for layer in (GaussianNoise(0.1), Residual(GaussianNoise(0.1)), Composite(Dropout(0.2))):
        net = NeuralNetwork(optimizer="lbfgs").add(block_first()).add(layer).add(DenseLayer(2))
        with pytest.raises(ValueError, match=r"(Noise|Dropout), which makes the loss differ"):
            net.fit((X, Y))


class Faulty(DenseLayer):
    def backward_propagation(self, output_error):
        return output_error.no_such_attribute


def test_a_fault_of_a_users_inner_layer_is_not_taken_for_a_missing_pass():
    net = network(block_first(), Residual(Faulty(5)), DenseLayer(2))
    with pytest.raises(AttributeError, match="no_such_attribute"):
        net.loss_and_gradient(X, Y)
    net = network(block_first(), Residual(DenseLayer(5)), DenseLayer(2))
    with pytest.raises(ValueError, match="has no forward pass to propagate back through"):
        net.backward_propagation(np.ones((N, 2)))


# ---- random predictions

RATE = 0.25
RANDOM = {
    "composite": lambda: [Composite(BatchNormalization(), Dropout(RATE))],
    "nested": lambda: [Composite(Composite(Composite(Dropout(RATE))))],
    "branch": lambda: [Branches((slice(0, 3), [Dropout(RATE)]), (slice(3, 8), Dropout(RATE)))],
    "plain": lambda: [Dropout(RATE)],
}


@pytest.mark.parametrize("name", RANDOM)
def test_samples_have_the_spread_of_the_dropout_inside(name):
    net = network(DenseLayer(8, (D,)), TanhActivation(), *RANDOM[name](), DenseLayer(1))
    net.fit((X, Y[:, 0]))
    samples = net.predict(X, samples=4000)
    a = X
    for layer in net.layers[:-1]:
        a = layer.forward_propagation(a, training=False)
    variance = (a**2) @ net.layers[-1].weights ** 2 * RATE / (1 - RATE)
    assert np.all(np.abs(samples.mean(axis=0) - net.predict(X)) < 5 * np.sqrt(variance / 4000))
    np.testing.assert_allclose(samples.var(axis=0), variance, rtol=0.2)


def resnet(**options):
    """Return a residual network as it is usual for tables, trained."""
    blocks = [
        Residual(BatchNormalization(), DenseLayer(7), ReLUActivation(), Dropout(0.2), DenseLayer(6))
        for _ in range(2)
    ]
    gate = Gated(DenseLayer(6), GaussianNoise(0.1), TanhActivation())
    net = network(DenseLayer(6, (D,)), *blocks, gate, Residual(Dropout(0.1), DenseLayer(3)),
                  DenseLayer(2), **options)  # fmt: skip
    return net.fit((X, Y))


def test_dropout_inside_a_residual_adds_to_the_skipped_input():
    net = network(Residual(Dropout(0.5), input_shape=(D,)), DenseLayer(D)).fit((X, X))
    net.layers[1].weights = np.eye(D)
    net.layers[1].biases = np.zeros(D)
    samples = net.predict(X, samples=64)  # x + 0 or x + 2x
    np.testing.assert_allclose(np.sort(np.unique((samples / X).round(9))), [1.0, 3.0])
    assert abs((samples / X).mean() - 2.0) < 0.05


def test_samples_of_a_residual_network_are_the_same_on_every_backend_and_again(
    float64_backend, tmp_path
):
    net = resnet()
    before = net.predict(X), [dict(vars(each)) for each in all_layers(net.layers)]
    expected = net.predict(X, samples=5)
    assert len({each.tobytes() for each in expected}) == 5
    np.testing.assert_array_equal(net.predict(X, samples=5), expected)
    np.testing.assert_array_equal(net.predict(X), before[0])
    for layer, held in zip(all_layers(net.layers), before[1], strict=True):
        assert vars(layer).keys() == held.keys()
        assert all(vars(layer)[key] is held[key] for key in held)
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net", custom=[Gated])
    np.testing.assert_array_equal(loaded.predict(X, samples=5), expected)
    net.to(float64_backend)
    got = net.predict(move(X, float64_backend, "float64"), samples=5)
    assert float64_backend.owns(got)
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-9, atol=1e-12)


def test_each_inner_layer_has_random_numbers_of_its_own():
    twice = Branches((slice(0, D), Dropout(0.5)), (slice(0, D), Dropout(0.5)), input_shape=(D,))
    net = network(twice, DenseLayer(2 * D)).fit((X, np.hstack([X, X])))
    net.layers[1].weights, net.layers[1].biases = np.eye(2 * D), np.zeros(2 * D)
    samples = net.predict(X, samples=50)
    assert 0.4 < (samples[..., :D] == samples[..., D:]).mean() < 0.6


class Louder(Residual):
    is_random = True

    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input, training) * (2.0 if training else 1.0)

    sample_propagation = Layer.sample_propagation


def test_random_layers_that_samples_would_not_reach_are_refused():
    net = network(block_first(), Held(Dropout(0.3)), DenseLayer(2)).fit((X, Y))
    with pytest.raises(ValueError, match=r"does not reach the Dropout inside Held.*Composite"):
        net.predict(X, samples=2)
    net = network(block_first(), Composite(Held(Dropout(0.3))), DenseLayer(2)).fit((X, Y))
    with pytest.raises(ValueError, match="does not reach the Dropout inside Held"):
        net.predict(X, samples=2)
    net = network(block_first(), Louder(DenseLayer(5)), DenseLayer(2)).fit((X, Y))
    with pytest.raises(ValueError, match="Louder is random, but does not define sample_propag"):
        net.predict(X, samples=2)
    net = network(block_first(), Residual(Dropout(0.0)), DenseLayer(2)).fit((X, Y))
    with pytest.raises(ValueError, match="samples needs a layer that is random"):
        net.predict(X, samples=2)


# ---- derivatives with respect to the features


INNER = {
    "residual": lambda: [
        Residual(
            BatchNormalization(), DenseLayer(7), TanhActivation(), Dropout(0.3), DenseLayer(5),
            GaussianNoise(0.2),
        )
    ],
    "projected": lambda: [Residual(DenseLayer(3), BatchNormalization(), PReLULayer())],
    "nested": lambda: [
        Residual(Residual(BatchNormalization(), Dropout(0.2), DenseLayer(4)), DenseLayer(5)),
        Composite(Composite(BatchNormalization()), LayerNormalization()),
    ],
    "branches": lambda: [
        Branches(
            (slice(None, 3), [DenseLayer(3), BatchNormalization()]), ([4, 1], []), ([1], Dropout())
        )
    ],
    "a user's": lambda: [Gated(DenseLayer(5), BatchNormalization(), Dropout(0.2))],
    "normalization": lambda: [Composite(Normalization(1.0, 2.0), SoftmaxActivation())],
    "frozen": lambda: [Residual(BatchNormalization(), DenseLayer(5))],
}  # fmt: skip


@pytest.mark.parametrize("name", INNER)
def test_the_derivative_through_a_composite_is_that_of_predict(name, float64_backend):
    layers = INNER[name]()
    if name == "frozen":
        layers[0].trainable = False
    net = network(DenseLayer(5, (D,)), *layers, DenseLayer(2)).fit((X, Y)).to(float64_backend)
    expected = differences(lambda X: net.predict(X)[:, 1], X)
    got = net.input_gradient(move(X, float64_backend, "float64"), 1)
    assert float64_backend.owns(got)
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-5, atol=1e-7)
    of_loss = net.input_gradient(X, y=Y)
    expected = differences(lambda X: ((net.predict(X) - Y) ** 2).mean(axis=1) / N, X)
    np.testing.assert_allclose(to_host(of_loss), expected, rtol=1e-5, atol=1e-8)


def test_the_derivative_through_embeddings_is_that_of_the_numbers():
    codes = np.random.default_rng(0).integers(0, 3, (N, 2))
    rows = np.hstack([X[:, :2], codes])
    branches = Branches(
        (slice(0, 2), [BatchNormalization(), Dropout(0.2)]), ([2, 3], Embedding(3, 2)),
        input_shape=(4,),
    )  # fmt: skip
    columns = Composite(CategoricalEmbeddings({2: 3, 3: 3}), BatchNormalization(), input_shape=(4,))
    for first in (branches, columns):
        net = network(first, Residual(DenseLayer(4), TanhActivation()), DenseLayer(1))
        net.fit((rows, Y[:, 0]))
        got = net.input_gradient(rows)

        def predicted(numbers, net=net):
            return net.predict(np.hstack([numbers, codes]))[:, 0]

        expected = differences(predicted, rows[:, :2])
        np.testing.assert_allclose(got[:, :2], expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(got[:, 2:], 0.0)


def test_the_network_stays_as_it_is_and_sparse_rows_are_taken():
    from scipy import sparse

    net = resnet()
    held = [dict(vars(each)) for each in all_layers(net.layers)]
    got = net.input_gradient(X, 0)
    for layer, before in zip(all_layers(net.layers), held, strict=True):
        assert vars(layer).keys() == before.keys()
        assert all(vars(layer)[key] is before[key] for key in before)
    np.testing.assert_allclose(net.input_gradient(sparse.csr_array(X), 0), got, rtol=1e-9)
    np.testing.assert_array_equal(copy.deepcopy(net).input_gradient(X, 0), got)
    float32 = resnet(dtype="float32").input_gradient(X, 0)
    assert float32.dtype == np.float32


class OtherInTraining(Composite):
    """A user's, whose own pass is another one in training."""

    def forward_propagation(self, input, training=True):
        return super().forward_propagation(input, training) * (2.0 if training else 1.0)


def test_a_composite_that_is_another_function_in_training_is_refused():
    net = network(DenseLayer(5, (D,)), OtherInTraining(Dropout(0.2)), DenseLayer(2)).fit((X, Y))
    with pytest.raises(ValueError, match="OtherInTraining computes something else in training"):
        net.input_gradient(X, 0)
