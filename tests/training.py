"""Helpers for the tests of training: training by formulas, and rows with duplicate entries."""

import numpy as np

from xpnet.data import Dataset
from xpnet.training.feeding.placing import place
from xpnet.training.purpose import intake_of
from xpnet.training.sums import loss_arguments

N, BATCH = 75, 16  # the last batch is short


def orders(epochs=3):
    """Return the order of the samples in each epoch."""
    rng = np.random.default_rng(5)
    return [rng.permutation(N) for _ in range(epochs)]


def in_halves(X):
    """Return a CSR matrix with each entry stored as two halves."""
    halves = np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr
    return type(X)(halves, shape=X.shape)


def by_formulas(net, X, y, weight=None):
    """Train step by step like the trainer; return losses, weights and outputs."""
    data = Dataset(X, y) if weight is None else Dataset(X, y, sample_weight=weight)
    arrays = place(data, intake_of(net, net.backend), y)
    losses, weights, outputs = [], [], []
    for order in orders():
        for batch in arrays.batches(BATCH, order):
            done = net.loss_and_gradient(batch.X, batch.y, batch.sample_weight)
            arguments = loss_arguments(batch, done.output)
            losses.append(float(done.loss))
            weights.append(float(net.loss.total_weight(*arguments)))
            outputs.append(np.array(done.output))
            net.update_parameters(weights[-1])
    return np.array(losses), np.array(weights), np.concatenate(outputs)
