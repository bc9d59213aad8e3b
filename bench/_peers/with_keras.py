"""Keras 3 on JAX."""

import statistics
import time
from typing import Any

import jax
import keras
import numpy as np

from .case import ADAM, RMSPROP, SGD, Case
from .peer import Peer


class KerasJax(Peer):
    """``Model.fit``; the seconds are those between the callbacks of an epoch."""

    note = (
        "compiled by Keras, one step at a time; the short last batch is a second compiled step; "
        "timed by callbacks, without the set-up of fit"
    )

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.device != "cpu":
            # JAX's default on a GPU is TensorFloat-32, which no other peer uses.
            jax.config.update("jax_default_matmul_precision", "highest")
        keras.utils.clear_session()  # of earlier cells
        keras.utils.set_random_seed(case.seed)
        self.case, self.X = case, X
        self.y = y.astype(np.float32)[:, None] if case.is_binary else y
        *hidden, n_outputs = case.sizes[1:]
        layers = [keras.layers.Dense(units, activation="relu") for units in hidden]
        layers = [keras.Input(case.sizes[:1]), *layers, keras.layers.Dense(n_outputs)]
        self.model = keras.Sequential(layers)
        kind = "BinaryCrossentropy" if case.is_binary else "SparseCategoricalCrossentropy"
        loss = getattr(keras.losses, kind)(from_logits=True)
        self.model.compile(_optimizer(case.optimizer), loss)
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [np.asarray(variable) for variable in self.model.optimizer.variables]
        self.clock = Clock()
        self.restart()

    def restart(self) -> None:
        """Set the initial weights and the optimizer's variables."""
        self.model.set_weights([array for layer in self.case.weights() for array in layer])
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    def epoch(self) -> float:
        """Fit, and return the loss of the history."""
        epochs = self.case.epochs
        history = self.model.fit(
            self.X,
            self.y,
            batch_size=self.case.batch_size,
            epochs=epochs,
            shuffle=True,
            verbose=0,
            callbacks=[self.clock],
        )
        if epochs == 1:
            self.loop_seconds = self.clock.seconds
        return statistics.fmean(history.history["loss"])


class Clock(keras.callbacks.Callback):
    """A callback that measures the time of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop the clock, after the epoch's loss has been read."""
        self.seconds = time.perf_counter() - self.start


def _optimizer(name: str) -> keras.optimizers.Optimizer:
    if name == "sgd":
        return keras.optimizers.SGD(**SGD)
    if name == "adam":
        return keras.optimizers.Adam(**ADAM)
    # Keras adds epsilon under the square root.
    return keras.optimizers.RMSprop(**RMSPROP | {"epsilon": RMSPROP["epsilon"] ** 2})
