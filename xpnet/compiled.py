"""Training steps in compiled code, for the networks that have one.

:func:`compile_step` translates a network into a list of instructions of
:mod:`xpnet.backends` for each thread; nothing is compiled for a network. Who calls it has a second
way to train, and takes that where the answer is None.

Two cores are far from each other, in time: a number that one wrote takes the other as long as some
hundred products. So parameters, gradients and an optimizer's memory never travel. Each thread owns
some of the units of a layer, i.e. columns of its weights, and what travels are activations:

- forward, a thread computes its own columns of the layer's output, and all wait for all of them;
- back, it makes the gradient of its own columns from its own columns of the error. The error of
  the layer below is a sum over all columns, so each thread writes its part of that sum, and after
  a wait each adds up the columns of the layer below that it owns.

Layers that are too small to be worth a wait are computed by every thread for itself, from the
first such layer to the loss. Then a thread has the whole error where it needs it without waiting.
"""

import math
import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from .activations import (
    LeakyReLUActivation,
    LinearActivation,
    LogSoftmaxActivation,
    ReLU6Activation,
    ReLUActivation,
    SigmoidActivation,
    TanhActivation,
)
from .backends import is_sparse, ops
from .layers import DenseLayer, Dropout, Layer, Normalization
from .losses import (
    BinaryCrossEntropy,
    LossFunction,
    MeanLoss,
    MeanSquaredError,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp

if TYPE_CHECKING:
    from .neuralnet import NeuralNetwork

ACTIVATIONS: dict[type[Layer], tuple[str, str, str | None]] = {
    LinearActivation: ("add_bias", "sum_columns", None),
    ReLUActivation: ("relu", "back_relu", None),
    LeakyReLUActivation: ("leaky_relu", "back_leaky_relu", "alpha"),
    ReLU6Activation: ("relu6", "back_relu6", None),
    SigmoidActivation: ("sigmoid", "back_kept", "slope"),
    TanhActivation: ("tanh_", "back_tanh", None),
}
"""For each activation the kernels forward and back, and the attribute that they need."""

OPTIMIZERS: dict[type[Optimizer], tuple[str, tuple[str, ...]]] = {
    SGD: ("sgd", ("momentum", "dampening")),
    RMSProp: ("rmsprop", ("rho", "epsilon")),
    Adagrad: ("adagrad", ("epsilon", "epsilon")),
    Adam: ("adam", ("beta_1", "beta_2", "epsilon")),
    AdamW: ("adam", ("beta_1", "beta_2", "epsilon", "weight_decay")),
}
"""For each optimizer the kernel and the attributes that it needs."""

LOSSES: tuple[type[LossFunction], ...] = (
    BinaryCrossEntropy,
    MeanSquaredError,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)

_FEATURES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32",
    "float64",
]  # fmt: skip


_MOST_DROPOUTS = 16


class _Unsupported(Exception):
    """There is no compiled step for this; the message says for what."""


@dataclass(frozen=True)
class _Unit:
    """A dense layer with the activation, and the dropout, behind it."""

    layer: DenseLayer
    activation: Layer
    n_inputs: int
    n_units: int
    dropout: Dropout | None = None

    @property
    def kernels(self) -> tuple[str, str]:
        return ACTIVATIONS[type(self.activation)][:2]

    @property
    def keeps_derivative(self) -> bool:
        """Whether the derivative is made on the way forward and kept."""
        return self.dropout is not None or type(self.activation) is SigmoidActivation

    @property
    def number(self) -> float:
        name = ACTIVATIONS[type(self.activation)][2]
        return 0.0 if name is None else float(getattr(self.activation, name))


def why_not(net: "NeuralNetwork", X: Any, y: Any = None, sample_weight: Any = None) -> str | None:
    """Return why there is no compiled step for a network and its data, or None where there is."""
    try:
        _check_libraries()
        _check_network(net)
        _units(net.layers)
        _check_features(net, X)
        if y is not None:
            _targets(net, y)
        for what, array in (("targets", y), ("weights", sample_weight)):
            if array is not None and array.shape[0] != X.shape[0]:
                raise _Unsupported(f"{array.shape[0]} {what} for {X.shape[0]} samples")
    except _Unsupported as reason:
        return str(reason)
    return None


def compile_step(
    net: "NeuralNetwork",
    X: Any,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    batch_size: int,
    threads: int | None = None,
    keep_outputs: bool = False,
) -> "CompiledTraining | None":
    """Return a network's training step in compiled code, or None where there is none.

    Parameters
    ----------
    net : NeuralNetwork
    X : NumPy array or SciPy CSR matrix of shape (n, n_features)
        Read where it is, not copied; it must not change or go away while there is training.
    y : array of shape (n,) or (n, n_outputs)
        As the loss takes it.
    sample_weight : array of shape (n,), optional
    batch_size : int
    threads : int, optional
        By default as many as make the step fastest, and at most the processor's cores.
    keep_outputs : bool, default False
        Whether :attr:`CompiledTraining.outputs` is wanted.
    """
    if why_not(net, X, y, sample_weight) is not None:
        return None
    return CompiledTraining(net, X, y, sample_weight, batch_size, threads, keep_outputs)


# ---- what there is a compiled step for


def _check_libraries() -> None:
    for name in ("numba", "scipy", "threadpoolctl"):
        if find_spec(name) is None:
            raise _Unsupported(f"{name} is not installed: pip install 'xpnet[numba]'")


def _check_network(net: "NeuralNetwork") -> None:
    if net.backend.name != "numpy":
        raise _Unsupported(f"the backend {net.backend.name}: compiled steps are for NumPy")
    for name in ("forward_propagation", "backward_propagation", "update_parameters"):
        theirs = getattr(type(net), name).__module__ != f"{__package__}.neuralnet"
        if theirs or name in vars(net):
            raise _Unsupported(f"{type(net).__name__} has a {name} of its own")
        for layer in net.layers:
            if name in vars(layer):
                raise _Unsupported(f"a {layer.layer_name()} has a {name} of its own")
    optimizer, loss = net.optimizer, net.loss
    if type(optimizer) not in OPTIMIZERS:
        raise _Unsupported(f"the optimizer {type(optimizer).__name__}")
    if optimizer.clip_norm is not None or optimizer.clip_value is not None:
        raise _Unsupported("clipping of the gradient")
    if type(loss) not in LOSSES:
        raise _Unsupported(f"the loss {type(loss).__name__}")
    ends_in_logarithms = bool(net.layers) and type(net.layers[-1]) is LogSoftmaxActivation
    if isinstance(loss, NegativeLogLikelihood) and not ends_in_logarithms:
        raise _Unsupported("NegativeLogLikelihood behind anything but LogSoftmaxActivation")
    if ends_in_logarithms and not isinstance(loss, NegativeLogLikelihood):
        raise _Unsupported("LogSoftmaxActivation before anything but NegativeLogLikelihood")


def _units(layers: list[Layer]) -> list[_Unit]:
    """Return the dense layers, each with its activation."""
    units: list[_Unit] = []
    for k, layer in enumerate(layers):
        kind = type(layer)
        if kind is DenseLayer:
            assert isinstance(layer, DenseLayer)
            n_inputs = layer.input_shape()[0]
            units.append(_Unit(layer, LinearActivation(), n_inputs, layer.n_units))
        elif kind in ACTIVATIONS and units:
            last = units[-1]
            if kind is LinearActivation:
                continue
            if last.dropout is not None:
                raise _Unsupported("an activation behind Dropout")
            if type(last.activation) is not LinearActivation:
                raise _Unsupported("an activation behind another one")
            units[-1] = replace(last, activation=layer)
        elif kind is Dropout and units:
            assert isinstance(layer, Dropout)
            if layer.rate == 0.0:
                continue
            if units[-1].dropout is not None or layer.key is None:
                raise _Unsupported("Dropout behind Dropout, or without a stream of its own")
            units[-1] = replace(units[-1], dropout=layer)
        elif kind is LogSoftmaxActivation and k == len(layers) - 1 and units:
            if type(units[-1].activation) is not LinearActivation or units[-1].dropout:
                raise _Unsupported("LogSoftmaxActivation behind anything but DenseLayer")
        elif kind is not Normalization or k > 0:
            raise _Unsupported(f"{layer.layer_name()} as layer {k + 1}")
    if not units:
        raise _Unsupported("a network without a DenseLayer")
    if sum(unit.dropout is not None for unit in units) > _MOST_DROPOUTS:
        raise _Unsupported(f"more than {_MOST_DROPOUTS} times Dropout")
    return units


def _check_features(net: "NeuralNetwork", X: Any) -> None:
    if is_sparse(X):
        if X.format != "csr":
            raise _Unsupported(f"sparse features in the format {X.format}: CSR is needed")
        if type(net.layers[0]) is not DenseLayer:
            raise _Unsupported(f"sparse features before {net.layers[0].layer_name()}")
    elif not isinstance(X, np.ndarray) or X.ndim != 2:
        raise _Unsupported("features that are no matrix of NumPy")
    elif X.dtype.name not in _FEATURES or not X.dtype.isnative:
        raise _Unsupported(f"features of the type {X.dtype}")
    elif not X.flags.c_contiguous:
        raise _Unsupported("features that are not row by row in one piece of memory")
    if X.shape[1:] != net.layers[0].input_shape():
        raise _Unsupported(f"features of shape {X.shape}")


def _targets(net: "NeuralNetwork", y: Any) -> np.ndarray:
    """Return targets as kernels take them: int64 classes, or rows of the network's type."""
    n, n_outputs = y.shape[0], net.layers[-1].output_shape()[0]
    if not isinstance(y, np.ndarray):
        raise _Unsupported("targets that are not of NumPy")
    column = y.shape in ((n,), (n, 1))
    if net.loss.targets == "classes" and column and n_outputs > 1:
        if y.dtype.kind not in "iu":
            raise _Unsupported(f"classes of the type {y.dtype}")
        return np.ascontiguousarray(y.reshape(-1), np.int64)
    if column and n_outputs == 1:
        y = y.reshape(n, 1)
    if y.shape != (n, n_outputs):
        raise _Unsupported(f"targets of shape {y.shape}")
    return np.ascontiguousarray(y, net.backend.dtype)


def _weights(net: "NeuralNetwork", y: np.ndarray, given: Any) -> np.ndarray | None:
    """Return each sample's weight as the loss makes it, or None where all weigh the same."""
    dtype, loss = net.backend.dtype, cast(MeanLoss, net.loss)
    zero, n_outputs = np.zeros((), dtype), net.layers[-1].output_shape()[0]

    def some(y: np.ndarray, *weight: np.ndarray) -> Any:
        outputs = np.broadcast_to(zero, (len(y), n_outputs))  # for their shape and type
        return loss.sample_weight(y, outputs, weight[0] if weight else None)

    if given is None and some(y[:1]) is None:
        return None
    arrays = () if given is None else (np.asarray(given, dtype),)
    return cast(np.ndarray, ops.rowwise(y, *arrays, function=some, out=np.empty(len(y), dtype)))


# ---- who computes what


@dataclass(frozen=True)
class _Plan:
    """How many threads there are, and how many layers from the first they share."""

    threads: int
    shared: int
    sparse: bool = False

    def step(self, index: int) -> int:
        """Return what a layer's columns are dealt out by: whole cache lines and registers.

        With sparse features the first layer is narrow often, and its product takes any width.
        """
        return 8 if index == 0 and self.sparse else 16

    def fits(self, units: list[_Unit]) -> bool:
        """Whether there is something for every thread in each of the layers that they share."""
        return all(
            unit.n_units > self.step(k) * (self.threads - 1)
            for k, unit in enumerate(units[: self.shared])
        )

    def columns(self, index: int, unit: _Unit, thread: int) -> tuple[int, int]:
        """Return the first of a layer's columns that a thread computes, and how many."""
        if index >= self.shared:
            return 0, unit.n_units
        step = self.step(index)
        pieces = -(-unit.n_units // step)
        start, stop = (
            min(step * -(-pieces * k // self.threads), unit.n_units) for k in (thread, thread + 1)
        )
        return start, stop - start


def _cost(
    plan: _Plan, units: list[_Unit], batch: int, per_parameter: float, filled: float
) -> float:
    """Return about how many microseconds a step takes.

    The constants are of a processor of 2023; a wrong choice costs some per cent.
    """

    def product(*sizes: int) -> float:
        return 0.4 + 2.0 * math.prod(sizes) / 90e3

    def travel(columns: int) -> float:
        """Return what the others' columns of a batch cost, 20 nanoseconds a cache line."""
        return 0.02 * batch * columns / 16.0

    total = 2.0
    for index, unit in enumerate(units):
        own = plan.columns(index, unit, 0)[1]
        inputs = max(int(unit.n_inputs * filled), 1) if index == 0 else unit.n_inputs
        wide = -(-own // 16) * 16
        total += (2 if index == 0 else 3) * product(batch, inputs, wide)
        total += 1.0 + 3e-4 * batch * wide + per_parameter * own * unit.n_inputs
        if index == 0:
            total += 2e-4 * batch * inputs
        if index < plan.shared and plan.threads > 1:
            total += 1.5 + travel(unit.n_units - own)
            if index > 0:
                total += 1.5 + travel(plan.columns(index - 1, units[index - 1], 0)[1])
    return total


def _best_plan(
    units: list[_Unit],
    batch: int,
    per_parameter: float,
    threads: int | None,
    filled: float | None,
) -> _Plan:
    """Return the plan that takes least time, with so many threads where that is asked for.

    Of sparse features ``filled`` is the part that is there.
    """
    sparse = filled is not None
    least, most = (1, min(cores(), 8)) if threads is None else (threads, threads)
    plans = [
        _Plan(t, shared, sparse)
        for t in range(least, most + 1)
        for shared in (range(1, len(units) + 1) if t > 1 else [0])
    ]
    usable = [plan for plan in plans if plan.fits(units)] or [_Plan(1, 0, sparse)]
    # An entry of a sparse row takes about as long as eight of a dense one.
    share = 1.0 if filled is None else min(8.0 * filled, 1.0)
    return min(usable, key=lambda plan: _cost(plan, units, batch, per_parameter, share))


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ---- the step


class CompiledTraining:
    """The training step of a network on its data; parameters live here from load to store.

    Made by :func:`compile_step`, whose arguments it takes. Its threads end with :meth:`close`, at
    the end of a ``with`` block, or when nobody has it any more.

    Attributes
    ----------
    threads : int
    outputs : array of shape (len(order), n_outputs) or None
        The network's outputs for the samples of the last :meth:`run`, where they are kept. They
        last until the next one.
    nbytes : int
        Bytes that it holds.
    """

    def __init__(
        self,
        net: "NeuralNetwork",
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        batch_size: int,
        threads: int | None = None,
        keep_outputs: bool = False,
    ) -> None:
        from ._instructions import Builder  # needs Numba

        self.net, self.batch_size = net, batch_size
        units = _units(net.layers)
        self.outputs: np.ndarray | None = None
        self._kept: np.ndarray | None = None
        self._keeps = keep_outputs
        self._n_outputs, self._n_samples = units[-1].n_units, X.shape[0]
        targets = _targets(net, y)
        weights = _weights(net, targets, sample_weight)
        filled = X.nnz / max(math.prod(X.shape), 1) if is_sparse(X) else None
        n_states = len(net.optimizer.state_names)
        plan = _best_plan(units, batch_size, 1e-4 * (1 + n_states), threads, filled)
        self.threads = plan.threads
        self._builder = Builder(net, units, plan, X, targets, weights, batch_size)
        self._engine = self._builder.engine()
        self._dropouts = [unit.dropout for unit in units if unit.dropout is not None]
        self._n_updates = self._loaded_updates = 0
        self._used: tuple[Any, ...] = (X, y, sample_weight)
        self._out: list[np.ndarray] | None = None

    def use(self, X: Any, y: Any, sample_weight: np.ndarray | None) -> None:
        """Train on other samples from now on, of the same kind and no more of them than at first.

        Features, which must be dense, are read where they are; targets and weights are copied over
        the first ones, which must be there for nobody else.
        """
        if self._used[0] is X and self._used[1] is y:
            return
        self._used = (X, y, sample_weight)
        targets = _targets(self.net, y)
        weights = _weights(self.net, targets, sample_weight)
        self._n_samples = X.shape[0]
        self._builder.use(X, targets, weights)
        self._engine.data = self._builder.data

    def load(self) -> None:
        """Bring parameters and the optimizer's state in."""
        optimizer = self.net.optimizer
        flats = [self.net.parameters.gather()]
        flats += [optimizer.remembered(name, flats[0]) for name in optimizer.state_names]
        self._builder.bring_in(flats)
        self._n_updates = self._loaded_updates = optimizer.n_updates
        # Each step draws once, so what counts the updates counts the draws.
        self._engine.set_draws([each.n_masks - self._n_updates for each in self._dropouts])

    def run(self, order: np.ndarray, learning_rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Train on the samples of ``order`` in batches, the last one short where they end.

        Returns
        -------
        tuple of float64 array
            Each step's loss, and the total weight that it is a mean over.
        """
        if len(order) and not 0 <= np.min(order) <= np.max(order) < self._n_samples:
            raise IndexError(f"order goes beyond the {self._n_samples} samples")
        if self._keeps:
            if self._kept is None or len(self._kept) < len(order):
                self._kept = np.empty((len(order), self._n_outputs), self.net.backend.dtype)
            self.outputs = self._kept[: len(order)]
        losses, weights = self._engine.run(
            order, self.batch_size, learning_rate, self._n_updates, self.outputs
        )
        self._n_updates += len(losses)
        return losses, weights

    def store(self) -> None:
        """Give parameters and the optimizer's state, as they are now, to the network."""
        optimizer, parameters = self.net.optimizer, self.net.parameters
        if self._out is None:
            # New arrays, once: what somebody holds of the weights so far does not change.
            n_arrays = 1 + len(optimizer.state_names)
            self._out = [np.empty_like(parameters.gather()) for _ in range(n_arrays)]
        self._builder.bring_out(self._out)
        parameters.scatter(self._out[0])
        if self._n_updates:
            for name, flat in zip(optimizer.state_names, self._out[1:], strict=True):
                setattr(optimizer, name, flat)
        optimizer.n_updates = self._n_updates
        for each in self._dropouts:
            each.n_masks += self._n_updates - self._loaded_updates
        self._loaded_updates = self._n_updates

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held here, without the features."""
        return self._builder.nbytes + (0 if self._kept is None else self._kept.nbytes)

    def close(self) -> None:
        """End the threads."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
