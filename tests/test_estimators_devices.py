"""Estimators on a device that is not the host.

Without a GPU, array-api-strict's second device stands in for one: there, mixing devices and silent
copies to the host raise.
"""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from scipy import sparse

from tests.estimators import (
    BOTH,
    CLASSES,
    TARGETS,
    X,
    answer,
    fitted,
    made,
    ours,
    targets_for,
    weights,
)
from xpnet.backends import backend_of, is_array, to_host

pytestmark = [
    pytest.mark.parametrize(
        "float64_backend", ["strict", pytest.param("cupy", marks=pytest.mark.cuda)], indirect=True
    ),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture
def gpu(float64_backend, monkeypatch):
    """The backend of ``device="cuda"``."""
    if float64_backend.name == "cupy":
        return float64_backend
    from xpnet.model import model

    monkeypatch.setattr(
        "xpnet.estimators._inputs.on_gpu",
        lambda x: is_array(x) and not isinstance(x, np.ndarray),
    )
    resolve = model.resolve

    def found(device=None, *, dtype="float32", **more):
        if device == "cuda":
            return float64_backend.with_dtype(dtype)
        return resolve(device, dtype=dtype, **more)

    monkeypatch.setattr(model, "resolve", found)
    return float64_backend


def there(gpu, *arrays):
    return [gpu.asarray(array, None if array.dtype.kind in "iu" else gpu.dtype) for array in arrays]


SOLVERS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 10.0},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.5},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", [name for name in TARGETS if name != "one class"])
def test_training_there_is_training_here(name, solver, gpu):
    kind, y, parameters = TARGETS[name]
    given = parameters | SOLVERS[solver] | {"max_iter": 5}
    here = made(ours, kind, **given).fit(X, y)
    est = made(ours, kind, device="cuda", **given).fit(X, y)
    assert est.network_.backend.name == gpu.name
    np.testing.assert_allclose(weights(est), weights(here), rtol=1e-8, atol=1e-10)
    assert est.n_iter_ == here.n_iter_
    # On a GPU the penalty in it is that of the epoch's end.
    assert est.loss_ == pytest.approx(here.loss_, rel=1e-4 if gpu.has_kernels else 1e-9)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(est, method):
            expected, found = getattr(here, method)(X), getattr(est, method)(X)
            assert isinstance(found, np.ndarray)
            if found.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-7)
            else:
                np.testing.assert_array_equal(found, expected)
    assert est.score(X, y) == pytest.approx(here.score(X, y), rel=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", BOTH)
def test_without_a_device_training_is_where_the_features_are(kind, solver, gpu):
    y = targets_for(kind)
    here = fitted(kind, **SOLVERS[solver])
    est = made(ours, kind, **SOLVERS[solver]).fit(*there(gpu, X, y))
    assert est.network_.backend == gpu
    np.testing.assert_allclose(weights(est), weights(here), rtol=1e-8, atol=1e-10)
    features, targets = there(gpu, X, y)
    found = est.predict(features)
    assert backend_of(found).device == gpu.device
    np.testing.assert_allclose(to_host(found), here.predict(X), rtol=1e-7)
    assert isinstance(est.predict(X), np.ndarray)
    weight = there(gpu, np.linspace(0.1, 1.0, len(y)))[0]
    expected = here.score(X, y, to_host(weight))
    assert est.score(features, targets, weight) == pytest.approx(expected, rel=1e-7)


def test_text_is_answered_on_the_host(gpu):
    y = np.array(["setosa", "versicolor", "virginica"])[CLASSES]
    features = there(gpu, X)[0]
    est = made(ours, "MLPClassifier", max_iter=30).fit(features, y)
    assert isinstance(est.predict(features), np.ndarray)
    assert set(est.predict(features)) <= set(y)
    assert backend_of(est.predict_proba(features)).device == gpu.device


@pytest.mark.parametrize("kind", BOTH)
def test_weights_validation_data_and_more_epochs_there(kind, gpu):
    y, weight = targets_for(kind), np.linspace(0.0, 2.0, len(X))

    def trained(device, bring):
        est = made(ours, kind, device=device, early_stopping=True)
        features, targets, share = bring(X, y, weight)
        est.fit(features, targets, share, validation_data=(features, targets, share))
        est.set_params(early_stopping=False, warm_start=True).fit(features, targets, share)
        return est.partial_fit(features, targets, share)

    here = trained(None, lambda *arrays: arrays)
    for device in (None, "cuda"):
        est = trained(device, lambda *arrays: there(gpu, *arrays))
        np.testing.assert_allclose(weights(est), weights(here), rtol=1e-7, atol=1e-9)
        found, expected = est.validation_loss_curve_, here.validation_loss_curve_
        assert found == pytest.approx(expected, rel=1e-4 if gpu.has_kernels else 1e-8)


@pytest.mark.parametrize("kind", BOTH)
def test_weights_on_the_host_are_copies_that_may_be_replaced(kind, gpu):
    est, here = (fitted(kind, device=device) for device in ("cuda", None))
    with pytest.raises(ValueError, match="read-only"):
        est.coefs_[0][0, 0] = 1.0  # which would be lost
    for each in (est, here):
        each.coefs_[0] = 2.0 * each.coefs_[0]
        each.partial_fit(X, targets_for(kind))
    np.testing.assert_allclose(weights(est), weights(here), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_there(solver, gpu):
    rows = sparse.csr_array(X * (X > 1.0))
    est, here = (
        made(ours, "MLPClassifier", device=device, solver=solver).fit(rows, CLASSES)
        for device in ("cuda", None)
    )
    np.testing.assert_allclose(weights(est), weights(here), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(est.predict_proba(rows), here.predict_proba(rows), rtol=1e-7)


@pytest.mark.parametrize("kind", BOTH)
def test_dropout_and_batch_normalization_there(kind, gpu):
    est = fitted(kind, device="cuda", dropout=0.2, batch_norm=True, max_iter=20)
    found = answer(est, X) if kind == "MLPClassifier" else est.predict(X)
    assert np.isfinite(np.asarray(found, float)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: np.where(X[3, 1] == X, np.nan, X), "NaN or infinity, which MLPClassifier does"),
        (lambda X: X[:, :3], "X has 3 features, but MLPClassifier is expecting 4 features"),
        (lambda X: X[:, 0], "Expected 2D array, got 1D array"),
        (lambda X: X[:0], r"Found array with 0 sample\(s\)"),
    ],
    ids=["NaN", "columns", "one dimension", "empty"],
)
def test_bad_features_there_are_refused(change, message, gpu):
    est = fitted("MLPClassifier")
    bad = there(gpu, change(X))[0]
    with pytest.raises(ValueError, match=message):
        est.predict(bad)
    with pytest.raises(ValueError, match=message):
        est.partial_fit(bad, CLASSES[: bad.shape[0]])


@pytest.mark.parametrize("kind", BOTH)
def test_some_of_it_here_and_some_there(kind, gpu):
    """What is validated on, what is asked and what comes later may be on the host, or not."""
    y, (features,) = targets_for(kind), there(gpu, X)
    est = made(ours, kind, early_stopping=True).fit(features, y, validation_data=(X, y))
    assert est.network_.backend == gpu
    np.testing.assert_allclose(answer(est, X), to_host(answer(est, features)), rtol=1e-12)
    assert est.network_.backend == gpu
    est.set_params(early_stopping=False).partial_fit(X, y).partial_fit(features, y)
    here = made(ours, kind, early_stopping=True).fit(X, y, validation_data=(X, y))
    here.set_params(early_stopping=False).partial_fit(X, y).partial_fit(X, y)
    np.testing.assert_allclose(weights(est), weights(here), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", BOTH)
def test_a_scorer_is_answered_on_the_host(kind, gpu):
    scoring = {"MLPClassifier": "f1_macro", "MLPRegressor": "neg_mean_absolute_error"}[kind]
    given = {"early_stopping": True, "scoring": scoring}
    est = made(ours, kind, **given).fit(*there(gpu, X, targets_for(kind)))
    expected = fitted(kind, **given).validation_scores_
    assert est.validation_scores_ == pytest.approx(expected, rel=1e-7)


def test_classes_and_weights_may_come_from_there(gpu):
    est = made(ours, "MLPClassifier")
    est.partial_fit(*there(gpu, X, CLASSES), classes=there(gpu, np.unique(CLASSES))[0])
    expected = est.predict_proba(X)
    est.coefs_[0] = there(gpu, est.coefs_[0])[0]
    np.testing.assert_array_equal(est.predict_proba(X), expected)
