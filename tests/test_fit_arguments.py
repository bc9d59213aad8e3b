"""What ``fit``, ``score`` and ``explain_steps`` take: X and y, tuples and data sets."""

import inspect

import numpy as np
import pytest

import xpnet
from xpnet import Dataset, DenseLayer, NeuralNetwork
from xpnet.backends import to_host

N, K = 40, 3


def samples():
    X = np.random.default_rng(0).normal(size=(N, K)).astype(np.float32)
    return X, X @ np.arange(1.0, K + 1).astype(np.float32)


def network(**given):
    return NeuralNetwork(**{"epochs": 2, "batch_size": 8, "metric": "mae", "seed": 0, **given}).add(
        DenseLayer(1, input_shape=(K,))
    )


def same(net, other):
    return np.array_equal(to_host(net.predict(samples()[0])), to_host(other.predict(samples()[0])))


def test_x_and_y_are_the_same_as_a_tuple_and_a_data_set():
    X, y = samples()
    weight = np.arange(1.0, N + 1)
    expected = network().fit((X, y, weight))
    assert same(network().fit(X, y, weight), expected)
    assert same(network().fit(X=X, y=y, sample_weight=weight), expected)
    assert same(network().fit(Dataset(X, y, sample_weight=weight)), expected)
    assert not same(network().fit(X, y), expected)


def test_x_and_y_of_every_backend(backend):
    X, y = samples()
    given = backend.asarray(X), backend.asarray(y)
    net, expected = network().fit(*given), network().fit(given)
    assert np.array_equal(to_host(net.predict(given[0])), to_host(expected.predict(given[0])))
    assert net.score(*given) == net.score(given)


def test_frames_and_series():
    pd = pytest.importorskip("pandas")
    X, y = samples()
    frame, series = pd.DataFrame(X, columns=["a", "b", "c"]), pd.Series(y, name="price")
    net = network().fit(frame, series)
    assert (net.feature_names, net.label_name) == (["a", "b", "c"], "price")
    assert same(net, network().fit(X, y))
    assert net.score(frame, series) == net.score(X, y)


def test_sparse_rows_and_memory_maps(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = samples()
    np.save(tmp_path / "x.npy", X)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = network().fit(X, y)
    assert same(network().fit(stored, y), expected)
    np.testing.assert_allclose(
        network().fit(sparse.csr_array(X), y).predict(X), expected.predict(X), rtol=1e-5
    )


def test_with_y_a_tuple_has_the_rows_of_x():
    X, y = samples()
    rows, expected = tuple(map(list, X[:2].tolist())), network().fit(X[:2], y[:2])
    assert same(network().fit(rows, y[:2]), expected)
    assert same(network().fit(tuple(map(tuple, rows)), (y[0], y[1])), expected)


@pytest.mark.parametrize(
    "given",
    [
        lambda X, y: (Dataset(X, y), Dataset(X, y)),
        lambda X, y: ((X, y), (X, y)),
        lambda X, y: ((X.tolist(), y), (X, y)),
        lambda X, y: (Dataset(X, y), y),
        lambda X, y: ((X, y), y),
        lambda X, y: (X, Dataset(X, y)),
    ],
)
def test_validation_data_as_second_argument_are_refused_with_the_name_of_the_right_one(given):
    net = network()
    with pytest.raises(TypeError, match="To give fit its validation data, write validation="):
        net.fit(*given(*samples()))
    assert net.history.epochs == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"neither a data set nor batches: expected either X and y or batches="),
        ({"X": samples()[0]}, "give the targets as well: X and y"),
        ({"y": samples()[1]}, "y is given without X"),
        ({"X": samples(), "sample_weight": np.ones(N)}, "sample_weight is given without y"),
        ({"X": samples()[0], "y": samples()[1], "batches": [samples()]}, "a data set and batches"),
        ({"batches": Dataset(*samples())}, r"To train on a whole data set, give it as the first"),
        ({"X": samples()[0], "y": "accuracy"}, "y='accuracy': expected an array"),
    ],
)
def test_too_much_and_too_little_are_refused(given, words):
    with pytest.raises(TypeError, match=words):
        network().fit(**given)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("validation_data", "write validation="),
        ("batch_size", "it is an argument of NeuralNetwork"),
        ("class_weight", "an argument of the classification losses"),
        ("validation_freq", "write eval_every="),
    ],
)
def test_arguments_of_keras_are_refused_with_ours(name, words):
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{name}': .*{words}"):
        network().fit(*samples(), **{name: 1})


def test_other_unknown_arguments_get_pythons_message_and_the_signature_stays():
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        network().fit(*samples(), colour=1)
    assert [*inspect.signature(NeuralNetwork.fit).parameters][:5] == [
        "self", "X", "y", "sample_weight", "validation"
    ]  # fmt: skip


def test_scores_of_x_and_y_with_weights_and_another_metric():
    X, y = samples()
    net, weight = network().fit(X, y), np.arange(1.0, N + 1)
    error = np.abs(net.predict(X)[:, 0] - y)
    assert net.score(X, y) == pytest.approx(error.mean(), rel=1e-5)
    assert net.score(X, y, weight) == pytest.approx(np.average(error, weights=weight), rel=1e-5)
    assert net.score(X, y, metric="mse") == net.score((X, y), metric="mse")
    assert net.score((X, y, weight)) == net.score(X, y, weight)


@pytest.mark.parametrize("metric", ["mae", xpnet.metrics.MAE, xpnet.metrics.MAE(), len])
def test_a_metric_in_the_place_of_y_is_refused(metric):
    X, y = samples()
    with pytest.raises(TypeError, match="the metric is given as metric="):
        network().fit(X, y).score((X, y), metric)


def test_errors_do_not_print_whole_arrays():
    X, y = np.ones((1000, K)), np.ones(1000)
    net = network().fit(X, y)
    for call in (
        lambda: net.score(X),
        lambda: net.score(X, y[:9]),
        lambda: net.score((X, y), y),
        lambda: net.fit(X),
        lambda: net.fit(X, y, np.ones(3)),
    ):
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        assert len(str(raised.value)) < 300


def test_explain_steps_takes_the_same():
    X, y = samples()
    net = network(steps="formulas")
    assert net.explain_steps(X, y).chosen == net.explain_steps((X, y)).chosen == "formulas"
    with pytest.raises(TypeError, match="one data set"):
        net.explain_steps(Dataset(X, y), y)


def test_a_batch_larger_than_the_data_is_all_of_them():
    X, y = samples()
    assert same(network(batch_size=1000).fit(X, y), network(batch_size=N).fit(X, y))


def test_images_are_rows_of_all_their_pixels():
    X, y = samples()
    found = network().fit(X.reshape(N, 1, 1, K), y).predict(X)
    np.testing.assert_array_equal(found, network().fit(X, y).predict(X))


def test_predictions_before_training_name_what_ends_training_by_hand():
    net = network()
    with pytest.raises(
        xpnet.NotFittedError, match=r"predict needs a trained network: .*mark_fitted\(\)"
    ):
        net.predict(samples()[0])
    net.mark_fitted()
    assert net.predict(samples()[0]).shape == (N, 1)


def test_losses_of_one_dimensional_outputs_say_which_shape_they_want():
    with pytest.raises(ValueError, match=r"y_pred has shape \(2,\): expected \(n, n_outputs\)"):
        xpnet.MeanSquaredError().loss(np.array([1.0, 0.0]), np.array([0.8, 0.2]))
