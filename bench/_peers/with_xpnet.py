"""xpnet, and its matrix products alone."""

import statistics
from typing import Any

import numpy as np

from xpnet import (
    SGD,
    Adam,
    BinaryCrossEntropy,
    Dataset,
    NeuralNetwork,
    Optimizer,
    RMSProp,
    SoftmaxCrossEntropy,
)

from ..floor import products_alone
from ..networks import dense
from . import case as settings
from .case import Case
from .open_training import OpenTraining
from .peer import LeftOutError, Peer


class Xpnet(Peer):
    """``NeuralNetwork.fit``; the seconds are those of its history.

    If single epochs are timed, one call of ``fit`` spans all rounds. If several epochs from the
    initial weights are timed together, each measurement is a separate call of ``fit``.
    """

    takes_sparse = True
    note = (
        "one call of fit spans all rounds; epochs are timed by its history, so the set-up of fit "
        "counts only in the first epoch. With digits, whole calls of fit are timed"
    )

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        self.case, self.net = case, _network(case)
        backend = self.net.backend
        self.data = Dataset(backend.asarray(X) if isinstance(X, np.ndarray) else X, y)
        self.training = OpenTraining(self.net, self.data)

    def restart(self) -> None:
        """Reset the network."""
        self.close()
        self.net.reset()
        self.training = OpenTraining(self.net, self.data)

    def epoch(self) -> float:
        """Train, and return the loss of the history."""
        epochs = self.case.epochs
        if epochs == 1:
            row = self.training.epoch()
            self.loop_seconds = row["seconds"]
            return row["loss"]
        return statistics.fmean(self.net.fit(self.data).history["loss"][-epochs:])

    def close(self) -> None:
        """End the training."""
        self.training.close()


class XpnetNumba(Xpnet):
    """``NeuralNetwork.fit`` with compiled steps, as the environment variable requests."""

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.device != "cpu":
            raise LeftOutError("Numba's kernels are for the CPU")
        super().__init__(case, X, y)


class Products(Peer):
    """The matrix products alone, the floor."""

    note = (
        "nothing is learned; all batches are full. On a GPU the products are captured, with the "
        "arrays of xpnet's step"
    )

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.name == "sparse":
            raise LeftOutError("the first layer's products are sparse")
        self.products = products_alone(_network(case), case.sizes, X, y)
        self.epochs = case.epochs

    def restart(self) -> None:
        """Do nothing, since nothing is learned."""

    def epoch(self) -> None:
        """Compute the products."""
        for _ in range(self.epochs):
            self.products()


def _network(case: Case) -> NeuralNetwork:
    return dense(
        case.sizes,
        # As initializers, so that a reset restores the same weights.
        initializers=[lambda shape, rng, w=weights: w for weights, _ in case.weights()],
        epochs=case.epochs,
        batch_size=case.batch_size,
        optimizer=_optimizer(case.optimizer),
        loss=BinaryCrossEntropy(from_logits=True) if case.is_binary else SoftmaxCrossEntropy(),
        device=case.device,
        seed=case.seed,
    )


def _optimizer(name: str) -> Optimizer:
    kinds: dict[str, Optimizer] = {
        "sgd": SGD(**settings.SGD),
        "adam": Adam(**settings.ADAM),
        "rmsprop": RMSProp(**settings.RMSPROP),
    }
    return kinds[name]
