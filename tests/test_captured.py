"""Captured training steps: the list of kernels, run on the CPU, does what the formulas do."""

import copy
import re
import shutil
import warnings

import numpy as np
import pytest

from tests.parts import MORE_ACTIVATIONS, MORE_LOSSES
from tests.training import BATCH, N, by_formulas, in_halves, orders
from xpnet import (
    L1L2,
    L2,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BatchNormalization,
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    DivergedError,
    Dropout,
    Embedding,
    GaussianNoise,
    LeakyReLUActivation,
    LinearActivation,
    LogSoftmaxActivation,
    MeanSquaredError,
    NegativeLogLikelihood,
    NeuralNetwork,
    Normalization,
    ReLU6Activation,
    ReLUActivation,
    RMSProp,
    SigmoidActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import UnknownNameError
from xpnet.training.checks import prepare_targets
from xpnet.training.errors import UnsupportedError
from xpnet.training.steps.captured import CapturedTraining
from xpnet.training.steps.captured.placement import Placement

from .cuda.machine import EmulatedMachine
from .steps import why_not_captured

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

K = 13


def network(layers, loss="softmax_cross_entropy", optimizer="sgd", dtype="float64", **options):
    net = NeuralNetwork(
        batch_size=BATCH, loss=loss, optimizer=optimizer, dtype=dtype, seed=4, **options
    )
    for layer in layers:
        net.add(layer)
    return net


def classifier(activation=ReLUActivation, n_outputs=5, extra=(), end=()):
    yield DenseLayer(37, (K,))
    for make in extra:
        yield make()
    yield activation()
    yield DenseLayer(34)
    yield activation()
    yield DenseLayer(n_outputs)
    for make in end:
        yield make()


@pytest.fixture
def data(rng):
    X = rng.standard_normal((N, K))
    return X, rng.integers(0, 5, N)


def by_kernels(net, X, y, weight=None, capture=True):
    """Train by the list of kernels."""
    assert why_not_captured(net, X, y) is None
    losses, weights, outputs = [], [], []
    machine = EmulatedMachine(net.backend.dtype)
    with CapturedTraining(
        net, X, y, weight, BATCH, machine, keep_outputs=N, capture=capture
    ) as step:
        for order in orders():
            step.load()
            for start in range(0, N, 2 * BATCH):  # some steps at a time, as the trainer does
                found = step.run(order[start : start + 2 * BATCH])
                for held, new in zip((losses, weights), found, strict=True):
                    held.extend(new)
            outputs.append(step.outputs[:N].copy())
            step.store()
    return np.array(losses), np.array(weights), np.concatenate(outputs)


def state_of(net):
    """All that training changes."""
    optimizer = net.optimizer
    states = [getattr(layer, name) for layer in net.layers for name in layer.state_names]
    return [
        net.parameters.copy(),
        *(getattr(optimizer, name) for name in optimizer.state_names),
        *map(np.asarray, states),
    ]


def assert_same(make, X, y, weight=None, tolerance=None):
    reference, net = make(), make()
    targets = prepare_targets(y, net.loss, net.layers[-1].output_shape()[0])
    expected = by_formulas(reference, X, targets, weight)
    found = by_kernels(net, X, targets, weight)
    # Of float32, the sums in another order differ; rounding grows from step to step.
    tolerance = tolerance or (1e-9 if net.backend.dtype == "float64" else 5e-5)
    for a, b in zip([*found, *state_of(net)], [*expected, *state_of(reference)], strict=True):
        scale = max(np.max(np.abs(b)), 1e-300)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)
    assert net.optimizer.n_updates == reference.optimizer.n_updates


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "activation",
    [
        ReLUActivation,
        lambda: LeakyReLUActivation(0.1),
        ReLU6Activation,
        lambda: SigmoidActivation(1.5),
        TanhActivation,
        LinearActivation,
    ],
)
def test_activations(data, activation, dtype):
    assert_same(lambda: network(classifier(activation), dtype=dtype), *data)


@pytest.mark.parametrize(
    "activation", [ReLUActivation, SigmoidActivation, TanhActivation, LinearActivation]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_dropout(data, activation, dtype):
    def layers():
        yield DenseLayer(37, (K,))
        yield activation()
        yield Dropout(0.3)
        yield DenseLayer(34)
        yield Dropout(0.0)
        yield activation()
        yield Dropout(0.6)
        yield DenseLayer(5)

    assert_same(lambda: network(layers(), dtype=dtype), *data)


@pytest.mark.parametrize("activation", [ReLUActivation, SigmoidActivation, LinearActivation])
@pytest.mark.parametrize("dropout", [False, True])
def test_batch_normalization(data, activation, dropout):
    extra = [BatchNormalization]

    def layers():
        yield DenseLayer(37, (K,))
        yield BatchNormalization()
        yield activation()
        if dropout:
            yield Dropout(0.3)
        yield DenseLayer(5)

    assert extra
    assert_same(lambda: network(layers()), *data)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: SGD(0.05, momentum=0.0),
        lambda: SGD(0.05, momentum=0.9, dampening=0.3),
        lambda: SGD(0.05, momentum=0.9, nesterov=True),
        lambda: RMSProp(0.003, rho=0.8),
        lambda: Adam(0.01, beta_1=0.8, epsilon=1e-4),
        lambda: AdamW(0.01, weight_decay=0.1),
        lambda: Adam(0.01, beta_2=0.9, epsilon=0.01, corrects_epsilon=False),
        lambda: AdamW(0.01, epsilon=0.01, weight_decay=0.1, corrects_epsilon=False),
        lambda: Adagrad(0.02),
        lambda: SGD(0.5, clip_norm=0.1),
        lambda: SGD(0.5, clip_norm=1e9),
        lambda: Adam(0.01, epsilon=1e-4, clip_value=0.01, clip_norm=0.05),
    ],
)
def test_optimizers(data, optimizer, dtype):
    assert_same(
        lambda: network(classifier(TanhActivation), optimizer=optimizer(), dtype=dtype), *data
    )


def rows(y):
    return np.random.default_rng(1).dirichlet(np.ones(5), len(y))


def yes_or_no(y):
    return np.random.default_rng(1).integers(0, 2, (len(y), 5)).astype(float)


LOSSES = {
    "classes": (lambda: "softmax_cross_entropy", (), lambda y: y),
    "rows": (lambda: "softmax_cross_entropy", (), rows),
    "values": (lambda: "mse", (), rows),
    "logits": (lambda: BinaryCrossEntropy(from_logits=True), (), yes_or_no),
    "probabilities": (lambda: "binary_cross_entropy", (SigmoidActivation,), yes_or_no),
    "nll": (lambda: "nll", (LogSoftmaxActivation,), lambda y: y),
    "weighted classes": (
        lambda: NegativeLogLikelihood([0.1, 1.0, 2.0, 0.0, 3.0], ignore_index=1),
        (LogSoftmaxActivation,),
        lambda y: y,
    ),
    "smoothed": (
        lambda: SoftmaxCrossEntropy(label_smoothing=0.2),
        (),
        lambda y: y,
    ),
    "smoothed, weighted, ignoring": (
        lambda: SoftmaxCrossEntropy([0.1, 1.0, 2.0, 0.0, 3.0], 1, 0.2),
        (),
        lambda y: y,
    ),
    "classes, at most": (lambda: SoftmaxCrossEntropy(max_reported=1.6), (), lambda y: y),
    "rows, at most": (lambda: SoftmaxCrossEntropy(max_reported=1.6), (), rows),
    "smoothed, ignoring, at most": (
        lambda: SoftmaxCrossEntropy(ignore_index=1, label_smoothing=0.2, max_reported=1.6),
        (),
        lambda y: y,
    ),
    "values, a factor": (lambda: MeanSquaredError(2.5), (), rows),
    "logits, a factor, at most": (lambda: BinaryCrossEntropy(True, 5.0, 0.7), (), yes_or_no),
    "probabilities, a factor": (
        lambda: BinaryCrossEntropy(factor=5.0),
        (SigmoidActivation,),
        yes_or_no,
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LOSSES)
def test_losses(data, case, dtype, weighted, rng):
    loss, end, targets = LOSSES[case]
    X, y = data
    weight = rng.uniform(0, 2, N) if weighted else None

    def make():
        return network(classifier(TanhActivation, end=end), loss=loss(), dtype=dtype)

    assert_same(make, X, targets(y), weight)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", MORE_LOSSES)
def test_more_losses(data, case, dtype, rng):
    loss, targets = MORE_LOSSES[case]

    def make():
        return network(classifier(TanhActivation), loss=loss(), dtype=dtype)

    assert_same(make, data[0], targets(data[1]), rng.uniform(0, 2, N))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", MORE_ACTIVATIONS)
def test_more_activations(data, activation, dtype):
    assert_same(lambda: network(classifier(activation), dtype=dtype), *data)


@pytest.mark.parametrize("case", [name for name in LOSSES if "at most" in name])
def test_the_most_of_a_loss_is_reported_and_changes_nothing_else(data, case):
    loss, _, targets = LOSSES[case]
    X, y = data
    y = prepare_targets(targets(y), loss(), 5)

    def trained(most):
        net = network(classifier(TanhActivation), loss=loss())
        net.loss.max_reported = most
        losses, *_ = by_kernels(net, X, y)
        return losses, net.parameters.copy()

    (low, first), (high, second) = trained(loss().max_reported), trained(np.inf)
    assert (low < high).any()
    np.testing.assert_array_equal(first, second)


def costly(regularizer, loss="softmax_cross_entropy", **options):
    """Return a network whose samples share what its weights and the first biases cost."""
    layers = list(classifier(TanhActivation))
    layers[0] = DenseLayer(37, (K,), bias_regularizer=L1L2(0.2, 0.1, per_sample=True))
    layers[2] = DenseLayer(34, bias_regularizer=L2(0.01))  # which is no sample's
    return network(layers, loss, regularizer=regularizer, **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weights", ["equal", "samples'", "classes'", "both"])
@pytest.mark.parametrize(
    "regularizer", [L2(0.3, per_sample=True), L1L2(0.2, 0.3, per_sample=True)], ids=["l2", "both"]
)
def test_what_samples_share(data, regularizer, weights, dtype, rng):
    weight = None
    if weights in ("samples'", "both"):
        weight = rng.uniform(0, 2, N)
        weight[orders()[0][:BATCH]] = 0.0  # a batch that weighs nothing, and pays nothing

    def make():
        several = [0.1, 1.0, 2.0, 0.0, 3.0] if weights in ("classes'", "both") else None
        return costly(regularizer, SoftmaxCrossEntropy(several), dtype=dtype)

    assert_same(make, *data, weight)


def test_one_output(data, rng):
    y = rng.standard_normal((N, 1))
    assert_same(lambda: network(classifier(n_outputs=1), loss="mse"), data[0], y)


@pytest.mark.parametrize("kind", ["uint8", "bool", "int16", "uint64", "float32", "float64"])
@pytest.mark.parametrize("standardized", [False, True])
def test_features_of_other_types(data, kind, standardized):
    X = (np.abs(data[0]) * 2).astype(kind)

    def layers():
        if standardized:
            yield Normalization.adapt(X.astype("float64"))
        yield DenseLayer(50, (K,))

    assert_same(lambda: network(layers()), X, data[1])


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_sparse_features(data, density, dense, rng, monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")
    if not dense:
        monkeypatch.setattr("xpnet.training.steps.captured.buffers.DENSE_BYTES", 0)
    X = sparse.csr_array(data[0] * (rng.random(data[0].shape) < density))
    assert_same(lambda: network(classifier(), optimizer="rmsprop"), X, data[1])


@pytest.mark.parametrize("dense", [True, False])
def test_sparse_features_with_several_entries_for_one_place(data, dense, monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")
    if not dense:
        monkeypatch.setattr("xpnet.training.steps.captured.buffers.DENSE_BYTES", 0)
    X = Dataset(in_halves(sparse.csr_array(data[0]))).X
    reference, net = (network(classifier(), optimizer="rmsprop") for _ in range(2))
    expected = by_formulas(reference, data[0], data[1])
    for a, b in zip(by_kernels(net, X, data[1]), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_large_batches_are_summed_in_parts(rng):
    X, y = rng.standard_normal((1100, 6)), rng.integers(0, 3, 1100)

    def trained(by):
        net = NeuralNetwork(
            batch_size=1024, loss="softmax_cross_entropy", dtype="float64", seed=1, epochs=1
        )
        net.add(DenseLayer(40, (6,))).add(TanhActivation()).add(DenseLayer(3))
        order = np.random.default_rng(0).permutation(1100)
        if by == "formulas":
            net.shuffle = True
            net.orders.samples = lambda n, epoch: order
            return net.fit((X, y)).parameters.copy()
        machine = EmulatedMachine("float64")
        with CapturedTraining(net, X, y, None, 1024, machine) as step:
            step.load()
            step.run(order)
            step.store()
        return net.parameters.copy()

    np.testing.assert_allclose(trained("kernels"), trained("formulas"), rtol=1e-9, atol=1e-12)


def test_captured_or_not_is_the_same(data):
    results = []
    for capture in (True, False):
        net = network(classifier(), optimizer="adam", dtype="float32")
        results.append([*by_kernels(net, *data, capture=capture), *state_of(net)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def launches(net, X, y, **more):
    """Return how many kernels and products a whole step is."""
    machine = EmulatedMachine(net.backend.dtype)
    with CapturedTraining(net, X, y, None, BATCH, machine, **more) as step:
        step.load()
        step.run(np.arange(2 * BATCH))
        machine.counts.clear()
        step.run(np.arange(BATCH))
        return dict(machine.counts)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([DenseLayer(5, (K,))], 9),
        (list(classifier()), 9 + 5 + 5),
        ([DenseLayer(37, (K,)), TanhActivation(), Dropout(0.5), DenseLayer(5)], 9 + 5 + 1),
        (
            [DenseLayer(37, (K,)), BatchNormalization(), ReLUActivation(), DenseLayer(5)],
            9 + 5 + 1 + 2,
        ),
    ],
    ids=["one", "three", "dropout", "batch norm"],
)
def test_a_step_is_so_many_launches_and_nothing_else(data, layers, expected):
    counts = launches(network(layers), *data)
    n_dense = sum(isinstance(layer, DenseLayer) for layer in layers)
    assert counts["kernel"] + counts["product"] == expected <= 6 * n_dense + 6
    assert counts.get("zeros", 0) == counts.get("read", 0) == counts.get("copy", 0) == 0
    assert counts["write"] == 2  # the order of the samples and the rates, for any number of steps


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([DenseLayer(5, (K,)), SoftmaxActivation()], "SoftmaxActivation"),
        ([DenseLayer(5, (K,)), GaussianNoise(0.1)], "GaussianNoise as layer 2"),
        ([DenseLayer(5, (K,)), Embedding(3, 2), DenseLayer(5)], "Embedding as layer 2"),
    ],
)
def test_networks_that_captured_steps_do_not_support(layers, reason, data):
    loss = "mse" if isinstance(layers[-1], SoftmaxActivation) else "softmax_cross_entropy"
    net = network(layers, loss=loss)
    assert reason in why_not_captured(net, *data)
    with pytest.raises(UnsupportedError, match=re.escape(reason)):
        CapturedTraining(net, *data, None, BATCH, EmulatedMachine("float64"))


def test_arrays_that_lie_otherwise_in_memory_are_taken_as_they_are(data, rng):
    X, y = data
    targets = rng.random((N, 10))[:, ::2]
    weight = rng.uniform(0.1, 2, 2 * N)[::2]
    assert_same(lambda: network(classifier(), loss="mse"), np.asfortranarray(X), targets, weight)
    assert_same(lambda: network(classifier()), np.hstack([X, X])[:, :K], y)


# ---- scaled losses, for products of float16


def test_a_scaled_loss_makes_the_same_step_and_a_gradient_that_overflows_none(data):
    X, y = data
    plain, scaled = (network(classifier(), optimizer=SGD(0.1, momentum=0.9)) for _ in range(2))
    by_kernels(plain, X, y)
    machine = EmulatedMachine("float64")
    machine.scales_loss = True
    with CapturedTraining(scaled, X, y, None, BATCH, machine) as step:
        for order in orders():
            step.load()
            step.run(order)
            step.store()
        np.testing.assert_allclose(scaled.parameters.copy(), plain.parameters.copy(), rtol=1e-9)
        before = scaled.parameters.copy()
        n_updates, scale = scaled.optimizer.n_updates, step._scale
        step.load()
        machine.spoil = True  # the next products overflow, as those of float16 may
        step.run(np.arange(BATCH))
        machine.spoil = False
        step.store()
        np.testing.assert_array_equal(scaled.parameters.copy(), before)
        assert scaled.optimizer.n_updates == n_updates
        assert step._scale == scale / 2
        assert step._good == 0
        step.load()
        step.run(np.arange(BATCH))
        step.store()
        assert scaled.optimizer.n_updates == n_updates + 1
        assert not np.array_equal(scaled.parameters.copy(), before)


# ---- the whole way, with a machine on the CPU in the place of a GPU's


def fitted(data, layers=None, **arguments):
    arguments = {"epochs": 3, "optimizer": "adam", "metric": "accuracy"} | arguments
    net = network(layers or classifier(), **arguments)
    return net.fit(data, validation=(data[0][:30], data[1][:30]))


def by_formulas_alone(train):
    """Return what a training returns that no kernel has a part in."""
    with pytest.MonkeyPatch.context() as patch:
        from xpnet.backends._numpy import NumpyBackend

        patch.setattr(NumpyBackend, "has_kernels", False)
        patch.setattr(NumpyBackend, "lazy", False)
        patch.setenv("XPNET_STEPS", "formulas")
        return train()


def assert_same_training(data, used, layers=None, **arguments):
    expected = by_formulas_alone(lambda: fitted(data, layers and layers(), **arguments))
    net = fitted(data, layers and layers(), **arguments)
    assert len(used) == 1
    np.testing.assert_allclose(
        net.parameters.copy(), expected.parameters.copy(), rtol=1e-8, atol=1e-11
    )
    for name in net.history.keys() - {"seconds", "learning_rate", "epoch"}:
        assert net.history[name] == pytest.approx(expected.history[name], rel=1e-8)
    assert net.optimizer.n_updates == expected.optimizer.n_updates
    np.testing.assert_allclose(net.predict(data[0]), expected.predict(data[0]), rtol=1e-7)
    return net


@pytest.mark.parametrize("metric", ["accuracy", "f1", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_captures_and_is_the_same_training(data, emulated, metric, weighted, rng):
    more = (rng.uniform(0.1, 2, N),) if weighted else ()
    net = assert_same_training((*data, *more), emulated, metric=metric)
    assert net.last_plan.compiled > 0


def test_fit_captures_networks_with_norms_and_dropout(data, emulated):
    def layers():
        yield DenseLayer(20, (K,))
        yield BatchNormalization()
        yield TanhActivation()
        yield Dropout(0.3)
        yield DenseLayer(5)

    # Not Adam: biases before a normalization have gradients of rounding alone, which it enlarges.
    assert_same_training(data, emulated, layers, optimizer="sgd")


@pytest.mark.parametrize("weighted", [False, True])
def test_fit_captures_on_a_stream(data, emulated, weighted, tmp_path, monkeypatch, rng):
    more = (rng.uniform(0.1, 2, N),) if weighted else ()
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 2 * BATCH * K * 8)
    np.save(tmp_path / "x.npy", data[0])
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = assert_same_training((stored, data[1], *more), emulated, memory_limit=1 << 40)
    assert net.last_plan.chunk == 2 * BATCH


def test_ten_captured_epochs_are_four_and_six(data, emulated):
    once = fitted(data, epochs=10)
    twice = fitted(data, epochs=4)
    twice.fit(data, validation=(data[0][:30], data[1][:30]), epochs=6)
    np.testing.assert_array_equal(once.parameters.copy(), twice.parameters.copy())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_fit_reports_what_samples_shared_by_the_last_weights(
    data, emulated, weighted, stream, tmp_path, monkeypatch, rng
):
    X, more = data[0], (rng.uniform(0.1, 2, N),) if weighted else ()
    if stream:
        monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 2 * BATCH * K * 8)
        np.save(tmp_path / "x.npy", X)
        X = np.load(tmp_path / "x.npy", mmap_mode="r")
    n_steps, total = -(-N // BATCH), more[0].sum() if more else N
    ends = []

    def trained():
        net = costly(L2(0.3, per_sample=True), optimizer=SGD(0.01), epochs=3)
        net.memory_limit = 1 << 40  # a file is streamed, where there is a limit
        observe = net.optimizer.schedule.observe

        def note(loss):
            ends.append([float(net.parameters.penalties.total(shared)) for shared in (True, False)])
            observe(loss)

        net.optimizer.schedule.observe = note
        return net.fit((X, data[1], *more))

    net = trained()
    assert emulated[0].counts["read"] == 3  # once at the end of each epoch
    paid = [n_steps * shared / total + own for shared, own in ends]
    assert net.history["penalty"] == pytest.approx(paid, rel=1e-9)
    expected = by_formulas_alone(trained)
    np.testing.assert_allclose(net.parameters.copy(), expected.parameters.copy(), rtol=1e-9)
    # The weights change little at each step, and so does what they cost.
    assert net.history["penalty"] == pytest.approx(expected.history["penalty"], rel=0.1)
    bare, wanted = (
        np.subtract(each.history["loss"], each.history["penalty"]) for each in (net, expected)
    )
    np.testing.assert_allclose(bare, wanted, rtol=1e-9)


def test_a_captured_training_that_diverges_is_undone(data, emulated):
    net = network(classifier(), optimizer=SGD(1e30), epochs=2)
    before = net.parameters.copy()
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="epoch 1, step"):
        net.fit(data)
    np.testing.assert_array_equal(net.parameters.copy(), before)
    assert net.history.epochs == 0


def _momentum(net):
    net.optimizer.momentum *= 0.5


def _corrects_epsilon(net):
    net.optimizer.corrects_epsilon ^= True


def _factor(net):
    net.loss.factor *= 2.0


def _most(net):
    net.loss.max_reported = 1.7 if net.loss.max_reported > 1.7 else net.loss.max_reported - 0.1


def _per_sample(net):
    for _, _, regularizer in net.parameters.penalties:
        regularizer.per_sample ^= True


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (_momentum, {"optimizer": SGD(0.05, momentum=0.9)}),
        (_corrects_epsilon, {"optimizer": Adam(0.01, epsilon=0.1)}),
        (_factor, {"loss": MeanSquaredError()}),
        (_factor, {"loss": BinaryCrossEntropy(from_logits=True)}),
        (_most, {"loss": SoftmaxCrossEntropy()}),
        (_most, {"loss": BinaryCrossEntropy(from_logits=True)}),
        (_per_sample, {"regularizer": L2(0.05)}),
    ],
)
def test_settings_that_change_between_epochs_are_captured_anew(data, emulated, change, options):
    X, y = data
    if isinstance(options.get("loss"), MeanSquaredError | BinaryCrossEntropy):
        y = yes_or_no(y)

    def trained(changes=True):
        net = network(classifier(), **copy.deepcopy(options), epochs=4)
        observe = net.optimizer.schedule.observe

        def and_change(loss):
            if changes:
                change(net)
            observe(loss)

        net.optimizer.schedule.observe = and_change
        net.fit((X, y))
        losses = np.subtract(net.history["loss"], net.history.get("penalty", 0.0))
        return np.concatenate([net.parameters.copy(), losses])

    found, without = trained(), trained(changes=False)
    assert len(emulated) == 2
    assert not np.allclose(found, without, rtol=1e-3)
    np.testing.assert_allclose(found, by_formulas_alone(trained), rtol=1e-9, atol=1e-12)


def test_where_capturing_fails_kernels_are_launched_one_by_one_and_it_says_so_once(
    data, emulated, monkeypatch
):
    expected = fitted(data).parameters.copy()

    def refuse(self, calls):
        raise RuntimeError("the current stream is capturing")

    monkeypatch.setattr(EmulatedMachine, "record", refuse)
    with pytest.warns(RuntimeWarning, match="cannot be captured .*is capturing") as seen:
        net = fitted(data)
    assert len(seen) == 1
    np.testing.assert_array_equal(net.parameters.copy(), expected)
    with pytest.raises(RuntimeError, match="is capturing"):
        fitted(data, steps="captured")
    monkeypatch.setattr("xpnet.training.steps.captured.graphs.ONE_BY_ONE", True)
    np.testing.assert_array_equal(fitted(data).parameters.copy(), expected)


def test_what_has_no_captured_step_is_trained_by_formulas_unless_it_must_be_captured(
    data, emulated
):
    def layers():
        return [DenseLayer(5, (K,)), SoftmaxActivation()]

    arguments = {"loss": "categorical_cross_entropy", "metric": None}
    net = fitted(data, layers(), **arguments)
    assert not emulated
    assert net.history.epochs == 3
    with pytest.raises(ValueError, match=r"steps='captured', but .*CategoricalCrossEntropy"):
        fitted(data, layers(), steps="captured", **arguments)
    with pytest.raises(ValueError, match=r"precision='tf32' .*CategoricalCrossEntropy"):
        fitted(data, layers(), precision="tf32", dtype="float32", **arguments)


def test_precision_is_for_cuda(data):
    with pytest.raises(ValueError, match="precision='tf32' is for products on CUDA"):
        network(classifier(), dtype="float32", precision="tf32").fit(data)
    with pytest.raises(ValueError, match="precision='tf32' needs dtype='float32'"):
        network(classifier(), precision="tf32")
    with pytest.raises(UnknownNameError, match="float8"):
        network(classifier(), precision="float8")
    with pytest.raises(ValueError, match=r"steps 'capture'.*'captured'"):
        network(classifier(), steps="capture")


def test_float16_products_train_with_a_scaled_loss(data, emulated):
    X, y = data[0].astype("float32"), data[1]
    plain = fitted((X, y), dtype="float32")
    scaled = fitted((X, y), dtype="float32", precision="float16")
    assert [machine.scales_loss for machine in emulated] == [False, True]
    np.testing.assert_allclose(scaled.history["loss"], plain.history["loss"], rtol=1e-4)


@pytest.mark.parametrize("clip", [{"clip_value": 0.5}, {"clip_norm": 0.1}, {}])
def test_a_gradient_that_overflows_is_skipped_however_it_is_clipped(data, clip):
    X, y = data
    net, machine = network(classifier(), optimizer=SGD(0.1, **clip)), EmulatedMachine("float64")
    machine.scales_loss = machine.spoil = True
    before = net.parameters.copy()
    with CapturedTraining(net, X, y, None, BATCH, machine) as step:
        step.load()
        step.run(np.arange(BATCH))
        step.store()
        np.testing.assert_array_equal(net.parameters.copy(), before)
        assert (net.optimizer.n_updates, step._scale) == (0, 2.0**15)


def test_the_scale_of_the_loss_grows_over_epochs(data):
    X, y = data
    net, machine = network(classifier(), optimizer=SGD(0.001)), EmulatedMachine("float64")
    machine.scales_loss = True
    with CapturedTraining(net, X, y, None, BATCH, machine) as step:
        step._good = 1995
        for _ in range(2):  # of 5 steps each
            step.load()
            step.run(np.arange(N))
            step.store()
        assert (step._scale, step._good) == (2.0**17, 5)


def test_all_of_fit_is_on_the_networks_device(data, emulated, monkeypatch):
    from contextlib import contextmanager

    from xpnet.backends._numpy import NumpyBackend

    depth = []

    @contextmanager
    def active(self):
        depth.append(1)
        yield
        depth.pop()

    make, zeros = NumpyBackend.machine, EmulatedMachine.zeros

    def machine(self, precision):
        assert depth
        return make(self, precision)

    def inside(self, *arguments):
        assert depth
        return zeros(self, *arguments)

    net = network([DenseLayer(5, (K,))])
    monkeypatch.setattr(NumpyBackend, "active", active)
    monkeypatch.setattr(NumpyBackend, "machine", machine)
    monkeypatch.setattr(EmulatedMachine, "zeros", inside)
    monkeypatch.setattr(NumpyBackend, "asarray", _checked(NumpyBackend.asarray, depth))
    net.fit(data, epochs=1)
    assert not depth
    for X, _ in net.get_mini_batches(*data):
        assert not depth  # the caller's turn
        assert len(X)


def _checked(method, depth):
    def inside(self, *arguments, **more):
        assert depth
        return method(self, *arguments, **more)

    return inside


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("weighted", [False, True])
def test_estimators_train_by_captured_steps(data, emulated, kind, solver, weighted, rng):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from xpnet import estimators

    X, weight = data[0], rng.uniform(0.1, 2, N) if weighted else None
    y = data[1] if kind == "MLPClassifier" else X[:, 0]

    def fitted():
        est = getattr(estimators, kind)(
            hidden_layer_sizes=8,
            solver=solver,
            batch_size=BATCH,
            max_iter=3,
            alpha=0.1,
            random_state=0,
        )
        with warnings.catch_warnings(action="ignore"):  # of so few epochs
            est.fit(X, y, weight)
        return np.concatenate([each.ravel() for each in est.coefs_ + est.intercepts_])

    found = fitted()
    assert len(emulated) == 1
    np.testing.assert_allclose(found, by_formulas_alone(fitted), rtol=1e-8, atol=1e-11)


class Watched(EmulatedMachine):
    """A machine that notes of each destroyed graph whether it might still be running."""

    def __init__(self, dtype):
        super().__init__(dtype)
        self.running, self.destroyed = False, []

    def record(self, calls):
        launch, machine = super().record(calls), self

        class Graph:
            def __call__(self):
                machine.running = True
                launch()

            def __del__(self):
                machine.destroyed.append("running" if machine.running else "done")

        return Graph()

    def read(self, array):
        self.running = False
        return super().read(array)

    def synchronize(self):
        self.running = False


@pytest.mark.parametrize("stored", [True, False])
def test_graphs_are_destroyed_when_the_last_of_them_is_done(data, stored):
    X, y = data
    net = network(classifier(), optimizer=SGD(0.1, momentum=0.5))
    machine = Watched("float64")
    with CapturedTraining(net, X, y, None, BATCH, machine, capture=True) as step:
        step.load()
        step.run(np.arange(N))
        if stored:
            step.store()
        net.optimizer.momentum = 0.9  # launches have it in them
        step.load()
        assert machine.destroyed == ["done"] * 2
        step.run(np.arange(N))
    assert machine.destroyed == ["done"] * 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_parameters_are_at_multiples_of_16_bytes(dtype, optimizer, data):
    X, y = data
    net = network(classifier(extra=[BatchNormalization]), dtype=dtype, optimizer=optimizer)
    gaps = net.parameters.places
    assert any(place.start * np.dtype(dtype).itemsize % 16 for place in gaps.values())
    X = X.astype(dtype)
    with CapturedTraining(net, X, y, None, BATCH, EmulatedMachine(dtype)) as step:
        step.load()
        step.run(np.arange(N))
        buffers = step._buffers
        read = np.zeros(buffers.flat.size, bool)
        for (layer, name), place in gaps.items():
            for view in (buffers.parameter(layer, name), buffers.gradient_of(layer, name)):
                flat = view.base
                assert (view.ctypes.data - flat.ctypes.data) % 16 == 0
                assert view.size == place.stop - place.start
            read[buffers.placement[layer, name]] = True
        assert read.sum() == net.parameters.gather().size
        for flat in (buffers.flat, buffers.gradient, *buffers.states):
            assert not flat[~read].any()
        step.store()


def test_parameters_that_fit_are_copied_as_one():
    net = network([DenseLayer(8, (4,)), ReLUActivation(), DenseLayer(3)])
    placement = Placement(net.parameters.places, 4)
    size = net.parameters.gather().size
    assert (placement.size, placement.runs) == (size, [(slice(0, size), slice(0, size))])
