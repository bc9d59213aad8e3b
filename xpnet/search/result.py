"""The result of a search: a row for each trial, and the best trial."""

import math
import re
import reprlib
import time
from typing import Any, NamedTuple

from ..common.readable import text_of


class Search(NamedTuple):
    """The result of a search; ``print`` shows the best 20 trials as a table, the best first.

    Attributes
    ----------
    rows : list of dict
        One dict for each trial, in order: ``trial``, the settings, ``score``, ``seconds``, and
        ``error``, which is None if the trial succeeded. ``pandas.DataFrame(rows)`` makes a table of
        them.
    best : dict or None
        The settings of the best trial; None if no trial has a finite score.
    best_score : float
        NaN if no trial has a finite score.
    metric : str
        The name of the metric that scores the trials.
    mode : {"max", "min"}
        Whether the best score is the largest or the smallest.

    Examples
    --------
    >>> from xpnet.search import Search
    >>> rows = [
    ...     {"trial": 0, "rate": 0.1, "score": 0.9, "seconds": 1.0, "error": None},
    ...     {"trial": 1, "rate": 0.01, "score": 0.95, "seconds": 2.0, "error": None},
    ... ]
    >>> print(Search(rows, {"rate": 0.01}, 0.95, "accuracy", "max"))
    trial  rate  accuracy  seconds
    -----  ----  --------  -------
    1      0.01  0.95      2.00
    0      0.1   0.9       1.00
    """

    rows: list[dict[str, Any]]
    best: dict[str, Any] | None
    best_score: float
    metric: str
    mode: str

    def __repr__(self) -> str:
        unscored = sum(not math.isfinite(row["score"]) for row in self.rows)
        failed = f", {unscored} without a finite score" if unscored else ""
        if self.best is None:
            return f"Search({len(self.rows)} trials{failed})"
        settings = ", ".join(f"{name}={reprlib.repr(v)}" for name, v in self.best.items())
        extreme = "highest" if self.mode == "max" else "lowest"
        score = f"{extreme} {self.metric} {self.best_score:.6g}"
        return f"Search({len(self.rows)} trials{failed}; {score}: {settings})"

    def __str__(self) -> str:
        sign = -1.0 if self.mode == "max" else 1.0
        ranked = sorted(
            self.rows,
            key=lambda row: (0, sign * row["score"]) if math.isfinite(row["score"]) else (1, 0.0),
        )
        table = _table(ranked[:_MOST_ROWS], self.metric)
        more = len(ranked) - _MOST_ROWS
        return f"{table}\n... and {more} more trials, in rows" if more > 0 else table


_MOST_ROWS = 20
_WIDTH = 100
"""The maximum number of characters in a line of the table, unless it has very many columns."""


def _table(rows: list[dict[str, Any]], metric: str) -> str:
    """Return trials as a table; cells are cut, to 6 or more characters, to fit in ``_WIDTH``."""
    results = ["score", "seconds", *(["error"] if any(row["error"] for row in rows) else [])]
    settings = dict.fromkeys(
        name for row in rows for name in row if name not in ("trial", "score", "seconds", "error")
    )
    names = ["trial", *settings, *results]
    headers = [_line_of(metric if name == "score" else name) for name in names]
    cells = [[_cell(name, row.get(name, "")) for name in names] for row in rows]
    lines, limit = [headers, *cells], 40
    while True:
        widths = [min(max(map(len, column)), limit) for column in zip(*lines, strict=True)]
        if sum(widths) + 2 * len(widths) - 2 <= _WIDTH or limit == 6:
            break
        limit -= 1
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(_cut, line, widths)).rstrip() for line in lines)


def _cell(name: str, value: Any) -> str:
    if name == "error":
        return " ".join(value.split()) if value else ""
    if isinstance(value, float):
        return f"{value:.2f}" if name == "seconds" else f"{value:.6g}"
    return _line_of(value if isinstance(value, str) else text_of(value))


def _line_of(text: str) -> str:
    r"""Return a string as one line, with escapes such as \n for characters that would break it."""
    return _BREAKS.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def row_of(
    number: int,
    settings: dict[str, Any],
    start: float,
    score: float = math.nan,
    error: Exception | None = None,
) -> dict[str, Any]:
    """Return the row of a trial that has just ended; ``start`` is when it began."""
    return {
        "trial": number,
        **settings,
        "score": float(score),
        "seconds": time.perf_counter() - start,
        "error": None if error is None else f"{type(error).__name__}: {error}",
    }
