"""The lab: scikit-learn's digits, from one layer to dropout, normalization and sweeps."""

import argparse
from typing import Any

import numpy as np

from xpnet import (
    L1,
    L2,
    SGD,
    Adam,
    BatchNormalization,
    Dataset,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    SigmoidActivation,
    one_hot,
    train_test_split,
)
from xpnet.backends import to_host
from xpnet.datasets import load_digits
from xpnet.plots import (
    add_legend,
    new_axes,
    plot_confusion,
    plot_history,
    plot_images,
    plot_layer_outputs,
    plot_sweep,
    plot_weights,
    series_style,
    whole_epochs,
)

from .study import Row, Study, accuracy_of, say

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
SIZES = (16, 32, 64, 128, 256, 512)
OPTIMIZERS = ("sgd", "rmsprop", "adagrad", "adam", "adamw")


def dense(seed: int, options: argparse.Namespace, **more: Any) -> NeuralNetwork:
    """Return a network, by default 64-32-10 with ReLU and Adam."""
    net = NeuralNetwork(
        epochs=50 // _divisor(options),
        batch_size=32,
        optimizer=more.get("optimizer", Adam(1e-3)),
        loss="softmax_cross_entropy",
        metric="accuracy",
        regularizer=more.get("regularizer"),
        seed=seed,
        device=options.device,
    )
    net.add(Normalization(0.0, 16.0, input_shape=(64,)))
    for n_units in more.get("hidden", (32,)):
        net.add(DenseLayer(n_units, initializer="he_normal"))
        if more.get("norm"):
            net.add(BatchNormalization())
        net.add(ReLUActivation())
        if more.get("dropout"):
            net.add(Dropout(more["dropout"]))
    return net.add(DenseLayer(10))


def one_layer(seed: int, training: Dataset, options: argparse.Namespace) -> NeuralNetwork:
    """Return a single sigmoid layer, trained by full-batch gradient descent on squared errors."""
    net = NeuralNetwork(
        epochs=1000 // _divisor(options), batch_size=len(training),
        optimizer=SGD(5.0, momentum=0.0), loss="mse", seed=seed, device=options.device,
    )  # fmt: skip
    net.add(Normalization(0.0, 16.0, input_shape=(64,)))
    net.add(DenseLayer(10)).add(SigmoidActivation())
    return net.fit((training.X, one_hot(training.y, 10)))


def run(options: argparse.Namespace) -> Study:
    """Run all steps of the lab."""
    training, test = train_test_split(load_digits(), test_size=0.25, stratify=True, random_state=0)
    rows: list[Row] = []
    axes = new_axes(15, 18, rows=4, columns=3)

    def add(what: str, settings: str, course: str, make: Any) -> list[NeuralNetwork]:
        nets = [make(seed) for seed in range(options.seeds)]
        rows.append(Row(what, settings, course, [accuracy_of(net, test) for net in nets]))
        say(f"  {what}: {rows[-1].found}")
        return nets

    nets = add(
        "one sigmoid layer, squared errors",
        f"gradient descent on all samples, rate 5, {1000 // _divisor(options):,} epochs",
        "-",
        lambda seed: one_layer(seed, training, options),
    )
    plot_weights(nets[0].layers[1], ax=axes[0, 0])
    axes[0, 0].set_title("One sigmoid layer: the weights of each digit", size="medium")
    nets = add(
        "64-32-10, ReLU, Adam",
        f"rate 0.001, {50 // _divisor(options)} epochs",
        "-",
        lambda seed: dense(seed, options).fit(training, validation=test),
    )
    plain, answers = nets[0], nets[0].predict(test.X)
    plot_history(plain.history, axes[0, 1:])
    plot_confusion(test.y, answers, ax=axes[1, 0])
    plot_images(test.X, test.y, answers, ax=axes[1, 1])
    plot_layer_outputs(plain, test.X, ax=axes[1, 2])
    sweeps = {
        "learning rate": [(rate, {"optimizer": Adam(rate)}) for rate in RATES],
        "hidden units": [(size, {"hidden": (size,)}) for size in SIZES],
        "optimizer": [(name, {"optimizer": name}) for name in OPTIMIZERS],
    }
    spread = f"standard deviation over {options.seeds} seeds"
    for ax, (name, cases) in zip(axes[2], sweeps.items(), strict=True):
        found = []
        for value, settings in cases:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            add(
                f"{name} {text}",
                "otherwise as above",
                "swept, no number",
                _trained(training, options, settings),
            )
            found.append(rows[-1].found)
        means, spreads = np.mean(found, axis=1), np.std(found, axis=1)
        values = [value for value, _ in cases]
        errors = spreads if options.seeds > 1 else None
        plot_sweep(values, means, errors, name, "accuracy", error_name=spread, ax=ax)
    penalised = {"no penalty": plain}
    for penalty in (L1(1e-3), L2(1e-3)):
        what = f"{type(penalty).__name__} 0.001"
        make = _trained(training, options, {"regularizer": penalty})
        penalised[what] = add(what, "otherwise as above", "compared, no number", make)[0]
    _draw_weights(penalised, axes[3, 0])
    large: dict[str, Any] = {"hidden": (128, 64)}
    networks = {
        "64-128-64-10": large,
        "64-128-64-10, dropout 0.3, batch normalization": large | {"dropout": 0.3, "norm": True},
    }
    for k, (what, settings) in enumerate(networks.items()):
        make = _trained(training, options, settings, test)
        history = add(what, "otherwise as above", "compared, no number", make)[0].history
        for ax, kind in zip(axes[3, 1:], ("loss", "val_loss"), strict=True):
            style = series_style(k, marker=True)
            ax.plot(history["epoch"], history[kind], label=what, markevery=5, **style)
    for ax, title in zip(axes[3, 1:], ("training images", "test images"), strict=True):
        ax.set_title(f"Loss of the {title} by epoch", size="medium")
        ax.set(xlabel="epoch", ylabel="loss", yscale="log")
        whole_epochs(ax, history["epoch"])
        ax.grid(alpha=0.3, which="both")
        add_legend(ax)
    remarks = [
        "1,797 images of 8 x 8 pixels, a quarter of them for testing, stratified; pixels divided "
        "by 16; batches of 32; He's initial weights. Accuracy on the test images, which were not "
        "used for any choice."
    ]
    return Study("The digits laboratory", rows, remarks, axes[0, 0].figure)


def _divisor(options: argparse.Namespace) -> int:
    return 10 if options.quick else 1


def _trained(
    training: Dataset,
    options: argparse.Namespace,
    settings: dict[str, Any],
    watched: Dataset | None = None,
) -> Any:
    return lambda seed: dense(seed, options, **settings).fit(training, validation=watched)


def _draw_weights(nets: dict[str, NeuralNetwork], ax: Any) -> None:
    """Draw histograms of the first layer's weights, with and without penalties."""
    for k, (what, net) in enumerate(nets.items()):
        sizes = np.log10(np.abs(to_host(net.layers[1].weights)).ravel() + 1e-6)
        style = series_style(k)
        ax.hist(sizes, bins=60, range=(-6, 1), histtype="step", label=what, **style)
    ax.set(xlabel="log10 of a weight's size", ylabel="number of weights")
    ax.set_title("Weights of the first layer with and without a penalty", size="medium")
    ax.grid(alpha=0.3)
    add_legend(ax)
