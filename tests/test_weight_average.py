"""``WeightAverage``: in all ways of steps, with batch normalization, early stopping, resumed."""

import copy
import pickle

import numpy as np
import pytest

from tests.test_accumulate import network as plain_network
from tests.test_schedules import X, Y, parameters
from xpnet import (
    LBFGS,
    BatchNormalization,
    Callback,
    Checkpoint,
    DenseLayer,
    DivergedError,
    EarlyStopping,
    LambdaCallback,
    NeuralNetwork,
    WeightAverage,
)
from xpnet.backends import to_host
from xpnet.training.averaging import Average

N_STEPS = 10  # 75 samples in batches of 8


def network(*arguments, **options):
    return plain_network(*arguments, **{"learning_rate": 0.3} | options)


class Noted(Callback):
    """Keeps the weights after each update, and after each epoch."""

    def __init__(self):
        self.updates, self.epochs = [], []

    def on_batch_end(self, network, step, loss):
        self.updates.append(parameters(network))

    def on_epoch_end(self, network, row):
        self.epochs.append(parameters(network))


@pytest.fixture(scope="module")
def path():
    """The weights of three epochs."""
    noted = Noted()
    network().fit((X, Y), callbacks=noted)
    return noted


def ema(weights, decay):
    mean = weights[0]
    for t, each in enumerate(weights[1:], 2):
        beta = min(decay, t / (9 + t))
        mean = beta * mean + (1 - beta) * each
    return mean


CASES = {
    "ema": ({"decay": 0.9}, lambda path: ema(path.updates, 0.9)),
    "ema from the second epoch": (
        {"decay": 0.9, "start": 1},
        lambda path: ema(path.updates[N_STEPS:], 0.9),
    ),
    "ema by epoch": ({"decay": 0.5, "every": "epoch"}, lambda path: ema(path.epochs, 0.5)),
    "swa": ({"kind": "swa", "start": 1}, lambda path: np.mean(path.epochs[1:], axis=0)),
    "swa of the last quarter": ({"kind": "swa"}, lambda path: path.epochs[2]),
    "swa by step": (
        {"kind": "swa", "start": 0, "every": "step"},
        lambda path: np.mean(path.updates, axis=0),
    ),
    "ema, few updates": ({}, lambda path: ema(path.updates, 0.999)),
    "no memory": ({"decay": 0.0}, lambda path: path.epochs[-1]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_network_gets_the_average(name, steps, path):
    options, expected = CASES[name]
    average, weights = WeightAverage(**options), []
    note = LambdaCallback(on_epoch_end=lambda net, row: weights.append(parameters(net)))
    net = network(steps).fit((X, Y), callbacks=[average, note])
    np.testing.assert_allclose(weights, path.epochs, rtol=1e-9, atol=1e-12)  # not disturbed
    np.testing.assert_allclose(parameters(net), expected(path), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(parameters(net), to_host(average.weights))
    net.fit((X, Y), epochs=1)  # the network's weights are its own
    assert np.abs(parameters(net) - to_host(average.weights)).max() > 0


def test_every_backend_averages(float64_backend, path):
    average = WeightAverage(decay=0.9)
    net = network("auto").to(float64_backend).fit((X, Y), callbacks=average)
    np.testing.assert_allclose(parameters(net), ema(path.updates, 0.9), rtol=1e-7, atol=1e-10)
    assert average.n_averaged == 3 * N_STEPS


def test_a_short_training_is_not_dominated_by_its_first_weights(path):
    net = network().fit((X, Y), callbacks=WeightAverage())
    first, last = path.updates[0], path.updates[-1]
    assert np.abs(parameters(net) - last).max() < 0.3 * np.abs(first - last).max()


def test_the_decay_is_reached_after_nine_times_as_many_updates():
    # The values of TensorFlow's min(decay, (1 + t) / (10 + t)), with t from 0.
    shares = Average(0.9, True).shares(200)
    np.testing.assert_allclose(1 - shares[1:4], [2 / 11, 3 / 12, 4 / 13], rtol=1e-12)
    assert shares[0] == 1.0
    assert shares[79] > 0.1
    np.testing.assert_allclose(shares[80:], 0.1, rtol=1e-12)


def test_only_updates_count(steps):
    noted, average = Noted(), WeightAverage(decay=0.8)
    network(accumulate=4).fit((X, Y), callbacks=noted)
    ends = [epoch * N_STEPS + k for epoch in range(3) for k in (3, 7)]
    # The last two batches of an epoch are updated after its last step is over.
    weights = sorted([*((k, noted.updates[k]) for k in ends), *(
        (epoch * N_STEPS + 9, noted.epochs[epoch]) for epoch in range(3)
    )], key=lambda pair: pair[0])  # fmt: skip
    net = network(steps, accumulate=4).fit((X, Y), callbacks=average)
    expected = ema([each for _, each in weights], 0.8)
    np.testing.assert_allclose(parameters(net), expected, rtol=1e-9, atol=1e-12)
    assert average.n_averaged == 9


def normalized(**arguments):
    net = NeuralNetwork(
        **{"epochs": 3, "batch_size": 8, "seed": 0, "dtype": "float64", "learning_rate": 0.3}
        | {"loss": "softmax_cross_entropy"}
        | arguments
    )
    net.add(DenseLayer(7, (6,))).add(BatchNormalization()).add(DenseLayer(5))
    return net.add(BatchNormalization(momentum=0.7)).add(DenseLayer(3))


@pytest.mark.parametrize("steps_", ["formulas", "captured"])
def test_running_moments_are_those_of_the_average(steps_, request):
    if steps_ == "captured":
        request.getfixturevalue("emulated")
    net = normalized(steps=steps_, shuffle=False).fit((X[:72], Y[:72]), callbacks=WeightAverage())
    X1 = X[:72] @ net.layers[0].weights + net.layers[0].biases
    batches = X1.reshape(9, 8, 7)
    np.testing.assert_allclose(net.layers[1].running_mean, X1.mean(axis=0), rtol=1e-9)
    variance = batches.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(net.layers[1].running_variance, variance, rtol=1e-9)
    gamma, beta = net.layers[1].gamma, net.layers[1].beta
    biased = batches.var(axis=1, keepdims=True)
    hidden = (batches - batches.mean(axis=1, keepdims=True)) / np.sqrt(biased + 1e-5)
    X2 = (gamma * hidden + beta) @ net.layers[2].weights + net.layers[2].biases
    variance = X2.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(net.layers[3].running_variance, variance, rtol=1e-9)
    assert [net.layers[k].momentum for k in (1, 3)] == [0.9, 0.7]
    with pytest.raises(ValueError, match=r"pass over all training data, which fit.batches"):
        normalized().fit(batches=[(X, Y)], callbacks=WeightAverage())


def test_validation_with_the_average():
    average = WeightAverage(decay=0.9, validate_with_average=True)
    weights, losses = [], []

    def note(net, row):
        weights.append(parameters(net))
        copied = network()
        copied.parameters.scatter(np.array(average.weights))
        copied.mark_fitted()
        losses.append(copied.score((X, Y), metric=copied.loss))

    net = network().fit(
        (X, Y), validation=(X, Y), callbacks=[average, LambdaCallback(on_epoch_end=note)]
    )
    np.testing.assert_allclose(net.history["val_loss"], losses, rtol=1e-9)
    own = network().fit((X, Y), validation=(X, Y))
    assert net.history["loss"] == own.history["loss"]
    assert net.history["val_loss"] != own.history["val_loss"]


@pytest.mark.parametrize("order", [1, -1])
def test_with_early_stopping_it_is_the_average_of_the_best_epoch(order, steps):
    averages = []
    average, stopping = WeightAverage(decay=0.9), EarlyStopping("loss", min_delta=0.05, patience=2)
    note = LambdaCallback(on_epoch_end=lambda *_: averages.append(np.array(average.weights)))
    net = network(steps, epochs=60)
    net.fit((X, Y), callbacks=[average, stopping, note][::order])
    assert stopping.best_epoch == stopping.stopped_epoch - 2
    np.testing.assert_array_equal(parameters(net), averages[stopping.best_epoch - 1])


class Stopped(Exception):
    pass


def stopping_after(epoch):
    def stop(net, row):
        if row["epoch"] == epoch:
            raise Stopped

    return LambdaCallback(on_epoch_end=stop)


def test_a_resumed_training_has_the_same_average(tmp_path, steps):
    def train(folder, *more):
        average = WeightAverage(decay=0.9)
        called = [Checkpoint(folder), average, EarlyStopping("loss", patience=3, min_delta=0.1)]
        net = network(steps, epochs=12)
        return net.fit((X, Y), callbacks=[*called, *more], resume=folder), average

    whole, _ = train(tmp_path / "whole", LambdaCallback())
    for epoch in (1, 2):
        with pytest.raises(Stopped):
            train(tmp_path / str(epoch), stopping_after(epoch + 1))
        net, average = train(tmp_path / str(epoch), LambdaCallback())
        np.testing.assert_array_equal(parameters(net), parameters(whole))
        assert average.n_averaged > 0


def test_an_error_leaves_the_networks_own_weights_and_undoes_the_average(path):
    average = WeightAverage(decay=0.9)
    net = network()
    with pytest.raises(Stopped):
        net.fit((X, Y), callbacks=[average, stopping_after(2)])
    np.testing.assert_array_equal(parameters(net), path.epochs[1])

    def explode(network, epoch):
        if epoch == 1:
            network.layers[0].weights = network.layers[0].weights + np.nan

    net = network()
    with pytest.raises(DivergedError):
        net.fit((X, Y), callbacks=[average, LambdaCallback(on_epoch_begin=explode)])
    np.testing.assert_array_equal(parameters(net), path.epochs[0])
    np.testing.assert_allclose(average.weights, ema(path.updates[:N_STEPS], 0.9), rtol=1e-12)
    assert average.n_averaged == N_STEPS
    assert net.average is None


def test_after_ctrl_c_the_network_has_the_average(ctrl_c, path):
    import _thread

    def interrupt(net, row):
        if row["epoch"] == 2:
            _thread.interrupt_main()

    net = network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(
            (X, Y),
            callbacks=[WeightAverage("swa", start=0), LambdaCallback(on_epoch_end=interrupt)],
        )
    np.testing.assert_allclose(parameters(net), np.mean(path.epochs[:2], axis=0), rtol=1e-12)


def test_what_begins_too_late_is_said(path):
    net = network()
    with pytest.warns(UserWarning, match=r"not averaged: averaging begins after 5 epoch"):
        net.fit((X, Y), callbacks=WeightAverage(start=5))
    np.testing.assert_array_equal(parameters(net), path.epochs[-1])


def test_two_averages_and_odd_settings_are_refused():
    net = network()
    with pytest.raises(ValueError, match=r"2 averages of the weights .*give only one"):
        net.fit((X, Y), callbacks=[WeightAverage(), WeightAverage("swa")])
    assert net.history.epochs == 0
    with pytest.raises(ValueError, match="unknown kind 'mean'"):
        WeightAverage("mean")
    with pytest.raises(ValueError, match="decay=1"):
        WeightAverage(decay=1.0)
    with pytest.raises(ValueError, match="unknown every"):
        WeightAverage(every="batch")
    with pytest.raises(ValueError, match="start=-1"):
        WeightAverage(start=-1)


def test_the_plan_has_room_for_it(steps):
    plans = [network(steps).fit((X, Y), callbacks=c).last_plan for c in ((), WeightAverage())]
    n = 8 * sum(layer.parameters() for layer in network().layers)
    assert plans[1].optimizer_state == plans[0].optimizer_state + n
    assert plans[1].restore_point == plans[0].restore_point + n
    assert plans[1].compiled >= plans[0].compiled + (n if steps != "formulas" else 0)


def test_it_is_copied_and_pickled(path):
    average = WeightAverage(decay=0.9)
    network().fit((X, Y), callbacks=average)
    for again in (copy.deepcopy(average), pickle.loads(pickle.dumps(average))):
        np.testing.assert_array_equal(again.weights, average.weights)
        network().fit((X, Y), callbacks=again)
        np.testing.assert_array_equal(again.weights, average.weights)


def test_iterations_of_lbfgs_are_averaged_one_by_one():
    pytest.importorskip("scipy")
    weights = []
    note = LambdaCallback(on_epoch_end=lambda net, row: weights.append(parameters(net)))
    net = NeuralNetwork(epochs=4, optimizer=LBFGS(), dtype="float64", seed=0)
    net.add(DenseLayer(1, (6,))).fit(
        (X, np.sin(X[:, :1])), callbacks=[WeightAverage("swa", start=0, every="step"), note]
    )
    np.testing.assert_allclose(parameters(net), np.mean(weights, axis=0), rtol=1e-9)
