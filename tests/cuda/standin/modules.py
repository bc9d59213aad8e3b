"""Modules that replace CuPy's modules."""

import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np

from . import devices, functions, memory, queues, sparse
from .arrays import Seen, ndarray
from .cublas import Cublas
from .kernels import MachineModule, RawModule

VERSION = "14.0.0"

REPLACED = ("cupy", "cupyx", "cupy_backends")
"""Packages that the stand-in replaces."""

RUNTIME_VERSION = 12090


def _module(name: str, **contents: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(contents)
    return made


def make_cuda() -> types.ModuleType:
    """Return the replacement of ``cupy.cuda``."""
    runtime = _module(
        "cupy.cuda.runtime",
        CUDARuntimeError=devices.CUDARuntimeError,
        driverGetVersion=lambda: RUNTIME_VERSION,
        runtimeGetVersion=lambda: RUNTIME_VERSION,
        getDeviceCount=lambda: devices.DEVICES,
        getDevice=queues.current_device,
        getDeviceProperties=lambda device: {"name": b"stand-in"},
        setDevice=lambda device: devices.Device(device).use(),
        deviceSynchronize=lambda: devices.Device().synchronize(),
        memGetInfo=memory.mem_get_info,
        is_hip=False,
    )
    of_memory = {
        "MemoryHook": memory.MemoryHook,
        "OutOfMemoryError": memory.OutOfMemoryError,
    }
    of_streams = {
        "Stream": devices.Stream,
        "Event": devices.Event,
        "Graph": devices.Graph,
        "get_elapsed_time": devices.get_elapsed_time,
        "get_current_stream": devices.get_current_stream,
    }
    return _module(
        "cupy.cuda",
        runtime=runtime,
        device=_module("cupy.cuda.device", Device=devices.Device),
        memory=_module("cupy.cuda.memory", **of_memory),
        stream=_module("cupy.cuda.stream", **of_streams),
        Device=devices.Device,
        MemoryHook=memory.MemoryHook,
        is_available=lambda: True,
        **of_streams,
    )


def make_cupy(kind: type = Seen, raw_module: type = MachineModule) -> types.ModuleType:
    """Return the replacement of ``cupy``.

    Parameters
    ----------
    kind
        The class of arrays: `Seen` for tests that run a machine with a CPU network.
    raw_module
        The class of compiled kernels.
    """
    pool, pinned = memory.DefaultPool(), memory.PinnedPool()
    return _module(
        "cupy",
        **functions.namespace(kind)
        | {
            "ndarray": ndarray,
            "RawModule": raw_module,
            "cuda": make_cuda(),
            "linalg": _module("cupy.linalg", **functions.submodule(kind, np.linalg)),
            "fft": _module("cupy.fft", **functions.submodule(kind, np.fft)),
            "get_default_memory_pool": lambda: pool,
            "get_default_pinned_memory_pool": lambda: pinned,
        },
        __version__=VERSION,
        __path__=[],
    )


def make_cupyx() -> types.ModuleType:
    """Return the replacement of ``cupyx``, with a list ``pinned`` of all pinned host arrays."""
    pinned: list[np.ndarray] = []

    def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
        pinned.append(np.empty(shape, dtype))
        return pinned[-1]

    scipy = _module("cupyx.scipy", __path__=[])
    scipy.sparse = _module(
        "cupyx.scipy.sparse",
        csr_matrix=sparse.csr_matrix,
        csc_matrix=sparse.csc_matrix,
        issparse=sparse.issparse,
        isspmatrix_csr=lambda x: isinstance(x, sparse.csr_matrix),
    )
    return _module("cupyx", pinned=pinned, empty_pinned=empty_pinned, scipy=scipy, __path__=[])


class _Libraries(types.ModuleType):
    """The package of CUDA's libraries, each of which is created on attribute access."""

    def __getattr__(self, name: str) -> types.ModuleType:
        if name not in ("cublas", "nvrtc"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = _module(f"{self.__name__}.{name}", getVersion=lambda: (13, 0))
        sys.modules[found.__name__] = found
        setattr(self, name, found)
        return found


def install(policy: str) -> None:
    """Replace CuPy by the stand-in for the rest of the process.

    Parameters
    ----------
    policy
        The order in which work is done; see `queues`.
    """
    queues.set_policy(policy)
    # Other libraries may have tried to import CuPy, e.g. Zarr when pytest loads its plugin.
    for name in list(sys.modules):
        if name.partition(".")[0] in REPLACED or name.startswith("array_api_compat.cupy"):
            del sys.modules[name]
    cupy, cupyx = make_cupy(ndarray, RawModule), make_cupyx()
    del cupyx.pinned  # it would keep every buffer alive
    backends, backends_cuda = (
        _module(name, __path__=[]) for name in ("cupy_backends", "cupy_backends.cuda")
    )
    libraries = _Libraries("cupy_backends.cuda.libs")
    libraries.__spec__, libraries.__path__ = ModuleSpec(libraries.__name__, None), []
    backends.cuda, backends_cuda.libs = backends_cuda, libraries
    cuda = cupy.cuda
    for module in (
        cupy, cupy.linalg, cupy.fft, cuda, cuda.runtime, cuda.device, cuda.memory, cuda.stream,
        cupyx, cupyx.scipy, cupyx.scipy.sparse, backends, backends_cuda, libraries,
    ):  # fmt: skip
        sys.modules[module.__name__] = module

    from xpnet.backends.cuda import cublas

    library = Cublas()
    cublas._library = lambda: library
