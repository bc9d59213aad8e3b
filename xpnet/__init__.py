"""Feed-forward neural networks, written once against the array API.

The same code trains on NumPy and, with ``device="cuda"``, on CuPy.

``help(xpnet)`` continues with thousands of lines, on every class. Read these instead:

- ``help(xpnet.NeuralNetwork)``: building, training, predicting; the names of losses, metrics, ...
- ``help(xpnet.DenseLayer)``, or of another class or function: its arguments and an example.
- ``dir(xpnet)``, ``dir(xpnet.losses)``, ...: all names of a module. ``xpnet`` itself also has the
  most used names of its modules.
- ``help(xpnet.Layer)``, ``ActivationLayer``, ``ElementwiseLoss``, ``Optimizer``, ``Callback``, ...:
  how to write your own, with an example.

Modules:

- ``activations``, ``layers``, ``losses``, ``optimizers``, ``schedules``, ``initializers``,
  ``regularizers``, ``metrics``: the parts of networks and of their training.
- ``neuralnet``: networks. ``model``: their layers, loss and optimizer, for a training loop of your
  own.
- ``callbacks``: early stopping, checkpoints, logs.
- ``data``: data sets, from arrays, tables and files. ``datasets``: MNIST, IMDb, digits.
- ``intervals``: the fraction of targets that lie in their prediction intervals.
- ``saving``, ``inspection``: loading networks from files; statistics of each layer for some data.
- ``search``: random search over settings, a range test for learning rates.
- ``plots``: figures, with matplotlib.
- ``estimators``: replacements for scikit-learn's ``MLPClassifier`` and ``MLPRegressor``.
- ``testing``: checks of your own layers and losses.
- ``config``: settings of the process.
- ``backends``: array libraries and devices.

``datasets``, ``estimators``, ``plots``, ``search`` and ``testing`` are imported when first used.
"""

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING

if (_Path(__file__).parent / "backends").is_file():
    raise ImportError(
        "xpnet/backends must be a symbolic link to backends/, but this checkout has a text file: "
        "run git config core.symlinks true and git checkout -- xpnet/backends, or pip install ."
    )

from . import _starting, config  # noqa: F401 - _starting before slow imports
from .activations import (
    ActivationLayer,
    CELUActivation,
    ELUActivation,
    ExponentialActivation,
    GELUActivation,
    HardSigmoidActivation,
    HardSwishActivation,
    HardTanhActivation,
    LeakyReLUActivation,
    LinearActivation,
    LogSigmoidActivation,
    LogSoftmaxActivation,
    MishActivation,
    ReLU6Activation,
    ReLUActivation,
    SELUActivation,
    SigmoidActivation,
    SiLUActivation,
    SoftmaxActivation,
    SoftplusActivation,
    SoftsignActivation,
    TanhActivation,
)
from .backends import Backend, DeviceUnavailableError, UnknownNameError, array_namespace, resolve
from .callbacks import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    JSONLogger,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    StopOnNaN,
    TensorBoard,
    TimeLimit,
    Watch,
    WeightAverage,
)
from .common.checks import NotFittedError
from .common.keywords import PACKAGE as _ELSEWHERE
from .common.version import VERSION
from .data import Dataset, one_hot, train_test_split
from .intervals import interval_coverage
from .layers import (
    BatchNormalization,
    Branches,
    CategoricalEmbeddings,
    Composite,
    DenseLayer,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Layer,
    LayerNormalization,
    Normalization,
    PReLULayer,
    Residual,
    RMSNormalization,
)
from .losses import (
    BinaryCrossEntropy,
    BinaryFocalLoss,
    CategoricalCrossEntropy,
    ElementwiseLoss,
    FocalLoss,
    GammaLoss,
    GaussianNLL,
    Heads,
    HingeLoss,
    HuberLoss,
    KLDivergence,
    LogCoshLoss,
    LossFunction,
    MeanAbsoluteError,
    MeanSquaredError,
    NegativeLogLikelihood,
    PoissonLoss,
    QuantileLoss,
    SoftmaxCrossEntropy,
    SquaredHingeLoss,
    TweedieLoss,
)
from .metrics import (
    F1,
    MAE,
    MAPE,
    MSE,
    R2,
    RMSE,
    ROCAUC,
    Accuracy,
    AveragePrecision,
    BalancedAccuracy,
    BinaryAccuracy,
    BrierScore,
    CohenKappa,
    ExpectedCalibrationError,
    ExplainedVariance,
    LogLoss,
    MatthewsCorrelation,
    MaxError,
    Metric,
    Precision,
    QuantileError,
    Recall,
    TopKAccuracy,
    confusion_matrix,
)
from .model import Model
from .neuralnet import NeuralNetwork
from .optimizers import (
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
)
from .regularizers import L1, L1L2, L2, ElementwisePenalty, Regularizer
from .saving import ModelFileError, load
from .schedules import (
    ConstantLearningRate,
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    FunctionSchedule,
    LinearDecay,
    OneCycle,
    PolynomialDecay,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    WarmUp,
)
from .training.callback import Callback
from .training.errors import DivergedError
from .training.history import History
from .training.memory import MemoryPlan, MemoryPlanError

if TYPE_CHECKING:  # at run time: __getattr__
    from . import datasets as datasets
    from . import estimators as estimators
    from . import plots as plots
    from . import search as search
    from . import testing as testing

__version__ = VERSION

__all__ = [
    "F1",
    "L1",
    "L1L2",
    "L2",
    "LBFGS",
    "MAE",
    "MAPE",
    "MSE",
    "R2",
    "RMSE",
    "ROCAUC",
    "SGD",
    "Accuracy",
    "ActivationLayer",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragePrecision",
    "Backend",
    "BalancedAccuracy",
    "BatchNormalization",
    "BinaryAccuracy",
    "BinaryCrossEntropy",
    "BinaryFocalLoss",
    "Branches",
    "BrierScore",
    "CELUActivation",
    "CSVLogger",
    "Callback",
    "CategoricalCrossEntropy",
    "CategoricalEmbeddings",
    "Checkpoint",
    "CohenKappa",
    "Composite",
    "ConstantLearningRate",
    "CosineDecay",
    "CosineRestarts",
    "Dataset",
    "DenseLayer",
    "DeviceUnavailableError",
    "DivergedError",
    "Dropout",
    "ELUActivation",
    "EarlyStopping",
    "ElementwiseLoss",
    "ElementwisePenalty",
    "Embedding",
    "ExpectedCalibrationError",
    "ExplainedVariance",
    "ExponentialActivation",
    "ExponentialDecay",
    "Flatten",
    "FocalLoss",
    "FunctionSchedule",
    "GELUActivation",
    "GammaLoss",
    "GaussianNLL",
    "GaussianNoise",
    "HardSigmoidActivation",
    "HardSwishActivation",
    "HardTanhActivation",
    "Heads",
    "HingeLoss",
    "History",
    "HuberLoss",
    "JSONLogger",
    "KLDivergence",
    "LambdaCallback",
    "Layer",
    "LayerNormalization",
    "LeakyReLUActivation",
    "LinearActivation",
    "LinearDecay",
    "Lion",
    "LogCoshLoss",
    "LogLoss",
    "LogSigmoidActivation",
    "LogSoftmaxActivation",
    "LossFunction",
    "MatthewsCorrelation",
    "MaxError",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MemoryPlan",
    "MemoryPlanError",
    "Metric",
    "MishActivation",
    "Model",
    "ModelCheckpoint",
    "ModelFileError",
    "NAdam",
    "NegativeLogLikelihood",
    "NeuralNetwork",
    "Normalization",
    "NotFittedError",
    "OneCycle",
    "Optimizer",
    "PReLULayer",
    "PoissonLoss",
    "PolynomialDecay",
    "Precision",
    "QuantileError",
    "QuantileLoss",
    "RAdam",
    "RMSNormalization",
    "RMSProp",
    "ReLU6Activation",
    "ReLUActivation",
    "Recall",
    "ReduceLROnPlateau",
    "ReduceOnPlateau",
    "Regularizer",
    "Residual",
    "Rprop",
    "SELUActivation",
    "Schedule",
    "SiLUActivation",
    "SigmoidActivation",
    "SoftmaxActivation",
    "SoftmaxCrossEntropy",
    "SoftplusActivation",
    "SoftsignActivation",
    "SquaredHingeLoss",
    "StepDecay",
    "StopOnNaN",
    "TanhActivation",
    "TensorBoard",
    "TimeLimit",
    "TopKAccuracy",
    "TweedieLoss",
    "UnknownNameError",
    "WarmUp",
    "Watch",
    "WeightAverage",
    "array_namespace",
    "config",
    "confusion_matrix",
    "interval_coverage",
    "load",
    "one_hot",
    "resolve",
    "train_test_split",
]

_LATER = ("datasets", "estimators", "plots", "search", "testing")

if not TYPE_CHECKING:  # a type checker would find any name here

    def __getattr__(name):
        if name in _LATER:
            return _import_module(f"{__name__}.{name}")
        advice = f": write {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{advice}")


def __dir__() -> list[str]:
    # help() imports every module listed here, and estimators needs scikit-learn.
    later = [name for name in _LATER if name != "estimators" or _find_spec("sklearn")]
    return sorted([*__all__, *later, "__doc__", "__name__", "__path__", "__version__"])
