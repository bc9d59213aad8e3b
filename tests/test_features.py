"""The kinds of features: decided in one place, and what each of them answers."""

from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet.data import Dataset
from xpnet.data.features import DenseRows, SparseRows, StoredRows, kind_of

PACKAGE = Path(xpnet.__file__).parent
X = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, -3.0], [0.0, 0.0, 4.0], [5.0, 6.0, 0.0]], np.float32)


def of_kind(kind, tmp_path):
    """Return the same numbers as features of a kind."""
    if kind is SparseRows:
        return pytest.importorskip("scipy.sparse").csr_array(X)
    if kind is StoredRows:
        np.save(tmp_path / "x.npy", X)
        return np.load(tmp_path / "x.npy", mmap_mode="r")
    return X


def calls(name):
    """Return how often each file calls a function that tells kinds of features apart."""
    counts = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        text = path.read_text().replace(f"def {name}(", "")
        if not file.startswith("backends/") and (count := text.count(f"{name}(")):
            counts[file] = count
    return counts


@pytest.mark.parametrize("name", ["is_sparse", "is_stored"])
def test_the_kind_of_features_is_decided_in_one_place(name):
    assert calls(name) == {"data/features.py": 1}


@pytest.mark.parametrize("kind", [DenseRows, SparseRows, StoredRows])
def test_all_kinds_answer_the_same_questions(kind, tmp_path):
    given = of_kind(kind, tmp_path)
    data = Dataset(given, feature_names=["a", "b", "c"])
    features = data.features
    assert kind_of(given) is type(features) is kind
    assert features.X is data.X
    assert features.shape == data.shape == X.shape
    assert len(features) == 4
    assert features.dtype == np.float32
    assert (features.backend is None) == (kind is not DenseRows)
    for got, expected in zip(features.limits(), (X.min(axis=0), X.max(axis=0)), strict=True):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, expected)
    features.check_finite()
    some = features.rows(np.array([3, 0, 3]))
    assert type(some) is (SparseRows if kind is SparseRows else DenseRows)
    got = some.X.toarray() if kind is SparseRows else some.X
    np.testing.assert_array_equal(got, X[[3, 0, 3]])


def test_rows_take_as_many_bytes_as_their_numbers(tmp_path):
    dense, sparse = Dataset(X).features, Dataset(of_kind(SparseRows, tmp_path)).features
    assert (dense.row_bytes(4), dense.row_bytes(8), dense.row_bytes(4, wide=True)) == (12, 24, 24)
    assert Dataset(X.astype(np.uint8)).features.row_bytes(4) == 3
    assert dense.streamed_row_bytes == 12
    assert sparse.row_bytes(4) == 6 * (4 + 4) / 4 + 4  # values and indices, and a pointer
    assert sparse.streamed_row_bytes == 0
    assert sparse.filled == 0.5


def test_features_that_are_set_are_read_as_those_of_the_constructor(tmp_path):
    data = Dataset(X)
    data.X = X[:2].tolist()
    assert isinstance(data.features, DenseRows)
    assert data.shape == (2, 3)
    data.X = of_kind(SparseRows, tmp_path)
    assert isinstance(data.features, SparseRows)
    with pytest.raises(ValueError, match=r"X has shape \(3,\), expected"):
        data.X = [1.0, 2.0, 3.0]
    assert isinstance(data.features, SparseRows)


def test_targets_and_weights_are_refused_if_they_are_sparse(tmp_path):
    sparse = of_kind(SparseRows, tmp_path)
    with pytest.raises(TypeError, match=r"y is sparse: give y\.toarray\(\)$"):
        Dataset(X, sparse)
    with pytest.raises(TypeError, match=r"sample_weight\.toarray\(\)\.ravel\(\)$"):
        Dataset(X, np.zeros(4), sample_weight=sparse)
