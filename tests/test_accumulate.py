"""``accumulate=n``: one update after n batches is the update of a batch n times as large."""

import numpy as np
import pytest

from tests.test_schedules import RNG, X, Y, parameters
from xpnet import (
    L2,
    LBFGS,
    SGD,
    Adam,
    BatchNormalization,
    DenseLayer,
    Dropout,
    LambdaCallback,
    LinearDecay,
    MeanSquaredError,
    NeuralNetwork,
    OneCycle,
    TanhActivation,
    load,
)
from xpnet.backends import to_host

BATCH = 8  # 75 samples: 9 batches and one of 3
WEIGHTS = np.where(RNG.random(75) < 0.3, 0.0, RNG.random(75))


def network(steps="formulas", extra=(), **arguments):
    arguments = {"epochs": 3, "batch_size": BATCH, "dtype": "float64", "seed": 0} | arguments
    net = NeuralNetwork(**{"loss": "softmax_cross_entropy", "steps": steps} | arguments)
    net.add(DenseLayer(7, (6,))).add(TanhActivation())
    for layer in extra:
        net.add(layer)
    return net.add(DenseLayer(3))


CASES = {
    "plain": {},
    "momentum, by step": {"optimizer": SGD(LinearDecay(0.2, 0.0, by_step=True))},
    "Adam, one cycle": {"optimizer": Adam(OneCycle(0.1))},
    "penalties": {"regularizer": L2(0.1)},
    "shared penalties": {"regularizer": L2(0.1, per_sample=True)},
}
CLIPPED = {
    "clip_norm": {"optimizer": SGD(0.1, clip_norm=0.1)},
    "clip_value": {"optimizer": SGD(0.1, clip_value=0.01)},
}


@pytest.mark.parametrize("weights", [(), (WEIGHTS,)], ids=["plain", "weighted"])
@pytest.mark.parametrize("n", [2, 3, 20])
@pytest.mark.parametrize("name", [*CASES, *CLIPPED])
def test_updates_are_those_of_larger_batches(name, n, weights, steps):
    if name in CLIPPED and steps == "compiled":
        pytest.skip("compiled steps do not clip")
    given = CASES.get(name) or CLIPPED.get(name, {})
    large = network(batch_size=n * BATCH, **given).fit((X, Y, *weights))
    net = network(steps, accumulate=n, **given).fit((X, Y, *weights))
    np.testing.assert_allclose(parameters(net), parameters(large), rtol=1e-9, atol=1e-12)
    assert net.optimizer.n_updates == large.optimizer.n_updates == 3 * -(-75 // (n * BATCH))
    for state in net.optimizer.state_names:
        found, expected = (to_host(getattr(each.optimizer, state)) for each in (net, large))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(net.history["learning_rate"], large.history["learning_rate"])


def test_the_history_has_the_losses_of_the_batches(steps):
    given = {"accumulate": 3, "regularizer": L2(0.1, per_sample=True), "metric": "accuracy"}
    net = network(steps, **given).fit((X, Y, WEIGHTS))
    expected = network(**given).fit((X, Y, WEIGHTS))
    names = ["accuracy"] if steps == "captured" else ["loss", "penalty", "accuracy"]
    for name in names:  # captured steps count the penalty as of the epoch's end
        np.testing.assert_allclose(net.history[name], expected.history[name], rtol=1e-9)


def test_dropout_draws_for_each_batch(steps):
    def extra():
        return [Dropout(0.3)]

    net = network(steps, extra(), accumulate=3).fit((X, Y))
    expected = network("formulas", extra(), accumulate=3).fit((X, Y))
    np.testing.assert_allclose(parameters(net), parameters(expected), rtol=1e-9, atol=1e-12)
    assert net.layers[2].n_masks == expected.layers[2].n_masks == 30
    again = network(steps, extra(), accumulate=3).fit((X, Y), epochs=1).fit((X, Y), epochs=2)
    np.testing.assert_array_equal(parameters(again), parameters(net))


def test_batches_are_normalized_by_themselves(emulated):
    def make(steps):
        net = NeuralNetwork(
            epochs=2, batch_size=BATCH, loss="softmax_cross_entropy", dtype="float64", seed=0,
            accumulate=3, steps=steps,
        )  # fmt: skip
        return net.add(DenseLayer(7, (6,))).add(BatchNormalization()).add(DenseLayer(3))

    net, expected = make("captured").fit((X, Y)), make("formulas").fit((X, Y))
    np.testing.assert_allclose(parameters(net), parameters(expected), rtol=1e-9, atol=1e-12)
    moments = net.layers[1].running_mean, expected.layers[1].running_mean
    np.testing.assert_allclose(*moments, rtol=1e-9, atol=1e-12)


def test_every_backend_accumulates(float64_backend):
    reference = network(batch_size=3 * BATCH).fit((X, Y))
    net = network(accumulate=3, epochs=3, steps="auto").to(float64_backend)
    net.fit((X, Y))
    np.testing.assert_allclose(parameters(net), parameters(reference), rtol=1e-7, atol=1e-10)


def test_pieces_of_batches_are_accumulated_too(monkeypatch):
    expected = network(batch_size=6 * BATCH, epochs=2).fit((X, Y))
    net, original, failed = network(accumulate=3, batch_size=2 * BATCH, epochs=2), [], []
    original.append(type(net).propagate_loss)

    def fails_once(self, output, *rest, **more):
        if len(failed) == 3:  # within an update
            failed.append(True)
            raise MemoryError
        failed.append(False)
        return original[0](self, output, *rest, **more)

    monkeypatch.setattr(type(net), "propagate_loss", fails_once)
    with pytest.warns(RuntimeWarning, match="micro-batches of 8 samples"):
        net.fit((X, Y))
    assert net.last_plan.rows < net.last_plan.batch_size
    np.testing.assert_allclose(parameters(net), parameters(expected), rtol=1e-9, atol=1e-12)


def test_chunks_end_within_an_update(monkeypatch, tmp_path, steps):
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 2 * BATCH * 6 * 8)
    np.save(tmp_path / "X.npy", X)
    stored = np.load(tmp_path / "X.npy", mmap_mode="r")
    net = network(steps, accumulate=3, shuffle=False, memory_limit=1 << 30).fit((stored, Y))
    assert net.last_plan.chunk == 2 * BATCH
    expected = network(batch_size=3 * BATCH, shuffle=False).fit((X, Y))
    np.testing.assert_allclose(parameters(net), parameters(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("known", [False, True])
def test_batches_of_a_user_are_accumulated_by_formulas(known):
    sizes = [4, 9, 2, 13, 7, 20, 20]  # growing ones need more room
    ends = np.cumsum(sizes)

    def batches():
        for end, size in zip(ends, sizes, strict=True):
            yield X[end - size : end], Y[end - size : end]

    def joined():
        for first, last in ((0, 15), (15, 55), (55, 75)):
            yield X[first:last], Y[first:last]

    arguments = {"steps_per_epoch": 7} if known else {}
    net = network("auto", accumulate=3).fit(batches=batches, **arguments)
    expected = network("formulas").fit(batches=joined)
    np.testing.assert_allclose(parameters(net), parameters(expected), rtol=1e-9, atol=1e-12)
    assert net.optimizer.n_updates == 9
    with pytest.raises(ValueError, match=r"steps='compiled'.*(with fit\(batches|numba)"):
        network("compiled", accumulate=3).fit(batches=batches)


def test_an_epoch_that_is_cut_short_drops_the_batches_that_wait(ctrl_c, steps):
    import _thread

    net = network(steps, accumulate=3)
    if steps == "formulas":

        def stop(network, step, loss):
            if step == 3:
                _thread.interrupt_main()

        with pytest.raises(KeyboardInterrupt):
            net.fit((X, Y), callbacks=LambdaCallback(on_batch_end=stop))
        assert net.optimizer.n_updates == 1
        assert net.history.incomplete == (1,)
    net.fit((X, Y), restart=True)
    np.testing.assert_array_equal(
        parameters(net), parameters(network(steps, accumulate=3).fit((X, Y)))
    )


def test_a_change_while_training_takes_effect_with_the_next_fit(steps):
    def more(network, row):
        network.accumulate = 5

    net = network(steps, accumulate=2).fit((X, Y), callbacks=LambdaCallback(on_epoch_end=more))
    assert net.optimizer.n_updates == 15
    assert net.fit((X, Y)).optimizer.n_updates == 21


def test_the_plan_has_room_for_the_sum_of_gradients(steps):
    plain, net = network(), network(accumulate=2)
    n = sum(layer.parameters() for layer in net.layers)
    difference = net.memory_plan(n_samples=75).total - plain.memory_plan(n_samples=75).total
    assert difference == 8 * n
    if steps != "formulas":
        plans = [network(steps, accumulate=k).fit((X, Y)).last_plan.compiled for k in (1, 2)]
        assert plans[1] >= plans[0] + 8 * n


def test_it_is_a_setting_that_is_saved(tmp_path):
    net = network(accumulate=3).fit((X, Y))
    net.save(tmp_path / "net")
    again = load(tmp_path / "net")
    assert again.accumulate == 3
    np.testing.assert_array_equal(
        parameters(again.fit((X, Y), epochs=1)), parameters(net.fit((X, Y), epochs=1))
    )


def test_an_optimizer_of_all_samples_refuses_it():
    net = NeuralNetwork(optimizer=LBFGS(), accumulate=2, loss=MeanSquaredError())
    net.add(DenseLayer(1, (6,)))
    with pytest.raises(ValueError, match="accumulate=2 does not work with LBFGS"):
        net.fit((X, X[:, :1]))
