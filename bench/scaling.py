"""Measure how epoch time grows with the work, and the cost of streaming.

    python -m bench.scaling --save scaling-cpu

Samples and parameters are multiplied by 1, 4 and 16. The time per arithmetic operation is divided
by that of the smallest case: 1.0 means growth in proportion to the work, and less than 1.0 means
that a fixed cost is spread over more work. Streaming is measured with one network on data in
memory, on a ``numpy.memmap`` that is read at once, and on a ``numpy.memmap`` that is streamed from
the file cache. Cases take turns, and ratios are computed within a round.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from xpnet import Dataset, NeuralNetwork

from . import machine, output
from .data import mnist
from .floor import flops
from .measuring import Spread, ratios
from .networks import dense

GROWTH = (1, 4, 16)

STREAMED = 1 << 40
"""A memory limit that is never reached; any limit makes stored data stream."""


def main() -> None:
    """Measure, print the tables, and write them to files."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--samples", type=int, default=60_000, help="largest number; default: %(default)s"
    )
    parser.add_argument("--width", type=int, default=128, help="smallest; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=7, help="epochs; default: %(default)s")
    parser.add_argument(
        "--groups",
        nargs="+",
        choices=["samples", "parameters", "streaming"],
        default=["samples", "parameters", "streaming"],
        help="what to measure; default: all",
    )
    parser.add_argument(
        "--save",
        type=output.file_name,
        metavar="NAME",
        help="write bench/results/NAME.json and .md",
    )
    options = parser.parse_args()
    data = mnist(options.samples)
    data = Dataset(data.X.astype(np.float32) / 255.0, data.y)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, data, Path(folder))
    result = {
        "command": output.command("scaling"),
        "machine": machine.describe((*machine.LIBRARIES, "numba", "scipy")),
        "rows": rows,
    }
    output.show(report(result), options.save, result)


def measure(options: argparse.Namespace, data: Dataset, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each comparison."""
    least, most = len(data) // GROWTH[-1], len(data)
    np.save(folder / "x.npy", data.X)
    stored = Dataset(np.load(folder / "x.npy", mmap_mode="r"), data.y)
    groups: dict[str, list[tuple[Any, ...]]] = {
        "samples": [
            (f"{least * k:,}", data.rows(np.arange(least * k)), [784, options.width, 10], 128)
            for k in GROWTH
        ],
        "parameters": [
            (
                f"784-{options.width * k}-10",
                data.rows(np.arange(most // 4)),
                [784, options.width * k, 10],
                512,
            )
            for k in GROWTH
        ],
        "streaming": [
            (name, some, [784, options.width, 10], 128, limit)
            for name, some, limit in (
                ("in memory", data, None),
                ("memmap, read at once", stored, None),
                ("memmap, streamed", stored, STREAMED),
            )
        ],
    }
    rows = []
    for name in options.groups:
        cases = groups[name]
        settings = [{"batch_size": case[3], "memory_limit": (*case, None)[4]} for case in cases]
        nets = [
            dense(case[2], device=options.device, **given)
            for case, given in zip(cases, settings, strict=True)
        ]
        times = in_turn(list(zip(cases, nets, strict=True)), options.repeats)
        work = [1.0 if name == "streaming" else flops(len(case[1]), case[2]) for case in cases]
        for (label, *_), taken, amount in zip(cases, times, work, strict=True):
            ratio = ratios([t / amount for t in taken], [t / work[0] for t in times[0]])
            rows.append(
                {
                    "what": name,
                    "case": label,
                    "epoch_s": list(Spread.of(taken)),
                    "ratio": list(ratio),
                }
            )
    return rows


def in_turn(cases: list[tuple[Any, NeuralNetwork]], repeats: int) -> list[list[float]]:
    """Return the seconds of each case's epochs, without a first run that is discarded."""
    times: list[list[float]] = [[] for _ in cases]
    for k in range(repeats + 1):
        for taken, (case, net) in zip(times, cases, strict=True):
            net.fit(case[1], epochs=2)  # only the second epoch is timed, without set-up
            if k:
                taken.append(net.history["seconds"][-1])
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return times


def report(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    table = [
        [row["what"], row["case"], f"{Spread(*row['epoch_s']):.3f}", f"{Spread(*row['ratio']):.2f}"]
        for row in result["rows"]
    ]
    headers = ["growth of", "case", "epoch, s [least, most]", "time for the same work ÷ the first"]
    lines = [
        tabulate(table, headers, tablefmt="github", disable_numparse=True),
        "",
        f"{machine.sentence(result['machine'])} The memmap's file was in the cache, so this "
        "measures streaming, not a disk.",
        f"Repeat it with `{result['command']}`.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
