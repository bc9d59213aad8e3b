"""Labels as one-hot rows."""

from typing import Any

from ..backends import Array, array_namespace, backend_of, ops
from ..common.checks import check_count, naming_memory_errors
from . import reading


def one_hot(labels: Any, n_classes: int | None = None) -> Array:
    """Return a row for each label, with 1 in the label's column and 0 elsewhere.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Class indices 0, 1, ...: integers, or floats with whole values.
    n_classes : int, optional
        The number of columns; by default the largest label + 1.

    Returns
    -------
    array of shape (n, n_classes)
        ``float32``, in the library and on the device of ``labels``; a NumPy array for lists.

    Raises
    ------
    TypeError
        The labels are not numbers.
    ValueError
        A label is negative, not whole, or not below ``n_classes``.

    Examples
    --------
    >>> from xpnet import one_hot
    >>> one_hot([1, 0])
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    labels = reading.read_numbers("labels", labels)[0]
    if labels.ndim != 1:
        raise ValueError(f"labels have shape {tuple(labels.shape)}: expected (n,)")
    xp, backend = array_namespace(labels), backend_of(labels)
    if xp.isdtype(labels.dtype, "real floating") and not backend.scalar(
        xp.all(xp.isfinite(labels) & (xp.floor(labels) == labels))
    ):
        raise ValueError("labels has numbers that are not whole: expected 0, 1, ...")
    codes = xp.astype(labels, xp.int64)
    if codes.shape[0]:
        least, most = (int(backend.scalar(f(codes))) for f in (xp.min, xp.max))
    else:
        least, most = 0, -1
    n_classes = most + 1 if n_classes is None else check_count("n_classes", n_classes)
    if n_classes < 1 or least < 0 or most >= n_classes:
        raise ValueError(
            f"labels go from {least} to {most} for {n_classes} classes: expected 0 to n_classes - "
            "1. np.unique(labels, return_inverse=True)[1] converts other labels to class indices"
        )
    with naming_memory_errors("rows", (int(codes.shape[0]), n_classes)):
        return ops.one_hot(codes, n_classes, like=backend.zeros((1,)))
