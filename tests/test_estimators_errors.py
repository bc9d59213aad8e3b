"""Errors and warnings of estimators: scikit-learn's, in the same situations and the same words."""

import _thread
import contextlib
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from tests.estimators import BOTH, CLASSES, WIDTH, X, fitted, made, ours, targets_for, theirs
from xpnet import LambdaCallback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def said(situation, module):
    """Return the warnings that there were, and the error at the end if there was one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            situation(module)
            error = []
        except Exception as raised:
            error = [(type(raised), str(raised))]
    there = [(each.category, str(each.message)) for each in caught]
    return there + error


def fit(kind="MLPClassifier", features=X, targets=None, weight=None, **parameters):
    """Return a situation: a fit."""
    y = targets_for(kind) if targets is None else targets
    return lambda module: made(module, kind, **parameters).fit(features, y, sample_weight=weight)


def partial_fits(*calls, **parameters):
    """Return a situation: calls of a classifier's ``partial_fit``, with labels and all classes."""

    def situation(module):
        est = made(module, "MLPClassifier", **parameters)
        for labels, classes in calls:
            est.partial_fit(X[: len(labels)], labels, classes=classes)

    return situation


def then(first, second):
    """Return a situation: something after a fit."""
    return lambda module: second(first(module))


NAN = np.where(X > 7, np.nan, X)

# name -> (situation, last thing that is said, a part of it)
SITUATIONS = {
    "unfitted predict": (
        lambda module: made(module, "MLPClassifier").predict(X), NotFittedError, "not fitted yet",
    ),
    "unfitted predict_proba": (
        lambda module: made(module, "MLPClassifier").predict_proba(X), NotFittedError, "not fitted",
    ),
    "unfitted score": (
        lambda module: made(module, "MLPRegressor").score(X, WIDTH), NotFittedError, "not fitted",
    ),
    "other features": (
        then(fit(), lambda est: est.predict(X[:, :3])), ValueError, "X has 3 features, but MLPC",
    ),
    "other features in partial_fit": (
        then(fit("MLPRegressor"), lambda est: est.partial_fit(X[:, :3], WIDTH)), ValueError,
        "X has 3 features, but MLPRegressor is expecting 4 features as input",
    ),
    "other features in a warm start": (
        then(fit(warm_start=True), lambda est: est.fit(X[:, :3], CLASSES)), ValueError,
        "X has 3 features",
    ),
    "features that are NaN": (fit(features=NAN), ValueError, "Input X contains NaN"),
    "NaN in predict": (
        then(fit(), lambda est: est.predict(NAN)), ValueError, "Input X contains NaN",
    ),
    "infinite features": (
        fit(features=np.full((150, 4), np.inf)), ValueError, "Input X contains infinity",
    ),
    "features in a row": (fit(features=X[0]), ValueError, "Expected 2D array, got 1D array"),
    "complex features": (fit(features=1j * X), ValueError, "Complex data not supported"),
    "text for features": (
        fit(features=[["a", "b"]], targets=[1]), ValueError, "could not convert string to float",
    ),
    "no samples": (fit(features=X[:0], targets=[]), ValueError, "Found array with 0 sample(s)"),
    "no features": (fit(features=X[:, :0]), ValueError, "Found array with 0 feature(s)"),
    "other targets": (fit(targets=CLASSES[:9]), ValueError, "inconsistent numbers of samples"),
    "numbers for classes": (fit(targets=WIDTH), ValueError, "Unknown label type"),
    "several outputs of classes": (
        fit(targets=np.stack([CLASSES, CLASSES], axis=1)), ValueError, "Multioutput target data",
    ),
    "text for numbers": (
        fit("MLPRegressor", targets=np.array(["a"] * 150, object)), ValueError,
        "could not convert string to float",
    ),
    "targets that are NaN": (
        fit("MLPRegressor", targets=np.full(150, np.nan)), ValueError, "Input y contains NaN",
    ),
    "no hidden units": (
        fit(hidden_layer_sizes=(3, 0)), ValueError, "hidden_layer_sizes must be > 0, got [3, 0].",
    ),
    "units below 0": (
        fit("MLPRegressor", hidden_layer_sizes=[-1]), ValueError,
        "hidden_layer_sizes must be > 0, got [-1].",
    ),
    "classes missing in the first partial_fit": (
        partial_fits((CLASSES, None)), ValueError, "classes must be passed on the first call",
    ),
    "unknown classes in the first partial_fit": (
        partial_fits((CLASSES, [0, 1])), ValueError, "`y` has classes not in `self.classes_`",
    ),
    "unknown classes in the second partial_fit": (
        partial_fits(([0, 1], [0, 1]), ([0, 2], None)), ValueError,
        "`y` has classes not in `self.classes_`. `self.classes_` has [0 1]. 'y' has [0 2].",
    ),
    "other classes in the second partial_fit": (
        partial_fits(([0, 1], [0, 1]), ([0, 1], [0, 1, 2])), ValueError,
        "is not the same as on last call to partial_fit",
    ),
    "partial_fit with early stopping": (
        then(fit(early_stopping=True), lambda est: est.partial_fit(X, CLASSES)), ValueError,
        "partial_fit does not support early_stopping=True",
    ),
    "partial_fit with lbfgs": (
        partial_fits(([0, 1], [0, 1]), solver="lbfgs"), AttributeError,
        "has no attribute 'partial_fit'",
    ),
    "a warm start with fewer classes": (
        then(fit(warm_start=True), lambda est: est.fit(X, CLASSES % 2)), ValueError,
        "call to fit. Previously got [0 1 2], `y` has [0 1]",
    ),
    "a warm start with another class": (
        then(fit(warm_start=True), lambda est: est.fit(X, CLASSES + 1)), ValueError,
        "Previously got [0 1 2], `y` has [1 2 3]",
    ),
    "too few to hold out": (
        fit("MLPRegressor", X[:2], WIDTH[:2], early_stopping=True), ValueError,
        "The validation set is too small. Increase 'validation_fraction' or the size of your",
    ),
    "nothing to hold out": (
        fit(early_stopping=True, validation_fraction=0.0), ValueError, "test_size=0.0 should be",
    ),
    "weights of another number": (
        fit(weight=np.ones(9)), ValueError, "sample_weight.shape == (9,), expected (150,)!",
    ),
    "weights in columns": (
        fit(weight=np.ones((150, 2))), ValueError, "Sample weights must be 1D array or scalar",
    ),
    "weights that are NaN": (
        fit(weight=np.full(150, np.nan)), ValueError, "Input sample_weight contains NaN",
    ),
    "weights that are 0": (fit(weight=np.zeros(150)), ValueError, "at least one non-zero number"),
    "batches that are too large": (
        fit("MLPRegressor", batch_size=151, tol=1e9, max_iter=50), UserWarning,
        "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
    ),
    "a column of classes": (
        fit(targets=CLASSES[:, None], tol=1e9, max_iter=50), DataConversionWarning,
        "A column-vector y was passed when a 1d array was expected",
    ),
    "a column of numbers": (
        fit("MLPRegressor", targets=WIDTH[:, None], tol=1e9, max_iter=50), DataConversionWarning,
        "A column-vector y was passed when a 1d array was expected",
    ),
    "epochs at an end": (
        fit(), ConvergenceWarning,
        "Stochastic Optimizer: Maximum iterations (3) reached and the optimization hasn't "
        "converged yet.",
    ),
    "iterations of lbfgs at an end": (
        fit("MLPRegressor", solver="lbfgs"), ConvergenceWarning, "lbfgs failed to converge after 3",
    ),
    "calls of lbfgs at an end": (
        fit(solver="lbfgs", max_fun=10, max_iter=50), ConvergenceWarning, "EXCEEDS LIMIT",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_errors_and_warnings_are_scikit_learns(name):
    situation, kind, text = SITUATIONS[name]
    found = said(situation, ours)
    assert found == said(situation, theirs)
    assert found[-1][0] is kind or issubclass(found[-1][0], kind)
    assert text in found[-1][1]


def test_what_scikit_learn_is_silent_about_is_silent_here():
    situation = fit(tol=1e9, max_iter=50)
    assert said(situation, ours) == said(situation, theirs) == []


BAD_PARAMETERS = [
    ("hidden_layer_sizes", -1), ("hidden_layer_sizes", "3"), ("alpha", -1.0), ("batch_size", 0),
    ("batch_size", "all"), ("learning_rate_init", 0.0), ("power_t", -1.0), ("max_iter", 0),
    ("shuffle", "yes"), ("random_state", "x"), ("tol", -1.0), ("verbose", -1), ("warm_start", 2),
    ("momentum", 1.5), ("nesterovs_momentum", 3), ("early_stopping", "no"),
    ("validation_fraction", 1.0), ("beta_1", 1.0), ("beta_2", -0.1), ("epsilon", 0.0),
    ("n_iter_no_change", 0), ("max_fun", 0),
]  # fmt: skip


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_bad_parameters_are_refused_in_scikit_learns_words(kind, name, value):
    situation = fit(kind, **{name: value})
    assert said(situation, ours) == said(situation, theirs)
    with pytest.raises(InvalidParameterError, match=f"The {name!r} parameter of {kind} must be"):
        situation(ours)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation", "softminus"),
        ("solver", "newton"),
        ("learning_rate", "slow"),
        ("loss", "huber"),
    ],
)
def test_names_that_nobody_knows_are_refused(name, value):
    """There are more of them here than in scikit-learn, so the text is another."""
    with pytest.raises(InvalidParameterError, match=f"The {name!r} parameter .* Got {value!r}"):
        fitted("MLPRegressor", **{name: value})


def test_a_class_with_one_sample_cannot_be_held_out():
    situation = fit(features=X[:4], targets=[0, 0, 0, 1], early_stopping=True)
    with pytest.raises(ValueError, match="least populated classes in y have only 1 member"):
        situation(ours)


@pytest.mark.parametrize("kind", BOTH)
def test_there_is_no_partial_fit_with_lbfgs(kind):
    assert not hasattr(made(ours, kind, solver="lbfgs"), "partial_fit")
    for solver in ("adam", "sgd"):
        assert hasattr(made(ours, kind, solver=solver), "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as caught:
        fitted(kind, solver="lbfgs").partial_fit(X, targets_for(kind))
    cause = "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
    assert str(caught.value.__cause__) == cause


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_weights_that_are_not_finite_are_an_error(solver):
    """How overflow shows on the way depends on the formulas."""
    huge = np.finfo(float).max * np.linspace(0.1, 1.0, 40).reshape(10, 4)
    situation = fit("MLPRegressor", huge, WIDTH[:10], solver=solver, max_iter=50)
    found = said(situation, ours)[-1]
    assert found == said(situation, theirs)[-1]
    assert found[1].startswith("Solver produced non-finite parameter weights. The input data may")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("rate", [1.0, 1e200])
def test_early_stopping_keeps_the_best_weights_of_a_training_that_diverges(rate):
    given = {"solver": "sgd", "activation": "identity", "max_iter": 20, "early_stopping": True}
    est = fitted("MLPRegressor", learning_rate_init=rate, hidden_layer_sizes=50, **given)
    assert np.isnan(est.validation_scores_[-1])
    assert isinstance(est.validation_scores_[-1], float)
    assert np.isfinite(est.predict(X)).all()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("epochs", [0, 2])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_a_model_that_may_be_used(kind, epochs):
    begun = []

    def press(network, epoch):
        begun.append(epoch)
        if len(begun) > epochs:
            _thread.interrupt_main()

    est = made(ours, kind, max_iter=50, callbacks=[LambdaCallback(on_epoch_begin=press)])
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        est.fit(np.tile(X, (5, 1)), np.tile(targets_for(kind), 5))
    # The epoch is complete if all its steps were taken before anybody looked.
    assert est.n_iter_ == len(est.loss_curve_) in (epochs, epochs + 1)
    assert est.predict(np.tile(X, (5, 1))).shape == (750,)
    est.set_params(callbacks=None).partial_fit(X, targets_for(kind))


@pytest.mark.parametrize("kind", BOTH)
def test_an_interrupt_before_the_first_step_leaves_a_model_too(kind):
    def interrupt(network, epoch):
        raise KeyboardInterrupt

    est = made(ours, kind, callbacks=[LambdaCallback(on_epoch_begin=interrupt)])
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        est.fit(X, targets_for(kind))
    assert est.predict(np.tile(X, (9, 1))).shape == (1350,)


def test_a_fit_that_failed_leaves_nothing_to_predict_with():
    est = made(ours, "MLPClassifier", device="cuda:99")
    with pytest.raises(Exception, match="cuda"):
        est.fit(X, CLASSES)
    with pytest.raises(NotFittedError):
        est.predict(X)
    assert est.set_params(device=None).fit(X, CLASSES).predict(X).shape == (150,)


# ---- class weights


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("labels", [[0, 1, 2], ["a", "b", "c"], [False, True]])
@pytest.mark.parametrize(
    "weight", [-1, -1e-300, np.nan, np.inf, -np.inf, "x", "1", None, True, [1.0], 10**400, 1j]
)
def test_a_class_weight_that_is_no_weight_is_named(weight, labels, solver):
    y = np.array(labels)[CLASSES % len(labels)]
    est = made(ours, "MLPClassifier", solver=solver, class_weight={y[0]: 1.0, y[-1]: weight})
    with pytest.raises(ValueError, match=r"class_weight gives the class .* the weight .*expected"):
        est.fit(X, y)
    if solver == "adam":
        with pytest.raises(ValueError, match=r"class_weight gives the class .* the weight"):
            est.partial_fit(X, y, classes=np.unique(y))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            {5: 1.0},
            ValueError,
            r"names 5, not found in y: expected the classes in y, \[0, 1, 2\]",
        ),
        ({0: 1.0, "1": 2.0}, ValueError, "names '1', not found in y"),
        ({k: 0.0 for k in range(3)}, ValueError, "gives every class the weight 0"),
        ([1.0, 2.0, 3.0], ValueError, "'class_weight' parameter of MLPClassifier must be"),
        (np.ones(3), ValueError, "'class_weight' parameter of MLPClassifier must be"),
        ("auto", ValueError, "'class_weight' parameter of MLPClassifier must be"),
        (2.0, ValueError, "'class_weight' parameter of MLPClassifier must be"),
    ],
)
def test_invalid_dicts_of_class_weights_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        made(ours, "MLPClassifier", class_weight=given).fit(X, CLASSES)


def test_class_weights_may_name_classes_that_are_not_there_as_in_scikit_learn():
    weights = {0: 1.0, 1: 2.0, 2: 1.0, 7: 3.0}
    made(ours, "MLPClassifier", class_weight=weights, max_iter=500, tol=1.0).fit(X, CLASSES)


@pytest.mark.parametrize("sample_weight", [None, (CLASSES == 0).astype(float)])
def test_class_weights_that_leave_no_sample_are_named(sample_weight):
    est = made(ours, "MLPClassifier", class_weight={0: 0.0})
    part = slice(0, 50) if sample_weight is None else slice(None)
    with pytest.raises(ValueError, match="class_weight gives all training samples the weight 0"):
        est.partial_fit(X[part], CLASSES[part], sample_weight, classes=[0, 1, 2])


# ---- targets that lose their digits


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("how", ["dtype", "features"])
def test_targets_that_float32_cannot_tell_apart_are_warned_of(how, n_outputs, loss, solver):
    y = 1.7e9 + 100.0 * X[:, :n_outputs]
    est = made(ours, "MLPRegressor", solver=solver, loss=loss, max_iter=1)
    features = X.astype(np.float32)
    if how == "dtype":
        features = X
        est.set_params(dtype="float32")
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        with contextlib.suppress(ValueError):  # e.g. exp(z) overflows
            est.fit(features, y[:, 0] if n_outputs == 1 else y)
    (found,) = (each for each in caught if "too coarse to tell the targets" in str(each.message))
    assert found.filename == __file__
    assert 'give dtype="float64"' in str(found.message)
    assert "target_unit" not in str(found.message)
    assert ("TransformedTargetRegressor" in str(found.message)) == (loss == "squared_error")


def test_targets_that_keep_their_digits_bring_no_warning():
    far = 1.7e9 + 100.0 * X[:, 0]
    for dtype, y in (("float64", far), ("float32", far - far.mean()), ("float32", far * 0 + 1.7e9)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ConvergenceWarning)
            made(ours, "MLPRegressor", dtype=dtype, learning_rate_init=1e-9).fit(X, y)
