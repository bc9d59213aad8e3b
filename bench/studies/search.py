"""A random search and an Optuna search over topology, optimizer, learning rate and dropout."""

import argparse
import functools
import math
from typing import Any

import numpy as np

from xpnet import (
    SGD,
    Dataset,
    DenseLayer,
    Dropout,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
)
from xpnet.plots import new_axes, plot_sweep
from xpnet.search import OptunaPruning, random_search

from .study import Row, Study, accuracy_of, mnist, say

SPACE = {
    "topology": ["100", "100-50", "250", "250-100"],
    "optimizer": ["adam", "rmsprop", "sgd with momentum"],
    "learning_rate": [0.01, 0.001],
    "dropout": [0.0, 0.2, 0.5],
}
DRAWS, EPOCHS, LONG = 10, 5, 20


def build(
    topology: str,
    optimizer: str,
    learning_rate: float,
    dropout: float,
    epochs: int = EPOCHS,
    device: str = "cpu",
) -> NeuralNetwork:
    """Return a network with these settings."""
    given: Any = SGD(learning_rate, momentum=0.9) if "sgd" in optimizer else optimizer
    net = NeuralNetwork(
        epochs=epochs,
        batch_size=64,
        optimizer=given,
        learning_rate=None if "sgd" in optimizer else learning_rate,
        loss="softmax_cross_entropy",
        metric="accuracy",
        seed=0,
        device=device,
    )
    net.add(Normalization(0.0, 255.0, input_shape=(784,)))
    for n_units in map(int, topology.split("-")):
        net.add(DenseLayer(n_units, initializer="he_normal")).add(ReLUActivation())
        if dropout:
            net.add(Dropout(dropout))
    return net.add(DenseLayer(10))


def run(options: argparse.Namespace) -> Study:
    """Search with several seeds, train the best settings on all training images, and test them."""
    training, validation, test = mnist(options)
    epochs, long, draws = (1, 2, 3) if options.quick else (EPOCHS, LONG, DRAWS)
    make = functools.partial(build, epochs=epochs, device=options.device)
    every = Dataset(np.concatenate([training.X, validation.X]), np.append(training.y, validation.y))
    bests: dict[str, list[dict[str, Any]]] = {"random search": [], "Optuna, with pruning": []}
    for seed in range(options.seeds):
        found = random_search(make, SPACE, training, validation, n_iter=draws, seed=seed)
        assert found.best is not None
        bests["random search"].append(found.best)
        bests["Optuna, with pruning"].append(by_optuna(make, training, validation, draws, seed))
        say(f"  seed {seed}: {[each[-1] for each in bests.values()]}")
    rows = []
    for what, settings in bests.items():
        for n_epochs in (epochs, long):
            scores = [
                accuracy_of(make(**each, epochs=n_epochs).fit(every), test) for each in settings
            ]
            say(f"  {what}, {n_epochs} epochs: {scores}")
            rows.append(
                Row(
                    f"{what}, {draws} trials; the best, {n_epochs} epochs on all images",
                    "; ".join(", ".join(map(str, each.values())) for each in settings),
                    "a best configuration",
                    scores,
                )
            )
    scores = [row["score"] for row in found.rows]
    names = [
        f"{row['topology']}\n{row['optimizer'].split()[0]}\n{row['learning_rate']:g}\n"
        f"{row['dropout']:g}"
        for row in found.rows
    ]
    ax = new_axes(9, 4.4)
    settings_names = "topology, optimizer, learning rate, dropout"
    plot_sweep(names, scores, None, settings_names, "accuracy", ax=ax)
    ax.set_title("Validation accuracy of each trial")
    n_settings = math.prod(len(values) for values in SPACE.values())
    remarks = [
        f"{draws} draws from {n_settings} settings, {epochs} epochs each, batches of 64, pixels "
        "divided by 255, He's initial weights; compared on the last 5,000 training images. The "
        "best settings of each seed are then trained on all training images, for as many epochs "
        "as in the search and for more, and tested. The figure shows the last seed's random search."
    ]
    return Study("A random search", rows, remarks, ax.figure)


def by_optuna(
    make: Any, training: Dataset, validation: Dataset, draws: int, seed: int
) -> dict[str, Any]:
    """Return the best settings that Optuna finds in ``draws`` trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        settings = {name: trial.suggest_categorical(name, each) for name, each in SPACE.items()}
        net = make(**settings)
        net.fit(training, validation=validation, callbacks=OptunaPruning(trial, "val_accuracy"))
        return net.history["val_accuracy"][-1]

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1),
    )
    study.optimize(objective, n_trials=draws)
    return dict(study.best_params)
