"""Convert targets, labels and outputs, as users pass them, to classes and scores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backends import is_array, to_host
from ..backends._errors import shown
from ..common.checks import check_strings, class_indices
from .drawing import finite_numbers, is_list


class Scores(NamedTuple):
    """Scores by sample and class, and which samples belong to which class.

    Attributes
    ----------
    is_class : bool array of shape (n, k)
    scores : array of shape (n, k)
    names : list of str
        The names of the k classes.
    one_class_per_sample : bool
        Whether each sample belongs to exactly one class.
    """

    is_class: np.ndarray
    scores: np.ndarray
    names: list[str]
    one_class_per_sample: bool


def shape_of(values: Any) -> tuple[int, ...]:
    """Return the shape of an array, a table or a nested list; () for anything else."""
    shape = None if isinstance(values, type) else getattr(values, "shape", None)
    if isinstance(shape, tuple):
        return shape
    try:
        return np.shape(values) if is_list(values) else ()
    except ValueError:  # rows of different lengths
        return ()


def as_labels(name: str, values: Any, n: int | None = None) -> np.ndarray:
    """Return labels as an array of shape (n,), of int64 or strings.

    One-hot rows become class indices.

    Raises
    ------
    TypeError, ValueError
        ``values`` are empty, are not labels, or do not have ``n`` rows.
    """
    found = to_host(values) if is_array(values) else values
    if not is_list(found) and not hasattr(found, "__array__"):
        raise TypeError(f"{name}={shown(values)}: expected a list or an array of classes")
    try:
        labels = np.asarray(found)
    except ValueError:
        raise ValueError(f"{name} has rows of different lengths") from None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind in "UTO" and labels.ndim == 1 and len(labels):
        if not all(isinstance(each, (str, np.str_)) for each in labels):
            raise TypeError(f"{name} has the dtype {labels.dtype}: expected integers or strings")
        labels = labels.astype(str)
    else:
        numbers = finite_numbers(name, labels, None)
        if numbers.ndim == 2:
            numbers = numbers.argmax(axis=1)
        labels = numbers.astype(np.int64)
        if not np.array_equal(labels, numbers):
            wrong = numbers[labels != numbers][0]
            raise ValueError(
                f"{name} has {wrong:g}: expected classes, i.e. integers or strings. A network's "
                "outputs have the shape (n, n_outputs)"
            )
    if n is not None and len(labels) != n:
        raise ValueError(f"{name} has {len(labels)} rows: expected {n}")
    return labels


def index_labels(
    given: dict[str, np.ndarray], class_names: Sequence[str] | None
) -> tuple[list[np.ndarray], list[str]]:
    """Return labels as class indices, and the names of all classes.

    Parameters
    ----------
    given : dict of str to array of shape (n,)
        Labels by the name of the argument, all integers or all strings.
    class_names : sequence of str, optional
        The names of classes 0, 1, ...; by default, the classes are the labels that occur.

    Raises
    ------
    TypeError, ValueError
        Integers and strings are mixed, or a label is not among the class names.
    """
    if len({each.dtype.kind == "U" for each in given.values()}) > 1:
        raise TypeError(
            f"{' and '.join(given)} have labels of different types: expected only integers or "
            "only strings"
        )
    if class_names is None:
        values = np.unique(np.concatenate(list(given.values())))
        names = [str(value) for value in values]
        return [np.searchsorted(values, each) for each in given.values()], names
    names = check_strings("class_names", class_names)
    indices = []
    for what, labels in given.items():
        if labels.dtype.kind == "U":
            places = {name: k for k, name in enumerate(names)}
            if unknown := set(labels.tolist()) - set(places):
                raise ValueError(
                    f"{what} has the class {min(unknown)!r}: expected one of class_names, "
                    f"{', '.join(names)}"
                )
            labels = np.array([places[label] for label in labels.tolist()])
        elif labels.min() < 0 or labels.max() >= len(names):
            raise ValueError(
                f"{what} has the classes {labels.min()} to {labels.max()}, but class_names has "
                f"{len(names)} names: expected one name per class, from class 0"
            )
        indices.append(labels)
    return indices, names


def targets_of(y_true: Any, n: int, k: int, class_names: Any) -> tuple[np.ndarray, list[str]]:
    """Return the class index of each target, and the names of the k classes."""
    names = None if class_names is None else check_strings("class_names", class_names)
    if names is not None and len(names) != k:
        raise ValueError(f"class_names has {len(names)} names: expected {k}, one per class")
    labels = as_labels("y_true", y_true, n)
    if labels.dtype.kind == "U":
        (indices,), known = index_labels({"y_true": labels}, names)
        if len(known) != k:
            raise ValueError(
                f"y_true has the {len(known)} classes {', '.join(known)}, but there are {k} "
                "outputs: give class_names, one name per class in the order of the outputs"
            )
        return indices, known
    values = np.unique(labels)
    if len(values) == k and (values[0] < 0 or values[-1] >= k):  # as in an estimator's classes_
        return np.searchsorted(values, labels), names or [str(label) for label in values]
    return class_indices(labels, k), names or [str(label) for label in range(k)]


def scores_of(y_true: Any, y_pred: Any, class_names: Any) -> Scores:
    """Return a score for each sample and class.

    With two classes, only the scores of the second are returned. Where each sample has exactly one
    class, rows that are not probabilities are treated as logits, and softmax is applied to them.
    """
    if is_list(y_pred) and len(y_pred) and isinstance(y_pred[0], str):
        raise TypeError(
            f"y_pred has classes, e.g. {str(y_pred[0])!r}: expected scores. Give what a network's "
            "predict or an estimator's predict_proba returns"
        )
    outputs = finite_numbers("y_pred", y_pred, None)
    outputs = outputs.reshape(len(outputs), -1)
    n, k = outputs.shape
    shape = shape_of(y_true)
    if len(shape) == 2 and shape[1] > 1 and k > 1:
        hot = finite_numbers("y_true", y_true, 2, n)
        if hot.shape[1] != k or not np.isin(hot, (0, 1)).all():
            raise ValueError(
                f"y_true has shape {hot.shape}: expected {(n, k)}, with 0 and 1, or (n,)"
            )
        if not (hot.sum(axis=1) == 1).all():
            _, names = targets_of(np.zeros(n, int), n, k, class_names)
            return Scores(hot == 1, outputs, names, False)
    true, names = targets_of(y_true, n, max(k, 2), class_names)
    if k > 1 and not ((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)):
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    if len(names) == 2:
        return Scores(true[:, None] == 1, outputs[:, -1:], names[1:], True)
    return Scores(true[:, None] == np.arange(k), outputs, names, True)
