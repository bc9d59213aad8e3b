"""``train_test_split`` as scikit-learn's is called, and of data sets."""

import numpy as np
import pytest

from xpnet import Dataset, train_test_split
from xpnet.backends import to_host
from xpnet.data.selected import Selected

N = 20
X, Y = np.arange(2.0 * N).reshape(N, 2), np.repeat(["a", "b"], [12, 8])


def test_arrays_come_back_as_two_parts_of_each():
    parts = train_test_split(X, Y, test_size=0.25, random_state=0)
    assert [type(each) for each in parts] == [np.ndarray] * 4
    X_train, X_test, y_train, y_test = parts
    assert (X_train.shape, X_test.shape) == ((15, 2), (5, 2))
    for rows, labels in ((X_train, y_train), (X_test, y_test)):
        np.testing.assert_array_equal(labels, Y[(rows[:, 0] / 2).astype(int)])
    assert sorted([*X_train[:, 0], *X_test[:, 0]]) == X[:, 0].tolist()


def test_a_data_set_a_tuple_and_its_arrays_are_split_alike(backend):
    data = backend.asarray(X.astype(np.float32)), backend.asarray(np.arange(N))
    X_train, X_test, _, y_test = train_test_split(*data, test_size=6, random_state=3)
    for each in (data, Dataset(*data)):
        train, test = train_test_split(each, test_size=6, random_state=3)
        np.testing.assert_array_equal(to_host(train.X), to_host(X_train))
        np.testing.assert_array_equal(to_host(test.X), to_host(X_test))
        np.testing.assert_array_equal(to_host(test.y), to_host(y_test))
    assert backend.owns(X_test)


def test_lists_frames_series_and_sparse_rows_stay_what_they_are():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    sparse = pytest.importorskip("scipy.sparse")
    given = [
        X.tolist(),
        tuple(range(N)),
        pd.DataFrame(X),
        pd.Series(Y, index=range(100, 100 + N)),
        pl.DataFrame(X),
        pl.Series(Y),
        sparse.coo_array(X),
    ]
    parts = train_test_split(*given, test_size=4, random_state=0)
    kinds = [list, list, pd.DataFrame, pd.Series, pl.DataFrame, pl.Series, sparse.csr_array]
    assert [type(each) for each in parts[::2]] == kinds
    places = parts[3]
    np.testing.assert_array_equal(parts[1], X[places])
    np.testing.assert_array_equal(parts[5].to_numpy(), X[places])
    np.testing.assert_array_equal(parts[7].to_numpy(), Y[places])
    assert parts[7].index.tolist() == [100 + place for place in places]
    np.testing.assert_array_equal(parts[9].to_numpy(), X[places])
    assert parts[11].to_list() == Y[places].tolist()
    np.testing.assert_array_equal(parts[13].toarray(), X[places])


def test_stored_arrays_are_read_in_the_order_of_the_file(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    _, X_test, _, y_test = train_test_split(stored, Y, test_size=5, random_state=0)
    assert (np.diff(X_test[:, 0]) > 0).all()
    np.testing.assert_array_equal(y_test, Y[(X_test[:, 0] / 2).astype(int)])
    monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
    assert isinstance(train_test_split(stored, test_size=5)[0], Selected)


@pytest.mark.parametrize("labels", [Y, Y.tolist(), Y == "a", (Y == "a") * 7])
def test_stratify_takes_labels(labels):
    _, _, _, y_test = train_test_split(X, Y, test_size=5, stratify=labels, random_state=0)
    assert sorted(y_test) == ["a"] * 3 + ["b"] * 2
    _, test = train_test_split(Dataset(X, Y), test_size=5, stratify=labels, random_state=0)
    assert sorted(test.y) == [0] * 3 + [1] * 2


def test_stratify_takes_the_labels_of_the_data_set():
    data = Dataset(X, Y)
    found = [
        train_test_split(data, test_size=5, stratify=each, random_state=1)[1].X
        for each in (True, data.y, Y)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_without_shuffling_the_last_samples_are_the_test_part():
    X_train, X_test, *_ = train_test_split(X, Y, test_size=3, shuffle=False)
    np.testing.assert_array_equal(X_train, X[:-3])
    np.testing.assert_array_equal(X_test, X[-3:])


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_draw_the_order(make):
    first, again = (train_test_split(X, random_state=make(5))[1] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_sizes_are_those_of_scikit_learn():
    theirs = pytest.importorskip("sklearn.model_selection").train_test_split
    for size in (0.25, 0.5, 3, 7):
        ours, expected = (split(X, Y, test_size=size, random_state=0) for split in (
            train_test_split, theirs
        ))  # fmt: skip
        assert [len(each) for each in ours] == [len(each) for each in expected]


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ((), {}, "given no data"),
        ((Dataset(X, Y), 0.2), {}, "given 0.2 among the data.*write test_size="),
        ((X, None), {}, "given None as its argument 1"),
        ((X, Y[:5]), {}, r"the arrays have \[20, 5\] rows"),
        ((X, Y), {"stratify": True}, "needs a data set with labels"),
        ((X, Y), {"stratify": Y[:3]}, r"stratify has shape \(3,\)"),
        ((X, Y), {"stratify": Y, "shuffle": False}, "stratify= needs shuffle=True"),
        ((X, Y), {"random_state": -1}, "random_state=-1"),
        ((X, Y), {"random_state": "seed"}, "random_state='seed'"),
        ((X, Y), {"shuffle": "no"}, "shuffle='no': expected True or False"),
        ((X, Y), {"test_size": 20}, "test_size=20 puts 20 of 20"),
        ((X, Y), {"seed": 0}, "unexpected keyword argument 'seed'"),
    ],
)
def test_what_cannot_be_split_is_refused(given, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        train_test_split(*given, **options)


def test_a_dict_is_split_array_by_array(backend):
    pd = pytest.importorskip("pandas")
    y = {
        "price": backend.asarray(np.arange(N)),
        "kind": Y.tolist(),
        "size": pd.Series(np.arange(N) * 2),
    }
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=6, random_state=0, stratify=y["kind"]
    )
    for rows, parts in ((X_train, y_train), (X_test, y_test)):
        place = (rows[:, 0] / 2).astype(int)
        assert list(parts) == list(y)
        assert backend.owns(parts["price"])
        np.testing.assert_array_equal(to_host(parts["price"]), place)
        assert parts["kind"] == Y[place].tolist()
        assert parts["size"].tolist() == (place * 2).tolist()
    (train, test) = train_test_split({"a": X, "b": Y}, test_size=6, shuffle=False)
    np.testing.assert_array_equal(test["a"], X[-6:])
    assert len(train["b"]) == N - 6


def test_a_dict_with_arrays_of_other_lengths_is_refused():
    with pytest.raises(ValueError, match=r"the arrays have \[20, 20, 19\] rows"):
        train_test_split(X, {"a": X, "b": Y[1:]})
    with pytest.raises(TypeError, match=r"was given 'text' as its argument 1, 'b'"):
        train_test_split(X, {"a": X, "b": "text"})


def test_a_sparse_matrix_that_is_a_dict_is_split_as_one():
    sparse = pytest.importorskip("scipy.sparse")
    train, test = train_test_split(sparse.dok_matrix(X), test_size=6, shuffle=False)
    np.testing.assert_array_equal(test.toarray(), X[-6:])
    assert train.shape == (N - 6, 2)
