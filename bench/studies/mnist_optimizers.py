"""MNIST with Adam, RMSProp and SGD, each at its best learning rate."""

import argparse
from typing import Any

import numpy as np

from xpnet import SGD, Adam, DenseLayer, NeuralNetwork, Normalization, ReLUActivation, RMSProp
from xpnet.plots import add_legend, new_axes, series_style, whole_epochs

from .study import Row, Study, accuracy_of, mnist, say

EPOCHS, TUNING_EPOCHS = 20, 5
KINDS: dict[str, Any] = {
    "SGD": lambda rate: SGD(rate, momentum=0.0),
    "SGD, momentum 0.9": lambda rate: SGD(rate, momentum=0.9),
    "RMSProp": RMSProp,
    "Adam": Adam,
}
RATES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)


def build(optimizer: Any, seed: int, epochs: int, device: str) -> NeuralNetwork:
    """Return a network for images of 0 to 255."""
    net = NeuralNetwork(
        epochs=epochs, batch_size=128, optimizer=optimizer, loss="softmax_cross_entropy",
        metric="accuracy", seed=seed, device=device,
    )  # fmt: skip
    net.add(Normalization(0.0, 255.0, input_shape=(784,)))
    net.add(DenseLayer(128, initializer="he_normal")).add(ReLUActivation())
    net.add(DenseLayer(64, initializer="he_normal")).add(ReLUActivation())
    return net.add(DenseLayer(10))


def run(options: argparse.Namespace) -> Study:
    """Tune each optimizer's learning rate on validation data, then train with it and test."""
    training, validation, test = mnist(options)
    rates = RATES[2:5] if options.quick else RATES
    tuning, epochs = (1, 2) if options.quick else (TUNING_EPOCHS, EPOCHS)
    rows = []
    axes = new_axes(11, 4.8, columns=2)
    for k, (name, kind) in enumerate(KINDS.items()):
        style = series_style(k, marker=True)
        scores = []
        for rate in rates:
            net = build(kind(rate), 0, tuning, options.device)
            scores.append(_score(net, training, validation))
        best = rates[int(np.argmax(scores))]
        axes[0].plot(rates, scores, label=name, **style)
        found = []
        for seed in range(options.seeds):
            net = build(kind(best), seed, epochs, options.device)
            net.fit(training, validation=validation)
            found.append(accuracy_of(net, test))
        losses = net.history["val_loss"]
        axes[1].plot(net.history["epoch"], losses, label=f"{name}, rate {best:g}", **style)
        say(f"  {name}: rate {best:g}, {found}")
        rows.append(Row(name, f"rate {best:g}", "compared, no number", found))
    axes[0].set(xscale="log", xlabel="learning rate", ylabel=f"accuracy after {tuning} epochs")
    axes[0].set_ylim(max(axes[0].get_ylim()[0], 0.8), None)
    axes[0].set_title("Validation accuracy by learning rate")
    axes[1].set(xlabel="epoch", ylabel="loss", title="Validation loss at the best learning rate")
    whole_epochs(axes[1], range(1, epochs + 1))
    for ax in axes:
        ax.grid(alpha=0.3)
        add_legend(ax)
    remarks = [
        f"784-128-64-10, ReLU, He's initial weights, pixels divided by 255, batches of 128. The "
        f"rate is the best of {', '.join(f'{rate:g}' for rate in rates)} on the last 5,000 "
        f"training images after {tuning} epochs; then {epochs} epochs. Accuracy on the 10,000 test "
        "images."
    ]
    return Study("MNIST: optimizers", rows, remarks, axes[0].figure)


def _score(net: NeuralNetwork, training: Any, validation: Any) -> float:
    """Return the accuracy after training, or 0 if it diverged."""
    from xpnet import DivergedError

    try:
        return accuracy_of(net.fit(training), validation)
    except DivergedError:
        return 0.0
