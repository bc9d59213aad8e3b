"""The learning rate range test."""

import copy
import math
from collections.abc import Generator
from contextlib import closing
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from ..common.checks import check_count, check_positive
from ..common.direction import best_of
from ..common.readable import call_text
from ..neuralnet import NeuralNetwork
from ..training.feeding.arrays import Batch
from ..training.feeding.training_data import TrainingData
from ..training.fitting import prepare
from ..training.sums import loss_arguments


class LearningRates(NamedTuple):
    """The result of :func:`find_learning_rate`.

    Attributes
    ----------
    rates : array of shape (n_steps,)
        The learning rate of each step. The test may end before the last step.
    losses : array of shape (n_steps,)
        The smoothed loss: an exponential moving average of the batches' losses.
    suggestion : float
        The learning rate at which the loss falls fastest.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork
    >>> from xpnet.search import find_learning_rate
    >>> net = NeuralNetwork(batch_size=2, seed=0).add(DenseLayer(1, input_shape=(1,)))
    >>> found = find_learning_rate(net, ([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]))
    >>> found.rates.shape == found.losses.shape
    True
    >>> ax = found.plot()
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float

    def __repr__(self) -> str:
        return call_text("LearningRates", self._asdict().items())

    def plot(self, ax: Any = None, figsize: tuple[float, float] | None = None) -> Any:
        """Draw the loss against the learning rate, and mark the suggestion.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            The Axes to draw into; by default those of a new figure.
        figsize : tuple of float, optional
            Width and height of a new figure in inches.

        Returns
        -------
        matplotlib Axes
        """
        from ..plots.drawing import COLORS, axes_for, finish

        ax = axes_for(ax, figsize, 5.0, 4.0)
        ax.plot(self.rates, self.losses, color=COLORS[0])
        label = f"steepest descent: learning rate {self.suggestion:.2g}"
        ax.axvline(self.suggestion, color=COLORS[1], linestyle="--", label=label)
        ax.set_xscale("log")
        finish(ax, "Loss by learning rate", "learning rate", "loss, smoothed")
        return ax


def find_learning_rate(
    network: NeuralNetwork,
    data: Any,
    lowest: float = 1e-6,
    highest: float = 10.0,
    n_steps: int = 100,
) -> LearningRates:
    """Find a learning rate: train a copy of a network at rates that grow from step to step.

    This is the learning rate range test of Smith 2017, "Cyclical learning rates for training neural
    networks", section 3.3. The test ends early if the loss rises to four times its minimum.

    Parameters
    ----------
    network : NeuralNetwork
        Not changed.
    data : Dataset, (X, y) or (X, y, sample_weight)
        The data to train on.
    lowest : float, default 1e-6
        The learning rate of the first step.
    highest : float, default 10.0
        The learning rate of the last step. Each step multiplies it by the same factor.
    n_steps : int, default 100
        The number of steps, 3 or more.

    Returns
    -------
    LearningRates

    Raises
    ------
    ValueError
        An argument is out of range, or the loss is not finite in the first two steps.

    Examples
    --------
    >>> from xpnet import Adam, DenseLayer, NeuralNetwork, Normalization, ReLUActivation
    >>> from xpnet.datasets import load_digits
    >>> from xpnet.search import find_learning_rate
    >>> net = NeuralNetwork(batch_size=32, loss="softmax_cross_entropy", optimizer="adam", seed=0)
    >>> net = net.add(Normalization(0, 16, input_shape=(64,))).add(DenseLayer(32))
    >>> net = net.add(ReLUActivation()).add(DenseLayer(10))
    >>> found = find_learning_rate(net, load_digits())
    >>> 1e-3 < found.suggestion < 1.0
    True
    >>> net.optimizer = Adam(found.suggestion)
    """
    lowest, highest = check_positive("lowest", lowest), check_positive("highest", highest)
    n_steps = check_count("n_steps", n_steps, least=3)
    if not lowest < highest:
        raise ValueError(f"lowest={lowest:g} and highest={highest:g}: expected lowest < highest")
    net, rates = copy.deepcopy(network), np.geomspace(lowest, highest, n_steps)
    losses: list[float] = []
    mean = 0.0
    placed = prepare(net, data)
    quiet = np.errstate(over="ignore", invalid="ignore")  # the test ends if the loss is not finite
    with net.backend.active(), quiet, closing(_batches(net, placed)) as batches:
        for batch in batches:
            done = net.loss_and_gradient(batch.X, batch.y, batch.sample_weight)
            net.optimizer.learning_rate = float(rates[len(losses)])
            net.update_parameters(net.loss.total_weight(*loss_arguments(batch, done.output)))
            mean = _DECAY * mean + (1.0 - _DECAY) * net.backend.scalar(done.loss)
            losses.append(mean / (1.0 - _DECAY ** (len(losses) + 1)))  # undoes the start at 0
            if len(losses) == n_steps or _diverges(losses):
                break
    return _suggest(rates[: len(losses)], np.array(losses))


def _batches(net: NeuralNetwork, placed: TrainingData) -> Generator[Batch, None, None]:
    """Yield batches in the order of ``fit``, epoch after epoch, without end."""
    for epoch in count():
        with closing(placed.training.chunks(net.orders, epoch)) as chunks:
            for arrays, order in chunks:
                yield from arrays.batches(placed.plan.batch_size, order)


_DECAY = 0.95
"""The decay of the exponential moving average of the losses."""


def _diverges(losses: list[float]) -> bool:
    """Whether the last loss is not finite, or is more than four times the lowest loss.

    If the lowest loss is not positive, the rise is compared with the fall before it.
    """
    lowest = min(losses)
    rise = 3 * (lowest if lowest > 0 else max(losses[0] - lowest, -lowest))
    return not math.isfinite(losses[-1]) or losses[-1] > lowest + rise


def _suggest(rates: np.ndarray, losses: np.ndarray) -> LearningRates:
    """Suggest the rate at which the loss falls fastest over the logarithm of the rate.

    Only the descent to the lowest loss counts, without the first eighth of the steps: the moving
    average of a few losses is noisy.
    """
    lowest = best_of(losses, "min")
    if lowest is None or len(losses) < 2:
        raise ValueError(
            "the loss is not finite at the smallest learning rates: give a smaller value for "
            "lowest, or standardise the features"
        )
    first = min(len(losses) // 8, max(lowest - 2, 0))
    part = slice(first, max(lowest + 1, first + 2))
    slopes = np.gradient(losses[part], np.log(rates[part]))
    return LearningRates(rates, losses, float(rates[first + int(np.nanargmin(slopes))]))
