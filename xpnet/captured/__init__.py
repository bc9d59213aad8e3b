"""Training steps on a GPU as a fixed list of kernels and products, captured in graphs.

:func:`capture_step` translates a network into a list of launches, whose arrays are made once.
Nothing in it depends on the step: what changes (the place in the order, the number of the update,
the learning rate) is read from the device's memory. So the list is captured in a CUDA graph, some
steps in one, and an epoch is the replaying of graphs: Python says "go on" every few milliseconds.

The last batch of an epoch, a short one, is a list of its own over the same arrays.

What runs the list is a machine with a few methods (``backends/_cuda_machine.py``). The tests have
one that runs the same kernels on the CPU.
"""

from ._supported import units, why_not
from ._training import CapturedTraining, capture_step

__all__ = ["CapturedTraining", "capture_step", "units", "why_not"]
