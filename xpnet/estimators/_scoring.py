"""The score of an estimator on held-out samples, for early stopping."""

import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from ..backends import to_host
from ..backends._errors import shown
from ..training.prediction import outputs


def make_scorer(est: Any, X: Any, targets: np.ndarray, weight: Any) -> Callable[[], float]:
    """Return a function that scores an estimator's current weights on held-out samples."""
    if est.scoring is not None:
        scorer, y = check_scoring(est, est.scoring), est._decode(targets)
        given = {} if weight is None else {"sample_weight": weight}

        def scored() -> float:
            with warnings.catch_warnings():  # held-out rows have no feature names
                warnings.filterwarnings("ignore", "X does not have valid feature names")
                value = scorer(est, X, y, **given)
            if not isinstance(getattr(value, "item", lambda: value)(), Real):
                raise ValueError(
                    f"scoring must return a number, got {shown(value)} ({type(value).__name__})"
                )
            return float(value)

        return scored

    net = est.network_

    def score() -> float:
        z = to_host(outputs(net, X, net.backend))
        if not np.isfinite(z).all():
            return float("nan")
        return float(est._held_out_score(z, targets, weight))

    return score
