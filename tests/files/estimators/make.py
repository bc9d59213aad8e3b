"""Pickles two estimators with what they predict: see README.md beside this file."""

import pickle
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from xpnet import StepDecay, __version__
from xpnet.estimators import MLPClassifier, MLPRegressor


def main():
    """Write the files of this version."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, classes = load_iris(return_X_y=True)
    width = X[:, 3]
    small = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0}
    schedule = StepDecay(0.01, 0.5, 2)
    folder = Path(__file__).parent / __version__
    folder.mkdir()
    kept = {"X": X}
    for name, est, y in (
        ("classifier", MLPClassifier(**small, batch_norm=True, dropout=0.2), classes),
        ("regressor", MLPRegressor(**small, solver="sgd", learning_rate=schedule), width),
    ):
        est.fit(X, y)
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(est, protocol=4))
        kept[f"{name}_weights"] = _weights(est)
        predict = getattr(est, "predict_proba", est.predict)
        kept |= {f"{name}_y": y, f"{name}_answer": predict(X)}
        est.partial_fit(X, y)
        kept[f"{name}_later"] = _weights(est)
    np.savez_compressed(folder / "expected.npz", **kept)


def _weights(est):
    return np.concatenate([array.ravel() for array in (*est.coefs_, *est.intercepts_)])


if __name__ == "__main__":
    main()
