"""Plots of images, and of weights as images."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array, to_host
from ..backends._errors import shown
from ..common.checks import check_count, check_shape, check_texts
from ..layers import DenseLayer
from ..metrics import predicted_classes, true_classes
from .drawing import axes_for, numbers_on_host


def plot_images(
    images: Array,
    y_true: Array | None = None,
    y_pred: Array | None = None,
    shape: tuple[int, int] | None = None,
    n: int = 24,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw images captioned with their predicted and true classes, misclassified images first.

    Parameters
    ----------
    images : array of shape (n_samples, n_pixels)
    y_true : array of shape (n_samples,) or (n_samples, n_classes), optional
    y_pred : array of shape (n_samples, n_outputs), optional
        The network's output.
    shape : tuple of int, optional
        Height and width of the images; by default they are square.
    n : int, default 24
        The most images to draw.
    class_names : sequence of str, optional
        By default the classes' numbers.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        There are no images, the arrays differ in length, or ``shape`` does not fit the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.plots import plot_images
    >>> images = np.random.default_rng(0).random((6, 64))
    >>> ax = plot_images(images, np.array([0, 1, 0, 1, 0, 1]), n=4)
    """
    rows, n = numbers_on_host("images", images, 2), check_count("n", n)
    if class_names is not None:
        class_names = check_texts("class_names", class_names)
    guesses = labels = None
    if y_pred is not None:
        y_pred = numbers_on_host("y_pred", y_pred, 2, len(rows))
        guesses = predicted_classes(y_pred).ravel()
    if y_true is not None:
        y_true = labels = numbers_on_host("y_true", y_true, None, len(rows))
        if y_pred is not None:
            labels = true_classes(y_true, y_pred)
        elif y_true.ndim == 2 and y_true.shape[1] > 1:
            labels = y_true.argmax(axis=1)
        labels = labels.ravel()
    order = np.arange(len(rows))
    if guesses is not None and labels is not None:
        order = np.argsort(guesses == labels, kind="stable")
    captions = []
    for k in order[:n]:
        names = [_name(each[k], class_names) for each in (guesses, labels) if each is not None]
        is_wrong = len(names) == 2 and names[0] != names[1]
        text = f"{names[0]}, is {names[1]}" if is_wrong else "".join(names[:1])
        captions.append((text, is_wrong))
    return _mosaic(rows[order[:n]], shape, ax, captions, cmap="gray_r")


def plot_weights(
    layer: DenseLayer, shape: tuple[int, int] | None = None, n: int = 24, ax: Any = None
) -> Any:
    """Draw the weights of each unit of a layer as an image: the pattern to which it responds.

    Positive weights are red and negative ones blue; each image has its own scale.

    Parameters
    ----------
    layer : DenseLayer
        The first layer of a network for images.
    shape : tuple of int, optional
        Height and width of the images; by default they are square.
    n : int, default 24
        The most units to draw, those with the largest weight norms first.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        ``layer`` is not a DenseLayer with weights.
    ValueError
        ``shape`` does not fit the layer's inputs.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.plots import plot_weights
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(8, input_shape=(64,)))
    >>> ax = plot_weights(net.layers[0], shape=(8, 8))
    """
    if not isinstance(layer, DenseLayer) or layer.weights is None:
        raise TypeError(f"layer={shown(layer)}: expected a DenseLayer with weights")
    weights, n = to_host(layer.weights).T, check_count("n", n)
    order = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")[:n]
    scales = np.maximum(np.abs(weights[order]).max(axis=1, keepdims=True), 1e-30)
    captions = [(f"unit {k}", False) for k in order]
    return _mosaic(weights[order] / scales, shape, ax, captions, cmap="RdBu_r", vmin=-1, vmax=1)


def _mosaic(
    rows: np.ndarray,
    shape: tuple[int, int] | None,
    ax: Any,
    captions: Sequence[tuple[str, bool]],
    **colors: Any,
) -> Any:
    """Draw rows as small images side by side, with a red caption for wrong ones."""
    if not len(rows):
        raise ValueError("there are no images to draw")
    side = math.isqrt(rows.shape[1])
    size = (side, side) if shape is None else check_shape("shape", shape)
    if len(size) != 2 or math.prod(size) != rows.shape[1]:
        raise ValueError(
            f"shape={shown(size)} does not fit images of {rows.shape[1]} pixels: expected "
            "shape=(height, width) with that product"
        )
    across = min(8, len(rows))
    down = -(-len(rows) // across)
    ax = axes_for(ax, 0.95 * across, 1.15 * down)
    for k, row in enumerate(rows):
        left, top = 1.12 * (k % across), 1.4 * (k // across)
        ax.imshow(row.reshape(size), extent=(left, left + 1, top + 1, top), **colors)
        text, is_wrong = captions[k]
        color = "tab:red" if is_wrong else "0.2"
        ax.text(left + 0.5, top + 1.05, text, ha="center", va="top", size=8, color=color)
    ax.set(xlim=(-0.05, 1.12 * across - 0.07), ylim=(1.4 * down - 0.05, -0.05), aspect="equal")
    ax.axis("off")
    return ax


def _name(label: Any, class_names: Sequence[str] | None) -> str:
    known = class_names is not None and 0 <= int(label) < len(class_names)
    return class_names[int(label)] if known and class_names is not None else f"{label:g}"
