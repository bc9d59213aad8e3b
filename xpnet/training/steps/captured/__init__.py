"""Training steps on a GPU as a fixed list of kernels and products, captured in graphs.

:func:`capture_step` translates a network into a list of launches, whose arrays are made once.
The list is the same for every step: numbers that change (the position in the order of samples, the
number of updates, the learning rate) are read from the device's memory. So several steps can be
captured in one CUDA graph. An epoch replays graphs, and Python only has to launch one every few
milliseconds.

A shorter last batch of an epoch has another list, which uses the same arrays.

A machine with a few methods (``backends/cuda/machine.py``) runs the list. The tests have a machine
that runs the same kernels on the CPU.
"""

from .supported import units, why_not
from .training import CapturedTraining, capture_step

__all__ = ["CapturedTraining", "capture_step", "units", "why_not"]
