"""Plots of images, and of weights as images."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array, is_array, to_host
from ..backends._errors import shown
from ..common.checks import check_count, check_shape, check_strings
from ..layers import DenseLayer
from ..layers.composite import all_layers
from ..metrics import predicted_classes
from .classes import as_labels, shape_of, targets_of
from .drawing import axes_for, numbers_on_host, set_title
from .models import network_of

WRONG = "#B34700"  # vermillion, dark enough for small letters on white


def plot_images(
    images: Array,
    y_true: Array | None = None,
    y_pred: Array | None = None,
    shape: tuple[int, int] | None = None,
    n: int = 24,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw grey images captioned with predicted and true classes, misclassified images first.

    Captions of misclassified images are in red italics.

    Parameters
    ----------
    images : array of shape (n, n_pixels) or (n, height, width)
        Or, with one channel, (n, 1, height, width) or (n, height, width, 1).
    y_true : array of shape (n,) or (n, n_classes), optional
        Class indices, strings, or one-hot rows.
    y_pred : array of shape (n, n_outputs) or (n,), optional
        A network's output, or predicted classes.
    shape : tuple of int, optional
        Height and width of images that are given as rows; by default they are square.
    n : int, default 24
        The maximum number of images to draw.
    class_names : sequence of str, optional
        The names of classes 0, 1, ...; by default their numbers, or the sorted strings if
        ``y_true`` has strings and ``y_pred`` has outputs.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        There are no images, the arrays differ in length, or ``shape`` does not match the number of
        pixels. Or the number of distinct strings in ``y_true`` is not the number of outputs, and
        ``class_names`` is not given.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.plots import plot_images
    >>> ax = plot_images(np.eye(4).reshape(1, 4, 4), y_true=["identity"])
    >>> ax.texts[0].get_text()
    'identity'
    """
    (rows, size), n = _rows_of(images, shape), check_count("n", n)
    if class_names is not None:
        class_names = check_strings("class_names", class_names)
    true = None if y_true is None else as_labels("y_true", y_true, len(rows))
    if true is not None and true.dtype.kind == "U" and len(shape_of(y_pred)) == 2:
        # Outputs have only class numbers, so the names must be matched to them.
        _, class_names = targets_of(true, len(rows), max(shape_of(y_pred)[1], 2), class_names)
    guesses = None if y_pred is None else _names(_guesses(y_pred, len(rows)), class_names)
    labels = None if true is None else _names(true, class_names)
    order = np.arange(len(rows))
    if guesses is not None and labels is not None:
        is_right = [guess == label for guess, label in zip(guesses, labels, strict=True)]
        order = np.argsort(is_right, kind="stable")
    captions = []
    for k in order[:n]:
        names = [each[k] for each in (guesses, labels) if each is not None]
        is_wrong = len(names) == 2 and names[0] != names[1]
        text = f"{names[0]}, is {names[1]}" if is_wrong else "".join(names[:1])
        captions.append((text, is_wrong))
    title = f"{len(captions)} of {len(rows)} images"
    if guesses is not None and labels is not None:
        wrong = len(rows) - sum(is_right)
        title += f", misclassified first ({wrong} of {len(rows)})"
    return _mosaic(rows[order[:n]], size, ax, figsize, captions, title, cmap="gray_r")


def plot_weights(
    layer: Any,
    shape: tuple[int, int] | None = None,
    n: int = 24,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw the weights of each unit of a layer as an image: the pattern to which it responds.

    Positive weights are red and negative ones blue; each image has its own scale.

    Parameters
    ----------
    layer : DenseLayer, network or estimator
        The first layer of an image network. For a network or estimator, its first DenseLayer is
        used, even if it is inside another layer.
    shape : tuple of int, optional
        Height and width of the images; by default they are square.
    n : int, default 24
        The maximum number of units to draw, those with the largest weight norms first.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    figsize : tuple of float, optional
        Width and height of a new figure in inches.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        ``layer`` neither is nor has a DenseLayer with weights.
    ValueError
        ``shape`` does not match the layer's inputs.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.plots import plot_weights
    >>> ax = plot_weights(NeuralNetwork(seed=0).add(DenseLayer(3, input_shape=(16,))))
    >>> ax.get_title()
    'Weights of 3 of 3 units'
    """
    found = layer
    if not isinstance(layer, DenseLayer):
        layers = network_of(layer, "layer").layers
        found = next((each for each in all_layers(layers) if isinstance(each, DenseLayer)), None)
    if found is None or found.weights is None:
        raise TypeError(f"layer={shown(layer)}: expected a DenseLayer with weights")
    weights, n = to_host(found.weights).T, check_count("n", n)
    order = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")[:n]
    scales = np.maximum(np.abs(weights[order]).max(axis=1, keepdims=True), 1e-30)
    rows, captions = weights[order] / scales, [(f"unit {k}", False) for k in order]
    title = f"Weights of {len(order)} of {len(weights)} units"
    size = _size_of(rows.shape[1], shape)
    return _mosaic(rows, size, ax, figsize, captions, title, cmap="RdBu_r", vmin=-1, vmax=1)


def _rows_of(images: Any, shape: Any) -> tuple[np.ndarray, tuple[int, int]]:
    """Return images as rows, and their height and width."""
    found = np.asarray(to_host(images)) if is_array(images) else images
    dimensions = getattr(found, "ndim", 2)
    if dimensions == 4 and 1 in (found.shape[1], found.shape[3]):
        found = found[:, 0] if found.shape[1] == 1 else found[..., 0]
    if dimensions in (3, 4) and found.ndim == 3:
        if shape is not None and check_shape("shape", shape) != found.shape[1:]:
            raise ValueError(f"shape={shown(shape)}: the images have shape {found.shape[1:]}")
        shape = found.shape[1:]
        if 0 in found.shape:
            raise ValueError(f"there are no images to draw: their shape is {found.shape}")
        found = found.reshape(len(found), -1)
    elif dimensions not in (0, 1, 2):
        raise ValueError(
            f"images has shape {found.shape}: expected (n, n_pixels), (n, height, width) or, with "
            "one channel, (n, 1, height, width)"
        )
    rows = numbers_on_host("images", found, 2)
    if not len(rows):
        raise ValueError("there are no images to draw")
    return rows, _size_of(rows.shape[1], shape)


def _size_of(n_pixels: int, shape: Any) -> tuple[int, int]:
    """Return the height and width of images of ``n_pixels`` pixels, square by default."""
    side = math.isqrt(n_pixels)
    size = (side, side) if shape is None else check_shape("shape", shape)
    if len(size) != 2 or math.prod(size) != n_pixels:
        raise ValueError(
            f"shape={shown(size)} does not match images of {n_pixels} pixels: expected "
            "shape=(height, width) with that product. Give a single image as image[None]"
        )
    return size


def _guesses(y_pred: Any, n: int) -> np.ndarray:
    """Return predicted classes: those of outputs, or labels unchanged."""
    if len(shape_of(y_pred)) != 2:
        return as_labels("y_pred", y_pred, n)
    outputs = numbers_on_host("y_pred", y_pred, 2, n)
    if not outputs.shape[1]:
        raise ValueError(f"y_pred has shape {outputs.shape}: expected at least one output")
    return np.asarray(predicted_classes(outputs))


def _names(labels: np.ndarray, class_names: Sequence[str] | None) -> list[str]:
    """Return the name of each label; a number without a name stays a number."""
    if labels.dtype.kind == "U" or class_names is None:
        return [str(label) for label in labels]
    known = dict(enumerate(class_names))
    return [known.get(int(label), str(label)) for label in labels]


def _mosaic(
    rows: np.ndarray,
    size: tuple[int, int],
    ax: Any,
    figsize: Any,
    captions: Sequence[tuple[str, bool]],
    title: str,
    **colors: Any,
) -> Any:
    """Draw rows as a grid of small images, with red captions for misclassified ones."""
    texts = [text.replace(", is ", ",\nis ") if len(text) > 10 else text for text, _ in captions]
    longest = max(len(line) for text in texts for line in text.split("\n"))
    height = size[0] / size[1]  # of an image, in units of its width
    # In inches: the width of an image, and the height of a caption.
    width = float(np.clip(0.068 * longest, 0.85, 1.8))
    below = 0.1 + 0.14 * max(text.count("\n") + 1 for text in texts)
    across = min(max(int(7.6 / width), 1), len(rows))
    down = -(-len(rows) // across)
    ax = axes_for(
        ax, figsize, max(width * 1.1 * across, 3.0), (width * height + below) * down + 0.4
    )
    box = ax.get_window_extent()
    inches = [0.95 * side / ax.figure.dpi for side in (box.width, box.height)]
    width, across = max(
        (min(inches[0] / 1.12 / k, (inches[1] / -(-len(rows) // k) - below) / height), -k)
        for k in range(1, len(rows) + 1)
    )
    width, across = max(width, 0.1), -across
    down, pitch = -(-len(rows) // across), height + below / width
    letters = 72 * 1.1 * width / 0.58  # the letters that fit below an image, times their size
    size_of = float(np.clip(letters / max(longest, 1), 5, 8))
    most = max(int(letters / size_of), 2)
    for k, row in enumerate(rows):
        left, top = 1.12 * (k % across), pitch * (k // across)
        extent = (left, left + 1, top + height, top)
        ax.imshow(row.reshape(size), extent=extent, **colors)
        lines = [t if len(t) <= most else f"{t[: most - 1]}…" for t in texts[k].split("\n")]
        style = {"color": WRONG, "style": "italic"} if captions[k][1] else {"color": "0.2"}
        place = (left + 0.5, top + height + 0.05)
        ax.text(*place, "\n".join(lines), ha="center", va="top", size=size_of, **style)
    ax.set(xlim=(-0.06, 1.12 * across - 0.06), ylim=(pitch * down, -0.05), aspect="equal")
    ax.axis("off")
    set_title(ax, title)
    return ax
