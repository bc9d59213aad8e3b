"""The command ``python -m fuzz``: fuzz for some seconds, or read one file again."""

import argparse
import platform
import sys
from pathlib import Path

from xpnet.common.replacing import check_writable

from . import __doc__ as manual
from . import idx, models, reviews, searches, tables, words
from .reporting import as_data, as_page, as_table, findings
from .running import Worker, fuzz
from .target import Target

TARGETS: dict[str, type[Target]] = {
    each.name: each
    for each in (
        models.Raw,
        models.Description,
        models.Tensors,
        idx.Idx,
        reviews.Reviews,
        words.Words,
        searches.Searches,
        tables.Tables,
    )
}


def main() -> int:
    """Fuzz, or read one file again; return 1 if there are findings."""
    parser = argparse.ArgumentParser(
        "python -m fuzz", description=manual, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=float, default=60.0, help="time for all targets together (default: 60)")
    add("--seed", type=int, default=0, help="seed of the damage (default: 0)")
    add("--target", action="append", choices=TARGETS, help="default: all of them")
    add("--most", type=int, help="the maximum number of files per target")
    add(
        "--keep",
        type=Path,
        default=Path("fuzz-findings"),
        help="the folder for findings (default: fuzz-findings)",
    )
    add("--report", type=Path, help="write PATH.md and PATH.json")
    add("--repeat", type=Path, help="read this file, and print the outcome")
    options = parser.parse_args()
    if options.repeat:
        try:
            return _repeat(options.repeat, options.target)
        except (OSError, ValueError) as error:
            parser.error(f"--repeat {options.repeat}: {error}")
    if options.report:  # check before spending the time
        check_writable(options.report.with_suffix(".json"))
    names = options.target or list(TARGETS)
    tallies = []
    for name in names:
        share = options.seconds / len(names)
        tallies.append(fuzz(TARGETS[name](), share, options.seed, options.keep, options.most))
    print(as_table(tallies))
    for line in findings(tallies):
        print(line)
    if options.report:
        setting = {"seconds": options.seconds, "seed": options.seed, "machine": platform.machine()}
        heading = f"Fuzzing for {options.seconds:,.0f} s, seed {options.seed}"
        options.report.with_suffix(".json").write_text(as_data(tallies, **setting))
        options.report.with_suffix(".md").write_text(as_page(tallies, heading))
    return int(any(each.results["finding"] for each in tallies))


def _repeat(path: Path, targets: list[str] | None) -> int:
    content = path.read_bytes()
    longest_first = sorted(TARGETS, key=len, reverse=True)
    names = targets or [name for name in longest_first if path.name.startswith(name)]
    if not names:
        raise ValueError(
            "the file's name does not begin with a target, as a finding's does: give --target, "
            "e.g. --target model-raw for a model file"
        )
    worker = Worker(TARGETS[names[0]](), 0)
    outcome = worker.outcome(content)
    worker.stop()
    print(outcome.details)
    print(f"{outcome.result}: {outcome.seconds:.3f} s, {outcome.peak / 1e6:.1f} MB")
    if outcome.finding:
        print(f"{outcome.finding.kind} {outcome.finding.where}: {outcome.finding.text}")
    return int(outcome.finding is not None)


if __name__ == "__main__":
    sys.exit(main())
