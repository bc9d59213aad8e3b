"""NumPy's functions as work on the device."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import queues
from .memory import Memory

WAITING = {
    "argwhere", "bincount", "compress", "extract", "flatnonzero", "intersect1d", "nonzero",
    "setdiff1d", "trim_zeros", "union1d", "unique", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
}  # fmt: skip
"""Functions whose result has a data-dependent shape, so that they wait for the data."""


def new(kind: type, shape: Any, dtype: Any = np.float64, order: str = "C") -> Any:
    """Return an array of class ``kind`` in new memory."""
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(int(n) for n in shape)
    dtype = np.dtype(np.float64 if dtype is None else dtype)
    if dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {dtype}")
    memory = Memory(max(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, 1))
    raw: np.ndarray = np.ndarray(shape, dtype, memory.buffer, memory.offset, None, order)
    return kind._of(raw, memory)


def new_like(kind: type, raw: np.ndarray) -> Any:
    """Return an array with the shape, dtype and, if possible, order of a NumPy array."""
    fortran = raw.flags.f_contiguous and not raw.flags.c_contiguous
    return new(kind, raw.shape, raw.dtype, "F" if fortran else "C")


def opened(value: Any, inputs: list[Any], indexing: bool = False) -> Any:
    """Return an argument with its arrays replaced by host arrays, and collect its arrays.

    Raises
    ------
    TypeError
        The argument contains a NumPy array, which is on the host.
    """
    from .arrays import Array

    if isinstance(value, Array):
        device = queues.current_device()
        if value._memory.device != device:
            raise ValueError(
                "Array device must be same as the current device: array device = "
                f"{value._memory.device} while current = {device}"
            )
        inputs.append(value)
        return value._a
    if isinstance(value, np.ndarray):
        if not indexing:
            raise TypeError(f"Unsupported type {type(value)}")
        queues.refuse_while_capturing("a copy from the host")
        queues.counts["from host"] += 1
        return value.copy()
    if type(value) in (tuple, list):
        return type(value)(opened(each, inputs, indexing) for each in value)
    return value


def compute(
    kind: type, function: Callable[..., Any], /, *args: Any, waits: bool = False, **kwargs: Any
) -> Any:
    """Return the result of a NumPy function of device arrays, as device arrays.

    Parameters
    ----------
    kind
        The class of the result.
    function
        A function of NumPy arrays.
    waits
        Whether the shape of the result depends on the data.
    """
    inputs: list[Any] = []
    given = [opened(arg, inputs) for arg in args]
    named = {name: opened(arg, inputs) for name, arg in kwargs.items() if name != "out"}
    queue = queues.current_queue()
    out = kwargs.get("out")
    out = out[0] if isinstance(out, tuple) else out
    if out is not None:
        target = opened(out, inputs)
        queue.launch(lambda: _quiet(function, *given, **named, out=target))
        return out
    if waits:
        queues.wait(queue, function.__name__)

    def work() -> Any:
        return _quiet(function, *given, **named)

    undone = not waits and (queue.late or queue.graph is not None)
    # If inputs are not computed yet, this result has wrong numbers but the right shape and dtype.
    result = work() if undone or waits else _done(queue, work)
    made = [_made(kind, part, inputs) for part in _parts(result)]
    # Work must not keep arrays alive, whose memory may be freed before the work is done.
    places = [(k, array._a) for k, (array, is_new) in enumerate(made) if is_new]

    def write() -> None:
        parts = _parts(work() if undone else result)
        for k, place in places:
            place[...] = parts[k]

    if places:
        queue.launch(write)
    arrays = [array for array, _ in made]
    if not isinstance(result, tuple | list):
        return arrays[0]
    return type(result)(*arrays) if hasattr(result, "_fields") else type(result)(arrays)


def _done(queue: queues.Queue, work: Callable[[], Any]) -> Any:
    """Return the result of work, done after everything that the stream must wait for."""
    found: list[Any] = []
    queue.put(lambda: found.append(work()))
    return found[0]


def _parts(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def _made(kind: type, part: Any, inputs: list[Any]) -> tuple[Any, bool]:
    """Return a result as a device array, and whether it has its own memory."""
    if not isinstance(part, np.ndarray | np.generic):
        return part, False
    if isinstance(part, np.ndarray):
        for each in inputs:
            if np.may_share_memory(part, each._memory.buffer):
                return kind._of(part, each._memory), False
    return new_like(kind, np.asarray(part)), True


def _quiet(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function without NumPy's floating-point warnings, which a GPU does not give."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


def selected(x: np.ndarray, key: Any) -> Any:
    """Return an index within the bounds of the array, since CuPy wraps indices around."""
    keys = list(key) if isinstance(key, tuple) else [key]
    n_axes = sum(
        each.ndim if isinstance(each, np.ndarray) and each.dtype == bool else each is not None
        for each in keys
        if each is not Ellipsis
    )
    axis, found = 0, []
    for each in keys:
        if isinstance(each, list):
            each = np.asarray(each, None if each else np.int64)
        if each is Ellipsis:
            axis += x.ndim - n_axes
        elif isinstance(each, np.ndarray) and each.dtype == bool:
            axis += each.ndim
        elif each is not None:
            if isinstance(each, np.ndarray) and axis < x.ndim and x.shape[axis]:
                each = each % x.shape[axis]
            axis += 1
        found.append(each)
    return tuple(found) if isinstance(key, tuple) else found[0]
