"""The losses that can be given by name."""

from collections.abc import Callable, Mapping
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

GivenLoss = str | LossFunction | type[LossFunction] | Callable[[Any, Any], Any] | Mapping[str, Any]
"""What a network accepts as its loss; a dict makes :class:`~xpnet.Heads`."""

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

_SOFTMAX = (
    "'softmax_cross_entropy' if the network ends without an activation, or "
    "'categorical_cross_entropy' if it ends with a softmax"
)
_BINARY = (
    "'binary_cross_entropy' if the network ends with a sigmoid, or "
    "BinaryCrossEntropy(from_logits=True) if it ends without an activation"
)
ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        [
            "ce", "crossentropy", "crossentropyloss", "xent", "categoricalcrossentropyloss",
            "sparsecategoricalcrossentropy", "sparsesoftmaxcrossentropy",
        ],
        _SOFTMAX,
    ),
    **dict.fromkeys(
        ["bce", "bceloss", "bcewithlogits", "bcewithlogitsloss", "logloss", "logisticloss"], _BINARY
    ),
    **dict.fromkeys(["l1", "l1loss", "absoluteerror"], "'mae'"),
    **dict.fromkeys(["l2", "mseloss", "squarederror"], "'mse'"),
    **dict.fromkeys(["smoothl1", "smoothl1loss", "huberloss"], "'huber'"),
    **dict.fromkeys(["kl", "kld", "kldiv", "kldivloss"], "'kl_divergence'"),
    "nllloss": "'nll'",
    "pinball": "'quantile'",
}  # fmt: skip
"""What to write here instead of the names of losses in other libraries."""


def find_loss(given: Any) -> LossFunction:
    """Return a loss from an instance, a class, a name or a function of targets and outputs.

    Raises
    ------
    UnknownNameError
        The name is not known.
    TypeError
        ``given`` is something else.
    """
    return find("loss", given, LossFunction, LOSSES, of_function=FunctionLoss, elsewhere=ELSEWHERE)
