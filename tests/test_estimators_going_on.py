"""Estimators that go on: other settings, other places, pickles, several threads at a time."""

import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from threadpoolctl import threadpool_info

from tests.estimators import (
    BOTH,
    CLASSES,
    WIDTH,
    X,
    answer,
    fitted,
    made,
    ours,
    targets_for,
    theirs,
    weights,
)
from xpnet import SGD, Adam

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"solver": "adam"}, {"solver": "sgd", "learning_rate": "invscaling"}),
        ({"solver": "sgd"}, {"solver": "adam"}),
        ({"solver": "sgd", "learning_rate": "invscaling"}, {"learning_rate_init": 0.5}),
    ],
    ids=str,
)
def test_partial_fit_keeps_the_optimizer_whatever_the_solver_as_scikit_learn(kind, before, after):
    found, expected = (made(module, kind, **before) for module in (ours, theirs))
    for est in (found, expected):
        est.fit(X, targets_for(kind)).set_params(**after)
        for _ in range(3):
            est.partial_fit(X, targets_for(kind))
    np.testing.assert_allclose(weights(found), weights(expected), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", BOTH)
def test_after_lbfgs_partial_fit_has_the_solvers_own_optimizer(kind):
    est = fitted(kind, solver="lbfgs").set_params(solver="adam")
    assert isinstance(est.network_.optimizer, SGD)  # which was not used
    est.partial_fit(X, targets_for(kind))
    assert isinstance(est.network_.optimizer, Adam)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"activation": "identity"}),
        ({"activation": "identity"}, {"activation": "tanh"}),
        ({"batch_norm": True}, {"batch_norm": True, "dropout": 0.3}),
        ({"dropout": 0.3}, {"dropout": 0.0}),
    ],
    ids=str,
)
def test_a_warm_start_takes_layers_without_weights_as_they_are_asked_for(kind, before, after):
    est = fitted(kind, warm_start=True, **before)
    first = est.coefs_[0].copy()
    est.set_params(**after, learning_rate_init=1e-9).fit(X, targets_for(kind))
    np.testing.assert_allclose(est.coefs_[0], first, atol=1e-6)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("first", ["float32", "float64"])
def test_weights_keep_their_type_when_training_goes_on(kind, first):
    second = {"float32": "float64", "float64": "float32"}[first]
    found, expected = (made(module, kind) for module in (ours, theirs))
    for est in (found, expected):
        est.partial_fit(X.astype(first), targets_for(kind), **_classes(kind))
        est.partial_fit(X.astype(second), targets_for(kind))
        assert est.coefs_[0].dtype == first
    np.testing.assert_allclose(weights(found), weights(expected), rtol=1e-5, atol=1e-6)


def _classes(kind):
    return {"classes": np.unique(CLASSES)} if kind == "MLPClassifier" else {}


@pytest.mark.parametrize("kind", BOTH)
def test_from_scikit_learn_into_another_type(kind):
    est = getattr(ours, kind).from_sklearn(fitted(kind, theirs), dtype="float32")
    assert est.coefs_[0].dtype == np.float32
    assert est.network_.backend.dtype == "float32"


def test_a_fit_that_is_refused_leaves_the_model_as_it_was():
    est = made(ours, "MLPRegressor", warm_start=True).fit(X, WIDTH)
    two = np.stack([WIDTH, WIDTH], axis=1)
    with pytest.raises(ValueError, match="coefs_ has weights of the shapes"):
        est.fit(X, two)
    assert est.predict(X).shape == (150,)
    with pytest.raises(
        ValueError, match="validation_data has 2 targets for each sample: expected 1"
    ):
        est.fit(X, WIDTH, validation_data=(X, two))


def test_weights_of_classes_are_not_those_of_a_score():
    def plain(est, X, y):  # which takes no sample_weight
        return float(np.mean(est.predict(X) == y))

    weighing = {"class_weight": {0: 5.0, 1: 1.0, 2: 0.1}, "early_stopping": True}
    est = fitted("MLPClassifier", scoring=plain, **weighing)
    by_default = fitted("MLPClassifier", **weighing)
    assert est.validation_scores_ == pytest.approx(by_default.validation_scores_)


@pytest.mark.parametrize("kind", BOTH)
def test_a_pickle_has_no_order_of_samples_in_it(kind):
    many = np.tile(X, (100, 1))
    y = np.tile(targets_for(kind), 100)
    assert len(pickle.dumps(made(ours, kind, max_iter=1).fit(many, y))) < 8 * len(y)


@pytest.mark.parametrize("kind", BOTH)
def test_coefs_are_the_networks_own_after_a_pickle_too(kind):
    est = fitted(kind)
    est.coefs_[1] = est.coefs_[1] + 1.0  # not yet the network's
    copy = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(answer(copy), answer(est))
    copy.network_.parameters.values.all_finite()  # which gathers them
    before = answer(copy)
    copy.coefs_[0][:] = 0.0
    assert not np.array_equal(answer(copy), before)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_layers_keep_no_batch(solver):
    est = fitted("MLPClassifier", solver=solver, batch_size=150)
    assert getattr(est.network_.layers[0], "input", None) is None


def test_features_beyond_the_type_of_the_weights_are_refused():
    est = made(ours, "MLPClassifier").fit(X.astype("float32"), CLASSES)
    large = X.copy()
    large[3, 1] = 1e300
    with pytest.raises(ValueError, match="numbers beyond what float32 holds"):
        est.predict(large)


def test_several_threads_predict_at_a_time_and_leave_blas_its_own():
    def blas():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    est, many = fitted("MLPClassifier"), np.tile(X, (40, 1))  # enough for threads of its own
    expected, before, found = est.predict_proba(many), blas(), []

    def ask():
        found.extend(est.predict_proba(many) for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blas() == before
    assert len(found) == 40
    for each in found:
        np.testing.assert_array_equal(each, expected)
