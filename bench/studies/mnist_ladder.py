"""MNIST, one improvement after another: from squared errors to dropout."""

import argparse
from typing import Any

from xpnet import (
    SGD,
    Dataset,
    DenseLayer,
    Dropout,
    EarlyStopping,
    ExponentialDecay,
    NeuralNetwork,
    Normalization,
    SigmoidActivation,
    TanhActivation,
    one_hot,
)
from xpnet.initializers import GlorotNormal, Normal
from xpnet.plots import add_legend, new_axes, series_style, whole_epochs

from .study import Row, Study, accuracy_of, mnist, say

EPOCHS, PATIENCE = 50, 10
SMALL, LARGE = (784, 89, 10), (784, 178, 46, 10)
DECAY = ExponentialDecay(0.02, 0.0005)

# name -> the course's accuracy, and the settings that change
RUNGS: dict[str, tuple[str, dict[str, Any]]] = {
    "squared error, sigmoid": ("0.8758", {"loss": "mse", "rate": 0.5}),
    "softmax cross-entropy": ("0.8924", {"loss": "softmax_cross_entropy", "rate": 0.02}),
    "+ momentum 0.9": ("0.9154", {"momentum": 0.9}),
    "+ decay of the learning rate": ("0.9339", {"rate": DECAY}),
    "+ Glorot's initial weights": ("0.9487", {"glorot": "deviation"}),
    "+ Glorot's, the variance as deviation": ("0.9487", {"glorot": "variance"}),
    "+ dropout 0.1": ("0.9448", {"glorot": "deviation", "dropout": 0.1}),
    "784-178-46-10": ("0.9555", {"sizes": LARGE, "dropout": 0.0}),
    "784-178-46-10, dropout 0.1": ("0.9522", {"sizes": LARGE, "dropout": 0.1}),
}


def build(first: Normalization, seed: int, device: str, epochs: int, **rung: Any) -> NeuralNetwork:
    """Return the network of a rung."""
    is_squared, sizes = rung["loss"] == "mse", rung.get("sizes", SMALL)
    net = NeuralNetwork(
        epochs=epochs,
        batch_size=60,
        optimizer=SGD(rung["rate"], momentum=rung.get("momentum", 0.0)),
        loss=rung["loss"],
        metric="accuracy",
        seed=seed,
        device=device,
    )
    net.add(first)
    for k, n_units in enumerate(sizes[1:]):
        initializer = Normal(0.05)
        if rung.get("glorot") == "deviation":
            initializer = GlorotNormal()
        elif rung.get("glorot") == "variance":
            initializer = Normal(2 / (sizes[k] + n_units))
        net.add(DenseLayer(n_units, initializer=initializer))
        if k < len(sizes) - 2:
            net.add(TanhActivation())
            if rung.get("dropout"):
                net.add(Dropout(rung["dropout"]))
    return net.add(SigmoidActivation()) if is_squared else net


def run(options: argparse.Namespace) -> Study:
    """Train all rungs of the ladder, with several seeds."""
    training, validation, test = mnist(options)
    epochs = 3 if options.quick else EPOCHS
    rows, settings, histories = [], {}, {}
    for what, (course, new) in RUNGS.items():
        settings |= new
        found = []
        for seed in range(options.seeds):
            first = Normalization.adapt(training.X, per_feature=False)
            net = build(first, seed, options.device, epochs, **settings)
            data = [training, validation]
            if settings["loss"] == "mse":
                data = [Dataset(each.X, one_hot(each.y, 10)) for each in data]
            stopping = EarlyStopping("val_accuracy", patience=PATIENCE)
            net.fit(data[0], validation=data[1], callbacks=stopping)
            found.append(accuracy_of(net, test))
            histories[what] = net.history
        say(f"  {what}: {found}")
        rows.append(Row(what, _text(settings), course, found))
    ax = new_axes(8, 6)
    for k, (what, history) in enumerate(histories.items()):
        wrong = [100 * (1 - value) for value in history["val_accuracy"]]
        style = series_style(k, marker=True)
        ax.plot(history["epoch"], wrong, label=what, markevery=(k % 4, 4), **style)
    ax.set(xlabel="epoch", ylabel="misclassified validation images, %", yscale="log")
    ax.set_title("Validation error of each rung of the ladder")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    whole_epochs(ax, histories[what]["epoch"])
    ax.grid(alpha=0.3, which="both")
    add_legend(ax)
    remarks = [
        f"tanh, batches of 60, pixels standardised by one mean and deviation, at most {epochs} "
        f"epochs; early stopping with patience {PATIENCE} on the accuracy on the last 5,000 "
        "training images, with the weights of the best epoch. Accuracy on the 10,000 test images. "
        "Initial weights have a standard deviation of 0.05 before Glorot's.",
        "Glorot's initial weights differ by design: the course uses the variance "
        "2 / (n_in + n_out) as the standard deviation, which makes weights some 20 times smaller. "
        "The table has both.",
    ]
    return Study("MNIST: a ladder of improvements", rows, remarks, ax.figure)


def _text(settings: dict[str, Any]) -> str:
    rate = settings["rate"]
    rate = "0.02 to 0.0005, exponentially" if rate is DECAY else f"{rate:g}"
    parts = [f"rate {rate}"]
    if settings.get("momentum"):
        parts.append(f"momentum {settings['momentum']}")
    if settings.get("dropout"):
        parts.append(f"dropout {settings['dropout']}")
    return ", ".join(parts)
