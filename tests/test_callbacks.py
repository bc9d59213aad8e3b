"""Callbacks: when each is called, what early stopping stops and restores, what is written."""

import csv
import math
import re

import numpy as np
import pytest

from xpnet import (
    SGD,
    Callback,
    Checkpoint,
    CSVLogger,
    DenseLayer,
    DivergedError,
    Dropout,
    EarlyStopping,
    ExponentialDecay,
    LambdaCallback,
    ModelCheckpoint,
    NeuralNetwork,
    ReduceLROnPlateau,
    StopOnNaN,
    TanhActivation,
    TensorBoard,
    load,
)
from xpnet.backends import to_host


def samples(n=40):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 4))
    return X, (X[:, 0] > 0).astype(np.int64)


def network(**arguments):
    arguments = {
        "epochs": 6,
        "batch_size": 8,
        "loss": "softmax_cross_entropy",
        "seed": 0,
    } | arguments
    net = NeuralNetwork(**{"metric": "accuracy"} | arguments)
    return net.add(DenseLayer(5, (4,))).add(TanhActivation()).add(Dropout(0.1)).add(DenseLayer(2))


def parameters(net):
    return to_host(net.parameters.copy())


class Noted(Callback):
    """Notes what it is called with."""

    def __init__(self, name, into):
        self.name, self.into = name, into

    def on_train_begin(self, network, columns):
        self.into.append((self.name, "begin", tuple(columns)))

    def on_epoch_begin(self, network, epoch):
        self.into.append((self.name, "epoch", epoch, network.history.epochs))

    def on_epoch_end(self, network, row):
        self.into.append((self.name, "done", row["epoch"], network.history.epochs))

    def on_train_end(self, network):
        self.into.append((self.name, "end"))


def test_they_are_called_in_order():
    calls = []
    columns = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    net = network().fit(
        samples(), validation=samples(), epochs=2, callbacks=[Noted("a", calls), Noted("b", calls)]
    )
    both = [(name, *what) for what in [("begin", columns)] for name in "ab"]
    for epoch in range(2):
        both += [(name, "epoch", epoch, epoch) for name in "ab"]
        both += [(name, "done", epoch + 1, epoch + 1) for name in "ab"]
    assert calls == [*both, ("b", "end"), ("a", "end")]
    assert set(net.history) == set(columns)


def test_the_end_is_called_after_an_error_too(ctrl_c):
    import _thread

    for wrong, error in ((lambda *_: 1 / 0, ZeroDivisionError), (None, KeyboardInterrupt)):
        calls = []
        wrong = wrong or (lambda *_: _thread.interrupt_main())
        with pytest.raises(error):
            network().fit(
                samples(),
                callbacks=[Noted("a", calls), LambdaCallback(on_epoch_end=wrong)],
            )
        assert calls[-1] == ("a", "end")


def test_what_a_callback_raises_leaves_the_epochs_so_far():
    def wrong(network, row):
        if row["epoch"] == 2:
            raise OSError("the disk is full")

    net, expected = network(), network().fit(samples(), epochs=2)
    with pytest.raises(OSError, match="full"):
        net.fit(samples(), callbacks=LambdaCallback(on_epoch_end=wrong))
    assert net.history.epochs == 2
    np.testing.assert_array_equal(parameters(net), parameters(expected))


class Scripted(Callback):
    """Overwrites losses in the history with given ones; must come before watching callbacks."""

    def __init__(self, losses, column="val_loss"):
        self.losses, self.column, self.seen = losses, column, []

    def on_epoch_end(self, network, row):
        network.history[self.column][-1] = self.losses[int(row["epoch"]) - 1]
        self.seen.append(parameters(network))


# losses of the epochs -> patience, min_delta, the epoch after which it ends, the best one
SCRIPTS = [
    ([5, 4, 3, 4, 4, 4], 2, 0.0, 5, 3),
    ([5, 4, 3, 4, 4, 4], 1, 0.0, 4, 3),
    ([5, 4, 3, 4, 4, 4], 0, 0.0, 4, 3),
    ([5, 4, 3, 4, 2, 4], 2, 0.0, None, 5),
    ([5, 4.95, 4.9, 4.85, 4.8, 4.75], 3, 0.1, None, 4),
    ([5, 4.95, 4.9, 4.85, 4.8, 4.75], 2, 1.0, 3, 1),
    ([5, math.nan, 4, math.nan, 6, math.nan], 1, 0.0, 5, 3),
    ([5, 5, 5, 5, 5, 5], 3, 0.0, 4, 1),
    ([5, 5, 5, 5, 5, 5], 1, 0.0, 2, 1),
]


@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize(("losses", "patience", "min_delta", "stopped", "best"), SCRIPTS)
def test_early_stopping_by_a_script(losses, patience, min_delta, stopped, best, restore):
    script = Scripted(losses)
    stopping = EarlyStopping(patience=patience, min_delta=min_delta, restore_best_weights=restore)
    net = network().fit(samples(), validation=samples(), callbacks=[script, stopping])
    assert (stopping.stopped_epoch, stopping.best_epoch) == (stopped, best)
    assert net.history.epochs == (stopped or 6)
    kept = best if restore else net.history.epochs
    np.testing.assert_array_equal(parameters(net), script.seen[kept - 1])
    np.testing.assert_equal(net.history["val_loss"], losses[: net.history.epochs])


def test_early_stopping_on_a_metric_knows_which_way_is_better():
    for mode, stopped in (("auto", 4), ("max", 4), ("min", 3)):
        script = Scripted([0.5, 0.6, 0.7, 0.6, 0.5, 0.4], "val_accuracy")
        stopping = EarlyStopping("val_accuracy", patience=0, mode=mode)
        network().fit(samples(), validation=samples(), callbacks=[script, stopping])
        assert stopping.stopped_epoch == (stopped if mode != "min" else 2)
    rmse = EarlyStopping("val_rmse", patience=0)
    X, y = samples()
    net = network(loss="mse", metric="rmse")
    script = Scripted([0.5, 0.6, 0.7, 0.6, 0.5, 0.4], "val_rmse")
    net.fit((X, np.eye(2)[y]), validation=(X, np.eye(2)[y]), callbacks=[script, rmse])
    assert rmse.stopped_epoch == 2


def test_going_back_to_the_best_epoch_takes_optimizer_and_dropout_along():
    net, expected = network(optimizer="adam"), network(optimizer="adam")
    script, stopping = Scripted([3, 2, 1, 4, 5, 6]), EarlyStopping(patience=9)
    net.fit(samples(), validation=samples(), callbacks=[script, stopping])
    expected.fit(samples(), epochs=3)
    assert net.optimizer.n_updates == expected.optimizer.n_updates
    np.testing.assert_array_equal(net.optimizer.first_moment, expected.optimizer.first_moment)
    assert net.layers[2].n_masks == expected.layers[2].n_masks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"monitor": "val_loss"}, "'val_loss', which .*give fit its validation data"),
        ({"monitor": "val_acc"}, "'val_acc', which the history will not have"),
        ({"monitor": "acuracy"}, "'acuracy', .* not have: did you mean 'accuracy'"),
        ({"monitor": "val_accuracy"}, "'val_accuracy', .* not have: give fit its validation data"),
        ({"monitor": "los"}, "it will have epoch, loss, accuracy, learning_rate, seconds"),
    ],
)
def test_a_column_that_will_not_be_there_is_refused_before_training(arguments, message):
    net = network()
    with pytest.raises(ValueError, match=message):
        net.fit(samples(), callbacks=EarlyStopping(**arguments))
    assert net.history.epochs == 0


def test_of_a_function_the_way_has_to_be_said():
    net = network(metric=lambda y, p: 0.5)
    with pytest.raises(ValueError, match="give mode='min' or mode='max'"):
        net.fit(samples(), callbacks=EarlyStopping("<lambda>"))
    net.fit(samples(), callbacks=EarlyStopping("<lambda>", mode="max"), epochs=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping(mode="least"),
        lambda: EarlyStopping(patience=-1),
        lambda: EarlyStopping(min_delta=-1.0),
        lambda: ReduceLROnPlateau(factor=1.0),
        lambda: ModelCheckpoint("x", every=0),
    ],
)
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (EarlyStopping, r"write EarlyStopping\(...\)"),
        ([EarlyStopping], r"write EarlyStopping\(...\)"),
        ([3], "callbacks has 3: expected an instance of Callback"),
        ([print], r"expected an instance of Callback: write LambdaCallback\(on_epoch_end=\.\.\.\)"),
        ([None], "callbacks has None"),
        *(
            (each, f"callbacks={re.escape(repr(each))}: expected a Callback or a list of them")
            for each in ("early", 3, 2.5, True, math.sqrt)
        ),
    ],
)
def test_objects_that_are_not_callbacks_are_refused(bad, message):
    net = network()
    with pytest.raises(TypeError, match=message):
        net.fit(samples(), callbacks=bad)
    assert net.history.epochs == 0


@pytest.mark.parametrize(
    "none", [None, (), [], iter(())], ids=["None", "tuple", "list", "iterator"]
)
def test_callbacks_may_be_none_or_empty(none):
    assert network().fit(samples(), epochs=1, callbacks=none).history.epochs == 1


def test_callbacks_may_come_from_any_iterable():
    calls = []
    network().fit(samples(), epochs=1, callbacks=(Noted(name, calls) for name in "ab"))
    assert [name for name, what, *_ in calls if what == "begin"] == ["a", "b"]


def test_validation_now_and_then():
    net = network(epochs=5)
    net.fit(samples(), validation=samples(), eval_every=2)
    assert [math.isnan(value) for value in net.history["val_loss"]] == [
        True,
        False,
        True,
        False,
        False,
    ]
    stopping = EarlyStopping(patience=0)
    script = Scripted([math.nan, 3, math.nan, 4, math.nan, 5])
    net = network().fit(samples(), validation=samples(), eval_every=2, callbacks=[script, stopping])
    assert (stopping.stopped_epoch, stopping.best_epoch) == (4, 2)
    with pytest.raises(ValueError, match="eval_every="):
        net.fit(samples(), eval_every=0)


def test_the_learning_rate_falls_when_nothing_improves():
    plateau = ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1, min_lr=0.03)
    script = Scripted([3, 3, 3, 3, 3, 3, 3, 3, 3, 3])
    net = network(learning_rate=0.1, epochs=10)
    net.fit(samples(), validation=samples(), callbacks=[script, plateau])
    # Two epochs without an improvement, then one that is not counted.
    expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03]
    np.testing.assert_allclose(net.history["learning_rate"], expected)


def test_it_multiplies_what_the_schedule_says():
    plateau, script = ReduceLROnPlateau(factor=0.5, patience=0), Scripted([3, 3, 3, 3, 3, 3])
    net = network(optimizer=SGD(ExponentialDecay(0.32, 0.01)))
    net.fit(samples(), validation=samples(), callbacks=[script, plateau])
    plain = network(optimizer=SGD(ExponentialDecay(0.32, 0.01))).fit(samples())
    ratios = np.array(net.history["learning_rate"]) / plain.history["learning_rate"]
    np.testing.assert_allclose(ratios, [1, 1, 0.5, 0.25, 0.125, 0.0625])


def test_checkpoints_now_and_then(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "net-{epoch:02.0f}", every=2)
    kept = []
    note = LambdaCallback(on_epoch_end=lambda net, row: kept.append(parameters(net)))
    network(epochs=5).fit(samples(), callbacks=[checkpoint, note])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-02", "net-04"]
    for epoch in (2, 4):
        again = load(tmp_path / f"net-{epoch:02}")
        np.testing.assert_array_equal(parameters(again), kept[epoch - 1])
        assert again.history.epochs == epoch


def test_the_best_checkpoint_alone(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "best", best_only=True)
    script = Scripted([3, 2, 4, 1, 5, 6])
    network().fit(samples(), validation=samples(), callbacks=[script, checkpoint])
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert len(checkpoint.saved) == 3
    np.testing.assert_array_equal(parameters(load(tmp_path / "best")), script.seen[3])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ck-{epoch:03d}.safetensors", ["ck-001.safetensors", "ck-002.safetensors"]),
        ("ck-{epoch:03.0f}", ["ck-001", "ck-002"]),
        ("ck-{epoch}", ["ck-1", "ck-2"]),
        ("{epoch:x}-{learning_rate:.3f}-{learning_rate}", ["1-0.010-0.01", "2-0.010-0.01"]),
    ],
)
@pytest.mark.parametrize("best_only", [False, True])
def test_the_placeholders_in_checkpoint_names_are_filled_in(tmp_path, pattern, expected, best_only):
    checkpoint = ModelCheckpoint(tmp_path / pattern, "loss", best_only)
    net = network(epochs=2).fit(samples(), callbacks=[Scripted([2, 1], "loss"), checkpoint])
    assert sorted(path.name for path in tmp_path.iterdir()) == expected
    assert [load(path).history.epochs for path in checkpoint.saved] == [1, 2]
    again = load(checkpoint.saved[-1])
    again.fit(samples(), epochs=1, callbacks=ModelCheckpoint(tmp_path / pattern))
    assert len(list(tmp_path.iterdir())) == 3  # an epoch that was read from a file is whole too
    assert net.history.epochs == 2


@pytest.mark.parametrize(
    "pattern", ["{loss:d}", "{}", "{epoch", "{epoch[0]}", "{epoch.none}", "{epochs}", "{epoch:q}"]
)
def test_names_that_cannot_be_filled_in_are_refused(tmp_path, pattern):
    with pytest.raises(ValueError, match=r"cannot be filled in .*they are epoch, loss"):
        network().fit(samples(), callbacks=ModelCheckpoint(tmp_path / pattern))


def test_a_path_that_will_not_do_is_refused_before_training(tmp_path):
    net = network()
    with pytest.raises(ValueError, match=r"cannot be filled in .*val_loss"):
        net.fit(samples(), callbacks=ModelCheckpoint(tmp_path / "{val_loss:.3f}"))
    with pytest.raises(FileNotFoundError, match="no folder"):
        net.fit(samples(), callbacks=ModelCheckpoint(tmp_path / "none" / "net"))
    assert net.history.epochs == 0


def test_a_row_for_each_epoch_in_a_file(tmp_path):
    path, net = tmp_path / "log.csv", network(epochs=3)
    net.fit(samples(), validation=samples(), eval_every=2, callbacks=CSVLogger(path))
    net.fit(samples(), validation=samples(), epochs=1, callbacks=CSVLogger(path, append=True))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert [float(row["loss"]) for row in rows] == net.history["loss"]
    assert rows[0]["val_loss"] == ""
    assert float(rows[1]["val_loss"]) == net.history["val_loss"][1]
    with pytest.raises(ValueError, match="has the columns"):
        net.fit(samples(), callbacks=CSVLogger(path, append=True))


class Noting(Callback):
    """Adds a column to the history, from the second epoch of a training on."""

    def on_epoch_end(self, network, row):
        if row["epoch"] % 3 != 1:
            network.history.add("noted", row["epoch"] / 8)


def test_columns_that_other_callbacks_add_are_in_the_file(tmp_path):
    path, net = tmp_path / "log.csv", network(epochs=3)
    net.fit(samples(), callbacks=CSVLogger(path))
    net.fit(samples(), callbacks=[Noting(), CSVLogger(path, append=True)])
    net.fit(samples(), callbacks=[Noting(), CSVLogger(path, append=True)])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["noted"] for row in rows] == ["", "", "", "", "0.625", "0.75", "", "1.0", "1.125"]
    assert [float(row["loss"]) for row in rows] == net.history["loss"]
    assert [float(row["epoch"]) for row in rows] == net.history["epoch"]


def test_a_resumed_file_has_the_columns_of_other_callbacks(tmp_path):
    path, run = tmp_path / "log.csv", tmp_path / "run"

    def called():
        return [Noting(), CSVLogger(path), Checkpoint(run)]

    whole = network(epochs=6, seed=0).fit(samples(), callbacks=[Noting(), CSVLogger(path)])
    expected = [line.rsplit(",", 2) for line in path.read_text().splitlines()]  # without the time
    network(epochs=6, seed=0).fit(samples(), epochs=3, callbacks=called())
    network(epochs=6, seed=0).fit(samples(), callbacks=called(), resume=run)
    found = [line.rsplit(",", 2) for line in path.read_text().splitlines()]
    assert [(a[0], a[2]) for a in found] == [(a[0], a[2]) for a in expected]
    assert len(found) == 1 + whole.history.epochs


def test_the_file_of_an_estimator_has_its_validation_scores(tmp_path):
    path = tmp_path / "log.csv"
    X = np.random.default_rng(0).normal(size=(60, 3))
    estimators = pytest.importorskip("xpnet.estimators")
    est = estimators.MLPRegressor(
        early_stopping=True, max_iter=4, random_state=0, callbacks=[CSVLogger(path)]
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        est.fit(X, X[:, 0])
    with path.open(newline="") as file:
        scores = [float(row["val_score"]) for row in csv.DictReader(file)]
    assert scores == est.validation_scores_


def test_numbers_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import directory_check

    net = network(epochs=2).fit(samples(), callbacks=TensorBoard(tmp_path / "run"))
    (path,) = (tmp_path / "run").iterdir()
    directory_check(str(path))
    found, data = {}, path.read_bytes()
    while data:  # records: length, its checksum, the event, its checksum
        size = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        data = data[16 + size :]
    assert [step for step, _ in found["loss"]] == [1, 2]
    np.testing.assert_allclose(
        [value for _, value in found["loss"]], net.history["loss"], rtol=1e-6
    )
    assert "epoch" not in found


def test_a_loss_that_is_not_finite_may_end_training_quietly():
    quiet, calls = StopOnNaN(), []

    def spoil(network, epoch):
        if epoch == 2:
            network.optimizer.learning_rate = 1e300

    def make():
        return network(loss="softmax_cross_entropy", optimizer=SGD(0.1, momentum=0.0))

    spoiled = [LambdaCallback(on_epoch_begin=spoil), Noted("a", calls)]
    net, expected = make(), make().fit(samples(), epochs=2)
    with np.errstate(all="ignore"):
        net.fit(samples(), callbacks=[*spoiled, quiet])
        assert "epoch 3" in quiet.message
        assert net.history.epochs == 2
        assert calls[-1] == ("a", "end")
        np.testing.assert_array_equal(parameters(net), parameters(expected))
        with pytest.raises(DivergedError):
            make().fit(samples(), callbacks=spoiled)


def test_functions_in_the_place_of_a_class():
    seen = []
    given = {
        name: lambda *arguments, name=name: seen.append(name)
        for name in ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")
    }
    network().fit(samples(), epochs=1, callbacks=LambdaCallback(**given))
    assert seen == list(given)
    with pytest.raises(TypeError, match="on_epoch_end=3: expected a function"):
        LambdaCallback(on_epoch_end=3)
