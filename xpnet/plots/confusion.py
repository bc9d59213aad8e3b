"""Plots of confusion matrices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array, to_host
from ..common.checks import check_flag
from ..metrics import confusion_matrix
from .classes import as_labels, index_labels, shape_of, targets_of
from .drawing import axes_for, finish, letters_in, numbers_on_host, room_of, shortened


def plot_confusion(
    y_true: Array,
    y_pred: Array,
    class_names: Sequence[str] | None = None,
    normalize: bool = False,
    threshold: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw a confusion matrix: how often each true class was predicted as each class.

    A cell's colour shows its fraction of the samples of the true class. Empty cells have no
    number. If the cells are too small for readable numbers, a colour bar is drawn instead.

    Parameters
    ----------
    y_true : array of shape (n,) or (n, n_classes)
        Class indices, strings, or one-hot rows.
    y_pred : array of shape (n, n_outputs) or (n,)
        A network's output, or predicted classes, as an estimator's ``predict`` returns them.
    class_names : sequence of str, optional
        The names of classes 0, 1, ...; by default their numbers, or the strings that occur.
    normalize : bool, default False
        Whether to show percentages of each true class instead of sample counts.
    threshold : float, optional
        With one output, the value above which class 1 is predicted; by default 0.5. Use 0 for
        logits.
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
        The arguments do not match each other, are empty, or are not classes and outputs.

    Examples
    --------
    >>> from xpnet.plots import plot_confusion
    >>> ax = plot_confusion(["cat", "dog", "dog"], ["cat", "dog", "cat"])
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '1']
    """
    is_share = check_flag("normalize", normalize)
    counts, names = _counts(y_true, y_pred, class_names, threshold)
    k = len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    longest = min(max(map(len, names)), 30)
    side = min(1.6 + 0.42 * max(k, 5) + 0.08 * max(longest - 10, 0), 9.0)
    ax = axes_for(ax, figsize, side + 0.8 * is_share, side)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for _ in range(2):  # twice, because the tick labels reduce the space for the cells
        _label_classes(ax, names, _cell_size(ax, k, is_share))
    cell = _cell_size(ax, k, is_share)
    texts = [[_cell_text(*each, is_share) for each in zip(*rows, strict=True)]
             for rows in zip(counts, shares, strict=True)]  # fmt: skip
    size = min(9.0, cell / (0.72 * max(len(text) for row in texts for text in row)))
    has_numbers = size >= 4.5
    for row, column in np.ndindex(k, k):
        if has_numbers and texts[row][column]:
            red, green, blue, _ = image.cmap(shares[row, column])
            is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            ax.text(column, row, texts[row][column], ha="center", va="center", size=size,
                    color="w" if is_dark else "k")  # fmt: skip
    if is_share or not has_numbers:
        bar = ax.figure.colorbar(image, ax=ax, label="% of the true class", fraction=0.046)
        bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25", "50", "75", "100"])
    title = "Confusion matrix, % of each true class" if is_share else "Confusion matrix, samples"
    finish(ax, title, "predicted", "true", legend=False, grid="")
    return ax


def _counts(
    y_true: Any, y_pred: Any, class_names: Any, threshold: float | None
) -> tuple[np.ndarray, list[str]]:
    """Return the confusion matrix and the names of the classes."""
    if len(shape_of(y_pred)) == 2:
        outputs = numbers_on_host("y_pred", y_pred, 2)
        if not outputs.size:
            raise ValueError(f"y_pred has shape {outputs.shape}: expected at least one sample")
        if outputs.dtype.kind != "f":
            outputs = outputs.astype(float)
        true, names = targets_of(y_true, len(outputs), max(outputs.shape[1], 2), class_names)
        found = confusion_matrix(true, outputs, threshold=threshold)
        return to_host(found).astype(float), names
    predicted = as_labels("y_pred", y_pred)
    given = {"y_true": as_labels("y_true", y_true, len(predicted)), "y_pred": predicted}
    (true, predicted), names = index_labels(given, class_names)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (true, predicted), 1.0)
    return counts, names


def _cell_text(count: float, share: float, is_share: bool) -> str:
    """Return the short text of a cell."""
    if not count:
        return ""
    if not is_share:
        return f"{count:.0f}"
    percent = f"{100 * share:.0f}"
    return "<1" if percent == "0" else percent


def _cell_size(ax: Any, k: int, has_bar: bool) -> float:
    """Return the approximate side of a cell, in points, if k × k cells share the Axes."""
    box, (width, height) = ax.get_window_extent(), room_of(ax)
    width *= 0.8 if has_bar else 1
    width -= box.x0 - ax.yaxis.get_tightbbox().x0
    height -= box.y0 - ax.xaxis.get_tightbbox().y0
    # 12 % is left for the axis labels and the title.
    return float(max(0.88 * 72 / ax.figure.dpi * min(width, height) / k, 0.1))


def _label_classes(ax: Any, names: list[str], cell: float) -> None:
    """Label the ticks with class names: rotated if they are long, and not all if there are many."""
    step = int(np.ceil(9 / cell))
    places = list(range(0, len(names), step))
    shown_names = [names[place] for place in places]
    size = float(np.clip(0.8 * cell * step, 5.5, 10))
    most = letters_in(0.3 * min(room_of(ax)), size, ax.figure.dpi)
    shown_names = shortened(shown_names, most)
    is_long = max(map(len, shown_names)) * 0.65 * size > cell * step
    rotation = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
    ax.set_xticks(places, shown_names, size=size, **rotation)
    ax.set_yticks(places, shown_names, size=size)
