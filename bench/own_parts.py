"""Compare a user's activation, loss and optimizer with the library's.

    python -m bench.own_parts --save own-parts-cpu

The user's parts are formulas without derivatives: Swish, log-cosh, and Adam as in the paper. The
other network has `SiLUActivation`, `LogCoshLoss` and `Adam`. Both are 64-128-64-1, trained on
20,000 samples in batches of 128; their epochs are timed in turn.
"""

import argparse
from typing import Any

import numpy as np

import xpnet
from xpnet import ActivationLayer, ElementwiseLoss, Optimizer, array_namespace

from . import machine, output
from .measuring import Spread, ratios, seconds


class Swish(ActivationLayer):
    """x σ(x)."""

    output_kind = "real"

    def activation_function(self, input):
        """Return x / (1 + e^-x)."""
        return input / (1.0 + array_namespace(input).exp(-input))


class LogCosh(ElementwiseLoss):
    """The logarithm of cosh(ŷ - y)."""

    def element_loss(self, y_true, y_pred):
        """Return |d| + log(1 + e^-2|d|) - log 2."""
        xp = array_namespace(y_pred)
        size = xp.abs(y_pred - y_true)
        return size + xp.log1p(xp.exp(-2.0 * size)) - float(np.log(2.0))


class OwnAdam(Optimizer):
    """Adam as in algorithm 1 of the paper."""

    state_names = ("m", "v")
    m = v = None

    def rule(self, w, g, m, v, *, rate, t):
        """Return w - αm̂ / (√v̂ + ε)."""
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        unbiased = m / (1.0 - 0.9**t), v / (1.0 - 0.999**t)
        return w - rate * unbiased[0] / (array_namespace(w).sqrt(unbiased[1]) + 1e-8), m, v


PARTS: dict[str, tuple[Any, Any, Any]] = {
    "own": (Swish, LogCosh, OwnAdam),
    "ours": (xpnet.SiLUActivation, xpnet.LogCoshLoss, xpnet.Adam),
}


def network(parts: str, steps: str, device: str) -> xpnet.NeuralNetwork:
    """Return a network of 64-128-64-1 with these parts."""
    activation, loss, optimizer = PARTS[parts]
    net = xpnet.NeuralNetwork(
        batch_size=128, loss=loss(), optimizer=optimizer(1e-3), seed=0, steps=steps, device=device
    )
    net.add(xpnet.DenseLayer(128, (64,))).add(activation())
    net.add(xpnet.DenseLayer(64)).add(activation())
    return net.add(xpnet.DenseLayer(1))


def main() -> None:
    """Measure, print the table, and write it to files."""
    parser = argparse.ArgumentParser(prog="python -m bench.own_parts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--save", type=output.file_name, metavar="NAME")
    options = parser.parse_args()
    fast = "compiled" if options.device == "cpu" else "captured"
    result = {
        "command": output.command("own_parts"),
        "machine": machine.describe(("xpnet", "numpy", "numba")),
        "rows": [
            row(steps, options.rounds, options.samples, options.device)
            for steps in (fast, "formulas")
        ],
    }
    output.show(report(result), options.save, result)


def row(steps: str, rounds: int, samples: int, device: str) -> dict[str, Any]:
    """Return the seconds per epoch with the user's and the library's parts, and their ratio."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((samples, 64)).astype(np.float32)
    y = X[:, :1] * X[:, 1:2]
    nets = {parts: network(parts, steps, device) for parts in PARTS}
    taken: dict[str, list[float]] = {parts: [] for parts in PARTS}
    for k in range(rounds + 1):  # the first round compiles
        for parts, net in nets.items():
            found = seconds(lambda net=net: net.fit((X, y), epochs=1))
            if k:
                taken[parts].append(found)
    spreads = {parts: list(Spread.of(times)) for parts, times in taken.items()}
    ratio = list(ratios(taken["own"], taken["ours"]))
    return {"steps": steps, "epoch_s": spreads, "ratio": ratio}


def report(result: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    rows = [
        [
            each["steps"],
            *(f"{1e3 * Spread(*each['epoch_s'][parts]).median:.1f}" for parts in PARTS),
            f"{Spread(*each['ratio']):.2f}",
        ]
        for each in result["rows"]
    ]
    header = ["steps", "a user's parts, ms", "the library's, ms", "ratio"]
    return output.sheet(rows, header, result, "Medians of epochs timed in turn.")


if __name__ == "__main__":
    main()
