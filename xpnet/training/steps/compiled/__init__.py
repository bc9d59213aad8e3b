"""Training steps in compiled code.

:class:`CompiledTraining` translates a model into a list of instructions of
:mod:`xpnet.backends` for each thread; nothing is compiled for a model. Formula steps train models
that it does not support.

Moving data between cores is slow: reading a number that another core wrote takes as long as several
hundred multiplications. So parameters, gradients and the optimizer's state stay on one core. Each
thread owns some of the units of a layer, i.e. columns of its weights, and the threads exchange
activations and errors:

- In the forward pass, a thread computes its own columns of the layer's output. Then it waits until
the other threads have computed their columns.
- In the backward pass, it computes the gradient of its own columns from its own columns of the
  error. The error of the layer below is a sum over all columns, so each thread writes its part of
  that sum. After a wait, each thread adds up the parts for the columns of the layer below that it
  owns.

From the first layer that is too small to be worth waiting, every thread computes all columns of all
layers, up to the loss. So it has the whole error of these layers without waiting.
"""

from .sharing import cores
from .training import CompiledTraining

__all__ = ["CompiledTraining", "cores"]
