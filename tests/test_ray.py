"""Searches on Ray's workers, which get data in read-only memory. Ray is large: run it by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

SEARCH = """
import warnings

import joblib
import numpy as np
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_validate

from xpnet.estimators import MLPClassifier

warnings.simplefilter("ignore")
X, y = load_digits(return_X_y=True)
X = np.ascontiguousarray(X)
grid = {"alpha": [1e-4, 1e-1], "solver": ["adam", "sgd"]}
network = MLPClassifier((16,), max_iter=5, random_state=0, early_stopping=True)


@ray.remote
def goes_on(given):
    est, X, y = given
    assert not X.flags.writeable
    before = est.predict_proba(X)
    est.set_params(warm_start=True).fit(X, y)
    est.coefs_[0][:] = 0.0
    return before


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
register_ray()
expected = GridSearchCV(network, grid, cv=3).fit(X, y)
with joblib.parallel_backend("ray"):
    found = GridSearchCV(network, grid, cv=3, n_jobs=2).fit(X, y)
    folds = cross_validate(network, X, y, cv=3, return_estimator=True, n_jobs=2)["estimator"]
scores = [each.cv_results_["mean_test_score"] for each in (expected, found)]
np.testing.assert_array_equal(*scores)
for each in folds:
    each.set_params(warm_start=True).fit(X, y)
before = ray.get(goes_on.remote(ray.put((found.best_estimator_, X, y))))
np.testing.assert_array_equal(before, found.best_estimator_.predict_proba(X))
print("equal")
"""


@pytest.mark.slow
def test_a_search_on_ray_finds_the_same_as_in_this_process():
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", SEARCH]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280)
    assert done.stdout.strip().endswith("equal"), done.stderr
