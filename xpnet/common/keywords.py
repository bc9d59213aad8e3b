"""Hints for keyword arguments of other libraries, which this one has elsewhere or not at all."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def with_hints(**hints: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that adds advice to Python's TypeError for an unknown keyword.

    Parameters
    ----------
    **hints : str
        What to write instead, by the name of a keyword that the function does not have.

    Examples
    --------
    >>> @with_hints(lr="write learning_rate=")
    ... def train(learning_rate=0.1): ...
    >>> train(lr=0.5)
    Traceback (most recent call last):
    TypeError: train() got an unexpected keyword argument 'lr': write learning_rate=
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        known = signature(function).parameters

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            for name in kwargs:
                if name in hints and name not in known:
                    raise TypeError(
                        f"{function.__qualname__}() got an unexpected keyword argument {name!r}: "
                        f"{hints[name]}"
                    )
            return function(*args, **kwargs)

        return checked

    return decorated


FIT: dict[str, Any] = {
    "x": "write X=",
    "dataset": "write X=, or give the data set first",
    "validation_data": "write validation=",
    "validation_freq": "write eval_every=",
    "validation_batch_size": "validation data are evaluated in batches of a fixed size",
    "validation_steps": "all validation data are evaluated",
    "batch_size": "it is an argument of NeuralNetwork",
    "shuffle": "it is an argument of NeuralNetwork",
    "verbose": "it is an argument of NeuralNetwork",
    "class_weight": "it is an argument of the classification losses",
    "initial_epoch": "training goes on where the last call of fit ended",
}
"""For ``NeuralNetwork.fit``: names of Keras's arguments, and what to do instead."""

MODEL: dict[str, Any] = {
    "losses": "write loss=, which takes a dict for several targets with a loss each",
    "criterion": "write loss=",
    "optimiser": "write optimizer=",
    "lr": "write learning_rate=",
    "random_state": "write seed=",
}
"""For ``Model``: names of its arguments in other libraries, and what to write instead."""

NETWORK: dict[str, Any] = {
    **MODEL,
    "metrics": "write metric=, which takes one metric, a list of them, or a dict by head",
    "n_epochs": "write epochs=",
    "max_iter": "write epochs=",
    "layers": "add them one by one, as in net.add(DenseLayer(10, input_shape=(4,)))",
    "callbacks": "it is an argument of fit",
    "validation_split": "it is an argument of fit",
    "class_weight": "it is an argument of the classification losses",
    "loss_weights": "give each head its weight, as in loss={'price': ('mse', 1, 0.5)}",
}
"""For ``NeuralNetwork``, as :data:`MODEL`."""

DENSE: dict[str, Any] = {
    "units": "write n_units=",
    "out_features": "write n_units=",
    "in_features": "write input_shape=(n,)",
    "input_dim": "write input_shape=(n,)",
    "activation": "activations are layers: add(DenseLayer(10)).add(ReLUActivation())",
    "kernel_initializer": "write initializer=",
    "kernel_regularizer": "write regularizer=",
    "kernel_constraint": "write max_norm=",
    "bias": "write use_bias=",
}
"""For ``DenseLayer``: names of Keras's and PyTorch's arguments, and what to write instead."""
