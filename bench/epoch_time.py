"""How long an epoch takes, on the CPU and on a GPU, beside its matrix products alone.

    python -m bench.epoch_time --devices cpu,cuda --sizes 784,89,10 784,1000,100,10

A device that is not there is named and left out. The *floor* is the same matrix products with
nothing around them, measured in turn with the training, so that a slow spell of the machine meets
both. The first epoch, in which things are compiled and touched for the first time, is apart.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from xpnet import (
    Dataset,
    DenseLayer,
    DeviceUnavailableError,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    datasets,
    resolve,
)
from xpnet.backends import Backend

from . import machine

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
MARKS = "<!-- made by: python -m bench.epoch_time --write-readme -->", "<!-- end -->"


def main() -> None:
    """Measure what the arguments ask for, print a table, and write it to files."""
    options = parse_arguments()
    data = load_data(options.samples)
    print(f"{data}", file=sys.stderr)
    cases = [
        Case(backend, data, *settings)
        for backend in available(options.devices)
        for settings in product(options.sizes, options.batch_sizes, options.optimizers)
    ]
    for _ in range(options.repeats):  # in turn, so that a slow spell does not meet one case alone
        for case in cases:
            case.run()
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    rows = [case.row() for case in cases]
    result = {"command": " ".join(["python -m bench.epoch_time", *sys.argv[1:]])}
    result |= {"machine": machine.describe(), "samples": len(data), "rows": rows}
    text = report(result)
    print(text)
    if options.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{options.save}.json").write_text(json.dumps(result, indent=1) + "\n")
        (RESULTS / f"{options.save}.md").write_text(text + "\n")
    if options.write_readme:
        write_readme(text)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.epoch_time", description=__doc__)
    parser.add_argument("--devices", type=_words, default=["cpu"], metavar="cpu,cuda")
    parser.add_argument(
        "--sizes",
        type=_numbers,
        nargs="+",
        default=[[784, 89, 10], [784, 178, 46, 10], [784, 128, 64, 32, 10], [784, 1000, 100, 10]],
        metavar="784,89,10",
        help="units of the layers, the input's first",
    )
    parser.add_argument("--batch-sizes", type=_numbers, default=[60, 512], metavar="60,512")
    parser.add_argument("--optimizers", type=_words, default=["sgd", "adam"], metavar="sgd,adam")
    parser.add_argument("--samples", type=int, default=60_000, help="at most; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="epochs; default: %(default)s")
    parser.add_argument("--save", metavar="NAME", help="write bench/results/NAME.json and .md")
    parser.add_argument("--write-readme", action="store_true", help="put the table into README.md")
    return parser.parse_args()


def load_data(samples: int) -> Dataset:
    """Return MNIST's training images, or random ones of the same kind where it is not there."""
    try:
        data = datasets.load_mnist()[0]
    except (OSError, ImportError) as error:
        print(f"random images in place of MNIST's ({error})", file=sys.stderr)
        rng = np.random.default_rng(0)
        data = Dataset(rng.integers(0, 256, (60_000, 784), np.uint8), rng.integers(0, 10, 60_000))
    return data.rows(np.arange(min(samples, len(data))))


def available(devices: list[str]) -> Iterator[Backend]:
    """Give the backends of the devices that are there, naming those that are not."""
    for device in devices:
        try:
            yield resolve(device)
        except DeviceUnavailableError as error:
            print(f"left out {device}: {error}", file=sys.stderr)


class Case:
    """A network on a device, with its batch size and optimizer, and the times of its epochs."""

    def __init__(
        self, backend: Backend, data: Dataset, sizes: list[int], batch_size: int, optimizer: str
    ) -> None:
        self.data, self.sizes = data, sizes
        self.net = NeuralNetwork(
            epochs=1,
            batch_size=batch_size,
            optimizer=optimizer,
            loss="softmax_cross_entropy",
            device=backend.device_name,
            seed=0,
        )
        self.net.add(Normalization(0.0, 255.0, input_shape=(sizes[0],)))
        for k, n_units in enumerate(sizes[1:]):
            if k:
                self.net.add(ReLUActivation())
            self.net.add(DenseLayer(n_units))
        self.about = {
            "device": backend.device_name,
            "network": "-".join(map(str, sizes)),
            "batch": batch_size,
            "optimizer": optimizer,
        }
        self.products = products_of_an_epoch(backend, len(data), sizes, batch_size)
        self.first = seconds(lambda: self.net.fit(data))
        self.products()
        self.epochs: list[float] = []
        self.floors: list[float] = []

    def run(self) -> None:
        """Train an epoch, then do its products alone."""
        self.net.fit(self.data)
        self.epochs.append(self.net.history["seconds"][-1])
        self.floors.append(seconds(self.products))

    def row(self) -> dict[str, Any]:
        """Return medians and spreads."""
        ratios = [epoch / floor for epoch, floor in zip(self.epochs, self.floors, strict=True)]
        median = statistics.median(self.epochs)
        return {
            **self.about,
            "first_s": self.first,
            "epoch_s": median,
            "epoch_s_spread": [min(self.epochs), max(self.epochs)],
            "samples_per_s": len(self.data) / median,
            "gflop_per_s": flops(len(self.data), self.sizes) / median / 1e9,
            "ratio_to_products": statistics.median(ratios),
            "ratio_to_products_spread": [min(ratios), max(ratios)],
        }


def products_of_an_epoch(
    backend: Backend, n: int, sizes: list[int], batch_size: int
) -> Callable[[], None]:
    """Return a function that does an epoch's matrix products, into buffers made before."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        return backend.asarray(rng.standard_normal(shape), backend.dtype)

    weights = [random(n_in, n_out) for n_in, n_out in pairwise(sizes)]
    activations = [random(batch_size, size) for size in sizes]
    errors, gradients = [random(*a.shape) for a in activations], [random(*w.shape) for w in weights]

    def products() -> None:
        matmul, layers = backend.xp.matmul, range(len(weights))
        with backend.active():
            for _ in range(-(-n // batch_size)):
                for k in layers:
                    matmul(activations[k], weights[k], out=activations[k + 1])
                for k in reversed(layers):
                    matmul(activations[k].T, errors[k + 1], out=gradients[k])
                    if k:
                        matmul(errors[k + 1], weights[k].T, out=errors[k])
                for activation in activations[1:]:
                    activation[...] = 0.5  # numbers must stay finite: others cost other times
                for error in errors[1:-1]:
                    error[...] = 0.5
            backend.scalar(gradients[0][0, 0])  # waits for the device

    return products


def flops(n: int, sizes: list[int]) -> int:
    """Count additions and multiplications of an epoch's products: forward, and both gradients."""
    layers = list(pairwise(sizes))
    return 2 * n * (3 * sum(a * b for a, b in layers) - layers[0][0] * layers[0][1])


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def report(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    table = [
        [
            row["device"],
            row["network"],
            row["batch"],
            row["optimizer"],
            "{:.2f} [{:.2f}, {:.2f}]".format(row["epoch_s"], *row["epoch_s_spread"]),
            f"{row['samples_per_s']:,.0f}",
            f"{row['gflop_per_s']:.1f}",
            f"{row['ratio_to_products']:.2f}",
        ]
        for row in result["rows"]
    ]
    headers = [
        "device", "network", "batch", "optimizer", "epoch, s [least, most]", "samples/s",
        "GFLOP/s", "÷ products alone",
    ]  # fmt: skip
    about, versions = result["machine"], result["machine"]["versions"]
    lines = [
        tabulate(table, headers, tablefmt="github", disable_numparse=True),
        "",
        f"{result['samples']:,} samples of 784 features, float32; medians of epochs taken in turn. "
        f"{about['date']}, "
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}, "
        f"{', '.join(f'{name} {number}' for name, number in versions.items())}.",
        f"Repeat it with `{result['command']}`.",
    ]
    return "\n".join(lines)


def write_readme(text: str) -> None:
    """Put the table between its marks in the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    README.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
