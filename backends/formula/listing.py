"""Listings: expressions as statements, from which code in each language is generated."""

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from .derivatives import ordered
from .expressions import Expression, Graph
from .tracing import Formula


class Statement(NamedTuple):
    """``name = operation(operands)``.

    Attributes
    ----------
    name : str
    operation : str
    operands : tuple of str
        Names of inputs, numbers, constants and earlier statements.
    is_bool : bool
        Whether the result is boolean.
    """

    name: str
    operation: str
    operands: tuple[str, ...]
    is_bool: bool


class Listing(NamedTuple):
    """A program for one array element. Equal formulas have equal listings.

    Attributes
    ----------
    inputs : tuple of str
        The inputs, used or not, in the order of the formula's arguments.
    numbers : tuple of str
        The names of the numbers that the formula uses.
    constants : tuple of (str, float or bool)
        The name and the value of each constant.
    before : tuple of Statement
        The statements that depend only on numbers. They run once, in float64.
    shared : tuple of str
        The names of numbers and results of ``before`` that ``inside`` or ``results`` use.
    inside : tuple of Statement
        The statements that run for each element.
    results : tuple of str
        The names of the outputs.
    """

    inputs: tuple[str, ...]
    numbers: tuple[str, ...]
    constants: tuple[tuple[str, float | bool], ...]
    before: tuple[Statement, ...]
    shared: tuple[str, ...]
    inside: tuple[Statement, ...]
    results: tuple[str, ...]

    @property
    def is_one(self) -> bool:
        """Whether the first result is the constant 1."""
        return dict(self.constants).get(self.results[0]) == 1.0

    @property
    def is_identity(self) -> bool:
        """Whether the only result is the first input."""
        return self.results == (f"in_{self.inputs[0]}",)


def listing(formula: Formula, kept: Collection[str] = ()) -> Listing:
    """Return the statements that compute a formula.

    ``sigmoid``, ``softplus`` and ``sign`` are lowered to simpler operations, so that those of the
    same argument share an exponential. The operations in ``kept`` are not lowered.
    """
    outputs = lowered(formula.outputs, kept)
    names: dict[int, str] = {}
    numbers: list[str] = []
    constants: list[tuple[str, float | bool]] = []
    before: list[Statement] = []
    inside: list[Statement] = []
    for node in ordered(*outputs):
        operation, first = node.operation, node.operands[0]
        if operation == "input":
            names[node.index] = f"in_{first}"
        elif operation == "number":
            numbers.append(first)
            names[node.index] = f"n_{first}"
        elif operation == "constant":
            names[node.index] = f"{_letter(first)}{len(constants)}"
            constants.append((names[node.index], first))
        else:
            name = f"v{len(before) + len(inside)}"
            operands = tuple(names[each.index] for each in node.operands)
            statement = Statement(name, operation, operands, node.is_bool)
            (inside if node.varies else before).append(statement)
            names[node.index] = name
    results = tuple(names[node.index] for node in outputs)
    used = {each for statement in inside for each in statement.operands} | set(results)
    outer = [*(f"n_{name}" for name in numbers), *(each.name for each in before)]
    return Listing(
        tuple(each.operands[0] for each in formula.inputs),
        tuple(numbers),
        tuple(constants),
        tuple(before),
        tuple(name for name in outer if name in used),
        tuple(inside),
        results,
    )


def _letter(value: float | bool) -> str:
    """Return the first letter of a constant's name.

    Listings are compared, so constants that are equal in Python but not identical have different
    names: -0.0 and 0.0, True and 1.0.
    """
    if isinstance(value, bool):
        return "t"
    return "z" if value == 0.0 and math.copysign(1.0, value) < 0 else "c"


def lowered(outputs: tuple[Expression, ...], kept: Collection[str] = ()) -> tuple[Expression, ...]:
    """Return the expressions in a new graph, with operations of ``_SIMPLER`` lowered."""
    graph = Graph(str(outputs[0].graph.dtype))
    new: dict[int, Expression] = {}
    for node in ordered(*outputs):
        if node.operation in ("input", "number", "constant"):
            new[node.index] = graph.exactly(node.operation, node.operands[0])
            continue
        operands = [new[each.index] for each in node.operands]
        simpler = None if node.operation in kept else _SIMPLER.get(node.operation)
        new[node.index] = (
            graph.exactly(node.operation, *operands)
            if simpler is None
            else simpler(graph.exactly, graph, *operands)
        )
    return tuple(new[node.index] for node in outputs)


Make = Callable[..., Expression]


def _positive(u: Expression) -> tuple[Expression, bool]:
    """Return u without a leading minus sign, and whether it had one."""
    if u.operation == "negative":
        return u.operands[0], True
    return u, False


def _decay(make: Make, u: Expression) -> Expression:
    """Return exp(-|u|), which never overflows."""
    return make("exp", make("negative", make("abs", u)))


def _sigmoid(make: Make, graph: Graph, u: Expression) -> Expression:
    u, is_negative = _positive(u)
    one, zero, e = graph.constant(1.0), graph.constant(0.0), _decay(make, u)
    parts = (one, e) if is_negative else (e, one)
    below = make("less", u, zero)
    return make("divide", make("where", below, *parts), make("add", one, e))


def _softplus(make: Make, graph: Graph, u: Expression) -> Expression:
    v, _ = _positive(u)
    return make("add", make("maximum", u, graph.constant(0.0)), make("log1p", _decay(make, v)))


def _sign(make: Make, graph: Graph, u: Expression) -> Expression:
    zero, one, minus = (graph.constant(value) for value in (0.0, 1.0, -1.0))
    below = make("where", make("less", u, zero), minus, u)  # u, so that 0 and NaN stay
    return make("where", make("greater", u, zero), one, below)


_SIMPLER: dict[str, Callable[[Make, Graph, Any], Expression]] = {
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "sign": _sign,
}
"""The operations that are lowered to simpler ones, and the functions that do so."""
