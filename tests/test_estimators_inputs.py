"""What estimators are given: frames, sparse rows, small integers, arrays of other libraries."""

import tracemalloc

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.estimators import (
    BOTH,
    CLASSES,
    LABELS,
    X,
    answer,
    fitted,
    made,
    ours,
    python,
    targets_for,
    weights,
)
from xpnet import Dataset

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


# ---- frames


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    library = pytest.importorskip(request.param)
    return library.DataFrame({name: X[:, k] for k, name in enumerate(NAMES)})


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize("kind", BOTH)
def test_names_of_columns_are_kept_and_held_to(frame, kind, settings):
    y = type(frame)({"y": targets_for(kind)})["y"]
    est = made(ours, kind, **settings).fit(frame, y)
    assert est.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(weights(est), weights(fitted(kind, **settings)))
    assert isinstance(est.predict(frame), np.ndarray)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(est.predict(X), est.predict(frame))
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        est.predict(frame[NAMES[::-1]])


def test_tables_of_pyarrow_are_taken():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({name: pa.array(X[:, k]) for k, name in enumerate(NAMES)})
    est = made(ours, "MLPClassifier", early_stopping=True)
    est.fit(table, CLASSES, validation_data=(table, CLASSES))
    assert est.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        est.predict(table.select(NAMES[::-1]))
    times = pa.table({"a": pa.array(X[:, 0]), "b": pa.array([0] * len(X), pa.timestamp("s"))})
    with pytest.raises(TypeError, match="X, column 'b', has dates or durations"):
        est.fit(times, CLASSES)


def test_a_scorer_and_validation_data_of_frames_do_without_a_warning(frame):
    est = made(ours, "MLPClassifier", early_stopping=True, scoring="f1_macro")
    est.fit(frame, CLASSES)
    assert len(est.validation_scores_) == 3
    est.fit(frame, CLASSES, validation_data=(frame, CLASSES))
    assert len(est.validation_loss_curve_) == 3
    with pytest.raises(ValueError, match="feature names should match"):
        est.fit(frame, CLASSES, validation_data=(frame[NAMES[::-1]], CLASSES))


def test_names_of_columns_go_to_scikit_learn_and_back(frame):
    there = made(ours, "MLPClassifier").fit(frame, CLASSES).to_sklearn()
    back = ours.MLPClassifier.from_sklearn(there)
    assert there.feature_names_in_.tolist() == back.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(back.predict(frame), there.predict(frame))


@pytest.mark.parametrize("kind", BOTH)
def test_a_data_set_is_told_to_give_its_arrays(kind):
    data = Dataset(X, targets_for(kind))
    for est in (made(ours, kind), make_pipeline(StandardScaler(), made(ours, kind))):
        with pytest.raises(TypeError, match=r"a Dataset is not an array: .*dataset\.X.*dataset\.y"):
            est.fit(data, data.y)


# ---- sparse rows, small integers


def peak(function):
    """Return the most bytes that a call had at a time."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_are_the_dense_ones(solver, container, kind):
    est = made(ours, kind, solver=solver).fit(container(X), targets_for(kind))
    np.testing.assert_allclose(weights(est), weights(fitted(kind, solver=solver)), rtol=1e-6)
    np.testing.assert_allclose(answer(est, container(X)), answer(est), rtol=1e-12)
    assert isinstance(est.predict(container(X)), np.ndarray)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_never_become_dense_as_a_whole(solver, container):
    n, k = 4000, 5000
    features = container(sparse.random(n, k, density=1e-3, random_state=0))
    est = made(ours, "MLPClassifier", solver=solver, max_iter=2, hidden_layer_sizes=2)
    est.fit(features[:300], np.arange(300) % 2)  # what is imported and compiled first
    dense = 8 * n * k
    assert peak(lambda: est.fit(features, np.arange(n) % 2)) < dense / 4
    assert peak(lambda: est.predict(features)) < dense / 4


@pytest.mark.parametrize("dtype", ["float32", None])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_small_integers_are_not_copied_as_floats(dtype, early_stopping, rng):
    features = rng.integers(0, 256, (20_000, 200), dtype=np.uint8)
    y = np.arange(20_000) % 2
    given = {"hidden_layer_sizes": 2, "max_iter": 2, "early_stopping": early_stopping}
    est = made(ours, "MLPClassifier", dtype=dtype, **given).fit(features[:300], y[:300])
    least = features.size * np.dtype(dtype or "float64").itemsize
    assert peak(lambda: est.fit(features, y)) < least / 2
    assert peak(lambda: est.predict(features)) < least / 2
    assert est.coefs_[0].dtype.name == (dtype or "float64")
    alike = made(ours, "MLPClassifier", dtype=dtype, **given).fit(features / 1.0, y)
    np.testing.assert_allclose(weights(est), weights(alike), rtol=1e-3)


# ---- arrays of other libraries


def tensors(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return lambda x: torch.tensor(x, dtype=getattr(torch, dtype) if x.dtype.kind == "f" else None)


def jax_arrays(dtype):
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    return lambda x: jnp.asarray(x, dtype if x.dtype.kind == "f" else None)


LIBRARIES = {
    "torch, float32": (tensors, "float32"),
    "torch, float64": (tensors, "float64"),
    "jax, float32": (jax_arrays, "float32"),
}


@pytest.fixture(params=LIBRARIES)
def library(request):
    """What makes an array of another library of NumPy's, and the name of its type."""
    make, dtype = LIBRARIES[request.param]
    return make(dtype), dtype


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_answers_are_of_the_library_of_the_question(library, kind, solver):
    other, dtype = library
    features, y = other(X), other(targets_for(kind))
    est = made(ours, kind, solver=solver).fit(features, y)
    expected = made(ours, kind, solver=solver).fit(X.astype(dtype), targets_for(kind))
    np.testing.assert_allclose(weights(est), weights(expected), rtol=1e-5, atol=1e-7)
    assert {type(array) for array in (*est.coefs_, *est.intercepts_)} == {np.ndarray}
    found = answer(est, features)
    assert type(found) is type(features)
    assert found.dtype == features.dtype
    assert found.device == features.device
    np.testing.assert_allclose(np.asarray(found), answer(expected, X.astype(dtype)), rtol=1e-5)
    predicted = est.predict(features)
    assert type(predicted) is type(features)
    if kind == "MLPClassifier":
        assert predicted.dtype == y.dtype
    assert est.score(features, y) == pytest.approx(expected.score(X, targets_for(kind)), abs=1e-6)
    assert isinstance(est.predict(X), np.ndarray)
    assert type(expected.predict(features)) is type(features)


def test_labels_that_are_text_are_numpys(library):
    text = np.array(["a", "b", "c"])[CLASSES]
    est = made(ours, "MLPClassifier").fit(library[0](X), text)
    assert isinstance(est.predict(library[0](X)), np.ndarray)
    assert type(est.predict_proba(library[0](X))) is type(library[0](X))


def test_several_labels_and_epochs_by_hand_take_other_libraries(library):
    other, _ = library
    est = made(ours, "MLPClassifier").fit(other(X), other(LABELS))
    assert est.predict(other(X)).shape == (150, 3)
    est = made(ours, "MLPClassifier").partial_fit(other(X), other(CLASSES), classes=[0, 1, 2])
    np.testing.assert_array_equal(
        np.asarray(est.predict(other(X))), est.predict(np.asarray(other(X)))
    )


def test_wrong_arrays_of_other_libraries_are_refused(library):
    other, _ = library
    est = made(ours, "MLPClassifier")
    with pytest.raises(ValueError, match="Input X contains NaN"):
        est.fit(other(np.where(X > 7, np.nan, X)), CLASSES)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        est.fit(other(X[0]), CLASSES)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        est.fit(other(X), CLASSES).predict(other(X[:, :3]))


DISPATCH = """
import warnings
import numpy as np, sklearn, torch
from tests.estimators import CLASSES, WIDTH, X, made, ours, weights
warnings.simplefilter("error")
warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
features = torch.tensor(X, dtype=torch.float32)
for kind, y in (("MLPClassifier", CLASSES), ("MLPRegressor", WIDTH)):
    targets = torch.tensor(y)
    before = made(ours, kind).fit(features, targets)
    with sklearn.config_context(array_api_dispatch=True):
        est = made(ours, kind).fit(features, targets)
        np.testing.assert_array_equal(weights(est), weights(before))
        asked = ("predict", "predict_proba") if kind == "MLPClassifier" else ("predict",)
        for name in asked:
            found = getattr(est, name)(features)
            assert isinstance(found, torch.Tensor), (kind, name)
            assert torch.equal(found, getattr(before, name)(features))
            assert isinstance(getattr(est, name)(X), np.ndarray)
        score = est.score(features, targets.to(found.dtype) if kind == "MLPRegressor" else targets)
        np.testing.assert_allclose(float(score), before.score(X, y), rtol=1e-5)
        made(ours, kind, early_stopping=True, scoring="accuracy" if len(asked) > 1 else "r2").fit(
            features, targets, validation_data=(features, targets)
        )
print("done")
"""


def test_answers_are_the_same_where_scikit_learn_dispatches_to_array_libraries():
    """SciPy wants its own switch for it before it is imported."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert python(DISPATCH, SCIPY_ARRAY_API="1") == "done"


# ---- dates and durations

DAYS = np.datetime64("2026-01-01") + np.arange(150)
TIMES = {
    "dates": DAYS,
    "durations": DAYS - DAYS[0],
    "dates in microseconds": DAYS.astype("M8[us]"),
    "missing dates": np.full(150, "NaT", "M8[D]"),
    "Python's dates": DAYS.astype(object),
    "Python's durations": (DAYS - DAYS[0]).astype(object),
    "Python's dates and None": np.array([None, *DAYS.astype(object)[1:]]),
    "NumPy's dates as objects": np.array([*DAYS, None], dtype=object)[:-1],
    "text": DAYS.astype(str),
}


NUMBERS = np.arange(150.0)


def frame_of(library, columns):
    frames, times = pytest.importorskip(library), columns["time"]
    if times.dtype.kind in "Mm":
        times = times.astype(f"{times.dtype.kind}8[us]")  # polars does not know days
    elif isinstance(times[0], np.datetime64):
        times = times.astype("M8[us]")
    return frames.DataFrame(columns | {"time": times})


CONTAINERS = {
    "a column": lambda times: times[:, None],
    "a list": lambda times: [[each] for each in times],
    "objects": lambda times: np.array([*zip(NUMBERS, times, strict=True)], dtype=object),
    "pandas": lambda times: frame_of("pandas", {"time": times}),
    "pandas, mixed": lambda times: frame_of("pandas", {"number": NUMBERS, "time": times}),
    "polars": lambda times: frame_of("polars", {"time": times}),
    "polars, mixed": lambda times: frame_of("polars", {"number": NUMBERS, "time": times}),
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", BOTH)
def test_features_that_are_dates_or_durations_are_refused(kind, container, name):
    features = CONTAINERS[container](TIMES[name])
    column = ", column 'time'," if hasattr(features, "columns") else ""
    words = f"X{column} has dates or durations, expected numbers: give (dates|durations) as numbers"
    est, y = made(ours, kind), targets_for(kind)
    with pytest.raises(TypeError, match=words):
        est.fit(features, y)
    with pytest.raises(TypeError, match=words):
        est.fit(np.ones(np.shape(features)), y).predict(features)
    with pytest.raises(TypeError, match=words):
        est.fit(np.ones(np.shape(features)), y, validation_data=(features, y))
