"""Captured training steps: the list of kernels, run on the CPU, does what the formulas do."""

import shutil

import numpy as np
import pytest

from xpnet import (
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
    LeakyReLUActivation,
    LinearActivation,
    LogSoftmaxActivation,
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
from xpnet._placing import place
from xpnet._preparing import prepare_targets
from xpnet.backends import UnknownNameError
from xpnet.captured import capture_step, why_not

from .cuda.machine import EmulatedMachine

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

N, K, BATCH = 75, 13, 16  # the last batch is short


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


def orders(epochs=3):
    rng = np.random.default_rng(5)
    return [rng.permutation(N) for _ in range(epochs)]


def by_formulas(net, X, y, weight):
    """Train as the trainer does, step by step; return losses, weights and outputs."""
    data = Dataset(X, y) if weight is None else Dataset(X, y, sample_weight=weight)
    arrays = place(data, net.backend, y)
    losses, weights, outputs = [], [], []
    for order in orders():
        for batch in arrays.batches(BATCH, order):
            output = net.forward_propagation(batch.X, training=True)
            arguments = (batch.y, output)
            if batch.sample_weight is not None:
                arguments += (batch.sample_weight,)
            loss, error = net.loss.loss_and_derivative(*arguments)
            losses.append(float(loss))
            weights.append(float(net.loss.total_weight(*arguments)))
            outputs.append(np.array(output))
            net.backward_propagation(error)
    return np.array(losses), np.array(weights), np.concatenate(outputs)


def by_kernels(net, X, y, weight=None, capture=True):
    """Train by the list of kernels."""
    assert why_not(net, X, y) is None
    losses, weights, outputs = [], [], []
    machine = EmulatedMachine(net.backend.dtype)
    with capture_step(net, X, y, weight, BATCH, machine, keep_outputs=N, capture=capture) as step:
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
        monkeypatch.setattr("xpnet.captured._buffers.DENSE_BYTES", 0)
    X = sparse.csr_array(data[0] * (rng.random(data[0].shape) < density))
    assert_same(lambda: network(classifier(), optimizer="rmsprop"), X, data[1])


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
            net.sample_order = lambda n, epoch: order
            return net.fit((X, y)).parameters.copy()
        machine = EmulatedMachine("float64")
        with capture_step(net, X, y, None, 1024, machine) as step:
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
    with capture_step(net, X, y, None, BATCH, machine, **more) as step:
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
    assert counts["write"] == 1  # the order of the samples, once for any number of steps


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([DenseLayer(5, (K,)), SoftmaxActivation()], "SoftmaxActivation"),
        ([BatchNormalization(input_shape=(K,)), DenseLayer(5)], "BatchNormalization as layer 1"),
        (
            [DenseLayer(5, (K,)), ReLUActivation(), BatchNormalization()],
            "BatchNormalization behind",
        ),
    ],
)
def test_what_there_is_no_captured_step_for(layers, reason, data):
    loss = "mse" if isinstance(layers[-1], SoftmaxActivation) else "softmax_cross_entropy"
    net = network(layers, loss=loss)
    assert reason in why_not(net, *data)
    assert capture_step(net, *data, None, BATCH, EmulatedMachine("float64")) is None


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
    with capture_step(scaled, X, y, None, BATCH, machine) as step:
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


@pytest.fixture
def emulated(monkeypatch):
    """NumPy's backend as if it were CUDA's; gives the machines that it made."""
    from xpnet.backends._numpy import NumpyBackend

    machines = []

    def machine(self, precision):
        machines.append(EmulatedMachine(self.dtype, precision))
        return machines[-1]

    monkeypatch.setattr(NumpyBackend, "has_kernels", True)
    monkeypatch.setattr(NumpyBackend, "machine", machine)
    monkeypatch.setattr(NumpyBackend, "lazy", True)
    return machines


def fitted(data, layers=None, **arguments):
    arguments = {"epochs": 3, "optimizer": "adam", "metric": "accuracy"} | arguments
    net = network(layers or classifier(), **arguments)
    return net.fit(data, validation=(data[0][:30], data[1][:30]))


def assert_same_training(data, used, layers=None, **arguments):
    with pytest.MonkeyPatch.context() as patch:
        from xpnet.backends._numpy import NumpyBackend

        patch.setattr(NumpyBackend, "has_kernels", False)
        patch.setattr(NumpyBackend, "lazy", False)
        patch.setattr("xpnet.config.kernels", "numpy")
        expected = fitted(data, layers and layers(), **arguments)
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
    monkeypatch.setattr("xpnet.memory.CHUNK_BYTES", 2 * BATCH * K * 8)
    np.save(tmp_path / "x.npy", data[0])
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = assert_same_training((stored, data[1], *more), emulated)
    assert net.last_plan.chunk == 2 * BATCH


def test_ten_captured_epochs_are_four_and_six(data, emulated):
    once = fitted(data, epochs=10)
    twice = fitted(data, epochs=4)
    twice.fit(data, validation=(data[0][:30], data[1][:30]), epochs=6)
    np.testing.assert_array_equal(once.parameters.copy(), twice.parameters.copy())


def test_a_captured_training_that_diverges_is_undone(data, emulated):
    net = network(classifier(), optimizer=SGD(1e30), epochs=2)
    before = net.parameters.copy()
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="epoch 1, step"):
        net.fit(data)
    np.testing.assert_array_equal(net.parameters.copy(), before)
    assert net.history.epochs == 0


def test_settings_that_change_between_epochs_are_captured_anew(data, emulated):
    def trained():
        net = network(classifier(), optimizer=SGD(0.05, momentum=0.9), epochs=4)
        observe = net.optimizer.schedule.observe

        def change(loss):
            net.optimizer.momentum *= 0.5
            observe(loss)

        net.optimizer.schedule.observe = change
        return net.fit(data).parameters.copy()

    found = trained()
    assert len(emulated) == 1
    with pytest.MonkeyPatch.context() as patch:
        from xpnet.backends._numpy import NumpyBackend

        patch.setattr(NumpyBackend, "has_kernels", False)
        patch.setattr("xpnet.config.kernels", "numpy")
        np.testing.assert_allclose(found, trained(), rtol=1e-9)


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
    np.testing.assert_array_equal(fitted(data, capture=False).parameters.copy(), expected)
    with pytest.raises(RuntimeError, match="is capturing"):
        fitted(data, capture=True)


def test_what_has_no_captured_step_is_trained_by_formulas_unless_it_must_be_captured(
    data, emulated
):
    def layers():
        return [DenseLayer(5, (K,)), SoftmaxActivation()]

    arguments = {"loss": "categorical_cross_entropy", "metric": None}
    net = fitted(data, layers(), **arguments)
    assert not emulated
    assert net.history.epochs == 3
    with pytest.raises(ValueError, match=r"capture=True, and .*CategoricalCrossEntropy"):
        fitted(data, layers(), capture=True, **arguments)
    with pytest.raises(ValueError, match=r"precision='tf32' .*CategoricalCrossEntropy"):
        fitted(data, layers(), precision="tf32", dtype="float32", **arguments)


def test_precision_is_for_cuda(data):
    with pytest.raises(ValueError, match="precision='tf32' is for products on CUDA"):
        network(classifier(), dtype="float32", precision="tf32").fit(data)
    with pytest.raises(ValueError, match="precision='tf32' is for dtype='float32'"):
        network(classifier(), precision="tf32")
    with pytest.raises(UnknownNameError, match="float8"):
        network(classifier(), precision="float8")
    with pytest.raises(ValueError, match="capture='no'"):
        network(classifier(), capture="no")


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
    with capture_step(net, X, y, None, BATCH, machine) as step:
        step.load()
        step.run(np.arange(BATCH))
        step.store()
        np.testing.assert_array_equal(net.parameters.copy(), before)
        assert (net.optimizer.n_updates, step._scale) == (0, 2.0**15)


def test_the_scale_of_the_loss_grows_over_epochs(data):
    X, y = data
    net, machine = network(classifier(), optimizer=SGD(0.001)), EmulatedMachine("float64")
    machine.scales_loss = True
    with capture_step(net, X, y, None, BATCH, machine) as step:
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
