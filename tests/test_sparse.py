"""Duplicate entries of sparse rows, in any order, stand for their sum."""

import numpy as np
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork, Normalization, TanhActivation
from xpnet.backends import to_host

sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")

N, K = 60, 12


def scattered(rng, kind="float64", entries=400):
    """Return a CSR matrix with duplicate entries, and its sums as a dense array."""
    rows, columns = np.sort(rng.integers(0, N, entries)), rng.integers(0, K, entries)
    if np.dtype(kind).kind == "f":
        values = rng.standard_normal(entries).astype(kind)
    else:
        values = rng.integers(0, 2 if kind == "bool" else 120, entries).astype(kind)
    starts = np.searchsorted(rows, np.arange(N + 1))
    X = sparse.csr_array((values, columns, starts), shape=(N, K))
    plain = np.zeros((N, K), {"b": bool, "f": np.float64}.get(values.dtype.kind, np.int64))
    np.add.at(plain, (rows, columns), values)
    assert X.nnz > np.unique(rows * K + columns).size
    return X, plain


def held(X):
    return [array.copy() for array in (X.data, X.indices, X.indptr)]


def trained(backend, X, y, **more):
    net = NeuralNetwork(
        epochs=3,
        batch_size=16,
        loss="softmax_cross_entropy",
        optimizer="adam",
        backend=backend.name,
        device=backend.device_name,
        dtype=backend.dtype,
        seed=0,
        **more,
    )
    net.add(DenseLayer(9, (K,))).add(TanhActivation()).add(DenseLayer(3))
    return net.fit((X, y), validation=(X, y))


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "int8", "int64", "bool"])
@pytest.mark.parametrize("form", ["csr_array", "csr_matrix", "csc_array", "coo_matrix"])
def test_a_data_set_has_the_sums_of_entries_for_one_place(kind, form, rng):
    X, plain = scattered(rng, kind)
    given = getattr(sparse, form)(X) if form.startswith("cs") else X.tocoo()
    data = Dataset(given, np.zeros(N))
    # Not `toarray`, which would add up here what a matrix has more than once.
    expected = sparse.csr_array(plain)
    np.testing.assert_array_equal(data.X.indptr[-1], len(data.X.indices))
    assert data.X.has_canonical_format
    again = sparse.csr_array((data.X.data, data.X.indices, data.X.indptr), shape=(N, K))
    assert again.has_canonical_format
    tolerance = 1e-5 if kind == "float32" else 1e-12
    np.testing.assert_allclose((again - expected).toarray(), 0, atol=tolerance)


@pytest.mark.parametrize("kind", ["float16", ">f4", ">f8", ">i4", "longdouble"])
@pytest.mark.parametrize("twice", [False, True])
def test_types_that_scipy_does_not_add_up_itself(kind, twice):
    columns = [3, 1, 1 if twice else 2, 5, 0]
    values = np.array([1, 2, 3, 4, 5], kind)
    X = sparse.csr_array((values, columns, [0, 2, 2, 4, 5]), shape=(4, 6))
    expected = np.zeros((4, 6))
    np.add.at(expected, ([0, 0, 2, 2, 3], columns), [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(Dataset(X).X.astype(np.float64).toarray(), expected)


def test_sums_beyond_64_bits_are_floats():
    X = sparse.csr_array((np.full(3, 2**62), [1, 1, 1], [0, 3]), shape=(1, 2))
    np.testing.assert_array_equal(Dataset(X).X.toarray(), [[0, 3.0 * 2**62]])


@pytest.mark.parametrize("form", ["csr_array", "coo_array"])
def test_large_integers_that_are_there_once_keep_all_digits(form):
    X = sparse.csr_array((np.full(20, 2**60 + 1), np.arange(20)[::-1], [0, 20]), shape=(1, 20))
    read = Dataset(getattr(sparse, form)(X)).X
    assert read.dtype == np.int64
    assert (read.data == 2**60 + 1).all()


def test_objects_are_refused_in_words():
    X = sparse.csr_array((np.ones(2), [0, 0], [0, 2, 2]), shape=(2, 2))
    X.data = np.array(["a", "b"], dtype=object)
    with pytest.raises(TypeError, match=r"type object, expected booleans, integers or floats"):
        Dataset(X)


def test_small_integers_do_not_overflow_where_they_are_added_up():
    X = sparse.csr_array((np.array([200, 100], np.uint8), [1, 1], [0, 2, 2]), shape=(2, 3))
    np.testing.assert_array_equal(Dataset(X).X.toarray(), [[0, 300, 0], [0, 0, 0]])


def test_a_matrix_that_says_wrongly_that_it_has_no_such_places_is_not_believed(rng):
    X, plain = scattered(rng)
    X.has_canonical_format = True
    np.testing.assert_allclose(Dataset(X).X.toarray(), plain, atol=1e-12)
    assert Dataset(X).X.nnz < X.nnz


def test_a_matrix_without_such_places_is_not_copied(rng):
    X = sparse.random_array((N, K), density=0.3, rng=rng, format="csr")
    assert Dataset(X).X is X


@pytest.mark.parametrize("made_dense", [True, False])
def test_training_and_prediction_are_those_of_the_plain_matrix(
    backend, made_dense, rng, monkeypatch
):
    if not made_dense:  # captured steps then multiply the sparse rows
        monkeypatch.setattr("xpnet.training.steps.captured.buffers.DENSE_BYTES", 0)
    X, plain = scattered(rng, backend.dtype)
    y, before = rng.integers(0, 3, N), held(X)
    ours, expected = trained(backend, X, y), trained(backend, plain.astype(backend.dtype), y)
    tolerance = 1e-8 if backend.dtype == "float64" else 2e-4
    for name in ("loss", "val_loss"):
        assert ours.history[name] == pytest.approx(expected.history[name], rel=tolerance)
    np.testing.assert_allclose(
        ours.predict(X), expected.predict(plain), rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(
        to_host(ours.parameters.copy()),
        to_host(expected.parameters.copy()),
        rtol=tolerance,
        atol=tolerance,
    )
    assert ours.score((X, y), metric="accuracy") == expected.score((plain, y), metric="accuracy")
    for now, then in zip(held(X), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_estimators_see_the_plain_matrix(name, solver, rng):
    estimators = pytest.importorskip("xpnet.estimators")
    X, plain = scattered(rng)
    y, before = rng.integers(0, 3, N), held(X)
    kind = getattr(estimators, name)
    given = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, "solver": solver}
    ours, expected = (kind(**given).fit(each, y) for each in (X, plain))
    np.testing.assert_allclose(ours.predict(X), expected.predict(plain), rtol=1e-7)
    np.testing.assert_allclose(ours.coefs_[0], expected.coefs_[0], rtol=1e-7, atol=1e-10)
    for now, then in zip(held(X), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("kind", ["int32", "int64", "float64"])
@pytest.mark.parametrize("make", ["csr_matrix", "csr_array", "csc_array", "coo_array"])
def test_a_first_normalization_takes_sparse_rows_with_all_their_digits(backend, make, kind):
    if backend.wide_dtype != "float64":
        pytest.skip("the device has no float64")
    rng = np.random.default_rng(5)
    X = rng.integers(0, 3, (N, 3)) * rng.integers(0, 9, (N, 3))
    X[:, 0] = 1_700_000_000 + rng.integers(-300, 300, N)  # seconds: 6 numbers in float32
    X = X.astype(kind)
    data = getattr(sparse, make)(X)
    assert np.unique(X[:, 0].astype(np.float32)).size < 10

    def net():
        made = NeuralNetwork(
            3, 16, optimizer="adam", seed=0, backend=backend.name, device=backend.device_name
        )
        return made.add(Normalization.adapt(X)).add(DenseLayer(4)).add(DenseLayer(1))

    dense, rows = net().fit((X, X[:, 1])), net().fit((data, X[:, 1]))
    np.testing.assert_allclose(rows.predict(data), dense.predict(X), rtol=1e-5, atol=1e-5)
    assert rows.score((data, X[:, 1]), metric="rmse") == pytest.approx(
        dense.score((X, X[:, 1]), metric="rmse")
    )
    if kind == "float64":
        data.data[:1] = 1e300
        with pytest.raises(
            ValueError, match=r"column 0, which after Normalization are beyond what float32 holds"
        ):
            rows.predict(data)
