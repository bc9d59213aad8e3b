"""Networks as files: safetensors, without pickle.

The tensors are parameters, running statistics, the optimizer's state, and other arrays that parts
of the network keep. The file's metadata has one entry in JSON: the version of the format, how to
build the network, and a checksum over all of it. A file that was truncated or altered is refused.

A part of a network (a layer, the loss, the optimizer, ...) is saved as its class, the arguments of
its constructor, its state, and its other attributes that differ from those of a new part. ``save``
makes each part again from its class and arguments, compares the two, and refuses a part that would
lose something.

:func:`xpnet.load` is in :mod:`xpnet.saving`, since it makes networks.
"""

from .forms import ModelFileError
from .writing import save

__all__ = ["ModelFileError", "save"]
