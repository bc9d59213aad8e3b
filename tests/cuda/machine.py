"""A machine for captured steps on the CPU, with the same kernels, emulated, and NumPy's products.

It counts the operations, and is as strict as a GPU: while a graph is recorded, it refuses to create
or copy arrays, and to wait.
"""

from collections import Counter
from contextlib import nullcontext

import numpy as np

from .emulator import Emulator
from .written import emulator_of


class EmulatedMachine:
    """A replacement of ``CudaMachine``, with the same methods."""

    def __init__(self, dtype, precision="float32"):
        self.dtype = np.dtype(dtype)
        self.scales_loss = precision == "float16"
        self.nbytes = 0
        self.counts = Counter()
        self.spoil = False
        self._recording = False
        self._emulator = Emulator(dtype)

    def _count(self, what):
        assert not self._recording, f"{what} while a graph is recorded"
        self.counts[what] += 1

    def zeros(self, shape, dtype=None):
        self._count("zeros")
        return np.zeros(shape, dtype or self.dtype)

    def host_buffer(self, shape, dtype):
        return np.empty(shape, dtype)

    def write(self, place, values):
        self._count("write")
        assert place.shape == values.shape, (place.shape, values.shape)
        place[...] = values

    def read(self, array):
        self._count("read")
        return array.copy()

    def copy(self, array):
        self._count("copy")
        return array.copy()

    def join(self, parts):
        self._count("copy")
        return np.concatenate(parts)

    def kernel(self, kernel, grid, block, *arguments):
        is_fixed = isinstance(kernel, str)
        name = kernel if is_fixed else kernel.name
        emulator = self._emulator if is_fixed else emulator_of(kernel, self.dtype.name)

        def call():
            self.counts["kernel"] += not self._recording
            if not self._recording:
                emulator.launch(name, grid, block, *arguments)

        return call

    def product(self, a, b, out, transposed="NN", adds=False):
        assert a.flags.c_contiguous
        assert b.flags.c_contiguous
        assert out.flags.c_contiguous
        a, b = (x.T if letter == "T" else x for x, letter in zip((a, b), transposed, strict=True))

        def call():
            self.counts["product"] += not self._recording
            if not self._recording:
                with np.errstate(invalid="ignore", over="ignore"):  # a GPU does not warn
                    out[...] = a @ b + out if adds else a @ b
                if self.spoil:
                    out[0, 0] = np.inf

        return call

    def run(self, calls):
        for call in calls:
            call()

    def record(self, calls):
        self._recording = True
        calls = list(calls)
        self.run(calls)
        self._recording = False
        return lambda: self.run(calls)

    def current_stream_waits(self):
        """Do nothing, since there is only one stream."""

    close = synchronize = current_stream_waits

    def ordered_with_current_stream(self):
        return nullcontext()

    def record_event(self):
        return self
