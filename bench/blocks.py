"""Time epochs of networks with frozen layers, normalization, residual blocks and embeddings.

    python -m bench.blocks --save blocks-cpu

Each network is trained with compiled steps and by formulas on the CPU, or with captured steps and
by formulas on a GPU (`--device cuda`), and in PyTorch if that is installed. Their epochs are timed
in turn. All train on 10,000 samples in batches of 64, with mean squared error and Adam.
"""

import argparse
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

from xpnet import (
    CategoricalEmbeddings,
    DenseLayer,
    Layer,
    LayerNormalization,
    NeuralNetwork,
    ReLUActivation,
    Residual,
)

from . import machine, output
from .measuring import Spread, ratios, seconds

BATCH, WIDTH, NUMBERS = 64, 64, 8
CATEGORIES = (10, 15, 20, 30, 40, 50)
"""The number of categories in each column of codes; vectors have half as many elements."""


def dense(frozen: int = 0) -> list[Layer]:
    """Return four dense layers; the first ``frozen`` of them are not trained."""
    made: list[Layer] = []
    for k in range(3):
        layer = DenseLayer(WIDTH)
        layer.trainable = k >= frozen
        made += [layer, ReLUActivation()]
    return [*made, DenseLayer(1)]


def normalised() -> list[Layer]:
    """Return four dense layers; layer normalization follows all but the last."""
    made: list[Layer] = []
    for _ in range(3):
        made += [DenseLayer(WIDTH), LayerNormalization(), ReLUActivation()]
    return [*made, DenseLayer(1)]


def residual() -> list[Layer]:
    """Return three residual blocks between two dense layers."""
    blocks = [
        Residual(LayerNormalization(), DenseLayer(WIDTH), ReLUActivation(), DenseLayer(WIDTH))
        for _ in range(3)
    ]
    return [DenseLayer(WIDTH), *blocks, DenseLayer(1)]


def embedded() -> list[Layer]:
    """Return embeddings of the columns of codes and dense layers."""
    return [CategoricalEmbeddings(dict(enumerate(CATEGORIES))), *dense()]


CASES: dict[str, Callable[[], list[Layer]]] = {
    "dense": dense,
    "dense, two layers frozen": lambda: dense(2),
    "layer normalization": normalised,
    "residual": residual,
    "embeddings": embedded,
}


def samples(case: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and targets; the first features are codes if the network has embeddings."""
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, k, n) for k in CATEGORIES] if case == "embeddings" else []
    numbers = rng.standard_normal((n, NUMBERS))
    X = np.column_stack([*columns, numbers]).astype(np.float32)
    return X, (numbers[:, :1] * numbers[:, 1:2]).astype(np.float32)


def network(case: str, steps: str, device: str, n_features: int) -> NeuralNetwork:
    """Return the network of a case."""
    net = NeuralNetwork(batch_size=BATCH, optimizer="adam", seed=0, steps=steps, device=device)
    first, *others = CASES[case]()
    first.set_input_shape((n_features,))
    for layer in (first, *others):
        net.add(layer)
    return net


def in_pytorch(layers: Iterable[Layer], device: str) -> Any:
    """Return the same layers as a PyTorch module, with different initial weights."""
    import torch

    class Added(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    class Vectors(torch.nn.Module):
        def __init__(self, columns: dict[int, tuple[int, int]]) -> None:
            super().__init__()
            self.tables = torch.nn.ModuleList(
                torch.nn.Embedding(*each) for each in columns.values()
            )

        def forward(self, x: Any) -> Any:
            k = len(self.tables)
            codes = x[:, :k].long()
            found = [table(codes[:, j]) for j, table in enumerate(self.tables)]
            return torch.cat([*found, x[:, k:]], dim=1)

    def module(layer: Any) -> Any:
        if isinstance(layer, Residual):
            return Added(torch.nn.Sequential(*map(module, layer.layers)))
        if isinstance(layer, DenseLayer):
            made = torch.nn.Linear(layer.input_shape()[0], layer.n_units)
            return made.requires_grad_(layer.trainable)
        if isinstance(layer, LayerNormalization):
            return torch.nn.LayerNorm(layer.input_shape()[0])
        return (
            Vectors(layer.columns) if isinstance(layer, CategoricalEmbeddings) else torch.nn.ReLU()
        )

    return torch.nn.Sequential(*map(module, layers)).to(device)


def epoch_in_pytorch(layers: Iterable[Layer], X: Any, y: Any, device: str) -> Callable[[], None]:
    """Return a function that trains for one epoch in eager mode, with the data on the device."""
    import torch

    net = in_pytorch(layers, device)
    features, targets = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    trained = [each for each in net.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(trained, fused=True)

    def epoch() -> None:
        order = torch.randperm(len(features), device=device)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(features[rows]), targets[rows]).backward()
            optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()

    return epoch


def main() -> None:
    """Measure, print the table, and write it to files."""
    parser = argparse.ArgumentParser(prog="python -m bench.blocks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--save", type=output.file_name, metavar="NAME")
    options = parser.parse_args()
    result = {
        "command": output.command("blocks"),
        "machine": machine.describe(("xpnet", "numpy", "numba", "torch")),
        "rows": [row(case, options.rounds, options.samples, options.device) for case in CASES],
    }
    output.show(report(result), options.save, result)


def row(case: str, rounds: int, n: int, device: str) -> dict[str, Any]:
    """Return the seconds per epoch of each way, and the ratios of the first way to the others."""
    X, y = samples(case, n)
    fast = "compiled" if device == "cpu" else "captured"
    epochs: dict[str, Callable[[], Any]] = {}
    for steps in (fast, "formulas"):
        net = network(case, steps, device, X.shape[1])
        epochs[steps] = lambda net=net: net.fit((X, y), epochs=1)
    if find_spec("torch"):
        layers = network(case, "formulas", "cpu", X.shape[1]).layers
        epochs["torch"] = epoch_in_pytorch(layers, X, y, device)
    taken: dict[str, list[float]] = {way: [] for way in epochs}
    for k in range(rounds + 1):  # the first round compiles
        for way, epoch in epochs.items():
            found = seconds(epoch)
            if k:
                taken[way].append(found)
    return {
        "case": case,
        "epoch_s": {way: list(Spread.of(times)) for way, times in taken.items()},
        "ratios": {
            way: list(ratios(taken[fast], times)) for way, times in taken.items() if way != fast
        },
    }


def report(result: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    ways = list(result["rows"][0]["epoch_s"])
    rows = [
        [
            each["case"],
            *(f"{1e3 * Spread(*each['epoch_s'][way]).median:.1f}" for way in ways),
            *(f"{Spread(*each['ratios'][way]):.2f}" for way in ways[1:]),
        ]
        for each in result["rows"]
    ]
    header = ["network", *(f"{way}, ms" for way in ways)]
    header += [f"{ways[0]} ÷ {way}" for way in ways[1:]]
    note = "Medians of epochs timed in turn. PyTorch runs in eager mode, with its fused Adam."
    return output.sheet(rows, header, result, note)


if __name__ == "__main__":
    main()
