"""Plots of training, predictions, weights and activations, by matplotlib (the extra ``plot``).

Each function takes the Axes to draw into, or makes a new figure, and returns the Axes.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from .backends import Array, UnknownNameError, to_host
from .backends._errors import shown
from .common.checks import check_count, check_flag, check_shape, check_text, check_texts, find
from .common.direction import best_of, check_mode, direction_of
from .data import Dataset
from .data.reading import read_numbers
from .layers import DenseLayer
from .metrics import METRICS, Metric, confusion_matrix, predicted_classes, true_classes
from .training.feeding.placing import place
from .training.purpose import intake_of

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork
    from .training.history import History


def plot_history(history: "History", axes: Any = None) -> Any:
    """Draw a training run; see :meth:`xpnet.training.history.History.plot`."""
    if not isinstance(history, dict):
        raise TypeError(f"history={shown(history)}: expected the history of a trained network")
    quantities = [name for name in ("loss", "metric") if name in history]
    if not quantities:
        raise ValueError("the history has no epochs to draw: train the network with fit first")
    if axes is None:
        size = (4.8 * len(quantities), 3.6)
        _, axes = pyplot().subplots(
            1, len(quantities), figsize=size, squeeze=False, layout="constrained"
        )
        axes = axes[0]
    panels = _several_axes(axes, quantities)
    for ax, name in zip(panels, quantities, strict=True):
        ax.plot(history["epoch"], history[name], label="training")
        if f"val_{name}" in history:
            validated = ~np.isnan(history[f"val_{name}"])
            epochs, values = (np.array(history[key])[validated] for key in ("epoch", f"val_{name}"))
            ax.plot(epochs, values, label="validation", marker="." if len(epochs) < 12 else None)
            mode = "min" if name == "loss" else history.metric_mode
            best = None if mode is None else best_of(values, mode)
            if best is not None:
                extreme = "lowest" if mode == "min" else "highest"
                what = f"{extreme} validation {_quantity(history, name)}"
                label = f"{what}: epoch {epochs[best]:.0f}"
                ax.axvline(epochs[best], color="0.5", linestyle=":", label=label)
        ax.set_xlabel("epoch")
        ax.set_ylabel(_quantity(history, name))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend()
    return axes


def _quantity(history: "History", name: str) -> str:
    return history.metric_name if name == "metric" else name


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
    ax = _axes(ax, 1.6 + 0.42 * max(k, 5), 1.2 + 0.42 * max(k, 5))
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
    """
    rows, n = _array("images", images, 2), check_count("n", n)
    if class_names is not None:
        class_names = check_texts("class_names", class_names)
    guesses = labels = None
    if y_pred is not None:
        y_pred = _array("y_pred", y_pred, 2, len(rows))
        guesses = predicted_classes(y_pred).ravel()
    if y_true is not None:
        y_true = labels = _array("y_true", y_true, None, len(rows))
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
    ax = _mosaic(rows[order[:n]], shape, ax, captions, cmap="gray_r")
    return ax


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
    ax = _axes(ax, 0.95 * across, 1.15 * down)
    for k, row in enumerate(rows):
        left, top = 1.12 * (k % across), 1.4 * (k // across)
        ax.imshow(row.reshape(size), extent=(left, left + 1, top + 1, top), **colors)
        text, is_wrong = captions[k]
        color = "tab:red" if is_wrong else "0.2"
        ax.text(left + 0.5, top + 1.05, text, ha="center", va="top", size=8, color=color)
    ax.set(xlim=(-0.05, 1.12 * across - 0.07), ylim=(1.4 * down - 0.05, -0.05), aspect="equal")
    ax.axis("off")
    return ax


def plot_activations(network: "NeuralNetwork", X: Array, bins: int = 60, ax: Any = None) -> Any:
    """Draw a histogram of each layer's outputs, to find dead or saturated units.

    Each layer has one row, the first layer at the top. A label gives the share of outputs that are
    0, if it is above 1 %.

    Parameters
    ----------
    network : NeuralNetwork
        A network, trained or not.
    X : array of shape (n, n_features)
        The samples to pass through the network.
    bins : int, default 60
        Bins of each histogram.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        ``X`` is empty, does not have the network's features or is not finite.
    """
    _check_network(network)
    bins, X = check_count("bins", bins), Dataset(X).X
    if not X.shape[0] > 0 or X.shape[1:] != network.layers[0].input_shape():
        raise ValueError(
            f"X has shape {tuple(X.shape)}: expected (n, {network.layers[0].input_shape()[0]}), "
            "one or more samples with the network's features"
        )
    Dataset(X).check_finite()
    with network.backend.active():
        data = Dataset(X)
        data = data.rows(np.arange(len(data)))  # reads stored data into memory
        placed = place(data, intake_of(network, network.backend))
        batch = next(placed.batches(len(data))).X
        outputs = []
        for layer in network.layers:
            batch = layer.forward_propagation(batch, training=False)
            outputs.append(to_host(batch).ravel())
    limits = np.array([np.percentile(values, [0.5, 99.5]) for values in outputs])
    low, high = limits[:, 0].min(), limits[:, 1].max()
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    ax = _axes(ax, 6.0, 1.0 + 0.62 * len(outputs))
    for k, values in enumerate(outputs):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        heights = 0.85 * counts / max(counts.max(), 1)
        base = len(outputs) - 1 - k
        ax.stairs(base + heights, edges, baseline=base, fill=True, color=f"C{k % 10}", alpha=0.8)
        zeros = np.mean(values == 0)
        if zeros > 0.01:
            ax.text(edges[-1], base + 0.45, f"{zeros:.0%} are 0", ha="right", va="center", size=8)
    names = [layer.layer_name().removesuffix("Activation") for layer in network.layers]
    ax.set_yticks([len(names) - 1 - k for k in range(len(names))], names)
    ax.set(xlabel="output", ylim=(-0.1, len(names)))
    ax.grid(axis="x", alpha=0.3)
    return ax


def plot_decision_regions(
    network: "NeuralNetwork", X: Array, y: Array, resolution: int = 200, ax: Any = None
) -> Any:
    """Draw the predicted class at each point of the plane, and the samples, for two features.

    Parameters
    ----------
    network : NeuralNetwork
        A trained classifier of two features.
    X : array of shape (n, 2)
    y : array of shape (n,)
        Class indices.
    resolution : int, default 200
        Grid points along each axis.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        ``X`` is empty or does not have two features, or ``y`` has another length.
    """
    _check_network(network)
    points, resolution = _array("X", X, 2), check_count("resolution", resolution, least=2)
    labels = _array("y", y, None, len(points)).ravel()
    if points.shape[1] != 2 or len(labels) != len(points):
        raise ValueError(
            f"X has shape {points.shape} and y has {len(labels)} numbers: expected X of shape "
            "(n, 2) and one class index for each sample"
        )
    if not len(points):
        raise ValueError("X has no samples: expected at least 1")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-9)
    sides = [
        np.linspace(a - m, b + m, resolution) for a, b, m in zip(low, high, margin, strict=True)
    ]
    grid = np.stack(np.meshgrid(*sides), axis=-1)
    outputs = network.predict(grid.reshape(-1, 2).astype(points.dtype))
    classes = to_host(predicted_classes(outputs, network.loss.decision_threshold))
    ax = _axes(ax, 4.6, 4.2)
    n_classes = int(max(classes.max(), labels.max())) + 1
    colors = pyplot().get_cmap("tab10")(np.arange(n_classes) % 10)
    picture = colors[classes.reshape(resolution, resolution)]
    extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    ax.imshow(picture, extent=extent, origin="lower", alpha=0.3, aspect="auto")
    for k in range(n_classes):
        mine = points[labels == k]
        ax.scatter(*mine.T, s=14, color=colors[k], edgecolor="w", linewidth=0.4, label=f"class {k}")
    ax.set(xlabel="feature 0", ylabel="feature 1")
    ax.legend(loc="best", fontsize="small")
    return ax


def plot_sweep(
    values: Sequence[Any],
    scores: Sequence[float],
    errors: Sequence[float] | None = None,
    name: str = "value",
    score: Any = "score",
    ax: Any = None,
    mode: str = "auto",
) -> Any:
    """Draw the score for each value of a setting, and mark the best one.

    Parameters
    ----------
    values : sequence
        Numbers or names. Numbers get a logarithmic axis if the largest is 50 times the smallest.
    scores : sequence of float
        The score for each value. NaN and infinite scores are never the best.
    errors : sequence of float, optional
        The spread of each score.
    name : str, default "value"
        Label of the horizontal axis.
    score : str, Metric, LossFunction or function, default "score"
        The quantity on the vertical axis, or a label for it.
    ax : matplotlib Axes, optional
        The Axes to draw into; by default those of a new figure.
    mode : {"auto", "max", "min"}, default "auto"
        Whether the largest or the smallest score is best. "auto" takes it from ``score``, which
        must then be a metric, the name of a metric or a loss.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        There are no values, or another number of scores or errors than of values. Or ``mode`` is
        "auto", and ``score`` does not say which scores are better.

    Examples
    --------
    >>> ax = plot_sweep([1e-3, 1e-2], [0.31, 0.12], name="learning rate", score="rmse")
    >>> ax = plot_sweep(["sgd", "adam"], [0.9, 0.7], score="accuracy on test", mode="max")
    """
    if isinstance(values, (str, bytes)) or not _is_list(values):
        raise TypeError(f"values={shown(values)}: expected a list of settings")
    mode, label = _direction_and_label(score, mode)
    means = _array("scores", scores, 1, len(values)).astype(float)
    if not len(means):
        raise ValueError("values is empty: expected at least one setting")
    spread = None
    if errors is not None:
        spread = _array("errors", errors, 1, len(values)).astype(float)
    ax = _axes(ax, 5.0, 3.6)
    numbers = all(isinstance(value, (int, float)) for value in values)
    places: Any = list(values) if numbers else list(range(len(values)))
    # A line between names would suggest values in between.
    ax.plot(places, means, marker="o", linestyle="-" if numbers else "")
    if spread is not None:
        if numbers:
            ax.fill_between(places, means - spread, means + spread, alpha=0.2)
        else:
            ax.errorbar(places, means, spread, linestyle="", color="C0", capsize=3)
    if (best := best_of(means, mode)) is not None:
        marked = f"best: {_short(values[best])}, {means[best]:.4g}"
        ax.plot(places[best], means[best], "o", color="tab:red", label=marked)
        ax.legend()
    if not numbers:
        ax.set_xticks(places, [str(value) for value in values])
    elif min(values) > 0 and max(values) / min(values) >= 50:
        ax.set_xscale("log")
    ax.set(xlabel=check_text("name", name), ylabel=label)
    ax.grid(alpha=0.3)
    return ax


def _direction_and_label(score: Any, mode: str) -> tuple[str, str]:
    """Return whether the "max" or the "min" is best, and the label of the axis."""
    metric = score
    if isinstance(score, str):
        with suppress(UnknownNameError):  # the text may be a label, not the name of a metric
            metric = find("score", score, Metric, METRICS)
    own_name = getattr(score, "name", getattr(score, "__name__", type(score).__name__))
    label = score if isinstance(score, str) else own_name
    direction = direction_of(metric) if check_mode(mode) == "auto" else mode
    if direction is None:
        raise ValueError(
            f"score={shown(score)} is not the name of a metric, so whether large or small "
            "scores are better is unknown: give mode='max' or mode='min'"
        )
    return direction, label


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name(label: Any, class_names: Sequence[str] | None) -> str:
    known = class_names is not None and 0 <= int(label) < len(class_names)
    return class_names[int(label)] if known and class_names is not None else f"{label:g}"


def _array(name: str, values: Any, ndim: int | None, n: int | None = None) -> np.ndarray:
    """Return numbers on the host, refusing other numbers of dimensions or rows than expected."""
    found = to_host(read_numbers(name, values)[0])
    if found.ndim not in ((1, 2) if ndim is None else (ndim,)):
        expected = "1 or 2 dimensions" if ndim is None else f"{ndim} dimension(s)"
        raise ValueError(f"{name} has shape {found.shape}: expected {expected}")
    if n is not None and len(found) != n:
        raise ValueError(f"{name} has {len(found)} rows: expected {n}")
    return found


def _check_network(network: Any) -> None:
    """Refuse anything but a network with layers."""
    if not hasattr(network, "layers") or not hasattr(network, "predict"):
        raise TypeError(f"network={shown(network)}: expected a NeuralNetwork")
    if not network.layers:
        raise ValueError(
            "the network has no layers: add some, e.g. add(DenseLayer(10, input_shape=(784,)))"
        )


def _axes(given: Any, width: float, height: float) -> Any:
    """Return the given Axes, or those of a new figure."""
    if given is None:
        return new_axes(width, height)
    if not hasattr(given, "imshow"):
        raise TypeError(f"ax={shown(given)}: expected matplotlib Axes, e.g. from plt.subplots()")
    return given


def _is_list(given: Any) -> bool:
    return isinstance(given, Sequence) or (isinstance(given, np.ndarray) and given.ndim > 0)


def _several_axes(given: Any, quantities: list[str]) -> list[Any]:
    """Return a list with one Axes per quantity; a single Axes need not be in a list."""
    found = list(given) if _is_list(given) else [given]
    if isinstance(given, np.ndarray):
        found = given.ravel().tolist()
    if len(found) != len(quantities):
        raise ValueError(
            f"axes has {len(found)} Axes: expected {len(quantities)}, one each for "
            f"{' and '.join(quantities)}"
        )
    return [_axes(each, 0.0, 0.0) for each in found]


def new_axes(width: float, height: float) -> Any:
    """Return the Axes of a new figure."""
    return pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or raise an ImportError that names the extra to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install 'xpnet[plot]'"
        ) from error
    return plt
