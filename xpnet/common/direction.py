"""Whether larger or smaller numbers are better, and the choice of the best."""

import math
from collections.abc import Iterable
from typing import Any

from ..backends._errors import shown


def check_mode(mode: str) -> str:
    """Return ``mode`` if it is "auto", "max" or "min", else raise ``ValueError``."""
    if not isinstance(mode, str) or mode not in ("auto", "max", "min"):
        raise ValueError(f"mode={shown(mode)}: expected 'auto', 'max' or 'min'")
    return mode


def direction_of(metric: Any) -> str | None:
    """Return "max" if larger values of a metric or loss are better, "min" if smaller values are.

    Returns
    -------
    str or None
        None for a metric or function without ``greater_is_better``, whose direction is unknown.
    """
    greater_is_better = getattr(metric, "greater_is_better", None)
    if not isinstance(greater_is_better, bool):
        return None
    return "max" if greater_is_better else "min"


def best_of(values: Iterable[float], mode: str) -> int | None:
    """Return the position of the largest ("max") or smallest ("min") finite value.

    Returns
    -------
    int or None
        The first position if several values are equal; None if no value is finite. NaN and the
        infinities are never the best: they mean that something went wrong.
    """
    sign = 1.0 if mode == "max" else -1.0
    finite = [(sign * v, -k) for k, v in enumerate(values) if math.isfinite(v)]
    return -max(finite)[1] if finite else None
