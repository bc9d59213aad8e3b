"""Loss functions: a number for how wrong the outputs of a batch are, and its derivative.

``loss(y_true, y_pred)`` is a mean over the batch; ``derivative(y_true, y_pred)`` is the derivative
of exactly that number with respect to ``y_pred``. With sample weights w the mean is
Σ wᵢ lᵢ / Σ wᵢ. It is 0 if the total weight is 0, e.g. for an empty batch.

A new loss that is a formula of one target and one output is a subclass of :class:`ElementwiseLoss`
with ``element_loss``; all else follows. One that couples the outputs of a sample is a subclass of
:class:`MeanLoss`, with the loss and the derivative of each sample; the base class applies the
weights. Any other is a subclass of :class:`LossFunction`.
"""

from .base import ElementwiseLoss, LossFunction, MeanLoss
from .binary import BinaryCrossEntropy
from .class_weighted import ClassWeightedLoss
from .classes import (
    CategoricalCrossEntropy,
    ClassLoss,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from .deviances import GammaLoss, PoissonLoss, TweedieLoss
from .divergence import KLDivergence
from .focal import BinaryFocalLoss, FocalLoss
from .function import FunctionLoss
from .gaussian import GaussianNLL
from .heads import Heads
from .margin import HingeLoss, SquaredHingeLoss
from .names import LOSSES
from .quantile import QuantileLoss
from .regression import HuberLoss, LogCoshLoss, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "BinaryFocalLoss",
    "CategoricalCrossEntropy",
    "ClassLoss",
    "ClassWeightedLoss",
    "ElementwiseLoss",
    "FocalLoss",
    "FunctionLoss",
    "GammaLoss",
    "GaussianNLL",
    "Heads",
    "HingeLoss",
    "HuberLoss",
    "KLDivergence",
    "LogCoshLoss",
    "LossFunction",
    "MeanAbsoluteError",
    "MeanLoss",
    "MeanSquaredError",
    "NegativeLogLikelihood",
    "PoissonLoss",
    "QuantileLoss",
    "SoftmaxCrossEntropy",
    "SquaredHingeLoss",
    "TweedieLoss",
]


def __dir__() -> list[str]:
    return sorted(__all__)
