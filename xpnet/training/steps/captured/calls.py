"""A list of calls, and the grids with which its kernels are launched."""

from typing import Any

from ....backends import Array
from ....backends.cuda.kernels import Kernel

THREADS = 256
"""The usual number of threads in a block."""

MOST_THREADS = 1024
"""The number of threads in a block for kernels with few blocks."""

MOST_BLOCKS = 2048
"""The most blocks, more than a GPU runs at a time; kernels loop over the remaining numbers."""


class Calls:
    """The calls of a step, and methods that add kernels and products to them.

    Parameters
    ----------
    machine : CudaMachine
    rows : int
        The number of samples in the batch.

    Attributes
    ----------
    calls : list of callable
    """

    def __init__(self, machine: Any, rows: int) -> None:
        self._machine, self._rows = machine, rows
        self.calls: list[Any] = []

    def _add(
        self, kernel: str | Kernel, grid: tuple[int, int], block: int, *arguments: Any
    ) -> None:
        self.calls.append(self._machine.kernel(kernel, grid, block, *arguments))

    def _over(self, kernel: str | Kernel, n: int, *arguments: Any) -> None:
        """Add an elementwise kernel for ``n`` numbers."""
        blocks = min(-(-n // THREADS), MOST_BLOCKS)
        self._add(kernel, (max(blocks, 1), 1), THREADS, *arguments)

    def _over_rows(self, kernel: str | Kernel, *arguments: Any) -> None:
        """Add a kernel with a warp for each row."""
        warps = 4
        self._add(kernel, (-(-self._rows // warps), 1), 32 * warps, *arguments)

    def _one_block(self, name: str, *arguments: Any) -> None:
        self._add(name, (1, 1), THREADS, *arguments)

    def _product(
        self, a: Array, b: Array, out: Array, transposed: str = "NN", adds: bool = False
    ) -> None:
        self.calls.append(self._machine.product(a, b, out, transposed, adds))

    def _over_columns(
        self,
        kernel: str | Kernel,
        n: int,
        *arguments: Any,
        parts: int = 1,
        threads: int = THREADS,
    ) -> None:
        """Add a kernel with a block for every 32 columns of each part of the rows."""
        self._add(kernel, (-(-n // 32), parts), threads, *arguments)

    def _sparse_grid(self, n: int) -> tuple[tuple[int, int], int]:
        block = min(max(32, -(-n // 32) * 32), THREADS)
        return (min(self._rows, MOST_BLOCKS), -(-n // block)), block
