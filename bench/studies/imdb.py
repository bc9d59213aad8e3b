"""Film reviews as sparse bags of words: how a network overfits, and what reduces it."""

import argparse
import resource
from pathlib import Path
from typing import Any

import numpy as np

from xpnet import (
    L1,
    L2,
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    Dropout,
    EarlyStopping,
    NeuralNetwork,
    ReLUActivation,
    datasets,
    train_test_split,
)
from xpnet.plots import add_legend, new_axes, series_style, whole_epochs

from .study import Row, Study, say

EPOCHS, PATIENCE = 20, 5

# name -> the course's accuracy on the test reviews, and the settings
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline, 2 x 64": ("0.8460", {}),
    "L2 0.001": ("0.8427", {"regularizer": L2(1e-3)}),
    "L1 0.00001": ("0.8433", {"regularizer": L1(1e-5)}),
    "dropout 0.5": ("0.8609", {"dropout": 0.5}),
    "2 x 16": ("about 0.85", {"units": 16}),
    "2 x 16, dropout 0.5": ("0.88", {"units": 16, "dropout": 0.5}),
    "2 x 4": ("compared, no number", {"units": 4}),
    "2 x 8": ("compared, no number", {"units": 8}),
    "2 x 64, stopped early": ("-", {"stop": True}),
    "2 x 16, stopped early": ("-", {"units": 16, "stop": True}),
    "2 x 16, dropout 0.5, stopped early": ("0.88", {"units": 16, "dropout": 0.5, "stop": True}),
    "the same, then as many epochs on all reviews": (
        "-",
        {"units": 16, "dropout": 0.5, "stop": True, "all": True},
    ),
}


def build(seed: int, device: str, epochs: int, **case: Any) -> NeuralNetwork:
    """Return the network of a case."""
    net = NeuralNetwork(
        epochs=epochs,
        batch_size=512,
        optimizer="rmsprop",
        loss=BinaryCrossEntropy(from_logits=True),
        metric="binary_accuracy",
        regularizer=case.get("regularizer"),
        seed=seed,
        device=device,
    )
    units = case.get("units", 64)
    for k in range(2):
        net.add(DenseLayer(units, input_shape=None if k else (case["n_words"],)))
        net.add(ReLUActivation())
        if case.get("dropout"):
            net.add(Dropout(case["dropout"]))
    return net.add(DenseLayer(1))


def run(options: argparse.Namespace) -> Study:
    """Train all cases."""
    every, test = datasets.load_imdb(Path(options.data) / "imdb" if options.data else None)
    if options.quick:
        rng = np.random.default_rng(0)
        every, test = (each.rows(rng.permutation(len(each))[:2000]) for each in (every, test))
    training, validation = train_test_split(every, test_size=0.4, stratify=True, random_state=0)
    epochs = 2 if options.quick else EPOCHS
    rows: list[Row] = []
    histories: dict[str, Any] = {}
    for what, (course, case) in CASES.items():
        found = []
        for seed in range(options.seeds):
            net = build(seed, options.device, epochs, n_words=every.n_features, **case)
            stopping = EarlyStopping("val_loss", patience=PATIENCE)
            callbacks = [stopping] if case.get("stop") else []
            net.fit(training, validation=validation, callbacks=callbacks)
            histories[what] = net.history
            if case.get("all"):
                best = stopping.best_epoch
                net = build(seed, options.device, best, n_words=every.n_features, **case).fit(every)
            found.append(_accuracy(net, test))
        say(f"  {what}: {found}")
        text = f"{epochs} epochs"
        if case.get("stop"):
            text = f"at most {text}, patience {PATIENCE}"
        if case.get("all"):
            text = f"the best number of epochs, on {len(every):,} reviews"
        rows.append(Row(what, text, course, found))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    axes = new_axes(11, 4.8, columns=2, sharey=True)
    for ax, kind in zip(axes, ("loss", "val_loss"), strict=True):
        for k, what in enumerate(list(CASES)[:6]):
            style = series_style(k, marker=True)
            ax.plot(histories[what]["epoch"], histories[what][kind], label=what, **style)
        title = f"Loss on {'training' if kind == 'loss' else 'validation'} reviews by epoch"
        ax.set(xlabel="epoch", ylabel="loss, penalty included", title=title, ylim=(0, 1.2))
        ax.grid(alpha=0.3)
        whole_epochs(ax, histories[what]["epoch"])
        add_legend(ax)
    remarks = [
        f"{every.n_features:,} words, 1 if a review has the word, as sparse rows; "
        f"{len(training):,} reviews for training, {len(validation):,} for validation, accuracy on "
        f"the {len(test):,} test reviews. RMSProp with a rate of 0.001, batches of 512. Networks "
        f"that are not stopped early overfit within {epochs} epochs, as the course shows: training "
        "and validation loss diverge in the figure. So does 2 x 16 with dropout, which reaches the "
        "course's accuracy with early stopping.",
        f"Peak memory of the process: {peak:.2f} GiB.",
    ]
    return Study("IMDB: overfitting, and what reduces it", rows, remarks, axes[0].figure)


def _accuracy(net: NeuralNetwork, data: Dataset) -> float:
    return net.score(data, metric="binary_accuracy")
