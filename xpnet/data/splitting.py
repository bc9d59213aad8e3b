"""The sizes of training and test parts, and stratified splitting."""

import math
from typing import Any

import numpy as np

from ..backends._errors import shown
from ..common.checks import as_float, as_integer


def count_test(name: str, test_size: Any, n: int) -> int:
    """Return how many of n samples go into the test part; ``name`` is the argument's name.

    Raises
    ------
    ValueError, TypeError
        ``test_size`` is neither a fraction between 0 and 1 nor an integer, or a part is empty.
    """
    if (whole := as_integer(test_size)) is not None:
        n_test = whole
    elif 0 < (fraction := as_float(test_size)) < 1:
        n_test = math.floor(fraction * n + 0.5)
    else:
        kind = ValueError if isinstance(test_size, (float, np.floating)) else TypeError
        raise kind(
            f"{name}={shown(test_size)}: expected a fraction between 0 and 1, or a whole number of "
            "samples"
        )
    if not 0 < n_test < n:
        raise ValueError(
            f"{name}={shown(test_size)} puts {shown(n_test)} of {n} samples in the test part: "
            "each part needs at least one"
        )
    return n_test


def stratified(labels: np.ndarray, order: np.ndarray, n_test: int) -> np.ndarray:
    """Return the indices of ``n_test`` samples with each class in proportion.

    Parameters
    ----------
    labels : array of shape (n,) or (n, k)
        In two dimensions, e.g. one-hot, each distinct row is a class.
    order : int array of shape (n,)
        A shuffled order of the samples. The first samples of each class are returned.
    n_test : int

    Returns
    -------
    int array of shape (n_test,)

    Raises
    ------
    ValueError
        A class cannot be in both parts.
    """
    _, codes, counts = _classes(labels)
    if counts.min() < 2:
        raise ValueError(
            "stratify: a class has only 1 sample, but each part needs one of each class: add "
            "samples of the class, or remove it"
        )
    k, n = len(counts), len(order)
    if not k <= n_test <= n - k:
        raise ValueError(
            f"stratify: parts of {n - n_test} and {n_test} samples cannot both hold all {k} "
            "classes: give another test_size"
        )
    return _first_of_each(codes, counts, order, _shares(counts, n_test))


def stratified_where_possible(
    labels: np.ndarray, order: np.ndarray, n_test: int
) -> tuple[np.ndarray, list[Any]]:
    """Return the indices of ``n_test`` samples, and the classes that do not occur among them.

    Like :func:`stratified`, but a class that is too rare for both parts is only in the other part.
    That part has at least one sample of each class.

    Raises
    ------
    ValueError
        The other part is too small for a sample of each class.
    """
    classes, codes, counts = _classes(labels)
    k, n = len(counts), len(order)
    if n_test > n - k:
        raise ValueError(
            f"with {n - n_test} samples to train on, some of the {k} classes would have none: give "
            "a smaller share"
        )
    shares = _shares(counts, n_test, least=0)
    return _first_of_each(codes, counts, order, shares), classes[shares == 0].tolist()


def _classes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the classes, the index of each label's class, and how often each class occurs."""
    axis = 0 if labels.ndim == 2 else None
    found = np.unique(labels, axis=axis, return_inverse=True, return_counts=True)
    return found[0], found[1].ravel(), found[2]


def _first_of_each(
    codes: np.ndarray, counts: np.ndarray, order: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Return the first samples of each class in ``order``, as many as ``shares`` says."""
    by_class = order[np.argsort(codes[order], kind="stable")]
    groups = np.split(by_class, np.cumsum(counts)[:-1])
    return np.concatenate([group[:m] for group, m in zip(groups, shares, strict=True)])


def _shares(counts: np.ndarray, total: int, least: int = 1) -> np.ndarray:
    """Split ``total`` in proportion to ``counts`` by the largest remainder method.

    Each class gets from ``least`` (0 or 1) to count - 1.

    The remainders are multiplied by ``sum(counts)``, which makes them integers, so that they are
    compared without rounding.
    """
    n = int(counts.sum())
    shares: np.ndarray = np.maximum(counts * total // n, least)
    while (short := total - int(shares.sum())) != 0:
        remainder = counts * total - shares * n
        if short > 0:
            shares[np.argmax(np.where(shares < counts - 1, remainder, -n * n))] += 1
        else:
            shares[np.argmin(np.where(shares > least, remainder, n * n))] -= 1
    return shares
