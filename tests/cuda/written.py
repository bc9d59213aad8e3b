"""Emulators of the kernels generated from formulas.

g++ takes a second for any source, and little more for many kernels than for one. So all kernels of
a kind are compiled together, except for kernels of users' parts or other settings.
"""

from functools import cache

from bench.written import kernels, signatures_of, text_of
from xpnet.backends.cuda.kernels import Kernel

from .emulator import Emulator


@cache
def emulator_of(kernel: Kernel, real: str) -> Emulator:
    """Return an emulator of a generated kernel."""
    own = kernels(kernel.name.rpartition("_")[0], real)
    return _emulator(own if kernel in own else (kernel,), real)


@cache
def _emulator(kernels: tuple[Kernel, ...], real: str) -> Emulator:
    return Emulator(real, source=text_of(kernels), signatures=signatures_of(kernels))
