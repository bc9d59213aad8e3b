"""Time epochs with the xpnet on ``PYTHONPATH``, for ``bench.versions``.

    PYTHONPATH=CHECKOUT python bench/one_version.py

reads a line ``STEPS CASE`` for each epoch, and prints its seconds. It imports nothing from
``bench``, which may be of another version.
"""

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import xpnet

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (12_000, 784), dtype=np.uint8), rng.integers(0, 10, 12_000)
X = rng.standard_normal((12_000, 64)).astype(np.float32)
PRODUCTS = (X[:, :1] * X[:, 1:2]).astype(np.float32)


def digits(optimizer: Any, batch_size: int, activation: type, *units: int) -> Callable[[str], Any]:
    """Return a function that returns a network of 784-...-10 and its data."""

    def make(steps: str) -> Any:
        net = xpnet.NeuralNetwork(
            batch_size=batch_size,
            optimizer=optimizer,
            loss="softmax_cross_entropy",
            seed=0,
            steps=steps,
        )
        net.add(xpnet.Normalization(0, 255, (784,)))
        for n in units:
            net.add(xpnet.DenseLayer(n)).add(activation())
        return net.add(xpnet.DenseLayer(10)), PIXELS

    return make


def table(optimizer: Any, loss: Any, activation: type, y: Any) -> Callable[[str], Any]:
    """Return a function that returns a network of 64-128-64-1 with penalties and its data."""

    def make(steps: str) -> Any:
        net = xpnet.NeuralNetwork(
            batch_size=128,
            optimizer=optimizer,
            loss=loss,
            regularizer=xpnet.L2(1e-4),
            seed=0,
            steps=steps,
        )
        net.add(xpnet.DenseLayer(128, (64,))).add(activation())
        net.add(xpnet.DenseLayer(64)).add(activation())
        return net.add(xpnet.DenseLayer(1)), (X, y)

    return make


CASES: dict[str, Callable[[str], Any]] = {
    "relu-adam-60": digits(xpnet.Adam(), 60, xpnet.ReLUActivation, 89),
    "relu-sgd-512": digits(xpnet.SGD(0.01), 512, xpnet.ReLUActivation, 178, 46),
    "sigmoid-rmsprop-128": digits(xpnet.RMSProp(), 128, xpnet.SigmoidActivation, 89),
    "tanh-adamw-squares": table(
        xpnet.AdamW(), xpnet.MeanSquaredError(), xpnet.TanhActivation, PRODUCTS
    ),
    "leaky-adagrad-binary": table(
        xpnet.Adagrad(),
        xpnet.BinaryCrossEntropy(from_logits=True),
        xpnet.LeakyReLUActivation,
        (PRODUCTS[:, 0] > 0).astype(np.float32),
    ),
}
"""Networks whose activations, losses and optimizers exist in both versions."""


def main() -> None:
    """Answer each line of standard input; the first two epochs of a network are not timed."""
    warnings.simplefilter("ignore")
    made: dict[str, Any] = {}
    for line in sys.stdin:
        if line not in made:
            steps, case = line.split()
            net, data = made[line] = CASES[case](steps)
            net.fit(data, epochs=2)
        net, data = made[line]
        start = time.perf_counter()
        net.fit(data, epochs=1)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
