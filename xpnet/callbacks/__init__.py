"""Callbacks: objects that stop training, keep the best network, or record progress.

To write a new one, subclass :class:`Callback` and define the methods you need.

:class:`Checkpoint` saves the state of training for ``fit(resume=...)``, including the attributes
that each callback lists in ``state_names``.
"""

from .averages import WeightAverage
from .base import Callback
from .checkpoint import Checkpoint, ModelCheckpoint
from .json_lines import JSONLogger
from .logs import CSVLogger, TensorBoard
from .stopping import EarlyStopping, ReduceLROnPlateau, StopOnNaN, TimeLimit
from .watching import LambdaCallback, Watch

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "JSONLogger",
    "LambdaCallback",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "StopOnNaN",
    "TensorBoard",
    "TimeLimit",
    "Watch",
    "WeightAverage",
]


def __dir__() -> list[str]:
    return sorted(__all__)
