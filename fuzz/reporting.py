"""Reports of the findings, for the terminal and as files."""

import json
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from .running import Tally


def as_table(tallies: Sequence[Tally], style: str = "simple") -> str:
    """Return a table of the numbers of files read, files refused and findings."""
    rows = [
        (
            each.target,
            f"{each.results.total():,}",
            f"{each.results['read']:,}",
            f"{each.results['refused']:,}",
            f"{each.results['finding']:,}",
            f"{each.slowest:.2f}",
            f"{each.largest / 1e6:.1f}",
        )
        for each in tallies
    ]
    headers = ("files", "tried", "read", "refused", "findings", "slowest, s", "most memory, MB")
    return str(tabulate(rows, headers=headers, tablefmt=style, colalign=("left", *["right"] * 6)))


def findings(tallies: Sequence[Tally]) -> list[str]:
    """Return a line for each kind of finding, most frequent first within a target."""
    lines = []
    for tally in tallies:
        for key, count in tally.counts.most_common():
            finding, kept = tally.findings[key][0]
            where = f" at {finding.where}" if finding.where else ""
            name = f" ({kept.name})" if kept else ""
            lines.append(
                f"{tally.target}: {count} times {finding.kind}{where}: {finding.text}{name}"
            )
    return lines


def as_data(tallies: Sequence[Tally], **setting: Any) -> str:
    """Return all numbers as JSON."""
    content = {
        **setting,
        "targets": {
            each.target: {
                **{name: each.results[name] for name in ("read", "refused", "finding")},
                "seconds": round(each.seconds, 1),
                "slowest_seconds": round(each.slowest, 3),
                "largest_bytes": each.largest,
            }
            for each in tallies
        },
        "findings": findings(tallies),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_page(tallies: Sequence[Tally], heading: str) -> str:
    """Return a page of Markdown."""
    lines = [f"# {heading}", "", as_table(tallies, "github"), ""]
    lines += [f"- {line}" for line in findings(tallies)] or ["No findings."]
    return "\n".join(lines) + "\n"
