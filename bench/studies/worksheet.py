"""The worksheet: 20,000 MNIST images, ReLU, log-softmax and NLL loss; layer sizes and rates."""

import argparse
from typing import Any

import numpy as np

from xpnet import (
    SGD,
    Dataset,
    DenseLayer,
    LogSoftmaxActivation,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    train_test_split,
)
from xpnet.plots import new_axes, plot_sweep

from .study import Row, Study, accuracy_of, mnist, say

SAMPLES, EPOCHS = 20_000, 20

# hidden layers -> the course's test accuracy
SIZES = {
    (1000, 100): "0.966 (train 0.996)",
    (200, 100): "0.95",
    (200, 64): "0.95",
    (128, 64): "0.92-0.94",
    (64, 30): "0.93-0.94",
    (30, 64): "0.92-0.93",
    (30, 30): "0.92",
}
RATES = ((0.02, 0.0), (0.01, 0.0), (0.01, 0.9), (0.005, 0.9))


def build(
    hidden: tuple[int, ...], rate: float, momentum: float, seed: int, options: argparse.Namespace
) -> NeuralNetwork:
    """Return a network for images of 0 to 255."""
    net = NeuralNetwork(
        epochs=_epochs(options),
        batch_size=32,
        optimizer=SGD(rate, momentum=momentum),
        loss="nll",
        metric="accuracy",
        seed=seed,
        device=options.device,
    )
    net.add(Normalization(0.0, 255.0, input_shape=(784,)))
    for n_units in hidden:
        net.add(DenseLayer(n_units, initializer="he_normal")).add(ReLUActivation())
    return net.add(DenseLayer(10)).add(LogSoftmaxActivation())


def trained(
    training: Dataset, test: Dataset, *settings: Any, options: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Return the accuracies on the training images and on the test images, for each seed."""
    on_training, on_test = [], []
    for seed in range(options.seeds):
        net = build(*settings, seed, options).fit(training)
        on_training.append(accuracy_of(net, training))
        on_test.append(accuracy_of(net, test))
    return on_training, on_test


def run(options: argparse.Namespace) -> Study:
    """Train all sizes and rates, and one size by 5-fold cross-validation."""
    from sklearn.model_selection import StratifiedKFold

    training, _, _ = mnist(options)
    every = training.rows(np.arange(min(SAMPLES, len(training))))
    training, test = train_test_split(every, test_size=0.2, stratify=True, random_state=0)
    rows, means = [], []
    for hidden, course in SIZES.items():
        name = "-".join(map(str, (784, *hidden, 10)))
        seen, unseen = trained(training, test, hidden, 0.01, 0.9, options=options)
        say(f"  {name}: {unseen}")
        rows.append(Row(f"{name}, test", "rate 0.01, momentum 0.9", course, unseen))
        if hidden == (1000, 100):
            rows.append(Row(f"{name}, training", "rate 0.01, momentum 0.9", "0.996", seen))
        means.append(float(np.mean(unseen)))
    for rate, momentum in RATES:
        _, unseen = trained(training, test, (128, 64), rate, momentum, options=options)
        text = f"rate {rate:g}, momentum {momentum:g}"
        say(f"  {text}: {unseen}")
        rows.append(Row("784-128-64-10, test", text, "compared, no number", unseen))
    folds = []
    splits = StratifiedKFold(5, shuffle=True, random_state=0).split(every.X, every.y)
    for seed, (inside, outside) in enumerate(splits):
        net = build((128, 64), 0.01, 0.9, seed, options).fit(every.rows(inside))
        folds.append(accuracy_of(net, every.rows(outside)))
    say(f"  folds: {folds}")
    text = "5-fold cross-validation, with the spread over folds"
    rows.append(Row("784-128-64-10, folds", f"{text}; rate 0.01, momentum 0.9", "-", folds))
    ax = new_axes(7, 4.4)
    names = ["-".join(map(str, hidden)) for hidden in SIZES]
    plot_sweep(names, means, None, "hidden layers", "accuracy on test images", "max", ax=ax)
    remarks = [
        f"{len(every):,} images, a fifth of them for testing, stratified; pixels divided by 255; "
        f"batches of 32, {_epochs(options)} epochs; He's initial weights."
    ]
    return Study("The worksheet: layer sizes and learning rates", rows, remarks, ax.figure)


def _epochs(options: argparse.Namespace) -> int:
    return 2 if options.quick else EPOCHS
