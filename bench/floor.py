"""The matrix products of an epoch without any other work, a lower bound on its time."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from weakref import finalize

import numpy as np

from xpnet import NeuralNetwork
from xpnet.backends import Backend

from .captured_steps import STEPS, StepParts


def products_alone(net: NeuralNetwork, sizes: Sequence[int], X: Any, y: Any) -> Callable[[], None]:
    """Return a function that computes the matrix products of an epoch of training, and waits.

    On a GPU they are the products of the network's captured step, otherwise those of dense layers
    of the given sizes.
    """
    if net.backend.has_kernels:
        return captured_products(net, X, y)
    return products_of_an_epoch(net.backend, len(y), sizes, net.batch_size)


def captured_products(net: NeuralNetwork, X: Any, y: Any) -> Callable[[], None]:
    """Return a function that replays the products of an epoch of full batches."""
    step = StepParts(net, X, y)
    many, few = divmod(-(-len(y) // net.batch_size), STEPS)
    graph, rest = step.products(), step.products(few)

    def products() -> None:
        for _ in range(many):
            graph.launch()
        if few:
            rest.launch()
        step.wait()

    finalize(products, step.close)  # frees the graphs along with the function
    return products


def products_of_an_epoch(
    backend: Backend, n: int, sizes: Sequence[int], batch_size: int
) -> Callable[[], None]:
    """Return a function that computes the matrix products of an epoch into existing buffers."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        return backend.asarray(rng.standard_normal(shape), backend.dtype)

    weights = [random(n_in, n_out) for n_in, n_out in pairwise(sizes)]
    activations = [random(batch_size, size) for size in sizes]
    errors, gradients = [random(*a.shape) for a in activations], [random(*w.shape) for w in weights]

    def products() -> None:
        matmul, layers = backend.xp.matmul, range(len(weights))
        with backend.active():
            for _ in range(-(-n // batch_size)):
                for k in layers:
                    matmul(activations[k], weights[k], out=activations[k + 1])
                for k in reversed(layers):
                    matmul(activations[k].T, errors[k + 1], out=gradients[k])
                    if k:
                        matmul(errors[k + 1], weights[k].T, out=errors[k])
            backend.scalar(gradients[0][0, 0])  # waits for the device

    return products


def flops(n: int, sizes: Sequence[int]) -> int:
    """Count the additions and multiplications of an epoch's products, forward and backward."""
    layers = list(pairwise(sizes))
    return 2 * n * (3 * sum(a * b for a, b in layers) - layers[0][0] * layers[0][1])
