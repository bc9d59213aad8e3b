"""The losses that can be given by name."""

from typing import Any

from ..common.checks import find
from .base import LossFunction
from .binary import BinaryCrossEntropy
from .classes import CategoricalCrossEntropy, NegativeLogLikelihood, SoftmaxCrossEntropy
from .deviances import GammaLoss, PoissonLoss, TweedieLoss
from .divergence import KLDivergence
from .focal import BinaryFocalLoss, FocalLoss
from .function import FunctionLoss
from .gaussian import GaussianNLL
from .margin import HingeLoss, SquaredHingeLoss
from .quantile import QuantileLoss
from .regression import HuberLoss, LogCoshLoss, MeanAbsoluteError, MeanSquaredError

LOSSES: dict[str, type[LossFunction]] = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": HuberLoss,
    "log_cosh": LogCoshLoss,
    "quantile": QuantileLoss,
    "gaussian_nll": GaussianNLL,
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


def find_loss(given: Any) -> LossFunction:
    """Return a loss from an instance, a class, a name or a function of targets and outputs.

    Raises
    ------
    UnknownNameError
        The name is not known.
    TypeError
        ``given`` is something else.
    """
    return find("loss", given, LossFunction, LOSSES, of_function=FunctionLoss)
