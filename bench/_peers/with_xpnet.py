"""xpnet, and the matrix products alone."""

import statistics
from typing import Any

import numpy as np

from xpnet import (
    SGD,
    Adam,
    BinaryCrossEntropy,
    Dataset,
    Optimizer,
    RMSProp,
    SoftmaxCrossEntropy,
    resolve,
)

from ..floor import products_of_an_epoch
from ..networks import dense
from . import case as settings
from .case import Case
from .peer import LeftOutError, Peer


class Xpnet(Peer):
    """``NeuralNetwork.fit``; the seconds are those of its history."""

    takes_sparse = True
    note = "timed by its own clock: without what a call of fit does once for all its epochs"

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        self.case = case
        self.net = dense(
            case.sizes,
            # Given as initializers, so that a reset finds the same weights again.
            initializers=[lambda shape, rng, w=weights: w for weights, _ in case.weights()],
            epochs=case.epochs,
            batch_size=case.batch_size,
            optimizer=_optimizer(case.optimizer),
            loss=BinaryCrossEntropy(from_logits=True) if case.is_binary else SoftmaxCrossEntropy(),
            device=case.device,
            seed=case.seed,
        )
        backend = self.net.backend
        self.data = Dataset(backend.asarray(X) if isinstance(X, np.ndarray) else X, y)

    def restart(self) -> None:
        """Reset the network."""
        self.net.reset()

    def epoch(self) -> float:
        """Fit, and read the history."""
        epochs = self.case.epochs
        history = self.net.fit(self.data).history
        if epochs == 1:
            self.loop_seconds = history["seconds"][-1]
        return statistics.fmean(history["loss"][-epochs:])


class XpnetNumba(Xpnet):
    """The same, where the environment asks for compiled kernels."""

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.device != "cpu":
            raise LeftOutError("Numba's kernels are for the CPU")
        super().__init__(case, X, y)


class Products(Peer):
    """The matrix products alone: the floor."""

    note = "nothing is learned; all batches are full ones"

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.name == "sparse":
            raise LeftOutError("the first layer's products are sparse")
        backend = resolve(case.device)
        self.products = products_of_an_epoch(backend, len(y), case.sizes, case.batch_size)
        self.epochs = case.epochs

    def restart(self) -> None:
        """Nothing is learned."""

    def epoch(self) -> None:
        """Multiply."""
        for _ in range(self.epochs):
            self.products()


def _optimizer(name: str) -> Optimizer:
    kinds: dict[str, Optimizer] = {
        "sgd": SGD(**settings.SGD),
        "adam": Adam(**settings.ADAM),
        "rmsprop": RMSProp(**settings.RMSPROP),
    }
    return kinds[name]
