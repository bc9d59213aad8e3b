"""What runs prepared kernels and products on a CUDA device, one by one or captured in a graph."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from ._cublas import Cublas
from ._cuda_kernels import SOURCE, pack

Call = Callable[[], None]


class CudaMachine:
    """Kernels and products of one type of numbers on the current device, on a stream of its own.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    precision : str
        Of products; see :data:`_cublas.COMPUTE`.
    """

    def __init__(self, dtype: str, precision: str = "float32") -> None:
        import cupy

        self._cupy, self.dtype = cupy, np.dtype(dtype)
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self._module = kernels_of(cupy.cuda.Device().id, dtype)
        self._cublas = Cublas(self.stream.ptr, precision)
        self.nbytes = self._cublas.nbytes
        self._sent: list[np.ndarray] = []
        self.epsilon = float(np.finfo(self.dtype).eps)
        self.scales_loss = precision == "float16"

    def zeros(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return a new array, of the machine's type if no other is named."""
        # On the current stream, whose memory others can have when this one has gone.
        return self._cupy.zeros(shape, dtype or self.dtype)

    def host_buffer(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return an array in pinned host memory, from which copies to the device are asynchronous.

        From other memory the driver copies by way of a small buffer of its own, and may wait for
        the stream first. Values that were sent must not be changed until the copy is done.
        """
        import cupyx

        try:
            buffer: np.ndarray = cupyx.empty_pinned(shape, dtype)
        except (MemoryError, RuntimeError):  # no more memory can be pinned: other memory does, too
            buffer = np.empty(shape, dtype)
        return buffer

    def write(self, place: Any, values: Any) -> None:
        """Copy values, of the host or the device, into an array, in their turn on the stream."""
        with self.stream:
            if isinstance(values, np.ndarray):
                sent = np.ascontiguousarray(values, place.dtype)
                self._sent.append(sent)  # it may be on its way until somebody waits
                place.set(sent, stream=self.stream)
            else:
                self._cupy.copyto(place, values)

    def read(self, array: Any) -> np.ndarray:
        """Return a copy on the host; waits for the stream."""
        host: np.ndarray = array.get(stream=self.stream)
        self._sent.clear()
        return host

    def kernel(self, name: str, grid: tuple[int, int], block: int, *arguments: Any) -> Call:
        """Return a launch of a kernel; None is a null pointer."""
        function, packed = self._module.get_function(name), pack(name, self.dtype, arguments)
        return lambda: function(grid, (block,), packed)

    def product(self, a: Any, b: Any, out: Any, transposed: str = "NN") -> Call:
        """Return a call of ``out = a @ b``; see :meth:`Cublas.prepare`.

        It is made once here: the first time, cuBLAS chooses among its kernels and loads one, which
        is not to happen while a graph is captured.
        """
        call = self._cublas.prepare(a, b, out, transposed)
        self.run([call])
        return call

    def run(self, calls: Iterable[Call]) -> None:
        """Make calls on the stream, one by one."""
        with self.stream:
            for call in calls:
                call()

    def record(self, calls: Iterable[Call]) -> Call:
        """Return one call that makes all of them: a graph of what they launch."""
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
    def turn(self) -> Iterator[None]:
        """Let what is written within the block come after what was asked of the current stream.

        And what is asked of that one later comes after the block: it may use the memory again that
        values were copied from.
        """
        self.stream.wait_event(self._cupy.cuda.get_current_stream().record())
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Let the current stream wait for what was asked of this one."""
        self._cupy.cuda.get_current_stream().wait_event(self.stream.record())

    def mark(self) -> Any:
        """Return an event that has happened when all that was asked for so far is done."""
        # One that is waited for asleep.
        event = self._cupy.cuda.Event(block=True, disable_timing=True)
        return self.stream.record(event)

    def copy(self, array: Any) -> Any:
        """Return a copy of an array on the device, made on the current stream."""
        return array.copy()

    def join(self, parts: Sequence[Any]) -> Any:
        """Return flat arrays joined into a new one, which is made on the current stream."""
        return self._cupy.concatenate(parts)

    def synchronize(self) -> None:
        """Wait until all is done that was asked for."""
        self.stream.synchronize()

    def close(self) -> None:
        """Wait for the stream, and let go of the handle of products."""
        self.synchronize()
        self._cublas.close()


@cache
def kernels_of(device: int, dtype: str) -> Any:
    """Return the kernels, compiled for a device and a type, once in a process.

    CuPy adds ``-ftz=true``: in float32, numbers closer to 0 than 1.2e-38 (denormal ones) are 0.
    """
    import cupy

    real = "float" if dtype == "float32" else "double"
    options = (f"-DREAL={real}", "--std=c++17")
    module = cupy.RawModule(code=SOURCE.read_text(encoding="utf-8"), options=options)
    module.compile()
    return module
