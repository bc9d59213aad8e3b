"""Dask's arrays: networks read them by slices, and estimators take them as NumPy arrays."""

import numpy as np
import pytest

import xpnet
from tests.estimators import BOTH, CLASSES, X, answer, made, ours, targets_for, weights
from xpnet.data.stored import rows_decoded_together

da = pytest.importorskip("dask.array")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LAZY = da.from_array(X, chunks=((50, 70, 30), (2, 2)))


def network(**settings):
    given = {
        "epochs": 2,
        "batch_size": 20,
        "seed": 0,
        "dtype": "float64",
        "target_unit": (5.8, 0.8),
    }
    return xpnet.NeuralNetwork(**given | settings).add(xpnet.DenseLayer(1, (4,)))


@pytest.mark.parametrize("kind", BOTH)
def test_estimators_learn_the_same_from_them(kind):
    y = targets_for(kind)
    expected = made(ours, kind).fit(X, y, sample_weight=X[:, 0])
    est = made(ours, kind).fit(LAZY, da.from_array(y), sample_weight=LAZY[:, 0])
    np.testing.assert_array_equal(weights(est), weights(expected))
    assert type(est.predict(LAZY)) is np.ndarray
    np.testing.assert_array_equal(est.predict(LAZY), expected.predict(X))
    assert est.score(LAZY, da.from_array(y)) == expected.score(X, y)
    est.partial_fit(LAZY, da.from_array(y))
    held_out = made(ours, kind).fit(LAZY, y, validation_data=(LAZY, da.from_array(y)))
    assert len(held_out.validation_loss_curve_) == 3
    np.testing.assert_array_equal(answer(held_out), answer(made(ours, kind).fit(X, y)))


def test_networks_learn_the_same_from_them():
    expected = network().fit((X, X[:, 0]))
    net = network().fit((LAZY, LAZY[:, 0], da.ones(150)), validation=(LAZY, LAZY[:, 0]))
    np.testing.assert_allclose(net.predict(LAZY), expected.predict(X), rtol=1e-12)
    assert net.history["val_loss"]


def test_networks_stream_them():
    computed = []

    def counted(block):
        computed.append(block.shape)
        return block

    lazy = da.from_array(np.tile(X, (40, 1)), chunks=(1000, 4)).map_blocks(
        counted, dtype=X.dtype, meta=np.empty((0, 0))
    )
    net = network(memory_limit=480_000, epochs=1)
    net.fit((lazy, np.tile(X[:, 0], 40)))
    assert net.last_plan.chunk < 6000
    assert computed
    assert np.isfinite(net.history["loss"]).all()


def test_a_dataset_says_that_they_are_stored():
    data = xpnet.Dataset(LAZY, da.from_array(CLASSES))
    assert repr(data) == "Dataset(150 samples, 4 features of float64 stored, labels of int64)"
    assert rows_decoded_together(LAZY) == 70


def test_an_unknown_number_of_rows_is_refused():
    some, net = LAZY[LAZY[:, 0] > 5], network().fit((X, X[:, 0]))
    for use in (lambda: xpnet.Dataset(some, CLASSES), lambda: net.predict(some)):
        with pytest.raises(ValueError, match=r"unknown shape \(nan, 4\): call X.compute_chunk_s"):
            use()


def test_missing_values_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        network().fit((da.where(LAZY > 7, np.nan, LAZY), X[:, 0]))
    with pytest.raises(ValueError, match="contains NaN"):
        made(ours, "MLPClassifier").fit(da.where(LAZY > 7, np.nan, LAZY), CLASSES)
