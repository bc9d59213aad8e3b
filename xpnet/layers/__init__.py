"""The layers of a network.

The forward pass of a layer maps a batch to its output, and the backward pass propagates the
derivative of the loss. A new layer is a subclass of :class:`Layer` in a new file here, with these
two methods. For each trained array ``name`` in its ``parameter_names``, the backward pass sets
``name_gradient``. Activations are layers without parameters, in :mod:`xpnet.activations`.
"""

from .base import Layer
from .batch_normalization import BatchNormalization
from .branches import Branches
from .categorical_embeddings import CategoricalEmbeddings
from .composite import Composite
from .dense import DenseLayer
from .dropout import Dropout
from .embedding import Embedding
from .flatten import Flatten
from .noise import GaussianNoise
from .normalization import Normalization
from .prelu import PReLULayer
from .residual import Residual
from .row_normalization import LayerNormalization, RMSNormalization

__all__ = [
    "BatchNormalization",
    "Branches",
    "CategoricalEmbeddings",
    "Composite",
    "DenseLayer",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "Layer",
    "LayerNormalization",
    "Normalization",
    "PReLULayer",
    "RMSNormalization",
    "Residual",
]


def __dir__() -> list[str]:
    return sorted(__all__)
