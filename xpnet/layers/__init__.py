"""Layers: what a network is made of.

A layer maps a batch forward and carries the derivative of the loss back. A new one is a subclass
of :class:`Layer` in a file of its own here: four methods, and for each trained array ``name``
listed in ``parameter_names`` the backward pass sets ``name_gradient``. Activations, layers
without parameters, are in :mod:`xpnet.activations`.
"""

from .base import Layer
from .batch_normalization import BatchNormalization
from .dense import DenseLayer
from .dropout import Dropout
from .normalization import Normalization

__all__ = ["BatchNormalization", "DenseLayer", "Dropout", "Layer", "Normalization"]
