"""Tuning: a random search over settings, a learning rate range test, and pruning for Optuna.

For grid searches and cross-validation, use scikit-learn with :mod:`xpnet.estimators`.
"""

from .pruning import OptunaPruning
from .rates import LearningRates, find_learning_rate
from .result import Search
from .trials import random_search

__all__ = ["LearningRates", "OptunaPruning", "Search", "find_learning_rate", "random_search"]


def __dir__() -> list[str]:
    return sorted(__all__)
