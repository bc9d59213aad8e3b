"""Training steps on a GPU as a fixed list of kernels and products, captured in graphs.

:class:`CapturedTraining` translates a model into a list of launches, whose arrays are made once.
The list is the same for every step: numbers that change (the position in the order of samples, the
number of updates, the learning rate) are read from the device's memory. So several steps can be
captured in one CUDA graph. An epoch replays graphs, and Python launches only one every few
milliseconds.

A shorter last batch of an epoch has another list, which uses the same arrays.

A machine, an object with a few methods (``backends/cuda/machine.py``), runs the list. Tests use a
machine that runs the same kernels on the CPU.
"""

from .training import CapturedTraining

__all__ = ["CapturedTraining"]
