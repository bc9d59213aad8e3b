"""Build the networks of a search once before any training, to compare their metrics."""

import re
import reprlib
import time
from functools import partial
from typing import Any, NamedTuple

from ..backends import Backend
from ..common.direction import direction_of
from ..losses import Heads
from ..neuralnet import NeuralNetwork
from ..training.lookups import takes_codes
from ..training.metric_settings import alone, scoring_metric
from .result import row_of


class Plan(NamedTuple):
    """What a search knows about its networks before it trains them.

    Attributes
    ----------
    metric : str
        The first metric, which all networks have; "" if none could be built.
    mode : str
        Whether the best score is the largest, "max", or the smallest, "min".
    backend : Backend or None
        The backend of the first network.
    failed : dict of int to dict
        The rows of the trials whose network could not be built.
    errors : dict of int to Exception
        The exceptions that ``build`` raised in these trials.
    takes_categories : bool
        Whether a network has a layer for codes of categories.
    has_heads : bool
        Whether a network has several heads.
    """

    metric: str
    mode: str
    backend: Backend | None
    failed: dict[int, dict[str, Any]]
    errors: dict[int, Exception]
    takes_categories: bool = False
    has_heads: bool = False


def build_all(build: Any, drawn: list[dict[str, Any]], mode: str) -> Plan:
    """Build each network once, and check that all have the same first metric."""
    failed: dict[int, dict[str, Any]] = {}
    errors: dict[int, Exception] = {}
    metrics: dict[str, int] = {}
    previous: NeuralNetwork | None = None
    plan = Plan("", "max" if mode == "auto" else mode, None, failed, errors)
    for number, settings in enumerate(drawn):
        start = time.perf_counter()
        try:
            net = build(**settings)
        except Exception as error:
            failed[number] = row_of(number, settings, start, error=error)
            errors[number] = error
            continue
        if not isinstance(net, NeuralNetwork):
            raise TypeError(
                f"build returned {reprlib.repr(net)} for trial {number}: expected a NeuralNetwork"
            )
        if net is previous:
            raise ValueError(
                f"build returned the same network for the trials {number - 1} and {number}, so the "
                "second trial would continue the training of the first: make a new NeuralNetwork "
                "in build"
            )
        previous = net
        metric = scoring_metric(net.metric)  # the one that score computes
        if metric is None:
            raise ValueError(
                f"the network of trial {number} has no metric to score it by: build it with "
                "NeuralNetwork(metric=...)"
                + (
                    f", e.g. metric={{{next(iter(net.loss.heads))!r}: ...}}, since the loss of one "
                    "head says nothing about the others"
                    if isinstance(net.loss, Heads)
                    else ""
                )
            )
        name, direction = name_of(metric), direction_of(metric) if mode == "auto" else mode
        if direction is None:
            raise ValueError(
                f"the metric is the function {name!r}, so whether large or small scores are better "
                "is unknown: pass mode='max' or mode='min' to random_search"
            )
        metrics.setdefault(name, number)
        if len(metrics) > 1:
            raise ValueError(
                "scores of different metrics cannot be compared: "
                + " and ".join(f"{each} in trial {k}" for each, k in metrics.items())
                + ". Let build give all networks the same metric"
            )
        takes = plan.takes_categories or takes_codes(net.layers)
        has_heads = plan.has_heads or isinstance(net.loss, Heads)
        plan = Plan(name, direction, plan.backend or net.backend, failed, errors, takes, has_heads)
    return plan


_LEFT_OUT = ("name", "output_kind", "targets", "threshold")


def name_of(metric: Any) -> str:
    """Return a metric's name with its settings, which is the same for equal metrics.

    Settings from the loss are left out: for example, scores at different thresholds can be
    compared.
    """
    if hasattr(metric, "__qualname__"):  # a function
        return str(metric.__qualname__)
    if isinstance(metric, partial):
        given = [*map(repr, metric.args), *(f"{k}={v!r}" for k, v in metric.keywords.items())]
        return f"{name_of(metric.func)}({', '.join(given)})"
    name = getattr(metric, "name", type(metric).__qualname__)
    own = getattr(alone(metric), "__dict__", {})
    settings = ", ".join(f"{k}={v!r}" for k, v in sorted(own.items()) if k not in _LEFT_OUT)
    # Without addresses, which differ between networks and between processes.
    return re.sub(" at 0x[0-9a-f]+", "", f"{name}({settings})" if settings else str(name))
