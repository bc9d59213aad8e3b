"""Evaluation of expressions on arrays of any library, node by node."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from .. import ops
from .._backend import Array, array_namespace
from .derivatives import ordered
from .expressions import Expression
from .namespace import OF_OPS

_OPERATORS: dict[str, Callable[..., Any]] = {
    # By operators, which take Python's numbers beside arrays in every library.
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "negative": lambda a: -a,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "logical_and": lambda a, b: a & b,
    "logical_or": lambda a, b: a | b,
    "logical_xor": lambda a, b: a ^ b,
    "logical_not": lambda a: ~a,
}

_NUMBERS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "maximum": max,
    "minimum": min,
    "sign": lambda a: (a > 0) - (a < 0),
    "where": lambda condition, a, b: a if condition else b,
    "logical_not": lambda a: not a,
    "sigmoid": lambda a: 0.5 * (1.0 + math.tanh(0.5 * a)),
    "softplus": lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
}
"""Operations on Python's numbers that are neither operators nor functions of the module math."""


def evaluate(
    outputs: tuple[Expression, ...], inputs: Mapping[str, Array], numbers: Mapping[str, float]
) -> tuple[Array, ...]:
    """Return the values of expressions.

    Parameters
    ----------
    outputs : tuple of Expression
    inputs : mapping of str to array
        An array for each input, of shapes that fit.
    numbers : mapping of str to float

    Returns
    -------
    tuple of array
        An output that does not depend on the inputs is an array of their type all the same.
    """
    like = next(iter(inputs.values()))
    xp = array_namespace(like)
    values: dict[int, Any] = {}
    for node in ordered(*outputs):
        values[node.index] = _value(node, values, inputs, numbers, xp, like)
    return tuple(
        values[node.index] if node.varies else xp.full_like(like, values[node.index])
        for node in outputs
    )


def _value(
    node: Expression,
    values: Mapping[int, Any],
    inputs: Mapping[str, Array],
    numbers: Mapping[str, float],
    xp: Any,
    like: Array,
) -> Any:
    operation, first = node.operation, node.operands[0]
    if operation == "input":
        return inputs[first]
    if operation == "number":
        return numbers[first]
    if operation == "constant":
        return first
    operands = [values[each.index] for each in node.operands]
    if not node.varies:
        return number_of(operation, *operands)
    if operation in _OPERATORS:
        return _OPERATORS[operation](*operands)
    if operation in OF_OPS:
        return getattr(ops, operation)(*operands)
    if operation == "where" and not node.operands[0].varies:
        # One branch for all elements: libraries take no condition that is a number.
        chosen = 1 if operands[0] else 2
        value = operands[chosen]
        return value if node.operands[chosen].varies else xp.full_like(like, value)
    if operation == "where" and not any(each.varies for each in node.operands[1:]):
        operands[1] = xp.full_like(like, operands[1])
    return getattr(xp, operation)(*operands)


def number_of(operation: str, *operands: Any) -> Any:
    """Return the value of an operation on Python's numbers; NaN or infinity where it has none."""
    function = _NUMBERS.get(operation) or _OPERATORS.get(operation) or getattr(math, operation)
    try:
        return function(*operands)
    except ZeroDivisionError:
        a = operands[0]
        return math.nan if a == 0 or a != a else math.copysign(math.inf, a)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan
