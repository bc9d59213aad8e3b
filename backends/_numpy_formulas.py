"""Formulas on NumPy, block by block and without temporary arrays.

A :class:`~xpnet.backends.formula.Listing` is compiled to calls of NumPy's functions with ``out=``.
They process one block at a time, which stays in the processor's cache, so they are limited by
arithmetic and not by memory bandwidth.
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import ops
from ._backend import Array
from .formula.evaluation import shared_values
from .formula.listing import Listing, Statement
from .formula.listing import listing as statements
from .formula.python import assignments
from .formula.running import run
from .formula.tracing import Formula

BLOCK = 131_072
"""Elements in a block; five float32 arrays of this size take 2.6 MB of cache."""

KEPT = ("sign",)
"""Operations that are not lowered to simpler ones, because NumPy has a function for them."""


@run.register(np.ndarray)
def compute_formula(
    first: np.ndarray,
    *others: Array,
    formula: Formula,
    numbers: Mapping[str, float],
    outs: Sequence[Array] | None = None,
    overwrites: tuple[str | None, ...] = (),
) -> tuple[Array, ...]:
    """See :func:`xpnet.backends.formula.run`."""
    if first.dtype.kind != "f" or not _are_like(first, others):
        return run.dispatch(object)(first, *others, formula=formula, numbers=numbers)  # type: ignore[no-any-return]
    if outs is None or not _are_like(first, outs):
        outs = [np.empty_like(first) for _ in formula.outputs]
        overwrites = (None,) * len(outs)
    program = _program(formula, overwrites)
    whole, arrays, fixed = first.size, [first, *others, *outs], program.fixed(numbers)
    if whole <= BLOCK or not all(array.flags.c_contiguous for array in arrays):
        # Arrays that are not contiguous cannot be flattened without a copy.
        program.block(*arrays, *program.scratch(first.dtype, first.shape), *fixed)
    else:
        arrays = [array.reshape(-1) for array in arrays]
        for start in range(0, whole, BLOCK):
            pieces = [array[start : start + BLOCK] for array in arrays]
            program.block(*pieces, *program.scratch(first.dtype, pieces[0].shape), *fixed)
    return tuple(outs)


def _are_like(first: Array, others: Sequence[Array]) -> bool:
    dtype, shape = first.dtype, first.shape
    # Not a generator, which takes twice as long: each training step calls this often.
    return all([each.dtype == dtype and each.shape == shape for each in others])


class _Program(NamedTuple):
    """A formula compiled to Python functions.

    Attributes
    ----------
    listing : Listing
    block : callable
        Computes one block; its arguments are the inputs, the outputs, :meth:`scratch` and
        :meth:`fixed`.
    before : callable
        Returns the values of ``listing.shared``, from the numbers.
    n_scratch, n_bools : int
        The number of scratch arrays of numbers and of booleans.
    """

    listing: Listing
    block: Callable[..., None]
    before: Callable[..., list[Any]]
    n_scratch: int
    n_bools: int

    def fixed(self, numbers: Mapping[str, float]) -> list[Any]:
        """Return the values of ``listing.shared``.

        They are Python numbers, which do not affect the dtype of NumPy's results.
        """
        try:
            return self.before(*[numbers[name] for name in self.listing.numbers])
        except (ArithmeticError, ValueError):  # e.g. a division by 0
            return shared_values(self.listing, numbers)

    def scratch(self, dtype: np.dtype, shape: tuple[int, ...]) -> list[Array]:
        """Return the scratch arrays for a block: arrays of numbers, then arrays of booleans.

        Arrays of at most a block are views of this thread's memory, which the next call overwrites.
        """
        key = dtype, shape, self.n_scratch, self.n_bools
        kept: list[Array] | None = _held.views.get(key)
        if kept is not None:
            return kept
        found = [_held.array(dtype, k, shape) for k in range(self.n_scratch)]
        found += [_held.array(_BOOL, k, shape) for k in range(self.n_bools)]
        if math.prod(shape) <= BLOCK:
            if len(_held.views) >= _Held.MAX_VIEWS:
                _held.views.clear()
            _held.views[key] = found
        return found


_BOOL = np.dtype(bool)


class _Held(threading.local):
    """The memory for scratch arrays, one per thread.

    Attributes
    ----------
    views : dict
        The results of ``_Program.scratch`` by its arguments.
    """

    MAX_VIEWS = 256

    def __init__(self) -> None:
        self.views: dict[Any, list[Array]] = {}
        self._memory: dict[tuple[np.dtype, int], Array] = {}

    def array(self, dtype: np.dtype, index: int, shape: tuple[int, ...]) -> Array:
        """Return scratch array number ``index`` of a dtype."""
        size = math.prod(shape)
        if size > BLOCK:
            return np.empty(shape, dtype)
        memory = self._memory.get((dtype, index))
        if memory is None or memory.size < size:
            memory = self._memory[dtype, index] = np.empty(BLOCK, dtype)
        return memory[:size].reshape(shape)


_held = _Held()


@lru_cache(maxsize=512)
def _program(formula: Formula, overwrites: tuple[str | None, ...]) -> _Program:
    """Return the program of a formula whose outputs may overwrite some inputs."""
    listing = _with_own_results(statements(formula, KEPT))
    places = _Places(listing, overwrites)
    outputs = [f"o{k}" for k in range(len(listing.results))]
    names = [*(f"in_{name}" for name in listing.inputs), *outputs, *places.scratch()]
    names += listing.shared
    shared = {(f"o{k}", f"in_{name}") for k, name in enumerate(overwrites) if name is not None}
    literals = dict(listing.constants)
    lines = [f"def block({', '.join(names)}):"]
    for name, operation, operands, _ in listing.inside:
        given = "".join(f"{places.of.get(each, each)}, " for each in operands)
        out = places.of[name]
        keeps = operation == "where" and (
            (out, operands[1]) in shared or out == places.of.get(operands[1])
        )
        if operation == "where" and [literals.get(each) for each in operands[1:]] == [1.0, 0.0]:
            # E.g. the derivative of ReLU: a cast is several times as fast as a selection.
            lines.append(f"    {out}[...] = {places.of.get(operands[0], operands[0])}")
            continue
        lines.append(f"    {'where_not' if keeps else operation}({given}out={out})")
    for output, name in zip(outputs, listing.results, strict=True):
        if places.of[name] != output:
            lines.append(f"    {output}[...] = {places.of[name]}")
    lines.append(f"def before({', '.join(f'n_{name}' for name in listing.numbers)}):")
    lines += [f"    {line}" for line in assignments(listing)]
    lines.append(f"    return [{', '.join(listing.shared)}]")
    made: dict[str, Any] = {each.operation: _function(each.operation) for each in listing.inside}
    made |= {"math": math, "where_not": _where_not, **literals}
    exec("\n".join(lines), made)
    return _Program(listing, made["block"], made["before"], places.n_scratch, places.n_bools)


def _with_own_results(listing: Listing) -> Listing:
    """Return the listing with a separate statement for each output."""
    made = {statement.name for statement in listing.inside}
    inside, results = list(listing.inside), list(listing.results)
    for k, name in enumerate(listing.results):
        if name not in made or name in listing.results[:k]:
            results[k] = f"r{k}"
            inside.append(Statement(results[k], "positive", (name,), False))
    return listing._replace(inside=tuple(inside), results=tuple(results))


class _Places:
    """Assign an array to the result of each statement of a listing.

    An output's memory also serves as scratch, from the last use of the input that shares it to the
    statement that computes the output.

    Attributes
    ----------
    of : dict of str to str
        The name of the array of each statement.
    n_scratch, n_bools : int
    """

    def __init__(self, listing: Listing, overwrites: tuple[str | None, ...]) -> None:
        self.of: dict[str, str] = {}
        self.n_scratch = self.n_bools = 0
        inside, results = listing.inside, listing.results
        self._last = {name: k for k, each in enumerate(inside) for name in each.operands}
        made = {each.name: k for k, each in enumerate(inside)}
        self._ready = [
            -1 if name is None else self._last.get(f"in_{name}", -1) for name in overwrites
        ]
        # These outputs are written by the statement that computes them, others copied at the end.
        direct = {name: k for k, name in enumerate(results) if made[name] >= self._ready[k]}
        self._end = [made[name] if name in direct else -1 for name in results]
        self._lent = [-1] * len(results)
        self._free: list[str] = []
        for k, statement in enumerate(inside):
            done = [
                self.of[name]
                for name in dict.fromkeys(statement.operands)
                if name in self.of and self._last[name] == k and name not in results
            ]
            # NumPy's functions may write over an operand of the same type.
            self._free += [place for place in done if place[0] == "s"]
            if statement.name in direct:
                self.of[statement.name] = f"o{direct[statement.name]}"
            else:
                self.of[statement.name] = self._take(k, statement, statement.name in results)
            self._free += [place for place in done if place[0] == "b"]

    def scratch(self) -> list[str]:
        """Return the names of the scratch arrays: arrays of numbers, then arrays of booleans."""
        names = [f"s{k}" for k in range(self.n_scratch)]
        return names + [f"b{k}" for k in range(self.n_bools)]

    def _take(self, k: int, statement: Statement, is_result: bool) -> str:
        letter = "b" if statement.is_bool else "s"
        until = self._last.get(statement.name, k)
        if letter == "s" and not is_result:
            for output, end in enumerate(self._end):
                if self._ready[output] <= k and self._lent[output] <= k and until <= end:
                    self._lent[output] = until
                    return f"o{output}"
        for place in reversed(self._free):
            if place[0] == letter:
                self._free.remove(place)
                return place
        if letter == "b":
            self.n_bools += 1
            return f"b{self.n_bools - 1}"
        self.n_scratch += 1
        return f"s{self.n_scratch - 1}"


def _erf(x: Array, out: Array) -> None:
    out[...] = ops.erf(x)


def _where(condition: Array, a: Array, b: Array, out: Array) -> None:
    if b is not out:
        np.copyto(out, b)
    np.copyto(out, a, where=condition)


def _where_not(condition: Array, a: Array, b: Array, out: Array) -> None:
    """Do the same as ``_where``, but copy ``a`` first, since ``out`` may be its memory."""
    if a is not out:
        np.copyto(out, a)
    np.copyto(out, b, where=np.logical_not(condition))


def _function(operation: str) -> Callable[..., Any]:
    own: dict[str, Any] = {"erf": _erf, "where": _where, "pow": np.power}
    found: Callable[..., Any] = own.get(operation) or getattr(np, operation)
    return found
