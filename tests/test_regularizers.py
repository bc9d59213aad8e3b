"""Regularizers: their derivatives, their share in training, and how training shows them."""

from importlib.util import find_spec

import numpy as np
import pytest

from xpnet import (
    L1,
    L1L2,
    L2,
    SGD,
    Adam,
    AdamW,
    DenseLayer,
    NeuralNetwork,
    Regularizer,
    TanhActivation,
    config,
    load,
)
from xpnet.backends import array_namespace, to_host
from xpnet.regularizers import REGULARIZERS, find_regularizer

K = 6


class Quartic(Regularizer):
    """One of a user's own."""

    def penalty(self, w):
        return 0.1 * array_namespace(w).sum(w**4)

    def derivative(self, w):
        return 0.4 * w**3


CASES = [L1(0.3), L2(0.2), L1L2(0.1, 0.4), L1L2(), Quartic()]


@pytest.mark.parametrize("regularizer", CASES, ids=lambda each: type(each).__name__)
def test_the_derivative_is_that_of_the_penalty(regularizer, float64_backend, rng):
    w = rng.standard_normal((4, 3)) + 0.01
    expected, h = np.empty_like(w), 1e-6
    for place in np.ndindex(w.shape):
        more, less = w.copy(), w.copy()
        more[place] += h
        less[place] -= h
        up, down = (
            float64_backend.scalar(regularizer.penalty(float64_backend.asarray(each)))
            for each in (more, less)
        )
        expected[place] = (up - down) / (2 * h)
    found = regularizer.derivative(float64_backend.asarray(w))
    np.testing.assert_allclose(to_host(found), expected, rtol=1e-6, atol=1e-8)
    g = rng.standard_normal(w.shape)
    both = regularizer.add_to(float64_backend.asarray(g), float64_backend.asarray(w))
    np.testing.assert_allclose(to_host(both), g + expected, rtol=1e-6, atol=1e-8)


def test_reference_values():
    w = np.array([[1.0, -2.0], [0.0, 3.0]])
    assert L1(0.5).penalty(w) == 3.0
    assert L2(0.5).penalty(w) == 7.0
    assert L1L2(0.5, 0.5).penalty(w) == 10.0
    np.testing.assert_array_equal(L1(0.5).derivative(w), [[0.5, -0.5], [0.0, 0.5]])
    np.testing.assert_array_equal(L2(0.5).derivative(w), w)


def samples(n=96):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, K))
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64)


def network(regularizer=None, layer=None, **arguments):
    arguments = {
        "epochs": 3,
        "batch_size": 5,
        "loss": "softmax_cross_entropy",
        "seed": 0,
    } | arguments
    net = NeuralNetwork(regularizer=regularizer, **{"dtype": "float64"} | arguments)
    net.add(DenseLayer(8, (K,), **layer or {})).add(TanhActivation())
    return net.add(DenseLayer(2))


def parameters(net):
    return to_host(net.parameters.copy())


@pytest.mark.parametrize("factor", [0.01, 0.3])
def test_l2_is_pytorchs_weight_decay_on_weights(factor):
    """PyTorch adds wd * w to the gradient of all parameters; here 2 λ w, to weights alone."""
    torch = pytest.importorskip("torch")
    X, y = samples()
    net = network(L2(factor), optimizer=SGD(0.1, momentum=0.9), shuffle=False, batch_size=8)
    dense = [layer for layer in net.layers if isinstance(layer, DenseLayer)]
    theirs = torch.nn.Sequential(
        torch.nn.Linear(K, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
    ).double()
    with torch.no_grad():
        for layer, linear in zip(dense, (theirs[0], theirs[2]), strict=True):
            linear.weight.copy_(torch.tensor(np.array(layer.weights.T)))
            linear.bias.zero_()
    weights = [linear.weight for linear in (theirs[0], theirs[2])]
    biases = [linear.bias for linear in (theirs[0], theirs[2])]
    groups = [{"params": weights, "weight_decay": 2 * factor}, {"params": biases}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    net.fit((X, y))
    for _ in range(3):
        for start in range(0, len(X), 8):
            part = slice(start, start + 8)
            optimizer.zero_grad()
            output = theirs(torch.tensor(X[part]))
            torch.nn.functional.cross_entropy(output, torch.tensor(y[part])).backward()
            optimizer.step()
    for layer, linear in zip(dense, (theirs[0], theirs[2]), strict=True):
        np.testing.assert_allclose(layer.weights, linear.weight.detach().numpy().T, rtol=1e-9)
        np.testing.assert_allclose(layer.biases, linear.bias.detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("regularizer", [L1(0.01), L2(0.02), L1L2(0.01, 0.02)])
def test_training_is_that_of_pytorchs_autograd(regularizer):
    """With the penalty of weights and biases written out, and Adam."""
    torch = pytest.importorskip("torch")
    X, y = samples()
    penalised = {"bias_regularizer": regularizer}
    net = network(regularizer, penalised, optimizer=Adam(0.01), shuffle=False, batch_size=8)
    dense = [layer for layer in net.layers if isinstance(layer, DenseLayer)]
    weights = [torch.tensor(layer.weights, requires_grad=True) for layer in dense]
    biases = [torch.zeros(layer.weights.shape[1], dtype=torch.float64) for layer in dense]
    optimizer = torch.optim.Adam([*weights, *(b.requires_grad_() for b in biases)], 0.01)
    for _ in range(3):
        for start in range(0, len(X), 8):
            output = torch.tanh(torch.tensor(X[start : start + 8]) @ weights[0] + biases[0])
            loss = torch.nn.functional.cross_entropy(
                output @ weights[1] + biases[1], torch.tensor(y[start : start + 8])
            )
            for w in (*weights, biases[0]):
                loss = loss + regularizer.l1 * w.abs().sum() + regularizer.l2 * (w * w).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net.fit((X, y))
    for layer, w, b in zip(dense, weights, biases, strict=True):
        np.testing.assert_allclose(layer.weights, w.detach().numpy(), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(layer.biases, b.detach().numpy(), rtol=1e-7, atol=1e-9)


def test_the_history_has_the_penalty_in_the_loss_and_by_itself(backend):
    X, y = samples()
    data = backend.asarray(X, backend.dtype), backend.asarray(y)
    kept = []

    class Watched(L2):
        def penalty(self, w):
            kept.append(to_host(w).copy())
            return super().penalty(w)

    net = network(layer={"regularizer": Watched(0.1)}, dtype=backend.dtype, epochs=1)
    net.fit(data, validation=data)
    weights = to_host(net.layers[0].weights)
    penalty = 0.1 * np.sum(weights**2)
    assert net.history["penalty"] == [pytest.approx(penalty, rel=1e-5)]
    plain = network(epochs=1, dtype=backend.dtype)
    assert "penalty" not in plain.fit(data).history
    outputs = net.predict(data[0])
    loss = net.backend.scalar(net.loss(data[1], outputs))
    assert net.history["val_loss"][-1] == pytest.approx(loss + penalty, rel=1e-5)
    assert net.history["loss"][-1] > penalty


PER_SAMPLE = L1L2(0.1, 0.3, per_sample=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_samples_share_a_penalty_by_what_they_weigh(weighted, in_pieces, monkeypatch):
    """One batch after the other by hand: g + (λ₁ sign(w) + 2 λ₂ w) / Σ weights."""
    X, y = samples(23)
    weight = np.random.default_rng(1).uniform(0.1, 2, len(y)) if weighted else np.ones(len(y))
    settings = {"optimizer": SGD(0.1, momentum=0.0), "shuffle": False, "epochs": 1}
    monkeypatch.setenv("XPNET_STEPS", "formulas")
    net = network(PER_SAMPLE, **settings, batch_size=10)
    if in_pieces:
        net.memory_limit = net.memory_plan(n_samples=23).total - 1000
    by_hand, paid = network(**settings), 0.0
    for start in range(0, len(y), 10):  # the last one is short
        part = slice(start, start + 10)
        total, dense = weight[part].sum(), (by_hand.layers[0], by_hand.layers[2])
        output = by_hand.forward_propagation(X[part])
        error = by_hand.loss.derivative(y[part], output, weight[part])
        by_hand.backward_propagation(error, update=False)
        paid += sum(PER_SAMPLE.penalty(layer.weights) for layer in dense)
        for layer in dense:
            share = PER_SAMPLE.derivative(layer.weights) / total
            layer.weights_gradient = layer.weights_gradient + share
        by_hand.update_parameters()
    net.fit((X, y, weight) if weighted else (X, y))
    assert (net.last_plan.rows < net.last_plan.batch_size) == in_pieces
    np.testing.assert_allclose(parameters(net), parameters(by_hand), rtol=1e-12, atol=1e-14)
    assert net.history["penalty"] == [pytest.approx(paid / weight.sum(), rel=1e-12)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sizes", [(64, 100, 10), (20, 300, 40, 3)], ids=["narrow", "wide"])
def test_shared_penalties_are_reported_alike_whatever_the_steps(threads, sizes, monkeypatch, rng):
    X, y = rng.standard_normal((230, sizes[0])), rng.integers(0, sizes[-1], 230)

    def fitted(kernels):
        monkeypatch.setenv("XPNET_STEPS", kernels)
        monkeypatch.setattr(config, "threads", threads)
        net = NeuralNetwork(
            epochs=3,
            batch_size=20,
            loss="softmax_cross_entropy",
            regularizer=PER_SAMPLE,
            dtype="float64",
            seed=0,
        )
        for k, n_units in enumerate(sizes[1:]):
            net.add(DenseLayer(n_units, None if k else (sizes[0],)))
        return net.fit((X, y))

    if find_spec("numba") is None:
        pytest.skip("compiled steps need the extra numba")
    by_formulas, compiled = fitted("formulas"), fitted("compiled")
    np.testing.assert_allclose(parameters(compiled), parameters(by_formulas), rtol=1e-8, atol=1e-11)
    for name in ("loss", "penalty"):
        assert compiled.history[name] == pytest.approx(by_formulas.history[name], rel=1e-10)


def test_a_layers_own_regularizer_takes_the_place_of_the_networks():
    own, common = L1(0.5), L2(0.1)
    net = network(common, {"regularizer": own, "bias_regularizer": L2(0.3)})
    found = {(layer.layer_name(), name): each.l1 for layer, name, each in net.parameters.penalties}
    assert [(name, each) for _, name, each in net.parameters.penalties] == [
        ("weights", own),
        ("biases", net.layers[0].bias_regularizer),
        ("weights", common),
    ]
    assert found


def test_l1_makes_weights_zero_that_are_not_needed():
    X, y = samples(400)
    net = network(layer={"regularizer": "l1"}, optimizer=Adam(0.01), epochs=40, batch_size=32)
    net.layers[0].regularizer.l1 = 0.01
    net.fit((X, y))
    sizes = np.abs(net.layers[0].weights).max(axis=1)
    assert sizes[:2].min() > 20 * sizes[2:].max()  # the label is of the first two features


def test_decoupled_decay_is_something_else():
    X, y = samples()
    adam = network(L2(0.05), optimizer=Adam(0.01)).fit((X, y))
    adamw = network(optimizer=AdamW(0.01, weight_decay=0.1)).fit((X, y))
    assert not np.allclose(parameters(adam), parameters(adamw), rtol=1e-2)
    sgd = network(L2(0.05), optimizer=SGD(0.1, momentum=0.0), epochs=1, batch_size=96).fit((X, y))
    plain = network(optimizer=SGD(0.1, momentum=0.0), epochs=1, batch_size=96)
    before = np.array(plain.layers[0].weights)
    plain.fit((X, y))
    # Without momentum it is to make weights smaller by 2 λ α, beside the step.
    expected = plain.layers[0].weights - 0.1 * 2 * 0.05 * before
    np.testing.assert_allclose(sgd.layers[0].weights, expected, rtol=1e-9)


def compare(make, request, monkeypatch, kernels):
    X, y = samples()
    monkeypatch.setenv("XPNET_STEPS", "formulas")
    expected = make().fit((X, y))
    if kernels == "compiled":
        monkeypatch.setenv("XPNET_STEPS", "compiled")
    else:
        monkeypatch.setenv("XPNET_STEPS", "captured")
        request.getfixturevalue("emulated")
    found = make().fit((X, y))
    assert found.last_plan.compiled > 0
    np.testing.assert_allclose(parameters(found), parameters(expected), rtol=1e-9, atol=1e-12)
    assert found.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-9)
    assert found.history["penalty"] == pytest.approx(expected.history["penalty"], rel=1e-9)


@pytest.mark.parametrize("kernels", ["compiled", "cuda"])
@pytest.mark.parametrize("regularizer", [L1(0.01), L2(0.02), L1L2(0.01, 0.02)])
def test_compiled_and_captured_steps_have_it_too(kernels, regularizer, request, monkeypatch):
    if kernels == "compiled" and find_spec("numba") is None:
        pytest.skip("compiled steps need the extra numba")

    def make():
        clip = {"clip_norm": 1.0} if kernels == "cuda" else {}
        return network(
            regularizer,
            {"bias_regularizer": L1L2(0.003, 0.004)},
            optimizer=SGD(0.1, momentum=0.9, **clip),
        )

    compare(make, request, monkeypatch, kernels)


@pytest.mark.parametrize("kernels", ["formulas", "compiled", "cuda"])
def test_batches_with_a_weight_of_0_have_no_shared_penalty(kernels, request, monkeypatch):
    if kernels == "compiled":
        pytest.importorskip("numba")
    if kernels == "cuda":
        request.getfixturevalue("emulated")
    else:
        monkeypatch.setenv("XPNET_STEPS", kernels)
    X, y = samples()
    weight = np.ones(len(X))
    weight[16:64] = 0.0  # three of the six batches
    # With this low rate, the weights and their penalty stay the same.
    tiny = {"optimizer": SGD(1e-30), "batch_size": 16, "epochs": 3, "shuffle": False}
    net = network(L2(0.3, per_sample=True), **tiny)
    cost = float(net.parameters.penalties.total(shared=True))
    net.fit((X, y, weight))
    assert net.history["penalty"] == pytest.approx([3 * cost / 48] * 3, rel=1e-6)


@pytest.mark.skipif(find_spec("numba") is None, reason="compiled steps need the extra numba")
def test_what_kernels_do_not_know_is_trained_by_formulas(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    with pytest.raises(ValueError, match="the regularizer Quartic of weights"):
        network(Quartic()).fit(samples())
    with pytest.raises(ValueError, match="max_norm"):
        network(layer={"max_norm": 1.0}).fit(samples())
    monkeypatch.setenv("XPNET_STEPS", "auto")
    assert network(Quartic()).fit(samples()).history["penalty"][-1] > 0


def test_max_norm_bounds_each_units_weights(backend):
    X, y = samples()
    data = backend.asarray(X, backend.dtype), backend.asarray(y)
    net = network(layer={"max_norm": 0.7}, dtype=backend.dtype, optimizer=SGD(0.5, momentum=0.9))
    free = network(dtype=backend.dtype, optimizer=SGD(0.5, momentum=0.9)).fit(data)
    lengths = np.linalg.norm(to_host(net.fit(data).layers[0].weights), axis=0)
    assert lengths.max() <= 0.7 * (1 + 1e-6)
    assert np.linalg.norm(to_host(free.layers[0].weights), axis=0).max() > 0.7
    assert (lengths > 0.69).any()


def test_regularizers_are_saved_with_the_network(tmp_path):
    layer = {"regularizer": L1(0.02), "bias_regularizer": "l2", "max_norm": 2.0}
    net = network(L1L2(0.1, 0.2), layer)
    net.fit(samples(), epochs=1).save(tmp_path / "net")
    again = load(tmp_path / "net")
    assert (again.regularizer.l1, again.regularizer.l2) == (0.1, 0.2)
    first = again.layers[0]
    assert isinstance(first.regularizer, L1)
    assert (first.regularizer.factor, first.bias_regularizer.factor) == (0.02, 0.01)
    assert first.max_norm == 2.0
    np.testing.assert_array_equal(parameters(net), parameters(again))
    retained = [to_host(each.optimizer.retained_gradient) for each in (net, again)]
    np.testing.assert_array_equal(*retained)
    for each in (net, again):
        each.fit(samples(), epochs=2)
    assert net.history["loss"] == again.history["loss"]
    np.testing.assert_array_equal(parameters(net), parameters(again))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_names_stand_for_regularizers(name):
    assert type(find_regularizer(name)) is REGULARIZERS[name]


@pytest.mark.parametrize("bad", [-0.1, float("nan"), "much"])
def test_a_factor_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="factor="):
        L2(bad)
    with pytest.raises(ValueError, match="max_norm="):
        DenseLayer(3, max_norm=bad if bad != -0.1 else 0.0)
