"""Learning rates that change during training.

An optimizer takes one of these, or a function, instead of a number. Epochs are counted from 0 here:
t = 0 is the beginning of the first epoch.

A rate holds for a whole epoch. With ``by_step=True`` it changes at each step: in step k of an epoch
with n steps, both counted from 0, t is the epoch plus k / n. The history has the rate of an epoch's
last step. A new schedule is a subclass of :class:`Schedule` with one method.
"""

from .base import ConstantLearningRate, Schedule
from .cycles import CosineRestarts, OneCycle
from .decays import CosineDecay, ExponentialDecay, LinearDecay, PolynomialDecay, StepDecay
from .function import FunctionSchedule, LearningRate
from .plateau import ReduceOnPlateau
from .wrapping import ScaledSchedule, WarmUp

__all__ = [
    "ConstantLearningRate",
    "CosineDecay",
    "CosineRestarts",
    "ExponentialDecay",
    "FunctionSchedule",
    "LearningRate",
    "LinearDecay",
    "OneCycle",
    "PolynomialDecay",
    "ReduceOnPlateau",
    "ScaledSchedule",
    "Schedule",
    "StepDecay",
    "WarmUp",
]


def __dir__() -> list[str]:
    return sorted(__all__)
