"""Hints for users of other libraries: names that this library has elsewhere or not at all."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def with_hints(**hints: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that adds advice to Python's TypeError for an unknown keyword.

    For a keyword without a hint, the advice is the argument with the most similar name.

    Parameters
    ----------
    **hints : str
        What to write instead, by unknown keyword.

    Examples
    --------
    >>> @with_hints(lr="write learning_rate=")
    ... def train(learning_rate=0.1): ...
    >>> train(lr=0.5)
    Traceback (most recent call last):
    TypeError: train() got an unexpected keyword argument 'lr': write learning_rate=
    >>> train(learning_rat=0.5)
    Traceback (most recent call last):
    TypeError: train() got an unexpected keyword argument 'learning_rat': did you mean \
'learning_rate'?
    """
    return _hinted(lambda owner: hints)


def _hinted(
    hints_of: Callable[[type], Mapping[str, str]],
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator; ``hints_of`` is called with the method's class, or NoneType."""

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        known = signature(function).parameters
        if any(each.kind is each.VAR_KEYWORD for each in known.values()):
            return function

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            if not kwargs.keys() <= known.keys():
                raise _unexpected(function, known, hints_of, args, kwargs)
            return function(*args, **kwargs)

        return checked

    return decorated


def _unexpected(
    function: Any, known: Mapping[str, Any], hints_of: Any, args: Any, kwargs: Any
) -> TypeError:
    """Return Python's error for an unknown keyword, with advice."""
    owner, what = type(None), function.__qualname__
    if next(iter(known), None) in ("self", "cls") and args:
        owner = args[0] if isinstance(args[0], type) else type(args[0])
        what = f"{owner.__name__}.{function.__name__}"
    name = next(each for each in kwargs if each not in known)
    advice = hints_of(owner).get(name)
    if advice is not None and not {*_WRITE.findall(advice)} <= known.keys():
        advice = None  # it names an argument of another method
    if advice is None:
        near = get_close_matches(name.lower(), [*known], n=1, cutoff=0.75)
        advice = f"did you mean {near[0]!r}?" if near else None
    return TypeError(
        f"{what}() got an unexpected keyword argument {name!r}"
        + ("" if advice is None else f": {advice}")
    )


_WRITE = re.compile(r"^write (\w+)=")


def hint_constructor(cls: type) -> None:
    """Add the hints of :data:`CONSTRUCTORS` to a class that defines a constructor."""
    own = vars(cls).get("__init__")
    if own is not None and not hasattr(own, "__wrapped__"):  # it has no hints yet
        cls.__init__ = _hinted(_hints_of)(own)  # type: ignore[misc]


def _hints_of(cls: type) -> dict[str, str]:
    return of_bases(CONSTRUCTORS, cls)


def of_bases(table: Mapping[str, dict[str, str]], cls: type) -> dict[str, str]:
    """Return the entries of a table for a class and its bases, merged."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        found |= table.get(each.__name__, {})
    return found


class Elsewhere:
    """Descriptor of an attribute that only other libraries have; access raises with advice.

    ``hasattr`` is False, since the error is an AttributeError.

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
        self.__doc__ = f"Not in xpnet: {advice}."  # shown by help()

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner, self.name = owner, name

    def __get__(self, thing: Any, owner: type) -> Any:
        with suppress(AttributeError):  # a user's class may inherit it from another base
            return getattr(super(self.owner, owner if thing is None else thing), self.name)
        raise AttributeError(f"{owner.__name__} has no attribute {self.name!r}: {self.advice}")


class NoSuchMethods:
    """Base of networks with advice for methods of other libraries."""

    load = Elsewhere("write xpnet.load(path)")
    compile = Elsewhere("give NeuralNetwork(...) the loss, the optimizer and the metric")
    train = Elsewhere("write fit(X, y); there is no mode to set, because only fit trains")
    eval = Elsewhere("it is not needed: predict and evaluate do not use dropout")
    state_dict = Elsewhere("write save(path), or layer.weights for the arrays of a layer")
    load_state_dict = Elsewhere("write xpnet.load(path)")
    get_weights = Elsewhere("write layer.weights and layer.biases for the arrays of a layer")
    count_params = Elsewhere("write summary()")
    partial_fit = Elsewhere("write fit(X, y, epochs=1), which goes on with the training")


_FILL, _DROP = "write fill_missing()", "write drop_missing()"


class NoSuchDataMethods:
    """Base of data sets: methods of other libraries, and what to write instead."""

    fillna = Elsewhere(_FILL)
    fill_null = Elsewhere(_FILL)
    fill_na = Elsewhere(_FILL)
    impute = Elsewhere(_FILL)
    dropna = Elsewhere(_DROP)
    drop_nulls = Elsewhere(_DROP)
    drop_na = Elsewhere(_DROP)
    isna = Elsewhere("write ~is_complete() for the rows with missing cells")
    isnull = Elsewhere("write ~is_complete() for the rows with missing cells")


_NO_WIDTH = "the layer infers its width from its input: leave it out"
_STOPPING = "EarlyStopping is a callback: fit(X, y, callbacks=EarlyStopping(...))"
_LAYERS = "add them one by one, as in net.add(DenseLayer(10, input_shape=(4,)))"
_CLIP = "it is an argument of optimizers, as in optimizer=Adam(clip_norm=1.0)"
_SPAN = "a schedule spans the epochs of the network, or its own argument epochs="
_DECAY = {
    **dict.fromkeys(["lr", "learning_rate", "initial_learning_rate", "base_lr"], "write initial="),
    **dict.fromkeys(["T_max", "decay_steps", "total_steps", "total_iters"], _SPAN),
    **dict.fromkeys(["eta_min", "end_learning_rate"], "write final="),
}
_EPSILON = {"eps": "write epsilon="}
_NORMALIZED = {
    **dict.fromkeys(["normalized_shape", "num_features", "axis", "n_units"], _NO_WIDTH),
    **_EPSILON,
}
_ADAM = {"betas": "write beta_1= and beta_2=", **_EPSILON}

_FREEZE = "write layer.trainable = False"

ATTRIBUTES: dict[str, dict[str, str]] = {
    "Layer": {
        **dict.fromkeys(["requires_grad", "frozen", "freeze"], _FREEZE),
        **dict.fromkeys(
            ["lr", "learning_rate"],
            "write layer.learning_rate_factor = 0.1, which multiplies the optimizer's rate",
        ),
        "activation": "activations are layers: add(ReLUActivation()) after it",
        "dropout": "it is a layer: add(Dropout(0.3))",
    },
    "DenseLayer": {
        **dict.fromkeys(["weight", "kernel"], "write layer.weights"),
        "bias": "write layer.biases",
    },
    "Embedding": {"weight": "write layer.weights"},
    "Optimizer": {"lr": "write optimizer.learning_rate"},
}
"""The same as :data:`CONSTRUCTORS` for attributes. Users' classes may have any attributes."""

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
    "SoftmaxCrossEntropy": {
        "weight": "write class_weight=",
        "from_logits": "it always takes scores (logits); CategoricalCrossEntropy takes "
        "probabilities",
    },
    "CategoricalCrossEntropy": {"from_logits": "write SoftmaxCrossEntropy()"},
    "BinaryCrossEntropy": {"pos_weight": "write class_weight={1: ...}"},
    "TensorBoard": {"log_dir": "write folder="},
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
    "RMSNormalization": _NORMALIZED,
    "BatchNormalization": _NORMALIZED,
    "PReLULayer": {"num_parameters": _NO_WIDTH, "init": "write initial="},
}
"""Hints for constructors by class: argument names of other libraries, and what to write instead.

Subclasses inherit the hints of a class.
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
    **dict.fromkeys(["optimizer", "learning_rate"], "it is an argument of NeuralNetwork"),
    "lr": "write NeuralNetwork(learning_rate=...)",
    **dict.fromkeys(
        ["imputer", "impute", "fill_missing", "fill_values", "missing"],
        "give fit(dataset.fill_missing()); the network remembers the values",
    ),
}
"""For ``NeuralNetwork.fit``: names of Keras's arguments, and what to do instead."""

MODEL: dict[str, Any] = {
    "losses": "write loss=, which takes a dict for several targets with a loss each",
    "criterion": "write loss=",
    "optimiser": "write optimizer=",
    "lr": "write learning_rate=",
    **dict.fromkeys(["random_state", "random_seed"], "write seed="),
    **dict.fromkeys(["scheduler", "lr_scheduler"], "give the schedule as learning_rate="),
    "accelerator": "write device=",
    "solver": "write optimizer=",
    "alpha": "write regularizer=L2(...)",
    "learning_rate_init": "write learning_rate=",
}
"""For ``Model``: names of its arguments in other libraries, and what to write instead."""

NETWORK: dict[str, Any] = {
    **MODEL,
    "metrics": "write metric=, which takes one metric, a list of them, or a dict by head",
    **dict.fromkeys(["n_epochs", "num_epochs", "max_epochs", "max_iter"], "write epochs="),
    **dict.fromkeys(["layers", "hidden_layer_sizes"], _LAYERS),
    **dict.fromkeys(["early_stopping", "patience", "n_iter_no_change"], _STOPPING),
    "warm_start": "fit goes on with the training, unless it is given restart=True",
    "validation_fraction": "fit has validation_split=",
    "callbacks": "it is an argument of fit",
    "validation_split": "it is an argument of fit",
    **dict.fromkeys(
        ["clip_norm", "clip_value", "clipnorm", "max_grad_norm", "gradient_clip_val"], _CLIP
    ),
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

PREDICT: dict[str, Any] = {
    **dict.fromkeys(
        ["batch_size", "verbose"], "it is not needed: rows are predicted in pieces that fit memory"
    ),
    **dict.fromkeys(["n_samples", "num_samples"], "write samples="),
    **dict.fromkeys(["level", "confidence"], "write coverage=0.9 for an interval of 90 %"),
    "alpha": "write coverage=0.9 for alpha=0.1",
    "target": "write output=",
}
"""For the methods of ``NeuralNetwork`` that predict, as :data:`MODEL`."""

SPLIT: dict[str, Any] = {
    "seed": "write random_state=",
    **dict.fromkeys(["ratio", "split", "val_size"], "write test_size="),
}
"""For ``train_test_split``, as :data:`MODEL`."""

ESTIMATOR: dict[str, Any] = {
    "seed": "write random_state=",
    **dict.fromkeys(["epochs", "n_epochs", "max_epochs"], "write max_iter="),
    "optimizer": "write solver=",
    **dict.fromkeys(["lr", "eta"], "write learning_rate_init="),
    **dict.fromkeys(["hidden_layers", "n_units", "layers"], "write hidden_layer_sizes="),
    "patience": "write n_iter_no_change=",
    **dict.fromkeys(["validation", "eval_set", "validation_split"], "give fit validation_data="),
    "batch_normalization": "write batch_norm=True",
    "metric": "write scoring=",
}
"""For ``MLPClassifier`` and ``MLPRegressor``, as :data:`MODEL`."""

FRAME: dict[str, Any] = {
    **dict.fromkeys(["target", "y", "labels", "label_name"], "write label="),
    **dict.fromkeys(["features", "feature_names", "usecols"], "write columns="),
    "drop": "write exclude=",
    "index": "write id=",
    "sep": "from_csv has delimiter=",
    **dict.fromkeys(
        ["impute", "imputer", "fillna", "fill_missing"],
        "write missing='keep', and then fill_missing() of the data set",
    ),
    **dict.fromkeys(
        ["dropna", "drop_missing"], "write missing='keep', and then drop_missing() of the data set"
    ),
    "na_values": "empty cells, and text such as NA and NaN, are missing cells; see missing=",
}
"""For the constructors of ``Dataset`` that read tables, as :data:`MODEL`."""

FILL: dict[str, Any] = {
    **dict.fromkeys(["value", "fill_values", "fill_value"], "write values=, a dict by feature"),
    **dict.fromkeys(
        ["method", "strategy"],
        "it fills in medians and the most frequent categories, or the values in values=",
    ),
    "inplace": "it returns a new data set: data = data.fill_missing()",
}
"""For ``Dataset.fill_missing``, as :data:`MODEL`."""

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
    **{
        name: f"xpnet.metrics.{name}"
        for name in ("accuracy", "f1", "mae", "mse", "precision", "r2", "recall", "rmse")
    },
    **dict.fromkeys(["Sequential", "Network", "MLP"], "xpnet.NeuralNetwork"),
    **dict.fromkeys(["Dense", "Linear"], "xpnet.DenseLayer"),
    **{name: f"xpnet.{name}Activation" for name in ("ReLU", "Sigmoid", "Softmax", "Tanh", "GELU")},
    "LeakyReLU": "xpnet.LeakyReLUActivation",
    "PReLU": "xpnet.PReLULayer",
    "BatchNorm1d": "xpnet.BatchNormalization",
    "LayerNorm": "xpnet.LayerNormalization",
    "StandardScaler": "xpnet.Normalization.adapt",
    **dict.fromkeys(["SimpleImputer", "Imputer"], "xpnet.Dataset.fill_missing"),
    "Input": "input_shape=(n,) in the first layer",
    "CrossEntropyLoss": "xpnet.SoftmaxCrossEntropy",
    "NLLLoss": "xpnet.SoftmaxCrossEntropy",
    **dict.fromkeys(["BCELoss", "BCEWithLogitsLoss"], "xpnet.BinaryCrossEntropy"),
    "MSELoss": "xpnet.MeanSquaredError",
    "L1Loss": "xpnet.MeanAbsoluteError",
    "OneCycleLR": "xpnet.OneCycle",
    "CosineAnnealingLR": "xpnet.CosineDecay",
    "LearningRateScheduler": "a schedule, or a function of the epoch, as learning_rate=",
    "DataLoader": "xpnet.Dataset",
    **dict.fromkeys(["to_categorical", "one_hot_encode"], "xpnet.one_hot"),
    "load_model": "network = xpnet.load(path)",
    "save": "network.save(path)",
}
"""For the package itself: names in other libraries or in its modules, and what to write instead."""
