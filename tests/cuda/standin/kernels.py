"""CuPy's compiled kernels, run by the emulator from the same source."""

from typing import Any

import numpy as np

from xpnet.backends.cuda.kernels import Kernel, source

from ..emulator import Emulator, parameter_lists
from ..written import emulator_of
from . import queues
from .calls import opened


class RawModule:
    """A replacement of ``cupy.RawModule``, for xpnet's kernels only."""

    takes_host_arrays = False

    def __init__(self, code: str, options: tuple[str, ...] = ()) -> None:
        (real,) = (option.removeprefix("-DREAL=") for option in options if "REAL" in option)
        self._emulator = _emulator(code, {"float": "float32", "double": "float64"}[real])

    def compile(self) -> None:
        queues.counts["compiled"] += 1

    def get_function(self, name: str) -> Any:
        def launch(grid: Any, block: tuple[int], arguments: tuple[Any, ...]) -> None:
            given = [self._plain(argument) for argument in arguments]
            x, y = (*grid, 1)[:2]
            queues.current_queue().launch(
                lambda: self._emulator.launch(name, (x, y), block[0], *given)
            )

        return launch

    def _plain(self, value: Any) -> Any:
        """Return an argument for the emulator, which must not keep device memory alive."""
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray) and self.takes_host_arrays:
            return value
        assert hasattr(value, "_memory") or isinstance(value, np.ndarray), (
            f"{value!r} has no type of its own"
        )
        return opened(value, [])


def _emulator(code: str, real: str) -> Emulator:
    if code == source():
        return Emulator(real)
    ((name, parameters),) = parameter_lists(code).items()
    begins = f"KERNEL {name}("
    signature = "".join(each.letter for each in parameters)
    written = Kernel(name, signature, begins + code.partition(begins)[2])
    assert source(written) == code
    return emulator_of(written, real)


class MachineModule(RawModule):
    """A module that also accepts host arrays, as a CPU network has them."""

    takes_host_arrays = True
