"""Run kernels and matrix products on a CUDA device, one by one or captured in a graph."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from .cublas import Cublas
from .kernels import Kernel, pack, source

Call = Callable[[], None]


class CudaMachine:
    """Run kernels and products for one floating-point dtype, on a new stream of this device.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    precision : str, default "float32"
        The precision of products; see :data:`.cublas.COMPUTE`.
    """

    def __init__(self, dtype: str, precision: str = "float32") -> None:
        import cupy

        self._cupy, self.dtype = cupy, np.dtype(dtype)
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self._device = cupy.cuda.Device().id
        kernels_of(self._device, dtype)  # compile now, not during training
        self._cublas = Cublas(self.stream.ptr, precision)
        self.nbytes = self._cublas.nbytes
        self._sent: list[np.ndarray] = []
        self.scales_loss = precision == "float16"

    def zeros(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return a new array of zeros, by default of the machine's dtype."""
        # Allocated on the current stream, so that CuPy can reuse the memory after this stream ends.
        return self._cupy.zeros(shape, dtype or self.dtype)

    def host_buffer(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return an array in pinned host memory, from which copies to the device are asynchronous.

        From pageable memory, the driver copies through an internal buffer, and may wait for the
        stream first. Do not change values until their copy is complete.
        """
        import cupyx

        try:
            buffer: np.ndarray = cupyx.empty_pinned(shape, dtype)
        except (MemoryError, RuntimeError):  # no more memory can be pinned; use pageable memory
            buffer = np.empty(shape, dtype)
        return buffer

    def write(self, place: Any, values: Any) -> None:
        """Copy values from the host or the device into the array ``place``, in stream order."""
        with self.stream:
            if isinstance(values, np.ndarray):
                sent = np.ascontiguousarray(values, place.dtype)
                self._sent.append(sent)  # kept until the asynchronous copy is complete
                place.set(sent, stream=self.stream)
            else:
                self._cupy.copyto(place, values)

    def read(self, array: Any) -> np.ndarray:
        """Return a copy of an array on the host, after waiting for the stream."""
        host: np.ndarray = array.get(stream=self.stream)
        self._sent.clear()
        return host

    def kernel(
        self, kernel: str | Kernel, grid: tuple[int, int], block: int, *arguments: Any
    ) -> Call:
        """Return a function that launches a kernel; an argument of None is a null pointer.

        Parameters
        ----------
        kernel : str or Kernel
            The name of a fixed kernel, or a kernel generated from a formula.
        grid, block : tuple of int, int
            The number of blocks, and the number of threads per block.
        *arguments
            The arguments, which match the kernel's signature.
        """
        function = function_of(self._device, self.dtype.name, kernel)
        packed = pack(kernel, self.dtype, arguments)
        return lambda: function(grid, (block,), packed)

    def product(self, a: Any, b: Any, out: Any, transposed: str = "NN", adds: bool = False) -> Call:
        """Return a function that computes ``out = a @ b``; see :meth:`Cublas.prepare`.

        The function is called once here, since the first call makes cuBLAS choose and load a
        kernel, which must not happen during capture. So each step must overwrite ``out``.
        """
        call = self._cublas.prepare(a, b, out, transposed, adds)
        self.run([call])
        return call

    def run(self, calls: Iterable[Call]) -> None:
        """Make calls on the stream, one after another."""
        with self.stream:
            for call in calls:
                call()

    def record(self, calls: Iterable[Call]) -> Call:
        """Capture calls in a CUDA graph; return a function that launches the graph."""
        with self.stream:
            self.stream.begin_capture()
            try:
                for call in calls:
                    call()
            finally:
                graph = self.stream.end_capture()
            graph.upload(self.stream)
        return lambda: graph.launch(self.stream)

    @contextmanager
    def ordered_with_current_stream(self) -> Iterator[None]:
        """Order the block's work on this stream after the past work of the current stream.

        Later work of the current stream is ordered after the block, since it may reuse memory that
        the block copies from.
        """
        self.stream.wait_event(self._cupy.cuda.get_current_stream().record())
        try:
            yield
        finally:
            self.current_stream_waits()

    def current_stream_waits(self) -> None:
        """Make the current stream wait for the past work of this stream."""
        self._cupy.cuda.get_current_stream().wait_event(self.stream.record())

    def record_event(self) -> Any:
        """Return an event that is recorded when all past work of this stream is done."""
        # block=True: the waiting thread sleeps instead of spinning.
        event = self._cupy.cuda.Event(block=True, disable_timing=True)
        return self.stream.record(event)

    def copy(self, array: Any) -> Any:
        """Return a copy of an array on the device, copied on the current stream."""
        return array.copy()

    def join(self, parts: Sequence[Any]) -> Any:
        """Concatenate flat arrays, on the current stream."""
        return self._cupy.concatenate(parts)

    def synchronize(self) -> None:
        """Wait until all work of this stream is done."""
        self.stream.synchronize()

    def close(self) -> None:
        """Wait for the stream, and destroy the cuBLAS handle."""
        self.synchronize()
        self._cublas.close()


@lru_cache(maxsize=1024)
def kernels_of(device: int, dtype: str, kernel: Kernel | None = None) -> Any:
    """Return the module of the fixed kernels, or of a generated kernel, compiled only once.

    It is cached per process, device and dtype. Each generated kernel is a separate module: NVRTC
    needs about 0.1 s for it, but more than 1 s for the fixed kernels, and all networks share it.
    CuPy caches the machine code on disk.

    CuPy adds ``-ftz=true``, which flushes subnormal float32 numbers (below 1.2e-38) to 0.
    """
    import cupy

    real = "float" if dtype == "float32" else "double"
    options = (f"-DREAL={real}", "--std=c++17")
    module = cupy.RawModule(code=source(kernel), options=options)
    module.compile()
    return module


def function_of(device: int, dtype: str, kernel: str | Kernel) -> Any:
    """Return a compiled kernel, fixed or generated."""
    if isinstance(kernel, str):
        return kernels_of(device, dtype).get_function(kernel)
    return kernels_of(device, dtype, kernel).get_function(kernel.name)
