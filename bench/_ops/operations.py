"""The operations of ``backends/ops.py`` that have a fast version, and their plain NumPy versions.

Dense operations are those of a layer of a :class:`Size`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from xpnet import L2, SGD, Adagrad, Adam, Optimizer, ReLUActivation, RMSProp, TanhActivation
from xpnet.activations import ActivationLayer
from xpnet.backends import ops
from xpnet.common.traceable import apply
from xpnet.optimizers.base import ruled
from xpnet.regularizers import ElementwisePenalty

EPSILON, RATE = 1e-8, 1e-3


class Size(NamedTuple):
    """A dense layer and its batch."""

    batch: int
    n_in: int
    n_out: int

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return (self.n_in + 1) * self.n_out


TEXT = (Size(512, 10_000, 16),)
"""A batch of texts, each with about 130 different words out of 10,000."""

DENSITY = 0.013


class Maker(NamedTuple):
    """A factory for the arrays of a call."""

    rng: np.random.Generator
    dtype: np.dtype

    def __call__(self, *shape: int) -> np.ndarray:
        """Return positive random numbers; states are squares."""
        return self.rng.uniform(0.5, 2, shape).astype(self.dtype)

    def rows(self, size: Size) -> sparse.csr_array:
        """Return sparse features."""
        x = sparse.random_array(
            (size.batch, size.n_in), density=DENSITY, rng=self.rng, dtype=self.dtype
        )
        return x.tocsr()


def entries(size: Size) -> int:
    """Return the number of stored entries of sparse features."""
    return int(DENSITY * size.batch * size.n_in)


class Operation(NamedTuple):
    """The call of an operation, and a lower bound on its cost.

    Attributes
    ----------
    given : function ``(Size, Maker) -> tuple``
        Returns the positional arguments, without ``out``.
    plain : function
        The same operation in plain NumPy.
    of : str, optional
        The operation's name in :mod:`xpnet.backends.ops`; by default the key of the row.
    definition : function, optional
        The definition of an operation that is not in :mod:`xpnet.backends.ops`.
    formula : function, optional
        The NumPy version generated from the formula of such an operation.
    out : function ``Size -> shape`` or None
        Returns the shape of ``out``; with None, the first argument is overwritten, as optimizers
        do, if the operation accepts ``out``.
    moved : function ``Size -> int`` or None
        Returns the minimum number of array elements to read and write.
    flops : function ``Size -> int`` or None
        For products, returns the number of additions and multiplications.
    keywords : dict
        The keyword arguments.
    sizes : tuple of Size, optional
        The sizes to measure; by default the sizes on the command line.
    """

    given: Callable[[Size, Maker], tuple[Any, ...]]
    plain: Callable[..., Any]
    of: str | None = None
    definition: Callable[..., Any] | None = None
    formula: Callable[..., Any] | None = None
    out: Callable[[Size], tuple[int, ...]] | None = None
    moved: Callable[[Size], int] | None = None
    flops: Callable[[Size], int] | None = None
    keywords: dict[str, Any] = {}  # noqa: RUF012 - a field of a tuple, and never changed
    sizes: tuple[Size, ...] = ()


def update(optimizer: Optimizer, plain: Callable[..., Any]) -> Operation:
    """Return the row of an optimizer's rule, for update number 10."""
    names = optimizer.state_names

    def definition(
        w: np.ndarray, g: np.ndarray, *state: np.ndarray, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        return optimizer.rule(w, g, *state, rate=RATE, t=10.0)

    def formula(
        w: np.ndarray, g: np.ndarray, *state: np.ndarray, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        arrays = dict(zip(("w", "g", *names), (w, g, *state), strict=True))
        outs = (np.empty_like(w) if out is None else out, *state)
        numbers = {"rate": RATE, "t": 10.0}
        return apply(optimizer, ruled, arrays, numbers, outs, ("w", *names))

    return Operation(
        lambda size, new: tuple(new(size.parameters) for _ in range(2 + len(names))),
        plain,
        definition=definition,
        formula=formula,
        moved=lambda size: (3 + 2 * len(names)) * size.parameters,  # w and states twice, g once
    )


def penalty(regularizer: ElementwisePenalty, plain: Callable[..., Any]) -> Operation:
    """Return the row of a penalty's derivative, added to the gradient."""

    def formula(g: np.ndarray, w: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return regularizer.add_to(g, w, out=out)

    return Operation(
        lambda size, new: (new(size.parameters), new(size.parameters)),
        plain,
        definition=lambda g, w, out=None: g + regularizer.derivative(w),
        formula=formula,
        moved=lambda size: 3 * size.parameters,
    )


def forward(activation: ActivationLayer, plain: Callable[..., Any]) -> Operation:
    """Return the row of adding a bias and applying an activation."""
    return Operation(
        lambda size, new: (new(size.batch, size.n_out), new(size.n_out)),
        plain,
        definition=lambda z, b: activation.activation_function(z + b),
        moved=lambda size: 2 * size.batch * size.n_out,
    )


def back(activation: ActivationLayer, plain: Callable[..., Any]) -> Operation:
    """Return the row of an activation's derivative at 0, with the gradient of the bias."""

    def definition(e: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        error = e * activation.derivative(a)
        return error, ops.column_sum(error)

    return Operation(
        lambda size, new: (new(size.batch, size.n_out), 0 * new(size.batch, size.n_out)),
        plain,
        definition=definition,
        moved=lambda size: 3 * size.batch * size.n_out,
    )


def _with_sum(error):
    return error, error.sum(axis=0)


def plain_sgd(w, g, v):
    v = 0.9 * v + g
    return w - RATE * v, v


def plain_rmsprop(w, g, s):
    s = 0.9 * s + 0.1 * g**2
    return w - RATE * g / (np.sqrt(s) + EPSILON), s


def plain_adagrad(w, g, s):
    s = s + g**2
    return w - RATE * g / (np.sqrt(s) + EPSILON), s


def plain_adam(w, g, m, v):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    return w - RATE * (m / (1 - 0.9**10)) / (np.sqrt(v / (1 - 0.999**10)) + EPSILON), m, v


def plain_softmax_cross_entropy(z, labels):
    rows = np.arange(len(z))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    s = e / e.sum(axis=1, keepdims=True)
    losses = -np.log(s[rows, labels])
    s[rows, labels] -= 1
    return losses, s


def _added_at(x: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Return the sums of rows with equal indices, by ``numpy.add.at``."""
    sums = np.zeros((n, x.shape[1]), x.dtype)
    np.add.at(sums, index, x)
    return sums


ROWS = {
    "take_rows": Operation(
        # From 32 batches, which do not fit in the cache, except for small layers.
        lambda size, new: (
            new(32 * size.batch, size.n_in),
            new.rng.permutation(32 * size.batch)[: size.batch],
        ),
        lambda x, index: x[index],
        out=lambda size: (size.batch, size.n_in),
        moved=lambda size: 2 * size.batch * size.n_in,
    ),
    "matmul": Operation(
        # The gradient of the weights; the forward product is in `affine`.
        lambda size, new: (new(size.batch, size.n_in).T, new(size.batch, size.n_out)),
        lambda a, b: a @ b,
        out=lambda size: (size.n_in, size.n_out),
        flops=lambda size: 2 * math.prod(size),
    ),
    "affine": Operation(
        lambda size, new: (
            new(size.batch, size.n_in),
            new(size.n_in, size.n_out),
            new(size.n_out),
        ),
        lambda x, w, b: x @ w + b,
        out=lambda size: (size.batch, size.n_out),
        flops=lambda size: 2 * math.prod(size),
    ),
    "matmul, sparse": Operation(
        lambda size, new: (new.rows(size).T, new(size.batch, size.n_out)),
        lambda a, b: a @ b,
        of="matmul",
        out=lambda size: (size.n_in, size.n_out),
        flops=lambda size: 2 * entries(size) * size.n_out,
        sizes=TEXT,
    ),
    "affine, sparse": Operation(
        lambda size, new: (new.rows(size), new(size.n_in, size.n_out), new(size.n_out)),
        lambda x, w, b: x @ w + b,
        of="affine",
        out=lambda size: (size.batch, size.n_out),
        flops=lambda size: 2 * entries(size) * size.n_out,
        sizes=TEXT,
    ),
    "sum_rows": Operation(  # the gradient of an embedding with ``n_in`` categories
        lambda size, new: (
            new(size.batch, size.n_out),
            new.rng.integers(0, size.n_in, size.batch),
            size.n_in,
        ),
        lambda x, index, n: _added_at(x, index, n),
        out=lambda size: (size.n_in, size.n_out),
        moved=lambda size: (size.batch + size.n_in) * size.n_out,
    ),
    "column_sum": Operation(
        lambda size, new: (new(size.batch, size.n_out),),
        lambda x: x.sum(axis=0),
        out=lambda size: (size.n_out,),
        moved=lambda size: (size.batch + 1) * size.n_out,
    ),
    "standardize": Operation(
        lambda size, new: (new(size.batch, size.n_in), new(size.n_in), new(size.n_in)),
        lambda x, mean, scale: (x - mean) / scale,
        out=lambda size: (size.batch, size.n_in),
        moved=lambda size: 2 * (size.batch + 1) * size.n_in,
    ),
    "rowwise": Operation(
        # The sigmoid represents all functions that make several passes.
        lambda size, new: (new(size.batch, size.n_out),),
        lambda x, function: function(x),
        out=lambda size: (size.batch, size.n_out),
        moved=lambda size: 2 * size.batch * size.n_out,
        keywords={"function": ops.sigmoid},
    ),
    "softmax_cross_entropy": Operation(
        lambda size, new: (
            new(size.batch, size.n_out),
            new.rng.integers(0, size.n_out, size.batch),
        ),
        plain_softmax_cross_entropy,
        moved=lambda size: 2 * size.batch * size.n_out,
    ),
    "dropout_mask": Operation(
        lambda size, new: (new(size.batch, size.n_out), 0.5, 1, 2),
        lambda like, rate, key, counter: (
            (ops.philox(key, counter).random(like.shape, np.float32) >= rate).astype(like.dtype)
            / (1 - rate)
        ),
        out=lambda size: (size.batch, size.n_out),
        moved=lambda size: size.batch * size.n_out,
    ),
    "all_finite": Operation(
        lambda size, new: (new(size.parameters),),
        lambda x: np.isfinite(x).all(),
        moved=lambda size: size.parameters,
    ),
    "norm": Operation(
        lambda size, new: (new(size.parameters),),
        np.linalg.norm,
        moved=lambda size: size.parameters,
    ),
    "scale": Operation(
        # Times -1, since repeated calls with another factor would end in subnormal numbers.
        lambda size, new: (new(size.parameters), -1.0),
        lambda x, factor: factor * x,
        moved=lambda size: 2 * size.parameters,
    ),
    "clip": Operation(
        lambda size, new: (new(size.parameters), -0.5, 0.5),
        np.clip,
        moved=lambda size: 2 * size.parameters,
    ),
    "L2, derivative": penalty(L2(0.01), lambda g, w: g + 0.02 * w),
    "bias and ReLU": forward(ReLUActivation(), lambda z, b: np.maximum(z + b, 0)),
    "bias and tanh": forward(TanhActivation(), lambda z, b: np.tanh(z + b)),
    "ReLU, back": back(ReLUActivation(), lambda e, a: _with_sum(e * (a > 0))),
    "tanh, back": back(TanhActivation(), lambda e, a: _with_sum(e * (1 - a**2))),
    "sgd": update(SGD(RATE, 0.9), plain_sgd),
    "rmsprop": update(RMSProp(RATE, epsilon=EPSILON), plain_rmsprop),
    "adagrad": update(Adagrad(RATE, epsilon=EPSILON), plain_adagrad),
    "adam": update(Adam(RATE, epsilon=EPSILON), plain_adam),
}
