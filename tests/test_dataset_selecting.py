"""``dataset[...]``, iteration over samples, and the one line that shows a data set."""

import numpy as np
import pytest

from xpnet import Dataset
from xpnet.backends import to_host

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


def data_set(**given):
    return Dataset(X, Y, ["a", "b"], ids=list("uvwxyz"), class_names=["k", "l", "m"], **given)


@pytest.mark.parametrize(
    "key",
    [
        slice(2),
        slice(None, None, -1),
        slice(-2, None),
        slice(1, 100, 2),
        slice(4, 2),
        [3, 3, 0],
        np.array([-1, 0]),
        np.array([5], np.uint8),
        [True, False, True, False, False, False],
        Y == 1,
        np.zeros(0, int),
    ],
    ids=str,
)
def test_slices_index_arrays_and_masks_select_samples(key):
    data = data_set(sample_weight=Y + 1)
    expected = np.arange(6)[key]
    part = data[key]
    assert isinstance(part, Dataset)
    np.testing.assert_array_equal(part.X, X[expected])
    np.testing.assert_array_equal(part.y, Y[expected])
    np.testing.assert_array_equal(part.sample_weight, Y[expected] + 1)
    assert (part.feature_names, part.class_names) == (["a", "b"], ["k", "l", "m"])


def test_masks_of_the_arrays_library(backend):
    data = Dataset(backend.asarray(X.astype(np.float32)), backend.asarray(Y))
    for key in (data.y == 1, slice(1, 5, 3), backend.asarray(np.array([1, 4]))):
        np.testing.assert_array_equal(to_host(data[key].X), X[[1, 4]])
    series = pytest.importorskip("pandas").Series(Y == 1)
    np.testing.assert_array_equal(to_host(data[series].X), X[[1, 4]])


def test_an_empty_list_selects_no_sample():
    assert len(data_set()[[]]) == 0


def test_a_number_gives_one_sample_as_pytorchs_data_sets_do(backend):
    data = Dataset(backend.asarray(X.astype(np.float32)), backend.asarray(Y))
    x, y = data[-2]
    assert x.shape == (2,)
    np.testing.assert_array_equal(to_host(x), X[4])
    assert int(to_host(y)) == 1


def test_iteration_yields_the_samples(backend):
    pairs = list(Dataset(backend.asarray(X.astype(np.float32)), backend.asarray(Y)))
    np.testing.assert_array_equal([to_host(x) for x, _ in pairs], X)
    assert [int(to_host(y)) for _, y in pairs] == Y.tolist()


def test_what_a_sample_has():
    assert [len(each) for each in (Dataset(X)[0], data_set()[0])] == [1, 2]
    x, y, weight = data_set(sample_weight=Y + 1)[2]
    assert (x.tolist(), y, weight) == ([4.0, 5.0], 2, 3)
    assert Dataset(X, sample_weight=Y + 1)[2][1] is None
    assert Dataset(X, np.stack([Y, Y], axis=1))[2][1].tolist() == [2, 2]


def test_samples_of_sparse_and_of_stored_data(tmp_path, monkeypatch):
    monkeypatch.setattr("xpnet.data.selecting._PIECE", 4)
    sparse = pytest.importorskip("scipy.sparse")
    rows = [x.toarray()[0] for x, _ in Dataset(sparse.csr_array(X), Y)]
    np.testing.assert_array_equal(rows, X)
    np.save(tmp_path / "x.npy", X)
    stored = Dataset(np.load(tmp_path / "x.npy", mmap_mode="r"), Y)
    np.testing.assert_array_equal([x for x, _ in stored], X)
    np.testing.assert_array_equal(stored[1:3].X, X[1:3])


def test_pytorchs_loader_takes_it():
    data = pytest.importorskip("torch.utils.data")
    (x, y), *others = data.DataLoader(Dataset(X, Y), batch_size=4)
    assert (x.shape, y.tolist(), len(others)) == ((4, 2), [0, 1, 2, 0], 1)


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        (6, IndexError, "no sample 6: the data set has 6 samples"),
        (-7, IndexError, "no sample -7"),
        ([0, 6], IndexError, "no sample 6"),
        ([True], IndexError, r"mask has shape \(1,\): expected \(6,\)"),
        ("a", TypeError, r"A column of features is dataset\.X"),
        ((slice(2), 0), TypeError, r"A column of features is dataset\.X"),
        ([0.5], TypeError, "expected integers"),
        ([[0]], ValueError, r"index has shape \(1, 1\)"),
        (None, TypeError, "expected an integer, a slice"),
        (1.0, TypeError, "expected an integer, a slice"),
    ],
)
def test_what_selects_nothing_is_refused(key, error, words):
    with pytest.raises(error, match=words):
        data_set()[key]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (Dataset(X), "Dataset(6 samples, 2 features of float64 on cpu)"),
        (
            Dataset(X, Y, sample_weight=Y + 1),
            "Dataset(6 samples, 2 features of float64 on cpu, labels of int64, weights)",
        ),
        (
            data_set(),
            "Dataset(6 samples, 2 features of float64 on cpu, labels of int64, 3 classes, ids)",
        ),
        (
            Dataset(X[:, :1].astype(int) // 6, np.eye(3)[Y], ["c"], categories={"c": ["r", "s"]}),
            "Dataset(6 samples, 1 features of int64 on cpu (1 with categories), "
            "3 columns of labels of float64)",
        ),
    ],
)
def test_the_line_that_shows_a_data_set(data, line):
    assert repr(data) == line
