"""Loss functions: how wrong the outputs of a batch are, and the derivative of that.

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
from .margin import HingeLoss, SquaredHingeLoss
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

LOSSES: dict[str, type[LossFunction]] = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": HuberLoss,
    "log_cosh": LogCoshLoss,
    "quantile": QuantileLoss,
    "poisson": PoissonLoss,
    "gamma": GammaLoss,
    "tweedie": TweedieLoss,
    "binary_cross_entropy": BinaryCrossEntropy,
    "binary_focal": BinaryFocalLoss,
    "hinge": HingeLoss,
    "squared_hinge": SquaredHingeLoss,
    "categorical_cross_entropy": CategoricalCrossEntropy,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "nll": NegativeLogLikelihood,
    "negative_log_likelihood": NegativeLogLikelihood,
    "focal": FocalLoss,
    "kl_divergence": KLDivergence,
}


def __dir__() -> list[str]:
    return sorted(__all__)
