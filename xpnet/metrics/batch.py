"""Check the targets, outputs and weights of a batch, and convert them for metrics."""

from typing import Any

from ..backends import Array, array_namespace, ops, to_host
from ..common.checks import check_batch, class_indices


def check_shapes(y_true: Array, y_pred: Array, sample_weight: Array | None) -> None:
    """Refuse arguments whose shapes do not fit each other."""
    check_batch(y_true, y_pred, sample_weight)
    n = y_pred.shape[0]
    if tuple(y_true.shape) not in ((n,), (n, 1), tuple(y_pred.shape)):
        raise ValueError(
            f"y_true has shape {tuple(y_true.shape)}, but y_pred has {tuple(y_pred.shape)}: "
            f"expected ({n},), ({n}, 1) or the shape of y_pred"
        )


def check_classes(y_true: Array, y_pred: Array, sample_weight: Array | None) -> None:
    """Refuse class indices and yes-or-no labels that are out of range; waits for the device."""
    labels, n_outputs = to_host(y_true), y_pred.shape[1]
    if sample_weight is not None:
        labels = labels[to_host(sample_weight) != 0]
    several = y_true.shape[1:] not in ((), (1,))
    labels = labels.reshape(-1)
    if n_outputs > 1 and not several:
        class_indices(labels, n_outputs)
    elif not ((labels >= 0) & (labels <= 1)).all():
        raise ValueError(
            f"y_true goes from {labels.min()} to {labels.max()}: expected numbers from 0 to 1"
            + ("" if several else ", because one output has the classes 0 and 1")
        )


def weights(y_pred: Array, sample_weight: Array | None) -> Array:
    """Return a weight for each sample; 1 if none are given."""
    xp = array_namespace(y_pred)
    if sample_weight is None:
        return xp.ones_like(y_pred[:, 0])
    return xp.astype(sample_weight, y_pred.dtype, copy=False)


def values(y_true: Array, y_pred: Array) -> Array:
    """Return targets in the shape and dtype of the outputs."""
    xp = array_namespace(y_true)
    if y_true.ndim == 1 and y_pred.shape[1] == 1:
        y_true = xp.reshape(y_true, (-1, 1))
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"y_true has shape {tuple(y_true.shape)}, but y_pred has {tuple(y_pred.shape)}: "
            "expected the same shape"
        )
    return xp.astype(y_true, y_pred.dtype, copy=False)


def ratio(a: Array, b: Array) -> Array:
    """Return a / b, and 0 where b is 0."""
    xp: Any = array_namespace(a)
    return xp.where(b > 0, a / xp.where(b > 0, b, 1.0), 0.0)


def if_counted(value: Array, total: Array) -> Array:
    """Return a metric's value, and NaN if ``total``, the weight of its samples, is 0."""
    return array_namespace(value).where(total > 0, value, float("nan"))


def mean_of(summed: Array, total: Array) -> Array:
    """Return a sum divided by the total weight of its samples, NaN if that is 0."""
    return if_counted(ratio(summed, total), total)


def are_indices(y_true: Array, y_pred: Array) -> bool:
    """Whether targets are class indices, for a network with several outputs."""
    return bool(y_pred.shape[1] > 1 and (y_true.ndim == 1 or y_true.shape[1] == 1))


def predicted_classes(y_pred: Array, threshold: float | None = None) -> Array:
    """Return the class that a network predicts for each sample.

    Parameters
    ----------
    y_pred : array of shape (n, n_outputs)
        With several outputs, the class is the index of the largest output. With one output, it is 1
        above the threshold and otherwise 0.
    threshold : float, optional
        By default 0.5.

    Returns
    -------
    integer array of shape (n,)

    Raises
    ------
    TypeError
        ``y_pred`` is not an array.
    IndexError
        ``y_pred`` has one dimension only.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import predicted_classes
    >>> predicted_classes(np.array([[0.1, 0.7, 0.2], [0.6, 0.2, 0.2]])).tolist()
    [1, 0]
    >>> predicted_classes(np.array([[0.4], [-0.3]]), threshold=0.0).tolist()  # from logits
    [1, 0]
    """
    xp = array_namespace(y_pred)
    if y_pred.shape[1] > 1:
        return xp.astype(xp.argmax(y_pred, axis=1), xp.int64)
    return xp.astype(y_pred[:, 0] > (0.5 if threshold is None else threshold), xp.int64)


def true_classes(y_true: Array, y_pred: Array) -> Array:
    """Return the class of each target, as an integer array of shape (n,).

    Parameters
    ----------
    y_true : array of shape (n,), (n, 1) or (n, n_classes)
        Class indices, of any type, or one-hot rows.
    y_pred : array of shape (n, n_outputs)

    Raises
    ------
    TypeError
        ``y_true`` is not an array.
    IndexError
        ``y_pred`` has one dimension only.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.metrics import true_classes
    >>> true_classes(np.array([[0, 1], [1, 0]]), np.zeros((2, 2))).tolist()  # one-hot rows
    [1, 0]
    """
    xp = array_namespace(y_true)
    if y_true.ndim == 2 and y_true.shape[1] > 1:
        return xp.astype(xp.argmax(y_true, axis=1), xp.int64)
    y_true = xp.reshape(y_true, (-1,))
    if y_pred.shape[1] == 1 and xp.isdtype(y_true.dtype, "real floating"):
        y_true = y_true > 0.5  # a probability of class 1, usually 0 or 1
    return xp.astype(y_true, xp.int64)


def class_rows(y_true: Array, y_pred: Array) -> Array:
    """Return the targets as rows with a column for each class, in the dtype of the outputs.

    For one output, there are two columns, for the classes 0 and 1.
    """
    xp = array_namespace(y_pred)
    if are_indices(y_true, y_pred):
        return ops.one_hot(true_classes(y_true, y_pred), y_pred.shape[1], like=y_pred)
    rows = values(y_true, y_pred)
    return xp.concat([1.0 - rows, rows], axis=1) if y_pred.shape[1] == 1 else rows
