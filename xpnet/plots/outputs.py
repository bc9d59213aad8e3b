"""Plots of a network's behaviour on samples: layer outputs and decision regions."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Array, to_host
from ..common.checks import check_count, check_strings
from ..data import Dataset
from ..training.feeding.placing import place
from ..training.known import Known
from ..training.lookups import check_categories
from ..training.purpose import intake_of
from .classes import as_labels, index_labels
from .drawing import (
    AREAS,
    COLORS,
    MARKERS,
    axes_for,
    finish,
    letters_in,
    numbers_on_host,
    room_of,
    shortened,
)
from .models import network_of, predicted_by


def plot_layer_outputs(
    network: Any,
    X: Dataset | Array,
    bins: int = 60,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw a histogram of each layer's outputs, to find dead or saturated units.

    Each layer has one row, the first layer at the top. A label shows the fraction of outputs that
    are 0, if it is above 1 %.

    Parameters
    ----------
    network : NeuralNetwork or estimator
        A network, trained or not, or a fitted estimator.
    X : Dataset or array of shape (n, n_features)
        The samples to pass through the network.
    bins : int, default 60
        The number of bins per histogram.
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
        ``X`` is empty or not finite, or does not match the network's features.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
    >>> from xpnet.plots import plot_layer_outputs
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(8, input_shape=(2,))).add(ReLUActivation())
    >>> ax = plot_layer_outputs(net, np.eye(2))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['DenseLayer', 'ReLU']
    """
    network, bins = network_of(network), check_count("bins", bins)
    known = Known.before(network)
    if known is None:
        data = X if isinstance(X, Dataset) else Dataset(X)
    else:
        data = known.encoded(known.read(X))
    check_categories(data, network.layers, None if known is None else known.categories)
    X = data.X
    n_features = math.prod(network.layers[0].input_shape())
    if not X.shape[0] > 0 or X.shape[1:] != (n_features,):
        raise ValueError(
            f"X has shape {tuple(X.shape)}: expected (n, {n_features}), at least one sample with "
            "the network's features"
        )
    data.check_finite()
    with network.backend.active():
        placed = place(Dataset(X), intake_of(network, network.backend), read=True)
        batch = next(placed.batches(len(data))).X
        outputs = []
        for layer in network.layers:
            batch = layer.forward_propagation(batch, training=False)
            outputs.append(to_host(batch).ravel())
    limits = np.array([np.percentile(values, [0.5, 99.5]) for values in outputs])
    low, high = limits[:, 0].min(), limits[:, 1].max()
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    ax = axes_for(ax, figsize, 6.0, 1.4 + 0.62 * len(outputs))
    for k, values in enumerate(outputs):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        heights = 0.85 * counts / max(counts.max(), 1)
        base = len(outputs) - 1 - k
        color = COLORS[k % len(COLORS)]
        ax.stairs(base + heights, edges, baseline=base, fill=True, color=color, alpha=0.8)
        zeros = np.mean(values == 0)
        if zeros > 0.01:
            box = {"facecolor": "w", "edgecolor": "none", "alpha": 0.7, "pad": 1}
            text = f"{zeros:.0%} are 0"
            ax.text(edges[-1], base + 0.45, text, ha="right", va="center", size=8, bbox=box)
    names = [layer.layer_name().removesuffix("Activation") for layer in network.layers]
    most = letters_in(0.4 * room_of(ax)[0], 10, ax.figure.dpi)
    ax.set_yticks([len(names) - 1 - k for k in range(len(names))], shortened(names, most))
    ax.set_ylim(-0.1, len(names))
    rows = "1 sample" if len(data) == 1 else f"{len(data):,} samples"
    finish(ax, f"Outputs of each layer for {rows}", "output", legend=False, grid="x")
    return ax


def plot_decision_regions(
    network: Any,
    X: Array,
    y: Array,
    resolution: int = 200,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw the predicted class at each point of a plane of two features, and the samples.

    Parameters
    ----------
    network : NeuralNetwork or classifier
        A trained network with two features, or a fitted classifier such as
        :class:`~xpnet.estimators.MLPClassifier` or a pipeline that ends with one.
    X : array of shape (n, 2)
        Or a data frame, whose columns are matched by name.
    y : array of shape (n,) or (n, n_classes)
        The classes of the samples: class indices or one-hot rows for a network, or the labels of a
        classifier.
    resolution : int, default 200
        Grid points along each axis.
    class_names : sequence of str, optional
        The names of all classes, in order; by default the network's or classifier's names.
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
        ``network`` is not a classifier.
    ValueError
        ``X`` is empty or does not have two features, or ``y`` differs in length. Or the network
        does not predict one class per sample.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.plots import plot_decision_regions
    >>> X, y = np.eye(2), np.array([0, 1])
    >>> net = NeuralNetwork(loss="softmax_cross_entropy", seed=0)
    >>> net = net.add(DenseLayer(2, input_shape=(2,))).fit((X, y))
    >>> ax = plot_decision_regions(net, X, y, class_names=["right", "up"])
    """
    features = getattr(network, "feature_names", None)
    if features is None:
        features = getattr(network, "feature_names_in_", None)
    if features is not None:
        X = Known([*map(str, features)]).matched(X)
    points, resolution = numbers_on_host("X", X, 2), check_count("resolution", resolution, least=2)
    if points.shape[1] != 2 or not len(points):
        raise ValueError(
            f"X has shape {points.shape}: expected (n, 2), at least one sample with two features"
        )
    if not np.isfinite(points).all():
        raise ValueError("X has NaN or infinity: expected finite numbers")
    labels = as_labels("y", y, len(points))
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-9)
    sides = [
        np.linspace(a - m, b + m, resolution) for a, b, m in zip(low, high, margin, strict=True)
    ]
    grid = np.stack(np.meshgrid(*sides), axis=-1)
    classes, known, are_labels = predicted_by(network, grid.reshape(-1, 2).astype(points.dtype))
    if are_labels and known is not None:
        (labels,), _ = index_labels({"y": labels.astype(str)}, known)
    elif labels.dtype.kind == "U":
        (labels,), _ = index_labels({"y": labels}, known or class_names)
    if labels.min() < 0:
        raise ValueError(f"y has the class {labels.min()}: expected integers from 0")
    n_classes = max(int(max(classes.max(), labels.max())) + 1, len(known or ()))
    names = known or [f"class {k}" for k in range(n_classes)]
    if class_names is not None:
        names = check_strings("class_names", class_names)
    if len(names) != n_classes:
        raise ValueError(f"class_names has {len(names)} names: expected {n_classes}, one per class")
    ax = axes_for(ax, figsize, 4.8, 4.8)
    colors = [AREAS[k % len(AREAS)] for k in range(n_classes)]
    from matplotlib.colors import to_rgba_array

    picture = to_rgba_array(colors)[classes.reshape(resolution, resolution)]
    extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    ax.imshow(picture, extent=extent, origin="lower", alpha=0.3, aspect="auto")
    for k in range(n_classes):
        ax.scatter(
            *points[labels == k].T, s=24, color=colors[k], marker=MARKERS[k % len(MARKERS)],
            edgecolor="w", linewidth=0.3, label=names[k],
        )  # fmt: skip
    across, up = ("feature 0", "feature 1") if features is None else map(str, features)
    finish(ax, "Predicted class, and samples", across, up, grid="")
    return ax
