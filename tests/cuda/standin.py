"""A stand-in for the part of CuPy, and of cuBLAS, that captured steps are made of.

It computes on the CPU, with the emulated kernels, and does as a GPU does: what is launched while a
stream is capturing is put into the graph and not done, and whatever may not be done meanwhile
raises. It counts what is asked for.
"""

import ctypes
import types
from collections import Counter

import numpy as np

from .emulator import Emulator

counts = Counter()


class _Pointer:
    def __init__(self, address):
        self.ptr = address


class Array(np.ndarray):
    """An array that is not on the host: NumPy may not look at it by chance."""

    @property
    def data(self):
        return _Pointer(self.ctypes.data)

    @property
    def device(self):
        return Device()

    def get(self, stream=None):
        _wait("get")
        return np.array(self.view(np.ndarray))

    def set(self, values, stream=None):
        _not_capturing("a copy from the host")
        counts["from host"] += 1
        assert values.shape == self.shape
        assert values.dtype == self.dtype
        self.view(np.ndarray)[...] = values

    def copy(self):
        counts["allocations"] += 1
        return np.array(self.view(np.ndarray)).view(Array)


def _not_capturing(what):
    if Stream.capturing is not None:
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what}")


def _wait(what):
    _not_capturing(what)
    counts["waits"] += 1


def _do(work):
    """Do some work of the device, or put it into the graph that is being captured."""
    if Stream.capturing is not None:
        Stream.capturing.append(work)
        return
    counts["launches"] += 1
    work()


class Graph:
    def __init__(self, work):
        self.work = work

    def upload(self, stream):
        pass

    def launch(self, stream):
        _not_capturing("a graph in a graph")
        counts["graphs"] += 1
        counts["launches in graphs"] += len(self.work)
        for each in self.work:
            each()


class Stream:
    """A stream; only one that is not blocking may capture."""

    capturing = None
    ptr = 4711

    def __init__(self, non_blocking=False):
        self.non_blocking = non_blocking

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def begin_capture(self):
        assert self.non_blocking, "it would wait for the null stream"
        Stream.capturing = []

    def end_capture(self):
        work, Stream.capturing = Stream.capturing, None
        return Graph(work)

    def synchronize(self):
        _wait("synchronize")

    def record(self, event=None):
        return self

    def wait_event(self, event):
        pass


class Device:
    id = 0


class RawModule:
    """Kernels from a source: those of the emulator, which has the same."""

    def __init__(self, code, options):
        (real,) = (option.removeprefix("-DREAL=") for option in options if "REAL" in option)
        self._emulator = Emulator({"float": "float32", "double": "float64"}[real])
        assert "KERNEL adam(" in code

    def compile(self):
        counts["compiled"] += 1

    def get_function(self, name):
        def launch(grid, block, arguments):
            given = [
                a.view(np.ndarray) if isinstance(a, np.ndarray) and a.ndim else _plain(a)
                for a in arguments
            ]
            _do(lambda: self._emulator.launch(name, grid, block[0], *given))

        return launch


def _plain(value):
    assert isinstance(value, np.generic), f"{value!r} has no type of its own"
    return value.item()


class Cublas:
    """The functions of libcublas that are called, on matrices column by column as it has them."""

    def __init__(self):
        self.calls, self.seen = [], set()

    def cublasCreate_v2(self, handle):
        handle._obj.value = 1
        return 0

    def cublasDestroy_v2(self, handle):
        return 0

    def cublasSetStream_v2(self, handle, stream):
        self.calls.append("stream")
        return 0

    def cublasSetWorkspace_v2(self, handle, address, size):
        self.calls.append("workspace")
        return 0

    def cublasGemmEx(
        self, handle, op_a, op_b, m, n, k, alpha, a, kind_a, lda, b, kind_b, ldb, beta, c, kind_c,
        ldc, compute, algorithm,
    ):  # fmt: skip
        shape = op_a, op_b, m, n, k
        if Stream.capturing is not None and shape not in self.seen:
            return 14  # it chooses a kernel at the first time, and may not do so while capturing
        self.seen.add(shape)
        self.calls.append(compute)
        assert self.calls.index("stream") < self.calls.index("workspace")
        kind = {0: ctypes.c_float, 1: ctypes.c_double}[kind_a]
        assert kind_a == kind_b == kind_c
        assert algorithm == -1
        assert (alpha._obj.value, beta._obj.value) == (1.0, 0.0)
        assert isinstance(alpha._obj, kind)  # scalars are of the type that is computed in

        def matrix(pointer, rows, columns, leading):
            assert leading >= rows
            flat = np.ctypeslib.as_array(
                ctypes.cast(pointer, ctypes.POINTER(kind)), (columns * leading,)
            )
            return flat.reshape(columns, leading)[:, :rows].T  # column by column

        def work():
            left = matrix(a, *((k, m) if op_a else (m, k)), lda)
            right = matrix(b, *((n, k) if op_b else (k, n)), ldb)
            result = matrix(c, m, n, ldc)
            result[...] = (left.T if op_a else left) @ (right.T if op_b else right)

        _do(work)
        return 0


def make_cupy():
    """Return a module that stands in for CuPy."""

    def new(function):
        def make(shape, dtype=np.float64):
            _not_capturing("an allocation")
            counts["allocations"] += 1
            return function(shape, dtype).view(Array)

        return make

    cupy = types.ModuleType("cupy")
    cupy.ndarray, cupy.RawModule = Array, RawModule
    cupy.zeros, cupy.empty, cupy.uint8 = new(np.zeros), new(np.empty), np.uint8
    cupy.concatenate = lambda parts: np.concatenate(parts).view(Array).copy()
    cupy.copyto = lambda place, values: _do(lambda: np.copyto(place, values))
    cupy.cuda = types.SimpleNamespace(
        Stream=Stream,
        Device=Device,
        Event=lambda block, disable_timing: None,
        get_current_stream=lambda: Stream(),
    )
    pool = types.SimpleNamespace(free_all_blocks=lambda: counts.update(["freed"]))
    cupy.get_default_memory_pool = lambda: pool
    cupy.asarray = lambda values, order: np.array(values, order=order).view(Array)
    return cupy


def make_cupyx():
    """Return a module that stands in for the part of CuPy that is besides NumPy's."""
    cupyx = types.ModuleType("cupyx")
    pinned = []
    cupyx.empty_pinned = lambda shape, dtype: pinned.append(np.empty(shape, dtype)) or pinned[-1]
    cupyx.pinned = pinned
    return cupyx
