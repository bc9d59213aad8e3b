"""Estimators among scikit-learn's tools, in files, and with features of other libraries."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose tools these are, is not installed")

import joblib
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.estimators import (
    BOTH,
    CLASSES,
    LABELS,
    WIDTH,
    X,
    answer,
    fitted,
    made,
    ours,
    python,
    targets_for,
    theirs,
    weights,
)
from xpnet import StepDecay, TanhActivation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
QUICK = {"hidden_layer_sizes": 8, "learning_rate_init": 0.05, "max_iter": 20, "random_state": 0}


# ---- scikit-learn's tools


def test_a_pipeline_standardises_first():
    model = make_pipeline(StandardScaler(), ours.MLPClassifier(**QUICK)).fit(X, CLASSES)
    alone = ours.MLPClassifier(**QUICK).fit(StandardScaler().fit_transform(X), CLASSES)
    np.testing.assert_array_equal(model.predict_proba(X), answer(alone, (X - X.mean(0)) / X.std(0)))
    assert model.score(X, CLASSES) > 0.9


@pytest.mark.parametrize("container", ["default", "pandas", "polars"])
def test_columns_of_a_frame_are_encoded_each_in_its_way(container):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pandas" if container == "default" else container)
    frame = pd.DataFrame(X[:, :3], columns=NAMES[:3])
    frame["kind"] = np.array(["a", "b", "c"])[CLASSES]
    text = OneHotEncoder(sparse_output=False)
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), NAMES[:3]), ("text", text, ["kind"])]
    )
    columns.set_output(transform=container)
    model = make_pipeline(columns, ours.MLPRegressor(**QUICK)).fit(frame, WIDTH)
    assert model.score(frame, WIDTH) > 0.5
    names = [f"numbers__{name}" for name in NAMES[:3]] + [f"text__kind_{c}" for c in "abc"]
    if container == "default":
        assert not hasattr(model[-1], "feature_names_in_")
    else:
        assert model[-1].feature_names_in_.tolist() == names


def test_a_grid_search_goes_through_its_own_parameters_too():
    grid = {
        "activation": ["relu", TanhActivation],
        "dropout": [0.0, 0.2],
        "learning_rate": ["constant", StepDecay(0.1, 0.5, 5)],
    }
    search = GridSearchCV(ours.MLPClassifier(**QUICK), grid, cv=2).fit(X, CLASSES)
    assert len(search.cv_results_["params"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(X, CLASSES) > 0.9


@pytest.mark.slow
def test_a_random_search_with_two_workers_is_that_with_one():
    """Estimators go to other processes, and come back from them."""
    space = {"alpha": np.logspace(-4, 0, 9), "hidden_layer_sizes": [(4,), (8,), (4, 4)]}

    def search(n_jobs):
        given = {"n_iter": 4, "cv": 2, "random_state": 0, "n_jobs": n_jobs}
        return RandomizedSearchCV(ours.MLPClassifier(**QUICK), space, **given).fit(X, CLASSES)

    two, one = search(2), search(1)
    np.testing.assert_allclose(
        two.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"]
    )
    np.testing.assert_allclose(weights(two.best_estimator_), weights(one.best_estimator_))
    folds = KFold(3, shuffle=True, random_state=0)
    scores = [
        cross_val_score(ours.MLPRegressor(**QUICK), X, WIDTH, cv=folds, n_jobs=n) for n in (1, 2)
    ]
    np.testing.assert_allclose(*scores)


def test_cross_validation_is_that_of_scikit_learns_estimator():
    found, expected = (
        cross_validate(made(module, "MLPRegressor"), X, WIDTH, cv=3, return_train_score=True)
        for module in (ours, theirs)
    )
    for name in ("train_score", "test_score"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-7)
    found, expected = (
        cross_val_predict(made(module, "MLPClassifier"), X, CLASSES, method="predict_proba")
        for module in (ours, theirs)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_calibration_and_voting_take_it_in():
    est = ours.MLPClassifier(**QUICK)
    calibrated = CalibratedClassifierCV(est, cv=2).fit(X, CLASSES)
    assert calibrated.score(X, CLASSES) > 0.9
    voting = VotingClassifier([("a", est), ("b", clone(est))], voting="soft").fit(X, CLASSES)
    np.testing.assert_allclose(voting.predict_proba(X), answer(clone(est).fit(X, CLASSES)))


@pytest.mark.parametrize("kind", BOTH)
def test_metadata_are_routed(kind, rng):
    """Sample weights through a search and a pipeline; validation data to the last step."""
    weight, y = rng.uniform(size=150), targets_for(kind)
    with sklearn.config_context(enable_metadata_routing=True):
        est = made(ours, kind).set_fit_request(sample_weight=True, validation_data=True)
        est.set_score_request(sample_weight=True)
        model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), est)
        model.fit(X, y, sample_weight=weight, validation_data=(X, y))
        scaled = StandardScaler().fit_transform(X)
        alone = made(ours, kind).fit(scaled, y, weight, validation_data=(X, y))
        np.testing.assert_array_equal(weights(model[-1]), weights(alone))
        assert alone.validation_loss_curve_ == model[-1].validation_loss_curve_
        folds = list(KFold(2).split(X))
        found = cross_validate(est, X, y, cv=folds, params={"sample_weight": weight})
        for score, (inside, outside) in zip(found["test_score"], folds, strict=True):
            one = made(ours, kind).fit(X[inside], y[inside], weight[inside])
            expected = one.score(X[outside], y[outside], weight[outside])
            assert score == pytest.approx(expected, rel=1e-9)
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            cross_validate(made(ours, kind), X, y, params={"sample_weight": weight}, cv=folds)


# ---- copies and files

COPIES = {
    "pickle": lambda est, path: pickle.loads(pickle.dumps(est)),
    "joblib": lambda est, path: joblib.load(joblib.dump(est, path / "est")[0]),
    "deepcopy": lambda est, path: copy.deepcopy(est),
}
SETTINGS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive"},
    "lbfgs": {"solver": "lbfgs"},
    "all": {
        "solver": "adamw", "activation": [TanhActivation], "batch_norm": True, "dropout": 0.2,
        "learning_rate": StepDecay(0.1, 0.5, 5),
    },
}  # fmt: skip


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("how", SETTINGS)
@pytest.mark.parametrize("kind", BOTH)
def test_a_copy_says_the_same_and_learns_the_same(kind, how, way, tmp_path):
    est = fitted(kind, **SETTINGS[how])
    again = COPIES[way](est, tmp_path)
    np.testing.assert_array_equal(answer(again), answer(est))
    assert again.get_params().keys() == est.get_params().keys()
    if how != "lbfgs":
        for each in (est, again):
            each.partial_fit(X, targets_for(kind))
        np.testing.assert_array_equal(weights(again), weights(est))
    before = answer(est)
    again.coefs_[0][:] = 0.0  # which are the copy's own
    assert not np.allclose(answer(again), before)
    np.testing.assert_array_equal(answer(est), before)


@pytest.mark.parametrize("how", SETTINGS)
def test_a_clone_has_the_parameters_and_nothing_that_was_learned(how):
    est = fitted("MLPClassifier", **SETTINGS[how])
    again = clone(est)
    assert not hasattr(again, "coefs_")
    np.testing.assert_array_equal(weights(again.fit(X, CLASSES)), weights(est))


@pytest.mark.slow
def test_a_model_from_a_file_learns_something_else(tmp_path):
    est = ours.MLPRegressor(learning_rate_init=0.01, random_state=0).fit([[2.0]], [4.0])
    before, again = est.predict([[2.0]]), joblib.load(joblib.dump(est, tmp_path / "est")[0])
    for _ in range(200):
        again.partial_fit([[2.0]], [1.0])
    assert again.predict([[2.0]]) == pytest.approx([1.0], rel=1e-3)
    assert est.predict([[2.0]]) == before


# ---- to scikit-learn's own estimators and back

ROUND_TRIPS = {
    "two classes": ("MLPClassifier", CLASSES % 2, {}),
    "three classes": ("MLPClassifier", CLASSES, {"solver": "sgd", "learning_rate": "adaptive"}),
    "text": ("MLPClassifier", np.array(["a", "b", "c"])[CLASSES], {"activation": "tanh"}),
    "several labels": ("MLPClassifier", LABELS, {}),
    "early stopping": ("MLPClassifier", CLASSES, {"early_stopping": True}),
    "numbers": ("MLPRegressor", WIDTH, {}),
    "several numbers": ("MLPRegressor", X, {"solver": "lbfgs"}),
    "counts": ("MLPRegressor", CLASSES, {"loss": "poisson"}),
}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_round_trips_keep_what_was_learned(case):
    kind, y, parameters = ROUND_TRIPS[case]
    est = made(ours, kind, **parameters).fit(X, y)
    there = est.to_sklearn()
    assert type(there) is getattr(theirs, kind)
    back = getattr(ours, kind).from_sklearn(there)
    for each in (there, back):
        np.testing.assert_allclose(answer(each), answer(est), rtol=1e-12)
        np.testing.assert_array_equal(each.predict(X), est.predict(X))
        np.testing.assert_array_equal(weights(each), weights(est))
        assert each.n_iter_ == est.n_iter_
        assert each.loss_ == est.loss_
    assert there.get_params().items() <= back.get_params().items()
    there.coefs_[0][:] = 0.0  # which is its own
    np.testing.assert_allclose(answer(back), answer(est), rtol=1e-12)


@pytest.mark.parametrize("case", [name for name in ROUND_TRIPS if name != "early stopping"])
def test_both_sides_go_on_learning_equally(case):
    kind, y, parameters = ROUND_TRIPS[case]
    parameters = {"solver": "adam"} | parameters
    if parameters["solver"] == "lbfgs":
        parameters["solver"] = "sgd"
    there = made(ours, kind, **parameters).fit(X, y).to_sklearn()
    back = getattr(ours, kind).from_sklearn(there)
    for _ in range(2):
        for each in (there, back):
            each.partial_fit(X, y)
        np.testing.assert_allclose(weights(back), weights(there), rtol=1e-7, atol=1e-10)
    for each in (there, back):
        each.set_params(warm_start=True).fit(X, y)
    np.testing.assert_allclose(weights(back), weights(there), rtol=1e-7, atol=1e-10)
    assert back.t_ == there.t_
    np.testing.assert_allclose(back.loss_curve_, there.loss_curve_, rtol=1e-7)


def test_from_sklearn_takes_other_parameters():
    reference = fitted("MLPClassifier", theirs)
    est = ours.MLPClassifier.from_sklearn(reference, max_iter=9, dropout=0.5, device="cpu")
    assert (est.max_iter, est.dropout, est.device) == (9, 0.5, "cpu")
    np.testing.assert_allclose(answer(est), answer(reference), rtol=1e-12)
    assert est.fit(X, CLASSES).n_iter_ == 9


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"batch_norm": True}, "batch_norm=True: scikit-learn's networks have no batch"),
        (
            {"activation": "leaky_relu"},
            "activation='leaky_relu': scikit-learn supports only identity",
        ),
        ({"activation": TanhActivation}, "activation=.*scikit-learn supports only identity"),
        ({"activation": ["tanh"]}, r"activation=\['tanh'\]: scikit-learn supports only identity"),
        ({"solver": "adamw"}, "solver='adamw': scikit-learn supports only lbfgs, sgd, adam"),
        (
            {"learning_rate": StepDecay(0.1, 0.5, 5)},
            "learning_rate=.*scikit-learn supports only constant",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_what_scikit_learn_has_not_is_not_given_to_it(parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted("MLPClassifier", **parameters).to_sklearn()


def test_what_was_not_fitted_or_is_something_else_is_refused():
    with pytest.raises(sklearn.exceptions.NotFittedError):
        made(ours, "MLPClassifier").to_sklearn()
    with pytest.raises(sklearn.exceptions.NotFittedError):
        ours.MLPClassifier.from_sklearn(made(theirs, "MLPClassifier"))
    for wrong in (fitted("MLPRegressor", theirs), fitted("MLPClassifier"), StandardScaler().fit(X)):
        with pytest.raises(TypeError, match="expected scikit-learn's MLPClassifier"):
            ours.MLPClassifier.from_sklearn(wrong)


# ---- without scikit-learn

WITHOUT = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sklearn":
            raise ImportError(f"no {name}")

sys.meta_path.insert(0, Nothing())
import xpnet
try:
    import xpnet.estimators
except ImportError as error:
    print(error)
"""


def test_without_scikit_learn_the_error_says_what_to_install():
    expected = (
        "xpnet.estimators needs scikit-learn, which is not installed: pip install scikit-learn"
    )
    assert python(WITHOUT) == expected
