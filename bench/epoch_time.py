"""Time epochs on the CPU and on a GPU, and compare them with their matrix products alone.

    python -m bench.epoch_time --devices cpu,cuda --sizes 784,89,10 784,1000,100,10

Devices that are not available are reported and skipped. The *floor* is the time of the same matrix
products without any other work. It is measured in alternation with training, so that slow phases of
the machine affect both; on a GPU the products are captured, like training. The first epoch, with
compilation and cold caches, is reported separately, and the epoch whose memory is measured is not
timed. --save also plots the time of an epoch against batch size and number of parameters.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from typing import Any

from tabulate import tabulate

from xpnet import (
    Dataset,
    DeviceUnavailableError,
    Normalization,
    resolve,
)
from xpnet.backends import Backend

from . import arguments, machine, output, pictures
from .data import mnist
from .floor import flops, products_alone
from .measuring import Spread, ratios, seconds
from .networks import dense


def main() -> None:
    """Measure the cases that the arguments select, print a table, and write it to files."""
    options = parse_arguments()
    data = mnist(options.samples)
    print(f"{data}", file=sys.stderr)
    cases = [
        Case(backend.with_dtype(precision), data, kernels, *settings)
        for backend in available(options.devices)
        for kernels in (options.kernels if backend.name == "numpy" else ["-"])
        for precision in options.precision
        for settings in product(options.sizes, options.batch_sizes, options.optimizers)
    ]
    for _ in range(options.repeats):  # in turn, so that a slow phase does not affect one case only
        for case in cases:
            case.run()
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    rows = [case.row() for case in cases]
    result: dict[str, Any] = {"command": output.command("epoch_time")}
    result |= {"machine": machine.describe(), "samples": len(data), "rows": rows}
    text = report(result)
    output.show(text, options.save, result)
    if options.save:
        pictures.epoch_times(rows, output.RESULTS / f"{options.save}.png")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.epoch_time", description=__doc__)
    parser.add_argument("--devices", type=arguments.words, default=["cpu"], metavar="cpu,cuda")
    parser.add_argument(
        "--sizes",
        type=arguments.numbers,
        nargs="+",
        default=[[784, 89, 10], [784, 178, 46, 10], [784, 128, 64, 32, 10], [784, 1000, 100, 10]],
        metavar="784,89,10",
        help="sizes of the layers, from input to output",
    )
    parser.add_argument(
        "--batch-sizes", type=arguments.numbers, default=[60, 512], metavar="60,512"
    )
    parser.add_argument(
        "--optimizers", type=arguments.words, default=["sgd", "adam"], metavar="sgd,adam"
    )
    parser.add_argument(
        "--precision", type=arguments.words, default=["float32"], metavar="float32,float64"
    )
    parser.add_argument(
        "--kernels",
        type=arguments.words,
        default=["numba" if find_spec("numba") else "numpy"],
        metavar="numpy,numba",
        help="on the CPU: steps by formulas (numpy) or compiled (numba); default: %(default)s",
    )
    parser.add_argument("--samples", type=int, default=60_000, help="at most; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="epochs; default: %(default)s")
    parser.add_argument(
        "--save",
        type=output.file_name,
        metavar="NAME",
        help="write bench/results/NAME.json and .md",
    )
    return parser.parse_args()


def available(devices: list[str]) -> Iterator[Backend]:
    """Yield the backends of the available devices; print the names of the other devices."""
    for device in devices:
        try:
            yield resolve(device)
        except DeviceUnavailableError as error:
            print(f"skipped {device}: {error}", file=sys.stderr)


class Case:
    """A network on a device, with a batch size and an optimizer, and the times of its epochs."""

    def __init__(
        self,
        backend: Backend,
        data: Dataset,
        kernels: str,
        sizes: list[int],
        batch_size: int,
        optimizer: str,
    ) -> None:
        self.data, self.sizes, self.kernels = data, sizes, kernels
        self.net = dense(
            sizes,
            Normalization(0.0, 255.0, input_shape=(sizes[0],)),
            epochs=1,
            batch_size=batch_size,
            optimizer=optimizer,
            device=backend.device_name,
            dtype=backend.dtype,
        )
        self.about = {
            "device": backend.device_name,
            "kernels": kernels,
            "precision": backend.dtype,
            "network": "-".join(map(str, sizes)),
            "batch": batch_size,
            "optimizer": optimizer,
        }
        self.first = seconds(self.fit)
        self.peak = machine.peak_memory(backend, self.fit)
        self.products = products_alone(self.net, sizes, data.X, data.y)
        self.products()
        self.epochs: list[float] = []
        self.floors: list[float] = []

    def fit(self) -> None:
        """Train for one epoch."""
        if self.kernels != "-":
            self.net.steps = {"numpy": "formulas", "numba": "compiled"}[self.kernels]
        self.net.fit(self.data)

    def run(self) -> None:
        """Time an epoch of training, then its products alone."""
        time.sleep(0.1)  # until BLAS's threads have stopped spinning
        self.fit()
        self.epochs.append(self.net.history["seconds"][-1])
        self.floors.append(seconds(self.products))

    def row(self) -> dict[str, Any]:
        """Return the settings, medians and spreads of this case."""
        epoch = Spread.of(self.epochs)
        ratio = ratios(self.epochs, self.floors)
        return {
            **self.about,
            "first_s": self.first,
            "parameters": sum(layer.parameters() for layer in self.net.layers),
            "peak_bytes": self.peak,
            "epoch_s": epoch.median,
            "epoch_s_spread": [epoch.least, epoch.most],
            "samples_per_s": len(self.data) / epoch.median,
            "gflop_per_s": flops(len(self.data), self.sizes) / epoch.median / 1e9,
            "ratio_to_products": ratio.median,
            "ratio_to_products_spread": [ratio.least, ratio.most],
        }


def report(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    table = [
        [
            _where(row),
            row["network"],
            row["batch"],
            row["optimizer"],
            f"{Spread(row['epoch_s'], *row['epoch_s_spread']):.2f}",
            f"{row['samples_per_s']:,.0f}",
            f"{row['gflop_per_s']:.1f}",
            f"{row['ratio_to_products']:.2f}",
            f"{row['peak_bytes'] / 2**20:,.1f}",
        ]
        for row in result["rows"]
    ]
    headers = [
        "device", "network", "batch", "optimizer", "epoch, s [least, most]", "samples/s",
        "GFLOP/s", "× product time", "peak, MiB",  # noqa: RUF001 - the sign is meant
    ]  # fmt: skip
    lines = [
        tabulate(table, headers, tablefmt="github", disable_numparse=True),
        "",
        f"{result['samples']:,} samples of 784 features in uint8. Median epochs, in alternation; "
        "peak memory, on the CPU without the samples. "
        f"{machine.sentence(result['machine'])}",
        f"Repeat it with `{result['command']}`.",
    ]
    return "\n".join(lines)


def _where(row: dict[str, Any]) -> str:
    """Return the device, with kernels and precision if they are not the defaults."""
    kernels = {"numpy": ", NumPy", "numba": ", compiled"}.get(row["kernels"], "")
    return (
        row["device"] + kernels + ("" if row["precision"] == "float32" else f", {row['precision']}")
    )


if __name__ == "__main__":
    main()
