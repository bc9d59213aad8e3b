"""Optimizers: how a gradient changes the weights.

``update(w, grad_loss_w)`` returns the updated weights and keeps the optimizer's state. An optimizer
serves a single array; a network passes it all parameters as one array. A new optimizer is a
subclass of :class:`Optimizer` with ``rule``, a formula of one weight; ``state_names`` names the
arrays of its state. An optimizer that needs more than a weight, its gradient and its state defines
``update`` instead.
"""

from .adam import Adam, AdamW
from .adamax import Adamax
from .adaptive import Adadelta, Adagrad
from .base import Optimizer
from .lbfgs import LBFGS
from .nadam import NAdam
from .radam import RAdam
from .rmsprop import RMSProp
from .sgd import SGD
from .sign import Lion, Rprop

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSProp",
    "Rprop",
]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSProp,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adam": Adam,
    "adamw": AdamW,
    "adamax": Adamax,
    "nadam": NAdam,
    "radam": RAdam,
    "lion": Lion,
    "rprop": Rprop,
    "lbfgs": LBFGS,
}


def __dir__() -> list[str]:
    return sorted(__all__)
