"""The history knows whose weights the network has, and which epoch was saved to a file."""

import copy
import json
import pickle

import numpy as np
import pytest

from xpnet import (
    Callback,
    Checkpoint,
    DenseLayer,
    EarlyStopping,
    History,
    ModelCheckpoint,
    NeuralNetwork,
    load,
)


class Scripted(Callback):
    """Puts values into a column of the history."""

    def __init__(self, column, values):
        self.column, self.values = column, values

    def on_epoch_end(self, network, row):
        network.history[self.column][-1] = self.values[int(row["epoch"]) - 1]


def samples():
    X = np.random.default_rng(0).random((12, 2))
    return X, X[:, 0]


def network(epochs=5):
    return NeuralNetwork(epochs, 4, metric="mae", seed=0).add(DenseLayer(1, input_shape=(2,)))


def fitted(losses, *callbacks, **options):
    script = Scripted("val_loss", losses)
    net = network(len(losses))
    return net.fit(samples(), validation=samples(), callbacks=[script, *callbacks], **options)


def test_early_stopping_notes_the_epoch_that_it_restores(tmp_path):
    net = fitted([5.0, 1.0, 4.0, 3.0, 2.0], EarlyStopping(patience=9))
    assert net.history.kept_epoch == 2
    assert net.history.saved_epoch is None
    net.save(tmp_path / "net.xpnet")
    for other in (
        load(tmp_path / "net.xpnet"),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
    ):
        assert other.history.kept_epoch == 2


def test_the_last_epoch_may_be_the_one_that_is_kept():
    assert fitted([5.0, 4.0, 3.0], EarlyStopping()).history.kept_epoch == 3


def test_nothing_is_kept_without_restoring():
    stopping = EarlyStopping(patience=9, restore_best_weights=False)
    assert fitted([1.0, 2.0, 3.0], stopping).history.kept_epoch is None


def test_more_training_changes_the_weights_that_were_kept():
    net = fitted([1.0, 2.0, 3.0], EarlyStopping(patience=9))
    assert net.history.kept_epoch == 1
    assert net.fit(samples(), epochs=1).history.kept_epoch is None


@pytest.mark.parametrize(("order", "kept"), [(1, 1), (-1, 3)])
def test_with_two_callbacks_the_note_is_true_too(order, kept):
    """Callbacks end in reverse order, so the weights are those that the first one restores."""
    stopping = [EarlyStopping(patience=9), EarlyStopping("val_mae", patience=9)]
    script = Scripted("val_mae", [3.0, 2.0, 1.0])
    net = fitted([1.0, 2.0, 3.0], script, *stopping[::order])
    assert net.history.kept_epoch == kept
    expected = fitted([1.0, 2.0, 3.0][:kept]).layers[0].weights
    np.testing.assert_array_equal(net.layers[0].weights, expected)


def test_a_file_of_the_best_epoch_is_noted_there_and_in_the_history(tmp_path):
    path = tmp_path / "best.xpnet"
    net = fitted([5.0, 4.0, 1.0, 3.0, 2.0], ModelCheckpoint(path, best_only=True))
    assert (net.history.kept_epoch, net.history.saved_epoch) == (None, 3)
    assert load(path).history.saved_epoch == 3
    every = ModelCheckpoint(tmp_path / "every.xpnet")
    assert fitted([1.0, 2.0], every).history.saved_epoch is None


def test_an_epoch_whose_file_could_not_be_written_is_not_noted(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("the disk is full")

    checkpoint = ModelCheckpoint(tmp_path / "best.xpnet", best_only=True)
    net = network()
    monkeypatch.setattr(NeuralNetwork, "save", fail)
    with pytest.raises(OSError, match="disk is full"):
        net.fit(samples(), validation=samples(), callbacks=checkpoint)
    assert net.history.saved_epoch is None


def test_a_resumed_training_notes_the_same_epochs(tmp_path):
    losses = [5.0, 1.0, 4.0, 3.0, 2.0]

    def train(epochs, folder):
        callbacks = [
            Scripted("val_loss", losses),
            ModelCheckpoint(tmp_path / "best.xpnet", best_only=True),
            EarlyStopping(patience=9),
            Checkpoint(folder),
        ]
        net = network(5)
        return net.fit(
            samples(), validation=samples(), epochs=epochs, callbacks=callbacks, resume=folder
        )

    train(3, tmp_path / "run")
    history = train(5, tmp_path / "run").history
    assert (history.kept_epoch, history.saved_epoch) == (2, 2)


@pytest.mark.parametrize("wrong", [-1, "two", 2.0, [1, 2]])
def test_a_file_with_a_wrong_epoch_is_refused(wrong):
    from xpnet.model_files.schema import FILE
    from xpnet.model_files.writing import Writer

    content = json.loads(json.dumps(Writer(fitted([1.0, 2.0]), NeuralNetwork).content()))
    FILE(content, "file")
    with pytest.raises(ValueError, match="history_kept_epoch"):
        FILE(content | {"history_kept_epoch": wrong}, "file")


def test_a_column_that_begins_late_has_no_earlier_values():
    history = History()
    history.append(epoch=1, loss=3.0)
    history.append(epoch=2, loss=2.0)
    history.add("val_score", 0.5)
    assert np.isnan(history["val_score"][0])
    assert history["val_score"][1] == 0.5


class TestEstimators:
    @pytest.fixture
    def classifier(self):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        from xpnet.estimators import MLPClassifier

        rng = np.random.default_rng(0)
        X = rng.standard_normal((120, 3))
        y = np.where(X[:, 0] + rng.standard_normal(120) > 0, "yes", "no")
        settings = {"max_iter": 60, "n_iter_no_change": 5, "learning_rate_init": 0.02}
        return MLPClassifier((8,), early_stopping=True, random_state=0, **settings).fit(X, y), X, y

    def test_the_monitored_score_is_a_column_and_its_best_epoch_is_kept(self, classifier):
        est, _, _ = classifier
        assert est.history_["val_score"] == est.validation_scores_
        best = int(np.argmax(est.validation_scores_)) + 1
        assert est.history_.kept_epoch == best
        assert best < est.n_iter_
        assert pickle.loads(pickle.dumps(est)).history_.kept_epoch == best

    def test_a_fit_that_fails_leaves_the_kept_epoch(self, classifier):
        est, X, y = classifier
        kept = est.history_.kept_epoch

        class Failing(Callback):
            def on_epoch_end(self, network, row):
                raise RuntimeError("enough")

        est.set_params(warm_start=True, callbacks=[Failing()])
        with pytest.raises(RuntimeError, match="enough"):
            est.fit(X, y)
        assert est.history_.kept_epoch == kept

    def test_weights_from_before_the_first_epoch_are_epoch_0(self, classifier):
        est, X, y = classifier
        est.set_params(max_iter=2, scoring=lambda *given: float("nan"))
        with pytest.warns(UserWarning, match=r"initial random|not improve|Maximum iterations"):
            est.fit(X, y)
        assert est.history_.kept_epoch == 0
