"""Training in compiled code: the same numbers as the definition, on any number of threads."""

import functools
import os
import re
import subprocess
import sys
import threading
import time
from importlib.util import find_spec

import numpy as np
import pytest

from tests.parts import MORE_ACTIVATIONS, MORE_LOSSES
from tests.training import BATCH, N, by_formulas, orders
from xpnet import (
    L1,
    L1L2,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    BatchNormalization,
    BinaryCrossEntropy,
    DenseLayer,
    Dropout,
    ExponentialActivation,
    KLDivergence,
    LeakyReLUActivation,
    LinearActivation,
    Lion,
    LogSoftmaxActivation,
    MeanSquaredError,
    NAdam,
    NegativeLogLikelihood,
    NeuralNetwork,
    Normalization,
    RAdam,
    ReLU6Activation,
    ReLUActivation,
    RMSProp,
    Rprop,
    SigmoidActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
    config,
)
from xpnet.activations import ACTIVATIONS, ActivationLayer
from xpnet.common.overrides import has_methods_of
from xpnet.losses import LOSSES as ALL_LOSSES
from xpnet.losses import ElementwiseLoss
from xpnet.training.checks import prepare_targets
from xpnet.training.errors import UnsupportedError
from xpnet.training.steps.compiled import CompiledTraining

from .steps import why_not_compiled

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("numba", "scipy", "threadpoolctl")),
    reason="compiled steps need the extra numba",
)

FEATURES = 13
THREADS = [1, 2, 3]


def network(layers, loss="softmax_cross_entropy", optimizer="sgd", dtype="float64", **options):
    net = NeuralNetwork(
        batch_size=BATCH, loss=loss, optimizer=optimizer, dtype=dtype, seed=4, **options
    )
    for layer in layers():
        net.add(layer)
    return net


def classifier(activation=ReLUActivation, n_outputs=5, end=None):
    def layers():
        yield DenseLayer(37, (FEATURES,))
        yield activation()
        yield DenseLayer(34)
        yield activation()
        yield DenseLayer(n_outputs)
        if end is not None:
            yield end()

    return layers


def by_compiled(net, X, y, weight=None, threads=1, slices=None):
    assert why_not_compiled(net, X, y, weight) is None
    if weight is not None:
        weight = weight.astype(net.backend.dtype)
    losses, weights, outputs = [], [], []
    with CompiledTraining(net, X, y, weight, BATCH, threads, keep_outputs=X.shape[0]) as step:
        assert step.threads == threads
        assert step.nbytes > 0
        step.load()
        for order in orders():
            for start in range(0, N, slices or N):
                part = order[start : start + (slices or N)]
                for held, new in zip(
                    (losses, weights), step.run(part, net.optimizer.learning_rate), strict=True
                ):
                    held.extend(new)
                outputs.append(step.outputs.copy())
        step.store()
    return np.array(losses), np.array(weights), np.concatenate(outputs)


def state_of(net):
    """All that training changes."""
    optimizer = net.optimizer
    return [net.parameters.copy(), *(getattr(optimizer, name) for name in optimizer.state_names)]


def assert_same(make, X, y, weight=None, threads=1):
    reference, net = make(), make()
    expected = by_formulas(reference, X, y, weight)
    found = by_compiled(net, X, y, weight, threads)
    # Of float32, the sums in another order differ; rounding grows from step to step.
    tolerance = 1e-9 if net.backend.dtype == "float64" else 3e-5
    for a, b in zip([*found, *state_of(net)], [*expected, *state_of(reference)], strict=True):
        scale = np.max(np.abs(b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)
    assert net.optimizer.n_updates == reference.optimizer.n_updates


@pytest.fixture
def data(rng):
    X = rng.standard_normal((N, FEATURES))
    return X, rng.integers(0, 5, N)


@pytest.fixture(params=THREADS)
def plan(request):
    """Each number of threads."""
    return request.param


@pytest.fixture(params=[1, 2])
def shared(request, plan, monkeypatch):
    """How many layers the threads share."""
    from xpnet.training.steps.compiled import sharing, training

    if plan == 1 and request.param > 1:
        pytest.skip("one thread shares nothing")

    def chosen(units, batch, per_parameter, threads, filled, steps):
        return sharing.Plan(plan, request.param if plan > 1 else 0, filled is not None)

    monkeypatch.setattr(training, "best_plan", chosen)
    return request.param


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
def test_activations(data, plan, shared, activation, dtype):
    X, y = data
    assert_same(lambda: network(classifier(activation), dtype=dtype), X, y, threads=plan)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", MORE_ACTIVATIONS)
def test_more_activations(data, activation, dtype):
    def layers():
        yield from classifier(activation)()
        yield Dropout(0.2)

    assert_same(lambda: network(layers, dtype=dtype), *data, threads=2)


def test_all_activations_are_here():
    passes = "forward_propagation", "backward_propagation"
    kinds = {
        each for each in ACTIVATIONS.values() if has_methods_of(ActivationLayer, each(), *passes)
    }
    first = {
        LinearActivation, ReLUActivation, LeakyReLUActivation, ReLU6Activation, SigmoidActivation,
        TanhActivation, ExponentialActivation,
    }  # fmt: skip
    assert kinds == first | {type(make()) for make in MORE_ACTIVATIONS}


OPTIMIZERS = [
    lambda: SGD(0.05, momentum=0.0),
    lambda: SGD(0.05, momentum=0.9, dampening=0.3),
    lambda: SGD(0.05, momentum=0.9, nesterov=True),
    lambda: RMSProp(0.003, rho=0.8),
    lambda: Adam(0.01, beta_1=0.8, epsilon=1e-4),
    lambda: AdamW(0.01, weight_decay=0.1),
    lambda: Adam(0.01, beta_2=0.9, epsilon=0.01, corrects_epsilon=False),
    lambda: AdamW(0.01, epsilon=0.01, weight_decay=0.1, corrects_epsilon=False),
    lambda: Adagrad(0.02),
    lambda: RMSProp(0.003, momentum=0.8),
    lambda: RMSProp(0.003, momentum=0.5, centered=True),
    lambda: RMSProp(0.003, epsilon=1e-4, centered=True),
    lambda: Adam(0.01, beta_2=0.9, epsilon=1e-4, amsgrad=True),
    lambda: AdamW(0.01, beta_2=0.9, epsilon=1e-4, weight_decay=0.1, amsgrad=True),
    lambda: Adadelta(epsilon=1e-4),
    lambda: Adamax(0.005),
    lambda: NAdam(0.005, epsilon=1e-4),
    lambda: NAdam(0.005, epsilon=1e-4, momentum_decay=0.0, weight_decay=0.1),
    lambda: NAdam(0.005, epsilon=1e-4, weight_decay=0.1, decoupled=True),
    lambda: RAdam(0.01, epsilon=1e-4),
    lambda: RAdam(0.01, beta_2=0.5),
    lambda: Lion(0.001, weight_decay=0.1),
    lambda: Rprop(0.001),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "activation", [ReLUActivation, SigmoidActivation, TanhActivation, LinearActivation]
)
def test_dropout(data, plan, shared, activation, dtype):
    def layers():
        yield DenseLayer(37, (FEATURES,))
        yield activation()
        yield Dropout(0.3)
        yield DenseLayer(34)
        yield Dropout(0.0)
        yield activation()
        yield Dropout(0.6)
        yield DenseLayer(5)

    def make():
        net = network(layers, dtype=dtype)
        for layer in net.layers:  # as after earlier training, which drew more often than it updated
            if isinstance(layer, Dropout):
                layer.n_masks = 7
        made.append(net)
        return net

    made = []
    assert_same(make, *data, threads=plan)
    counts = [[getattr(layer, "n_masks", 0) for layer in net.layers] for net in made]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(data, plan, optimizer, dtype):
    X, y = data
    assert_same(
        lambda: network(classifier(TanhActivation), optimizer=optimizer(), dtype=dtype),
        X,
        y,
        threads=plan,
    )


def one_hot(y, n=5):
    return np.eye(n)[y]


LOSSES = {
    "classes": (SoftmaxCrossEntropy, None, lambda y: y),
    "rows": (SoftmaxCrossEntropy, None, lambda y: 0.9 * one_hot(y) + 0.02),
    "smoothed": (lambda: SoftmaxCrossEntropy(label_smoothing=0.2), None, lambda y: y),
    "smoothed, weights and a label to ignore": (
        lambda: SoftmaxCrossEntropy([1.0, 0.5, 2.0, 3.0, 0.0], 1, 0.2),
        None,
        lambda y: y,
    ),
    "nll": (NegativeLogLikelihood, LogSoftmaxActivation, lambda y: y),
    "nll, rows": (NegativeLogLikelihood, LogSoftmaxActivation, one_hot),
    "nll, weights and a label to ignore": (
        lambda: NegativeLogLikelihood([1.0, 0.5, 2.0, 3.0, 0.0], ignore_index=-1),
        LogSoftmaxActivation,
        lambda y: np.where(y == 2, -1, y),
    ),
    "nll, weights of rows": (
        lambda: NegativeLogLikelihood([1.0, 0.5, 2.0, 3.0, 0.1]),
        LogSoftmaxActivation,
        one_hot,
    ),
    "squares": (MeanSquaredError, None, one_hot),
    "squares behind tanh": (MeanSquaredError, TanhActivation, one_hot),
    "logits": (lambda: BinaryCrossEntropy(from_logits=True), None, one_hot),
    "probabilities": (BinaryCrossEntropy, SigmoidActivation, one_hot),
    "classes, at most": (lambda: SoftmaxCrossEntropy(max_reported=1.6), None, lambda y: y),
    "rows, at most": (lambda: SoftmaxCrossEntropy(max_reported=1.6), None, one_hot),
    "squares, a factor": (lambda: MeanSquaredError(2.5), None, one_hot),
    "logits, a factor, at most": (lambda: BinaryCrossEntropy(True, 5.0, 0.7), None, one_hot),
    "probabilities, a factor": (
        lambda: BinaryCrossEntropy(factor=5.0),
        SigmoidActivation,
        one_hot,
    ),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", MORE_LOSSES)
def test_more_losses(data, case, dtype, weighted, rng):
    loss, targets = MORE_LOSSES[case]
    weight = rng.uniform(0, 2, N) if weighted else None

    def make():
        return network(classifier(TanhActivation), loss=loss(), dtype=dtype)

    y = prepare_targets(targets(data[1]), loss(), 5)
    assert_same(make, data[0], y, weight, threads=2)


def test_all_losses_of_elements_are_here():
    kinds = {kind for kind in ALL_LOSSES.values() if issubclass(kind, ElementwiseLoss)}
    first = {MeanSquaredError, BinaryCrossEntropy}
    # Outputs of KLDivergence are those of a softmax, which is not compiled.
    assert kinds == first | {type(make()) for make, _ in MORE_LOSSES.values()} | {KLDivergence}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", LOSSES)
def test_losses(data, plan, shared, case, dtype, weighted, rng):
    loss, end, targets = LOSSES[case]
    X, y = data
    weight = rng.uniform(0, 2, N) if weighted else None

    def make():
        return network(classifier(TanhActivation, end=end), loss=loss(), dtype=dtype)

    net = make()
    y = prepare_targets(targets(y), net.loss, 5)
    assert_same(make, X, y, weight, plan)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "regularizer", [L1(0.2, per_sample=True), L1L2(0.2, 0.3, per_sample=True)], ids=["l1", "both"]
)
def test_what_samples_share(data, plan, shared, regularizer, dtype, weighted, rng):
    weight = rng.uniform(0, 2, N) if weighted else None
    if weighted:
        weight[orders()[0][:BATCH]] = 0.0  # a batch that weighs nothing, and pays nothing

    def layers():
        yield DenseLayer(37, (FEATURES,), bias_regularizer=L1L2(0.2, 0.1, per_sample=True))
        yield TanhActivation()
        yield DenseLayer(34, regularizer=L1(0.01))  # which is no sample's
        yield TanhActivation()
        yield DenseLayer(5)

    assert_same(lambda: network(layers, regularizer=regularizer, dtype=dtype), *data, weight, plan)


def test_one_output(data, plan, shared, rng):
    y = rng.standard_normal((N, 1))
    assert_same(lambda: network(classifier(n_outputs=1), loss="mse"), data[0], y, threads=plan)


@pytest.mark.parametrize("loss", ["mse", "softmax_cross_entropy"])
@pytest.mark.parametrize("n_outputs", [35, 130])
def test_outputs_that_threads_share(data, plan, monkeypatch, loss, n_outputs, rng):
    from xpnet.training.steps.compiled import sharing, training

    chosen = sharing.Plan(plan, 3 if plan > 1 else 0)
    monkeypatch.setattr(training, "best_plan", lambda *arguments: chosen)
    y = rng.standard_normal((N, n_outputs)) if loss == "mse" else rng.integers(0, n_outputs, N)
    assert_same(
        lambda: network(classifier(n_outputs=n_outputs), loss=loss), data[0], y, threads=plan
    )


def test_labels_as_a_column(data, plan):
    X, y = data
    assert_same(lambda: network(classifier()), X, y.reshape(N, 1), threads=plan)


def test_a_single_layer(data, plan):
    X, y = data
    assert_same(lambda: network(lambda: [DenseLayer(50, (FEATURES,))]), X, y, threads=plan)


@pytest.mark.parametrize("kind", ["uint8", "bool", "int16", "int64", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("standardized", [False, True])
def test_features_of_other_types(data, plan, kind, dtype, standardized):
    X = (np.abs(data[0]) * 2).astype(kind)

    def layers():
        if standardized:
            yield Normalization.adapt(X.astype("float64"))
        yield DenseLayer(50, (FEATURES,))

    assert_same(lambda: network(layers, dtype=dtype), X, data[1], threads=plan)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_sparse_features(data, plan, shared, dtype, density, rng):
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csr_array(data[0] * (rng.random(data[0].shape) < density))
    assert_same(
        lambda: network(classifier(), optimizer="rmsprop", dtype=dtype), X, data[1], threads=plan
    )


def test_the_same_numbers_every_time_and_in_slices(data, plan):
    X, y = data
    results = []
    for slices in (None, None, BATCH, 2 * BATCH):
        net = network(classifier(), optimizer="adam", dtype="float32")
        results.append([*by_compiled(net, X, y, threads=plan, slices=slices), *state_of(net)])
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            assert np.array_equal(a, b)


def test_what_somebody_holds_of_the_weights_stays(data, plan):
    X, y = data
    net = network(classifier())
    flat = net.parameters.gather()
    before = flat.copy()
    by_compiled(net, X, y, threads=plan)
    assert np.array_equal(flat, before)
    assert not np.array_equal(net.parameters.gather(), before)


def test_a_loss_that_diverges_shows(data, plan):
    X, y = data
    net = network(classifier(), loss="mse", optimizer=SGD(1e6), dtype="float32")
    losses, _, _ = by_compiled(net, X, one_hot(y), threads=plan)
    assert not np.isfinite(losses[-1])


def test_threads_sleep_between_runs_and_end(data, plan):
    X, y = data
    before = set(threading.enumerate())
    step = CompiledTraining(network(classifier()), X, y, None, BATCH, plan)
    step.load()
    step.run(np.arange(N), 0.01)
    made = set(threading.enumerate()) - before
    assert len(made) == plan - 1
    start = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - start < 0.05
    step.close()
    assert not any(thread.is_alive() for thread in made)
    again = CompiledTraining(network(classifier()), X, y, None, BATCH, plan)
    again.load()
    again.run(np.arange(N), 0.01)
    made = set(threading.enumerate()) - before
    del again
    assert not any(thread.is_alive() for thread in made)


def test_an_interrupt_leaves_no_thread_waiting(data, plan, monkeypatch):
    import xpnet.backends.cpu.engine as engine

    X, y = data
    step = CompiledTraining(network(classifier()), X, y, None, BATCH, plan)
    step.load()
    step.run(np.arange(N), 0.01)

    run_steps, main = engine.run_steps, threading.current_thread()

    def interrupted(*arguments):
        if threading.current_thread() is main:
            raise KeyboardInterrupt
        return run_steps(*arguments)

    monkeypatch.setattr(engine, "run_steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        step.run(np.arange(N), 0.01)
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="interrupted"):
        step.run(np.arange(N), 0.01)
    step.close()


def test_a_thread_that_fails_is_waited_for_no_longer(data, monkeypatch):
    import xpnet.backends.cpu.team as engine

    X, y = data
    with CompiledTraining(network(classifier()), X, y, None, BATCH, 2) as step:
        step.load()
        run_steps, main = engine.run_steps, threading.current_thread()

        def failing(*arguments):
            if threading.current_thread() is not main:
                raise MemoryError("no more")
            return run_steps(*arguments)

        monkeypatch.setattr(engine, "run_steps", failing)
        with pytest.raises(MemoryError):
            step.run(np.arange(N), 0.01)
        monkeypatch.undo()


def test_after_closing_there_are_no_runs(data, plan):
    X, y = data
    with CompiledTraining(network(classifier()), X, y, None, BATCH, plan) as step:
        step.load()
    with pytest.raises(RuntimeError, match="closed"):
        step.run(np.arange(N), 0.01)


def test_samples_that_are_not_there_are_refused(data):
    X, y = data
    with CompiledTraining(network(classifier()), X, y, None, BATCH) as step:
        step.load()
        for wrong in (-1, N):
            with pytest.raises(IndexError, match="75 samples"):
                step.run(np.array([0, wrong]), 0.01)
        assert [len(held) for held in step.run(np.arange(0), 0.01)] == [0, 0]
        assert step.outputs is None
    assert "74 targets" in why_not_compiled(network(classifier()), X, y[1:])
    assert "1 weights" in why_not_compiled(network(classifier()), X, y, np.ones(1))


def test_small_networks_run_on_one_thread(data):
    with CompiledTraining(network(classifier()), *data, None, BATCH) as step:
        assert step.threads == 1


def test_short_epochs_are_not_worth_waking_threads_for(monkeypatch):
    from xpnet.training.steps.compiled import sharing
    from xpnet.training.steps.compiled.supported import units

    monkeypatch.setattr(sharing, "cores", lambda: 2)
    layers = [DenseLayer(100, (64,)), ReLUActivation(), DenseLayer(10)]
    digits = units(network(lambda: layers))
    plans = [sharing.best_plan(digits, 200, 3e-4, None, None, steps).threads for steps in (9, 300)]
    assert plans == [1, 2]


class OwnLayer(DenseLayer):
    pass


class OwnSGD(SGD):
    def update(self, w, grad_loss_w, out=None):
        return w - self.learning_rate * grad_loss_w


class OwnNetwork(NeuralNetwork):
    def forward_propagation(self, X, training=True):
        return super().forward_propagation(X, training)


def first(*layers):
    return lambda: [*layers, DenseLayer(5)]


REFUSED = {
    "BatchNormalization": lambda: network(first(BatchNormalization(input_shape=(FEATURES,)))),
    "OwnLayer": lambda: network(lambda: [OwnLayer(5, (FEATURES,))]),
    "OwnSGD": lambda: network(classifier(), optimizer=OwnSGD()),
    "clipping": lambda: network(classifier(), optimizer=SGD(clip_norm=1.0)),
    "CategoricalCrossEntropy": lambda: network(
        classifier(end=SoftmaxActivation), loss="categorical_cross_entropy"
    ),
    "SoftmaxActivation": lambda: network(classifier(end=SoftmaxActivation), loss="mse"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_networks_that_compiled_steps_do_not_support(name, data):
    X, y = data
    net = REFUSED[name]()
    assert name in why_not_compiled(net, X, y)
    with pytest.raises(UnsupportedError, match=re.escape(name)):
        CompiledTraining(net, X, y, None, BATCH)


def test_features_that_there_is_no_compiled_step_for(data):
    X, y = data
    net = network(classifier())
    assert why_not_compiled(net, X, y) is None
    assert "contiguous in row order" in why_not_compiled(net, np.asfortranarray(X), y)
    assert "float16" in why_not_compiled(net, X.astype("float16"), y)
    assert "complex" in why_not_compiled(net, X.astype(complex), y)


def test_another_library_has_no_compiled_step(data):
    pytest.importorskip("array_api_strict")
    X, y = data
    net = network(classifier(), device="device1", backend="array-api-strict")
    assert "array-api-strict" in why_not_compiled(net, X, y)


def test_a_network_with_a_pass_of_its_own_has_no_compiled_step(data):
    net = OwnNetwork().add(DenseLayer(5, (FEATURES,)))
    assert "OwnNetwork" in why_not_compiled(net, *data)


def changed(attribute, value, of=lambda net: net.layers[1]):
    def make():
        net = network(classifier(), optimizer=SGD(0.1, momentum=0.9, nesterov=True))
        setattr(of(net), attribute, value)
        return net

    return make


CHANGED = {
    "activation_function": changed("activation_function", lambda x: x),
    "derivative": changed("derivative", lambda x: x),
    "clip": changed("clip", lambda g: g, lambda net: net.optimizer),
    "update": changed("update", lambda w, g, out=None: w, lambda net: net.optimizer),
    "sample_derivative": changed("sample_derivative", lambda y, p: p, lambda net: net.loss),
    "loss_and_derivative": changed("loss_and_derivative", None, lambda net: net.loss),
    "own optimizer": changed("_optimizers", {"weights": SGD()}, lambda net: net.layers[0]),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_somebody_has_changed_has_no_compiled_step(name, data):
    assert name in why_not_compiled(CHANGED[name](), *data)


def test_a_slope_that_turns_signs_round_is_refused_when_it_is_set():
    with pytest.raises(ValueError, match=r"alpha=-1\.0: expected a finite number, 0 or more"):
        LeakyReLUActivation(0.1).alpha = -1.0


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_class_that_somebody_has_changed_has_no_compiled_step(data, monkeypatch, wrapped):
    original = DenseLayer.backward_propagation

    def mine(self, error):
        return original(self, error)

    monkeypatch.setattr(
        DenseLayer, "backward_propagation", functools.wraps(original)(mine) if wrapped else mine
    )
    assert "backward_propagation" in why_not_compiled(network(classifier()), *data)


def test_settings_that_change_between_epochs_are_taken(data, plan):
    X, y = data

    def trained(kernels):
        net = network(classifier(), optimizer=SGD(0.05, momentum=0.9), metric="accuracy")
        observe = net.optimizer.schedule.observe

        def change(loss):
            net.optimizer.momentum *= 0.5
            observe(loss)

        net.optimizer.schedule.observe = change
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XPNET_STEPS", kernels)
            patch.setattr(config, "threads", plan)
            return net.fit((X, y), epochs=4).parameters.copy()

    np.testing.assert_allclose(trained("compiled"), trained("formulas"), rtol=1e-9)


def test_an_interrupt_in_the_middle_of_waiting_is_no_hang(data, monkeypatch):
    from xpnet.backends.cpu import team

    X, y = data
    with CompiledTraining(network(classifier()), X, y, None, BATCH, 2) as step:
        step.load()
        step.run(np.arange(N), 0.01)
        waits = []

        class Interrupted(threading.Event):
            def wait(self, timeout=None):
                done = super().wait(timeout)  # it was told, and is interrupted before it says so
                waits.append(1)
                if len(waits) < 3:
                    raise KeyboardInterrupt
                return done

        monkeypatch.setattr(team.threading, "Event", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            step.run(np.arange(N), 0.01)
        monkeypatch.undo()
        assert len(waits) == 3
        step.run(np.arange(N), 0.01)


def test_two_trainings_at_a_time_leave_blas_its_threads(data):
    from threadpoolctl import threadpool_info

    def blas():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    X, y = data
    before, results = blas(), []

    def train():
        net = network(classifier())
        results.append(by_compiled(net, X, y, threads=2)[0])

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blas() == before
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert len(results) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_training_trains_on(data):
    code = """
import os, sys, numpy as np, xpnet
from xpnet import *
xpnet.config.threads = 2
rng = np.random.default_rng(0)
net = NeuralNetwork(
    epochs=3, batch_size=16, seed=0, loss="softmax_cross_entropy", steps="compiled"
)
net.add(DenseLayer(40, (13,))).add(ReLUActivation()).add(DenseLayer(5))
children = []
def metric(y, p):
    if not children:
        children.append(os.fork())
    return 0.0
net.metric = metric
net.fit((rng.standard_normal((75, 13)), rng.integers(0, 5, 75)))
os.write(1, f"{float(net.parameters.copy().sum())}\\n".encode())
if children[0] == 0:
    os._exit(0)
assert os.waitpid(children[0], 0)[1] == 0
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    one, other = done.stdout.split()
    assert one == other


def test_other_weights_alone_are_taken(data, rng):
    X, y = data
    first, second = (rng.uniform(0, 2, N) for _ in range(2))
    losses = []
    for given in ((first, second), (second, second)):
        with CompiledTraining(network(classifier()), X, y, given[0].copy(), BATCH, 1) as step:
            step.use(X, y, given[1])
            step.load()
            losses.append(step.run(np.arange(N), 0.01)[0])
    np.testing.assert_array_equal(*losses)


def test_dropout_of_a_rate_between_two_float32_is_the_same_everywhere():
    from xpnet.backends import ops

    like = np.zeros(2**20)  # one of these draws is the float32 nearest to 0.7, which is below it
    expected = ops.dropout_mask.dispatch(object)(like, 0.7, 5, 22)
    np.testing.assert_array_equal(ops.dropout_mask(like, 0.7, 5, 22), expected)
    assert expected[653379] == 0
