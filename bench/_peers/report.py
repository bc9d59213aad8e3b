"""Ratios, means and tables of the measurements of :class:`.team.Team`."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from ..machine import sentence
from ..measuring import Spread, geometric_mean, ratios
from . import PEERS

Row = dict[str, Any]

EAGER = ("torch", "torch-fused")
"""The two forms of eager PyTorch; the faster one in a cell is the reference for the others."""

UNEQUAL = "≠"
"""Marks a peer whose loss differs from the other peers' losses."""


def reference(row: Row) -> str:
    """Return the peer to which a cell's ratios refer: the faster form of eager PyTorch.

    Without PyTorch it is the first peer that learns, or else the first peer.
    """
    peers = row["peers"]
    forms = [name for name in EAGER if name in peers]
    if forms:
        return min(forms, key=lambda name: statistics.median(peers[name]["seconds"]))
    learning = [name for name, peer in peers.items() if peer["losses"][-1] is not None]
    return [*learning, *peers][0]


def compare(row: Row) -> Row:
    """Return a cell with its ratios and loss differences.

    Returns
    -------
    dict
        With ``"reference"``, and for each peer ``"seconds_spread"``, ``"ratio"`` (to the reference)
        and ``"ratio_to_torch"``, each as [median, least, most], and ``"loss_apart"``, the relative
        difference of the last loss from the other peers'.
    """
    peers, against = row["peers"], reference(row)
    losses = {
        name: peer["losses"][-1]
        for name, peer in peers.items()
        if peer["losses"][-1] is not None and peer["has_optimizer"]
    }
    usual = usual_loss(losses)
    compared = {}
    for name, peer in peers.items():
        more: Row = {"seconds_spread": list(Spread.of(peer["seconds"]))}
        more["ratio"] = list(ratios(peer["seconds"], peers[against]["seconds"]))
        more["ratio_by_call"] = list(ratios(peer["call_seconds"], peers[against]["call_seconds"]))
        if "torch" in peers:
            more["ratio_to_torch"] = list(ratios(peer["seconds"], peers["torch"]["seconds"]))
        if name in losses and usual:
            more["loss_apart"] = losses[name] / usual - 1
        compared[name] = peer | more
    return row | {"reference": against, "peers": compared}


def usual_loss(losses: dict[str, float]) -> float | None:
    """Return the loss to compare a cell's peers with: the median, or torch's if there are two.

    Each peer has a different order of the samples, so the loss of any single peer may differ by a
    percent or two.
    """
    if len(losses) > 2:
        return statistics.median(losses.values())
    return losses.get("torch", next(iter(losses.values()), None))


def tolerance(name: str) -> float:
    """Return the largest relative loss difference that the order of samples can explain."""
    return 0.05 if name == "sklearn" else 0.02


def is_unequal(name: str, peer: Row) -> bool:
    """Return whether a peer's loss differs by more than :func:`tolerance`."""
    return abs(peer.get("loss_apart", 0.0)) > tolerance(name)


def names_in(rows: Iterable[Row]) -> list[str]:
    """Return the peers in the given cells, in the order of their turns."""
    present = {name for row in rows for name in row["peers"]}
    return [name for name in PEERS if name in present]


def mean_ratio(rows: Iterable[Row], name: str, key: str = "ratio") -> str:
    """Return a peer's geometric mean over cells as text, with their number if some are missing."""
    every = [row["peers"].get(name, {}).get(key) for row in rows]
    found = [ratio[0] for ratio in every if ratio]
    if not found:
        return "-"
    part = "" if len(found) == len(every) else f" ({len(found)} of {len(every)})"
    return f"{geometric_mean(found):.2f}{part}"


def groups(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the groups of cells to average, by the name of their column or row."""
    mnist = [row for row in rows if row["name"] == "mnist"]
    found = {"MNIST": mnist} if mnist else {}
    for size in dict.fromkeys(row["batch_size"] for row in mnist):
        found[f"batch {size}"] = [row for row in mnist if row["batch_size"] == size]
    for row in rows:
        if row["name"] != "mnist":
            several = sum(other["name"] == row["name"] for other in rows) > 1
            label = f"{row['name']} {row['optimizer']}" if several else row["name"]
            label = f"{row['name']} {row['rows']:,}" if row.get("rows") else label
            found.setdefault(label, []).append(row)
    return found


def _several(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the groups with several cells."""
    return {
        label: part
        for label, part in groups(rows).items()
        if len(part) > 1 or part[0]["name"] == "mnist"
    }


# ---- the parts of the report


def cells_table(rows: list[Row]) -> str:
    """Return a table with a row for each cell and a column for each peer."""
    names = names_in(rows)
    table = []
    for row in rows:
        against = row["reference"]
        seconds = f"{Spread(*row['peers'][against]['seconds_spread']):.2f}"
        name = row["name"]
        if asked := row.get("rows"):
            name += f", {asked:,} {'row' if asked == 1 else 'rows'}"
        line = [name, row["network"], row["batch_size"], row["optimizer"]]
        line += [f"{seconds} {against}", len(row["peers"][against]["seconds"])]
        for name in names:
            peer = row["peers"].get(name)
            mark = f" {UNEQUAL}" if peer and is_unequal(name, peer) else ""
            line.append(f"{Spread(*peer['ratio']):.2f}{mark}" if peer else "-")
        table.append(line)
    headers = ["case", "network", "batch", "optimizer", "1.00 is, s", "rounds", *names]
    return tabulate(table, headers, tablefmt="github", disable_numparse=True)


def means_table(rows: list[Row]) -> str:
    """Return a table of geometric mean ratios per case, to the reference and to ``torch``."""
    names, table = names_in(rows), []
    columns = {"the above": "ratio"}
    if "torch" in names:
        columns["torch"] = "ratio_to_torch"
    for title, key in columns.items():
        for label, part in _several(rows).items():
            means = [mean_ratio(part, name, key) for name in names]
            table.append([f"{label}, ÷ {title}", *means])
    if trained := groups(rows).get("MNIST", []):
        whole = [mean_ratio(trained, name, "ratio_by_call") for name in names]
        table.append(["MNIST, whole calls, ÷ the above", *whole])
    headers = ["geometric mean", *names]
    return tabulate(table, headers, tablefmt="github", disable_numparse=True)


def costs_table(result: Row) -> str:
    """Return a table of import time, size, memory and first epoch of each peer."""
    memory, rows = result["peak_mb"], result["rows"]
    table = []
    for name in names_in(rows):
        cost = result["costs"].get(name, {})
        first = [row["peers"][name]["first_s"] for row in rows if name in row["peers"]]
        line = [
            name,
            _number(cost.get("import_s"), ".2f"),
            _number(cost.get("installed_mb"), ".0f"),
        ]
        line.append(f"{Spread.of(first):.1f}")
        line += [_number(peaks.get(name), ".0f") for peaks in memory.values()]
        table.append(line)
    headers = ["", "import, s", "installed, MB", "building and first epoch, s"]
    headers += [f"peak memory, MB: {case}" for case in memory]
    return tabulate(table, headers, tablefmt="github", disable_numparse=True)


def losses_text(rows: list[Row]) -> str:
    """Return the largest loss difference of each peer, and the cells where it is too large."""
    lines, worst = [], {}
    for row in rows:
        for name, peer in row["peers"].items():
            apart = peer.get("loss_apart")
            if apart is None:
                continue
            worst[name] = max(worst.get(name, 0.0), abs(apart))
            if is_unequal(name, peer):
                cell = f"{row['name']}, {row['network']}, batch {row['batch_size']}"
                loss = peer["losses"][-1]
                lines.append(
                    f"- {UNEQUAL} {name}: {cell}, {row['optimizer']}: {loss:.4g}, {apart:+.1%}"
                )
    most = ", ".join(f"{name} {value:.1%}" for name, value in worst.items())
    return "\n".join(
        [
            "Largest difference of the last epoch's loss from the peers' median, in any cell: "
            f"{most}. Differences above {tolerance(''):.0%} ({tolerance('sklearn'):.0%} for "
            f"sklearn) are marked {UNEQUAL}{':' if lines else '; there are none.'}",
            *(["", *lines] if lines else []),
        ]
    )


def report(result: Row) -> str:
    """Return everything as Markdown."""
    rows = result["rows"]
    if not rows:
        return "\n\n".join(["Nothing was measured.", _remarks(result), _footer(result)])
    against = "eager PyTorch's faster form in each cell (with the default or the fused optimizer)"
    if not any(name in EAGER for name in names_in(rows)):
        against = f"that of {rows[0]['reference']}"
    parts = [
        f"Time, as a multiple of {against}: median [least, most] of the ratios round by round.",
        cells_table(rows),
    ]
    if _several(rows):
        parts += ["Geometric means of these medians over the cells of a case.", means_table(rows)]
    if result["costs"] or result["peak_mb"]:
        parts += ["Costs of each peer; the memory includes its data.", costs_table(result)]
    parts += [losses_text(rows), _remarks(result), _footer(result)]
    return "\n\n".join(part for part in parts if part)


def compact(result: Row, labels: dict[str, str] | None = None, cases: Sequence[str] = ()) -> str:
    """Return a table with a row for each peer.

    Parameters
    ----------
    result : dict
    labels : dict of str to str, optional
        The peers to show, and what to call them; by default all, by their names.
    cases : sequence of str, default ()
        The cases to show; by default all.
    """
    parts = groups(result["rows"])
    parts = {case: rows for case, rows in parts.items() if case in (cases or parts)}
    table = []
    for name, label in (labels or {name: name for name in names_in(result["rows"])}).items():
        cost = result["costs"].get(name, {})
        line = [label, *(mean_ratio(rows, name) for rows in parts.values())]
        line += [_number(cost.get("import_s"), ".2f"), _number(cost.get("installed_mb"), ".0f")]
        table.append(line)
    headers = ["", *parts, "import, s", "installed, MB"]
    text = tabulate(table, headers, tablefmt="github", disable_numparse=True)
    return f"{text}\n\n{_footer(result)}"


def _footer(result: Row) -> str:
    return "\n".join(
        [
            f"float32, {result['device']}, {result['threads']} threads. Each library runs in its "
            "own process. The processes take turns: while one computes, the others are paused. "
            f"{sentence(result['machine'])}",
            f"Repeat it with `{result['command']}`.",
        ]
    )


def _remarks(result: Row) -> str:
    """Return the peers' notes, and the reasons why peers were left out."""
    notes = [f"- {name}: {text}" for name, text in result["notes"].items()]
    left_out = [
        f"- left out: {name}: {_brief(why)}"
        for name, reasons in result["left_out"].items()
        for why in reasons
    ]
    return "\n".join(notes + left_out)


def _brief(why: str) -> str:
    """Return the first line of a reason and, for a traceback, the last line with the error."""
    first, *more = why.splitlines()
    return f"{first}: {more[-1]}" if more else first


def _number(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
