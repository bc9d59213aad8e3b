"""Plots of confusion matrices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array, to_host
from ..common.checks import check_flag, check_texts
from ..metrics import confusion_matrix
from .drawing import axes_for


def plot_confusion(
    y_true: Array,
    y_pred: Array,
    class_names: Sequence[str] | None = None,
    normalize: bool = False,
    ax: Any = None,
) -> Any:
    """Draw a confusion matrix: how often each true class was predicted as each class.

    Parameters
    ----------
    y_true : array of shape (n,) or (n, n_classes)
        Class indices, or one-hot rows.
    y_pred : array of shape (n, n_outputs)
        A network's output.
    class_names : sequence of str, optional
        By default the classes' numbers.
    normalize : bool, default False
        Whether to show shares of each row, which sum to 1, instead of counts.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.plots import plot_confusion
    >>> y_true, outputs = np.array([0, 0, 1, 2]), np.eye(3)[[0, 1, 1, 2]]
    >>> ax = plot_confusion(y_true, outputs, class_names=["cat", "dog", "fox"])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('predicted', 'true')
    """
    counts = to_host(confusion_matrix(y_true, y_pred)).astype(float)
    if check_flag("normalize", normalize):
        numbers = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    else:
        numbers = counts
    k = len(numbers)
    names = [str(number) for number in range(k)]
    if class_names is not None:
        names = check_texts("class_names", class_names)
        if len(names) != k:
            raise ValueError(
                f"class_names has {len(names)} names: expected {k}, one for each class"
            )
    ax = axes_for(ax, 1.6 + 0.42 * max(k, 5), 1.2 + 0.42 * max(k, 5))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(k, k):
        if numbers[row, column]:
            text = f"{numbers[row, column]:.2f}" if normalize else f"{numbers[row, column]:.0f}"
            dark = shares[row, column] > 0.5
            ax.text(column, row, text, ha="center", va="center", color="w" if dark else "k", size=8)
    long = max(map(len, names)) > 3
    ax.set_xticks(range(k), names, rotation=45 if long else 0, ha="right" if long else "center")
    ax.set_yticks(range(k), names)
    ax.set(xlabel="predicted", ylabel="true")
    return ax
