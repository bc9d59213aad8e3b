"""Dense layers without biases, and with initial ones, in every way of taking steps."""

import numpy as np
import pytest
from scipy import sparse

import xpnet
from xpnet import (
    L2,
    Adam,
    BatchNormalization,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    ReLUActivation,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.testing import check_layer
from xpnet.training.steps.compiled import CompiledTraining

N, N_INPUTS = 24, 5


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, N_INPUTS)), rng.standard_normal((N, 2))


def network(steps, use_bias, n=9, **options):
    options = {"dtype": "float64", "seed": 2, "batch_size": 8, "optimizer": Adam(0.02)} | options
    net = NeuralNetwork(4, steps=steps, **options)
    net.add(DenseLayer(n, (N_INPUTS,), use_bias=use_bias[0])).add(TanhActivation())
    net.add(DenseLayer(7, use_bias=use_bias[1], regularizer=L2(0.01))).add(Dropout(0.2))
    return net.add(DenseLayer(2, use_bias=use_bias[2]))


def weights(net):
    return [to_host(getattr(layer, name)).copy() for layer in net for name in layer.parameter_names]


def assert_near(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


PATTERNS = [(False, False, False), (False, True, False), (True, False, True)]


@pytest.mark.parametrize("use_bias", PATTERNS)
def test_without_biases_a_network_learns_as_with_biases_frozen_at_zero(steps, data, use_bias):
    net = network(steps, use_bias).fit(data)
    # A reference by hand: biases that are set back to zero after each step.
    held = network("formulas", (True, True, True))
    for epoch in range(4):
        order = held.orders.samples(N, epoch)
        for start in range(0, N, 8):
            rows = order[start : start + 8]
            held.loss_and_gradient(data[0][rows], data[1][rows])
            held.update_parameters()
            for layer, flag in zip(held.layers[::2][:2] + held.layers[4:], use_bias, strict=True):
                if not flag:
                    layer.biases[...] = 0
    dense = [layer for layer in held if isinstance(layer, DenseLayer)]
    wanted = []
    for layer, flag in zip(dense, use_bias, strict=True):
        wanted += [layer.weights, layer.biases] if flag else [layer.weights]
    assert_near(weights(net), wanted)
    assert net.parameters.places[net[0], "weights"].start == 0
    assert (net[0].biases is None) != use_bias[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_wide_layers_without_biases_on_several_threads(rng, threads):
    pytest.importorskip("numba")
    X, y = rng.standard_normal((40, N_INPUTS)), rng.standard_normal((40, 2))
    found = []
    for kind in ("formulas", "compiled"):
        net = network(kind, (False, True, False), n=50)
        if kind == "formulas":
            net.batch_size = 40
            net.shuffle = False
            net.fit((X, y))
        else:
            with CompiledTraining(net, X, y, None, 40, threads) as training:
                training.load()
                for _ in range(4):
                    training.run(np.arange(40), net.optimizer.learning_rate)
                training.store()
        found.append(weights(net))
    assert_near(*found)


def test_sparse_rows(steps, data):
    X = sparse.random(N, N_INPUTS, 0.4, "csr", np.float64, random_state=1)
    found = [
        weights(network(kind, (False, False, True)).fit((X, data[1])))
        for kind in (steps, "formulas")
    ]
    assert_near(*found)
    dense = weights(network("formulas", (False, False, True)).fit((X.toarray(), data[1])))
    assert_near(found[0], dense)


@pytest.mark.parametrize("use_bias", [True, False])
def test_before_batch_normalization(data, emulated, use_bias):
    found = []
    for kind in ("formulas", "captured"):
        net = NeuralNetwork(3, 8, dtype="float64", seed=1, steps=kind)
        net.add(DenseLayer(6, (N_INPUTS,), use_bias=use_bias)).add(BatchNormalization())
        net.add(ReLUActivation()).add(DenseLayer(2, use_bias=use_bias))
        assert net.explain_steps(data).chosen == kind
        net.fit(data)
        found.append(
            [*weights(net)[:1], net[1].gamma, net[1].running_mean * use_bias, net[3].weights]
        )
    assert_near(*found)


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_gradient_is_right(float64_backend, rng, use_bias):
    x = float64_backend.asarray(rng.standard_normal((4, 3)))
    check_layer(DenseLayer(2, (3,), use_bias=use_bias, bias_initializer="zeros"), x)


def test_initial_biases(backend):
    net = xpnet.Model(seed=1).to(backend)
    layer = DenseLayer(300, (3,), bias_initializer=xpnet.initializers.Normal(1.0))
    net.add(layer)
    biases = to_host(layer.biases)
    assert abs(biases.mean()) < 0.2
    assert abs(biases.std() - 1) < 0.15
    plain = xpnet.Model(seed=1).to(backend).add(DenseLayer(300, (3,)))
    assert not to_host(plain[0].biases).any()
    np.testing.assert_array_equal(to_host(plain[0].weights), to_host(layer.weights))


def test_what_goes_without_saying_is_refused():
    for arguments in ({"bias_regularizer": "l2"}, {"bias_initializer": "normal"}):
        with pytest.raises(ValueError, match="use_bias=False together with"):
            DenseLayer(3, use_bias=False, **arguments)
    with pytest.raises(TypeError, match="use_bias='no'"):
        DenseLayer(3, use_bias="no")


def test_it_is_saved_counted_and_planned(data, tmp_path):
    net = network("auto", (False, True, False)).fit(data)
    net.save(tmp_path / "net")
    again = xpnet.load(tmp_path / "net")
    assert [layer.use_bias for layer in again if isinstance(layer, DenseLayer)] == [
        False, True, False,
    ]  # fmt: skip
    np.testing.assert_array_equal(again.predict(data[0]), net.predict(data[0]))
    assert net[0].parameters() == 45
    assert net.memory_plan(8).parameters == 8 * (45 + 70 + 14)
    assert_near(weights(net.copy().fit(data)), weights(again.fit(data)))


def test_max_norm_without_biases(data):
    net = NeuralNetwork(3, 8, dtype="float64", seed=1).add(
        DenseLayer(2, (N_INPUTS,), max_norm=0.5, use_bias=False)
    )
    net.fit(data)
    assert np.linalg.norm(net[0].weights, axis=0).max() < 0.5 + 1e-9
