"""Plots of a classifier's scores: ROC curves, precision and recall, calibration."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backends import Array
from ..common.checks import check_count
from .classes import Scores, scores_of
from .drawing import axes_for, finish, series_style


def plot_roc(
    y_true: Array,
    y_pred: Array,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw the ROC curve of each class: true against false positive rate. Fawcett 2006.

    With two classes there is one curve, that of the second class; with more, each class is compared
    with all others. The legend shows the area under each curve (AUC).

    Parameters
    ----------
    y_true : array of shape (n,) or (n, n_classes)
        Class indices, strings, or rows of 0 and 1, of which several may be 1.
    y_pred : array of shape (n, n_outputs) or (n,)
        A network's output, what an estimator's ``predict_proba`` returns, or the scores of class 1.
        Where each sample has exactly one class, rows that are not probabilities are treated as
        logits or log-probabilities, and softmax is applied to them.
    class_names : sequence of str, optional
        The names of classes 0, 1, ...; by default their numbers, or the strings that occur.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        The arguments do not match each other, are empty or not finite, or no class has both
        positive and negative samples.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.plots import plot_roc
    >>> ax = plot_roc([0, 0, 1, 1], np.array([0.1, 0.4, 0.35, 0.8]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['AUC 0.750', 'chance']
    """
    scores = scores_of(y_true, y_pred, class_names)
    ax = axes_for(ax, figsize, 4.6, 5.0)

    def draw(hits: np.ndarray, misses: np.ndarray, style: dict[str, Any]) -> str:
        x, y = (np.append(0.0, each) / each[-1] for each in (misses, hits))
        ax.plot(x, y, markevery=max(len(x) // 10, 1), **style)
        return f"AUC {np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2):.3f}"

    _draw_classes(ax, scores, draw)
    ax.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="chance")
    return _unit_square(ax, "ROC curve", "false positive rate", "true positive rate")


def plot_precision_recall(
    y_true: Array,
    y_pred: Array,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw precision against recall for each class. Davis and Goadrich 2006.

    With two classes there is one curve, that of the second class; with more, each class is compared
    with all others. The legend shows the average precision (AP), the area under the steps.

    Parameters
    ----------
    y_true, y_pred, class_names, ax, figsize
        As for :func:`plot_roc`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        As for :func:`plot_roc`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.plots import plot_precision_recall
    >>> ax = plot_precision_recall([0, 0, 1, 1], np.array([0.1, 0.4, 0.35, 0.8]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['AP 0.833', 'chance']
    """
    scores = scores_of(y_true, y_pred, class_names)
    ax = axes_for(ax, figsize, 4.6, 5.0)

    def draw(hits: np.ndarray, misses: np.ndarray, style: dict[str, Any]) -> str:
        precision, recall = hits / (hits + misses), np.append(0.0, hits / hits[-1])
        x, y = recall, np.append(precision[:1], precision)
        ax.step(x, y, where="pre", markevery=max(len(x) // 10, 1), **style)
        return f"AP {np.sum(np.diff(recall) * precision):.3f}"

    _draw_classes(ax, scores, draw)
    if scores.is_class.shape[1] == 1:
        ax.axhline(scores.is_class.mean(), color="0.5", linestyle=":", label="chance")
    return _unit_square(ax, "Precision and recall", "recall", "precision")


def plot_calibration(
    y_true: Array,
    y_pred: Array,
    bins: int = 10,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw a reliability diagram: how often predictions come true, by their probability.

    With two classes, it shows the fraction of the second class against its predicted probability;
    with more, the accuracy against the probability of the predicted class. The legend shows the
    expected calibration error (ECE), the mean distance from the diagonal weighted by samples. Guo
    et al. 2017, "On calibration of modern neural networks".

    Parameters
    ----------
    y_true : array of shape (n,) or (n, n_classes)
        As for :func:`plot_roc`. If several classes of a sample may be 1, each output is a separate
        prediction.
    y_pred : array of shape (n, n_outputs) or (n,)
        As for :func:`plot_roc`. A single output, or the outputs of a multi-label classifier, must
        be probabilities.
    bins : int, default 10
        The number of bins of equal width. Bins without samples have no point.
    class_names, ax, figsize
        As for :func:`plot_roc`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        As for :func:`plot_roc`, or outputs are not probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.plots import plot_calibration
    >>> ax = plot_calibration([0, 1, 1, 1], np.array([0.25, 0.25, 0.75, 0.75]), bins=2)
    >>> ax.lines[0].get_ydata().tolist()
    [0.5, 1.0]
    """
    bins = check_count("bins", bins)
    scores = scores_of(y_true, y_pred, class_names)
    p, is_right = scores.scores.ravel(), scores.is_class.ravel()
    xlabel, ylabel = "predicted probability", "fraction of samples of the class"
    if p.min() < 0 or p.max() > 1:
        raise ValueError(
            f"y_pred ranges from {p.min():g} to {p.max():g}: expected probabilities. Convert "
            "logits by 1 / (1 + exp(-y_pred))"
        )
    if scores.scores.shape[1] > 1 and scores.one_class_per_sample:
        rows, best = np.arange(len(scores.scores)), scores.scores.argmax(axis=1)
        p, is_right = scores.scores[rows, best], scores.is_class[rows, best]
        xlabel, ylabel = "probability of the predicted class", "accuracy"
    places = np.minimum((p * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    has_samples = counts > 0
    counted = counts[has_samples]
    means = np.bincount(places, p, bins)[has_samples] / counted
    rates = np.bincount(places, is_right, bins)[has_samples] / counted
    error = np.sum(counted * np.abs(means - rates)) / len(p)
    ax = axes_for(ax, figsize, 4.6, 5.0)
    ax.plot(means, rates, label=f"ECE {error:.3f}", **series_style(0, marker=True))
    ax.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="perfect calibration")
    lefts = np.arange(bins) / bins
    width = 1 / bins
    ax.bar(lefts, counts / len(p), width, align="edge", color="0.85", edgecolor="w", zorder=0,
           label="fraction of all samples")  # fmt: skip
    return _unit_square(ax, "Calibration", xlabel, ylabel)


def _draw_classes(
    ax: Any, scores: Scores, draw: Callable[[np.ndarray, np.ndarray, dict[str, Any]], str]
) -> None:
    """Draw the curve of each class that has positive and negative samples, and label it.

    ``draw(hits, misses, style)`` draws one curve and returns its label. ``hits`` and ``misses`` are
    the numbers of samples of the class, and of other classes, that score at least each threshold.
    """
    n_classes = scores.is_class.shape[1]
    are_mixed = [column.any() and not column.all() for column in scores.is_class.T]
    if not any(are_mixed):
        raise ValueError("y_true has only one class: expected samples of two or more")
    for k in range(n_classes):
        style = series_style(k, marker=n_classes > 2)
        if not are_mixed[k]:
            ax.plot([], [], label=f"{scores.names[k]}: no samples to compare", **style)
            continue
        order = np.argsort(-scores.scores[:, k], kind="stable")
        values = scores.scores[order, k]
        is_class: np.ndarray = scores.is_class[order, k]
        ends = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
        found = draw(np.cumsum(is_class)[ends], np.cumsum(~is_class)[ends], style)
        ax.lines[-1].set_label(found if n_classes == 1 else f"{scores.names[k]}: {found}")
    if n_classes == 1 and scores.names[0] != "1":
        ax.lines[-1].set_label(f"{scores.names[0]}: {ax.lines[-1].get_label()}")


def _unit_square(ax: Any, title: str, xlabel: str, ylabel: str) -> Any:
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    finish(ax, title, xlabel, ylabel)
    return ax
