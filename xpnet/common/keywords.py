"""Hints for names of other libraries, which this one has elsewhere or not at all."""

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
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            for name in kwargs:
                if name in hints and name not in signature(function).parameters:
                    raise TypeError(
                        f"{function.__qualname__}() got an unexpected keyword argument {name!r}: "
                        f"{hints[name]}"
                    )
            return function(*args, **kwargs)

        return checked

    return decorated


def hint_constructor(cls: type) -> None:
    """Add the advice of :data:`CONSTRUCTORS` to a class that defines a constructor."""
    hints: dict[str, Any] = {}
    for each in reversed(cls.__mro__):
        hints |= CONSTRUCTORS.get(each.__name__, {})
    if hints and "__init__" in vars(cls):
        cls.__init__ = with_hints(**hints)(vars(cls)["__init__"])  # type: ignore[misc]


class Elsewhere:
    """A name that is an attribute of a class in other libraries, but not in this one.

    Examples
    --------
    >>> class Network:
    ...     load = Elsewhere("write load(path)")
    >>> Network.load
    Traceback (most recent call last):
    AttributeError: Network has no attribute 'load': write load(path)
    """

    def __init__(self, advice: str) -> None:
        self.advice = advice

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, thing: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__} has no attribute {self.name!r}: {self.advice}")


_LAYERS = "add them one by one, as in net.add(DenseLayer(10, input_shape=(4,)))"
_CLIP = "it is an argument of optimizers, as in optimizer=Adam(clip_norm=1.0)"
_SPAN = "a schedule spans the epochs of the network, or its own argument epochs="
_DECAY = {
    **dict.fromkeys(["lr", "learning_rate", "initial_learning_rate", "base_lr"], "write initial="),
    **dict.fromkeys(["T_max", "decay_steps", "total_steps", "total_iters"], _SPAN),
    **dict.fromkeys(["eta_min", "end_learning_rate"], "write final="),
}
_EPSILON = {"eps": "write epsilon="}
_ADAM = {"betas": "write beta_1= and beta_2=", **_EPSILON}

CONSTRUCTORS: dict[str, dict[str, str]] = {
    "Optimizer": {
        "lr": "write learning_rate=",
        "weight_decay": "AdamW(weight_decay=...) has it, or give the network regularizer=L2(...)",
        "clipnorm": "write clip_norm=",
        "clipvalue": "write clip_value=",
        "params": "the network gives an optimizer its parameters",
    },
    **dict.fromkeys(["Adam", "Adamax", "NAdam", "RAdam"], _ADAM),
    "LBFGS": dict.fromkeys(
        ["lr", "learning_rate", "clipnorm", "clipvalue"], "it chooses the length of its steps"
    ),
    "Lion": {"betas": _ADAM["betas"]},
    "RMSProp": {"alpha": "write rho=", **_EPSILON},
    "Adadelta": _EPSILON,
    "Adagrad": _EPSILON,
    **dict.fromkeys(["LinearDecay", "CosineDecay", "ExponentialDecay", "PolynomialDecay"], _DECAY),
    "StepDecay": {
        "lr": "write initial=",
        "learning_rate": "write initial=",
        "gamma": "write factor=",
        "step_size": "write every=",
    },
    "OneCycle": {
        **dict.fromkeys(["max_lr", "lr", "learning_rate"], "write highest="),
        "total_steps": _SPAN,
        "pct_start": "write rising=",
        "anneal_strategy": "write shape=",
    },
    "ModelCheckpoint": {"save_best_only": "write best_only=", "filepath": "write path="},
    "TimeLimit": {
        "minutes": "write seconds=, as in TimeLimit(60 * minutes)",
        "hours": "write seconds=, as in TimeLimit(3600 * hours)",
    },
    "Layer": {
        "trainable": "set it afterwards, as in layer.trainable = False",
        "learning_rate_factor": "set it afterwards, as in layer.learning_rate_factor = 0.1",
    },
    "DenseLayer": {
        "units": "write n_units=",
        "out_features": "write n_units=",
        "in_features": "write input_shape=(n,)",
        "input_dim": "write input_shape=(n,)",
        "activation": "activations are layers: add(DenseLayer(10)).add(ReLUActivation())",
        "kernel_initializer": "write initializer=",
        "kernel_regularizer": "write regularizer=",
        "kernel_constraint": "write max_norm=",
        "bias": "write use_bias=",
    },
    "Dropout": {"p": "write rate="},
}
"""For constructors, by class: names of arguments in other libraries, and what to write instead.

The advice of a class also holds for its subclasses.
"""

_HE, _GLOROT = "'he_normal' or 'he_uniform'", "'glorot_normal' or 'glorot_uniform'"

INITIALIZERS: dict[str, str] = {
    **dict.fromkeys(["he", "kaiming"], _HE),
    **dict.fromkeys(["glorot", "xavier"], _GLOROT),
    "kaiming_normal": "'he_normal'",
    "kaiming_uniform": "'he_uniform'",
    "xavier_normal": "'glorot_normal'",
    "xavier_uniform": "'glorot_uniform'",
    "random_normal": "'normal'",
}
"""Names of initializers in other libraries, and what to write instead."""

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
    "layers": _LAYERS,
    "callbacks": "it is an argument of fit",
    "validation_split": "it is an argument of fit",
    **dict.fromkeys(["clip_norm", "clip_value", "clipnorm", "max_grad_norm"], _CLIP),
    "weight_decay": "write optimizer=AdamW(weight_decay=...) or regularizer=L2(...)",
    "dropout": "it is a layer: add(Dropout(0.3))",
    **dict.fromkeys(
        ["accumulation_steps", "gradient_accumulation_steps", "accumulate_grad_batches"],
        "write accumulate=",
    ),
    "class_weight": "it is an argument of the classification losses",
    "loss_weights": "give each head its weight, as in loss={'price': ('mse', 1, 0.5)}",
}
"""For ``NeuralNetwork``, as :data:`MODEL`."""

FRAME: dict[str, Any] = {
    **dict.fromkeys(["target", "y", "labels", "label_name"], "write label="),
    **dict.fromkeys(["features", "feature_names", "usecols"], "write columns="),
    "drop": "write exclude=",
    "index": "write id=",
}
"""For the constructors of ``Dataset`` that read tables, as :data:`MODEL`."""

SEARCH: dict[str, Any] = {
    "n_trials": "write n_iter=",
    "max_trials": "write n_iter=",
    "epochs": "it is an argument of the networks that build returns",
    "random_state": "write seed=",
    "cv": "give validation=(X, y); for cross-validation use xpnet.estimators with scikit-learn",
    "validation_split": "split the data with train_test_split, and give validation=",
    "validation_data": "write validation=",
    "scoring": "networks are compared by their first metric",
    "param_distributions": "write space=",
}
"""For ``random_search``, as :data:`MODEL`."""

PACKAGE: dict[str, str] = {
    **{name: f"xpnet.estimators.{name}" for name in ("MLPClassifier", "MLPRegressor")},
    **{name: f"xpnet.search.{name}" for name in ("random_search", "find_learning_rate")},
    **dict.fromkeys(["Sequential", "Network", "MLP"], "xpnet.NeuralNetwork"),
    **dict.fromkeys(["Dense", "Linear"], "xpnet.DenseLayer"),
    **{name: f"xpnet.{name}Activation" for name in ("ReLU", "Sigmoid", "Softmax", "Tanh", "GELU")},
    "BatchNorm1d": "xpnet.BatchNormalization",
    "LayerNorm": "xpnet.LayerNormalization",
    "CrossEntropyLoss": "xpnet.SoftmaxCrossEntropy",
    "MSELoss": "xpnet.MeanSquaredError",
    "save": "network.save(path)",
}
"""For the package itself: names of other libraries, or of its modules, and what to write."""
