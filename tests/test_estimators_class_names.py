"""The network of a classifier knows the names of the classes."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, whose estimators these are, is not installed")

import xpnet
from xpnet.estimators import MLPClassifier, MLPRegressor

X = np.random.default_rng(0).normal(size=(60, 2))
THREE = np.array(["two", "four", "nine"])[(X > 0).sum(axis=1)]
TWO = np.where(X[:, 0] > 0, "yes", "no")


def classifier(**parameters):
    settings = {"max_iter": 30, "random_state": 0, "learning_rate_init": 0.02}
    return MLPClassifier(hidden_layer_sizes=(8,), **settings, **parameters)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("y", [TWO, THREE, THREE.astype(object)], ids=["two", "three", "objects"])
def test_the_network_predicts_the_classes_of_the_estimator(tmp_path, y, solver):
    est = classifier(solver=solver).fit(X, y)
    est.network_.save(tmp_path / "net.safetensors")
    loaded = xpnet.load(tmp_path / "net.safetensors")
    for each in (
        est.network_,
        loaded,
        copy.deepcopy(est).network_,
        pickle.loads(pickle.dumps(est)).network_,
    ):
        assert each.class_names == sorted({*y})
        np.testing.assert_array_equal(each.predict_classes(X), est.predict(X))
    assert est.network_.score(X, y, metric="accuracy") == pytest.approx(est.score(X, y))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_training_goes_on_with_the_names():
    est = classifier(warm_start=True).fit(X, THREE).fit(X, THREE)
    assert est.network_.class_names == ["four", "nine", "two"]
    part = classifier().partial_fit(X, THREE, classes=["four", "nine", "ten", "two"])
    part.partial_fit(X[:9], THREE[:9])
    assert part.network_.class_names == ["four", "nine", "ten", "two"]
    assert part.predict(X).shape == (60,)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_other_classes_have_no_names():
    assert classifier().fit(X, X[:, 0] > 0).network_.class_names is None
    assert classifier().fit(X, (X > 0).astype(int)).network_.class_names is None
    regressor = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2)
    assert regressor.fit(X, X[:, 0]).network_.class_names is None
