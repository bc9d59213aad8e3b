"""Matrix products by cuBLAS that a CUDA graph can capture.

CuPy's matrix products cannot be captured, since each sets the stream of CuPy's handle. The handle
created here keeps one stream and one workspace, so that no product allocates memory.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

_FLOAT32, _FLOAT64 = 0, 1  # cudaDataType_t
_DEFAULT, _NONE, _TRANSPOSED = -1, 0, 1  # cublasGemmAlgo_t, cublasOperation_t

COMPUTE = {
    "float32": 68,  # CUBLAS_COMPUTE_32F
    "float16": 74,  # CUBLAS_COMPUTE_32F_FAST_16F
    "bfloat16": 75,  # CUBLAS_COMPUTE_32F_FAST_16BF
    "tf32": 77,  # CUBLAS_COMPUTE_32F_FAST_TF32
}
"""cuBLAS's compute type for each precision of float32 products; all accumulate in float32."""

PRECISIONS = tuple(COMPUTE)

_COMPUTE_64F = 70
_WORKSPACE = 32 << 20
"""Bytes, as NVIDIA recommends for its newest devices; older devices need less."""


_NO_MEMORY = (1, 3)
"""CUBLAS_STATUS_NOT_INITIALIZED, which may mean too little memory, and ALLOC_FAILED."""


class CublasError(RuntimeError):
    """A call to cuBLAS failed."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"{name} returned {status}; see cublasStatus_t")
        self.status = status


class Cublas:
    """Matrix products on one stream of the current device.

    Parameters
    ----------
    stream : int
        The stream's address.
    precision : str, default "float32"
        The precision of float32 products, a key of :data:`COMPUTE`.
    """

    def __init__(self, stream: int, precision: str = "float32") -> None:
        import cupy

        self._library = _library()
        self._compute = COMPUTE[precision]
        self._handle = ctypes.c_void_p()
        self._create()
        self._call("cublasSetStream_v2", self._handle, ctypes.c_void_p(stream))
        self._workspace = cupy.empty(_WORKSPACE, cupy.uint8)
        # Set after the stream, since setting the stream resets the workspace.
        self._call(
            "cublasSetWorkspace_v2",
            self._handle,
            ctypes.c_void_p(self._workspace.data.ptr),
            ctypes.c_size_t(_WORKSPACE),
        )
        self.nbytes = _WORKSPACE

    def _create(self) -> None:
        """Create the handle; if there is too little memory, retry after emptying CuPy's pool."""
        import cupy

        for is_last in (False, True):
            try:
                self._call("cublasCreate_v2", ctypes.byref(self._handle))
                return
            except CublasError as error:
                if error.status not in _NO_MEMORY:
                    raise
                if is_last:
                    raise MemoryError("the GPU has too little free memory for cuBLAS") from error
                cupy.get_default_memory_pool().free_all_blocks()

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise CublasError(name, status)

    def prepare(
        self, a: Any, b: Any, out: Any, transposed: str = "NN", adds: bool = False
    ) -> Callable[[], None]:
        """Return a function that computes ``out = a @ b`` or, with ``adds``, ``out += a @ b``.

        Parameters
        ----------
        a, b, out : CuPy matrix
            C-contiguous and of the same dtype.
        transposed : str, default "NN"
            One letter each for a and b: T to use the transpose, N to use the matrix itself.
        adds : bool, default False
            Whether to add the product to ``out``.
        """
        # cuBLAS stores matrices by columns, so it computes outᵀ = bᵀ aᵀ, which needs no copy.
        m, n = out.shape
        k = a.shape[0] if transposed[0] == "T" else a.shape[1]
        single = out.dtype.name == "float32"
        real = ctypes.c_float if single else ctypes.c_double
        kind = _FLOAT32 if single else _FLOAT64
        one, share = real(1.0), real(1.0 if adds else 0.0)  # factors of a @ b and of out
        operations = [_TRANSPOSED if letter == "T" else _NONE for letter in transposed]
        arguments = (
            self._handle, operations[1], operations[0], n, m, k, ctypes.byref(one),
            ctypes.c_void_p(b.data.ptr), kind, b.shape[1],
            ctypes.c_void_p(a.data.ptr), kind, a.shape[1], ctypes.byref(share),
            ctypes.c_void_p(out.data.ptr), kind, n, self._compute if single else _COMPUTE_64F,
            _DEFAULT,
        )  # fmt: skip
        return lambda: self._call("cublasGemmEx", *arguments)

    def close(self) -> None:
        """Destroy the handle."""
        if self._handle:
            self._call("cublasDestroy_v2", self._handle)
            self._handle = ctypes.c_void_p()


def _library() -> Any:
    """Return the cuBLAS library that CuPy has loaded."""
    from cupy_backends.cuda.libs import cublas  # noqa: F401 - finds and loads it

    if sys.platform == "win32":
        names, mode = ("cublas64_13.dll", "cublas64_12.dll"), ctypes.DEFAULT_MODE
    else:  # RTLD_NOLOAD: only the library that is already loaded, not one on the search path
        names, mode = ("libcublas.so.13", "libcublas.so.12"), os.RTLD_NOLOAD | os.RTLD_NOW
    for name in names:
        try:
            return ctypes.CDLL(name, mode=mode)
        except OSError:
            continue
    raise RuntimeError(f"no loaded cuBLAS library was found: expected {' or '.join(names)}")
