"""Whatever a user gives as an argument, it works or is refused with one of our messages.

Every class and function of ``xpnet.__all__``, of the pictures and of the checks for one's own
layers is called with each argument replaced by things that it is not. Names that are added later
are covered by themselves; a new required argument needs a good value in ``GOOD``.

Left out are the methods that training calls at every step, with arrays that were checked when they
came in: a check there would cost time in each step.
"""

import copy
import inspect
import linecache
import math
import sys
import warnings

import numpy as np
import pytest

import xpnet
from xpnet import (
    Callback,
    DenseLayer,
    DeviceUnavailableError,
    DivergedError,
    LossFunction,
    MeanSquaredError,
    MemoryPlanError,
    Model,
    NeuralNetwork,
    plots,
    testing,
)
from xpnet.optimizers import OPTIMIZERS

RNG = np.random.default_rng(0)
N = 12
X, Y, OUTPUTS = RNG.standard_normal((N, 3)), np.arange(N) % 2, RNG.standard_normal((N, 2))


class Unknown:
    """An object that nothing expects."""


WRONG = {
    "None": None, "text": "text", "no text": "", "bytes": b"x", "-1": -1, "0": 0, "nan": math.nan,
    "inf": math.inf, "True": True, "2.5": 2.5, "many digits": 10**400, "too many": 10**5000,
    "list": [1, 2], "empty list": [], "ragged list": [[1, 2], [3]], "texts": ["a", "b"],
    "tuple": (1, 2, 3), "dict": {"a": 1}, "set": {1}, "range": range(3), "object": Unknown(),
    "class": Unknown, "type": np.float64, "function": len, "complex": 1j,
    "array": np.array([1.0, 2.0]), "empty array": np.zeros((0, 3)), "cube": np.zeros((2, 2, 2)),
    "0-d array": np.array(2.0), "array of NaN": np.full((N, 3), np.nan),
    "complex array": np.ones((N, 3), complex), "array of texts": np.full((N, 3), "a"),
    "array of objects": np.full((N, 3), Unknown()), "booleans": np.ones((N, 3), bool),
    "masked array": np.ma.array(np.ones((N, 3)), mask=np.eye(N, 3)), "masked": np.ma.masked,
    "too short": np.zeros((5, 3)), "too wide": np.zeros((N, 7)),
    "dates": np.full(N, "2020-01-01", "M8[D]"), "NumPy's float": np.float32(0.5),
    "NumPy's integer": np.int64(3), "NumPy's text": np.str_("text"),
}  # fmt: skip
HUGE = {"many digits", "too many"}
AMOUNTS = {"epochs", "bins", "resolution", "n", "eval_every"}  # of which more take longer


def network(n_features=3):
    net = NeuralNetwork(1, 4, loss="softmax_cross_entropy", seed=0, metric="accuracy")
    return net.add(DenseLayer(2, (n_features,)))


FITTED = network().fit((X, Y))
LAYER = DenseLayer(2, (3,)).initialize()
MADE = {
    NeuralNetwork: FITTED,
    Model: Model(seed=0).add(DenseLayer(2, (3,))),
    xpnet.Branches: xpnet.Branches(([0, 1], [DenseLayer(2)]), ([2], [])),
    xpnet.CategoricalEmbeddings: xpnet.CategoricalEmbeddings({0: 9}),
    xpnet.Composite: xpnet.Composite(DenseLayer(3)),
    xpnet.Embedding: xpnet.Embedding(9, 2),
    xpnet.Residual: xpnet.Residual(DenseLayer(3)),
}

# Good values by the names of arguments; a default is one, too.
GOOD = {
    "X": X, "y": Y, "dataset": (X, Y), "data": (X, Y), "labels": Y, "y_true": Y, "y_pred": OUTPUTS,
    "categories": {},
    "path": "a file that is not there", "n_units": 2, "input_shape": (3,), "rate": 0.5,
    "highest": 0.1, "initial": 0.1, "final": 0.01, "schedule": 0.1, "network": FITTED,
    "history": FITTED.history,
    "layer": DenseLayer(1), "images": np.ones((N, 9)), "values": [1, 2, 3], "scores": [1, 2, 3],
    "function": lambda epoch: 0.1,
    "heads": {"a": ("mse", 1)}, "losses": {}, "index": [0, 1], "folder": "runs", "name": "mine",
    "n": 10, "chunk": 4, "batch_size": 4, "block": 1, "epoch": 0, "mode": "max",
    "backend": xpnet.resolve(), "x": X,
}  # fmt: skip
SPECIAL = {
    "OneCycle": {"initial": 0.01},
    "TimeLimit": {"seconds": 60.0},
    "interval_coverage": {"y_true": Y, "lower": Y - 1.0, "upper": Y + 1.0},
    "CategoricalEmbeddings": {"columns": {0: 9}},
    "Embedding": {"n_categories": 9},
    "Dataset.fill_missing": {"values": {0: 1.0}},
    "resolve": {"backend": "numpy"},
    "LBFGS": {"history": 5},
    "Model": {"backend": "numpy"},
    "Model.add": {"layer": DenseLayer(1)},
    "NeuralNetwork": {"backend": "numpy"},
    "load": {"backend": "numpy"},
    "testing.check_gradient": {
        "function": lambda w: float(np.sum(w * w)), "gradient": 2.0 * X, "at": X,
    },
    "testing.check_layer": {"layer": LAYER, "input": X.astype("float32"), "tolerance": 1.0},
    "testing.check_loss": {"loss": MeanSquaredError(), "y_true": OUTPUTS},
    "plots.plot_weights": {"layer": LAYER, "shape": (1, 3)},
    "plots.plot_images": {"y_true": Y, "y_pred": OUTPUTS},
    "plots.plot_decision_regions": {
        "X": X[:, :2], "network": network(2).fit((X[:, :2], Y)), "resolution": 5,
    },
    "plots.plot_residuals": {"y_true": OUTPUTS},
    "plots.plot_activation": {"activation": "relu"},
    "plots.plot_loss": {"loss": "mse"},
    "NeuralNetwork.predict": {"dataset": X},
    "NeuralNetwork.evaluate": {"data": X},
    **{name: {"y_true": OUTPUTS} for name in ("mse", "mae", "rmse", "r2")},
}  # fmt: skip
VARIADIC = {
    "train_test_split": (X, Y),
    "Branches": (([0, 1], [DenseLayer(2)]),),
    "Composite": (DenseLayer(2),),
    "Residual": (DenseLayer(2),),
}  # what is given for *data


def with_parts(thing, name):
    """Return a call with new copies of what is given for *data, which calls may change."""
    return lambda *args, **kwargs: thing(*copy.deepcopy(VARIADIC.get(name, ())), *args, **kwargs)


EACH_STEP = {
    "at", "backward_through", "codes", "positions", "forward_through", "input_derivative",
    "predict_interval", "progress", "sample_propagation", "sample_scores", "table",
    "activation_function", "add_to", "backward_propagation", "begin_epoch", "buffer",
    "check_outputs", "clip", "class_metrics", "is_defined", "compute", "narrowed",
    "output_metric",
    "derivative_of_output", "element_derivative", "element_loss", "element_penalty", "rule",
    "derivative", "forward_propagation", "initialize", "learning_rate", "loss_and_gradient",
    "mark_fitted", "merge", "new_parameter", "values_per_sample", "observe", "penalty",
    "propagate_loss", "state_like", "result", "solver_bytes",
    "statistics", "update", "update_parameters", "update_parts",
}  # fmt: skip
# Made by the library for its users, not by them.
NOT_MADE_BY_HAND = {"Backend", "History", "MemoryPlan"}
# A user's function fails in its own words.
OPTIMIZERS_OF_RATES = [
    *(kind.__name__ for kind in OPTIMIZERS.values()), "Model", "NeuralNetwork", "Optimizer"
]  # fmt: skip
FUNCTIONS = {
    ("NeuralNetwork.score", "metric"), ("NeuralNetwork.evaluate", "metric"),
    ("testing.check_gradient", "function"), ("plots.plot_loss", "loss"),
    ("plots.plot_schedule", "schedule"),
    *((name, "learning_rate") for name in OPTIMIZERS_OF_RATES),
    ("FunctionSchedule", "function"), ("WarmUp", "schedule"), ("ScaledSchedule", "schedule"),
}  # fmt: skip
OWN_ERRORS = (
    ValueError, TypeError, FileNotFoundError, DeviceUnavailableError, DivergedError,
    MemoryPlanError, AssertionError,  # which is what the checks of layers and losses are for
)  # fmt: skip


def callables():
    """Yield functions for users: the name, the signature, and a function that calls it afresh."""
    for name in xpnet.__all__:
        thing = getattr(xpnet, name)
        if not inspect.isclass(thing):
            if callable(thing):
                yield name, inspect.signature(thing), with_parts(thing, name)
        elif name not in NOT_MADE_BY_HAND and not (
            inspect.isabstract(thing) or issubclass(thing, BaseException)
        ):
            yield name, inspect.signature(thing), with_parts(thing, name)
            yield from methods(name, thing)
    for module in (plots, testing):
        for name, thing in vars(module).items():
            where = getattr(thing, "__module__", "")
            if inspect.isfunction(thing) and where.startswith(module.__name__) and name[:1] != "_":
                if module is plots and not name.startswith("plot_"):  # the library's own
                    continue
                label = f"{module.__name__.partition('.')[2]}.{name}"
                yield label, inspect.signature(thing), thing


def methods(name, cls):
    """Yield the methods for users, of an object with default arguments."""
    if issubclass(cls, (LossFunction, Callback)):  # which the library calls
        return
    made = MADE[cls] if cls in MADE else cls(**required(name, inspect.signature(cls)))
    for method, function in inspect.getmembers(made, inspect.ismethod):
        if method in EACH_STEP or method.startswith("_") or inspect.isclass(function.__self__):
            continue
        if (signature := inspect.signature(function)).parameters:
            yield f"{name}.{method}", signature, Fresh(made, method)


class Fresh:
    """Calls a method of a copy, so that each call finds the same object."""

    def __init__(self, made, method):
        self.made, self.method = made, method

    def __call__(self, *args, **given):
        return getattr(copy.deepcopy(self.made), self.method)(*args, **given)


def arguments(name, signature):
    """Return good arguments, by name."""
    found = {}
    for each in signature.parameters.values():
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        if (special := SPECIAL.get(name, {}).get(each.name)) is not None:
            found[each.name] = special
        elif each.name in GOOD:
            found[each.name] = GOOD[each.name]
        else:
            assert each.default is not each.empty, f"{name} takes {each.name}: add it to GOOD"
            found[each.name] = each.default
    return found


def required(name, signature):
    """Return good values of the arguments that must be given."""
    return {
        argument: value
        for argument, value in arguments(name, signature).items()
        if signature.parameters[argument].default is inspect.Parameter.empty
    }


def innermost(error):
    """Return the frame that raised an error, and its line."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame, linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def is_our_own(error):
    """Whether an error was raised by a line of the package that says "raise"."""
    frame, line = innermost(error)
    package = str(frame.f_globals["__name__"]).partition(".")[0]
    return isinstance(error, OWN_ERRORS) and package == "xpnet" and "raise" in line


def attempt(call, signature, given):
    """Call with arguments; return the error if it is not one of ours."""
    given = dict(given)
    first = [given.pop(n) for n, p in signature.parameters.items() if p.kind is p.POSITIONAL_ONLY]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = call(*first, **given)
            if inspect.isgenerator(result):
                next(result, None)
        except ImportError:  # an extra that is not installed
            return None
        except Exception as error:
            return None if is_our_own(error) else error
        finally:
            if "matplotlib" in sys.modules:
                plots.pyplot().close("all")
    return None


CALLABLES = {name: (signature, call) for name, signature, call in callables()}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where files are written that are named by a wrong argument


@pytest.mark.parametrize("name", CALLABLES)
def test_good_arguments_are_accepted(name):
    """Otherwise the tests of wrong arguments would prove nothing."""
    signature, call = CALLABLES[name]
    if name.startswith("plots."):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            given = arguments(name, signature)
            first = [
                given.pop(n) for n, p in signature.parameters.items() if p.kind is p.POSITIONAL_ONLY
            ]
            call(*first, **given)
        except FileNotFoundError:
            assert name in ("load", "Dataset.from_csv")
        except ImportError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize("name", CALLABLES)
def test_wrong_arguments_work_or_are_refused_by_us(name, capsys):
    signature, call = CALLABLES[name]
    if name.startswith("plots."):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    foreign = []
    for argument in arguments(name, signature):
        for kind, value in WRONG.items():
            if (name, argument) in FUNCTIONS or (argument in AMOUNTS and kind in HUGE):
                continue
            error = attempt(call, signature, arguments(name, signature) | {argument: value})
            if error is not None:
                foreign.append(f"{name}({argument}: {kind}) {error!r} at {innermost(error)[1]}")
    assert foreign == []


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), "float64"])
def test_the_type_of_a_network_may_be_numpys_own(dtype):
    assert NeuralNetwork(dtype=dtype).backend.dtype == "float64"


def test_the_type_of_a_network_may_be_pytorchs_own():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert NeuralNetwork(dtype=torch.float64).backend.dtype == "float64"
    with pytest.raises(xpnet.UnknownNameError, match="unknown dtype 'float16'"):
        NeuralNetwork(dtype=torch.float16)


@pytest.mark.parametrize("wrong", [None, np, 3])
def test_to_refuses_anything_but_a_backend_or_a_name(wrong):
    with pytest.raises(TypeError, match="expected the name of a device or an array library"):
        network().to(wrong)


@pytest.mark.parametrize("flag", ["no", 2, None, 0.0, [True]])
def test_values_that_are_not_booleans_are_refused_as_flags(flag):
    """A text such as "no" would count as True."""
    for name in ("verbose", "progress", "shuffle"):
        with pytest.raises(TypeError, match=f"{name}=.*: expected True or False"):
            NeuralNetwork(**{name: flag})
    assert NeuralNetwork(verbose=1).verbose is True
    assert NeuralNetwork(shuffle=np.bool_(False)).shuffle is False


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (
            NeuralNetwork,
            {"losses": {}},
            r"NeuralNetwork.*'losses': write loss=, which takes a dict",
        ),
        (
            NeuralNetwork,
            {"metrics": ["mae"]},
            "'metrics': write metric=, which takes one metric, a",
        ),
        (NeuralNetwork, {"lr": 0.1}, "'lr': write learning_rate="),
        (NeuralNetwork, {"nothing": 1}, r"unexpected keyword argument 'nothing'$"),
        (Model, {"losses": {}}, r"Model.*'losses': write loss=, which takes a dict"),
    ],
)
def test_a_name_that_other_libraries_use_is_answered_with_ours(cls, arguments, message):
    with pytest.raises(TypeError, match=message):
        cls(**arguments)
