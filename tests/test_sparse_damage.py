"""Sparse matrices with an inconsistent structure are refused before native code reads them.

SciPy's constructors accept most of these. Without a check they end the process, or train on
numbers that are not part of the matrix.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet import Dataset, DenseLayer, NeuralNetwork, Normalization, TanhActivation
from xpnet.backends import resolve
from xpnet.callbacks import Callback
from xpnet.data import train_test_split

sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")

N, K = 24, 8
FAR = 10**9
REFUSED = "X is a damaged sparse matrix"


def whole(form="csr"):
    """Return a new sound matrix, which shares no arrays."""
    rng = np.random.default_rng(3)
    dense = rng.standard_normal((N, K)) * (rng.random((N, K)) < 0.4)
    dense[0, 0] = dense[-1, -1] = 1.0
    return sparse.csr_array(dense).asformat(form)


def compressed(major):
    """Return what can be wrong with the arrays of CSR, CSC or BSR, by name."""

    def put(name, place, value):
        return lambda X: getattr(X, name).__setitem__(place, value)

    def give(name, change):
        return lambda X: setattr(X, name, change(getattr(X, name)))

    return {
        "indptr begins below 0": put("indptr", 0, -1),
        "indptr begins above 0": put("indptr", 0, 1),
        "indptr falls": put("indptr", 3, 0),
        "indptr jumps": put("indptr", 2, FAR),
        "indptr is negative": put("indptr", 2, -FAR),
        "indptr ends beyond": put("indptr", -1, FAR),
        "indptr is short": give("indptr", lambda a: a[:-1]),
        "indptr is long": give("indptr", lambda a: np.append(a, a[-1])),
        "indptr is of floats": give("indptr", lambda a: a.astype(float)),
        "indptr is a matrix": give("indptr", lambda a: a[:, None]),
        "an index is too large": put("indices", 1, FAR),
        "an index is one too large": put("indices", -1, major),
        "an index is negative": put("indices", 0, -1),
        "indices are short": give("indices", lambda a: a[:-2]),
        "indices are of floats": give("indices", lambda a: a.astype(float)),
        "data are short": give("data", lambda a: a[:-2]),
        "data are empty": give("data", lambda a: a[:0]),
        "data are a matrix": give("data", lambda a: a[:, None]),
    }


def coordinates():
    def put(name, place, value):
        return lambda X: getattr(X, name).__setitem__(place, value)

    return {
        "a row is too large": put("row", 0, FAR),
        "a row is negative": put("row", 0, -1),
        "a column is too large": put("col", 2, K),
        "a column is negative": put("col", 2, -FAR),
        "data are short": lambda X: setattr(X, "data", X.data[:-2]),
    }


def others():
    return {
        ("dia", "an offset is far away"): lambda X: X.offsets.__setitem__(0, FAR),
        ("dia", "offsets are short"): lambda X: setattr(X, "offsets", X.offsets[:-1]),
        ("lil", "a column is too large"): lambda X: X.rows[0].__setitem__(0, FAR),
        ("lil", "a column is negative"): lambda X: X.rows[0].__setitem__(0, -1),
        ("lil", "more values than columns"): lambda X: X.data[0].extend([1.0] * 1000),
        ("lil", "a list too few"): lambda X: setattr(X, "rows", X.rows[:-1]),
        ("dok", "a row is too large"): lambda X: X._dict.__setitem__((FAR, 0), 1.0),
        ("dok", "a column is negative"): lambda X: X._dict.__setitem__((0, -1), 1.0),
    }


DAMAGES = {
    **{("csr", name): damage for name, damage in compressed(K).items()},
    **{("csc", name): damage for name, damage in compressed(N).items()},
    **{("bsr", name): damage for name, damage in compressed(K).items()},
    **{("coo", name): damage for name, damage in coordinates().items()},
    **others(),
}


def network(first=None):
    net = NeuralNetwork(
        epochs=3, batch_size=4, loss="softmax_cross_entropy", metric="accuracy", seed=5
    )
    if first is not None:
        net.add(first)
    return net.add(DenseLayer(5, (K,))).add(TanhActivation()).add(DenseLayer(3))


Y = np.arange(N) % 3


@pytest.fixture(scope="module")
def trained():
    return network().fit((whole(), Y))


@pytest.mark.parametrize(("form", "name"), DAMAGES, ids=str)
def test_a_data_set_refuses_a_damaged_matrix(form, name):
    X = whole(form)
    DAMAGES[form, name](X)
    with pytest.raises(ValueError, match=REFUSED):
        Dataset(X, Y)


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"])
def test_a_data_set_accepts_a_sound_matrix(form):
    np.testing.assert_array_equal(Dataset(whole(form), Y).X.toarray(), whole().toarray())


DOORS = {
    "fit": lambda net, data: net.fit(data),
    "fit by formulas": lambda net, data: network(Normalization(input_shape=(K,))).fit(data),
    "validation": lambda net, data: net.fit((whole(), Y), validation=data),
    "predict": lambda net, data: net.predict(data),
    "score": lambda net, data: net.score(data),
    "inspect": lambda net, data: net.inspect(data),
    "rows": lambda net, data: data.rows(np.arange(N)),
    "train_test_split": lambda net, data: train_test_split(data),
    "get_mini_batches": lambda net, data: list(net.get_mini_batches(data.X, Y)),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kernels", ["auto", "formulas"])
@pytest.mark.parametrize("name", ["indptr jumps", "indptr is negative", "indptr ends beyond"])
def test_damage_after_a_data_set_was_made_is_seen_at_every_door(
    door, kernels, name, trained, monkeypatch
):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    data = Dataset(whole(), Y)
    DAMAGES["csr", name](data.X)
    with pytest.raises(ValueError, match=REFUSED):
        DOORS[door](trained, data)


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("name", ["indptr jumps", "an index is too large", "data are short"])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "score"])
def test_estimators_refuse_a_damaged_matrix(form, name, method):
    estimators = pytest.importorskip("xpnet.estimators")
    est = estimators.MLPClassifier((4,), max_iter=2, tol=1e9, n_iter_no_change=9)
    if method != "fit":
        est.partial_fit(whole(), Y, classes=[0, 1, 2])
    X = whole(form)
    DAMAGES[form, name](X)
    arguments = () if method.startswith("predict") else (Y,)
    with pytest.raises(ValueError, match=REFUSED):
        getattr(est, method)(X, *arguments)


@pytest.mark.parametrize("name", ["indptr jumps", "an index is too large", "data are short"])
def test_backends_refuse_a_damaged_matrix(name):
    X = whole()
    DAMAGES["csr", name](X)
    with pytest.raises(ValueError, match=REFUSED):
        resolve("cpu").from_sparse(X)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["indptr jumps", "an index is too large", "data are short"])
def test_cupy_refuses_a_damaged_matrix(name, cuda):
    X = whole()
    DAMAGES["csr", name](X)
    with pytest.raises(ValueError, match=REFUSED):
        cuda.from_sparse(X)


class Vandal(Callback):
    """Changes the structure of a matrix while a network trains on it."""

    def __init__(self, X):
        self.X = X

    def on_epoch_end(self, network, row):
        self.X.indices[...] = FAR
        self.X.indptr[1:-1] = -FAR


@pytest.mark.parametrize("kernels", ["auto", "formulas"])
@pytest.mark.parametrize("first", [None, Normalization], ids=["kept sparse", "made dense"])
def test_training_does_not_see_what_a_callback_does_to_the_matrix(kernels, first, monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    results = []
    for vandal in (False, True):
        data = Dataset(whole(), Y)
        net = network(None if first is None else first(input_shape=(K,)))
        net.fit(data, validation=data, callbacks=[Vandal(data.X)] if vandal else [])
        results.append((net.history["loss"], net.history["val_loss"], net.predict(whole())))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_numbers_behind_the_last_entry_are_ignored():
    X = whole()
    longer = whole()
    longer.indices = np.append(X.indices, [FAR, -1]).astype(X.indices.dtype)
    longer.data = np.append(X.data, [np.nan, 7.0])
    data = Dataset(longer, Y)
    np.testing.assert_array_equal(data.X.toarray(), X.toarray())
    assert len(data.X.data) == len(data.X.indices) == X.nnz
    data.check_finite()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    indptr=st.lists(st.integers(-3, 9), min_size=1, max_size=6),
    indices=st.lists(st.integers(-2, 5), max_size=9),
    n_data=st.integers(0, 9),
    shape=st.tuples(st.integers(0, 5), st.integers(1, 5)),
    form=st.sampled_from(["csr", "csc"]),
)
def test_whatever_the_arrays_say_is_refused_or_is_a_matrix(indptr, indices, n_data, shape, form):
    X = getattr(sparse, f"{form}_array")(shape)
    X.indptr, X.indices = np.array(indptr, np.int32), np.array(indices, np.int32)
    X.data = np.arange(1.0, n_data + 1)
    major, minor = shape if form == "csr" else shape[::-1]
    sound = (
        len(indptr) == major + 1
        and indptr[0] == 0
        and indptr == sorted(indptr)
        and indptr[-1] <= len(indices) == n_data
        and all(0 <= index < minor for index in indices[: indptr[-1]])
    )
    if not sound:
        with pytest.raises(ValueError, match=REFUSED):
            Dataset(X)
        return
    expected = np.zeros((major, minor))
    for row in range(major):
        for k in range(indptr[row], indptr[row + 1]):
            expected[row, indices[k]] += X.data[k]
    given_dense = expected if form == "csr" else expected.T
    np.testing.assert_array_equal(Dataset(X).X.toarray(), given_dense)
