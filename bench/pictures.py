"""Plot results, if matplotlib is installed."""

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xpnet.plots import add_legend, new_axes, pyplot, series_style


def epoch_times(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot the time of an epoch against the batch size and the number of parameters."""
    try:
        plt = pyplot()
    except ImportError as error:
        print(error, file=sys.stderr)
        return
    from matplotlib.ticker import ScalarFormatter

    axes = new_axes(11, 5.5, columns=2, sharey=True)
    views = [("batch", "network", "batch size"), ("parameters", "batch", "number of parameters")]
    for axis, (along, of, title) in zip(axes, views, strict=True):
        for k, (name, points) in enumerate(_lines(rows, along, of)):
            style = series_style(k, marker=True)
            axis.plot(*zip(*sorted(points), strict=True), label=name, **style)
        axis.set(xscale="log", yscale="log", xlabel=title, title=f"Time of an epoch by {title}")
        axis.grid(alpha=0.3)
        places = sorted({row[along] for row in rows})
        axis.set_xticks(places, [_short(place) for place in places])
        axis.minorticks_off()
        add_legend(axis)
    axes[0].set_yticks([t for t in _TICKS if _between(t, [row["epoch_s"] for row in rows])])
    axes[0].yaxis.set_major_formatter(ScalarFormatter())
    axes[0].set_ylabel("seconds an epoch")
    axes[0].figure.savefig(path)
    plt.close(axes[0].figure)


_TICKS = [d * 10.0**e for e in range(-4, 4) for d in (1, 2, 5)]


def _short(number: int) -> str:
    return str(number) if number < 10_000 else f"{number / 1000:.0f}k"


def _between(tick: float, times: list[float]) -> bool:
    return min(times) / 1.5 <= tick <= max(times) * 1.5


def _lines(
    rows: list[dict[str, Any]], along: str, of: str
) -> Iterable[tuple[str, list[tuple[float, float]]]]:
    """Return a line for each device and value of ``of``, for the first optimizer only."""
    lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["optimizer"] == rows[0]["optimizer"]:
            of_what = row[of] if of == "network" else f"batch {row[of]}"
            where = row["device"] + (
                "" if row["kernels"] in ("-", "auto") else f" {row['kernels']}"
            )
            lines[f"{where}, {of_what}"].append((row[along], row["epoch_s"]))
    return lines.items()
