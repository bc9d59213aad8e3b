"""Estimators as scikit-learn documents its own: parameters, attributes, methods.

Wherever both have it, scikit-learn's estimator in the same situation says what is right.
"""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import accuracy_score, r2_score

from tests.estimators import (
    BOTH,
    TARGETS,
    WIDTH,
    X,
    fitted,
    made,
    ours,
    targets_for,
    theirs,
    weights,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted_attributes(est):
    return {k: v for k, v in vars(est).items() if k.endswith("_") and not k.startswith("_")}


def same(found, expected):
    """Hold arrays, lists of arrays, numbers and None to be the same, with the same types."""
    if isinstance(expected, list) and isinstance(expected[0], np.ndarray):
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif expected is None or isinstance(expected, (str, int)):
        assert found == expected
        assert type(found) is type(expected)
    elif np.asarray(expected).dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
        assert np.asarray(found).dtype == np.asarray(expected).dtype


# ---- attributes and methods


@pytest.mark.parametrize("training", ["adam", "lbfgs", "early stopping", "partial_fit"])
@pytest.mark.parametrize("targets", TARGETS)
def test_attributes_and_answers_are_scikit_learns(targets, training):
    kind, y, parameters = TARGETS[targets]
    if training == "early stopping":
        parameters = parameters | {"early_stopping": True, "max_iter": 6}
    elif training == "lbfgs":
        parameters = parameters | {"solver": "lbfgs"}
    pair = [made(module, kind, **parameters) for module in (ours, theirs)]
    for est in pair:
        if training == "partial_fit" and kind == "MLPClassifier":
            classes = np.arange(3) if y.ndim == 2 else np.unique(y)
            est.partial_fit(X, y, classes=classes).partial_fit(X, y)
        elif training == "partial_fit":
            est.partial_fit(X, y).partial_fit(X, y)
        else:
            assert est.fit(X, y) is est
    mine, reference = pair
    expected = fitted_attributes(reference)
    assert expected.keys() <= fitted_attributes(mine).keys()
    for name, value in expected.items():
        same(getattr(mine, name), value)
    asked = [name for name in ("predict", "predict_proba", "predict_log_proba")]
    for name in asked if kind == "MLPClassifier" else asked[:1]:
        same(getattr(mine, name)(X), getattr(reference, name)(X))
    assert mine.score(X, y) == pytest.approx(reference.score(X, y), rel=1e-9)


@pytest.mark.parametrize("targets", ["two classes", "three classes", "several labels"])
def test_probabilities_are_what_their_names_say(targets):
    kind, y, _ = TARGETS[targets]
    est = made(ours, kind).fit(X, y)
    p = est.predict_proba(X)
    assert p.shape == (150, 2 if targets == "two classes" else 3)
    np.testing.assert_allclose(est.predict_log_proba(X), np.log(p), rtol=1e-10)
    if targets == "several labels":
        np.testing.assert_array_equal(est.predict(X), p > 0.5)
        assert np.ptp(p.sum(axis=1)) > 1e-3  # each label is for itself
    else:
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        np.testing.assert_array_equal(est.predict(X), est.classes_[p.argmax(axis=1)])


def test_a_regressor_has_no_probabilities():
    est = fitted("MLPRegressor")
    assert not hasattr(est, "predict_proba")
    assert not hasattr(est, "classes_")


@pytest.mark.parametrize(
    ("kind", "metric"), [("MLPClassifier", accuracy_score), ("MLPRegressor", r2_score)]
)
def test_score_takes_sample_weights(kind, metric, rng):
    est, weight = fitted(kind, solver="lbfgs", max_iter=9), rng.uniform(size=150)
    expected = metric(targets_for(kind), est.predict(X), sample_weight=weight)
    assert est.score(X, targets_for(kind), sample_weight=weight) == pytest.approx(expected)
    assert est.score(X, targets_for(kind)) != pytest.approx(expected)


@pytest.mark.parametrize("kind", BOTH)
def test_lists_and_sequences_are_arrays(kind):
    y = targets_for(kind)
    expected = made(ours, kind).fit(X, y)
    est = made(ours, kind).fit(X.tolist(), tuple(y.tolist()), [1] * 150)
    np.testing.assert_allclose(weights(est), weights(expected), rtol=1e-9)
    np.testing.assert_array_equal(est.predict(X.tolist()), est.predict(X))
    np.testing.assert_array_equal(est.predict(X[:1]), est.predict(X)[:1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_and_answers_have_the_type_of_the_features(kind, dtype, solver):
    est = made(ours, kind, solver=solver).fit(X.astype(dtype), targets_for(kind))
    assert {array.dtype.name for array in (*est.coefs_, *est.intercepts_)} == {dtype}
    answer = est.predict_proba if kind == "MLPClassifier" else est.predict
    assert answer(X.astype(dtype)).dtype == dtype
    np.testing.assert_allclose(answer(X.astype(dtype)), fitted_answer(kind, solver), rtol=1e-3)


def fitted_answer(kind, solver):
    est = fitted(kind, solver=solver)
    return est.predict_proba(X) if kind == "MLPClassifier" else est.predict(X)


@pytest.mark.parametrize("kind", BOTH)
def test_weights_may_be_changed(kind):
    """In place, and by others."""
    est, reference = (fitted(kind, module) for module in (ours, theirs))
    for each in (est, reference):
        each.coefs_[0][:2] = 0.5
        each.intercepts_[1] = each.intercepts_[1] + 1.0
    same(est.predict(X), reference.predict(X))


def test_a_step_of_gradient_descent_by_hand():
    """One sample, one hidden unit: w -= η (∂loss/∂w + α w)."""
    x, y, rate, alpha = np.array([[0.5, -1.0]]), np.array([2.0]), 0.1, 0.2
    est = ours.MLPRegressor(
        hidden_layer_sizes=1, activation="tanh", solver="sgd", momentum=0.0, alpha=alpha,
        learning_rate_init=rate,
    ).partial_fit(x, y)  # fmt: skip
    w, v = np.array([[0.3], [-0.4]]), np.array([[0.7]])
    est.coefs_, est.intercepts_ = [w, v], [np.array([0.1]), np.array([-0.2])]
    est.partial_fit(x, y)
    hidden = np.tanh(0.5 * 0.3 + 0.4 + 0.1)
    error = 0.7 * hidden - 0.2 - 2.0
    slope = error * 0.7 * (1 - hidden**2)
    np.testing.assert_allclose(est.coefs_[1], v - rate * (error * hidden + alpha * v))
    np.testing.assert_allclose(est.intercepts_[1], [-0.2 - rate * error])
    np.testing.assert_allclose(est.coefs_[0], w - rate * (slope * x.T + alpha * w))
    np.testing.assert_allclose(est.intercepts_[0], [0.1 - rate * slope])
    penalty = 0.5 * alpha * (0.3**2 + 0.4**2 + 0.7**2)
    assert est.loss_ == pytest.approx(0.5 * error**2 + penalty)


def test_without_hidden_units_poisson_regression_is_the_generalized_linear_model(rng):
    x = rng.uniform(size=(100, 2))
    y = rng.poisson(np.exp(x @ [1.0, -0.5] + 1))
    est = ours.MLPRegressor(
        "poisson", hidden_layer_sizes=(), alpha=0, solver="lbfgs", tol=1e-7, random_state=0
    ).fit(x, y)
    expected = PoissonRegressor(alpha=0, tol=1e-7).fit(x, y).predict(x)
    np.testing.assert_allclose(est.predict(x), expected, rtol=1e-4)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", BOTH)
def test_every_activation_learns(kind, activation):
    est = fitted(kind, activation=activation, solver="lbfgs", max_iter=150, hidden_layer_sizes=8)
    assert est.score(X, targets_for(kind)) > 0.9


# ---- parameters


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("sizes", [5, (5,), [5, 3], np.array([5, 3]), ()])
def test_hidden_layer_sizes_may_be_a_number_or_several(sizes, kind):
    est = fitted(kind, hidden_layer_sizes=sizes)
    hidden = np.atleast_1d(np.asarray(sizes, int)).tolist()
    n_out = 3 if kind == "MLPClassifier" else 1
    assert [w.shape for w in est.coefs_] == list(zip([4, *hidden], [*hidden, n_out], strict=True))
    assert [b.shape for b in est.intercepts_] == [(n,) for n in (*hidden, n_out)]
    assert est.n_layers_ == len(hidden) + 2


# parameter, another value of it, what has to be set for it to matter, what it is ignored with; None
# where there are tests of its own, and where it always matters
MATTERS = [
    ("activation", "tanh", {}, None),
    ("solver", "sgd", {}, None),
    ("alpha", 1.0, {}, None),
    ("batch_size", 10, {}, {"solver": "lbfgs"}),
    ("learning_rate", "invscaling", {"solver": "sgd"}, {"solver": "adam"}),
    ("learning_rate_init", 0.1, {}, {"solver": "lbfgs"}),
    ("power_t", 0.1, {"solver": "sgd", "learning_rate": "invscaling"}, {"solver": "sgd"}),
    ("max_iter", 2, {}, None),
    ("shuffle", False, {"batch_size": 10}, {"solver": "lbfgs"}),
    ("random_state", 1, {}, None),
    ("tol", 0.5, {"n_iter_no_change": 1, "max_iter": 9}, None),
    ("momentum", 0.5, {"solver": "sgd"}, {"solver": "adam"}),
    ("nesterovs_momentum", False, {"solver": "sgd"}, {"solver": "sgd", "momentum": 0.0}),
    ("early_stopping", True, {}, {"solver": "lbfgs"}),
    ("validation_fraction", 0.3, {"early_stopping": True}, {"early_stopping": False}),
    ("beta_1", 0.5, {}, {"solver": "sgd"}),
    ("beta_2", 0.5, {}, {"solver": "sgd"}),
    ("epsilon", 0.1, {}, {"solver": "sgd"}),
    ("n_iter_no_change", 1, {"tol": 0.5, "max_iter": 9}, {"solver": "lbfgs"}),
    ("max_fun", 2, {"solver": "lbfgs"}, {"solver": "adam"}),
    ("verbose", True, None, {}),
    ("warm_start", True, None, {}),
]


def _with_and_without(name, value, settings):
    changes = {name: value}, {}
    return [weights(fitted("MLPRegressor", **settings | change)) for change in changes]


@pytest.mark.parametrize(
    ("name", "value", "settings"),
    [(name, value, settings) for name, value, settings, _ in MATTERS if settings is not None],
    ids=str,
)
def test_parameters_matter(name, value, settings):
    assert not np.array_equal(*_with_and_without(name, value, settings))


@pytest.mark.parametrize(
    ("name", "value", "settings"),
    [(name, value, settings) for name, value, _, settings in MATTERS if settings is not None],
    ids=str,
)
def test_parameters_are_ignored_where_they_mean_nothing(name, value, settings):
    np.testing.assert_array_equal(*_with_and_without(name, value, settings))


def test_a_larger_alpha_makes_smaller_weights():
    small, large = (
        fitted("MLPClassifier", alpha=alpha, solver="lbfgs", max_iter=60) for alpha in (0.0, 3.0)
    )
    for w, v in zip(large.coefs_, small.coefs_, strict=True):
        assert np.abs(w).sum() < np.abs(v).sum()


def test_learning_rates_follow_their_formulas():
    given = {"solver": "sgd", "learning_rate_init": 0.1, "batch_size": 50}
    est = fitted("MLPRegressor", learning_rate="invscaling", power_t=0.25, **given)
    expected = [0.1, 0.1 / 151**0.25, 0.1 / 301**0.25]
    np.testing.assert_allclose(est.history_["learning_rate"], expected)
    est.set_params(learning_rate="adaptive", tol=9, n_iter_no_change=1, max_iter=3000).fit(X, WIDTH)
    rates = np.unique(est.history_["learning_rate"])[::-1]
    np.testing.assert_allclose(rates, 0.1 / 5.0 ** np.arange(len(rates)))
    assert rates[-1] <= 1e-6 < rates[-2]
    assert est.n_iter_ < est.max_iter
    est.set_params(learning_rate="constant").fit(X, WIDTH)
    assert set(est.history_["learning_rate"]) == {0.1}


@pytest.mark.parametrize("kind", BOTH)
def test_random_state_makes_training_reproducible(kind):
    def drawn(state):
        return weights(fitted(kind, random_state=state, early_stopping=True, batch_size=20))

    np.testing.assert_array_equal(drawn(1), drawn(1))
    np.testing.assert_array_equal(drawn(1), drawn(np.random.RandomState(1)))
    assert not np.allclose(drawn(1), drawn(2))
    assert not np.allclose(drawn(None), drawn(None))
    stream = np.random.RandomState(1)  # which goes on from one fit to the next
    assert not np.allclose(drawn(stream), drawn(stream))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("patience", [1, 4, np.inf])
def test_training_ends_after_epochs_without_an_improvement(kind, patience):
    est = fitted(kind, tol=1e9, n_iter_no_change=patience, max_iter=50)
    assert est.n_iter_ == len(est.loss_curve_) == min(patience + 2, 50)  # the first improves on ∞
    assert est.loss_curve_[-1] == est.loss_
    assert min(est.loss_curve_) == est.best_loss_


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"solver": "lbfgs"}, {"solver": "sgd"}),
        ({"early_stopping": True}, {"early_stopping": False}),
        ({"early_stopping": False}, {"early_stopping": True}),
        ({}, {"solver": "lbfgs"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", BOTH)
def test_a_warm_start_goes_on_by_other_rules(kind, before, after):
    est = fitted(kind, warm_start=True, **before)
    first = weights(est)
    est.set_params(**after).fit(X, targets_for(kind))
    assert not np.array_equal(weights(est), first)
    if est.solver != "lbfgs":
        assert (est.best_loss_ is None) == est.early_stopping
        assert (est.validation_scores_ is None) != est.early_stopping


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_layer_sizes": (4, 4)}, r"coefs_ has weights of the shapes \[\(4, 4\), "),
        ({"hidden_layer_sizes": 5}, "hidden_layer_sizes=5 and the data need"),
        ({"batch_norm": True}, "batch_norm=True, but the network so far was trained with"),
    ],
    ids=str,
)
def test_a_warm_start_with_another_network_is_refused(kind, change, message):
    est = fitted(kind, warm_start=True)
    before = weights(est)
    with pytest.raises(ValueError, match=message):
        est.set_params(**change).fit(X, targets_for(kind))
    np.testing.assert_array_equal(weights(est), before)  # nothing is lost


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", BOTH)
def test_a_warm_start_goes_on_and_has_all_its_epochs(kind, solver):
    est = fitted(kind, solver=solver, warm_start=True, n_iter_no_change=np.inf, tol=0.0)
    assert est.n_iter_ == 3
    loss = est.loss_
    est.set_params(max_iter=10).fit(X, targets_for(kind))
    assert est.n_iter_ == 10
    assert est.loss_ < loss
    if solver != "lbfgs":
        assert len(est.loss_curve_) == 13
        assert est.t_ == 13 * 150
    est.set_params(warm_start=False, max_iter=3).fit(X, targets_for(kind))
    np.testing.assert_array_equal(weights(est), weights(fitted(kind, solver=solver, tol=0.0)))


@pytest.mark.parametrize("kind", BOTH)
def test_early_stopping_keeps_scores_and_the_best_weights(kind):
    given = {"early_stopping": True, "warm_start": True, "learning_rate_init": 0.05}
    est, reference = (fitted(kind, module, max_iter=15, **given) for module in (ours, theirs))
    assert est.best_loss_ is None
    assert len(est.validation_scores_) == est.n_iter_
    assert max(est.validation_scores_) == est.best_validation_score_
    for each in (est, reference):
        each.fit(X, targets_for(kind))
    assert len(est.validation_scores_) > est.n_iter_
    np.testing.assert_allclose(est.validation_scores_, reference.validation_scores_, rtol=1e-7)
    np.testing.assert_allclose(weights(est), weights(reference), rtol=1e-7)
    est.set_params(early_stopping=False, warm_start=False).fit(X, targets_for(kind))
    assert est.validation_scores_ is est.best_validation_score_ is None


def test_partial_fit_is_an_epoch_of_fit():
    given = {"shuffle": False, "learning_rate_init": 0.05}
    est = made(ours, "MLPRegressor", **given)
    for _ in range(3):
        est.partial_fit(X, WIDTH)
        assert est.n_iter_ == 1
    np.testing.assert_allclose(weights(est), weights(fitted("MLPRegressor", **given)), rtol=1e-12)


@pytest.mark.slow
def test_partial_fit_need_not_see_all_classes_at_once():
    est = ours.MLPClassifier(random_state=0, learning_rate_init=0.1)
    est.partial_fit([[0.0], [1.0]], ["a", "b"], classes=["a", "b", "c"])
    assert est.classes_.tolist() == ["a", "b", "c"]
    for _ in range(60):
        est.partial_fit([[2.0]], ["c"])
    assert est.predict([[2.0]]) == ["c"]


@pytest.mark.parametrize("kind", BOTH)
def test_weights_of_samples_are_repetitions(kind):
    times = np.arange(150) % 3
    given = {"solver": "lbfgs", "max_iter": 9}
    weighted = made(ours, kind, **given).fit(X, targets_for(kind), sample_weight=times)
    rows = np.repeat(np.arange(150), times)
    repeated = made(ours, kind, **given).fit(X[rows], targets_for(kind)[rows])
    np.testing.assert_allclose(weights(weighted), weights(repeated), rtol=1e-6)


# ---- what is printed


PRINTING = {
    "sgd": {"solver": "sgd"},
    "adam": {},
    "lbfgs": {"solver": "lbfgs"},
    "a number": {"verbose": 10},
    "an end": {"tol": 9.0, "n_iter_no_change": 2, "max_iter": 9},
    "early stopping": {
        "early_stopping": True, "tol": 0.9, "n_iter_no_change": 1, "max_iter": 20,
    },
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1,
        "max_iter": 40,
    },
    "adaptive, early stopping": {
        "solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1,
        "max_iter": 40, "early_stopping": True,
    },
    "False": {"verbose": False},
    "0": {"verbose": 0},
}  # fmt: skip


@pytest.mark.parametrize("how", PRINTING)
@pytest.mark.parametrize("kind", BOTH)
def test_verbose_prints_scikit_learns_lines(kind, how, capsys):
    printed = []
    for module in (ours, theirs):
        est = fitted(kind, module, **{"verbose": True} | PRINTING[how])
        if est.solver != "lbfgs" and not est.early_stopping:
            est.partial_fit(X, targets_for(kind))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert ("Iteration 2, loss = " in printed[0]) == (how not in ("lbfgs", "False", "0"))
