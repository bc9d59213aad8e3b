"""What the tests of estimators share: data, small estimators, their weights."""

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

# what the targets are -> (estimator, targets, parameters)
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
    """Return what an estimator of that kind learns to tell of X."""
    return CLASSES if kind == "MLPClassifier" else WIDTH


def fitted(kind, module=ours, **parameters):
    """Return a small estimator that has learned it."""
    return made(module, kind, **parameters).fit(X, targets_for(kind))


def weights(est):
    """Return all weights and biases in a row."""
    return np.concatenate([array.ravel() for array in (*est.coefs_, *est.intercepts_)])


def answer(est, features=X):
    """Return probabilities of a classifier, predictions of a regressor."""
    return est.predict_proba(features) if hasattr(est, "predict_proba") else est.predict(features)


def python(code, **environment):
    """Run code in a process of its own; return what it prints."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The root is for this module, at the end, so that an installed xpnet comes first.
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.append({root!r})\n{code}"]
    environment = os.environ | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
