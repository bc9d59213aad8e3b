"""Compare epoch times of this checkout with another checkout, for several networks.

    git worktree add --detach ../before COMMIT
    python -m bench.versions ../before --save versions-cpu

Both versions are timed in turn, epoch by epoch, in two processes that wait for each other: a slow
phase of the machine is longer than an epoch, and hardly changes the ratio of consecutive epochs.
The location of a process's arrays in memory changes its speed by several percent. So there are
several pairs of processes, and the result is the median of their ratios, with a 95 % bootstrap
interval.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import arguments, machine, output
from .one_version import CASES

HERE = Path(__file__).parent
STEPS = ("compiled", "formulas")


class Version:
    """A process that times epochs of one version."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "one_version.py"],
            env=os.environ | {"PYTHONPATH": str(checkout.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, case: str) -> float:
        """Return the time of an epoch."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Stop the process."""
        self._process.communicate()


def main() -> None:
    """Measure, print the table, and write it to files."""
    parser = argparse.ArgumentParser(prog="python -m bench.versions", description=__doc__)
    parser.add_argument("before", type=Path, help="the folder of the other checkout")
    parser.add_argument("--processes", type=int, default=15, help="pairs; default: %(default)s")
    parser.add_argument("--epochs", type=int, default=11, help="epochs; default: %(default)s")
    parser.add_argument(
        "--steps", type=arguments.words, default=STEPS, help="default: compiled,formulas"
    )
    parser.add_argument("--save", type=output.file_name, metavar="NAME")
    options = parser.parse_args()
    if not (options.before / "xpnet").is_dir():
        parser.error(f"{options.before} has no folder xpnet: give the folder of a checkout")
    cases = [f"{steps} {case}" for steps in options.steps for case in CASES]
    found: dict[str, list[tuple[float, float]]] = {case: [] for case in cases}
    for k in range(options.processes):
        for case, pair in pairs(options.before, cases, options.epochs).items():
            found[case].append(pair)
        print(f"{k + 1} of {options.processes}", file=sys.stderr)
    result = {
        "command": output.command("versions"),
        "before": commit(options.before),
        "after": commit(HERE.parent),
        "machine": machine.describe(("numpy", "numba")),
        "rows": [row(case, each) for case, each in found.items()],
    }
    output.show(report(result), options.save, result)


def pairs(before: Path, cases: list[str], epochs: int) -> dict[str, tuple[float, float]]:
    """Return the median ratio and the seconds before, of each case, from a pair of processes."""
    versions = Version(HERE.parent), Version(before)
    found = {}
    for case in cases:
        taken: list[list[float]] = []
        for k in range(epochs + 1):  # the first epoch creates and compiles the network
            order = (0, 1) if k % 2 else (1, 0)
            times = {which: versions[which].seconds(case) for which in order}
            taken.append([times[0], times[1]])
        ratio = statistics.median(now / then for now, then in taken[1:])
        found[case] = ratio, statistics.median(then for _, then in taken[1:])
    for version in versions:
        version.close()
    return found


def row(case: str, measured: list[tuple[float, float]]) -> dict[str, Any]:
    """Return the median of the ratios and its 95 % interval."""
    ratios = [ratio for ratio, _ in measured]
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(4000))
    return {
        "case": case,
        "before_s": statistics.median(seconds for _, seconds in measured),
        "ratio": statistics.median(ratios),
        "interval": [medians[100], medians[3899]],
        "ratios": ratios,
    }


def commit(folder: Path) -> str:
    """Return the commit of a checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def report(result: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    rows = [
        [
            *each["case"].split(),
            f"{1e3 * each['before_s']:.1f}",
            f"{each['ratio']:.3f} [{each['interval'][0]:.3f}, {each['interval'][1]:.3f}]",
        ]
        for each in result["rows"]
    ]
    header = ["steps", "network", "before, ms", "after ÷ before"]
    note = (
        f"An epoch of 12,000 samples, at {result['after']} and at {result['before']}; medians of "
        f"{len(result['rows'][0]['ratios'])} pairs of processes, with 95 % intervals."
    )
    return output.sheet(rows, header, result, note)


if __name__ == "__main__":
    main()
