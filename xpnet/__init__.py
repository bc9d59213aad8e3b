"""Feed-forward neural networks, written once against the array API.

The same code trains on NumPy and, with ``device="cuda"``, on CuPy.
"""

from . import _blas  # noqa: F401  before NumPy

# isort: split
from . import config
from .activations import (
    ActivationLayer,
    LeakyReLUActivation,
    LinearActivation,
    LogSoftmaxActivation,
    ReLU6Activation,
    ReLUActivation,
    SigmoidActivation,
    SoftmaxActivation,
    TanhActivation,
)
from .backends import Backend, DeviceUnavailableError, UnknownNameError, array_namespace, resolve
from .callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    StopOnNaN,
    TensorBoard,
    Watch,
)
from .common.checks import NotFittedError
from .data import Dataset, one_hot, train_test_split
from .layers import BatchNormalization, DenseLayer, Dropout, Layer, Normalization
from .losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    LossFunction,
    MeanSquaredError,
    NegativeLogLikelihood,
    PoissonLoss,
    SoftmaxCrossEntropy,
)
from .metrics import accuracy, confusion_matrix, f1, mae, mse, precision, r2, recall, rmse
from .model import Model
from .neuralnet import NeuralNetwork
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp
from .regularizers import L1, L1L2, L2, Regularizer
from .saving import ModelFileError, load
from .schedules import (
    ConstantLearningRate,
    CosineDecay,
    ExponentialDecay,
    LinearDecay,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    WarmUp,
)
from .training.callback import Callback
from .training.errors import DivergedError
from .training.history import History
from .training.memory import MemoryPlan, MemoryPlanError

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "SGD",
    "ActivationLayer",
    "Adagrad",
    "Adam",
    "AdamW",
    "Backend",
    "BatchNormalization",
    "BinaryCrossEntropy",
    "CSVLogger",
    "Callback",
    "CategoricalCrossEntropy",
    "ConstantLearningRate",
    "CosineDecay",
    "Dataset",
    "DenseLayer",
    "DeviceUnavailableError",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "ExponentialDecay",
    "History",
    "LambdaCallback",
    "Layer",
    "LeakyReLUActivation",
    "LinearActivation",
    "LinearDecay",
    "LogSoftmaxActivation",
    "LossFunction",
    "MeanSquaredError",
    "MemoryPlan",
    "MemoryPlanError",
    "Model",
    "ModelCheckpoint",
    "ModelFileError",
    "NegativeLogLikelihood",
    "NeuralNetwork",
    "Normalization",
    "NotFittedError",
    "Optimizer",
    "PoissonLoss",
    "RMSProp",
    "ReLU6Activation",
    "ReLUActivation",
    "ReduceLROnPlateau",
    "ReduceOnPlateau",
    "Regularizer",
    "Schedule",
    "SigmoidActivation",
    "SoftmaxActivation",
    "SoftmaxCrossEntropy",
    "StepDecay",
    "StopOnNaN",
    "TanhActivation",
    "TensorBoard",
    "UnknownNameError",
    "WarmUp",
    "Watch",
    "accuracy",
    "array_namespace",
    "config",
    "confusion_matrix",
    "f1",
    "load",
    "mae",
    "mse",
    "one_hot",
    "precision",
    "r2",
    "recall",
    "resolve",
    "rmse",
    "train_test_split",
]
