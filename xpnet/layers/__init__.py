"""The layers of a network.

The forward pass of a layer maps a batch to its output, and the backward pass propagates the
derivative of the loss. A new layer is a subclass of :class:`Layer` in a new file here, with these
two methods. For each trained array ``name`` in its ``parameter_names``, the backward pass sets
``name_gradient``. Activations are layers without parameters, in :mod:`xpnet.activations`.
"""

from .base import Layer
from .batch_normalization import BatchNormalization
from .dense import DenseLayer
from .dropout import Dropout
from .normalization import Normalization
from .prelu import PReLULayer

__all__ = [
    "BatchNormalization",
    "DenseLayer",
    "Dropout",
    "Layer",
    "Normalization",
    "PReLULayer",
]


def __dir__() -> list[str]:
    return sorted(__all__)
