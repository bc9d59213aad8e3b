"""Compare the speed of xpnet with other libraries, on the same networks and data.

    python -m bench.peers --peers xpnet,torch,torch-fused --cases mnist --batch-sizes 60

The peers: xpnet (NumPy only), xpnet-numba, products (the matrix products alone, the floor), torch
(eager), torch-fused (with the fused optimizer), torch-loader (with a DataLoader), torch-compile,
torch-graph (on a GPU, a step in a CUDA graph), jax-step (a compiled step), jax-scan (a compiled
epoch), sklearn, keras-jax. Peers that are not installed are reported and skipped.

All peers get the same pixels in [0, 1], initial weights, batch size, optimizer and number of
threads. All shuffle in every epoch, train on the short last batch and sum the loss. Each peer runs
in a separate process. The peers of a cell take turns, so slow phases of the machine affect all of
them. While a peer is measured, the processes of the others are stopped, so that their idle threads
do not disturb it. Ratios are computed within a round. The first epoch, which includes compilation,
is reported separately. A peer whose final loss differs is marked.

Cases: mnist; digits (64-32-10, batch size 32, 50 epochs from the initial weights, timed together);
sparse (10000-16-16-1 on CSR rows with about 130 ones, or dense rows for peers without CSR); wide
(784-2048-2048-10, 15,000 samples).

The "estimators" cases compare the estimators of scikit-learn and xpnet, with the same random
numbers and with default settings unless stated otherwise: fit-mnist (784-89-10, 784-178-46-10 and
784-1000-100-10, 2 epochs), fit-digits (until convergence), fit-sparse (10000-16-16-1, 2 epochs),
predict (784-100-10, a thousand calls with one row and one call with 60,000).
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.datasets import load_digits

from . import arguments, machine, output
from ._peers import PEERS
from ._peers.case import Case, save_data
from ._peers.costs import import_seconds, installed_mb
from ._peers.report import compare, names_in, report
from ._peers.team import Team, environment
from .data import WORDS, mnist, word_counts
from .floor import flops

CASES = ("mnist", "digits", "sparse", "wide")
OF_ESTIMATORS = ("fit-mnist", "fit-digits", "fit-sparse", "predict")
SHORTER = 15_000
"""Samples of the sparse and the wide case."""

_FIT: dict[str, Any] = {"task": "fit", "epochs": 2}
_CALLS: dict[str, list[tuple[Any, dict[str, Any]]]] = {
    "fit-mnist": [
        (sizes, _FIT) for sizes in ((784, 89, 10), (784, 178, 46, 10), (784, 1000, 100, 10))
    ],
    "fit-digits": [((64, 100, 10), _FIT | {"epochs": 200})],
    "fit-sparse": [((WORDS, 16, 16, 1), _FIT)],
    "predict": [
        ((784, 100, 10), {"task": "predict", "rows": rows, "epochs": calls})
        for rows, calls in ((1, 1000), (60_000, 1))
    ],
}
"""The networks of each "estimators" case, and the settings of the calls."""

LIBRARIES = (
    "xpnet", "numpy", "scipy", "numba", "torch", "jax", "jaxlib", "optax", "keras", "scikit-learn",
    "cupy-cuda12x", "cupy-cuda13x",
)  # fmt: skip


def main(given: list[str] | None = None) -> dict[str, Any]:
    """Measure the selected cells, print a report, write it to files, and return the results."""
    options = parse_arguments(given)
    result: dict[str, Any] = {"command": output.command("peers", given)}
    result |= {"machine": machine.describe(LIBRARIES)}
    result |= {"device": options.device, "threads": options.threads, "samples": options.samples}
    names, left_out = installed(options.peers)
    result |= {"rows": [], "peak_mb": {}, "left_out": left_out, "notes": {}, "costs": {}}
    measure(options, names, result)
    if options.costs:
        result["costs"] = costs(names_in(result["rows"]), options)
    print(report(result))
    if not result["rows"]:
        sys.exit(1)
    save(options, result)
    if options.save:
        output.say_where(options.save, options.out)
    return result


def save(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write the results so far, if there are any and the arguments request it."""
    if options.save and result["rows"]:
        output.save(options.save, result, report(result), options.out)


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    every = ",".join((*CASES, "estimators", *OF_ESTIMATORS))
    add("--cases", type=arguments.words, default=list(CASES), metavar=every)
    add("--peers", type=arguments.words, default=list(PEERS), metavar="xpnet,torch")
    add(
        "--sizes",
        type=arguments.numbers,
        nargs="+",
        default=[[784, 89, 10], [784, 178, 46, 10], [784, 128, 64, 32, 10], [784, 1000, 100, 10]],
        metavar="784,89,10",
        help="layer sizes of mnist's networks, from input to output",
    )
    add(
        "--batch-sizes",
        type=arguments.numbers,
        default=[60, 128, 512],
        metavar="60,512",
        help="mnist's",
    )
    add("--optimizers", type=arguments.words, default=["sgd", "adam"], metavar="sgd,adam")
    add("--samples", type=int, default=60_000, help="at most; default: %(default)s")
    add("--rounds", type=int, default=3, help="epochs of each peer; default: %(default)s")
    add("--device", default="cpu", choices=["cpu", "cuda"], help="default: %(default)s")
    add("--threads", type=int, default=machine.cores(), help="of each peer; default: all cores")
    add(
        "--minutes",
        type=float,
        default=60.0,
        help="time limit of all cells together; after a cell's share, no further peer is built and "
        "no further round begins, but each built peer gets one round; default: %(default)s",
    )
    add("--patience", type=float, default=600.0, help="seconds to wait for a peer's answer")
    add(
        "--costs",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="import time and installed size",
    )
    add(
        "--save",
        type=output.file_name,
        metavar="NAME",
        help="write NAME.json and NAME.md, again after each cell",
    )
    add(
        "--out",
        type=Path,
        default=os.environ.get("OUT") or output.RESULTS,
        metavar="FOLDER",
        help="folder for --save; default: the environment variable OUT, or bench/results",
    )
    options = parser.parse_args(given)
    if options.cases == ["estimators"]:
        options.cases = list(OF_ESTIMATORS)
    for kind, asked, known in (
        ("case", options.cases, (*CASES, *OF_ESTIMATORS)),
        ("peer", options.peers, PEERS),
        ("optimizer", options.optimizers, ("sgd", "adam", "rmsprop")),
    ):
        unknown = [name for name in asked if name not in known]
        if unknown:
            parser.error(f"unknown {kind} {', '.join(unknown)}: expected {', '.join(known)}")
    if not hasattr(signal, "SIGSTOP"):
        parser.error("needs a system that can stop and continue processes (Linux, macOS)")
    return options


def installed(names: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the peers that can run, and the reasons why others cannot."""
    missing = {name: PEERS[name].missing() for name in names}
    left_out = {name: [f"{', '.join(of)} not installed"] for name, of in missing.items() if of}
    for name, why in left_out.items():
        print(f"left out {name}: {why[0]}", file=sys.stderr)
    return [name for name in PEERS if name in names and name not in left_out], left_out


def measure(options: argparse.Namespace, names: list[str], result: dict[str, Any]) -> None:
    """Measure all cells, case by case, into ``result``, with new processes for each case."""
    # Stopped children must be ended even if this process is terminated.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory() as folder:
            cases = {name: prepare(name, options, Path(folder)) for name in options.cases}
            budget = _Budget(options.minutes, [cell for cells in cases.values() for cell in cells])
            for name, cells in cases.items():
                if not cells:
                    result["left_out"][name] = ["its data are not available"]
                    continue
                print(f"\n{name}", file=sys.stderr, end="")
                able = [peer for peer in names if cells[0].task in PEERS[peer].tasks]
                with Team(able, options.threads, options.device, options.patience, _say) as team:
                    measure_case(team, cells, budget, options, result)
            print(file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)


def measure_case(
    team: Team,
    cells: list[Case],
    budget: "_Budget",
    options: argparse.Namespace,
    result: dict[str, Any],
) -> None:
    """Measure the cells of a case into ``result``, which is saved after each."""
    before = result["left_out"]
    late: dict[str, list[str]] = {}
    for cell in cells:
        if budget.is_over():
            late.setdefault(cell.name, []).append(f"{cell.title}: there was no time left for it")
        else:
            _say(f"\n{cell.title}: ")
            row = team.measure(cell, options.rounds, budget.until(cell))
            if row["peers"]:
                result["rows"].append(compare(row))
        result["left_out"] = _joined(before, team.left_out, late)
        result["notes"] |= team.notes
        save(options, result)
    result["peak_mb"][cells[0].name] = team.memory()
    result["left_out"] = _joined(before, team.left_out, late)


def _joined(*of_each: dict[str, list[str]]) -> dict[str, list[str]]:
    """Merge tables of the reasons why something was left out."""
    names = dict.fromkeys(name for reasons in of_each for name in reasons)
    return {name: [why for reasons in of_each for why in reasons.get(name, [])] for name in names}


def prepare(name: str, options: argparse.Namespace, folder: Path) -> list[Case]:
    """Write the data of a case to a new folder and return its cells, or none without data."""
    place = folder / name
    place.mkdir()
    try:
        X, y = features(name, options.samples)
    except ImportError as error:
        print(f"left out {name}: {error}", file=sys.stderr)
        return []
    save_data(place, X, y)
    common: dict[str, Any] = {"folder": str(place)}
    common |= {"device": options.device, "threads": options.threads}

    def cell(sizes: Any, batch_size: int, optimizer: str, **more: Any) -> Case:
        size = min(batch_size, len(y))
        return Case(name, tuple(sizes), size, optimizer, **common, **more)

    if name in OF_ESTIMATORS:
        return [cell(sizes, 200, "adam", **more) for sizes, more in _CALLS[name]]
    if name == "digits":
        return [cell((64, 32, 10), 32, "adam", epochs=50)]
    if name == "sparse":
        return [cell((WORDS, 16, 16, 1), 512, "rmsprop")]
    if name == "wide":
        wide = (784, 2048, 2048, 10)
        return [cell(wide, 512, optimizer) for optimizer in options.optimizers]
    settings = product(options.sizes, options.batch_sizes, options.optimizers)
    return [cell(*setting) for setting in settings]


def features(name: str, samples: int) -> tuple[Any, np.ndarray]:
    """Return the features of a case, as all peers get them, and the labels."""
    if name.endswith("sparse"):
        return word_counts(min(samples, SHORTER))
    if name.endswith("digits"):
        data = load_digits()
        data, most = data.rows(np.arange(min(samples, len(data)))), 16
    else:
        data, most = mnist(min(samples, SHORTER) if name == "wide" else samples), 255
    return data.X.astype(np.float32) / np.float32(most), data.y


def costs(names: list[str], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return import time and installed size of each peer; measure equal modules only once."""
    known: dict[Any, dict[str, float]] = {}
    found = {}
    for name in names:
        entry = PEERS[name]
        key = entry.imports, entry.distributions
        if key not in known:
            env = environment(name, options.threads, options.device)
            known[key] = {
                "import_s": import_seconds(entry, env),
                "installed_mb": installed_mb(entry),
            }
        found[name] = known[key]
    return found


_STARTING = 2.0
"""Added to the weight of a case's first cell, where the peers import their libraries."""


class _Budget:
    """The time allowed for each cell, in proportion to its estimated time."""

    def __init__(self, minutes: float, cells: list[Case]) -> None:
        self.end = time.monotonic() + 60 * minutes
        self.begun: set[str] = set()  # cases
        n_cases = len({cell.name for cell in cells})
        self.waiting = sum(map(self.weight, cells)) + _STARTING * n_cases

    @staticmethod
    def weight(cell: Case) -> float:
        """Estimate the seconds of training, from steps, products and compilation."""
        of_data = {"mnist": 60_000, "digits": 1_797}.get(cell.name.split("-")[-1], SHORTER)
        n = cell.epochs * (cell.rows or of_data)
        rate = 5e10 if cell.device == "cpu" else 1e13
        return 1.0 + 3e-4 * n / cell.batch_size + flops(n, cell.sizes) / rate

    def is_over(self) -> bool:
        """Return whether there is no time left for any cell."""
        return time.monotonic() > self.end

    def until(self, cell: Case) -> float:
        """Return the time at which a cell will have used its share of the remaining time."""
        now, weight = time.monotonic(), self.weight(cell)
        if cell.name not in self.begun:
            self.begun.add(cell.name)
            weight += _STARTING
        share = weight / self.waiting
        self.waiting -= weight
        return now + max(self.end - now, 0.0) * share


def _say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
