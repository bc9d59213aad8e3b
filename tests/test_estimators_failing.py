"""Fits that diverge or raise: the state of the estimator afterwards, and its attributes."""

import inspect
import pickle
import re
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from sklearn.exceptions import ConvergenceWarning

from tests.estimators import (
    BOTH,
    CLASSES,
    WIDTH,
    X,
    answer,
    made,
    ours,
    targets_for,
    theirs,
    weights,
)
from xpnet import LambdaCallback, NotFittedError, StopOnNaN
from xpnet.estimators._network import SOLVERS

DIVERGES = {"learning_rate_init": 1e200, "batch_size": 10}
SOLVER_NAMES = [*SOLVERS, "lbfgs"]


@pytest.fixture(autouse=True)
def _numbers_overflow_in_silence():
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def documented(kind="MLPClassifier"):
    """Return the names of the attributes that the classifier's docstring promises after a fit."""
    text = inspect.getdoc(ours.MLPClassifier)
    section = re.search(r"^Attributes\n-+\n(.*?)\n\nNotes", text, re.M | re.S)[1]
    lines = [line for line in section.splitlines() if not line.startswith(" ")]
    names = {name for line in lines for name in line.split(" : ")[0].split(", ")}
    names -= {"feature_names_in_"}  # only where X has names
    return names - ({"classes_"} if kind == "MLPRegressor" else set())


def trained(kind, how, **given):
    """Return an estimator that was trained in one of several ways."""
    est, y = made(ours, kind, **given), targets_for(kind)
    if how == "partial_fit":
        return est.partial_fit(X, y, **({"classes": np.unique(y)} if y is CLASSES else {}))
    est.fit(X, y)
    return est.set_params(warm_start=True).fit(X, y) if how == "warm start" else est


# ---- what is there after a fit that returns


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("how", ["fit", "partial_fit", "warm start"])
@pytest.mark.parametrize("solver", SOLVER_NAMES)
@pytest.mark.parametrize("kind", BOTH)
def test_every_documented_attribute_is_there(kind, solver, how, early_stopping):
    if how == "partial_fit" and (solver == "lbfgs" or early_stopping):
        pytest.skip("there is no such partial_fit")
    est = trained(kind, how, solver=solver, early_stopping=early_stopping)
    assert [name for name in documented(kind) if not hasattr(est, name)] == []
    assert est.loss_ == pytest.approx(est.loss_curve_[-1])
    assert len(est.loss_curve_) == est.n_iter_ * (2 if how == "warm start" else 1)
    if solver == "lbfgs":
        assert est.best_loss_ == min(est.loss_curve_)
        assert est.loss_curve_ == sorted(est.loss_curve_, reverse=True)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize("kind", BOTH)
def test_every_documented_attribute_is_there_after_from_sklearn(kind, solver):
    given = made(theirs, kind, solver=solver).fit(X, targets_for(kind))
    est = getattr(ours, kind).from_sklearn(given)
    assert [name for name in documented(kind) if not hasattr(est, name)] == []


# Steps of "rprop" have a limit, so that nothing diverges in an epoch.
@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "rprop"])
@pytest.mark.parametrize("kind", BOTH)
def test_early_stopping_counts_the_epoch_that_diverges(kind, solver):
    given = {"solver": solver, "early_stopping": True, "max_iter": 5} | DIVERGES
    est = made(ours, kind, **given)
    with pytest.warns(ConvergenceWarning, match=r"diverged: .* epoch 1\. .* the initial random"):
        est.fit(X, targets_for(kind))
    assert est.n_iter_ == len(est.loss_curve_) == len(est.validation_scores_) == 1
    assert len(est.validation_loss_curve_) == 1
    assert np.isnan([est.loss_, *est.loss_curve_, *est.validation_scores_]).all()
    assert est.t_ == 135
    assert [name for name in documented(kind) if not hasattr(est, name)] == []
    first = made(ours, kind, solver=solver, learning_rate_init=1e-300, max_iter=1)
    np.testing.assert_allclose(weights(est), weights(first.fit(X, targets_for(kind))))
    again = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(answer(again), answer(est))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_early_stopping_counts_epochs_as_scikit_learn_does(solver):
    """With one epoch: scikit-learn does not end training at the first NaN, as we do."""
    given = {"solver": solver, "early_stopping": True, "max_iter": 1} | DIVERGES
    found, expected = (made(module, "MLPRegressor", **given) for module in (ours, theirs))
    for est in (found, expected):
        est.fit(X, WIDTH)
    for name in ("loss_", "best_loss_", "n_iter_", "t_", "loss_curve_", "validation_scores_"):
        np.testing.assert_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.best_validation_score_ == expected.best_validation_score_
    np.testing.assert_allclose(weights(found), weights(expected))
    there = found.to_sklearn()
    assert np.isnan(there.loss_)
    np.testing.assert_allclose(there.predict(X), found.predict(X))


@pytest.mark.parametrize("kind", BOTH)
def test_a_later_epoch_that_diverges_leaves_the_best_weights(kind):
    def grow(network, epoch):
        if epoch == 2:
            network.optimizer.schedule.rate = 1e200

    grows = LambdaCallback(on_epoch_end=lambda net, row: grow(net, row["epoch"]))
    est = made(ours, kind, early_stopping=True, max_iter=9, batch_size=10, callbacks=[grows])
    with pytest.warns(ConvergenceWarning, match="epoch 3.*best validation score"):
        est.fit(X, targets_for(kind))
    assert est.n_iter_ == len(est.loss_curve_) == len(est.validation_scores_) == 3
    assert np.isfinite(answer(est)).all()
    assert est.best_validation_score_ == np.nanmax(est.validation_scores_)


@pytest.mark.parametrize("kind", BOTH)
def test_a_callback_that_ends_a_divergence_leaves_every_attribute(kind):
    est = made(ours, kind, solver="sgd", callbacks=[StopOnNaN()], **DIVERGES)
    est.fit(X, targets_for(kind))
    assert [name for name in documented(kind) if not hasattr(est, name)] == []
    assert est.n_iter_ == len(est.loss_curve_) == 1
    assert np.isnan(est.loss_)


@pytest.mark.parametrize("kind", BOTH)
def test_lbfgs_that_diverges_says_so(kind):
    est = made(ours, kind, solver="lbfgs", activation="identity")
    with pytest.warns(ConvergenceWarning, match=r"lbfgs diverged .* the loss is (nan|inf)"):
        est.fit(X * 1e200, targets_for(kind))
    assert not np.isfinite(est.loss_)
    assert [name for name in documented(kind) if not hasattr(est, name)] == []


# ---- what is there after a fit that raises


def no_device(est, X, y):
    est.set_params(device="cuda:99").fit(X, y)


def other_library_fails(est, X, y):
    est.set_params(hidden_layer_sizes=(2,), activation=["relu", "relu"]).fit(X, y)


def diverging(est, X, y):
    est.set_params(solver="sgd", **DIVERGES).fit(X, y)


def diverging_partial_fit(est, X, y):
    def grow(network, epoch):
        network.optimizer.learning_rate = 1e200

    grows = LambdaCallback(on_epoch_begin=grow)
    est.set_params(batch_size=10, callbacks=[grows]).partial_fit(X, y)


def features_that_are_nan(est, X, y):
    est.fit(np.full_like(X, np.nan), y)


def other_features(est, X, y):
    est.partial_fit(X[:, :2], y)


def fewer_targets(est, X, y):
    est.fit(X, y[:9])


def callback_in_the_second_epoch(est, X, y):
    def fail(network, row):
        if len(est.loss_curve_) % 3 == 2:
            raise RuntimeError("a callback's own")

    est.set_params(callbacks=[LambdaCallback(on_epoch_end=fail)], max_iter=3).fit(X, y)


def callback_after_partial_fit(est, X, y):
    def fail(network):
        raise RuntimeError("a callback's own")

    est.set_params(callbacks=[LambdaCallback(on_train_end=fail)]).partial_fit(X, y)


def interrupt_in_lbfgs(est, X, y):
    class Reported(type(est)):
        def _reported_loss(self, *given):
            raise KeyboardInterrupt

    est.__class__ = Reported
    try:
        est.set_params(solver="lbfgs").fit(X, y)
    finally:
        est.__class__ = Reported.__mro__[1]


FAILURES = [
    no_device, other_library_fails, diverging, diverging_partial_fit, features_that_are_nan,
    other_features, fewer_targets, callback_in_the_second_epoch, callback_after_partial_fit,
    interrupt_in_lbfgs,
]  # fmt: skip


def everything(est):
    """Return all that an estimator has learned, in a form that can be compared."""
    values = {name: value for name, value in vars(est).items() if name.endswith("_")}
    network = values.pop("network_")
    values["optimizer"] = [
        np.array(getattr(network.optimizer, name)) for name in network.optimizer.state_names
    ]
    values["n_updates"] = network.optimizer.n_updates
    return pickle.loads(pickle.dumps(values))


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("fail", FAILURES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("kind", BOTH)
def test_a_fit_that_raises_leaves_the_estimator_as_it_was(kind, fail, warm_start):
    y = targets_for(kind)
    est = made(ours, kind, warm_start=warm_start, batch_norm=warm_start).fit(X, y)
    parameters, before, said = est.get_params(), everything(est), answer(est)
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the kind is each failure's own
        fail(est, X, y)
    assert not isinstance(raised.value, AssertionError)
    est.set_params(**parameters)
    np.testing.assert_equal(everything(est), before)
    np.testing.assert_array_equal(answer(est), said)
    # It continues like one that never failed.
    other = made(ours, kind, warm_start=warm_start, batch_norm=warm_start).fit(X, y)
    for each in (est, other):
        each.partial_fit(X, y)
    np.testing.assert_array_equal(weights(est), weights(other))
    assert est.loss_curve_ == other.loss_curve_


@pytest.mark.parametrize("fail", FAILURES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("kind", BOTH)
def test_a_first_fit_that_raises_leaves_nothing_to_predict_with(kind, fail):
    if fail is diverging_partial_fit or fail is other_features:
        pytest.skip("it is about a model that was fitted")
    est, y = made(ours, kind), targets_for(kind)
    names = set(vars(est))
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the kind is each failure's own
        fail(est, X, y)
    assert set(vars(est)) == names
    with pytest.raises((NotFittedError, ValueError), match="not fitted yet"):
        est.predict(X)


# ---- scores that are not finite


def scores(values):
    """Return a scorer that returns these values in turn, and then the last one again and again."""
    left = list(values)
    return lambda est, X, y, **_: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", BOTH)
def test_a_score_that_is_not_finite_is_never_the_best(kind, odd):
    given = {"early_stopping": True, "max_iter": 4, "n_iter_no_change": 9}
    est = made(ours, kind, scoring=scores([odd, 0.5, odd, 0.1]), **given)
    expected = made(ours, kind, scoring=scores([0.1, 0.5, 0.2, 0.1]), **given)
    words = rf"score was {odd} in 2 epoch\(s\), .* best validation score\. Give another scoring"
    with pytest.warns(ConvergenceWarning, match=words) as caught:
        est.fit(X, targets_for(kind))
    assert caught[-1].filename == __file__
    expected.fit(X, targets_for(kind))
    assert est.best_validation_score_ == 0.5
    np.testing.assert_equal(est.validation_scores_, [odd, 0.5, odd, 0.1])
    np.testing.assert_array_equal(weights(est), weights(expected))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", BOTH)
def test_training_ends_with_a_warning_where_no_score_is_finite(kind, odd):
    est = made(
        ours, kind, early_stopping=True, scoring=scores([odd]), n_iter_no_change=3, max_iter=50
    )
    with pytest.warns(ConvergenceWarning, match=r"in 4 epoch.* the initial random weights"):
        est.fit(X, targets_for(kind))
    assert est.n_iter_ == 4
    assert est.best_validation_score_ == -np.inf


@pytest.mark.parametrize("wrong", [None, "0.5", [0.5], 1j])
def test_a_scorer_that_returns_no_number_is_refused(wrong):
    est = made(ours, "MLPClassifier", early_stopping=True, scoring=scores([wrong]))
    with pytest.raises(ValueError, match="scoring must return a number, got"):
        est.fit(X, CLASSES)
