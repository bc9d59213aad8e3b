"""Makes the model files of this folder: ``python tests/files/make.py FOLDER``.

The files of a format are made once, by the version of xpnet that wrote that format, and are never
made again. README.md says which version made which.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import xpnet
from xpnet import (
    Adam,
    BatchNormalization,
    CosineDecay,
    Dataset,
    DenseLayer,
    Dropout,
    MeanSquaredError,
    NeuralNetwork,
    Normalization,
    ReduceOnPlateau,
    ReLUActivation,
    RMSProp,
    SoftmaxCrossEntropy,
    TanhActivation,
    WarmUp,
)
from xpnet.callbacks import Callback, ModelCheckpoint

N, FEATURES = 24, 4
"""Samples and features."""


def features() -> np.ndarray:
    """Return data that need no random generator, whose numbers could change some day."""
    return np.sin(np.arange(N * FEATURES, dtype=float) * 1.7).reshape(N, FEATURES) * 3 + 5


def classes() -> np.ndarray:
    """Return the classes 0, 1 and 2."""
    X = features()
    return (X[:, 0] > 5).astype(int) + (X[:, 1] > 5)


def values() -> np.ndarray:
    """Return targets far from 0."""
    return features() @ np.array([3.0, -1.0, 0.5, 2.0]) * 1e4 + 1e6


def dense() -> NeuralNetwork:
    """Only dense layers, trained with the defaults."""
    net = NeuralNetwork(epochs=3, batch_size=8, seed=1, steps="formulas")
    net.add(DenseLayer(5, (FEATURES,))).add(TanhActivation()).add(DenseLayer(1))
    return net.fit((features(), classes() / 2))


def everything() -> NeuralNetwork:
    """Parts with states: running statistics, masks, moments, a schedule, class weights, names."""
    rate = WarmUp(ReduceOnPlateau(0.01, factor=0.5, patience=0), epochs=2)
    net = NeuralNetwork(
        epochs=5,
        batch_size=8,
        optimizer=Adam(rate, clip_norm=1.0),
        loss=SoftmaxCrossEntropy(class_weight="balanced", label_smoothing=0.1),
        metric="accuracy",
        dtype="float64",
        seed=2,
        regularizer="l2",
        steps="formulas",
    )
    net.add(Normalization.adapt(features())).add(DenseLayer(6, initializer="he_normal"))
    net.add(BatchNormalization()).add(ReLUActivation()).add(Dropout(0.25)).add(DenseLayer(3))
    data = Dataset(
        features(),
        classes(),
        feature_names=["a", "b", "c", "d"],
        label_name="size",
        class_names=["small", "middle", "large"],
    )
    return net.fit(data, validation=data)


def regressor() -> NeuralNetwork:
    """A regressor with a target unit."""
    y = values()
    net = NeuralNetwork(
        epochs=4,
        batch_size=8,
        optimizer="adamw",
        loss=MeanSquaredError(),
        metric="rmse",
        target_unit=(y.mean(), y.std()),
        dtype="float64",
        seed=3,
        steps="formulas",
    )
    net.add(DenseLayer(6, (FEATURES,))).add(TanhActivation()).add(DenseLayer(1))
    return net.fit((features(), y))


class Stop(Callback):
    """Ends training after three epochs."""

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        network.stop_training = row["epoch"] == 3


def checkpoint() -> NeuralNetwork:
    """What ModelCheckpoint writes in the middle of training."""
    net = NeuralNetwork(
        epochs=6,
        batch_size=8,
        optimizer=RMSProp(CosineDecay(0.01, 0.001)),
        loss="softmax_cross_entropy",
        dtype="float64",
        seed=4,
        steps="formulas",
    )
    net.add(DenseLayer(6, (FEATURES,))).add(ReLUActivation()).add(Dropout(0.2)).add(DenseLayer(3))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net"
        net.fit((features(), classes()), callbacks=[ModelCheckpoint(path), Stop()])
        return xpnet.load(path)


MAKERS = {make.__name__: make for make in (dense, everything, regressor, checkpoint)}
TARGETS = {"dense": lambda: classes() / 2, "regressor": values}
"""What a network was trained on, if it is not the classes."""


def targets(name: str) -> np.ndarray:
    """Return what a network was trained on."""
    return TARGETS.get(name, classes)()


def main() -> None:
    """Write the files, and beside them what the networks predict now and after more training."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, make in MAKERS.items():
        net = make()
        net.save(folder / f"{name}.safetensors")
        now = net.predict(features()).tolist()
        later = net.fit((features(), targets(name)), epochs=2).predict(features()).tolist()
        expected[name] = {"predictions": now, "after 2 more epochs": later}
    text = json.dumps(expected, indent=1)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
