"""JAX, with a compiled step or a compiled epoch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .case import ADAM, RMSPROP, SGD, Case
from .peer import Peer

try:
    import optax
except ImportError:
    optax = None


class State(NamedTuple):
    """The state that a step changes."""

    parameters: Any
    optimizer: Any
    loss: Any


class JaxStep(Peer):
    """One compiled function per step: gather, gradient, update."""

    note = "the short last batch is a second compiled step"

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.device != "cpu":
            # JAX's default on a GPU is TensorFloat-32, which no other peer uses.
            jax.config.update("jax_default_matmul_precision", "highest")
        jax.clear_caches()  # of earlier cells
        self.case, self.n = case, len(y)
        self.data = jax.device_put(X), jax.device_put(y.astype(np.int32))
        self.rng = np.random.default_rng(case.seed + 1)
        self.optimizer = (optimizer_by_hand if optax is None else optimizer)(case.optimizer)
        self.compiled = self.compile()
        self.restart()

    def compile(self) -> Any:
        """Return the compiled function of the state."""
        return jax.jit(self.step, donate_argnums=0)

    def restart(self) -> None:
        """Make the state from the initial weights."""
        parameters = jax.device_put(self.case.weights())
        self.state = State(parameters, self.optimizer.init(parameters), jnp.zeros(()))

    def step(self, state: State, X: Any, y: Any, index: Any) -> State:
        """Train on the samples at ``index``."""
        x, labels = (jnp.take(array, index, axis=0, mode="clip") for array in (X, y))
        loss, gradient = jax.value_and_grad(self.loss)(state.parameters, x, labels)
        change, kept = self.optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = jax.tree.map(jnp.add, state.parameters, change)
        return State(parameters, kept, state.loss + loss * len(index))

    def loss(self, parameters: Any, x: Any, y: Any) -> Any:
        """Return a batch's loss."""
        *hidden, (weights, biases) = parameters
        for w, b in hidden:
            x = jax.nn.relu(x @ w + b)
        z = x @ weights + biases
        if self.case.is_binary:
            return jnp.mean(jax.nn.softplus(z[:, 0]) - y * z[:, 0])
        picked = jnp.take_along_axis(z, y[:, None], axis=1, mode="clip")[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - picked)

    def orders(self) -> np.ndarray:
        """Return an order of the samples for each epoch, drawn by NumPy, which is faster."""
        orders = (self.rng.permutation(self.n) for _ in range(self.case.epochs))
        return np.stack([order.astype(np.int32) for order in orders])

    def run(self, state: State) -> State:
        """Run all steps of the epochs."""
        size = self.case.batch_size
        for order in self.orders():
            for start in range(0, self.n, size):
                state = self.compiled(state, *self.data, order[start : start + size])
        return state

    def epoch(self) -> float:
        """Train, and wait for the device."""
        self.state = self.run(self.state._replace(loss=jnp.zeros(())))
        jax.block_until_ready(self.state)
        return float(self.state.loss) / (self.n * self.case.epochs)


class JaxScan(JaxStep):
    """One compiled function for everything: a scan over batches within a scan over epochs."""

    note = "the short last batch is a step after the scan, in the same compiled function"

    def compile(self) -> Any:
        """Return the compiled function of all epochs."""
        return jax.jit(self.scan, donate_argnums=0)

    def scan(self, state: State, X: Any, y: Any, orders: Any) -> State:
        """Train for one epoch per order."""
        size = self.case.batch_size
        whole = self.n // size * size

        def one_batch(state: State, index: Any) -> tuple[State, None]:
            return self.step(state, X, y, index), None

        def one_epoch(state: State, order: Any) -> tuple[State, None]:
            state, _ = jax.lax.scan(one_batch, state, order[:whole].reshape(-1, size))
            return (self.step(state, X, y, order[whole:]) if whole < self.n else state), None

        return jax.lax.scan(one_epoch, state, orders)[0]

    def run(self, state: State) -> State:
        """Call the compiled function."""
        return self.compiled(state, *self.data, self.orders())


class Update(NamedTuple):
    """The two functions of an Optax optimizer."""

    init: Any
    update: Any


def optimizer(name: str) -> Any:
    """Return the Optax optimizer."""
    if name == "sgd":
        return optax.sgd(SGD["learning_rate"], SGD["momentum"])
    if name == "adam":
        rate, beta_1, beta_2, epsilon = ADAM.values()
        return optax.adam(rate, beta_1, beta_2, epsilon)
    rate, rho, epsilon = RMSPROP.values()
    return optax.rmsprop(rate, rho, epsilon, eps_in_sqrt=False)


def optimizer_by_hand(name: str) -> Update:
    """Return the same optimizer without Optax."""

    def zeros(parameters: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, parameters)

    def sgd(gradient: Any, v: Any, _: Any) -> tuple[Any, Any]:
        v = jax.tree.map(lambda v, g: SGD["momentum"] * v + g, v, gradient)
        return jax.tree.map(lambda v: -SGD["learning_rate"] * v, v), v

    def adam(gradient: Any, state: Any, _: Any) -> tuple[Any, Any]:
        rate, beta_1, beta_2, epsilon = ADAM.values()
        m, v, t = state
        t = t + 1
        m = jax.tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, m, gradient)
        v = jax.tree.map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, v, gradient)
        step, unbias = rate / (1 - beta_1**t), 1 / jnp.sqrt(1 - beta_2**t)
        change = jax.tree.map(lambda m, v: -step * m / (unbias * jnp.sqrt(v) + epsilon), m, v)
        return change, (m, v, t)

    def rmsprop(gradient: Any, s: Any, _: Any) -> tuple[Any, Any]:
        rate, rho, epsilon = RMSPROP.values()
        s = jax.tree.map(lambda s, g: rho * s + (1 - rho) * g * g, s, gradient)
        return jax.tree.map(lambda g, s: -rate * g / (jnp.sqrt(s) + epsilon), gradient, s), s

    if name == "adam":
        return Update(lambda p: (zeros(p), zeros(p), jnp.zeros((), jnp.int32)), adam)
    return Update(zeros, sgd if name == "sgd" else rmsprop)
