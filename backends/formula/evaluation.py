"""Evaluation of expressions on arrays of any library, node by node."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import ops
from .._backend import Array, array_namespace
from .derivatives import ordered
from .expressions import Expression
from .listing import Listing
from .namespace import OF_OPS

_OPERATORS: dict[str, Callable[..., Any]] = {
    # Operators, because in every library they accept Python numbers together with arrays.
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
    "where": lambda condition, a, b: a if condition else b,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "erf": math.erf,
}
"""Operations on Python numbers that are not functions of NumPy."""


def evaluate(
    outputs: tuple[Expression, ...], inputs: Mapping[str, Array], numbers: Mapping[str, float]
) -> tuple[Array, ...]:
    """Return the values of the expressions.

    Parameters
    ----------
    outputs : tuple of Expression
    inputs : mapping of str to array
        An array for each input; their shapes must broadcast.
    numbers : mapping of str to float

    Returns
    -------
    tuple of array
        One array per output, even for outputs that do not depend on the inputs.
    """
    like = next(iter(inputs.values()))
    xp = array_namespace(like)
    if not xp.isdtype(like.dtype, "real floating"):
        dtype = getattr(xp, str(outputs[0].graph.dtype))
        inputs = {name: xp.astype(array, dtype) for name, array in inputs.items()}
        like = next(iter(inputs.values()))
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
    if not node.varies and all(isinstance(each, (int, float)) for each in operands):
        return number_of(operation, *operands)
    if operation in _OPERATORS:
        return _OPERATORS[operation](*operands)
    if operation in OF_OPS:
        return getattr(ops, operation)(*operands)
    if operation == "where" and not node.operands[0].varies:
        # One branch for all elements; libraries' ``where`` does not accept a Python bool.
        chosen = 1 if operands[0] else 2
        value = operands[chosen]
        dtype = xp.bool if node.is_bool else like.dtype
        return value if node.operands[chosen].varies else xp.full_like(like, value, dtype=dtype)
    if operation == "where" and not any(each.varies for each in node.operands[1:]):
        dtype = xp.bool if node.is_bool else like.dtype
        operands[1] = xp.full_like(like, operands[1], dtype=dtype)
    return getattr(xp, operation)(*operands)


def number_of(operation: str, *operands: Any) -> Any:
    """Return the value of an operation on Python numbers, with NaN or infinity for errors."""
    function = _NUMBERS.get(operation) or getattr(np, operation)
    values = [each if isinstance(each, (bool, np.bool_)) else np.float64(each) for each in operands]
    with np.errstate(all="ignore"):
        return np.asarray(function(*values)).item()


def shared_values(listing: Listing, numbers: Mapping[str, float]) -> list[float | bool]:
    """Return the values of ``listing.shared``, with NaN or infinity for errors."""
    values: dict[str, float | bool] = dict(listing.constants)
    values |= {f"n_{name}": numbers[name] for name in listing.numbers}
    for name, operation, operands, _ in listing.before:
        values[name] = number_of(operation, *(values[each] for each in operands))
    return [values[name] for name in listing.shared]
