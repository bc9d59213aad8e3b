"""Helpers for the tests of estimators: data, small estimators, and their weights."""

import os
import subprocess
import sys

import numpy as np
import sklearn.neural_network as theirs
from sklearn.datasets import load_iris, make_multilabel_classification

import xpnet.estimators as ours

X, CLASSES = load_iris(return_X_y=True)
WIDTH = X[:, 3]
LABELS = make_multilabel_classification(150, 4, n_classes=3, random_state=0)[1]
BOTH = ["MLPClassifier", "MLPRegressor"]

# kind of targets -> (estimator, targets, parameters)
TARGETS = {
    "two classes": ("MLPClassifier", CLASSES == 0, {}),
    "three classes": ("MLPClassifier", CLASSES, {}),
    "text": ("MLPClassifier", np.array(["setosa", "versicolor", "virginica"])[CLASSES], {}),
    "objects": ("MLPClassifier", np.array(["no", "yes"], dtype=object)[CLASSES % 2], {}),
    "numbers below 0": ("MLPClassifier", CLASSES - 1, {}),
    "floats": ("MLPClassifier", CLASSES + 1.0, {}),
    "one class": ("MLPClassifier", np.zeros(150), {}),
    "several labels": ("MLPClassifier", LABELS, {}),
    "a number": ("MLPRegressor", WIDTH, {}),
    "several numbers": ("MLPRegressor", np.stack([WIDTH, -WIDTH], axis=1), {}),
    "counts": ("MLPRegressor", CLASSES, {"loss": "poisson"}),
    "several counts": ("MLPRegressor", LABELS, {"loss": "poisson"}),
}

__all__ = [
    "BOTH", "CLASSES", "LABELS", "TARGETS", "WIDTH", "X", "answer", "fitted", "made", "ours",
    "python", "targets_for", "theirs", "weights",
]  # fmt: skip


def made(module, kind, **parameters):
    """Return a small estimator of xpnet (``ours``) or of scikit-learn (``theirs``)."""
    small = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0}
    return getattr(module, kind)(**small | parameters)


def targets_for(kind):
    """Return targets of X for an estimator of that kind."""
    return CLASSES if kind == "MLPClassifier" else WIDTH


def fitted(kind, module=ours, **parameters):
    """Return a small estimator fitted on X."""
    return made(module, kind, **parameters).fit(X, targets_for(kind))


def weights(est):
    """Return all weights and biases in a flat array."""
    return np.concatenate([array.ravel() for array in (*est.coefs_, *est.intercepts_)])


def answer(est, features=X):
    """Return the probabilities of a classifier or the predictions of a regressor."""
    return est.predict_proba(features) if hasattr(est, "predict_proba") else est.predict(features)


def python(code, **environment):
    """Run code in a new process; return its output."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The root makes this module importable; it is last, so that an installed xpnet comes first.
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.append({root!r})\n{code}"]
    environment = os.environ | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
