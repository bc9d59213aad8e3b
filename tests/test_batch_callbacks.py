"""``on_batch_end``, ``needs_gradients``, ``TimeLimit``, logging, and names of checkpoints."""

import logging
import math
import time
from itertools import pairwise

import numpy as np
import pytest

import xpnet
from tests.test_accumulate import network
from tests.test_schedules import X, Y, parameters
from xpnet import (
    L2,
    Callback,
    Checkpoint,
    DenseLayer,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    NeuralNetwork,
    ReduceLROnPlateau,
    TimeLimit,
    load,
)
from xpnet.backends import to_host


class Batches(Callback):
    """Notes what it is called with after each batch."""

    def __init__(self):
        self.calls, self.weights = [], []

    def on_batch_end(self, network, step, loss):
        self.calls.append((network.history.epochs, step, loss))
        self.weights.append(parameters(network))


def test_it_is_called_after_each_batch_with_its_loss(float64_backend):
    noted = Batches()
    net = network("auto", epochs=2).to(float64_backend).fit((X, Y), callbacks=noted)
    assert [call[:2] for call in noted.calls] == [(e, k) for e in range(2) for k in range(10)]
    losses = np.array([float(np.asarray(to_host(loss))) for *_, loss in noted.calls])
    sizes = np.array([8] * 9 + [3])
    means = (losses.reshape(2, 10) * sizes).sum(axis=1) / 75
    np.testing.assert_allclose(net.history["loss"], means, rtol=1e-7)
    assert all(np.abs(a - b).max() > 0 for a, b in pairwise(noted.weights))
    reference = network(epochs=2).fit((X, Y))
    np.testing.assert_allclose(parameters(net), parameters(reference), rtol=1e-7, atol=1e-10)


def test_the_loss_of_a_batch_in_pieces_is_their_mean():
    net, noted, whole = network(epochs=1, batch_size=20), Batches(), Batches()
    weights = np.arange(75.0)
    network(epochs=1, batch_size=20, shuffle=False).fit((X, Y, weights), callbacks=whole)
    for limit in range(net.memory_plan(n_samples=75).total, 0, -100):
        net = network(epochs=1, batch_size=20, memory_limit=limit, shuffle=False)
        noted = Batches()
        try:
            net.fit((X, Y, weights), callbacks=noted)
        except xpnet.MemoryPlanError:
            break
        if net.last_plan.rows < 20:
            break
    assert net.last_plan.rows < 20
    assert len(noted.calls) == 4
    found, expected = ([loss for *_, loss in each.calls] for each in (noted, whole))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_it_takes_steps_by_formulas_and_says_so():
    pytest.importorskip("numba")
    noted = Batches()
    net = network("auto")
    assert net.explain_steps(X, Y).chosen == "compiled"
    said = net.explain_steps(X, Y, callbacks=[EarlyStopping("loss"), noted])
    assert said.chosen == "formulas"
    assert said.reasons["compiled"] == "Batches has on_batch_end, which is called after each batch"
    assert noted.calls == []
    for callback in (noted, LambdaCallback(on_batch_end=print), NeedsGradients()):
        with pytest.raises(
            ValueError, match=r"steps='compiled', but .*(on_batch_end|needs_gradie)"
        ):
            network("compiled").fit((X, Y), callbacks=callback)
    assert (
        net.explain_steps(X, Y, callbacks=LambdaCallback(on_epoch_end=print)).chosen == "compiled"
    )


def test_an_estimators_callbacks_are_explained_too():
    estimators = pytest.importorskip("xpnet.estimators")
    pytest.importorskip("numba")
    est = estimators.MLPClassifier((8,), max_iter=6, callbacks=[Batches()], random_state=0)
    assert "on_batch_end" in est.explain_steps(X, Y).reasons["compiled"]
    with pytest.warns(Warning, match="converge"):
        est.fit(X, Y)
    assert len(est.callbacks[0].calls) == 6


def test_what_it_raises_undoes_the_epoch():
    def wrong(network, step, loss):
        if network.history.epochs == 1 and step == 4:
            raise OSError("the disk is full")

    net, expected = network(), network().fit((X, Y), epochs=1)
    with pytest.raises(OSError, match="full"):
        net.fit((X, Y), callbacks=LambdaCallback(on_batch_end=wrong))
    np.testing.assert_array_equal(parameters(net), parameters(expected))


def test_what_it_changes_holds_for_the_next_batch():
    def zero(network, step, loss):
        if step == 9:
            network.layers[-1].biases = network.layers[-1].biases * 0.0

    net = network(epochs=2)
    net.fit((X, Y), callbacks=LambdaCallback(on_batch_end=zero))
    np.testing.assert_array_equal(net.layers[-1].biases, 0.0)


# ---- gradients


class NeedsGradients(Callback):
    """Keeps the gradients at the end of each epoch."""

    needs_gradients = True

    def __init__(self):
        self.gradients = []

    def on_epoch_end(self, network, row):
        self.gradients.append(to_host(network.parameters.gradient()).copy())


@pytest.mark.parametrize("n", [1, 3])
def test_gradients_of_the_last_update_are_there_for_who_asks(float64_backend, n):
    net = network("auto", epochs=2, regularizer=L2(0.1), accumulate=n).to(float64_backend)
    asked = NeedsGradients()
    net.fit((X, Y), callbacks=asked)
    order, reference = net.orders.samples(75, 1), network(epochs=2, regularizer=L2(0.1))
    weights = []
    network(epochs=2, regularizer=L2(0.1), accumulate=n).fit(
        (X, Y),
        callbacks=LambdaCallback(on_batch_end=lambda each, *_: weights.append(parameters(each))),
    )
    reference.parameters.scatter(weights[-2])
    rows = order[72:]  # the last batch, which with accumulate=3 has an update of its own
    reference.loss_and_gradient(X[rows], Y[rows])
    reference.parameters.add_penalties(1.0)
    expected = reference.parameters.gradient()
    np.testing.assert_allclose(asked.gradients[-1], expected, rtol=1e-6, atol=1e-9)


def test_without_asking_there_are_none(steps):
    seen = []

    def look(network, row):
        seen.extend(
            getattr(layer, f"{name}_gradient", None)
            for layer in network.layers
            for name in layer.parameter_names
        )
        seen.extend(getattr(layer, "input", None) for layer in network.layers)

    net = network(steps)
    net.loss_and_gradient(X, Y)  # leaves some
    net.fit((X, Y), callbacks=LambdaCallback(on_epoch_end=look))
    assert seen
    assert all(each is None for each in seen)


# ---- time


def test_a_time_limit_ends_after_an_epoch():
    def slow(network, row):
        time.sleep(0.02)

    limit = TimeLimit(0.05)
    net = network(epochs=1000).fit((X, Y), callbacks=[LambdaCallback(on_epoch_end=slow), limit])
    assert 1 <= net.history.epochs <= 3
    assert limit.used >= 0.05
    assert len(net.history["loss"]) == net.history.epochs
    net.fit((X, Y), epochs=2, callbacks=TimeLimit(1000.0))
    assert not net.stop_training
    for wrong in (0, -1.0, math.nan, "1h"):
        with pytest.raises(ValueError, match="seconds="):
            TimeLimit(wrong)


def test_the_time_of_a_resumed_training_goes_on(tmp_path):
    class Stopped(Exception):
        pass

    def stop(network, row):
        if row["epoch"] == 2:
            raise Stopped

    first = TimeLimit(3600.0)
    with pytest.raises(Stopped):
        network().fit(
            (X, Y), callbacks=[first, Checkpoint(tmp_path), LambdaCallback(on_epoch_end=stop)]
        )
    second = TimeLimit(3600.0)
    called = [second, Checkpoint(tmp_path), LambdaCallback()]
    seen = []
    second.on_epoch_begin = lambda network, epoch: seen.append(second.used)
    network().fit((X, Y), callbacks=called, resume=tmp_path)
    assert 0 < seen[0] <= first.used
    assert second.used > seen[0]


# ---- patience


def test_early_stopping_ignores_the_first_epochs():
    stopping = EarlyStopping("loss", patience=1, min_delta=100.0, start_from_epoch=4)
    net = network(epochs=9).fit((X, Y), callbacks=stopping)
    assert (stopping.best_epoch, net.history.epochs) == (5, 6)
    with pytest.raises(ValueError, match="start_from_epoch=-1"):
        EarlyStopping(start_from_epoch=-1)


@pytest.mark.parametrize("patience", [0, 1, 2, 3])
def test_patience_is_that_of_keras(patience):
    """Keras 3.3, EarlyStopping.on_epoch_end and ReduceLROnPlateau.on_epoch_end without cooldown."""
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 0.5, 0.6]
    best, wait, stopped = math.inf, 0, None
    for epoch, loss in enumerate(losses):
        wait += 1
        if loss < best:
            best, wait = loss, 0
        elif wait >= patience and epoch > 0:
            stopped = epoch + 1
            break
    best, wait, rate, rates = math.inf, 0, 0.1, []
    for loss in losses:
        rates.append(rate)
        if loss < best:
            best, wait = loss, 0
        else:
            wait += 1
            if wait >= patience:
                rate, wait = rate * 0.5, 0

    def script(network, row):
        network.history["loss"][-1] = losses[int(row["epoch"]) - 1]

    stopping = EarlyStopping("loss", patience=patience, restore_best_weights=False)
    scripted = LambdaCallback(on_epoch_end=script)
    network(epochs=len(losses)).fit((X, Y), callbacks=[scripted, stopping])
    assert stopping.stopped_epoch == stopped
    plateau = ReduceLROnPlateau("loss", 0.5, patience, min_delta=0.0)
    net = network(epochs=len(losses), learning_rate=0.1)
    net.fit((X, Y), callbacks=[scripted, plateau])
    np.testing.assert_allclose(net.history["learning_rate"], rates)


# ---- names of files, logging, names of losses


def test_names_of_checkpoints_have_epochs_and_columns(tmp_path):
    path = tmp_path / "ck-{epoch:03d}-{val_loss:.4f}.safetensors"
    checkpoint = ModelCheckpoint(path)
    net = network(epochs=3).fit((X, Y), validation=(X, Y), eval_every=2, callbacks=checkpoint)
    losses = ["nan" if math.isnan(x) else f"{x:.4f}" for x in net.history["val_loss"]]
    assert losses[0] == "nan"
    expected = [f"ck-{k:03d}-{text}.safetensors" for k, text in enumerate(losses, 1)]
    assert sorted(each.name for each in tmp_path.iterdir()) == expected
    assert load(checkpoint.saved[-1]).history.epochs == 3


def test_each_epoch_is_logged(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="xpnet"):
        network(epochs=2).fit((X, Y))
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    assert caplog.records[1].getMessage().startswith("Epoch 2/2 - loss: ")
    assert capsys.readouterr().out == ""
    caplog.clear()
    network(epochs=2, verbose=True).fit((X, Y))
    assert not caplog.records
    out = capsys.readouterr()
    assert out.out.count("Epoch ") == 2
    assert out.err == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cross_entropy", "softmax_cross_entropy"),
        ("CrossEntropyLoss", "softmax_cross_entropy"),
        ("ce", "softmax_cross_entropy"),
        ("sparse_categorical_crossentropy", "softmax_cross_entropy"),
        ("bce", "binary_cross_entropy"),
        ("log_loss", "binary_cross_entropy"),
        ("BCEWithLogitsLoss", "BinaryCrossEntropy(from_logits=True)"),
        ("L1", "mae"),
        ("smooth_l1", "huber"),
        ("kldiv", "kl_divergence"),
        ("squared_error", "mse"),
    ],
)
def test_other_libraries_names_of_losses_lead_to_ours(name, expected):
    with pytest.raises(xpnet.UnknownNameError) as error:
        NeuralNetwork(loss=name)
    assert f"unknown loss {name!r}: " in str(error.value)
    assert expected in str(error.value).partition(" Known:")[0]


def test_names_that_are_close_are_suggested_as_before():
    with pytest.raises(xpnet.UnknownNameError, match="did you mean 'huber'"):
        NeuralNetwork(loss="hubr")
    with pytest.raises(
        xpnet.UnknownNameError, match=r"unknown optimizer 'adm': did you mean 'adam"
    ):
        NeuralNetwork(optimizer="adm").add(DenseLayer(1, (1,)))
