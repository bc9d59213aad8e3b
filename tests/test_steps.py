"""Which steps a network trains with, and that they are the same training."""

import _thread
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import xpnet
from xpnet import (
    DenseLayer,
    DivergedError,
    Dropout,
    NeuralNetwork,
    ReLUActivation,
    SoftmaxActivation,
    UnknownNameError,
    config,
)
from xpnet.data.chunks import rows_of
from xpnet.training.steps import choice
from xpnet.training.steps.compiled import steps as compiled_steps

pytest.importorskip("numba")
pytest.importorskip("threadpoolctl")

N, K = 640, 12


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "auto")
    monkeypatch.setattr(config, "threads", None)


@pytest.fixture
def used(monkeypatch):
    """The kinds of steps that were made."""
    kinds = []
    original = choice.make_steps

    def noted(*arguments):
        made = original(*arguments)
        kinds.append(type(made).__name__)
        return made

    monkeypatch.setattr("xpnet.training.trainer.make_steps", noted)
    return kinds


def samples(n=N):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, K)).astype(np.float32)
    return X, (X[:, 0] > X[:, 1]).astype(np.int64)


def network(**arguments):
    arguments = {
        "epochs": 3,
        "batch_size": 32,
        "loss": "softmax_cross_entropy",
        "metric": "accuracy",
        "optimizer": "adam",
        "seed": 0,
    } | arguments
    net = NeuralNetwork(**arguments)
    net.add(DenseLayer(16, input_shape=(K,))).add(ReLUActivation()).add(Dropout(0.1))
    return net.add(DenseLayer(2))


def parameters(net):
    return net.parameters.copy()


def trained(steps, data=None, epochs=(3,), **arguments):
    net = network(steps=steps, **arguments)
    for number in epochs:
        net.fit(data or samples(), validation=samples(50), epochs=number)
    return net


def test_compiled_training_is_the_training(used):
    compiled, plain = trained("auto", dtype="float64"), trained("formulas", dtype="float64")
    assert used == ["CompiledSteps", "FormulaSteps"]
    np.testing.assert_allclose(parameters(compiled), parameters(plain), rtol=1e-9)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert compiled.history[name] == pytest.approx(plain.history[name], rel=1e-9)
    assert compiled.optimizer.n_updates == plain.optimizer.n_updates == 60


def test_compiled_training_repeats_itself_bit_for_bit(used):
    first, second = trained("compiled"), trained("compiled")
    np.testing.assert_array_equal(parameters(first), parameters(second))
    assert first.history["loss"] == second.history["loss"]


def test_ten_compiled_epochs_are_four_and_six():
    first, second = trained("compiled", epochs=(10,)), trained("compiled", epochs=(4, 6))
    np.testing.assert_array_equal(parameters(first), parameters(second))


@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_training_on_a_stream_is_that_on_the_same_order(
    weighted, tmp_path, monkeypatch, used
):
    X, y = samples()
    np.save(tmp_path / "x.npy", X)
    more = (np.linspace(0.1, 1, N),) if weighted else ()
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 200 * K * 4)
    monkeypatch.setattr(
        "xpnet.training.feeding.training_data._KEPT_FREE", 2.0
    )  # as if there were no room for them
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    streamed = network().fit((np.load(tmp_path / "x.npy", mmap_mode="r"), y, *more))
    plan = streamed.last_plan
    assert plan.chunk < N
    resident = network()

    def order(n, epoch):
        parts = streamed.orders.chunks(n, epoch, plan.chunk, plan.batch_size, plan.block)
        return np.concatenate([rows_of(ranges)[within] for ranges, within in parts])

    resident.orders.samples = order
    resident.fit((X, y, *more))
    assert used == ["CompiledSteps"] * 2
    np.testing.assert_array_equal(parameters(streamed), parameters(resident))
    assert streamed.history["loss"] == pytest.approx(resident.history["loss"], rel=1e-6)
    assert streamed.history["accuracy"] == pytest.approx(resident.history["accuracy"], rel=1e-6)
    np.testing.assert_array_equal(y, samples()[1])  # the targets are copied, not written over


@pytest.mark.parametrize(
    ("n_samples", "epochs", "expected"),
    [(40, 3, "FormulaSteps"), (40, 4, "CompiledSteps"), (120, 1, "FormulaSteps")],
)
def test_few_steps_are_not_worth_going_into_compiled_code(
    monkeypatch, used, n_samples, epochs, expected
):
    monkeypatch.setenv("XPNET_STEPS", "auto")
    network(epochs=epochs, batch_size=10).fit(samples(n_samples), epochs=1)
    assert used == [expected]


def test_what_has_no_compiled_step_trains_as_formulas(monkeypatch, used):
    monkeypatch.setenv("XPNET_STEPS", "auto")
    net = NeuralNetwork(epochs=1, batch_size=8, loss="categorical_cross_entropy", seed=0)
    net.add(DenseLayer(2, (K,))).add(SoftmaxActivation()).fit(samples())
    assert used == ["FormulaSteps"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"optimizer": xpnet.SGD(clip_norm=1.0)}, "clipping"),
        ({"loss": "categorical_cross_entropy"}, "CategoricalCrossEntropy"),
        ({"memory_limit": 400_000, "batch_size": 512}, "split to fit"),
    ],
)
def test_what_has_no_compiled_step_is_refused_where_one_is_asked_for(monkeypatch, change, reason):
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    net = network(**change)
    if "loss" in change:
        net.add(SoftmaxActivation())
    before = parameters(net)
    with pytest.raises(ValueError, match=f"these steps cannot be compiled: .*{reason}"):
        net.fit(samples())
    np.testing.assert_array_equal(parameters(net), before)


def test_an_unknown_choice_is_refused_with_the_nearest(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "compile")
    with pytest.raises(UnknownNameError, match="compiled"):
        network().fit(samples())


def test_a_number_of_threads_can_be_chosen(monkeypatch):
    from xpnet.training.steps.compiled import CompiledTraining

    seen = []
    original = CompiledTraining.close
    monkeypatch.setattr(CompiledTraining, "close", lambda s: (seen.append(s.threads), original(s)))
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    for threads in (1, 2):
        config.threads = threads
        net = NeuralNetwork(epochs=1, batch_size=32, loss="softmax_cross_entropy", seed=0)
        net.add(DenseLayer(64, input_shape=(K,))).add(DenseLayer(2)).fit(samples())
    assert seen == [1, 2]


def test_a_loss_that_is_not_finite_names_its_step(monkeypatch):
    X, y = samples()
    net = network(optimizer="sgd", learning_rate=1e30, batch_size=16)
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    before = parameters(net)
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match=r"epoch 1, step \d+ of 40"):
        net.fit((X, y))
    np.testing.assert_array_equal(parameters(net), before)
    assert net.history.epochs == 0


def test_ctrl_c_ends_compiled_training_soon_with_what_was_learned(used, monkeypatch, ctrl_c):
    X, y = samples(20_000)
    net = network(epochs=10_000)
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    net.fit((X, y), epochs=1)
    before = parameters(net)
    original = compiled_steps.CompiledSteps.run

    def run(self, *arguments):
        for k, done in enumerate(original(self, *arguments)):
            if net.history.epochs == 3 and k == 0:
                _thread.interrupt_main()
            yield done

    monkeypatch.setattr(compiled_steps.CompiledSteps, "run", run)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="epoch 4"):
        net.fit((X, y))
    assert time.monotonic() - start < 60
    assert net.history.epochs == len(net.history["loss"]) == 4
    assert not np.array_equal(parameters(net), before)
    assert net.optimizer.n_updates > 3 * 625


def test_the_progress_bar_counts_epochs(monkeypatch, capsys):
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    network(progress=True, epochs=2).fit(samples())
    assert "epoch 2/2 100%" in capsys.readouterr().err


def test_memory_of_compiled_training_is_within_its_plan(monkeypatch):
    import tracemalloc

    rng = np.random.default_rng(0)

    def run():
        monkeypatch.setenv("XPNET_STEPS", "compiled")
        X = rng.random((4000, 400), dtype=np.float32)
        net = NeuralNetwork(
            epochs=2, batch_size=128, loss="softmax_cross_entropy", optimizer="adam", seed=0
        )
        net.add(DenseLayer(1000, (400,))).add(ReLUActivation()).add(DenseLayer(10))
        net.fit((X, rng.integers(0, 10, 4000)))
        return net.last_plan

    run()
    tracemalloc.start()
    try:
        plan = run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak == pytest.approx(plan.total, rel=0.1)


@pytest.mark.parametrize("bad", [0, -1, "two", 1.5])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch, bad):
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    config.threads = bad
    with pytest.raises(ValueError, match=r"xpnet\.config\.threads="):
        network().fit(samples())


@pytest.mark.parametrize(("given", "expected"), [("", None), ("3", 3), ("two", "'two'")])
def test_the_environment_gives_the_number_of_threads(given, expected):
    command = [sys.executable, "-c", "import xpnet; print(repr(xpnet.config.threads))"]
    environment = os.environ | {"XPNET_THREADS": given}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)


def test_the_metric_does_not_depend_on_the_clock(monkeypatch):
    X, _ = samples(2000)
    y = np.random.default_rng(1).standard_normal((2000, 3))

    def trained(seconds):
        monkeypatch.setattr(compiled_steps.CompiledSteps, "SECONDS", seconds)
        monkeypatch.setenv("XPNET_STEPS", "compiled")
        net = NeuralNetwork(epochs=3, batch_size=16, loss="mse", metric="mse", seed=0)
        return net.add(DenseLayer(3, (K,))).fit((X, y)).history["mse"]

    assert trained(0.0) == trained(100.0)


def test_the_steps_at_a_time_are_bounded_by_their_time(monkeypatch):
    from xpnet.training.steps.compiled import CompiledTraining

    parts, original = [], CompiledTraining.run

    def slow(self, order, *controls):
        parts.append(-(-len(order) // 32))
        time.sleep(0.004 * parts[-1])
        return original(self, order, *controls)

    monkeypatch.setattr(CompiledTraining, "run", slow)
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    network(epochs=6, metric=None).fit(samples(32 * 33))
    assert parts[0] == 1
    assert 2 <= max(parts) <= 8  # 33 steps leave a rest of one, which is no reason for more


@pytest.mark.parametrize("metric", ["accuracy", "mse"])
def test_kept_outputs_are_in_the_plan(monkeypatch, metric):
    import tracemalloc

    rng = np.random.default_rng(0)
    X, y = rng.random((20_000, 20), dtype=np.float32), rng.integers(0, 500, 20_000)
    if metric == "mse":
        y = rng.random((20_000, 500), dtype=np.float32)
    plans = []

    def run():
        monkeypatch.setenv("XPNET_STEPS", "compiled")
        loss = "mse" if metric == "mse" else "softmax_cross_entropy"
        net = NeuralNetwork(epochs=2, batch_size=128, loss=loss, metric=metric, seed=0)
        net.add(DenseLayer(32, (20,))).add(ReLUActivation()).add(DenseLayer(500))
        net.fit((X, y))
        plans.append(net.last_plan)

    run()
    tracemalloc.start()
    try:
        run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    given = X.nbytes + (y.nbytes if metric == "mse" else 0)  # was there before, and is not copied
    # The metric's own arrays are of the size of what is kept.
    assert peak + given < 1.1 * plans[-1].total + 3 * (2 << 20)
    assert plans[-1].total < 30_000_000 + given
