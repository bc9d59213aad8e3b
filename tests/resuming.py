"""Trainings to interrupt and resume, in this process or in a process that is killed.

``python -m tests.resuming KIND FOLDER`` trains, resuming from the checkpoints in a folder, and
writes the result to ``FOLDER/result.npz``.
"""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

import xpnet
from xpnet import (
    SGD,
    Adam,
    AdamW,
    BatchNormalization,
    CosineDecay,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    Normalization,
    ReduceOnPlateau,
    ReLUActivation,
    RMSProp,
    SoftmaxCrossEntropy,
    TanhActivation,
    WarmUp,
)
from xpnet.backends import to_host
from xpnet.callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    StopOnNaN,
    TensorBoard,
    Watch,
)

ROOT = Path(__file__).resolve().parent.parent
N, K, EPOCHS = 150, 6, 12
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, K))
Y = ((X[:, 0] + 0.7 * RNG.standard_normal(N)) > 0.3).astype(np.int64)
VALUES = 1e4 + 30 * X[:, 0]
X32 = X.astype(np.float32)


class Counting(NeuralNetwork):
    """A user's network that counts its epochs; :class:`Annealed` writes to it."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.counted = 0


class Annealed(Callback):
    """A user's callback that changes settings of layers, and has an array and a dict as state."""

    state_names = ("seen", "numbers")

    def on_train_begin(self, network, columns):
        self.seen, self.numbers = {}, np.zeros(2)

    def on_epoch_end(self, network, row):
        epoch = int(row["epoch"])
        self.seen[epoch] = [row["loss"], None, "epoch"]
        self.numbers = self.numbers * 0.5 + np.array([row["loss"], epoch])
        network.counted = getattr(network, "counted", 0) + 1
        for layer in network.layers:
            if isinstance(layer, Dropout):
                layer.rate = 0.3 / epoch


def classifier(**arguments):
    """Return a network for the classes; ``arguments`` override its settings."""
    arguments = {"loss": "softmax_cross_entropy", "metric": "accuracy", "seed": 3} | arguments
    return NeuralNetwork(**{"batch_size": 32, "epochs": EPOCHS} | arguments)


def formulas(folder):
    """Return a network with every part that has a state, trained by formulas, and its data."""
    net = classifier(
        loss=SoftmaxCrossEntropy(class_weight="balanced"),
        optimizer=Adam(ReduceOnPlateau(0.02, 0.5, 1)),
        regularizer="l2",
        steps="formulas",
    )
    net.add(Normalization(input_shape=(K,)).adapt(X32)).add(DenseLayer(8))
    net.add(BatchNormalization()).add(ReLUActivation()).add(Dropout(0.2)).add(DenseLayer(2))
    return net, {"X": (X32, Y), "validation": (X32[:40], Y[:40])}


def compiled(folder):
    """Return a float64 network trained by compiled steps, if Numba is installed, and its data."""
    optimizer = SGD(CosineDecay(0.2, 0.01), momentum=0.9, clip_norm=1.0)
    net = classifier(optimizer=optimizer, dtype="float64")
    net.add(DenseLayer(8, (K,))).add(TanhActivation()).add(Dropout(0.2)).add(DenseLayer(2))
    return net, {"X": (X, Y, 0.5 + (Y == 0)), "validation": (X[:40], Y[:40])}


def streamed(folder):
    """Return a network, and data in a file, to read in chunks."""
    xpnet.training.memory.CHUNK_BYTES = 64 * K * 4
    path = folder / "features.npy"
    if not path.exists():
        part = folder / "part.npy"
        np.save(part, X32)
        part.replace(path)
    net = classifier(optimizer=AdamW(WarmUp(0.01, 3)), memory_limit=1 << 40)
    net.add(DenseLayer(8, (K,))).add(ReLUActivation()).add(Dropout(0.1)).add(DenseLayer(2))
    return net, {"X": (np.load(path, mmap_mode="r"), Y), "validation": (X32[:40], Y[:40])}


def regression(folder):
    """Return a user's network with a target unit, validated every other epoch, and its data."""
    unit = (float(VALUES.mean()), float(VALUES.std()))
    net = Counting(
        epochs=EPOCHS,
        batch_size=40,
        optimizer=RMSProp(0.01),
        metric="rmse",
        target_unit=unit,
        seed=5,
    )
    net.add(DenseLayer(8, (K,), regularizer="l1")).add(TanhActivation()).add(DenseLayer(1))
    data = {"X": (X32, VALUES), "validation": (X32[:40], VALUES[:40])}
    return net, data | {"eval_every": 2}


def batches(folder):
    """Return a network, and a function that generates new batches in each pass."""
    rng = np.random.default_rng(9)

    def make():
        for _ in range(7):
            rows = rng.integers(0, N, 25)
            yield X32[rows], Y[rows]

    net = classifier(optimizer=Adam(0.02))
    net.add(DenseLayer(8, (K,))).add(ReLUActivation()).add(Dropout(0.1)).add(DenseLayer(2))
    return net, {"batches": make, "steps_per_epoch": 5, "validation": (X32[:40], Y[:40])}


KINDS = {each.__name__: each for each in (formulas, compiled, streamed, regression, batches)}


def train(kind, folder, between=None, every=1, **arguments):
    """Train in a folder, resuming any training there; return the network and the callbacks.

    Parameters
    ----------
    kind : str
        A key of :data:`KINDS`.
    folder : Path
    between : function of a network and a row, optional
        Called after each epoch.
    every : int
        The number of epochs between checkpoints.
    **arguments
        Arguments of ``fit``, which override those of the kind.
    """
    net, data = KINDS[kind](folder)
    callbacks = [
        Checkpoint(folder / "run", every=every),
        EarlyStopping(patience=6),
        Annealed(),
        ReduceLROnPlateau(patience=1, factor=0.7),
        ModelCheckpoint(folder / "best.safetensors", best_only=True),
        ModelCheckpoint(folder / "net-{epoch:03d}.safetensors", every=5),
        StopOnNaN(),
        Watch(data["validation"], max_dead_fraction=0.99, patience=EPOCHS),
        CSVLogger(folder / "log.csv"),
        CSVLogger(folder / "appended.csv", append=True),
        TensorBoard(folder / "board"),
        LambdaCallback(on_epoch_end=between),
    ]
    net.fit(**data | {"callbacks": callbacks, "resume": folder / "run"} | arguments)
    return net, callbacks


def result(net, callbacks, folder):
    """Return everything that must be equal, as arrays by name."""
    found = {"predictions": net.predict(X32), "parameters": to_host(net.parameters.copy())}
    found |= {
        f"optimizer.{name}": getattr(net.optimizer, name)
        for name in net.optimizer.training_state_names()
    }
    found |= {f"history.{name}": column for name, column in net.history.items()}
    for name in ("log", "appended"):
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        seconds = rows[0].index("seconds")
        for k, row in enumerate(rows):
            found[f"{name}.{k}"] = row[:seconds] + row[seconds + 1 :]
    for k, layer in enumerate(net.layers):
        found |= {f"layer.{k}.{name}": getattr(layer, name) for name in layer.state_names}
        found[f"layer.{k}.rate"] = getattr(layer, "rate", 0)
    found["schedule"] = repr(sorted(net.optimizer.schedule.__getstate__().items(), key=str))
    for k, callback in enumerate(callbacks):
        for name in callback.state_names:
            value = getattr(callback, name)
            if name == "saved":
                value = [Path(each).name for each in value]
            found[f"callback.{k}.{name}"] = repr(value)
    found["best"] = to_host(xpnet.load(folder / "best.safetensors").parameters.copy())
    found["files"] = sorted(path.name for path in folder.glob("*.safetensors"))
    found["counted"] = getattr(net, "counted", 0)
    del found["history.seconds"]  # may differ
    return {name: np.asarray(value) for name, value in found.items()}


def differences(one, other):
    """Return the names of the entries that are not bit-identical."""
    return [
        name
        for name in sorted({*one, *other})
        if name not in one
        or name not in other
        or one[name].dtype != other[name].dtype
        or not np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
    ]


def start(kind, folder) -> "subprocess.Popen[str]":
    """Start a training in a new process; return after its imports."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.resuming", kind, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert process.stdout is not None
    process.stdout.readline()  # "begun"
    return process


def main(kind, folder):
    """Train in a folder, and write the result there."""
    folder = Path(folder)
    # In a shell's background processes, Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("begun", flush=True)
    net, callbacks = train(kind, folder)
    part = folder / "part.npz"
    np.savez(part, **result(net, callbacks, folder))
    part.replace(folder / "result.npz")


if __name__ == "__main__":
    main(*sys.argv[1:])
