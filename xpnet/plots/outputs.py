"""Plots of what a network makes of samples: each layer's outputs, and the predicted classes."""

import math
from typing import Any

import numpy as np

from ..backends import Array, to_host
from ..backends._errors import shown
from ..common.checks import check_count
from ..data import Dataset
from ..metrics import predicted_classes
from ..training.checks import check_categories
from ..training.feeding.placing import place
from ..training.purpose import intake_of
from .drawing import axes_for, numbers_on_host, pyplot


def plot_activations(network: Any, X: Array, bins: int = 60, ax: Any = None) -> Any:
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

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
    >>> from xpnet.plots import plot_activations
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(8, (2,))).add(ReLUActivation())
    >>> ax = plot_activations(net, np.random.default_rng(0).random((50, 2)))
    """
    _check_network(network)
    bins, given = check_count("bins", bins), Dataset(X)
    check_categories(given, network.layers)
    X = given.X
    n_features = math.prod(network.layers[0].input_shape())
    if not X.shape[0] > 0 or X.shape[1:] != (n_features,):
        raise ValueError(
            f"X has shape {tuple(X.shape)}: expected (n, {n_features}), one or more samples with "
            "the network's features"
        )
    Dataset(X).check_finite()
    with network.backend.active():
        data = Dataset(X)
        placed = place(data, intake_of(network, network.backend), read=True)
        batch = next(placed.batches(len(data))).X
        outputs = []
        for layer in network.layers:
            batch = layer.forward_propagation(batch, training=False)
            outputs.append(to_host(batch).ravel())
    limits = np.array([np.percentile(values, [0.5, 99.5]) for values in outputs])
    low, high = limits[:, 0].min(), limits[:, 1].max()
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    ax = axes_for(ax, 6.0, 1.0 + 0.62 * len(outputs))
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
    network: Any, X: Array, y: Array, resolution: int = 200, ax: Any = None
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

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, NeuralNetwork, TanhActivation
    >>> from xpnet.plots import plot_decision_regions
    >>> X = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> net = NeuralNetwork(epochs=20, loss="softmax_cross_entropy", optimizer="adam", seed=0)
    >>> net = net.add(DenseLayer(8, (2,))).add(TanhActivation()).add(DenseLayer(2)).fit((X, y))
    >>> ax = plot_decision_regions(net, X, y, resolution=50)
    """
    _check_network(network)
    points, resolution = numbers_on_host("X", X, 2), check_count("resolution", resolution, least=2)
    labels = numbers_on_host("y", y, None, len(points)).ravel()
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
    ax = axes_for(ax, 4.6, 4.2)
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


def _check_network(network: Any) -> None:
    """Refuse anything but a network with layers."""
    if not hasattr(network, "layers") or not hasattr(network, "predict"):
        raise TypeError(f"network={shown(network)}: expected a NeuralNetwork")
    if not network.layers:
        raise ValueError(
            "the network has no layers: add some, e.g. add(DenseLayer(10, input_shape=(784,)))"
        )
