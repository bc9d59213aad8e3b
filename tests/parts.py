"""Activations and losses for tests that compare whole trainings.

The tests of compiled and of captured steps have lists of the most common ones.
"""

import numpy as np

from xpnet import (
    BinaryFocalLoss,
    CELUActivation,
    ELUActivation,
    GammaLoss,
    GELUActivation,
    HardSigmoidActivation,
    HardSwishActivation,
    HardTanhActivation,
    HingeLoss,
    HuberLoss,
    LogCoshLoss,
    LogSigmoidActivation,
    MeanAbsoluteError,
    MishActivation,
    PoissonLoss,
    QuantileLoss,
    SELUActivation,
    SiLUActivation,
    SoftplusActivation,
    SoftsignActivation,
    SquaredHingeLoss,
    TweedieLoss,
)

MORE_ACTIVATIONS = [
    HardTanhActivation,
    SoftsignActivation,
    HardSigmoidActivation,
    LogSigmoidActivation,
    lambda: ELUActivation(0.7),
    SELUActivation,
    lambda: CELUActivation(0.7),
    GELUActivation,
    lambda: GELUActivation("tanh"),
    SiLUActivation,
    MishActivation,
    lambda: SoftplusActivation(1.7),
    HardSwishActivation,
]


def one_hot(y, n=5):
    return np.eye(n)[y]


def positive(y):
    return 1.0 + one_hot(y)


# name -> (loss, function from classes to its targets)
MORE_LOSSES = {
    "absolute": (MeanAbsoluteError, one_hot),
    "huber": (lambda: HuberLoss(0.3), one_hot),
    "log cosh": (LogCoshLoss, one_hot),
    "quantile": (lambda: QuantileLoss(0.8), one_hot),
    "poisson": (PoissonLoss, one_hot),
    "gamma": (lambda: GammaLoss(2.0), positive),
    "tweedie": (TweedieLoss, one_hot),
    "tweedie, 1": (lambda: TweedieLoss(1), one_hot),
    "tweedie, 3": (lambda: TweedieLoss(3), positive),
    "hinge": (HingeLoss, one_hot),
    "squared hinge": (SquaredHingeLoss, one_hot),
    "binary focal": (BinaryFocalLoss, one_hot),
    "binary focal, alpha": (lambda: BinaryFocalLoss(1.5, 0.25), one_hot),
}
