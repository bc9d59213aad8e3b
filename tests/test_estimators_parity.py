"""The same network as scikit-learn's: of the same random numbers, the same weights and scores."""

import copy
import functools
import pickle
from importlib.util import find_spec

import numpy as np
import pytest

from xpnet import datasets

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import sklearn.neural_network as theirs
from scipy import sparse
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_linnerud,
    load_wine,
    make_classification,
    make_moons,
    make_regression,
)
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

import xpnet.estimators as ours

# Networks are to be compared after some epochs, not when they are done.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CLASSIFIER, REGRESSOR = "MLPClassifier", "MLPRegressor"
FEW = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
HAS_NUMBA = all(find_spec(name) is not None for name in ("numba", "threadpoolctl"))


@functools.cache
def data(name):
    """Return features, standardised, and targets."""
    X, y = {
        "cancer": load_breast_cancer,
        "wine": load_wine,
        "digits": load_digits,
        "diabetes": load_diabetes,
        "linnerud": load_linnerud,
    }[name](return_X_y=True)
    return scale(X[:500]), y[:500]


def labels_of_bits():
    """Return digits with several labels: the bits of the number that is written there."""
    X, y = data("digits")
    return X, (y[:, None] >> np.arange(4)) & 1


def counts(name):
    X, y = data(name)
    return X, np.round(y / 20)


def standardised(name):
    X, y = data(name)
    return X, scale(y)


# name -> (which estimator, its data, settings)
PROBLEMS = {
    "binary": (CLASSIFIER, lambda: data("cancer"), {}),
    "multiclass": (CLASSIFIER, lambda: data("digits"), {}),
    "three classes": (CLASSIFIER, lambda: data("wine"), {}),
    "multilabel": (CLASSIFIER, labels_of_bits, {}),
    "regression": (REGRESSOR, lambda: standardised("diabetes"), {}),
    "several outputs": (REGRESSOR, lambda: standardised("linnerud"), {}),
    "Poisson": (REGRESSOR, lambda: counts("diabetes"), {"loss": "poisson"}),
    "Poisson, several outputs": (REGRESSOR, lambda: counts("linnerud"), {"loss": "poisson"}),
}


def pair(problem, **settings):
    """Return scikit-learn's estimator, the one from here, and data."""
    kind, make, more = PROBLEMS[problem]
    both = (getattr(module, kind)(**FEW | more | settings) for module in (theirs, ours))
    return *both, *make()


def trained(problem, train=lambda each, X, y: each.fit(X, y), losses=True, **settings):
    """Train both in the same way, compare them, and return the one from here."""
    expected, found, X, y = pair(problem, **settings)
    train(expected, X, y)
    train(found, X, y)
    assert_same(found, expected, X, losses)
    return found


def assert_same(found, expected, X, losses=True, tolerance=1e-8):
    """Compare what was learned, what was noted of it, and what is predicted."""
    for name in ("coefs_", "intercepts_"):
        assert len(getattr(found, name)) == expected.n_layers_ - 1
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
        assert getattr(found, name) == getattr(expected, name), name
    compared = ["loss_"] * losses
    if found.solver != "lbfgs":  # which leaves these unset, or as an earlier fit set them
        compared += ["validation_scores_", "best_validation_score_"]
        compared += ["best_loss_", "loss_curve_"] * losses
    for name in compared:
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None), name
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=tolerance, err_msg=name)
    predict = "predict"
    if hasattr(expected, "classes_"):
        np.testing.assert_array_equal(found.classes_, expected.classes_)
        np.testing.assert_array_equal(found.predict(X), expected.predict(X))
        predict = "predict_proba"
    a, b = getattr(found, predict)(X), getattr(expected, predict)(X)
    np.testing.assert_allclose(a, b, rtol=100 * tolerance, atol=tolerance)


NUMBA = pytest.mark.skipif(not HAS_NUMBA, reason="compiled steps need the extra numba")
KERNELS = ["formulas", pytest.param("compiled", marks=NUMBA)]


@pytest.fixture(params=KERNELS)
def kernels(request, monkeypatch):
    """Steps in formulas, and compiled ones."""
    monkeypatch.setenv("XPNET_STEPS", request.param)
    return request.param


with_kernels = pytest.mark.parametrize(
    ("problem", "kernels"),
    [(problem, "formulas") for problem in PROBLEMS]
    # There are no compiled steps for Poisson's loss.
    + [pytest.param(each, "compiled", marks=NUMBA) for each in PROBLEMS if "Poisson" not in each],
    indirect=["kernels"],
)


@with_kernels
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_the_weights_are_scikit_learns(problem, solver, kernels):
    # With 0.001, the default, a network would not have come far after twenty epochs.
    found = trained(problem, solver=solver, learning_rate_init=0.01, batch_size=10)
    assert {array.dtype.name for array in found.coefs_ + found.intercepts_} == {"float64"}
    if solver != "lbfgs":  # which has no steps
        assert (found.network_.last_plan.compiled > 0) == (kernels == "compiled")


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_logarithms_of_probabilities_and_scores_are_the_same(problem):
    expected, found, X, y = pair(problem)
    for est in (expected, found):
        est.fit(X, y)
    logarithms = expected.predict_log_proba(X)
    np.testing.assert_allclose(found.predict_log_proba(X), logarithms, rtol=1e-8, atol=1e-12)
    assert found.score(X, y) == expected.score(X, y)
    assert found.score(X, y, in_parts(len(y))) == expected.score(X, y, in_parts(len(y)))


SGD = {"solver": "sgd", "learning_rate_init": 0.05}
RESTLESS = {"tol": 0.05, "n_iter_no_change": 1}  # what makes training end, or the rate fall, soon

# name -> (problem, settings)
SETTINGS = {
    "all by default": ("three classes", {"hidden_layer_sizes": (100,)}),
    "constant rate": ("three classes", {**SGD, "learning_rate": "constant"}),
    "invscaling": ("three classes", {**SGD, "learning_rate": "invscaling", "power_t": 0.3}),
    "adaptive": ("three classes", {**SGD, **RESTLESS, "learning_rate": "adaptive"}),
    "adaptive, plain momentum": (
        "three classes",
        {**SGD, **RESTLESS, "learning_rate": "adaptive", "nesterovs_momentum": False},
    ),
    "adaptive, until the rate is too small": (
        "three classes",
        {**SGD, "learning_rate": "adaptive", "tol": 9.0, "n_iter_no_change": 1, "max_iter": 100},
    ),
    "adaptive by the score": (
        "three classes",
        {**SGD, **RESTLESS, "learning_rate": "adaptive", "early_stopping": True},
    ),
    "a schedule that Adam does not have": ("three classes", {"learning_rate": "invscaling"}),
    "momentum": ("regression", {**SGD, "momentum": 0.5}),
    "plain momentum": ("regression", {**SGD, "nesterovs_momentum": False}),
    "no momentum": ("regression", {**SGD, "momentum": 0}),
    "all of the momentum": ("regression", {**SGD, "momentum": 1.0, "learning_rate_init": 1e-3}),
    "Adam's parameters": ("binary", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.01}),
    "early stopping after 1 epoch": ("binary", {"early_stopping": True, **RESTLESS}),
    "early stopping after 3 epochs": (
        "binary",
        {"early_stopping": True, "tol": 0.05, "n_iter_no_change": 3, "max_iter": 50},
    ),
    "early stopping, never": ("binary", {"early_stopping": True, "n_iter_no_change": np.inf}),
    "early stopping with half": (
        "multiclass",
        {"early_stopping": True, "validation_fraction": 0.5, "learning_rate_init": 0.01},
    ),
    "early stopping of labels": ("multilabel", {"early_stopping": True}),
    "early stopping of values": ("regression", {"early_stopping": True, **RESTLESS}),
    "early stopping of outputs": (
        "several outputs",
        {"early_stopping": True, "validation_fraction": 0.3},
    ),
    "the order as it is": ("three classes", {"shuffle": False, "batch_size": 16}),
    "short last batch": ("three classes", {"batch_size": 77}),
    "one sample": ("several outputs", {"batch_size": 1}),
    "one batch": ("three classes", {"batch_size": 178}),
    "identity": ("multiclass", {"activation": "identity"}),
    "logistic": ("multiclass", {"activation": "logistic", "hidden_layer_sizes": (8, 6)}),
    "tanh": ("multiclass", {"activation": "tanh"}),
    "relu": ("multiclass", {"activation": "relu"}),
    "lbfgs, tanh": ("multiclass", {"activation": "tanh", "solver": "lbfgs"}),
    "lbfgs, logistic": ("multilabel", {"activation": "logistic", "solver": "lbfgs"}),
    "sizes: a number": ("three classes", {"hidden_layer_sizes": 5}),
    "sizes: none": ("three classes", {"hidden_layer_sizes": ()}),
    "sizes: none, logistic": (
        "three classes",
        {"hidden_layer_sizes": (), "activation": "logistic"},
    ),
    "sizes: an array": ("three classes", {"hidden_layer_sizes": np.array([5, 3])}),
    "sizes: two": ("three classes", {"hidden_layer_sizes": (8, 6)}),
    "sizes: three": ("three classes", {"hidden_layer_sizes": (8, 6, 4)}),
    "no penalty": ("binary", {"alpha": 0}),
    "large penalty": ("binary", {"alpha": 30.0, "batch_size": 50}),
    "large penalty, lbfgs": ("binary", {"alpha": 30.0, "solver": "lbfgs"}),
    "few calls of the loss": ("binary", {"solver": "lbfgs", "max_fun": 7}),
    "the end by tol": ("binary", {"solver": "lbfgs", "tol": 0.05}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_weights_are_scikit_learns_with_settings(name, kernels):
    problem, settings = SETTINGS[name]
    trained(problem, **settings)


@pytest.mark.parametrize("settings", [{}, SGD], ids=["adam", "sgd"])
@pytest.mark.parametrize("n_epochs", [1, 2, 5])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_ends_in_the_same_epoch(settings, n_epochs, early_stopping):
    settings = {**settings, "learning_rate_init": 0.05, "early_stopping": early_stopping}
    found = trained("three classes", **settings, tol=0.01, n_iter_no_change=n_epochs, max_iter=100)
    assert n_epochs < found.n_iter_ < 100


def test_training_never_ends_by_itself_if_it_is_to_wait_forever():
    assert trained("three classes", tol=9.0, n_iter_no_change=np.inf).n_iter_ == 20


def test_a_batch_larger_than_the_data_is_all_of_them():
    with pytest.warns(UserWarning, match="Got `batch_size` .* It is going to be clipped") as caught:
        trained("three classes", batch_size=179)
    theirs_said, ours_said = (str(each.message) for each in caught if "batch" in str(each.message))
    assert ours_said == theirs_said


# ---- fit again, and partial_fit


def fit_twice(est, X, y):
    est.fit(X, y).fit(X, y)


def fit_twice_with_changes(est, X, y):
    est.fit(X, y)
    est.coefs_[0][:2] *= 0.5
    est.intercepts_[-1] = est.intercepts_[-1] + 1.0
    est.set_params(learning_rate_init=0.02, alpha=0.3).fit(X, y)


def fit_twice_by_other_solvers(est, X, y):
    est.fit(X, y).set_params(solver="lbfgs").fit(X, y)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("train", [fit_twice, fit_twice_with_changes, fit_twice_by_other_solvers])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_second_fit_is_the_same(solver, train, warm_start, kernels):
    found = trained("binary", train, solver=solver, warm_start=warm_start, max_iter=5)
    goes_on = warm_start and found.solver == solver
    assert len(found.loss_curve_) == (10 if goes_on else 5)


def partial(est, X, y, **first):
    """Train on one half after the other, again and again."""
    for epoch in range(4):
        rows = slice(epoch % 2, None, 2)
        est.partial_fit(X[rows], y[rows], **(first if epoch == 0 else {}))


def partial_with_classes(est, X, y):
    partial(est, X, y, classes=np.arange(int(y.max()) + 1))


def partial_with_more_classes(est, X, y):
    partial(est, X, y, classes=np.arange(int(y.max()) + 3))


def partial_after_items_were_replaced(est, X, y):
    partial_with_classes(est, X, y)
    est.coefs_[0] = 0.5 * est.coefs_[0]
    est.intercepts_[1] = np.ones_like(est.intercepts_[1])
    partial(est, X, y)


def partial_after_arrays_were_written_to(est, X, y):
    partial_with_classes(est, X, y)
    est.coefs_[0][1:3] = 0.1
    est.intercepts_[1] += 0.2
    partial(est, X, y)


def partial_after_fit(est, X, y):
    partial(est.fit(X, y), X, y)


def partial_of_a_copy(est, X, y):
    vars(est).update(vars(copy.deepcopy(est.fit(X, y))))
    partial(est, X, y)


def partial_of_a_pickle(est, X, y):
    vars(est).update(vars(pickle.loads(pickle.dumps(est.fit(X, y)))))
    partial(est, X, y)


@pytest.mark.parametrize(
    "train",
    [
        partial_with_classes,
        partial_with_more_classes,
        partial_after_items_were_replaced,
        partial_after_arrays_were_written_to,
        partial_after_fit,
        partial_of_a_copy,
        partial_of_a_pickle,
    ],
    ids=lambda each: each.__name__,
)
@pytest.mark.parametrize("problem", ["binary", "three classes"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_is_the_same(solver, problem, train, kernels):
    trained(problem, train, solver=solver, batch_size=20, max_iter=3, learning_rate_init=0.01)


@pytest.mark.parametrize("problem", ["regression", "several outputs", "Poisson", "multilabel"])
@pytest.mark.parametrize("rate", ["constant", "invscaling", "adaptive"])
def test_partial_fit_is_the_same_without_classes(problem, rate):
    classes = {"classes": np.arange(4)} if problem == "multilabel" else {}
    settings = {"solver": "sgd", **RESTLESS, "batch_size": 10, "learning_rate": rate}
    trained(problem, lambda each, X, y: partial(each, X, y, **classes), **settings)


def test_what_is_predicted_is_of_the_weights_as_they_are():
    expected, found, X, y = pair("three classes")
    for change in (
        lambda est: est.coefs_[0].__setitem__(0, 0.3),
        lambda est: est.coefs_.__setitem__(1, np.ones_like(est.coefs_[1])),
        lambda est: setattr(est, "intercepts_", [np.zeros_like(b) for b in est.intercepts_]),
    ):
        for est in (expected, found):
            change(est.fit(X, y))
        np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), rtol=1e-8)


# ---- what comes in


def in_parts(n):
    """Return a weight for each sample: 0, 1/2, 1 or 2."""
    return np.random.default_rng(0).choice([0.0, 0.5, 1.0, 2.0], n)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sample_weights_weigh_the_same(solver, problem, early_stopping):
    # Losses of several batches are averaged in another way: see the notes of MLPClassifier.
    trained(
        problem,
        lambda each, X, y: each.fit(X, y, in_parts(len(y))),
        losses=solver == "lbfgs",
        solver=solver,
        early_stopping=early_stopping,
        validation_fraction=0.3,
        batch_size=10,
        max_iter=5,
    )


@with_kernels
def test_the_weighted_loss_of_one_batch_is_the_same(problem, kernels):
    n = len(PROBLEMS[problem][1]()[1])
    trained(problem, lambda each, X, y: each.fit(X, y, in_parts(n)), batch_size=n)


@pytest.mark.parametrize("train", [partial_with_classes, partial_after_fit])
def test_sample_weights_of_partial_fit_weigh_the_same(train):
    def weighted(est, X, y):
        whole, weight = est.partial_fit, in_parts(len(y) // 2)
        est.partial_fit = functools.partial(whole, sample_weight=weight)
        train(est, X, y)
        del est.partial_fit

    trained("three classes", weighted, losses=False, batch_size=10)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_features_make_the_same_network(solver, problem, container, kernels):
    expected, found, X, y = pair(problem, solver=solver, max_iter=5)
    rows = container(np.where(np.abs(X) < 0.5, 0.0, X))
    assert_same(found.fit(rows, y), expected.fit(rows, y), rows)


@with_kernels
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_network_of_float32_is_the_same_as_far_as_that_goes(solver, problem, kernels):
    expected, found, X, y = pair(problem, solver=solver, max_iter=5)
    X = X.astype(np.float32)
    assert_same(found.fit(X, y), expected.fit(X, y), X, tolerance=2e-5)
    assert {array.dtype.name for array in found.coefs_ + found.intercepts_} == {"float32"}


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float16", "bool", "longdouble"])
def test_features_of_other_types_become_float64(dtype):
    with np.errstate(invalid="ignore"):  # below 0, of unsigned integers
        trained("binary", lambda each, X, y: each.fit((3 * X + 12).astype(dtype), y), max_iter=5)


@pytest.mark.parametrize("order", ["F", "strided", "list"])
def test_how_features_are_in_memory_changes_nothing(order):
    def train(est, X, y):
        rows = {
            "F": np.asfortranarray(X),
            "strided": np.repeat(X, 2, axis=0)[::2],
            "list": X.tolist(),
        }[order]
        est.fit(rows, y)

    trained("binary", train, max_iter=5)


@pytest.mark.parametrize("names", [["no", "yes", "so"], [-1, 1, 5], [0.0, 1.0, 2.0]], ids=str)
@pytest.mark.parametrize("problem", ["binary", "three classes"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_classes_of_any_kind_are_the_same(problem, names, early_stopping):
    def train(est, X, y):
        est.fit(X, np.array(names)[y])

    trained(problem, train, max_iter=5, early_stopping=early_stopping)


@pytest.mark.parametrize("settings", [{}, {"shuffle": False}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_generator_is_left_as_scikit_learn_leaves_it(solver, settings):
    state = {}

    def train(est, X, y):
        generator = np.random.RandomState(5)
        est.set_params(random_state=generator).fit(X, y).fit(X, y)
        state[type(est)] = generator.random_sample()

    trained("three classes", train, solver=solver, **settings)
    assert len(set(state.values())) == 1


# ---- scores, in float32 and as fast as it goes


def mnist(folder):
    training, _ = datasets.load_mnist(folder / "mnist")
    return np.asarray(training.X[:2000]) / 255.0, np.asarray(training.y[:2000])


# name -> (which estimator, its data, settings)
DATA_SETS = {
    "digits": (CLASSIFIER, lambda: load_digits(return_X_y=True), {"max_iter": 30}),
    "breast cancer": (CLASSIFIER, lambda: load_breast_cancer(return_X_y=True), {"max_iter": 40}),
    "wine": (CLASSIFIER, lambda: load_wine(return_X_y=True), {"max_iter": 60}),
    "diabetes": (REGRESSOR, lambda: standardised("diabetes"), {"max_iter": 60}),
    "MNIST": (CLASSIFIER, mnist, {"max_iter": 15}),
    "make_classification": (
        CLASSIFIER,
        lambda: make_classification(
            400, n_classes=3, n_informative=6, class_sep=2.0, random_state=0
        ),
        {"max_iter": 60},
    ),
    "make_moons": (
        CLASSIFIER,
        lambda: make_moons(300, noise=0.2, random_state=0),
        {"max_iter": 150},
    ),
    "make_regression": (
        REGRESSOR,
        lambda: make_regression(300, 10, noise=5.0, random_state=0),
        {"max_iter": 150, "learning_rate_init": 0.01},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA_SETS)
def test_scores_in_float32_are_as_good(name, request, monkeypatch):
    """The mean of five seeds is at most a standard deviation below scikit-learn's."""
    monkeypatch.setenv("XPNET_STEPS", "compiled" if HAS_NUMBA else "formulas")
    kind, make, settings = DATA_SETS[name]
    X, y = make(request.getfixturevalue("data_folder")) if name == "MNIST" else make()
    X, X_test, y, y_test = train_test_split(scale(X), y, random_state=0)
    if kind == REGRESSOR:
        y, y_test = (y - y.mean()) / y.std(), (y_test - y.mean()) / y.std()
    scores = {theirs: [], ours: []}
    for module, more in ((theirs, {}), (ours, {"dtype": "float32"})):
        for seed in range(5):
            est = getattr(module, kind)(
                hidden_layer_sizes=(30,), random_state=seed, **settings, **more
            )
            scores[module].append(est.fit(X, y).score(X_test, y_test))
    mean = np.mean(scores[theirs])
    assert mean > (0.2 if name == "diabetes" else 0.7)  # or there is nothing to compare
    assert np.mean(scores[ours]) >= mean - max(np.std(scores[theirs]), 1e-3)
