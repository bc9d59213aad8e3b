"""Frozen layers and factors of the learning rate, in every way of taking steps."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse

import xpnet
from xpnet import (
    L2,
    LBFGS,
    SGD,
    Adam,
    AdamW,
    BatchNormalization,
    Callback,
    Checkpoint,
    CSVLogger,
    DenseLayer,
    Dropout,
    EarlyStopping,
    Layer,
    NeuralNetwork,
    Optimizer,
    PReLULayer,
    ReLUActivation,
    Rprop,
    SigmoidActivation,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.testing import check_layer
from xpnet.training.steps.captured import CapturedTraining
from xpnet.training.steps.compiled import CompiledTraining

from .cuda.machine import EmulatedMachine

N, N_INPUTS, BATCH = 24, 5, 8


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, N_INPUTS)), rng.standard_normal((N, 2))


def network(steps="formulas", optimizer=None, epochs=3, **options):
    options = {"dtype": "float64", "seed": 3, "batch_size": BATCH, "shuffle": False} | options
    net = NeuralNetwork(epochs, optimizer=optimizer or Adam(0.01), steps=steps, **options)
    net.add(DenseLayer(7, (N_INPUTS,))).add(TanhActivation())
    net.add(DenseLayer(6)).add(SigmoidActivation())
    net.add(DenseLayer(4)).add(ReLUActivation())
    return net.add(DenseLayer(2))


def dense(net):
    return [layer for layer in net if isinstance(layer, DenseLayer)]


def weights(net):
    return [to_host(getattr(layer, name)).copy() for layer in net for name in layer.parameter_names]


def marked(net, trainable, factors=(1.0,) * 4):
    for layer, flag, factor in zip(dense(net), trainable, factors, strict=True):
        layer.trainable, layer.learning_rate_factor = flag, factor
    return net


def by_reference(net, data, epochs):
    """Train the dense layers one by one, from the gradients of a network that is not frozen."""
    X, y = data
    whole = marked(net.copy(), [True] * 4)
    optimizers = {}
    for k, layer in enumerate(dense(net)):
        for name in layer.parameter_names:
            optimizers[k, name] = own = copy.deepcopy(net.optimizer)
            place = net.parameters.places[layer, name]
            for state in own.state_names:
                if (array := getattr(own, state)) is not None:
                    setattr(own, state, array[place].reshape(getattr(layer, name).shape))
            own.learning_rate = own.learning_rate * layer.learning_rate_factor
    for _ in range(epochs):
        for start in range(0, N, BATCH):
            whole.loss_and_gradient(X[start : start + BATCH], y[start : start + BATCH])
            for (k, name), own in optimizers.items():
                if dense(net)[k].trainable:
                    layer = dense(whole)[k]
                    gradient = getattr(layer, f"{name}_gradient")
                    setattr(layer, name, own.update(getattr(layer, name), gradient))
    return weights(whole)


PATTERNS = {
    "the first ones": [False, False, True, True],
    "in the middle": [True, False, False, True],
    "the last ones": [True, True, False, False],
    "all but the last": [False, False, False, True],
    "every other": [False, True, False, True],
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(0.01), AdamW(0.01, weight_decay=0.3)])
def test_frozen_layers_stay_and_the_others_learn_as_in_a_reference(steps, data, pattern, optimizer):
    net = network(steps, optimizer).fit(data, epochs=2)  # so that the optimizer has a state
    marked(net, PATTERNS[pattern])
    before, state = weights(net), copy.deepcopy(net.optimizer)
    wanted = by_reference(net, data, 3)
    net.fit(data, epochs=3)
    for k, (found, old, new) in enumerate(zip(weights(net), before, wanted, strict=True)):
        np.testing.assert_allclose(found, new, rtol=1e-9, atol=1e-12)
        assert np.array_equal(found, old) != PATTERNS[pattern][k // 2]
    for layer in dense(net):
        for name in layer.parameter_names:
            place = net.parameters.places[layer, name]
            for each in state.state_names:
                same = np.array_equal(
                    getattr(net.optimizer, each)[place], getattr(state, each)[place]
                )
                assert same != layer.trainable


@pytest.mark.parametrize("factors", [(1.0, 1.0, 0.1, 0.1), (0.0, 0.5, 2.0, 1.0)])
@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(0.01), AdamW(0.01, weight_decay=0.3)])
def test_factors_multiply_the_rate(steps, data, factors, optimizer):
    net = marked(network(steps, optimizer), [True, True, True, False], factors)
    wanted = by_reference(net, data, 3)
    before = weights(net)
    net.fit(data, epochs=3)
    for k, (found, new) in enumerate(zip(weights(net), wanted, strict=True)):
        np.testing.assert_allclose(found, new, rtol=1e-9, atol=1e-12)
        assert np.array_equal(found, before[k]) == (factors[k // 2] == 0.0 or k // 2 == 3)


@pytest.mark.parametrize("threads", [1, 2])
def test_wide_layers_on_several_threads(rng, threads):
    pytest.importorskip("numba")
    X, y = rng.standard_normal((40, 30)), rng.standard_normal((40, 2))
    found = []
    for kind in ("formulas", "compiled"):
        net = NeuralNetwork(dtype="float64", seed=0, optimizer=Adam(0.01))
        for n in (64, 48, 33):
            net.add(DenseLayer(n, (30,) if n == 64 else None)).add(TanhActivation())
        net.add(DenseLayer(2))
        marked(net, [False, False, True, True], (1.0, 1.0, 0.5, 1.0))
        if kind == "formulas":
            for _ in range(5):
                net.loss_and_gradient(X, y)
                net.update_parameters()
        else:
            with CompiledTraining(net, X, y, None, 40, threads) as training:
                assert training.threads == threads
                training.load()
                for _ in range(5):
                    training.run(np.arange(40), net.optimizer.learning_rate)
                training.store()
        found.append(weights(net))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_dropout_below_a_trained_layer(steps, data):
    found = []
    for kind in ("formulas", steps):
        net = NeuralNetwork(3, dtype="float64", seed=1, batch_size=BATCH, steps=kind)
        net.add(DenseLayer(9, (N_INPUTS,))).add(TanhActivation()).add(Dropout(0.4))
        net.add(DenseLayer(6)).add(Dropout(0.2)).add(DenseLayer(2))
        net.layers[0].trainable = net.layers[3].trainable = False
        found.append(weights(net.fit(data)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_sparse_rows_into_a_frozen_layer(steps, data):
    X = sparse.random(N, N_INPUTS, 0.4, "csr", np.float64, random_state=1)
    found = []
    for kind in ("formulas", steps):
        net = marked(network(kind), [False, True, True, True])
        found.append(weights(net.fit((X, data[1]))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


# ---- nothing is computed for frozen layers


def test_instructions_for_frozen_layers_are_left_out(data):
    pytest.importorskip("numba")
    counts = {}
    for name, pattern in {"none": [True] * 4, **PATTERNS}.items():
        net = marked(network("compiled"), pattern)
        with CompiledTraining(net, *data, None, BATCH, threads=1) as training:
            names = training._engine.programs[0][0].names()
        counts[name] = sum("product" in each or "gemm" in each for each in names)
        parts = net.parameters.parts_of(net.optimizer)
        assert sum(each.startswith("update") for each in names) == len(parts)
    # Four products forward; a gradient for each trained layer; an error for each layer above one.
    assert counts == {
        "none": 4 + 4 + 3,
        "the first ones": 4 + 2 + 1,
        "in the middle": 4 + 2 + 3,
        "the last ones": 4 + 2 + 3,
        "all but the last": 4 + 1 + 0,
        "every other": 4 + 2 + 2,
    }


def test_launches_for_frozen_layers_are_left_out(data, emulated):
    counts = {}
    for name, pattern in {"none": [True] * 4, **PATTERNS}.items():
        net, products = marked(network("captured"), pattern), []

        class Counting(EmulatedMachine):
            def product(self, *arguments, products=products):
                products.append(arguments)
                return super().product(*arguments)

        with CapturedTraining(net, *data, None, BATCH, Counting("float64")) as training:
            training._program(BATCH)
        counts[name] = len(products)
    assert list(counts.values()) == [11, 7, 9, 9, 5, 8]


def test_formulas_compute_no_gradient_of_frozen_layers(data):
    net = marked(network(), [False, True, False, True])
    done = net.loss_and_gradient(*data)
    first, second, third, _ = dense(net)
    assert first.weights_gradient is None
    assert third.biases_gradient is None
    assert second.weights_gradient is not None
    assert [layer.needs_input_error for layer in dense(net)] == [False, False, True, True]
    places = net.parameters.places
    assert not done.gradient[places[third, "weights"]].any()
    assert done.gradient[places[second, "weights"]].all()


class Unaware(Layer):
    """A layer that computes its gradient whether or not it is frozen."""

    parameter_names = ("scale",)

    def initialize(self, optimizer=None):
        self.scale = self.new_parameter(self.input_shape(), "glorot_uniform")
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        self.input = input
        return input * self.scale

    def backward_propagation(self, output_error):
        out = self.buffer("scale_gradient", self.scale.shape)
        gradient = (output_error * self.input).sum(axis=0)
        if out is not None:
            out[...] = gradient
        self.scale_gradient = gradient if out is None else out
        return output_error * self.scale


def test_a_users_layer_need_not_know_of_it(data):
    results = []
    for frozen in (False, True):
        optimizer = SGD(0.1, clip_norm=1e-3)
        net = NeuralNetwork(1, N, optimizer, dtype="float64", seed=0, steps="formulas")
        net.add(DenseLayer(4, (N_INPUTS,))).add(Unaware()).add(DenseLayer(2))
        before = weights(net)
        net.layers[1].trainable = not frozen
        results.append((before, weights(net.fit(data, epochs=1))))
    (old, free), (_, frozen) = results
    assert not np.array_equal(free[2], old[2])
    np.testing.assert_array_equal(frozen[2], old[2])
    # The norm is that of the trained gradient: the step has the whole length that is allowed.
    length = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(frozen, old, strict=True)))
    np.testing.assert_allclose(length, 1e-4)


# ---- clipping, penalties, constraints


@pytest.mark.parametrize("steps", ["formulas", "captured"])
def test_clipping_sees_only_trained_gradients(steps, data, request):
    if steps == "captured":
        request.getfixturevalue("emulated")
    optimizer = SGD(1.0, momentum=0.0, clip_norm=1e-3)
    net = marked(network(steps, optimizer, batch_size=N), [False, True, False, True])
    before = weights(net)
    net.fit(data, epochs=1)
    moved = zip(weights(net), before, strict=True)
    np.testing.assert_allclose(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in moved)), 1e-3)


def test_penalties_on_frozen_layers_change_nothing_and_are_reported_as_0(steps, data):
    plain = marked(network(steps), [False, True, True, True]).fit(data)
    priced = network(steps)
    priced.layers[0].regularizer = L2(10.0)
    marked(priced, [False, True, True, True]).fit(data)
    for one, other in zip(weights(plain), weights(priced), strict=True):
        np.testing.assert_array_equal(one, other)
    assert priced.history["loss"] == plain.history["loss"]
    assert set(priced.history["penalty"]) == {0.0}
    assert priced.evaluate(data)["penalty"] == 0.0
    assert "penalty" not in plain.history
    priced.layers[0].trainable = True
    assert priced.fit(data).history.last["penalty"] > 0


def test_no_constraint_on_frozen_weights(data):
    net = network("formulas")
    net.layers[0].max_norm = net.layers[2].max_norm = 1e-3
    net.layers[0].trainable = False
    before = weights(net)[0]
    net.fit(data)
    np.testing.assert_array_equal(net.layers[0].weights, before)
    assert np.linalg.norm(net.layers[2].weights, axis=0).max() < 1.001e-3


@pytest.mark.parametrize("steps", ["formulas", None])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "nadam", "lion"])
def test_parameters_with_the_factor_0_stay_the_same(steps, optimizer, data):
    net = network(steps, optimizer, regularizer="l2")
    net.layers[0].max_norm = net.layers[2].max_norm = 1e-3
    net.layers[0].learning_rate_factor = 0
    before = weights(net)[:2]
    net.fit(data)
    for found, expected in zip(weights(net), before, strict=False):
        np.testing.assert_array_equal(found, expected)
    assert np.linalg.norm(net.layers[2].weights, axis=0).max() < 1.001e-3


def test_evaluate_follows_freezing_and_thawing_at_once(data, backend):
    net = network(dtype="float32", regularizer="l2", metric="mse").to(backend).fit(data)
    whole = net.evaluate(data)
    assert whole["penalty"] > 0
    for layer in net:
        layer.trainable = False
    frozen = net.evaluate(data)
    assert frozen["penalty"] == 0.0
    assert frozen["loss"] == pytest.approx(whole["loss"] - whole["penalty"], rel=1e-5)
    net.layers[0].trainable = True
    first = net.evaluate(data)["penalty"]
    assert 0 < first < whole["penalty"]
    net.layers[0].regularizer = L2(1.0)  # instead of the network's
    assert net.evaluate(data)["penalty"] > 10 * first
    net.layers[0].regularizer = None
    for layer in net:
        layer.trainable = True
    assert net.evaluate(data) == whole


def test_evaluate_leaves_out_penalties_of_layers_that_were_removed(data):
    net = network(regularizer="l2").fit(data)
    net.layers.pop()
    net.loss = "mse"
    own = sum(float(np.sum(layer.weights**2)) for layer in dense(net))
    y = np.zeros((N, 4))
    found = net.evaluate(data[0], y)
    assert found["penalty"] == pytest.approx(net.regularizer.penalty(np.ones(1)) * own)


# ---- batch normalization and PReLU


def with_norm(steps, **options):
    net = NeuralNetwork(3, dtype="float64", seed=1, batch_size=BATCH, steps=steps, **options)
    net.add(DenseLayer(6, (N_INPUTS,))).add(BatchNormalization()).add(TanhActivation())
    net.add(DenseLayer(5)).add(BatchNormalization()).add(ReLUActivation())
    return net.add(DenseLayer(2))


@pytest.mark.parametrize("frozen", [(0, 1), (1,), (0,), (1, 4), (0, 1, 3, 4), (3, 4)])
def test_frozen_batch_normalization_is_the_function_of_prediction(frozen, data, request):
    request.getfixturevalue("emulated")
    found = []
    for kind in ("formulas", "captured"):
        net = with_norm(kind, learning_rate=0.1).fit(data)
        assert kind in net.explain_steps(data).chosen
        before = {k: copy.deepcopy(vars(net[k])) for k in frozen}
        for k in frozen:
            net[k].trainable = False
        net.fit(data)
        for k in frozen:
            for name in (*net[k].parameter_names, *net[k].state_names):
                np.testing.assert_array_equal(getattr(net[k], name), before[k][name])
        found.append([*weights(net), net[1].running_mean, net[4].running_variance])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_frozen_batch_normalization_has_the_right_derivative(float64_backend, rng):
    backend = float64_backend
    x = backend.asarray(rng.standard_normal((4, 3)))
    norm = BatchNormalization(input_shape=(3,))
    norm.backend = backend
    norm.initialize()
    for _ in range(3):
        norm.forward_propagation(x * 3.0 + 1.0)
    norm.trainable = False
    output = to_host(norm.forward_propagation(x, training=True))
    np.testing.assert_array_equal(output, to_host(norm.forward_propagation(x, training=False)))
    error = rng.standard_normal((4, 3))
    found = to_host(norm.backward_propagation(backend.asarray(error)))
    deviation = np.sqrt(to_host(norm.running_variance) + norm.epsilon)
    np.testing.assert_allclose(found, error * to_host(norm.gamma) / deviation)
    assert norm.min_samples == 1


def test_a_frozen_norm_learns_from_single_samples(data):
    net = with_norm("formulas")
    net[1].trainable = net[4].trainable = False
    net.batch_size = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(data)


def test_frozen_prelu(data):
    net = NeuralNetwork(2, dtype="float64", seed=0).add(DenseLayer(4, (N_INPUTS,)))
    net.add(PReLULayer()).add(DenseLayer(2))
    net[1].trainable = False
    net.fit(data)
    assert set(net[1].alpha.tolist()) == {0.25}
    assert net[1].alpha_gradient is None


@pytest.mark.parametrize("layer", [DenseLayer(3), PReLULayer()])
def test_the_error_below_a_frozen_layer_is_right(layer, float64_backend, rng):
    layer.trainable = False
    x = float64_backend.asarray(rng.standard_normal((4, 5)))
    layer = copy.deepcopy(layer)
    layer.backend = float64_backend
    layer.set_input_shape((5,))
    layer.initialize()
    error = rng.standard_normal((4, *layer.output_shape()))
    frozen = layer.copy()
    layer.trainable = True
    results = []
    for each in (layer, frozen):
        each.forward_propagation(x)
        results.append(to_host(each.backward_propagation(float64_backend.asarray(error))))
    np.testing.assert_array_equal(*results)
    check_layer(layer, x)


# ---- when it is set


class Thawing(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, network, epoch):
        network[0].trainable = network[2].trainable = epoch >= self.epoch
        network[4].learning_rate_factor = 0.5 if epoch >= self.epoch else 1.0


def test_a_callback_may_freeze_between_epochs(steps, data):
    net = network(steps).fit(data, epochs=5, callbacks=Thawing(2))
    apart = network(steps)
    apart[0].trainable = apart[2].trainable = False
    apart.fit(data, epochs=2)
    apart[0].trainable = apart[2].trainable = True
    apart[4].learning_rate_factor = 0.5
    apart.fit(data, epochs=3)
    for one, other in zip(weights(net), weights(apart), strict=True):
        np.testing.assert_array_equal(one, other)


def test_freezing_everything_between_epochs_ends_learning(steps, data):
    class Freezing(Callback):
        def on_epoch_begin(self, network, epoch):
            for layer in network if epoch == 1 else ():
                layer.trainable = False

    net, once = network(steps), network(steps)
    net.fit(data, epochs=3, callbacks=Freezing())
    once.fit(data, epochs=1)
    for one, other in zip(weights(net), weights(once), strict=True):
        np.testing.assert_array_equal(one, other)
    assert net.history.epochs == 3


def test_frozen_before_add_and_on_every_backend(backend, rng):
    X, y = rng.standard_normal((N, 3)), rng.standard_normal((N, 1))
    first = DenseLayer(4, (3,))
    first.trainable = False
    net = NeuralNetwork(2, 8, "adam", backend=backend.name, device=str(backend.device_name), seed=0)
    net.to(backend)
    net.add(first).add(TanhActivation()).add(DenseLayer(3)).add(DenseLayer(1))
    net[2].learning_rate_factor = 0.25
    before = weights(net)
    net.fit((X, y))
    after = weights(net)
    assert [np.array_equal(a, b) for a, b in zip(after, before, strict=True)] == [True] * 2 + [
        False
    ] * 4
    reference = NeuralNetwork(2, 8, "adam", seed=0, dtype=backend.dtype, steps="formulas")
    reference.add(DenseLayer(4, (3,))).add(TanhActivation()).add(DenseLayer(3)).add(DenseLayer(1))
    reference[0].trainable, reference[2].learning_rate_factor = False, 0.25
    reference.fit((X, y))
    for one, other in zip(after, weights(reference), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_in_pieces_of_batches(data):
    whole = marked(network("formulas"), [False, True, False, True], (1.0, 0.5, 1.0, 1.0))
    pieces = whole.copy()
    whole.fit(data)
    least = pieces.memory_plan(BATCH, N).total
    pieces.memory_limit = int(0.999 * least)
    pieces.fit(data)
    assert pieces.last_plan.rows < BATCH
    for one, other in zip(weights(whole), weights(pieces), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


# ---- optimizers of other kinds


class OwnUpdate(Optimizer):
    state_names = ("velocity",)

    def update(self, w, grad_loss_w):
        self.velocity = 0.9 * self.state_like("velocity", w) + grad_loss_w + 1.0
        self.n_updates += 1
        return w - self.learning_rate * self.velocity


def test_an_optimizer_with_an_update_of_its_own(data):
    net = marked(network("formulas", OwnUpdate(0.01)), [False, True, True, True])
    before = weights(net)
    net.fit(data)
    after = weights(net)
    assert [np.array_equal(a, b) for a, b in zip(after, before, strict=True)] == [True] * 2 + [
        False
    ] * 6
    n = before[0].size + before[1].size
    assert not net.optimizer.velocity[:n].any()
    assert net.optimizer.velocity[n:].all()
    net[2].learning_rate_factor = 0.5
    with pytest.raises(ValueError, match="overrides update instead of defining a rule"):
        net.fit(data)


class OwnRule(Optimizer):
    """A rule that returns the gradient itself as its state."""

    state_names = ("previous",)

    def rule(self, w, g, previous, *, rate, t):
        return w - rate * (g + 0.5 * previous), g


def test_a_rule_of_ones_own(steps, data):
    net = marked(network(steps, OwnRule(0.05)), [True, False, True, True], (0.5, 1.0, 1.0, 2.0))
    wanted = by_reference(net, data, 3)
    net.fit(data)
    for found, new in zip(weights(net), wanted, strict=True):
        np.testing.assert_allclose(found, new, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", [Rprop(), LBFGS()])
def test_a_factor_is_refused_where_the_rate_is_no_factor(optimizer, data):
    net = network("auto", optimizer, batch_size=128)
    net[0].learning_rate_factor = 0.5
    before = weights(net)
    with pytest.raises(ValueError, match=r"learning_rate_factor.*itself: set it to 1"):
        net.fit(data)
    for one, other in zip(weights(net), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_lbfgs_minimises_over_the_trained_layers(data):
    net = network("auto", LBFGS(), batch_size=128)
    net[0].trainable = net[4].trainable = False
    before = weights(net)
    first = net.fit(data, epochs=1).history.last["loss"]
    net.fit(data, epochs=20)
    after = weights(net)
    assert [np.array_equal(a, b) for a, b in zip(after, before, strict=True)] == [
        True, True, False, False, True, True, False, False,
    ]  # fmt: skip
    assert net.history.last["loss"] < 0.9 * first
    gradient = np.abs(net.loss_and_gradient(*data).gradient)
    untrained = net.copy()
    untrained[0].trainable = True
    assert gradient.max() < np.abs(untrained.loss_and_gradient(*data).gradient).max()


def test_lbfgs_begins_again_when_a_layer_is_thawed(data):
    class Later(Callback):
        def on_epoch_begin(self, network, epoch):
            network[0].trainable = epoch >= 2

    net = network("auto", LBFGS(), batch_size=128)
    before = weights(net)[0]
    net.fit(data, epochs=2, callbacks=Later())
    np.testing.assert_array_equal(net[0].weights, before)
    net.fit(data, epochs=2, callbacks=Later())
    assert not np.array_equal(net[0].weights, before)


# ---- what is refused, and what is shown


def test_a_network_with_nothing_to_train(steps, data):
    net = marked(network("auto"), [False] * 4)
    before = weights(net)
    with pytest.warns(UserWarning, match="no layer of the network is trainable"):
        net.fit(data)
    for one, other in zip(weights(net), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "trained" in net.explain_steps(data).reasons["compiled"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trainable", "no"),
        ("trainable", None),
        ("learning_rate_factor", -1.0),
        ("learning_rate_factor", np.inf),
        ("learning_rate_factor", np.nan),
        ("learning_rate_factor", "fast"),
        ("parameter_names", ("weights",)),
    ],
)
def test_wrong_values_are_refused_before_training(name, value, data):
    net = NeuralNetwork(2, dtype="float64", seed=0).add(DenseLayer(3, (N_INPUTS,)))
    net.add(BatchNormalization()).add(DenseLayer(2))
    before = weights(net)
    if name != "parameter_names":  # settings are checked when they are set
        with pytest.raises((ValueError, TypeError), match=name):
            setattr(net[1], name, value)
    vars(net[1])[name] = value
    with pytest.raises((ValueError, TypeError), match=rf"BatchNormalization\.{name}"):
        net.fit(data)
    del vars(net[1])[name]
    for one, other in zip(weights(net), before, strict=True):
        np.testing.assert_array_equal(one, other)
    net.fit(data)
    fresh = BatchNormalization()
    vars(fresh)[name] = value
    with pytest.raises((ValueError, TypeError), match=name):
        NeuralNetwork().add(DenseLayer(3, (4,))).add(fresh)


def test_parameter_names_of_a_dense_layer_cannot_be_emptied():
    with pytest.raises(AttributeError, match="write trainable=False"):
        DenseLayer(3).parameter_names = ()


def test_summary_counts_frozen_parameters(capsys):
    net = marked(network(), [False, True, True, True])
    net.summary()
    text = capsys.readouterr().out
    assert "frozen" in text
    assert "128 parameters (86 trainable, 42 frozen), float64" in text
    marked(net, [True] * 4).summary()
    assert "frozen" not in capsys.readouterr().out


def test_the_plan_of_memory_has_no_errors_of_layers_that_are_not_reached():
    net = network()
    whole = net.memory_plan(BATCH, N)
    marked(net, [False, False, True, True])
    frozen = net.memory_plan(BATCH, N)
    assert whole.activations - frozen.activations == 8 * BATCH * (7 + 7 + 6 + 6)


def test_inspect_shows_no_gradient_of_frozen_layers(data):
    net = marked(network(), [False, True, True, True])
    reports = net.inspect(data).layers
    assert reports[0].gradient == 0
    assert reports[2].gradient > 0


# ---- saved, copied, resumed


def test_it_is_saved_copied_and_pickled(data, tmp_path):
    net = marked(network(), [False, True, True, True], (1.0, 0.5, 1.0, 1.0)).fit(data)
    net.save(tmp_path / "net")
    copies = [xpnet.load(tmp_path / "net"), copy.deepcopy(net), net.copy()]
    copies.append(pickle.loads(pickle.dumps(net)))
    net.fit(data)
    for other in copies:
        assert [layer.trainable for layer in dense(other)] == [False, True, True, True]
        assert dense(other)[1].learning_rate_factor == 0.5
        other.fit(data)
        for one, two in zip(weights(net), weights(other), strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_same_setting_of_several_layers_is_saved_with_each(data, tmp_path):
    net = marked(network(), [False, False, False, True], (0.5, 0.5, 0.25, 0.25)).fit(data)
    net.save(tmp_path / "net")
    other = xpnet.load(tmp_path / "net")
    assert [layer.trainable for layer in dense(other)] == [False, False, False, True]
    assert [layer.learning_rate_factor for layer in dense(other)] == [0.5, 0.5, 0.25, 0.25]


class Gradual(Callback):
    """Sets only what changes, so a resumed training depends on what the checkpoint holds."""

    def on_epoch_begin(self, network, epoch):
        if epoch == 2:
            network[0].trainable = True
            network[2].learning_rate_factor = 0.5


@pytest.mark.parametrize("stopped", [1, 2, 4])
def test_a_resumed_training_goes_on_with_what_was_frozen(steps, data, tmp_path, stopped):
    def begun():
        return marked(network(steps), [False, True, True, True])

    whole = begun().fit(data, epochs=5, callbacks=Gradual())
    given = [Gradual(), Checkpoint(tmp_path / "runs")]
    begun().fit(data, epochs=stopped, callbacks=given)
    resumed = begun().fit(data, epochs=5, callbacks=given, resume=tmp_path / "runs")
    for one, other in zip(weights(whole), weights(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_early_stopping_restores_frozen_networks(data):
    net = marked(network(), [False, True, True, True])
    before = weights(net)[0]
    stopping = EarlyStopping("loss", patience=2)
    net.fit(data, validation=data, epochs=6, callbacks=stopping)
    np.testing.assert_array_equal(net[0].weights, before)


class _Thaws(Callback):
    """Freezes or thaws the first layer, and keeps the columns that were announced."""

    def __init__(self, plan):
        self.plan, self.columns = plan, []

    def on_train_begin(self, network, columns):
        self.columns = columns

    def on_epoch_begin(self, network, epoch):
        network.layers[0].trainable = self.plan[epoch]


@pytest.mark.parametrize("of_network", [False, True])
@pytest.mark.parametrize("plan", [[False, False, True, True], [True, True, False, False]])
def test_the_penalty_of_a_layer_that_is_thawed_is_announced(
    plan, of_network, steps, data, tmp_path
):
    net = network(steps)
    for layer in net.layers[1:] if of_network else ():
        layer.trainable = False
    if of_network:
        net.regularizer = L2(0.1)
    else:
        net.layers[0].regularizer = L2(0.1)
    net.layers[0].trainable = plan[0]
    watch = _Thaws(plan)
    log = CSVLogger(tmp_path / "log.csv")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no layer of the network is trainable")
        net.fit(data, epochs=4, callbacks=[watch, log, EarlyStopping("penalty", patience=9)])
    assert "penalty" in watch.columns
    assert [value > 0 for value in net.history["penalty"]] == plan
    assert (tmp_path / "log.csv").read_text().splitlines()[0].split(",") == watch.columns
