"""Plots of results, if matplotlib is installed."""

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def epoch_times(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot the time of an epoch against the batch size and the number of parameters."""
    try:
        import matplotlib
    except ImportError:
        print("no plot without matplotlib: pip install 'xpnet[plot]'", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    figure, axes = plt.subplots(1, 2, figsize=(11, 5.5), sharey=True, layout="constrained")
    views = [("batch", "network", "batch size"), ("parameters", "batch", "parameters")]
    for axis, (along, of, title) in zip(axes, views, strict=True):
        for name, points in _lines(rows, along, of):
            axis.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
        axis.set(xscale="log", yscale="log", xlabel=title)
        axis.grid(alpha=0.3)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize="small")
        places = sorted({row[along] for row in rows})
        axis.set_xticks(places, [_short(place) for place in places])
        axis.minorticks_off()
    axes[0].set_yticks([t for t in _TICKS if _between(t, [row["epoch_s"] for row in rows])])
    axes[0].yaxis.set_major_formatter(ScalarFormatter())
    axes[0].set_ylabel("seconds an epoch")
    figure.savefig(path, dpi=120)
    plt.close(figure)


_TICKS = [d * 10.0**e for e in range(-4, 4) for d in (1, 2, 5)]


def _short(number: int) -> str:
    return str(number) if number < 10_000 else f"{number / 1000:.0f}k"


def _between(tick: float, times: list[float]) -> bool:
    return min(times) / 1.5 <= tick <= max(times) * 1.5


def _lines(
    rows: list[dict[str, Any]], along: str, of: str
) -> Iterable[tuple[str, list[tuple[float, float]]]]:
    """Return a line for each device and value of ``of``; only for the first optimizer."""
    lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["optimizer"] == rows[0]["optimizer"]:
            of_what = row[of] if of == "network" else f"batch {row[of]}"
            where = row["device"] + (
                "" if row["kernels"] in ("-", "auto") else f" {row['kernels']}"
            )
            lines[f"{where}, {of_what}"].append((row[along], row["epoch_s"]))
    return lines.items()
