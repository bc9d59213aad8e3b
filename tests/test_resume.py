"""``fit(resume=...)``: a training that was broken off comes to the same result, bit for bit."""

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import xpnet
from tests.resuming import (
    EPOCHS,
    KINDS,
    X32,
    N,
    Y,
    classifier,
    differences,
    result,
    start,
    train,
)
from xpnet import (
    SGD,
    Adam,
    Callback,
    CategoricalEmbeddings,
    Dataset,
    DenseLayer,
    EarlyStopping,
    LambdaCallback,
    LinearActivation,
    ModelFileError,
    NeuralNetwork,
    ReLUActivation,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.callbacks import Checkpoint, CSVLogger, ModelCheckpoint, TensorBoard
from xpnet.common.replacing import replacing
from xpnet.training import memory

pytest.importorskip("tensorboardX", reason="tensorboardX, which a callback needs, is missing")

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def chunks_as_before(monkeypatch):
    """Undo what ``tests.resuming.streamed`` sets in the process that calls it."""
    monkeypatch.setattr(memory, "CHUNK_BYTES", memory.CHUNK_BYTES)


class Broken(Exception):
    """What a callback raises to break training off."""


def breaking_at(epoch):
    def between(network, row):
        if row["epoch"] == epoch:
            raise Broken

    return between


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the results of trainings without an interruption, by kind."""
    made = {}

    def of(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = result(*train(kind, folder), folder)
        return made[kind]

    return of


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_is_broken_off_again_and_again_ends_the_same(kind, every, whole, tmp_path):
    for epoch in (1, 2, 4, 8, 9):
        with pytest.raises(Broken):
            train(kind, tmp_path, breaking_at(epoch), every)
    net, callbacks = train(kind, tmp_path, None, every)
    assert differences(result(net, callbacks, tmp_path), whole(kind)) == []
    # Once more, with nothing left to do.
    assert differences(result(*train(kind, tmp_path, None, every), tmp_path), whole(kind)) == []


@pytest.mark.filterwarnings("ignore:.* spans the network's epochs=12")
@pytest.mark.parametrize("kind", KINDS)
def test_more_epochs_go_on_further(kind, whole, tmp_path):
    for epochs in (3, 7, EPOCHS):
        net, callbacks = train(kind, tmp_path, epochs=epochs)
        assert net.history.epochs <= epochs
    if "eval_every" not in KINDS[kind](tmp_path)[1]:  # the last epoch of each is evaluated
        assert differences(result(net, callbacks, tmp_path), whole(kind)) == []
    assert train(kind, tmp_path, epochs=2)[0].history.epochs == net.history.epochs


# ---- processes that are killed


SOME_KILLS = [*range(3), *(pytest.param(k, marks=pytest.mark.slow) for k in range(3, 12))]


@pytest.mark.parametrize("number", SOME_KILLS)
def test_a_process_that_is_killed_is_resumed(number, whole, tmp_path):
    rng = np.random.default_rng(number)
    kind = [*KINDS][number % len(KINDS)]
    sent = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT][number % 3]
    process = start(kind, tmp_path)
    time.sleep(rng.uniform(0, 0.5))
    process.send_signal(sent)
    errors = process.communicate(timeout=100)[1]
    if sent == signal.SIGTERM:
        assert process.returncode in (143, -signal.SIGTERM, 0), errors
    last = start(kind, tmp_path)
    errors = last.communicate(timeout=100)[1]
    assert last.returncode == 0, errors
    with np.load(tmp_path / "result.npz") as found:
        assert differences(dict(found), whole(kind)) == []


# ---- SIGINT and SIGTERM


class Signalling(LinearActivation):
    """A layer that sends this process a signal in a certain training step."""

    def __init__(self, number=signal.SIGTERM, steps=(12,)):
        self.number, self.steps, self.passed = int(number), steps, 0

    def forward_propagation(self, input, training=True):
        self.passed += training
        if training and self.passed in self.steps:
            signal.raise_signal(self.number)
        return super().forward_propagation(input, training)


@pytest.fixture
def usual_signals():
    """The handlers that Python has by default."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Noting(Callback):
    def __init__(self):
        self.calls = []

    def on_epoch_end(self, network, row):
        self.calls.append(int(row["epoch"]))

    def on_train_end(self, network):
        self.calls.append("end")


def plain(*layers, **arguments):
    """Return a small network; ``layers`` come before the last one."""
    net = classifier(**arguments).add(DenseLayer(4, (6,))).add(TanhActivation())
    for layer in layers:
        net.add(layer)
    return net.add(DenseLayer(2))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("usual_signals")
def test_a_signal_ends_training_after_the_step(number, tmp_path):
    net, noting = plain(Signalling(number)), Noting()
    with pytest.raises((SystemExit, KeyboardInterrupt)) as raised:
        net.fit((X32, Y), callbacks=[noting, CSVLogger(tmp_path / "log.csv")], validation=(X32, Y))
    if number == signal.SIGTERM:
        assert raised.value.code == 143
    assert noting.calls == [1, 2, "end"]
    assert net.optimizer.n_updates == 12  # of 5 in an epoch
    assert net.history.incomplete == (3,)
    assert np.isnan(net.history["val_loss"][2])
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    net.save(tmp_path / "net")
    again = xpnet.load(tmp_path / "net")
    assert again.history.incomplete == (3,)
    again.fit((X32, Y), epochs=1)
    assert again.history.incomplete == (3,)
    assert again.history["epoch"] == [1, 2, 3, 4]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("usual_signals")
def test_a_signal_in_the_last_step_leaves_a_whole_epoch():
    net, noting = plain(Signalling(steps=(10,))), Noting()
    with pytest.raises(SystemExit):
        net.fit((X32, Y), callbacks=noting)
    assert noting.calls == [1, 2, "end"]
    assert net.history.incomplete == ()


@pytest.mark.usefixtures("usual_signals")
def test_a_second_signal_ends_training_at_once():
    class Twice(Signalling):
        def forward_propagation(self, input, training=True):
            super().forward_propagation(input, training)
            return super().forward_propagation(input, training)

    net = plain(Twice(steps=(11, 12)))
    with pytest.raises(SystemExit) as raised:
        net.fit((X32, Y))
    assert raised.value.code == 143
    assert net.history.epochs == 1
    assert net.optimizer.n_updates == 5


@pytest.mark.usefixtures("usual_signals")
def test_a_handler_of_the_users_for_sigterm_is_left_alone():
    seen = []
    signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    assert plain(Signalling()).fit((X32, Y), epochs=3).history.epochs == 3
    assert seen == [1]


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.usefixtures("usual_signals")
def test_a_checkpoint_of_the_last_whole_epoch_is_there_after_a_signal(every, tmp_path, monkeypatch):
    def training(*steps, folder=tmp_path):
        net = plain(Signalling(steps=steps), optimizer=Adam(0.01))
        stopping = EarlyStopping("loss", patience=9, restore_best_weights=False)
        return net, {"callbacks": [Checkpoint(folder, every), stopping], "resume": folder}

    net, arguments = training(34)
    with pytest.raises(SystemExit):
        net.fit((X32, Y), **arguments)
    assert net.history.epochs == 7
    assert net.optimizer.n_updates == 34  # the network in memory keeps its steps
    newest = sorted(tmp_path.iterdir())[-1]
    assert newest.name == "checkpoint-000006.safetensors"
    assert xpnet.load(newest).optimizer.n_updates == 30
    again, arguments = training(34)
    monkeypatch.setattr(signal, "raise_signal", lambda number: None)
    again.fit((X32, Y), **arguments)
    other, arguments = training(folder=tmp_path / "other")
    other.fit((X32, Y), **arguments)
    np.testing.assert_array_equal(parameters(again), parameters(other))
    assert again.history.incomplete == ()


class Narrowing(Callback):
    """Changes the network before each epoch, by what it was."""

    def on_epoch_begin(self, network, epoch):
        for layer in network.layers:
            if isinstance(layer, xpnet.Dropout):
                layer.rate *= 0.9


class CountingSteps(LinearActivation):
    """A user's layer whose output depends on a setting that every step changes."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def forward_propagation(self, input, training=True):
        if training:
            self.factor *= 0.999
        return super().forward_propagation(input * input.dtype.type(self.factor), training)


@pytest.mark.usefixtures("usual_signals")
def test_a_checkpoint_has_nothing_of_the_epoch_that_was_cut(tmp_path, monkeypatch):
    def training(folder):
        layers = xpnet.Dropout(0.4), CountingSteps(), Signalling(steps=(34,))
        net = plain(*layers, optimizer=Adam(0.01), steps="formulas")
        called = [Checkpoint(folder, every=4), Narrowing()]
        return net.fit((X32, Y), callbacks=called, resume=folder)

    with pytest.raises(SystemExit):
        training(tmp_path / "a")
    assert files(tmp_path / "a") == [4, 6]
    monkeypatch.setattr(signal, "raise_signal", lambda number: None)
    one, other = training(tmp_path / "a"), training(tmp_path / "b")
    assert one.history["loss"] == other.history["loss"]
    np.testing.assert_array_equal(parameters(one), parameters(other))
    assert one.layers[2].rate == other.layers[2].rate
    assert one.layers[3].factor == other.layers[3].factor


def parameters(net):
    return to_host(net.parameters.copy())


@pytest.mark.usefixtures("usual_signals")
def test_training_after_an_epoch_that_was_cut_is_resumed_too(tmp_path, monkeypatch):
    net = plain(Signalling())
    with pytest.raises(SystemExit):
        net.fit((X32, Y))
    net.save(tmp_path / "net")
    monkeypatch.setattr(signal, "raise_signal", lambda number: None)

    def run(epochs, folder):
        again = xpnet.load(tmp_path / "net")
        return again.fit((X32, Y), epochs=epochs, callbacks=Checkpoint(folder), resume=folder)

    run(2, tmp_path / "a")
    nets = run(4, tmp_path / "a"), run(4, tmp_path / "b")
    assert nets[0].history.incomplete == (3,)
    assert nets[0].history["loss"] == nets[1].history["loss"]
    np.testing.assert_array_equal(*map(parameters, nets))


# ---- which checkpoints stay, and damaged ones


def files(folder):
    return [int(path.stem.rpartition("-")[2]) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [6, 7]),
        ({"keep": 3}, [5, 6, 7]),
        ({"keep": 1}, [7]),
        ({"every": 3, "keep": 9}, [0, 3, 6, 7]),
        ({"every_seconds": 1000.0}, [0, 7]),
        ({"every_seconds": 0.0, "keep": 9}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_which_checkpoints_are_there_afterwards(options, expected, tmp_path):
    plain().fit((X32, Y), epochs=7, callbacks=Checkpoint(tmp_path / "a" / "b", **options))
    assert files(tmp_path / "a" / "b") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every=0"),
        ({"keep": 0}, "keep=0"),
        ({"every_seconds": -1.0}, "every_seconds=-1.0"),
    ],
)
def test_settings_of_checkpoints_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint("run", **options)


def test_the_checkpoint_before_a_damaged_one_is_taken(tmp_path):
    expected = plain().fit((X32, Y), epochs=8)
    plain().fit((X32, Y), epochs=5, callbacks=Checkpoint(tmp_path))
    newest = tmp_path / "checkpoint-000005.safetensors"
    newest.write_bytes(newest.read_bytes()[:-7])
    net, arguments = plain(), {"callbacks": Checkpoint(tmp_path), "resume": tmp_path}
    with pytest.warns(UserWarning, match=r"checkpoint-000005.* resumed from .*-000004"):
        net.fit((X32, Y), epochs=8, **arguments)
    np.testing.assert_array_equal(parameters(net), parameters(expected))
    assert files(tmp_path) == [7, 8]
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="all checkpoints are damaged"):
        net.fit((X32, Y), epochs=9, **arguments)


def test_a_checkpoint_is_a_model_file(tmp_path):
    net = plain().fit((X32, Y), epochs=3, callbacks=[Checkpoint(tmp_path), EarlyStopping("loss")])
    again = xpnet.load(sorted(tmp_path.iterdir())[-1])
    np.testing.assert_array_equal(again.predict(X32), net.predict(X32))
    again.save(tmp_path / "again")
    xpnet.load(tmp_path / "again").fit((X32, Y), epochs=1)


# ---- what is refused


def unlike(**arguments):
    """Return what fit is given, changed."""
    return {"X": (X32, Y), "epochs": 6, "validation": (X32[:40], Y[:40])} | arguments


OTHERS = {
    "samples": (plain, unlike(X=(X32[:100], Y[:100])), "samples: 150, now 100"),
    "features": (plain, unlike(X=(2 * X32, Y)), "training data.checksum of X"),
    "targets": (plain, unlike(X=(X32, Y[::-1])), "checksum of y"),
    "weights": (plain, unlike(X=(X32, Y, np.ones(N))), "sample weights: None, now float64"),
    "type": (plain, unlike(X=(X32.astype(float), Y)), "type of X: float32, now float64"),
    "validation": (
        plain,
        unlike(validation=(X32[:9], Y[:9])),
        "validation data.samples: 40, now 9",
    ),
    "eval_every": (plain, unlike(eval_every=2), "eval_every: 1, now 2"),
    "seed": (lambda: plain(seed=4), unlike(), "network.seed: 3, now 4"),
    "batch size": (lambda: plain(batch_size=31), unlike(), "batch_size: 32, now 31"),
    "type of the network": (
        lambda: plain(dtype="float64"),
        unlike(),
        "dtype: float32, now float64",
    ),
    "shuffle": (lambda: plain(shuffle=False), unlike(), "network.shuffle: True, now False"),
    "optimizer": (lambda: plain(optimizer=Adam(0.1)), unlike(), "optimizer.class: SGD, now Adam"),
    "rate": (lambda: plain(optimizer=SGD(0.2)), unlike(), "learning_rate.*0.1, now 0.2"),
    "layer": (lambda: plain(ReLUActivation()), unlike(), "layers"),
    "units": (
        lambda: classifier().add(DenseLayer(5, (6,))).add(TanhActivation()).add(DenseLayer(2)),
        unlike(),
        r"layers\.0\.arguments\.n_units: 4, now 5",
    ),
    "callback": (plain, unlike(callbacks=[]), "callbacks"),
    "order of callbacks": (
        plain,
        unlike(callbacks=[LambdaCallback(), EarlyStopping()]),
        r"callbacks\.0: EarlyStopping, now LambdaCallback",
    ),
    "epochs": (
        lambda: plain().fit((X32, Y), epochs=9),
        unlike(),
        "has been trained for 9 epochs, but .* the checkpoint has 4",
    ),
    "other epochs": (
        lambda: plain().fit((X32[::-1], Y[::-1]), epochs=2),
        unlike(),
        "has been trained differently",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_training_is_refused_before_anything_changes(what, tmp_path):
    make, arguments, message = OTHERS[what]
    callbacks = [EarlyStopping(), LambdaCallback()]
    first = plain(optimizer=SGD(0.1))
    first.fit(**unlike(epochs=4), callbacks=[*callbacks, Checkpoint(tmp_path)])
    net = make()
    if what not in ("optimizer", "rate"):
        net.optimizer = SGD(0.1) if net.history.epochs == 0 else net.optimizer
    before, epochs = parameters(net), net.history.epochs
    refusal = rf"is of another training run .*{message}.*give fit the same"
    with pytest.raises(ValueError, match=refusal):
        net.fit(**{"callbacks": callbacks} | arguments, resume=tmp_path)
    np.testing.assert_array_equal(parameters(net), before)
    assert net.history.epochs == epochs
    assert files(tmp_path) == [3, 4]


# ---- the names in the data


def named(feature_names=("u", "v"), categories=None, label_name="sort", y=None, class_names=None):
    """Return 40 samples; other names do not change their numbers."""
    numbers = np.tile(np.arange(2.0), 20)
    y = np.where(numbers > 0, "pos", "neg") if y is None else y
    features = np.column_stack([np.linspace(0, 1, 40), numbers])
    categories = {feature_names[1]: ["x", "y"]} if categories is None else categories
    return Dataset(features, y, feature_names, label_name, None, class_names, categories)


def small():
    net = NeuralNetwork(loss="softmax_cross_entropy", metric="accuracy", seed=0, batch_size=10)
    return net.add(CategoricalEmbeddings({1: 2}, input_shape=(2,))).add(DenseLayer(2))


CLASSES = np.tile([0, 1], 20)
OTHER_NAMES = {
    "renamed column": (named(["u", "w"]), "feature_names.1: v, now w; categories.v: .*, now None"),
    "swapped columns": (named(["v", "u"], {"u": ["x", "y"]}), "feature_names.0: u, now v"),
    "categories": (named(categories={"v": ["y", "x"]}), "categories.v.0: x, now y"),
    "label": (named(label_name="kind"), "label_name: sort, now kind"),
    "other texts": (named(y=np.where(CLASSES, "z", "a")), "class_names.0: neg, now a"),
    "numbers": (named(y=CLASSES), r"class_names: \['neg', 'pos'\], now None"),
    "order": (named(y=CLASSES, class_names=["pos", "neg"]), "class_names.0: neg, now pos"),
    "array of numbers": ((named().X, CLASSES), r"class_names: \['neg', 'pos'\], now None"),
}


@pytest.mark.parametrize("in_batches", [False, True])
@pytest.mark.parametrize("what", OTHER_NAMES)
def test_other_names_in_the_data_are_refused(what, in_batches, tmp_path):
    def fit(net, data, epochs):
        given = {"batches": [data]} if in_batches else {"X": data}
        return net.fit(**given, epochs=epochs, callbacks=Checkpoint(tmp_path), resume=tmp_path)

    fit(small(), named(), 2)
    net, (data, message) = small(), OTHER_NAMES[what]
    before = parameters(net)
    with pytest.raises(ValueError, match=rf"is of another training run \(.*{message}"):
        fit(net, data, 4)
    np.testing.assert_array_equal(parameters(net), before)
    assert (net.feature_names, net.label_name, net.class_names) == (None, None, None)
    assert net.categories == {}
    again = fit(net, named(), 4)
    whole = small().fit(**{"batches": [named()]} if in_batches else {"X": named()}, epochs=4)
    np.testing.assert_array_equal(parameters(again), parameters(whole))
    for name in ("feature_names", "label_name", "class_names", "categories", "has_text_labels"):
        assert getattr(again, name) == getattr(whole, name), name
    assert again.evaluate(named()) == whole.evaluate(named())


@pytest.mark.parametrize("in_batches", [False, True])
@pytest.mark.parametrize("names_first", [False, True])
def test_data_without_names_fit_data_with_names(names_first, in_batches, tmp_path):
    with_names = named(y=CLASSES, class_names=["neg", "pos"])
    both = [with_names, (with_names.X, CLASSES)]
    for epochs, data in zip((2, 4), both if names_first else both[::-1], strict=True):
        given = {"batches": [data]} if in_batches else {"X": data}
        net = small().fit(**given, epochs=epochs, callbacks=Checkpoint(tmp_path), resume=tmp_path)
    whole = small().fit(**{"batches": [with_names]} if in_batches else {"X": with_names}, epochs=4)
    np.testing.assert_array_equal(parameters(net), parameters(whole))
    for each in (net, xpnet.load(tmp_path / "checkpoint-000004.safetensors")):
        for name in ("feature_names", "label_name", "class_names", "categories"):
            assert getattr(each, name) == getattr(whole, name), name
    with pytest.raises(ValueError, match=r"is of another training .*label_name: sort, now kind"):
        small().fit(named(y=CLASSES, label_name="kind"), epochs=5, resume=tmp_path)


def test_a_folder_with_other_names_is_not_written_to(tmp_path):
    def fit(data, epochs, to, resume=None):
        return small().fit(data, epochs=epochs, callbacks=Checkpoint(tmp_path / to), resume=resume)

    fit(named(), 2, "one")
    fit(named(label_name="kind"), 2, "other")
    with pytest.raises(FileExistsError, match=r"2 checkpoint.* of another training"):
        fit(named(), 3, "other", resume=tmp_path / "one")
    assert fit(named(), 3, "one", resume=tmp_path / "one").history.epochs == 3


def test_names_of_an_earlier_training_are_those_of_a_resumed_one(tmp_path):
    def fit(net, epochs):
        data = (named().X, CLASSES)
        return net.fit(data, epochs=epochs, callbacks=Checkpoint(tmp_path), resume=tmp_path)

    def earlier():
        return small().fit(named(y=CLASSES, class_names=["neg", "pos"]), epochs=1)

    fit(earlier(), 2)
    net = fit(earlier(), 4)
    assert (net.feature_names, net.categories) == (["u", "v"], {"v": ["x", "y"]})
    assert (net.class_names, net.history.epochs) == (["neg", "pos"], 5)
    assert fit(net, 5).history.epochs == 6


def test_restart_and_resume_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="restart=True and resume="):
        plain().fit((X32, Y), restart=True, resume=tmp_path)


def test_a_folder_with_another_training_is_not_written_to(tmp_path):
    plain().fit((X32, Y), epochs=4, callbacks=Checkpoint(tmp_path))
    with pytest.raises(FileExistsError, match=r"checkpoint.* of another training run, .*resume="):
        plain().fit((X32, Y), epochs=4, callbacks=Checkpoint(tmp_path))
    assert files(tmp_path) == [3, 4]


def test_a_refused_folder_leaves_the_log_as_it_was(tmp_path):
    log = tmp_path / "log.csv"
    plain().fit((X32, Y), epochs=2, callbacks=[CSVLogger(log), Checkpoint(tmp_path / "run")])
    before = log.read_bytes()
    with pytest.raises(FileExistsError, match="of another training"):
        plain().fit((X32, Y), callbacks=[CSVLogger(log), Checkpoint(tmp_path / "run")])
    assert log.read_bytes() == before


def test_a_training_may_have_two_folders(tmp_path):
    def run(epochs, resume, **arguments):
        called = [Checkpoint(tmp_path / "a"), Checkpoint(tmp_path / "b", every=3, keep=9)]
        net = plain(**arguments)
        net.fit((X32, Y), epochs=epochs, callbacks=called, resume=tmp_path / resume)
        return net

    run(5, "a")
    (tmp_path / "b" / "checkpoint-000005.safetensors").unlink()
    expected = plain().fit((X32, Y), epochs=7)
    np.testing.assert_array_equal(parameters(run(7, "a")), parameters(expected))
    assert files(tmp_path / "b") == [0, 3, 6, 7]
    for each in (6, 7):
        (tmp_path / "a" / f"checkpoint-{each:06d}.safetensors").unlink()
    plain().fit((X32, Y), epochs=4, callbacks=Checkpoint(tmp_path / "c"))
    called = [Checkpoint(tmp_path / "c"), Checkpoint(tmp_path / "b", keep=9)]
    plain().fit((X32, Y), epochs=5, callbacks=called, resume=tmp_path / "c")  # b is ahead
    assert files(tmp_path / "b") == [0, 3, 5, 6, 7]
    plain(seed=4).fit((X32, Y), epochs=9, callbacks=Checkpoint(tmp_path / "d"))
    called[0] = Checkpoint(tmp_path / "d")
    with pytest.raises(FileExistsError, match=r"b has 5 .* of another training"):
        plain(seed=4).fit((X32, Y), epochs=9, callbacks=called, resume=tmp_path / "d")
    assert files(tmp_path / "b") == [0, 3, 5, 6, 7]


def test_what_only_has_the_name_of_a_checkpoint_is_passed_over(tmp_path):
    plain().fit((X32, Y), epochs=2, callbacks=Checkpoint(tmp_path))
    (tmp_path / "checkpoint-000007.safetensors").mkdir()
    (tmp_path / "checkpoint-000008.safetensors").symlink_to(tmp_path / "nowhere")
    net = plain().fit((X32, Y), epochs=3, callbacks=Checkpoint(tmp_path), resume=tmp_path)
    assert net.history.epochs == 3
    assert files(tmp_path) == [2, 3, 7, 8]


def test_a_checkpoint_that_another_process_removes_meanwhile_is_passed_over(tmp_path, monkeypatch):
    expected = plain().fit((X32, Y), epochs=5)
    plain().fit((X32, Y), epochs=3, callbacks=Checkpoint(tmp_path))
    from xpnet.model_files import checkpoints

    whole = checkpoints.read

    def read(path):
        if path.name.endswith("3.safetensors") and path.exists():
            path.unlink()
        return whole(path)

    monkeypatch.setattr(checkpoints, "read", read)
    net = plain().fit((X32, Y), epochs=5, callbacks=Checkpoint(tmp_path), resume=tmp_path)
    np.testing.assert_array_equal(parameters(net), parameters(expected))


def test_a_killed_process_leaves_nothing_whatever_epoch_it_was_writing(tmp_path):
    code = """
import os, sys
from pathlib import Path
from tests.test_resume import X32, Y, Checkpoint, plain
from xpnet.common.temporary import TemporaryFile

move_to = TemporaryFile.move_to
TemporaryFile.move_to = lambda self, target: (
    os.kill(os.getpid(), 9) if "-000002" in target.name else move_to(self, target)
)
plain().fit((X32, Y), epochs=3, callbacks=Checkpoint(sys.argv[1], every=2))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    suffixes = {path.suffix for path in tmp_path.iterdir() if path.name != ".xpnet-lock"}
    assert suffixes == {".part", ".safetensors"}
    (tmp_path / ".xpnet-notes.part").write_text("a user's")
    with replacing(tmp_path / "checkpoint-000003.safetensors") as file:  # of a living process
        plain().fit((X32, Y), epochs=1, callbacks=Checkpoint(tmp_path, every=3), resume=tmp_path)
        assert len([*tmp_path.glob(".xpnet-*-*.part")]) == 1
        file.write(b"")
    assert (tmp_path / ".xpnet-notes.part").exists()
    assert [*tmp_path.glob(".xpnet-*-*.part")] == []


def test_a_folder_that_is_a_file_is_refused_by_name(tmp_path):
    path = tmp_path / "run"
    path.write_text("notes")
    with pytest.raises(FileExistsError, match=r"the folder .*run for checkpoints cannot be made: "):
        plain().fit((X32, Y), callbacks=Checkpoint(path))
    with pytest.raises(NotADirectoryError, match=r"run is a file: expected a folder"):
        plain().fit((X32, Y), resume=path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    plain().fit((X32, Y), epochs=2, callbacks=Checkpoint(tmp_path))
    newest = tmp_path / "checkpoint-000002.safetensors"
    with pytest.raises(NotADirectoryError, match=r"is a file: .* give its folder, "):
        plain().fit((X32, Y), epochs=2, resume=newest)
    other = tmp_path / "log.csv"
    other.touch()
    with pytest.raises(NotADirectoryError, match=r"log.csv is a file: .* give another path"):
        plain().fit((X32, Y), epochs=2, resume=other)


def test_a_state_that_a_callback_does_not_have_is_named(tmp_path):
    class Odd(Callback):
        state_names = ("count",)

    with pytest.raises(AttributeError, match=r"Odd\.state_names has 'count', .* on_train_begin"):
        plain().fit((X32, Y), epochs=1, callbacks=[Odd(), Checkpoint(tmp_path)])


def test_load_names_the_newest_checkpoint_of_a_folder(tmp_path):
    plain().fit((X32, Y), epochs=2, callbacks=Checkpoint(tmp_path))
    with pytest.raises(IsADirectoryError, match=r"newest .* is .*checkpoint-000002\.safetensors"):
        xpnet.load(tmp_path)


def test_a_state_that_a_file_cannot_hold_is_refused_before_training(tmp_path):
    class Odd(Callback):
        state_names = ("thing",)
        thing = object()

    net = plain()
    with pytest.raises(TypeError, match="Odd's state 'thing' cannot be saved"):
        net.fit((X32, Y), callbacks=[Odd(), Checkpoint(tmp_path)])
    assert net.history.epochs == 0


# ---- going on in the same process, after other training, and without a seed


def test_the_same_network_may_go_on(tmp_path):
    expected = plain().fit((X32, Y), epochs=6)
    net, called = plain(), [Checkpoint(tmp_path, every=2)]
    with pytest.raises(Broken):
        net.fit((X32, Y), epochs=6, callbacks=LambdaCallback(on_epoch_end=breaking_at(3)))
    net = plain()
    breaks = LambdaCallback(on_epoch_end=breaking_at(3))
    with pytest.raises(Broken):
        net.fit((X32, Y), epochs=6, callbacks=[*called, breaks])
    with pytest.raises(ValueError, match=r"trained for 3 epochs, but .* the checkpoint has 2"):
        net.fit((X32, Y), epochs=6, callbacks=[*called, LambdaCallback()], resume=tmp_path)
    net = plain().fit((X32, Y), epochs=1)
    net.fit((X32, Y), epochs=6, callbacks=[*called, LambdaCallback()], resume=tmp_path)
    np.testing.assert_array_equal(parameters(net), parameters(expected))


def test_epochs_count_from_where_the_first_call_began(tmp_path):
    def train_twice(epochs, last=None):
        net = plain().fit((X32, Y), epochs=3)
        called = [Checkpoint(tmp_path), LambdaCallback(on_epoch_end=breaking_at(last))]
        return net.fit((X32, Y), epochs=epochs, callbacks=called, resume=tmp_path)

    expected = plain().fit((X32, Y), epochs=8)
    with pytest.raises(Broken):
        train_twice(5, 6)
    net = train_twice(5)
    assert net.history.epochs == 8
    np.testing.assert_array_equal(parameters(net), parameters(expected))


def test_without_a_seed_the_streams_of_the_first_network_go_on(tmp_path):
    def make():
        return plain(xpnet.Dropout(0.3), seed=None)

    make().fit((X32, Y), epochs=3, callbacks=Checkpoint(tmp_path))
    expected = xpnet.load(tmp_path / "checkpoint-000003.safetensors").fit((X32, Y), epochs=4)
    net = make().fit((X32, Y), epochs=7, callbacks=Checkpoint(tmp_path), resume=tmp_path)
    np.testing.assert_array_equal(parameters(net), parameters(expected))
    assert net.randomness.entropy == expected.randomness.entropy


def test_a_generator_of_batches_is_taken_again_from_its_beginning(tmp_path):
    def items():
        rng = np.random.default_rng(4)
        while True:
            rows = rng.integers(0, N, 20)
            yield X32[rows], Y[rows]

    def run(epochs, folder):
        called = Checkpoint(folder)
        net = plain(optimizer=Adam(0.01))
        return net.fit(
            batches=items(), steps_per_epoch=4, epochs=epochs, callbacks=called, resume=folder
        )

    run(3, tmp_path / "a")
    np.testing.assert_array_equal(
        parameters(run(8, tmp_path / "a")), parameters(run(8, tmp_path / "b"))
    )


def test_a_part_that_a_callback_replaced_is_restored(tmp_path):
    def change(network, row):
        if row["epoch"] == 2:
            network.optimizer = Adam(0.03)
            network.loss = xpnet.SoftmaxCrossEntropy(class_weight=[1.0, 2.0])

    def run(epochs, folder):
        called = [
            LambdaCallback(on_epoch_end=change),
            EarlyStopping("loss", patience=0, min_delta=9.0),
            Checkpoint(folder),
        ]
        called[1].patience = 3
        net = plain(optimizer=SGD(0.1))
        return net.fit((X32, Y), epochs=epochs, callbacks=called, resume=folder)

    run(3, tmp_path / "a")
    nets = run(8, tmp_path / "a"), run(8, tmp_path / "b")
    assert [type(net.optimizer).__name__ for net in nets] == ["SGD", "SGD"]  # of the best epoch
    np.testing.assert_array_equal(*map(parameters, nets))
    assert nets[0].history["loss"] == nets[1].history["loss"]


@pytest.mark.parametrize("steps", ["formulas", "compiled"])
@pytest.mark.parametrize("whose", ["network", "layer"])
def test_a_regularizer_that_a_callback_gave_is_restored(whose, steps, tmp_path):
    if steps == "compiled":
        pytest.importorskip("numba", reason="Numba, which compiled steps need, is not installed")

    def change(network, row):
        if row["epoch"] == 2:
            part = network if whose == "network" else network.layers[0]
            part.regularizer = xpnet.regularizers.L2(0.1)

    def run(epochs, folder):
        called = [LambdaCallback(on_epoch_end=change), Checkpoint(folder)]
        net = plain(optimizer=SGD(0.1), steps=steps)
        return net.fit((X32, Y), epochs=epochs, callbacks=called, resume=folder)

    run(3, tmp_path / "a")
    nets = run(6, tmp_path / "a"), run(6, tmp_path / "b")
    assert np.isnan(nets[1].history["penalty"]).tolist() == [True] * 2 + [False] * 4
    np.testing.assert_array_equal(*map(parameters, nets))
    assert nets[0].history["loss"] == nets[1].history["loss"]


def test_a_failure_while_resuming_leaves_the_network_as_it_was(tmp_path, monkeypatch):
    plain().fit((X32, Y), epochs=3, callbacks=Checkpoint(tmp_path))
    net = plain()
    before = parameters(net)
    monkeypatch.setattr(TanhActivation, "check_state", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        net.fit((X32, Y), epochs=3, callbacks=Checkpoint(tmp_path), resume=tmp_path)
    np.testing.assert_array_equal(parameters(net), before)
    assert net.history.epochs == 0
    assert not net.is_fitted


# ---- logs, and the best network


def rows_of(path):
    return [line.split(",")[0] for line in path.read_text().splitlines()]


def test_a_torn_line_of_a_log_is_replaced(tmp_path):
    path = tmp_path / "log.csv"
    net = plain().fit((X32, Y), epochs=3, callbacks=CSVLogger(path))
    whole = path.read_bytes()
    for cut in (1, 3, 20, len(whole.splitlines(keepends=True)[-1]) - 1):
        path.write_bytes(whole[:-cut])
        again = copy.deepcopy(net)
        again.fit((X32, Y), epochs=1, callbacks=CSVLogger(path, append=True))
        assert path.read_bytes().startswith(whole)
        assert rows_of(path) == ["epoch", "1", "2", "3", "4"]
    path.write_bytes(b"epoch,lo")
    net.fit((X32, Y), epochs=1, callbacks=CSVLogger(path, append=True))
    assert rows_of(path) == ["epoch", "4"]


def saved(net, folder):
    net.save(folder / "net")
    return folder / "net"


def test_a_log_is_reconciled_with_the_checkpoint(tmp_path):
    path, folder = tmp_path / "log.csv", tmp_path / "run"

    def run(epochs):
        called = [Checkpoint(folder, every=2), CSVLogger(path, append=True)]
        return plain().fit((X32, Y), epochs=epochs, callbacks=called, resume=folder)

    run(4)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for content in (lines[:2], [*lines, b"5,0.1,0.2,0.3,1\r\n"], [*lines[:3], b"3,0."], [], lines):
        path.write_bytes(b"".join(content))
        run(4)
        assert path.read_bytes() == whole


def test_a_training_that_ended_before_its_first_checkpoint_leaves_no_rows(tmp_path):
    path = tmp_path / "log.csv"
    plain().fit((X32, Y), epochs=2, callbacks=CSVLogger(path))  # of another training, and kept

    def run(last=None):
        called = [
            Checkpoint(tmp_path / "run", every=3),
            CSVLogger(path, append=True),
            LambdaCallback(on_epoch_end=breaking_at(last)),
        ]
        net = plain(xpnet.Dropout(0.2), seed=None)
        return net.fit((X32, Y), epochs=4, callbacks=called, resume=tmp_path / "run")

    with pytest.raises(Broken):
        run(2)
    assert rows_of(path) == ["epoch", "1", "2", "1", "2"]
    entropy = xpnet.load(tmp_path / "run" / "checkpoint-000000.safetensors").randomness.entropy
    net = run()
    assert rows_of(path) == ["epoch", "1", "2", "1", "2", "3", "4"]
    assert net.randomness.entropy == entropy


def test_the_best_network_is_known_again_from_the_history(tmp_path):
    path = tmp_path / "best"
    net = plain().fit((X32, Y), epochs=20, callbacks=ModelCheckpoint(path, "loss", True))
    before = path.read_bytes()
    again = xpnet.load(path)
    again.optimizer.schedule = xpnet.ConstantLearningRate(1e-9)
    again.history["loss"][3] = 0.0
    again.fit((X32, Y), epochs=2, callbacks=ModelCheckpoint(path, "loss", True))
    assert path.read_bytes() == before
    assert net.history.epochs == 20


def test_tensorboard_hides_what_is_written_again(tmp_path):
    called = []

    class Writer:
        def __init__(self, folder, **options):
            called.append(options)

    board, net = TensorBoard(tmp_path), plain().fit((X32, Y), epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tensorboardX.SummaryWriter", Writer)
        board.on_train_begin(net, [])
        board.on_resume(net, [], {})
    assert called == [{}, {"purge_step": 3}]


def test_a_layer_that_draws_from_its_stream_goes_on_too(tmp_path):
    class Noise(LinearActivation):
        def forward_propagation(self, input, training=True):
            if training:
                input = input + self.rng.standard_normal(input.shape).astype(input.dtype)
            return super().forward_propagation(input, training)

    def run(folder, last=None):
        called = [
            EarlyStopping("loss", patience=2),
            Checkpoint(folder),
            LambdaCallback(on_epoch_end=breaking_at(last)),
        ]
        net = plain(Noise(), optimizer=SGD(0.5))
        return net.fit((X32, Y), epochs=8, callbacks=called, resume=folder)

    with pytest.raises(Broken):
        run(tmp_path / "a", 4)
    one, other = run(tmp_path / "a"), run(tmp_path / "b")
    np.testing.assert_array_equal(parameters(one), parameters(other))
    assert isinstance(one, NeuralNetwork)


# ---- other libraries, and captured steps


def of_library(folder, last=None, **where):
    """Train on a library, with all that is kept on a device."""
    net = classifier(optimizer=Adam(0.02), **where)
    net.add(DenseLayer(8, (6,))).add(xpnet.BatchNormalization()).add(ReLUActivation())
    net.add(xpnet.Dropout(0.2)).add(DenseLayer(2))
    called = [
        Checkpoint(folder),
        EarlyStopping(patience=1),
        LambdaCallback(on_epoch_end=breaking_at(last)),
    ]
    data = {"X": (X32, Y), "validation": (X32[:40], Y[:40])}
    return net.fit(**data, epochs=9, callbacks=called, resume=folder)


@pytest.mark.parametrize(
    "where",
    [
        {"backend": "torch"},
        pytest.param({"device": "cuda", "steps": "captured"}, marks=pytest.mark.cuda),
        pytest.param({"device": "cuda", "steps": "formulas"}, marks=pytest.mark.cuda),
    ],
    ids=lambda where: "-".join(where.values()),
)
def test_training_on_another_library_is_resumed(where, tmp_path, request):
    if "backend" in where:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    else:
        request.getfixturevalue("cuda")
    for epoch in (2, 5):
        with pytest.raises(Broken):
            of_library(tmp_path / "a", epoch, **where)
    one, other = of_library(tmp_path / "a", **where), of_library(tmp_path / "b", **where)
    np.testing.assert_array_equal(parameters(one), parameters(other))
    np.testing.assert_array_equal(one.predict(X32), other.predict(X32))
    assert one.history["loss"] == other.history["loss"]
    assert one.backend == other.backend


def test_other_steps_go_on_with_a_warning(tmp_path):
    pytest.importorskip("numba", reason="Numba, which compiled steps need, is not installed")
    plain(steps="formulas").fit((X32, Y), epochs=2, callbacks=Checkpoint(tmp_path))
    net = plain(steps="compiled")
    with pytest.warns(UserWarning, match=r"steps \(formula, now compiled\)"):
        net.fit((X32, Y), epochs=4, callbacks=Checkpoint(tmp_path), resume=tmp_path)
    assert net.history.epochs == 4
