"""``fit(..., validation_split=share)``: a share of the samples is held out."""

import warnings

import numpy as np
import pytest

from xpnet import (
    Dataset,
    DenseLayer,
    NeuralNetwork,
    SoftmaxCrossEntropy,
)
from xpnet.backends import to_host
from xpnet.callbacks import Checkpoint
from xpnet.data.features import StoredRows
from xpnet.data.selected import Selected
from xpnet.model.randomness import Randomness
from xpnet.training.held_out import HeldOut

N, K = 60, 3
X = np.random.default_rng(1).normal(size=(N, K)).astype(np.float32)
CLASSES = np.repeat([0, 1, 2], [30, 20, 10])
VALUES = X.sum(axis=1)


def classifier(**given):
    given = {"epochs": 2, "loss": "softmax_cross_entropy", "metric": "accuracy", "seed": 0, **given}
    return NeuralNetwork(**given).add(DenseLayer(3, input_shape=(K,)))


def regression(**given):
    return NeuralNetwork(**{"epochs": 2, "metric": "mae", "seed": 0, **given}).add(
        DenseLayer(1, input_shape=(K,))
    )


def sides(net, data, share=0.2):
    """Return the parts that a fit of this network trains and validates on."""
    return HeldOut(share).split(net, Dataset(*data), net.randomness)


def test_the_held_out_samples_are_validated_on_and_not_trained_on():
    net = classifier()
    training, held_out = sides(net, (X, CLASSES))
    net.fit(X, CLASSES, validation_split=0.2)
    expected = classifier().fit(training, validation=held_out)
    assert net.history["val_loss"] == expected.history["val_loss"]
    np.testing.assert_array_equal(net.predict(X), expected.predict(X))
    assert (len(training), len(held_out)) == (48, 12)


def test_the_parts_have_every_sample_once_in_the_order_of_the_data():
    data = Dataset(X, VALUES, sample_weight=np.arange(1.0, N + 1), ids=np.arange(N))
    parts = HeldOut(0.25).split(regression(), data, Randomness(3))
    for part in parts:
        assert (np.diff(part.ids) > 0).all()
        np.testing.assert_array_equal(part.X, X[part.ids])
        np.testing.assert_array_equal(part.sample_weight, part.ids + 1)
    assert sorted(np.concatenate([part.ids for part in parts])) == list(range(N))


def test_it_is_the_same_on_every_backend_and_differs_by_seed(backend):
    data = backend.asarray(X), backend.asarray(CLASSES)
    _, expected = sides(classifier(), (X, CLASSES))
    _, found = sides(classifier(), data)
    np.testing.assert_array_equal(to_host(found.X), expected.X)
    net = classifier().fit(*data, validation_split=0.2)
    assert net.history["val_loss"][-1] == pytest.approx(
        classifier().fit(X, CLASSES, validation_split=0.2).history["val_loss"][-1], rel=1e-4
    )
    _, other = sides(classifier(seed=1), data)
    assert not np.array_equal(to_host(other.X), expected.X)


@pytest.mark.parametrize("seed", [0, None])
def test_further_training_never_sees_the_held_out_samples(seed):
    net = classifier(seed=seed)
    first = sides(net, (X, CLASSES))[1]
    net.fit(X, CLASSES, validation_split=0.2).fit(X, CLASSES, validation_split=0.2)
    np.testing.assert_array_equal(sides(net, (X, CLASSES))[1].X, first.X)


@pytest.mark.parametrize("form", [CLASSES, np.eye(3)[CLASSES], np.array(["a", "b", "c"])[CLASSES]])
def test_classes_keep_their_proportions(form):
    for part, counts in zip(sides(classifier(), (X, form)), ([24, 16, 8], [6, 4, 2]), strict=True):
        y = part.y.argmax(axis=1) if part.y.ndim == 2 else part.y
        assert np.bincount(y).tolist() == counts


def test_binary_classes_keep_their_proportions_too():
    net = regression(loss="binary_cross_entropy", metric=None)
    y = (np.arange(N) < 10).astype(float)
    assert [part.y.sum() for part in sides(net, (X, y), 0.1)] == [9, 1]


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (np.array([0] * 40 + [1] * 19 + [2]), r"\[2\]"),
        (np.array(["a"] * 40 + ["b"] * 19 + ["rare"]), r"\['rare'\]"),
        (np.eye(3)[[0] * 40 + [1] * 19 + [2]], r"\[2\]"),
    ],
)
def test_classes_too_rare_for_both_sides_are_trained_on_and_told(y, told):
    with pytest.warns(UserWarning, match=rf"no validation sample of the class\(es\) {told}"):
        net = classifier().fit(X, y, validation_split=0.2)
    assert net.history.epochs == 2


def test_an_ignored_class_is_not_told():
    net = classifier(loss=SoftmaxCrossEntropy(ignore_index=-1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(X, np.append(CLASSES[:-1], -1), validation_split=0.2)


def test_a_share_that_leaves_a_class_out_of_training_is_refused():
    with pytest.raises(
        ValueError, match=r"validation_split=0\.97: with 2 samples to train on, some"
    ):
        classifier().fit(X, CLASSES, validation_split=0.97)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, 10, True, "0.2", np.nan, [0.2]])
def test_what_is_no_share_is_refused(share):
    net = regression()
    with pytest.raises(ValueError, match=r"validation_split=.*: expected the proportion"):
        net.fit(X, VALUES, validation_split=share)
    assert net.history.epochs == 0


def test_it_is_refused_with_validation_data_and_with_batches():
    with pytest.raises(TypeError, match="validation_split and validation: expected one of them"):
        regression().fit(X, VALUES, validation=(X, VALUES), validation_split=0.2)
    with pytest.raises(TypeError, match="validation_split and batches: give validation="):
        regression().fit(batches=[(X, VALUES)], validation_split=0.2)


def test_a_side_without_samples_is_refused():
    with pytest.raises(ValueError, match=r"validation_split=0\.001 puts 0 of 60 samples"):
        regression().fit(X, VALUES, validation_split=0.001)
    with pytest.raises(ValueError, match="the data set has 1 samples: expected at least 2"):
        regression().fit(X[:3], VALUES[:3], validation_split=0.7)


def test_sparse_rows_and_weights():
    sparse = pytest.importorskip("scipy.sparse")
    weight = np.arange(1.0, N + 1)
    rows = regression().fit(sparse.csr_array(X), VALUES, weight, validation_split=0.2)
    dense = regression().fit(X, VALUES, weight, validation_split=0.2)
    assert rows.history["val_loss"] == pytest.approx(dense.history["val_loss"], rel=1e-5)


@pytest.fixture
def stored(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def test_stored_data_stay_stored_with_a_limit_of_memory(stored):
    net = regression(memory_limit=1 << 20)
    for part in HeldOut(0.2).split(net, Dataset(stored, VALUES), net.randomness):
        assert isinstance(part.features, StoredRows)
        assert isinstance(part.X, Selected)
    net.fit(stored, VALUES, validation_split=0.2)
    expected = regression(memory_limit=1 << 20, shuffle=True).fit(X, VALUES, validation_split=0.2)
    assert net.history["val_loss"] == pytest.approx(expected.history["val_loss"], rel=1e-5)


def test_large_stored_data_stay_stored_without_one(stored, monkeypatch):
    monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
    net = regression()
    parts = HeldOut(0.2).split(net, Dataset(stored, VALUES), net.randomness)
    assert all(isinstance(part.X, Selected) for part in parts)
    net.fit(stored, VALUES, validation_split=0.2)
    assert (
        net.history["val_loss"]
        == regression().fit(X, VALUES, validation_split=0.2).history["val_loss"]
    )


def test_hdf5_data(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("X", data=X, chunks=(7, K))
        net = regression(memory_limit=1 << 20).fit(data, VALUES, validation_split=0.2)
    expected = regression(memory_limit=1 << 20).fit(X, VALUES, validation_split=0.2)
    assert net.history["val_loss"] == pytest.approx(expected.history["val_loss"], rel=1e-5)


def test_balanced_weights_come_from_the_training_part_alone():
    net = classifier(loss=SoftmaxCrossEntropy(class_weight="balanced"))
    training, held_out = sides(net, (X, CLASSES), 0.3)
    net.fit(X, CLASSES, validation_split=0.3)
    expected = classifier(loss=SoftmaxCrossEntropy(class_weight="balanced"))
    expected.fit(training, validation=held_out)
    assert net.history["val_loss"] == expected.history["val_loss"]


@pytest.mark.parametrize("steps", ["formulas", "auto"])
def test_every_way_of_training_takes_it(steps):
    net = classifier(steps=steps).fit(X, CLASSES, validation_split=0.2)
    assert len(net.history["val_accuracy"]) == 2


# ---- resuming


def resumed(folder, seed, epochs, share=0.2):
    net = classifier(seed=seed)
    given = {"validation_split": share, "callbacks": Checkpoint(folder), "resume": folder}
    return net.fit(X, CLASSES, epochs=epochs, **given)


@pytest.mark.parametrize("seed", [0, None])
def test_a_resumed_training_holds_out_the_same_samples(seed, tmp_path):
    first, net = resumed(tmp_path, seed, 3), resumed(tmp_path, seed, 6)
    assert net.history.epochs == 6
    np.testing.assert_array_equal(sides(net, (X, CLASSES))[1].X, sides(first, (X, CLASSES))[1].X)
    assert net.history["val_loss"][:3] == first.history["val_loss"]
    if seed is not None:
        whole = classifier(seed=seed).fit(X, CLASSES, validation_split=0.2, epochs=6)
        assert net.history["val_loss"] == whole.history["val_loss"]


def test_another_share_is_another_training(tmp_path):
    resumed(tmp_path, 0, 3)
    with pytest.raises(ValueError, match=r"validation_split: 0\.2, now 0\.3"):
        resumed(tmp_path, 0, 6, share=0.3)
