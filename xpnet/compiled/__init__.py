"""Training steps in compiled code, for the networks that have one.

:func:`compile_step` translates a network into a list of instructions of
:mod:`xpnet.backends` for each thread; nothing is compiled for a network. Who calls it has a second
way to train, and takes that where the answer is None.

Two cores are far from each other, in time: a number that one wrote takes the other as long as some
hundred products. So parameters, gradients and an optimizer's memory never travel. Each thread owns
some of the units of a layer, i.e. columns of its weights, and what travels are activations:

- forward, a thread computes its own columns of the layer's output, and all wait for all of them;
- back, it makes the gradient of its own columns from its own columns of the error. The error of
  the layer below is a sum over all columns, so each thread writes its part of that sum, and after
  a wait each adds up the columns of the layer below that it owns.

Layers that are too small to be worth a wait are computed by every thread for itself, from the
first such layer to the loss. Then a thread has the whole error where it needs it without waiting.
"""

from ._sharing import cores
from ._supported import units, why_not
from ._training import CompiledTraining, compile_step

__all__ = ["CompiledTraining", "compile_step", "cores", "units", "why_not"]
