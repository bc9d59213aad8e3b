"""The compiled kernels of the operations that ``bench.ops`` measures.

A kernel runs as in a training step: as an instruction of a program, on one thread per core, where
each thread computes a part of the layer's outputs. It runs for many steps, because threads are
started once per training, not once per step.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnet import (
    L2,
    SGD,
    Adagrad,
    Adam,
    LinearActivation,
    ReLUActivation,
    RMSProp,
    SigmoidActivation,
    TanhActivation,
)
from xpnet.backends import ops
from xpnet.backends.cpu import formulas, kernels, losses, random, sparse
from xpnet.backends.cpu.engine import Engine
from xpnet.backends.cpu.program import ROWS_OF_BATCH, Memory, Program
from xpnet.common.traceable import formula_of, listing_of
from xpnet.optimizers.base import ruled
from xpnet.training.steps.translation import (
    listing_of_penalty,
    listings_of_activation,
    numbers_in,
)

from .operations import EPSILON, RATE

BUILDERS: dict[str, Callable[..., dict[int, "Place"]]] = {}
"""For each operation, a function that adds its instructions to a :class:`Kit`.

It takes the operation's arguments, and returns the places of the results by their index.
"""


class Place(NamedTuple):
    """The place of a matrix or vector in memory."""

    offset: int
    stride: int
    shape: tuple[int, ...]


class Kit:
    """Collects the instructions and arrays of a thread's program."""

    def __init__(self, memory: Memory, batch: int) -> None:
        self.memory, self.batch = memory, batch
        self.lines: list[tuple[str, tuple[Any, ...]]] = []
        self.filled: list[tuple[Place, np.ndarray]] = []
        self.data: np.ndarray = np.zeros(8, np.uint8)
        self.order = np.arange(batch)
        self.learning_rate, self.n_updates, self.draws = 0.0, 0, 0

    def space(self, *shape: int) -> Place:
        """Return a place for a new array."""
        if len(shape) == 1:
            return Place(self.memory.take(*shape), shape[0], shape)
        stride = self.memory.padded(shape[1])
        return Place(self.memory.take(shape[0], stride), stride, shape)

    def put(self, array: np.ndarray) -> Place:
        """Return the place of a copy of an array."""
        place = self.space(*array.shape)
        self.filled.append((place, array))
        return place

    def add(self, kernel: Callable[..., None], *arguments: int | float) -> None:
        """Add an instruction."""
        self.lines.append(("add", (kernel, *arguments)))

    def gemm(self, sizes: tuple[int, int, int], *places: Place, transposed: str = "NN") -> None:
        """Add a product."""
        self.lines.append(("gemm", (sizes, *(place[:2] for place in places), transposed)))

    def program(self) -> Program:
        """Return the program, after filling its arrays."""
        program = Program(self.memory, self.data.dtype.name)
        for name, arguments in self.lines:
            getattr(program, name)(*arguments)
        for place, array in self.filled:
            self.read(place)[...] = array
        return program

    def read(self, place: Place) -> np.ndarray:
        """Return a view of the array at a place."""
        rows = place.shape[0] if len(place.shape) > 1 else 1
        whole = self.memory.view(place.offset, rows, place.stride)
        return whole[:, : place.shape[-1]].reshape(place.shape)


class Compiled:
    """An operation in compiled code, which runs a given number of times.

    Parameters
    ----------
    name : str
        A key of :data:`BUILDERS`.
    given : list of tuple
        The operation's arguments, for each thread.
    keywords : dict
        The operation's keyword arguments.
    batch : int
    """

    def __init__(
        self, name: str, given: list[tuple[Any, ...]], keywords: dict[str, Any], batch: int
    ) -> None:
        memory = Memory(next(a.dtype.name for a in given[0] if hasattr(a, "dtype")))
        self.kits = kits = [Kit(memory, batch) for _ in given]  # owns what programs point to
        self.places = [
            BUILDERS[name](kit, *each, **keywords) for kit, each in zip(kits, given, strict=True)
        ]
        self.engine = Engine(memory, [(kit.program(), kit.program()) for kit in kits], kits[0].data)

    def __call__(self, times: int) -> None:
        """Run the operation ``times`` times."""
        kit = self.kits[0]
        self.engine.set_draws([kit.draws])
        order = np.tile(kit.order, times)
        self.engine.run(order, kit.batch, kit.learning_rate, kit.n_updates)

    def results(self) -> dict[int, np.ndarray]:
        """Return the current results of the operation on one thread, by their index."""
        return {number: self.kits[0].read(place) for number, place in self.places[0].items()}

    def close(self) -> None:
        """End the threads."""
        self.engine.close()


def builder(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds a function to ``BUILDERS`` under a name."""
    return lambda function: BUILDERS.setdefault(name, function)


@builder("take_rows")
def _take_rows(kit, x, index):
    kit.data, kit.order = x, index
    out = kit.space(len(index), x.shape[1])
    kit.add(kernels.gather, x.shape[1], *out[:2])
    return {0: out}


@builder("standardize")
def _standardize(kit, x, mean, scale):
    kit.data, out = x, kit.space(*x.shape)
    vectors = [kit.put(each).offset for each in ops.split_moments(mean, scale, x.dtype)]
    kit.add(kernels.gather_standardized, x.shape[1], *out[:2], *vectors)
    return {0: out}


@builder("matmul")
def _matmul(kit, a, b):
    x, e, out = kit.put(a.T), kit.put(b), kit.space(len(a), b.shape[1])
    kit.gemm((len(a), b.shape[1], ROWS_OF_BATCH), x, e, out, transposed="TN")
    return {0: out}


@builder("affine")
def _affine(kit, x, w, b):
    out = kit.space(len(x), len(b))
    kit.gemm((ROWS_OF_BATCH, len(b), len(w)), kit.put(x), kit.put(w), out)
    _activate(kit, LinearActivation(), out, b)
    return {0: out}


@builder("affine, sparse")
def _sparse_affine(kit, x, w, b):
    out, flat = kit.space(x.shape[0], len(b)), kit.put(w.reshape(-1))
    kit.add(sparse.sparse_product, len(b), *out[:2], flat.offset, *_addresses(kit, x))
    _activate(kit, LinearActivation(), out, b)
    return {0: out}


@builder("matmul, sparse")
def _sparse_matmul(kit, a, b):
    n, width = a.shape[0], b.shape[1]
    e, flat = kit.put(b), kit.space(n * width)
    kit.add(sparse.sparse_gradient, width, *e[:2], flat.offset, *_addresses(kit, a.T), n)
    return {0: Place(flat.offset, width, (n, width))}


def _addresses(kit, x):
    kit.kept = x.indptr.astype(np.int64), x.indices.astype(np.int32), x.data
    return [array.ctypes.data for array in kit.kept]


def _activate(kit, activation, z, b):
    kept = kit.space(*z.shape)
    alone, both, back = listings_of_activation(activation, b.dtype.name)
    listing = both if back is None else alone
    numbers = numbers_in(activation, listing)
    kernel = formulas.activation(listing)
    kit.add(kernel, len(b), *z[:2], kit.put(b).offset, *kept[:2], *numbers)


@builder("column_sum")
def _column_sum(kit, x):
    return {0: _back(LinearActivation())(kit, x, x)[1]}


def _forward(activation):
    def build(kit, z, b):
        out = kit.put(z)
        _activate(kit, activation, out, b)
        return {0: out}

    return build


BUILDERS["bias and ReLU"] = _forward(ReLUActivation())
BUILDERS["bias and tanh"] = _forward(TanhActivation())


@builder("rowwise")
def _sigmoid(kit, x, function):
    return _forward(SigmoidActivation())(kit, x, np.zeros(x.shape[1], x.dtype))


def _back(activation):
    def build(kit, e, a):
        error, out = kit.put(e), kit.space(e.shape[1])
        kernel = formulas.back(listings_of_activation(activation, e.dtype.name)[2])
        kit.add(kernel, e.shape[1], *error[:2], *kit.put(a)[:2], out.offset)
        return {0: error, 1: out}

    return build


BUILDERS["ReLU, back"] = _back(ReLUActivation())
BUILDERS["tanh, back"] = _back(TanhActivation())


@builder("softmax_cross_entropy")
def _softmax_cross_entropy(kit, z, labels):
    n, out = z.shape[1], kit.space(*z.shape)
    kit.labels = labels.astype(np.int64)
    numbers = kit.labels.ctypes.data, 0, True, False, 1.0, math.inf
    kit.add(losses.softmax_classes, n, *kit.put(z)[:2], *out[:2], *numbers)
    return {1: out}


@builder("dropout_mask")
def _dropout_mask(kit, like, rate, key, counter):
    n, out = like.shape[1], kit.put(np.ones_like(like))
    kit.draws = counter
    room = kit.space(n + 16).offset
    z = kit.put(like)
    kit.add(random.dropout, n, *z[:2], *out[:2], n, 0, key, float(rate), 0, room)
    return {0: out}


@builder("L2, derivative")
def _penalized(kit, g, w):
    out, cost = kit.put(g), L2(0.01)
    listing = listing_of_penalty(cost, w.dtype.name)
    shared = False, 0, 0, 0, False  # not shared by samples, not reported
    kernel = formulas.penalty(listing)
    kit.add(kernel, len(w), out.offset, kit.put(w).offset, *shared, *numbers_in(cost, listing))
    return {0: out}


def _update(optimizer):
    def build(kit, w, g, *states):
        names = ("w", "g", *optimizer.state_names)
        formula = formula_of(optimizer, ruled, names, w.dtype.name, ("rate", "t"))
        listing = listing_of(formula)
        places = [kit.put(array) for array in (w, g, *states)]
        kit.learning_rate, kit.n_updates = RATE, 9
        offsets = [place.offset for place in places]
        kernel = formulas.update(listing)
        kit.add(kernel, len(w), *offsets, 1.0, 0, *numbers_in(optimizer, listing))
        return dict(enumerate([places[0], *places[2:]]))

    return build


BUILDERS["sgd"] = _update(SGD(RATE, 0.9))
BUILDERS["rmsprop"] = _update(RMSProp(RATE, epsilon=EPSILON))
BUILDERS["adagrad"] = _update(Adagrad(RATE, epsilon=EPSILON))
BUILDERS["adam"] = _update(Adam(RATE, epsilon=EPSILON))
