"""A model: layers, a loss and an optimizer, and their parameters on a backend."""

from .model import Model
from .propagation import Pass

__all__ = ["Model", "Pass"]


def __dir__() -> list[str]:
    return sorted(__all__)
