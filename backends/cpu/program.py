"""The memory and instructions of the engine for one network."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - must be loaded before its functions are looked up
from numba import types
from numba.extending import get_cython_function_address

from .compiling import compiled_callback
from .kernels import gemm
from .product import IS_FAST, row_product

RECORD = 16
"""The minimum number of integers in an instruction's record."""

ARRIVE, WAIT, OF_UPDATE = 1, 2, 4
"""Marks of an instruction: signal its end to the other threads; wait until all threads have
signalled; skip the instruction in batches without an update."""

ROWS_OF_BATCH = -1
"""Means the number of samples in the batch, as the size of a matrix."""

_ALIGNMENT = 128  # bytes: two cache lines, since processors prefetch the second


class Memory:
    """Arrays of one dtype in one block of memory, allocated after all offsets are taken.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._array: np.ndarray | None = None

    def padded(self, n: int) -> int:
        """Return the stride of rows of ``n`` elements, a multiple of the register size.

        Long rows have an odd number of registers, since otherwise the cache lines of a column would
        compete for a few sets of the cache.
        """
        registers = self.registers(n)
        if registers > 6:
            registers |= 1
        return registers * (64 // self.dtype.itemsize)

    def registers(self, n: int) -> int:
        """Return the number of 64-byte registers for ``n`` elements."""
        return -(-n * self.dtype.itemsize // 64)

    def take(self, *shape: int) -> int:
        """Return the offset of a new array, which shares no cache line with other arrays."""
        start, step = self.size, _ALIGNMENT // self.dtype.itemsize
        self.size += -(-math.prod(shape) // step) * step
        return start

    @property
    def array(self) -> np.ndarray:
        """The whole memory, allocated and set to zero at the first access."""
        if self._array is None:
            spare = _ALIGNMENT // self.dtype.itemsize  # kernels may read a register past the end
            whole = np.zeros(self.size + 2 * spare, self.dtype)
            start = -whole.ctypes.data % _ALIGNMENT // self.dtype.itemsize
            self._array = whole[start : start + self.size]
        return self._array

    def view(self, offset: int, *shape: int) -> np.ndarray:
        """Return the array at an offset, with the given shape."""
        return self.array[offset : offset + math.prod(shape)].reshape(shape)


class Program:
    """The instructions of one thread for one step.

    Parameters
    ----------
    memory : Memory
    data : str, default "uint8"
        The dtype of the features.
    """

    def __init__(self, memory: Memory, data: str = "uint8") -> None:
        self.memory, self.data = memory, data
        self._lines: list[tuple[Callable[..., None], list[int], int]] = []
        self._records: Any = None

    def add(self, function: Callable[..., None], *arguments: int | float) -> None:
        """Add a kernel with its record; floats are stored as their bits."""
        record = [bits(each) if isinstance(each, float) else int(each) for each in arguments]
        self._lines.append((function, record, 0))

    def mark(self, mark: int) -> None:
        """Add a mark, ARRIVE, WAIT or OF_UPDATE, to the last instruction."""
        function, record, before = self._lines[-1]
        self._lines[-1] = (function, record, before | mark)

    def gemm(
        self,
        sizes: tuple[int, int, int],
        a: tuple[int, int],
        b: tuple[int, int],
        c: tuple[int, int],
        transposed: str = "NN",
        adds: bool = False,
    ) -> None:
        """Add a product C = A B, or C += A B.

        Parameters
        ----------
        sizes : tuple of int
            m, n and k: C has shape (m, n), and each sum has k terms. One of them may be
            ``ROWS_OF_BATCH``.
        a, b, c : tuple of int
            Offset and stride of each matrix. The rows of B and C are padded to whole registers,
            unless B is transposed. The padding of C is overwritten.
        transposed : str, default "NN"
            A letter each for A and B: T if the matrix is stored as its transpose, otherwise N.
        adds : bool, default False
            Whether the product is added to C; only with "NT".
        """
        m, n, k = sizes
        if IS_FAST and transposed != "NT":
            registers, first = self.memory.registers(n), transposed[0]
            steps = (a[1], 1) if first == "N" else (1, a[1])
            self.add(row_product, m, registers, k, a[0], *steps, *b, *c)
            return
        # BLAS stores matrices by columns, so it computes Cᵀ = Bᵀ Aᵀ, which needs no copy.
        whole = np.array([n, m, k, b[1], a[1], c[1]], np.int32)
        batch = sum(1 << place for place, size in enumerate((n, m, k)) if size == ROWS_OF_BATCH)
        letters = np.array([ord(transposed[1]), ord(transposed[0])] + [0] * 6, np.uint8)
        ends = np.zeros(4, self.memory.dtype)
        ends[0] = 1.0
        one = ends.view(np.int64)[:1]
        record = [_gemm_address(self.memory.dtype.name), batch, *whole.view(np.int64)]
        record += [*letters.view(np.int64), *one, *(one if adds else [0]), b[0], a[0], c[0]]
        self._lines.append((gemm, [int(each) for each in record], 0))

    def finished(self) -> np.ndarray:
        """Return the instructions as an array of shape (n, 3): kernel and record address, mark."""
        width = max([RECORD, *(len(values) for _, values, _ in self._lines)])
        self._records = np.zeros((len(self._lines), width), np.int64)
        table = np.zeros((len(self._lines), 3), np.int64)
        start, item = self.memory.array.ctypes.data, self.memory.dtype.itemsize
        dtype = self.memory.dtype.name
        for k, (function, values, mark) in enumerate(self._lines):
            record = self._records[k]
            record[: len(values)] = values
            if function is gemm:
                record[8:11] = start + record[8:11] * item
                record[11] = record.ctypes.data
            table[k] = kernel(function, dtype, self.data), record.ctypes.data, mark
        return table

    def names(self) -> list[str]:
        """Return the names of the kernels, in the order of the instructions."""
        return [function.__name__ for function, _, _ in self._lines]


def bits(value: float) -> int:
    """Return the 64 bits of a float64 as an integer."""
    return int(np.float64(value).view(np.int64))


def kernel(function: Callable[..., None], dtype: str, data: str) -> int:
    """Return the address of a kernel compiled for these dtypes of memory and features."""
    takes_data = function.__name__.startswith("gather")
    return _kernel(function, dtype, data if takes_data else "uint8")


@cache
def _kernel(function: Callable[..., None], dtype: str, data: str) -> int:
    numba_types: Any = types
    pointer = numba_types.CPointer
    record, number, feature = (
        pointer(getattr(numba_types, name)) for name in ("int64", dtype, data)
    )
    signature = numba_types.void(record, record, number, feature)
    # Contracting a·b + c to an FMA changes only rounding; NaN and infinity are handled as usual.
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
    compiled = compiled_callback(function, signature, **options)
    _alive.append(compiled)
    return int(compiled.address)


_alive: list[Any] = []
"""Compiled kernels, kept alive because their addresses are in use."""


@cache
def _gemm_address(dtype: str) -> int:
    name = "sgemm" if dtype == "float32" else "dgemm"
    return int(get_cython_function_address("scipy.linalg.cython_blas", name))
