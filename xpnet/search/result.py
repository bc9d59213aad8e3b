"""What a search finds: a row for each trial, and the best of them."""

import math
import reprlib
import time
from typing import Any, NamedTuple


class Search(NamedTuple):
    """The result of a search.

    Attributes
    ----------
    rows : list of dict
        One for each trial, in order: ``trial``, the settings, ``score``, ``seconds``, and
        ``error``, which is None if the trial succeeded. ``pandas.DataFrame(rows)`` is a table.
    best : dict or None
        The settings of the best trial; None if no trial has a finite score.
    best_score : float
        NaN if no trial has a finite score.
    metric : str
        The name of the metric that scores the trials.
    mode : {"max", "min"}
        Whether the best score is the largest or the smallest.
    """

    rows: list[dict[str, Any]]
    best: dict[str, Any] | None
    best_score: float
    metric: str
    mode: str

    def __repr__(self) -> str:
        """Return the number of trials, and the best."""
        unscored = sum(not math.isfinite(row["score"]) for row in self.rows)
        failed = f", {unscored} without a finite score" if unscored else ""
        if self.best is None:
            return f"Search({len(self.rows)} trials{failed})"
        settings = ", ".join(f"{name}={reprlib.repr(v)}" for name, v in self.best.items())
        extreme = "highest" if self.mode == "max" else "lowest"
        score = f"{extreme} {self.metric} {self.best_score:.6g}"
        return f"Search({len(self.rows)} trials{failed}; {score}: {settings})"


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
