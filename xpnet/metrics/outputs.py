"""The kinds of outputs, and their conversion to probabilities."""

from ..backends import Array, array_namespace, ops
from ..backends._errors import check_name

OUTPUT_KINDS = ("probability", "log-odds", "distribution", "logits", "log-distribution")
"""The kinds of outputs; see :class:`xpnet.LossFunction`."""

OF_CLASSES = ("distribution", "logits", "log-distribution")
"""The kinds of outputs for mutually exclusive classes."""


def check_output_kind(given: str | None) -> str | None:
    """Return a kind of outputs, or None for None; raise UnknownNameError for an unknown kind."""
    return None if given is None else check_name("output_kind", given, OUTPUT_KINDS)


def are_answers(y_pred: Array, kind: str | None) -> bool:
    """Whether there are several outputs that are independent yes-or-no answers (multi-label)."""
    return bool(kind in ("probability", "log-odds") and y_pred.shape[1] > 1)


def probabilities(y_pred: Array, kind: str | None) -> Array:
    """Return a distribution over classes for each sample, with two columns for one output.

    Parameters
    ----------
    y_pred : array of shape (n, n_outputs)
    kind : str or None
        The ``output_kind`` of :class:`ProbabilityMetric`. With None, the outputs are probabilities.

    Raises
    ------
    TypeError
        ``y_pred`` is not an array.
    IndexError
        ``y_pred`` has one dimension only.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import probabilities
    >>> probabilities(np.array([[0.0]]), "log-odds").tolist()
    [[0.5, 0.5]]
    """
    xp = array_namespace(y_pred)
    if y_pred.shape[1] > 1:
        if kind == "logits":
            return ops.softmax(y_pred)
        return xp.exp(y_pred) if kind == "log-distribution" else y_pred
    if kind == "log-odds":
        return xp.concat([ops.sigmoid(-y_pred), ops.sigmoid(y_pred)], axis=1)
    return xp.concat([1.0 - y_pred, y_pred], axis=1)


def log_probabilities(y_pred: Array, kind: str | None) -> Array:
    """Return the logarithms of :func:`probabilities`, computed without loss of digits.

    Probabilities are clipped to [ε, 1 - ε] so that their logarithms are finite; ε is the spacing
    of the outputs' type at 1.
    """
    xp = array_namespace(y_pred)
    if kind == "logits" and y_pred.shape[1] > 1:
        return ops.log_softmax(y_pred)
    if kind == "log-distribution" and y_pred.shape[1] > 1:
        return y_pred
    if kind == "log-odds":
        return xp.concat([-ops.softplus(y_pred), -ops.softplus(-y_pred)], axis=1)
    epsilon = float(xp.finfo(y_pred.dtype).eps)
    return xp.log(ops.clip(probabilities(y_pred, kind), epsilon, 1.0 - epsilon))


def scores(y_pred: Array, kind: str | None) -> Array:
    """Return scores that rank the samples as their probabilities do, with a column for each class.

    The scores are not the probabilities, since many of those may round to the same number. Two
    mutually exclusive classes have one column, for class 1.
    """
    if kind in OF_CLASSES and y_pred.shape[1] == 2:
        return y_pred[:, 1:] if kind == "distribution" else y_pred[:, 1:] - y_pred[:, :1]
    return ops.log_softmax(y_pred) if kind == "logits" and y_pred.shape[1] > 1 else y_pred
