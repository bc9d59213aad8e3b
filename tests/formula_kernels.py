"""Run the compiled kernel of a formula on arrays, through the engine that trains networks."""

import numpy as np

from xpnet.backends.cpu import formulas
from xpnet.backends.cpu.engine import Engine
from xpnet.backends.cpu.program import Memory, Program


def _run(memory, program, rows, rate=0.01, n_updates=0):
    engine = Engine(memory, [(program, program)], np.zeros(1, np.uint8))
    try:
        losses, _ = engine.run(np.arange(rows), rows, rate, n_updates)
        return losses[0], engine.penalties[0]
    finally:
        engine.close()


def _place(memory, rows, columns):
    stride = memory.padded(columns)
    return memory.take(rows, stride), stride


def _read(memory, place, rows, columns):
    return memory.view(place[0], rows, place[1])[:, :columns].copy()


def activation(listing, x, numbers=()):
    """Return f(x), and f'(x) if it is an output."""
    rows, columns = x.shape
    memory = Memory(x.dtype.name)
    z, d = _place(memory, rows, columns), _place(memory, rows, columns)
    b = memory.take(columns)
    program = Program(memory)
    program.add(formulas.activation(listing), columns, *z, b, *d, *numbers)
    memory.view(z[0], rows, z[1])[:, :columns] = x
    memory.view(b, columns)[:] = -0.0  # x + -0.0 is x for every x
    _run(memory, program, rows)
    values = [_read(memory, place, rows, columns) for place in (z, d)]
    return values[: len(listing.results)]


def back(listing, e, a, numbers=()):
    """Return e times the formula of a, and the sums of its columns."""
    rows, columns = a.shape
    memory = Memory(a.dtype.name)
    places = [_place(memory, rows, columns) for _ in range(2)]
    sums = memory.take(columns)
    program = Program(memory)
    program.add(formulas.back(listing), columns, *places[0], *places[1], sums, *numbers)
    for place, array in zip(places, (e, a), strict=True):
        memory.view(place[0], rows, place[1])[:, :columns] = array
    _run(memory, program, rows)
    return _read(memory, places[0], rows, columns), memory.view(sums, columns).copy()


def loss(listing, y, p, numbers=(), factor=1.0, most=float("inf")):
    """Return the mean over rows of the summed losses, and its derivative."""
    rows, columns = p.shape
    memory = Memory(p.dtype.name)
    z, e = (_place(memory, rows, columns) for _ in range(2))
    y = np.ascontiguousarray(y, p.dtype)
    program = Program(memory)
    program.add(
        formulas.loss(listing), columns, *z, *e, y.ctypes.data, 0, 1, 0, factor, most, *numbers
    )
    memory.view(z[0], rows, z[1])[:, :columns] = p
    value, _ = _run(memory, program, rows)
    return value, _read(memory, e, rows, columns)


def update(listing, arrays, numbers=(), rate=0.01, t=1, factor=1.0, missed=3):
    """Return the new weights and the new state."""
    size = arrays[0].size
    memory = Memory(arrays[0].dtype.name)
    places = [memory.take(size) for _ in arrays]
    program = Program(memory)
    program.add(formulas.update(listing), size, *places, factor, missed, *numbers)
    for place, array in zip(places, arrays, strict=True):
        memory.view(place, size)[:] = array
    _run(memory, program, 1, rate, t - 1 + missed)
    return [memory.view(place, size).copy() for k, place in enumerate(places) if k != 1]


def penalty(listing, g, w, numbers=()):
    """Return the sum of the penalties, and g plus their derivatives."""
    size = w.size
    memory = Memory(w.dtype.name)
    places = [memory.take(size) for _ in range(2)]
    program = Program(memory)
    program.add(formulas.penalty(listing), size, *places, 0, 0, size, 0, size, *numbers)
    for place, array in zip(places, (g, w), strict=True):
        memory.view(place, size)[:] = array
    _, cost = _run(memory, program, 1)
    return cost, memory.view(places[0], size).copy()
